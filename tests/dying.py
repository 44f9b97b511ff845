"""``mvmesh`` that kills itself at a chosen moment, as a power cut would: no handler runs, nothing is flushed.

    python tests/dying.py '{"event": "accepted by service", "moment": "before"}' run mvmesh.yaml --yes

The moment is either the n-th effect (``effect``: what the process does to the disk, every commit counted before and
after) or the first time that ``event`` happens to a work item, ``before`` or ``after`` the commit that records it;
``delay_s`` later. Without any of them it is no death at all. With a ``clock`` (``hurried_clock.py``) the process lives by
that one. The seams are the standard library's (an audit hook, sqlite3's connection factory, asyncio's loops) and the
wall clock's: every other line of mvmesh that runs is the real one.
"""

import json
import os
import signal
import sqlite3
import sys
import threading
from functools import partial
from typing import Any

from hurried_clock import HurriedClock

_WRITES = os.O_WRONLY | os.O_RDWR
_EFFECTS = frozenset({"os.rename", "os.remove", "os.mkdir", "os.link"})
_MOVES = "INSERT INTO history"


class Fate:
    def __init__(self, *, effect: int = 0, event: str = "", moment: str = "after", delay_s: float = 0.0) -> None:
        self._effect = effect
        self._event = event
        self._moment = moment
        self._delay_s = delay_s
        self._effects = 0
        self._moved = False

    def count(self) -> None:
        self._effects += 1
        if self._effects == self._effect:
            self._strike()

    def moves(self, event: str) -> None:
        self._moved = self._moved or event == self._event

    def at_commit(self, moment: str) -> None:
        self.count()
        if self._moved and moment == self._moment:
            self._strike()

    def hear(self, event: str, values: tuple[Any, ...]) -> None:
        """An audit hook: it sees every call that changes files."""
        if event in _EFFECTS or (event == "open" and values[2] & _WRITES):
            self.count()

    def _strike(self) -> None:
        if self._delay_s:
            timer = threading.Timer(self._delay_s, _die)
            timer.daemon = True
            timer.start()
        else:
            _die()


def _die() -> None:
    os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))


class MortalConnection(sqlite3.Connection):
    """Tells ``fate`` of commits, and of the moves of work items in them."""

    fate: Fate

    def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
        if sql.startswith(_MOVES):
            self.fate.moves(values[0][2])
        if sql != "COMMIT":
            return super().execute(sql, *values)
        self.fate.at_commit("before")
        done = super().execute(sql)
        self.fate.at_commit("after")
        return done


def live_by(clock: HurriedClock) -> None:
    from pipeline.ports import clock as ours  # noqa: PLC0415 - only where it is to be changed

    ours.utc_now = clock.now
    clock.rule_event_loops()


def main(spec: dict[str, Any], arguments: list[str]) -> None:
    if said := spec.pop("clock", None):
        live_by(HurriedClock(**said))
    from pipeline.cli import main as mvmesh  # noqa: PLC0415 - its imports are no effects, and come after the clock

    fate = MortalConnection.fate = Fate(**spec)
    sqlite3.connect = partial(sqlite3.connect, factory=MortalConnection)
    sys.addaudithook(fate.hear)
    sys.argv[1:] = arguments
    mvmesh()


if __name__ == "__main__":
    main(json.loads(sys.argv[1]), sys.argv[2:])
