"""Submissions: the paid step of a work item's way, within the budget, the time window and the team's ceiling."""

from dataclasses import replace
from itertools import count

import anyio

from pipeline.batch.journal import FORGIVEN, Journal, told
from pipeline.batch.pool import Pool
from pipeline.batch.terms import Terms
from pipeline.batch.uploads import Uploads
from pipeline.domain.budget import Budget
from pipeline.domain.errors import (
    AssetGone,
    CeilingReached,
    CredentialsError,
    MvmeshError,
    NeverSent,
    RequestRefused,
    ServiceUnreachable,
    SubmissionUncertain,
    Throttled,
    TryAgain,
)
from pipeline.domain.events import Noted, Observer
from pipeline.domain.items import ItemRecord
from pipeline.domain.lifecycle import Event, State
from pipeline.domain.planning import PlannedItem
from pipeline.ports.interfaces import Ledger, Now, Scenario
from pipeline.stages.submit import Settled, find_submission, submit

TURNED_AWAY_S = 3600.0
"""How long a service that is busy (429) is asked again for one item; then the item is left for a later run."""

UNSENT_TRIES = 20
"""How often in a row a submission may fail to leave before the service counts as unreachable: some four minutes."""

LONGEST_PAUSE_S = 15.0
LONGEST_WISH_S = 300.0
"""The longest pause that is granted to a service which asks for one."""

OVER_BUDGET = "OverBudget"
OUT_OF_TIME = "OutOfTime"
"""Why an item is deferred, as its row's error kind."""


class Submissions:
    """Submits work items, and finds out what became of submissions whose answer was lost."""

    def __init__(
        self,
        terms: Terms,
        *,
        scenario: Scenario,
        ledger: Ledger,
        journal: Journal,
        uploads: Uploads,
        pool: Pool,
        budget: Budget,
        now: Now,
        observe: Observer,
    ) -> None:
        self._terms = terms
        self._scenario = scenario
        self._ledger = ledger
        self._journal = journal
        self._uploads = uploads
        self._pool = pool
        self._budget = budget
        self._now = now
        self._observe = observe

    async def lost(self, planned: PlannedItem, record: ItemRecord, why: str) -> ItemRecord:
        """The answer to a submission is lost: the item is uncertain until the service's list has told."""
        error = SubmissionUncertain(
            f"{why}; whether the job was made, and charged, is not known",
            mend="run again: the service's job list is searched before anything is sent anew",
        )
        return await self._journal.move(planned, record, Event.ANSWER_LOST, detail=why, **told(error))

    async def settle(self, planned: PlannedItem, record: ItemRecord) -> ItemRecord:
        """An uncertain submission is looked for in the service's list; what cannot be told stays uncertain."""
        if record.state is not State.UNCERTAIN:
            return record
        settled = await self._looked_for(record)
        if settled.job is not None:
            return await self._journal.move(
                planned, record, Event.SUBMISSION_FOUND, detail=settled.why, job_id=settled.job.job_id, **FORGIVEN
            )
        if settled.is_absent:
            self._budget.release(record.key)
            return await self._journal.move(planned, record, Event.SUBMISSION_ABSENT, detail=settled.why, **FORGIVEN)
        self._journal.warn(planned, f" stays uncertain: {settled.why}")
        return record

    async def _looked_for(self, record: ItemRecord) -> Settled:
        assert record.submitting_at is not None  # committed with the intent
        try:
            return await find_submission(
                scenario=self._scenario,
                inputs=record.inputs,
                submitting_at=record.submitting_at,
                known_jobs=await self._ledger.known_jobs(),
                patience=self._terms.patience,
                now=self._now(),
            )
        except RequestRefused as error:
            return Settled(why=f"the service does not show its list: {error}")

    async def submit(self, planned: PlannedItem, record: ItemRecord) -> ItemRecord:
        """The item submitted, deferred or uncertain; planned again when the service lacks one of its pictures; as it
        was when the run is being stopped.

        Raises:
            RequestRefused: the service says no for good.
            CredentialsError, ServiceUnreachable: the run cannot go on.
        """
        began, unsent = anyio.current_time(), 0
        for attempt in count():
            if record.state in {State.PLANNED, State.READY} and self._pool.is_out_of_time:
                return await self._defer(planned, record, OUT_OF_TIME, "the time window is over")
            if record.state is not State.READY or self._pool.is_stopping:
                return record
            if anyio.current_time() - began > TURNED_AWAY_S:
                return await self._defer(planned, record, OUT_OF_TIME, "the service was busy for an hour")
            price = record.quoted_cu if planned.cu is None else planned.cu
            if not self._budget.reserve(record.key, price):
                return await self._defer(planned, record, OVER_BUDGET, f"{_cu(price)} more would pass the budget")
            try:
                return await self._submit_once(planned, record, price)
            except (NeverSent, CeilingReached, Throttled, AssetGone, CredentialsError) as error:
                record = await self._turned_away(planned, record, error)
                unsent = unsent + 1 if isinstance(error, NeverSent) else 0
                _check_goes_on(error, unsent)
                if record.state is State.READY:
                    await anyio.sleep(_pause_s(error, attempt))
        raise AssertionError("the loop ends by itself")

    async def _submit_once(self, planned: PlannedItem, record: ItemRecord, price: float | None) -> ItemRecord:
        """Intent, the one POST, outcome. A run that is told to stop does not cut this off in the middle."""
        with self._pool.submission():
            record = await self._journal.move(
                planned,
                record,
                Event.INTEND,
                submitting_at=self._now(),
                attempts=record.attempts + 1,
                quoted_cu=price,
                job_id="",
                asset_ids=(),
                outputs=(),
            )
            try:
                job = await submit(scenario=self._scenario, model=record.model, inputs=record.inputs)
            except SubmissionUncertain as error:
                return await self.lost(planned, record, str(error))
            return await self._journal.move(planned, record, Event.ACCEPTED_BY_SERVICE, job_id=job.job_id, **FORGIVEN)
        return await self.lost(planned, record, "the run was stopped before the answer")

    async def _turned_away(self, planned: PlannedItem, ready: ItemRecord, error: MvmeshError) -> ItemRecord:
        """Nothing happened at the service: back to where the submission can be tried again."""
        self._budget.release(ready.key)
        sent = replace(ready, state=State.SUBMITTING)
        if isinstance(error, AssetGone):
            record = await self._journal.move(
                planned, sent, Event.ASSET_LOST, detail=str(error), attempts=ready.attempts
            )
            lost = error.asset_ids or tuple(str(ready.inputs[view.field]) for view in planned.work.pictures)
            await self._uploads.forget(lost)
            return record
        if isinstance(error, CeilingReached) and self._pool.lower(error.ceiling):
            self._observe(Noted(message=f"the team's ceiling is {error.ceiling} jobs at one time"))
        return await self._journal.move(planned, sent, Event.NOT_SENT, detail=str(error), attempts=ready.attempts)

    async def _defer(self, planned: PlannedItem, record: ItemRecord, kind: str, why: str) -> ItemRecord:
        return await self._journal.move(
            planned,
            record,
            Event.DEFER,
            detail=why,
            error_class=kind,
            error=why,
            mend="run again: it goes on from here",
        )


def _check_goes_on(error: MvmeshError, unsent: int) -> None:
    if isinstance(error, CredentialsError):
        raise error
    if unsent >= UNSENT_TRIES:
        raise ServiceUnreachable(f"the service cannot be reached: {error}", mend=error.mend) from error


def _pause_s(error: MvmeshError, attempt: int) -> float:
    """The service's wish, else twice as long after each try."""
    wish_s = error.retry_after_s if isinstance(error, TryAgain) else None
    return min(wish_s, LONGEST_WISH_S) if wish_s else min(0.5 * 2 ** min(attempt, 10), LONGEST_PAUSE_S)


def _cu(price: float | None) -> str:
    return "a job of unknown price" if price is None else f"{price:g} CU"
