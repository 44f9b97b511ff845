"""Where a batch stands, counted from the ledger's records."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from pipeline.domain.items import ItemRecord
from pipeline.domain.lifecycle import State, is_paid
from pipeline.domain.planning import needs_a_word

SETTLED = frozenset({State.DELIVERED, State.HELD, State.DROPPED})
"""No run does anything about an item in one of these, as long as its files stand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    counts: Mapping[State, int]
    """States that occur, in the order of the life cycle."""
    charged_cu: float
    open_cu: float
    """Quoted for what is, or may be, at the service, and not yet charged."""
    uncertain: tuple[ItemRecord, ...]
    failed: tuple[ItemRecord, ...]
    held: tuple[ItemRecord, ...]
    left: int
    """Work items that a further run would do something about."""
    updated_at: datetime | None

    @property
    def total(self) -> int:
        return sum(self.counts.values())


def standing(records: Sequence[ItemRecord], others: Mapping[State, int] | None = None) -> Standing:
    """``others``: rows of the results that no run has begun, by state."""
    others = others or {}
    counts = Counter(one.state for one in records) + Counter(others)
    changes = [one.updated_at for one in records if one.updated_at is not None]
    return Standing(
        counts={state: counts[state] for state in State if counts[state]},
        charged_cu=sum((one.charged_cu or 0.0 for one in records), 0.0),
        open_cu=sum((one.quoted_cu or 0.0 for one in records if _is_open(one)), 0.0),
        uncertain=_having(records, State.UNCERTAIN),
        failed=_having(records, State.FAILED),
        held=_having(records, State.HELD),
        left=sum(one.state not in SETTLED and not needs_a_word(one) for one in records) + sum(others.values()),
        updated_at=max(changes, default=None),
    )


def _is_open(record: ItemRecord) -> bool:
    return is_paid(record.state) and not record.asset_ids


def _having(records: Sequence[ItemRecord], state: State) -> tuple[ItemRecord, ...]:
    return tuple(sorted((one for one in records if one.state is state), key=lambda one: one.key))
