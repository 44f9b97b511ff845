"""The journal: every move of a work item is committed before its next effect, then told."""

from typing import Any

from anyio import CancelScope

from pipeline.domain.errors import MvmeshError
from pipeline.domain.events import ItemMoved, Noted, Observer
from pipeline.domain.items import ItemRecord
from pipeline.domain.lifecycle import Event
from pipeline.domain.planning import PlannedItem
from pipeline.ports.interfaces import Ledger


class Journal:
    """Moves work items in the ledger and tells the observer. Nothing here is cut short by a stop of the run."""

    def __init__(self, ledger: Ledger, observe: Observer) -> None:
        self._ledger = ledger
        self._observe = observe
        self.moves = 0
        """So many were committed."""

    async def move(
        self, planned: PlannedItem, record: ItemRecord, event: Event, *, detail: str = "", **changes: Any
    ) -> ItemRecord:
        """Commit one transition; the record after it.

        Shielded: what has happened at the service is recorded although the run is being stopped, and a caller never
        has to wonder whether a cancelled move was committed.
        """
        with CancelScope(shield=True):
            after = await self._ledger.advance(record.key, event, detail=detail, **changes)
        self.moves += 1
        self._observe(
            ItemMoved(
                key=record.key,
                aliases=planned.work.aliases,
                before=record.state,
                after=after.state,
                detail=detail,
                charged_cu=after.charged_cu,
            )
        )
        return after

    async def fail(self, planned: PlannedItem, key: str, error: MvmeshError, **changes: Any) -> ItemRecord:
        """The item ends here, wherever it stands; the reason goes to its row of the results."""
        with CancelScope(shield=True):
            record = await self._ledger.item(key)
        assert record is not None  # opened when the item was taken up
        return await self.move(planned, record, Event.FAIL, detail=str(error), **told(error), **changes)

    def warn(self, planned: PlannedItem, message: str) -> None:
        self._observe(Noted(message=f"{planned.work.aliases[0].label}{message}", level="warning"))


def told(error: MvmeshError) -> dict[str, str]:
    """What a record says of an error."""
    return {"error_class": type(error).__name__, "error": str(error), "mend": error.mend}


FORGIVEN = {"error_class": "", "error": "", "mend": ""}
"""What a record says once its trouble is over."""
