"""``mvmesh`` that kills itself at a chosen moment, as a power cut would: no handler runs, nothing is flushed.

    python tests/dying.py '{"hurry": 1, "state": "submitted", "moment": "before"}' run mvmesh.yaml --yes

The moment is either the n-th effect (``effect``: what the process does to the disk, every commit counted before and
after) or the first time that a work item comes to ``state``, or that ``event`` happens to one, ``before`` or ``after`` the
commit that records it; ``delay_s`` later. Without any of them it is no death at all. The event loop's time passes ``hurry``
times as fast: pauses, timeouts and intervals are that much shorter. The seams are the standard library's (an audit hook,
sqlite3's connection factory, asyncio's clock): every line of mvmesh that runs is the real one.
"""

import asyncio
import json
import os
import selectors
import signal
import sqlite3
import sys
import threading
from functools import partial
from typing import Any

_WRITES = os.O_WRONLY | os.O_RDWR
_EFFECTS = frozenset({"os.rename", "os.remove", "os.mkdir", "os.link"})
_MOVES = "UPDATE items SET state"
_EVENTS = "INSERT INTO history"


class Fate:
    def __init__(
        self, *, effect: int = 0, state: str = "", event: str = "", moment: str = "after", delay_s: float = 0.0
    ) -> None:
        self._effect = effect
        self._awaited = state or event
        self._moment = moment
        self._delay_s = delay_s
        self._effects = 0
        self._moved = False

    def count(self) -> None:
        self._effects += 1
        if self._effects == self._effect:
            self._strike()

    def moves(self, what: str) -> None:
        self._moved = self._moved or what == self._awaited

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
            self.fate.moves(values[0][0])
        if sql.startswith(_EVENTS):
            self.fate.moves(values[0][2])
        if sql != "COMMIT":
            return super().execute(sql, *values)
        self.fate.at_commit("before")
        done = super().execute(sql)
        self.fate.at_commit("after")
        return done


def hurry(times: float) -> None:
    """Let the time of every event loop pass so many times as fast."""

    class Selector(selectors.DefaultSelector):
        def select(self, timeout: float | None = None) -> Any:
            return super().select(timeout and timeout / times)

    class Loop(asyncio.SelectorEventLoop):
        def __init__(self) -> None:
            super().__init__(Selector())

        def time(self) -> float:
            return super().time() * times

    asyncio.new_event_loop = asyncio.events.new_event_loop = Loop


def main(spec: dict[str, Any], arguments: list[str]) -> None:
    from pipeline.cli import main as mvmesh  # noqa: PLC0415 - its imports are no effects

    if (times := spec.pop("hurry", 1)) != 1:
        hurry(times)
    fate = MortalConnection.fate = Fate(**spec)
    sqlite3.connect = partial(sqlite3.connect, factory=MortalConnection)
    sys.addaudithook(fate.hear)
    sys.argv[1:] = arguments
    mvmesh()


if __name__ == "__main__":
    main(json.loads(sys.argv[1]), sys.argv[2:])
