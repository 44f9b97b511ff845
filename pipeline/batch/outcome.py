"""How a run ended, counted by rows of the results manifest."""

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.batch.submissions import OUT_OF_TIME
from pipeline.domain.items import Alias
from pipeline.domain.lifecycle import State
from pipeline.domain.planning import Plan
from pipeline.domain.results import ResultRow


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
    interrupted: bool = False
    charged_cu: float = 0.0
    """In this run."""


def rows_inside(rows: Sequence[ResultRow], plan: Plan) -> list[ResultRow]:
    """The rows that the plan's run is about: those of its selection."""

    def name(row: ResultRow) -> Alias:
        return Alias(set_id=row.set, variant=row.variant, copy=row.copy_number)

    return [row for row in rows if name(row) not in plan.outside]


def outcome_of(rows: Sequence[ResultRow], *, interrupted: bool, charged_cu: float) -> Outcome:
    def count(*states: State) -> int:
        return sum(row.state in states for row in rows)

    deferred = [row for row in rows if row.state is State.DEFERRED]
    out_of_time = sum(row.error is not None and row.error.kind == OUT_OF_TIME for row in deferred)
    ended = count(State.DELIVERED, State.HELD, State.FAILED, State.REFUSED, State.DROPPED, State.UNCERTAIN)
    return Outcome(
        delivered=count(State.DELIVERED),
        held=count(State.HELD),
        failed=count(State.FAILED),
        refused=count(State.REFUSED),
        uncertain=count(State.UNCERTAIN),
        over_budget=len(deferred) - out_of_time,
        out_of_time=out_of_time,
        unfinished=len(rows) - ended - len(deferred),
        interrupted=interrupted,
        charged_cu=charged_cu,
    )
