"""The way of one work item, from pictures to a delivered mesh. It can be taken up again at every state."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import anyio
from anyio import CancelScope

from pipeline.batch.placing import Placing
from pipeline.batch.pool import Pool
from pipeline.batch.terms import Terms
from pipeline.batch.uploads import Uploads
from pipeline.domain.budget import Budget
from pipeline.domain.errors import (
    AssetGone,
    CeilingReached,
    CredentialsError,
    FailItem,
    JobFailed,
    MeshDamaged,
    MvmeshError,
    NeverSent,
    ServiceUnreachable,
    StageTimedOut,
    SubmissionUncertain,
    TryAgain,
)
from pipeline.domain.events import ItemMoved, JobProgressed, Noted, Observer
from pipeline.domain.items import ItemRecord, OutputFile, Verdict, WorkItem
from pipeline.domain.jobs import Job, JobStatus
from pipeline.domain.lifecycle import Event, State
from pipeline.domain.outputs import MESH
from pipeline.domain.planning import Action, PlannedItem
from pipeline.domain.views import View
from pipeline.ports.interfaces import Compute, Downloads, Ledger, Now, Scenario, Storage
from pipeline.stages.accept import accept
from pipeline.stages.deliver import Source, SourceGone, draw_preview
from pipeline.stages.download import Fetched, ResultGone, download
from pipeline.stages.submit import find_submission, submit
from pipeline.stages.upload import submission
from pipeline.stages.watch import Watcher

JOB_ATTEMPTS = 2
"""How often a job that fails at the service (and is refunded) is submitted in one run."""

SUBMIT_TRIES = 120
"""How often a submission that the service turned away, or that could not leave, is tried in one run."""

OVER_BUDGET = "OverBudget"
OUT_OF_TIME = "OutOfTime"
"""Why an item is deferred, as its row's error kind."""

LONGEST_PAUSE_S = 15.0
PREVIEW_S = 120.0
ROUNDS = 4
"""How often an item may go back to an earlier state in one run: assets or results that the service lost."""


class Flow:
    """Brings work items through the stages and records every step before the next."""

    def __init__(
        self,
        terms: Terms,
        *,
        scenario: Scenario,
        downloads: Downloads,
        storage: Storage,
        ledger: Ledger,
        compute: Compute | None,
        uploads: Uploads,
        placing: Placing,
        watcher: Watcher,
        pool: Pool,
        budget: Budget,
        now: Now,
        observe: Observer,
    ) -> None:
        self._terms = terms
        self._scenario = scenario
        self._downloads = downloads
        self._storage = storage
        self._ledger = ledger
        self._compute = compute
        self._uploads = uploads
        self._placing = placing
        self._watcher = watcher
        self._pool = pool
        self._budget = budget
        self._now = now
        self._observe = observe

    async def bring(self, planned: PlannedItem) -> ItemRecord:
        """Take one item as far as it goes: delivered, held, failed, uncertain or deferred. Its siblings never notice.

        Raises:
            AbortRun: nothing can go on: credentials, unreachable service, full disk.
        """
        record = await self._take_up(planned)
        for _ in range(ROUNDS):
            try:
                record = await self._step_by_step(planned, record)
            except FailItem as error:
                self._budget.release(record.key)
                return await self._fail(planned, record.key, error)
            if record.state not in {State.PLANNED, State.READY, State.FINISHED} or self._pool.is_stopping:
                return record
        return await self._fail(
            planned, record.key, StageTimedOut(f"went back {ROUNDS} times, last to {record.state}", mend="run again")
        )

    async def _step_by_step(self, planned: PlannedItem, record: ItemRecord) -> ItemRecord:
        record = await self._settle(planned, record)
        record = await self._upload(planned, record)
        async with self._pool.slots:
            record = await self._submit(planned, record)
            record = await self._watch(planned, record)
        record = await self._download(planned, record)
        return await self._deliver(planned, record)

    async def _take_up(self, planned: PlannedItem) -> ItemRecord:
        record = await self._ledger.open_item(_new_record(planned, self._terms))
        match record.state:
            case State.FAILED if record.asset_ids:
                return await self._move(planned, record, Event.TRY_AGAIN, error="", error_class="", mend="")
            case State.FAILED | State.DEFERRED | State.REFUSED | State.UPLOADING:
                return await self._move(planned, record, Event.PLAN, error="", error_class="", mend="")
            case State.DELIVERED | State.HELD:
                return await self._move(planned, record, Event.MISSING, detail="its file is gone")
            case State.SUBMITTING:
                return await self._move(
                    planned, record, Event.ANSWER_LOST, detail="the run ended within the submission"
                )
            case _:
                return record

    async def _settle(self, planned: PlannedItem, record: ItemRecord) -> ItemRecord:
        """An uncertain submission is looked for in the service's list."""
        if record.state is not State.UNCERTAIN or record.submitting_at is None:
            return record
        settled = await find_submission(
            scenario=self._scenario,
            inputs=record.inputs,
            submitting_at=record.submitting_at,
            known_jobs=await self._ledger.known_jobs(),
            patience=self._terms.patience,
            now=self._now(),
        )
        if settled.job is not None:
            self._budget.reserve(record.key, record.quoted_cu)
            return await self._move(
                planned, record, Event.SUBMISSION_FOUND, detail=settled.why, job_id=settled.job.job_id
            )
        if settled.is_absent:
            self._budget.release(record.key)
            return await self._move(planned, record, Event.SUBMISSION_ABSENT, detail=settled.why)
        self._observe(Noted(message=f"{planned.work.aliases[0].label} stays uncertain: {settled.why}", level="warning"))
        return record

    async def _upload(self, planned: PlannedItem, record: ItemRecord) -> ItemRecord:
        if record.state is not State.PLANNED or not self._may_submit(record):
            return record
        began = anyio.current_time()
        record = await self._move(planned, record, Event.UPLOAD)
        assets = {view: await self._uploads.asset(planned.work, view) for view in planned.work.pictures}
        return await self._move(
            planned,
            record,
            Event.UPLOADED,
            inputs=submission(planned.work.params, assets),
            timings=_timed(record, "upload", began),
        )

    def _may_submit(self, record: ItemRecord) -> bool:
        return not (self._pool.is_stopping or self._pool.is_out_of_time) or record.state not in {
            State.PLANNED,
            State.READY,
        }

    async def _submit(self, planned: PlannedItem, record: ItemRecord) -> ItemRecord:
        for attempt in range(SUBMIT_TRIES):
            if record.state in {State.PLANNED, State.READY} and self._pool.is_out_of_time:
                return await self._defer(planned, record, OUT_OF_TIME, "the time window is over")
            if record.state is not State.READY or self._pool.is_stopping:
                return record
            price = record.quoted_cu if planned.cu is None else planned.cu
            if not self._budget.reserve(record.key, price):
                return await self._defer(planned, record, OVER_BUDGET, f"{_cu(price)} more would pass the budget")
            try:
                return await self._submit_once(planned, record, price)
            except (TryAgain, CredentialsError) as error:
                record = await self._turned_away(planned, record, error, attempt)
        raise StageTimedOut(f"the service turned the submission away {SUBMIT_TRIES} times", mend="run again later")

    async def _submit_once(self, planned: PlannedItem, record: ItemRecord, price: float | None) -> ItemRecord:
        """Intent, the one POST, outcome. A run that is told to stop does not cut this off in the middle."""
        with self._pool.submission():
            record = await self._move(
                planned,
                record,
                Event.INTEND,
                submitting_at=self._now(),
                attempts=record.attempts + 1,
                quoted_cu=price,
                job_id="",
                asset_ids=(),
            )
            try:
                job = await submit(scenario=self._scenario, model=record.model, inputs=record.inputs)
            except SubmissionUncertain as error:
                return await self._move(planned, record, Event.ANSWER_LOST, detail=str(error))
            return await self._move(planned, record, Event.ACCEPTED_BY_SERVICE, job_id=job.job_id)
        with CancelScope(shield=True):
            return await self._move(planned, record, Event.ANSWER_LOST, detail="the run was stopped before the answer")

    async def _turned_away(
        self, planned: PlannedItem, record: ItemRecord, error: MvmeshError, attempt: int
    ) -> ItemRecord:
        """Nothing happened at the service: back to where the submission can be tried again."""
        self._budget.release(record.key)
        before = replace(record, state=State.SUBMITTING)
        if isinstance(error, AssetGone):
            lost = error.asset_ids or tuple(str(record.inputs[view.field]) for view in planned.work.pictures)
            await self._uploads.forget(lost)
            return await self._move(planned, before, Event.ASSET_LOST, detail=str(error), attempts=record.attempts)
        record = await self._move(planned, before, Event.NOT_SENT, detail=str(error), attempts=record.attempts)
        if isinstance(error, CredentialsError):
            raise error
        if isinstance(error, NeverSent) and attempt >= 5:  # noqa: PLR2004 - about a minute
            raise ServiceUnreachable(f"the service cannot be reached: {error}", mend=error.mend) from error
        if isinstance(error, CeilingReached) and self._pool.lower(error.ceiling):
            self._observe(Noted(message=f"the team's ceiling is {error.ceiling} jobs at one time"))
        wish = error.retry_after_s if isinstance(error, TryAgain) else None
        await anyio.sleep(min(wish or 0.5 * 2 ** min(attempt, 5), LONGEST_PAUSE_S))
        return record

    async def _defer(self, planned: PlannedItem, record: ItemRecord, kind: str, why: str) -> ItemRecord:
        return await self._move(
            planned,
            record,
            Event.DEFER,
            detail=why,
            error_class=kind,
            error=why,
            mend="run again: it goes on from here",
        )

    async def _watch(self, planned: PlannedItem, record: ItemRecord) -> ItemRecord:
        if record.state is not State.SUBMITTED:
            return record
        began = anyio.current_time()
        try:
            job = await self._watcher.wait(record.job_id, tell=partial(self._tell_progress, planned))
        except StageTimedOut as error:  # paid, perhaps: it stays submitted, and the next run looks it up first
            self._observe(Noted(message=f"{planned.work.aliases[0].label}: {error}", level="warning"))
            return record
        timings = _timed(record, "generate", began)
        if job.status is JobStatus.SUCCESS:
            self._budget.settle(record.key, job.cu_charged)
            charged = (record.charged_cu or 0.0) + (
                record.quoted_cu or 0.0 if job.cu_charged is None else job.cu_charged
            )
            return await self._move(
                planned, record, Event.JOB_SUCCEEDED, asset_ids=job.asset_ids, charged_cu=charged, timings=timings
            )
        self._budget.release(record.key)
        said = "; ".join(part for part in (job.error, job.hint) if part) or "the service gives no reason"
        failure = JobFailed(f"job {job.job_id} ended as {job.status}: {said}", mend="look at its pictures; run again")
        record = await self._fail(planned, record.key, failure)
        if record.attempts % JOB_ATTEMPTS:
            return await self._move(planned, record, Event.PLAN, detail="tried again: failed jobs are refunded")
        return record

    def _tell_progress(self, planned: PlannedItem, job: Job) -> None:
        self._observe(JobProgressed(key=planned.work.key, aliases=planned.work.aliases, progress=job.progress))

    async def _download(self, planned: PlannedItem, record: ItemRecord) -> ItemRecord:
        if record.state is not State.FINISHED:
            return record
        began = anyio.current_time()
        folder = self._terms.staging_of(record.key)
        async with self._pool.downloads:
            try:
                files = await download(
                    record.asset_ids,
                    folder,
                    scenario=self._scenario,
                    downloads=self._downloads,
                    is_new=planned.action is not Action.FETCH,
                )
            except ResultGone as error:
                return await self._result_lost(planned, record, error)
        return await self._move(
            planned,
            record,
            Event.DOWNLOADED,
            outputs=tuple(_output(one) for one in files),
            timings=_timed(record, "download", began),
        )

    async def _result_lost(self, planned: PlannedItem, record: ItemRecord, error: ResultGone) -> ItemRecord:
        """What is free is made again at once; what costs waits for a run whose plan shows the price."""
        record = await self._move(planned, record, Event.RESULT_LOST, detail=str(error), job_id="", asset_ids=())
        if record.quoted_cu == 0:
            return record
        lost = JobFailed(f"the mesh is gone: {error}", mend="run again to generate it anew; the plan shows the price")
        return await self._fail(planned, record.key, lost)

    async def _deliver(self, planned: PlannedItem, record: ItemRecord) -> ItemRecord:
        """Judge the downloaded mesh, put it to its place under every name, record the verdict."""
        if record.state is not State.DOWNLOADED:
            return record
        began = anyio.current_time()
        sources = [_source(one, self._terms.staging_of(record.key)) for one in record.outputs]
        mesh = next(one for one in sources if one.role == MESH)
        if (await self._storage.sizes([mesh.path]))[0] is None:
            return await self._move(planned, record, Event.MISSING, detail="the downloaded file is gone")
        verdict = await self._accept(record, mesh.path)
        held = verdict.outcome == "held"
        picture = await self._preview(planned.work, mesh.path)
        aliases = planned.work.aliases
        try:
            for alias in aliases:
                await self._placing.place(
                    record.key, alias, sources, picture, held=held, keep_sources=alias != aliases[-1]
                )
        except SourceGone as error:
            return await self._move(planned, record, Event.MISSING, detail=str(error))
        return await self._move(
            planned,
            record,
            Event.HOLD if held else Event.ACCEPT,
            verdict=verdict,
            error="",
            error_class="",
            mend="",
            timings=_timed(record, "deliver", began),
        )

    async def _accept(self, record: ItemRecord, mesh: Path) -> Verdict:
        try:
            return await accept(mesh, params=record.params, on_low=self._terms.on_low, storage=self._storage)
        except MeshDamaged:
            await self._storage.remove([mesh])  # so that the next run fetches it anew
            raise

    async def _preview(self, work: WorkItem, mesh: Path) -> bytes | None:
        """A picture for people: that it cannot be drawn never fails an item."""
        if self._compute is None or not self._terms.previews:
            return None
        try:
            return await self._compute.run(
                draw_preview, str(mesh), str(work.pictures[View.FRONT].path), timeout_s=PREVIEW_S
            )
        except MvmeshError as error:
            self._observe(Noted(message=f"no preview of {work.aliases[0].label}: {error}", level="warning"))
            return None

    async def _fail(self, planned: PlannedItem, key: str, error: MvmeshError) -> ItemRecord:
        record = await self._ledger.item(key)
        assert record is not None  # opened when the item was taken up
        return await self._move(
            planned,
            record,
            Event.FAIL,
            detail=str(error),
            error_class=type(error).__name__,
            error=str(error),
            mend=error.mend,
        )

    async def _move(
        self, planned: PlannedItem, record: ItemRecord, event: Event, *, detail: str = "", **changes: Any
    ) -> ItemRecord:
        """Commit one transition, then tell the observer."""
        after = await self._ledger.advance(record.key, event, detail=detail, **changes)
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


def _new_record(planned: PlannedItem, terms: Terms) -> ItemRecord:
    work = planned.work
    return ItemRecord(
        key=work.key,
        state=State.PLANNED,
        service=terms.service,
        project=terms.project,
        model=work.model,
        params=work.params,
        pictures={view: one.sha256 for view, one in work.pictures.items()},
        copy=work.copy,
        quoted_cu=planned.cu,
    )


def _timed(record: ItemRecord, stage: str, began: float) -> Mapping[str, float]:
    return {**record.timings, stage: anyio.current_time() - began}


def _output(file: Fetched) -> OutputFile:
    return OutputFile(
        role=file.role,
        name=file.path.name + file.suffix,
        size_bytes=file.size_bytes,
        sha256=file.sha256,
        media_type=file.media_type,
    )


def _source(file: OutputFile, folder: Path) -> Source:
    name = PurePosixPath(file.name)
    return Source(
        role=file.role,
        path=folder / name.stem,
        suffix=name.suffix,
        media_type=file.media_type,
        size_bytes=file.size_bytes,
        sha256=file.sha256,
    )


def _cu(price: float | None) -> str:
    return "a job of unknown price" if price is None else f"{price:g} CU"
