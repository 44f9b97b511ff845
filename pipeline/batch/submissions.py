"""Submissions: the paid step of a work item's way, within the budget, the time window and the team's ceiling."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import anyio

from pipeline.batch.agenda import Uncertain
from pipeline.batch.journal import FORGIVEN, Journal, told
from pipeline.batch.pool import ANSWER_WITHIN_S, Pool
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
    StageTimedOut,
    SubmissionUncertain,
    Throttled,
)
from pipeline.domain.events import Noted, Observer
from pipeline.domain.items import ItemRecord
from pipeline.domain.jobs import Job, JobStatus
from pipeline.domain.lifecycle import Event, State
from pipeline.domain.planning import PlannedItem
from pipeline.ports.gate import full_jitter_s
from pipeline.ports.interfaces import Ledger, Now, Scenario
from pipeline.stages.submit import LostSubmission, Settled, find_submissions, submit

TURNED_AWAY_S = 3600.0
"""How long a service that is busy (429) is asked again for one item; then the item is left for a later run."""

UNSENT_TRIES = 60
"""How often in a row a submission may fail to leave before the service counts as unreachable: some fifteen minutes."""

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0
"""Between tries that did not leave: full jitter below a bound that doubles."""

LOSSES_MAX = 3
"""How often in one run an item is submitted again after an answer was lost."""

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
        self._said: dict[str, str] = {}
        self._ended_at: dict[str, float] = {}
        """By content key: when a lost submission had ended, by a clock that nobody sets."""
        self._losses: Counter[str] = Counter()
        self._ended: dict[str, Job] = {}
        """By job id: those that the answer to their submission told as ended well."""

    async def lost(self, planned: PlannedItem, record: ItemRecord, why: str) -> ItemRecord:
        """The answer to a submission is lost: the item is uncertain until the service's list has told."""
        return await self._journal.move(
            planned, record, Event.ANSWER_LOST, detail=why, **loss_of(record, why, self._now())
        )

    async def settle(self, uncertain: Sequence[Uncertain]) -> list[Uncertain]:
        """Look for lost submissions in the service's list, once for all of them. Those that can go on: their job is
        found, or its absence believed. The others stay uncertain.
        """
        said = await self._looked_for([lost_submission(one.record, self.age_s(one.record)) for one in uncertain])
        return [one for one in uncertain if await self._is_settled(one, said[one.record.key])]

    async def _is_settled(self, one: Uncertain, said: Settled) -> bool:
        self._said[one.record.key] = said.why
        if said.job is None and not said.is_absent:
            return False
        if said.job is None:
            self._budget.release(one.record.key)
        event = Event.SUBMISSION_ABSENT if said.job is None else Event.SUBMISSION_FOUND
        job_id = "" if said.job is None else said.job.job_id
        await self._journal.move(one.planned, one.record, event, detail=said.why, job_id=job_id, **FORGIVEN)
        return True

    def age_s(self, record: ItemRecord) -> float:
        """How long ago its submission had ended. What an earlier run left is as old as the wall clock says when this
        one first sees it.
        """
        now = anyio.current_time()
        return now - self._ended_at.setdefault(record.key, now - age_s_of(record, self._now()))

    def why_uncertain(self, key: str) -> str:
        return self._said.get(key, "the service's list was not read")

    async def _looked_for(self, lost: Sequence[LostSubmission]) -> Mapping[str, Settled]:
        keys, now = {one.key for one in lost}, self._now()
        unsettled = await self._ledger.unsettled(service=self._terms.service, project=self._terms.project)
        try:
            return await find_submissions(
                lost,
                beside=[lost_submission(one, age_s_of(one, now)) for one in unsettled if one.key not in keys],
                scenario=self._scenario,
                known_jobs=self._ledger.known_jobs,
                patience=self._terms.patience,
                now=self._now,
            )
        except (RequestRefused, ServiceUnreachable) as error:  # whoever else needs the service finds out by himself
            unknown = Settled(why=f"the service does not show its list: {error}")
            return dict.fromkeys((one.key for one in lost), unknown)

    async def over_budget(self, planned: PlannedItem, record: ItemRecord) -> ItemRecord | None:
        """The item deferred, if the budget has no room for it now: its pictures need not be sent. None: it has."""
        price = _price(planned, record)
        if self._budget.has_room(record.key, price):
            return None
        return await self._defer(planned, record, OVER_BUDGET, _passes(price))

    async def submit(self, planned: PlannedItem, record: ItemRecord) -> ItemRecord:
        """The item submitted, deferred or uncertain; planned again when the service lacks one of its pictures; as it
        was when nothing more is to be submitted, or when the ceiling has no room: give the slot back, then try again.

        Raises:
            RequestRefused: the service says no for good.
            CredentialsError, ServiceUnreachable: the run cannot go on.
        """
        began, unsent = anyio.current_time(), 0
        while True:
            await self._pool.turn()
            if (stays := await self._held_back(planned, record, began)) is not None:
                return stays
            try:
                async with self._scenario.turn():
                    if not (self._pool.is_out_of_time or self._pool.is_closed):  # the pause may have been long
                        return await self._submit_once(planned, record)
            except (NeverSent, CeilingReached, Throttled, AssetGone, CredentialsError) as error:
                record = await self._turned_away(planned, record, error)
                unsent = unsent + 1 if isinstance(error, NeverSent) else 0
                _check_goes_on(error, unsent)
                if isinstance(error, CeilingReached):
                    return record
                if isinstance(error, NeverSent):
                    await anyio.sleep(full_jitter_s(unsent, first_s=FIRST_PAUSE_S, longest_s=LONGEST_PAUSE_S))

    async def _held_back(self, planned: PlannedItem, record: ItemRecord, began: float) -> ItemRecord | None:
        """The item as it stays for now, or deferred; None: nothing speaks against submitting it, its price is set
        aside.
        """
        if record.state in {State.PLANNED, State.READY} and self._pool.is_out_of_time:
            return await self._defer(planned, record, OUT_OF_TIME, "the time for submissions is over")
        if record.state is not State.READY or self._pool.is_closed:
            return record
        if self._pool.is_shut or anyio.current_time() - began > TURNED_AWAY_S:
            return await self._defer(planned, record, OUT_OF_TIME, "the service was busy for an hour")
        if (lost := self._losses[record.key]) > LOSSES_MAX:
            raise StageTimedOut(f"the answers to {lost} submissions of it were lost in this run", mend="run again")
        price = _price(planned, record)
        if not self._budget.reserve(record.key, price):
            return await self._defer(planned, record, OVER_BUDGET, _passes(price))
        return None

    async def _submit_once(self, planned: PlannedItem, record: ItemRecord) -> ItemRecord:
        """Intent, the one POST, outcome. A run that is told to stop does not cut this off in the middle."""
        with self._pool.submission():
            record = await self._journal.move(
                planned,
                record,
                Event.INTEND,
                submitting_at=self._now(),
                lost_at=None,
                attempts=record.attempts + 1,
                quoted_cu=_price(planned, record),
                job_id="",
                asset_ids=(),
                outputs=(),
                notes=(),
            )
            try:
                job = await submit(scenario=self._scenario, model=record.model, inputs=record.inputs)
            except SubmissionUncertain as error:
                return await self._lost_now(planned, record, str(error))
            self._pool.accepted()
            if job.status is JobStatus.SUCCESS and job.asset_ids:
                self._ended[job.job_id] = job
            return await self._journal.move(planned, record, Event.ACCEPTED_BY_SERVICE, job_id=job.job_id, **FORGIVEN)
        why = "the run was stopped before the answer" if self._pool.is_stopping else "no answer came in time"
        return await self._lost_now(planned, record, why)

    def told_as_ended(self, job_id: str) -> Job | None:
        """The job, where the answer to its submission told all that one waits for; asked once."""
        return self._ended.pop(job_id, None)

    async def _lost_now(self, planned: PlannedItem, record: ItemRecord, why: str) -> ItemRecord:
        self._losses[record.key] += 1
        self._ended_at[record.key] = anyio.current_time()
        return await self.lost(planned, record, why)

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
        if isinstance(error, CeilingReached) and self._pool.refused(error.ceiling, error.retry_after_s):
            slots = f"{self._pool.slots.total_tokens:g}"
            self._observe(
                Noted(message=f"the team's ceiling is {error.ceiling} jobs; {slots} of ours go on at one time")
            )
        return await self._journal.move(planned, sent, Event.NOT_SENT, detail=str(error), attempts=ready.attempts)

    async def _defer(self, planned: PlannedItem, record: ItemRecord, kind: str, why: str) -> ItemRecord:
        self._budget.release(record.key)
        return await self._journal.move(
            planned,
            record,
            Event.DEFER,
            detail=why,
            error_class=kind,
            error=why,
            mend="run again: it goes on from here",
        )


def lost_submission(record: ItemRecord, age_s: float) -> LostSubmission:
    """What is looked for of an uncertain item."""
    assert record.submitting_at is not None  # committed with the intent
    return LostSubmission(
        key=record.key, model=record.model, inputs=record.inputs, submitting_at=record.submitting_at, age_s=age_s
    )


def age_s_of(record: ItemRecord, now: datetime) -> float:
    """How long ago a lost submission had ended, by the wall clock. Never negative: that clock may have been set."""
    assert record.submitting_at is not None  # committed with the intent
    lost_at = record.lost_at or record.submitting_at + timedelta(seconds=ANSWER_WITHIN_S)
    return max((now - lost_at).total_seconds(), 0.0)


def loss_of(record: ItemRecord, why: str, now: datetime) -> dict[str, Any]:
    """What a record says once the answer to its submission is lost."""
    error = SubmissionUncertain(
        f"{why}; whether the job was made, and charged, is not known",
        mend="run again, or `mvmesh reconcile`: the service's job list is searched before anything is sent anew; "
        "where that tells nothing, look yourself and say so with `mvmesh reconcile --job NAME=ID` or `--absent NAME`",
    )
    assert record.submitting_at is not None  # committed with the intent
    return {"lost_at": min(now, record.submitting_at + timedelta(seconds=ANSWER_WITHIN_S)), **told(error)}


def _check_goes_on(error: MvmeshError, unsent: int) -> None:
    if isinstance(error, CredentialsError):
        raise error
    if unsent >= UNSENT_TRIES:
        raise ServiceUnreachable(f"the service cannot be reached: {error}", mend=error.mend) from error


def _price(planned: PlannedItem, record: ItemRecord) -> float | None:
    """As quoted for this run, or else as quoted last."""
    return record.quoted_cu if planned.cu is None else planned.cu


def _passes(price: float | None) -> str:
    return f"{'a job of unknown price' if price is None else f'{price:g} CU'} more would pass the budget"
