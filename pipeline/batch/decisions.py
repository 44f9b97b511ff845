"""What a person does where the ledger cannot go on by itself: look again, say what became of a job, have it retried.

Recorded, never submitted: the next run acts on it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from pipeline.batch.journal import FORGIVEN
from pipeline.batch.submissions import age_s_of, loss_of, lost_submission
from pipeline.domain.errors import RequestRefused, UsageError
from pipeline.domain.items import ItemRecord
from pipeline.domain.lifecycle import Event, State
from pipeline.domain.views import View
from pipeline.ports.interfaces import Ledger, Now, Scenario
from pipeline.stages.submit import Patience, Settled, differences, find_submissions

UNSETTLED = (State.SUBMITTING, State.UNCERTAIN)


class Finding(StrEnum):
    """What became of an uncertain submission."""

    FOUND = "found"
    """It is at the service: the next run watches its job."""
    ABSENT = "absent"
    """It is not: the next run submits it."""
    UNCERTAIN = "uncertain"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciled:
    """An item whose submission was looked for."""

    record: ItemRecord
    """As the ledger has it now."""
    finding: Finding
    why: str


class Reconciling:
    """Finds out what became of submissions whose answer was lost, with a person's help."""

    def __init__(self, ledger: Ledger, scenario: Scenario, *, patience: Patience, now: Now) -> None:
        self._ledger = ledger
        self._scenario = scenario
        self._patience = patience
        self._now = now

    async def carry_out(
        self, records: Sequence[ItemRecord], *, jobs: Mapping[str, str], absent: Sequence[str]
    ) -> list[Reconciled]:
        """Record what the service's list and a person say of these items, and tell it in their order.

        Args:
            records: uncertain items, or ones that a run left within their submission.
            jobs: by content key, the job that a person says is the item's.
            absent: the keys of items that, as a person says, the service has no job of. The list is looked at all the
                same: what it shows is believed before what a person has not seen.

        Raises:
            UsageError: what a person says cannot be true; nothing of it is recorded.
        """
        told = {key: await self._checked(job_id, _by_key(records, key)) for key, job_id in jobs.items()}
        uncertain = [await self._settled_down(one) for one in records]
        found = {key: await self._take(_by_key(uncertain, key), said) for key, said in told.items()}
        left = [one for one in uncertain if one.key not in found]
        listed = await self._looked_for(left)
        for one in left:
            said = listed[one.key]
            if one.key in absent and said.job is None:
                said = Settled(is_absent=True, why="a person has looked: the service has no job of it")
            found[one.key] = await self._take(one, said)
        return [found[one.key] for one in records]

    async def _checked(self, job_id: str, record: ItemRecord) -> Settled:
        if await self._ledger.known_jobs([job_id]):
            raise UsageError(f"job {job_id} is another item's already", mend="mvmesh status --json shows the job ids")
        try:
            job = await self._scenario.job(job_id)
        except RequestRefused as error:
            raise UsageError(f"the service knows no job {job_id}: {error}", mend="look for its id there") from error
        if not isinstance(job.echo.get(View.FRONT.field), str):  # it tells no inputs: nobody knows better than a person
            return Settled(job=job, why="a person says so; the service does not tell its inputs")
        if job.model_id not in {"", record.model}:
            raise UsageError(
                f"job {job_id} is one of {job.model_id}, the item asks for {record.model}", mend="name its own job"
            )
        if problems := differences(job.echo, record.inputs):
            raise UsageError(
                f"job {job_id} was made of other inputs than the item's",
                mend="name the job that was made of these",
                problems=problems,
            )
        return Settled(job=job, why="a person says so, and its inputs fit")

    async def _settled_down(self, record: ItemRecord) -> ItemRecord:
        if record.state is not State.SUBMITTING:
            return record
        why = "the run ended within the submission"
        return await self._ledger.advance(
            record.key, Event.ANSWER_LOST, detail=why, **loss_of(record, why, self._now())
        )

    async def _looked_for(self, records: Sequence[ItemRecord]) -> Mapping[str, Settled]:
        if not records:
            return {}
        try:
            return await find_submissions(
                [lost_submission(one, age_s_of(one, self._now())) for one in records],
                scenario=self._scenario,
                known_jobs=self._ledger.known_jobs,
                patience=self._patience,
                now=self._now,
            )
        except RequestRefused as error:
            unknown = Settled(why=f"the service does not show its list: {error}")
            return dict.fromkeys((one.key for one in records), unknown)

    async def _take(self, record: ItemRecord, said: Settled) -> Reconciled:
        if said.job is None and not said.is_absent:
            return Reconciled(record=record, finding=Finding.UNCERTAIN, why=said.why)
        event, finding, job_id = Event.SUBMISSION_ABSENT, Finding.ABSENT, ""
        if said.job is not None:
            event, finding, job_id = Event.SUBMISSION_FOUND, Finding.FOUND, said.job.job_id
        after = await self._ledger.advance(record.key, event, detail=said.why, job_id=job_id, **FORGIVEN)
        return Reconciled(record=after, finding=finding, why=said.why)


def _by_key(records: Sequence[ItemRecord], key: str) -> ItemRecord:
    return next(one for one in records if one.key == key)


async def retry(records: Sequence[ItemRecord], *, anew: bool, ledger: Ledger) -> list[ItemRecord]:
    """Let the next run try failed items again, however often their jobs have failed. What is paid and could only not be
    fetched is tried again anyway: it stays as it is, unless it is to be made, and paid, ``anew``. So is a job that the
    service does not know, or that does not end.
    """
    return [one if one.asset_ids and not anew else await _let_try(one, ledger) for one in records]


async def _let_try(record: ItemRecord, ledger: Ledger) -> ItemRecord:
    if record.state is State.SUBMITTED:
        why = "a person says: its job is gone"
        record = await ledger.advance(record.key, Event.FAIL, detail=why, error_class="JobFailed", error=why)
    begun_anew = {"failed_jobs": 0, "job_id": "", "asset_ids": (), "outputs": (), **FORGIVEN}
    return await ledger.advance(record.key, Event.PLAN, detail="a person says: try again", **begun_anew)
