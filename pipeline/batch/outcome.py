"""How a run ended, counted by rows of the results manifest."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace

from pipeline.batch.submissions import OUT_OF_TIME
from pipeline.domain.lifecycle import State
from pipeline.domain.planning import Action, Plan
from pipeline.domain.results import ResultRow

WANTING_KEPT = 100
"""Of the rows that a person should look at, an outcome keeps so many."""

NOTES_KEPT = 100
"""Of distinct notes, an outcome keeps so many."""

WANTING = frozenset({State.FAILED, State.REFUSED, State.HELD, State.UNCERTAIN})
_MADE = frozenset({State.DELIVERED, State.HELD})


@dataclass(frozen=True, slots=True, kw_only=True)
class Remark:
    """What the service noted of one or several meshes."""

    text: str
    label: str
    """Of the first of them."""
    count: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Counts of set ids (times variants); every row is counted once."""

    delivered: int = 0
    held: int = 0
    failed: int = 0
    refused: int = 0
    uncertain: int = 0
    over_budget: int = 0
    out_of_time: int = 0
    unfinished: int = 0
    """On their way: the run was stopped, or a job is not final yet."""
    is_whole: bool = True
    """False: the run ended before all sets were looked at; counted are those that were found by then."""
    interrupted: bool = False
    charged_cu: float = 0.0
    """In this run."""
    wanting: tuple[ResultRow, ...] = ()
    """The first rows that a person should look at."""
    remarks: tuple[Remark, ...] = ()
    """The first distinct notes about the meshes that are there."""


class Reckoning:
    """Counts the rows of a run as they are made, so that nobody has to hold all of them."""

    def __init__(self, plan: Plan) -> None:
        """Counted are the rows that the plan's run is about: those of its selection."""
        self._outside = plan.outside
        self._states: Counter[State] = Counter()
        self._out_of_time = 0
        self._wanting: list[ResultRow] = []
        self._remarks: dict[str, Remark] = {}

    def add(self, rows: Iterable[ResultRow]) -> None:
        for row in rows:
            if self._outside and row.alias in self._outside:
                continue
            self._states[row.state] += 1
            self._out_of_time += row.state is State.DEFERRED and row.error is not None and row.error.kind == OUT_OF_TIME
            if row.state in WANTING and len(self._wanting) < WANTING_KEPT:
                self._wanting.append(row)
            if row.state in _MADE:
                self._remark(row)

    def _remark(self, row: ResultRow) -> None:
        for text in row.notes:
            if known := self._remarks.get(text):
                self._remarks[text] = replace(known, count=known.count + 1)
            elif len(self._remarks) < NOTES_KEPT:
                self._remarks[text] = Remark(text=text, label=row.label)

    def outcome(self, *, interrupted: bool, charged_cu: float) -> Outcome:
        states = self._states
        ended = (State.DELIVERED, State.HELD, State.FAILED, State.REFUSED, State.DROPPED, State.UNCERTAIN)
        return Outcome(
            delivered=states[State.DELIVERED],
            held=states[State.HELD],
            failed=states[State.FAILED],
            refused=states[State.REFUSED],
            uncertain=states[State.UNCERTAIN],
            over_budget=states[State.DEFERRED] - self._out_of_time,
            out_of_time=self._out_of_time,
            unfinished=states.total() - sum(states[one] for one in ended) - states[State.DEFERRED],
            interrupted=interrupted,
            charged_cu=charged_cu,
            wanting=tuple(self._wanting),
            remarks=tuple(sorted(self._remarks.values(), key=lambda remark: remark.count)),
        )

    def add_done(self, plan: Plan) -> None:
        """What needs nothing more is delivered, row by row: nobody has to look it up."""
        for one in plan.items:
            if one.action is Action.NOTHING:
                self._states[State.DELIVERED] += sum(alias not in self._outside for alias in one.work.aliases)
