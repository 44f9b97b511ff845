"""Where a batch stands, counted from the ledger's records."""

from collections import Counter
from collections.abc import Iterable, Mapping
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
    wanting: int
    """Those that it would not, before a person has done something: refused sets, and what failed too often."""
    updated_at: datetime | None

    @property
    def total(self) -> int:
        return sum(self.counts.values())


class StandingCount:
    """Counts records as they come: those alone are kept that a person may have to do something about."""

    def __init__(self) -> None:
        self._counts: Counter[State] = Counter()
        self._charged_cu = 0.0
        self._open_cu = 0.0
        self._kept: dict[State, list[ItemRecord]] = {State.UNCERTAIN: [], State.FAILED: [], State.HELD: []}
        self._left = self._wanting = 0
        self._updated_at: datetime | None = None

    def add(self, records: Iterable[ItemRecord]) -> None:
        for record in records:
            self._counts[record.state] += 1
            self._charged_cu += record.charged_cu or 0.0
            self._open_cu += (record.quoted_cu or 0.0) if _is_open(record) else 0.0
            wants_a_person = record.state is State.REFUSED or needs_a_word(record)
            self._wanting += wants_a_person
            self._left += record.state not in SETTLED and not wants_a_person
            if record.state in self._kept:
                self._kept[record.state].append(record)
            if record.updated_at is not None:
                self._updated_at = max(self._updated_at or record.updated_at, record.updated_at)

    def add_others(self, states: Mapping[State, int]) -> None:
        """Rows of the results that no run has begun."""
        self._counts.update(states)
        self._wanting += states.get(State.REFUSED, 0)
        self._left += sum(count for state, count in states.items() if state is not State.REFUSED)

    def standing(self) -> Standing:
        return Standing(
            counts={state: self._counts[state] for state in State if self._counts[state]},
            charged_cu=self._charged_cu,
            open_cu=self._open_cu,
            uncertain=self._having(State.UNCERTAIN),
            failed=self._having(State.FAILED),
            held=self._having(State.HELD),
            left=self._left,
            wanting=self._wanting,
            updated_at=self._updated_at,
        )

    def _having(self, state: State) -> tuple[ItemRecord, ...]:
        return tuple(sorted(self._kept[state], key=lambda one: one.key))


def standing(records: Iterable[ItemRecord], others: Mapping[State, int] | None = None) -> Standing:
    """``others``: rows of the results that no run has begun, by state."""
    count = StandingCount()
    count.add(records)
    count.add_others(others or {})
    return count.standing()


def _is_open(record: ItemRecord) -> bool:
    return is_paid(record.state) and not record.asset_ids
