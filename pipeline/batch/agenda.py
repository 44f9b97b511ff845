"""The agenda of a run: what is still to do, what is being done, and what waits for the service's job list."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

import anyio

from pipeline.domain.items import ItemRecord
from pipeline.domain.lifecycle import State
from pipeline.domain.planning import PlannedItem


@dataclass(frozen=True, slots=True, kw_only=True)
class Uncertain:
    """An item whose submission was lost."""

    planned: PlannedItem
    record: ItemRecord


class Agenda:
    """Workers take items from it until none can come any more.

    An item whose submission was lost is put aside as uncertain; once it is settled it is taken again, before others.
    """

    def __init__(self, planned: Iterable[PlannedItem] = (), *, open: bool = False) -> None:  # noqa: A002 - as of a door
        """``open``: more may come, until ``no_more``."""
        self._todo = deque(planned)
        self._may_grow = open
        self._at_work = 0
        self._uncertain: dict[str, Uncertain] = {}
        self._is_closed = False
        self._changed = anyio.Event()

    @property
    def is_idle(self) -> bool:
        """Whether nothing is left but what is uncertain."""
        return not self._todo and not self._at_work and not self._may_grow

    def add(self, planned: Iterable[PlannedItem]) -> None:
        self._todo.extend(planned)
        self._tell()

    def no_more(self) -> None:
        """All that there is was added."""
        self._may_grow = False
        self._tell()

    @property
    def uncertain(self) -> list[Uncertain]:
        return list(self._uncertain.values())

    async def take(self) -> PlannedItem | None:
        """The next item; None: there is nothing more to do in this run."""
        while not self._todo:
            if self.is_idle and (self._is_closed or not self._uncertain):
                return None
            await self._changed.wait()
        self._at_work += 1
        return self._todo.popleft()

    def put_back(self, planned: PlannedItem, record: ItemRecord) -> None:
        """A worker has taken the item as far as it goes for now."""
        self._at_work -= 1
        if record.state is State.UNCERTAIN:
            self._uncertain[record.key] = Uncertain(planned=planned, record=record)
        self._tell()

    def go_on(self, settled: Uncertain) -> None:
        """An uncertain item is settled: somebody may take it again."""
        del self._uncertain[settled.record.key]
        self._todo.appendleft(settled.planned)
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
