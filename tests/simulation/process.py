"""The process of one run: it takes one step with every effect, and dies at the step that the night has chosen."""

from collections.abc import Callable
from dataclasses import dataclass

import anyio

from pipeline.domain.errors import LocalIoError


class Died(BaseException):
    """The process is no more: whatever of it still runs gets this from every port, and changes nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Death:
    """At the ``step``-th step of that kind (empty: of any kind) the process dies."""

    step: int
    kind: str = ""
    is_power_cut: bool = False
    """What was not synced to the disk may vanish."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FullDisk:
    """Nothing can be written for so many steps from the given one."""

    step: int
    steps: int


class Process:
    """Steps are of the kinds ``service``, ``ledger`` and ``disk``, named before and after each effect."""

    def __init__(self, number: int, *, death: Death | None, full: FullDisk | None, tell: Callable[[str], None]) -> None:
        self.number = number
        self.steps = 0
        self.has_died = False
        self.turned_away_until = 0.0
        """The service has asked for a pause until then."""
        self.death = anyio.Event()
        self.tell = tell
        self._death = death
        self._full = full
        self._taken: dict[str, int] = {}

    def step(self, kind: str, what: str) -> None:
        """Goes through unless the process is dead or dies here.

        Raises:
            Died: from now on, from every step.
        """
        self.check()
        self.steps += 1
        self._taken[kind] = self._taken.get(kind, 0) + 1
        self.tell(what)
        if self._death is not None and self._is_due(self._death, kind):
            self.tell("the power is cut" if self._death.is_power_cut else "the process is killed")
            self.die()
            raise Died

    def check(self) -> None:
        if self.has_died:
            raise Died

    def die(self) -> None:
        self.has_died = True
        self.death.set()

    def write(self, what: str) -> None:
        """A step that needs room on the disk.

        Raises:
            LocalIoError: there is none.
        """
        self.step("disk", what)
        self.require_room()

    def require_room(self) -> None:
        if self._full is not None and self._full.step <= self.steps < self._full.step + self._full.steps:
            self.tell("the disk is full")
            raise LocalIoError("the disk is full", mend="make room")

    async def sleep(self, seconds: float) -> None:
        """As the network makes it wait; a death ends it, shielded or not."""
        with anyio.move_on_after(seconds):
            await self.death.wait()
        self.check()

    def _is_due(self, death: Death, kind: str) -> bool:
        taken = self._taken.get(death.kind, 0) if death.kind else self.steps
        return taken == death.step and death.kind in {"", kind}


def immortal() -> Process:
    """For ports whose process has nothing to fear."""
    return Process(0, death=None, full=None, tell=_silent)


def _silent(what: str) -> None:
    """Nobody listens."""
