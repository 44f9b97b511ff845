"""The agenda of a run: what is still to do, what is being done, and what waits for the service's job list."""

import math
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import anyio

from pipeline.domain.items import ItemRecord
from pipeline.domain.lifecycle import State
from pipeline.domain.planning import Action, PlannedItem

TAIL = 3
"""The end of a batch begins when no more than so many items a slot are left: the longest of them are taken first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Uncertain:
    """An item whose submission was lost."""

    planned: PlannedItem
    record: ItemRecord


class Agenda:
    """Workers take items from it until none can come any more.

    What is at the service already is taken first. Files that are only to be fetched again come beside what is to be
    made, a few at a time, so that neither downloads nor slots stand idle. An item whose submission was lost is put
    aside as uncertain; once it is settled it is taken again, before others. Else the order is that of the plan, until
    its end: there the longest come first, so that no slot is left alone with a long one.
    """

    def __init__(
        self,
        planned: Iterable[PlannedItem] = (),
        *,
        open: bool = False,  # noqa: A002 - as of a door
        expected_s: Callable[[PlannedItem], float] = lambda _: 0.0,
        slots: Callable[[], float] = lambda: 0.0,
        fetches: float = math.inf,
    ) -> None:
        """With ``open``, further items are added until ``no_more`` is called. ``expected_s``: how long the job
        of an item takes, as far as is known by now. ``slots``: how many jobs are in flight at one time. ``fetches``:
        how many items whose files are only to be fetched again are at work at one time, while others could be.
        """
        self._more = open
        self._expected_s = expected_s
        self._slots = slots
        self._first: deque[PlannedItem] = deque()
        self._fetched: deque[PlannedItem] = deque()
        self._fetches = fetches
        self._fetching = 0
        self._todo: deque[PlannedItem] = deque()
        self._sorts_at = math.inf
        self._at_work = 0
        self._uncertain: dict[str, Uncertain] = {}
        self._is_closed = False
        self._changed = anyio.Event()
        self.add(planned)

    def add(self, planned: Iterable[PlannedItem]) -> None:
        """More to do."""
        queues = {Action.RESUME: self._first, Action.FETCH: self._fetched}
        for one in planned:
            queues.get(one.action, self._todo).append(one)
        self._tell()

    def no_more(self) -> None:
        """All that is to be done in this run has been added."""
        self._more = False
        self._tell()

    @property
    def is_idle(self) -> bool:
        """Whether nothing is left, and nothing will come, but what is uncertain."""
        return not (self._has_any or self._at_work or self._more)

    @property
    def _has_any(self) -> bool:
        return bool(self._first or self._fetched or self._todo)

    @property
    def uncertain(self) -> list[Uncertain]:
        return list(self._uncertain.values())

    async def take(self) -> PlannedItem | None:
        """The next item; None: there is nothing more to do in this run."""
        while not self._has_any:
            if self.is_idle and (self._is_closed or not self._uncertain):
                return None
            await self._changed.wait()
        self._at_work += 1
        if self._first:
            return self._first.popleft()
        if self._fetched and (self._fetching < self._fetches or not self._todo):
            self._fetching += 1
            return self._fetched.popleft()
        self._sort_the_end()
        return self._todo.popleft()

    def _sort_the_end(self) -> None:
        """Again whenever half of it is done: by then more is known."""
        left = len(self._todo)
        if not self._more and left <= min(TAIL * self._slots(), self._sorts_at):
            self._todo = deque(sorted(self._todo, key=self._expected_s, reverse=True))
            self._sorts_at = left // 2

    def put_back(self, planned: PlannedItem, record: ItemRecord) -> None:
        """A worker has taken the item as far as it goes for now."""
        self._at_work -= 1
        self._fetching -= planned.action is Action.FETCH
        if record.state is State.UNCERTAIN:
            self._uncertain[record.key] = Uncertain(planned=planned, record=record)
        self._tell()

    def go_on(self, settled: Uncertain) -> None:
        """An uncertain item is settled: somebody may take it again."""
        del self._uncertain[settled.record.key]
        self._first.appendleft(settled.planned)
        self._tell()

    def close(self) -> None:
        """What is uncertain stays so: nobody waits for it any longer."""
        self._is_closed = True
        self._tell()

    async def changes(self) -> None:
        """Wait until something is put aside, taken up again or done."""
        await self._changed.wait()

    def _tell(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()
