"""The way of one work item, from pictures to a delivered mesh. It can be taken up again at every state."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import anyio

from pipeline.batch.comparing import Comparing
from pipeline.batch.journal import FORGIVEN, Journal
from pipeline.batch.placing import Placing
from pipeline.batch.pool import Pool
from pipeline.batch.submissions import Submissions
from pipeline.batch.terms import EMBEDDED, Terms
from pipeline.batch.uploads import Uploads
from pipeline.domain.budget import Budget
from pipeline.domain.errors import FailItem, MeshDamaged, MvmeshError, StageTimedOut
from pipeline.domain.events import JobProgressed, Observer
from pipeline.domain.failures import failed_jobs, failure_of
from pipeline.domain.items import ItemRecord, MeshFacts, OutputFile, Verdict
from pipeline.domain.jobs import Job, JobStatus
from pipeline.domain.lifecycle import Event, State
from pipeline.domain.outputs import MESH
from pipeline.domain.planning import FAILED_JOBS_MAX, Action, PlannedItem
from pipeline.domain.views import View
from pipeline.ports.interfaces import Compute, Downloads, Ledger, Now, Scenario, Storage
from pipeline.stages.accept import accept
from pipeline.stages.deliver import Source, SourceGone, draw_preview
from pipeline.stages.download import Fetched, ResultGone, download
from pipeline.stages.upload import submission
from pipeline.stages.watch import Watcher

JOB_ATTEMPTS = 2
"""How often a job that fails at the service (and is refunded) is submitted in one run."""

PREVIEW_S = 120.0
"""How long the drawing of a preview may take."""

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
        comparing: Comparing | None,
        uploads: Uploads,
        submissions: Submissions,
        placing: Placing,
        watcher: Watcher,
        pool: Pool,
        budget: Budget,
        journal: Journal,
        now: Now,
        observe: Observer,
    ) -> None:
        self._terms = terms
        self._scenario = scenario
        self._downloads = downloads
        self._storage = storage
        self._ledger = ledger
        self._compute = compute
        self._comparing = comparing
        self._uploads = uploads
        self._submissions = submissions
        self._placing = placing
        self._watcher = watcher
        self._pool = pool
        self._budget = budget
        self._journal = journal
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
                self._failed(planned)  # before anything else is done: others may have its slot already
                self._budget.release(record.key)
                return await self._journal.fail(planned, record.key, error)
            if record.state in {State.FAILED, State.REFUSED}:
                self._failed(planned)
            if record.state not in self._goes_on_from():
                return record
        self._failed(planned)
        turned = StageTimedOut(f"went back {ROUNDS} times, last to {record.state}", mend="run again")
        return await self._journal.fail(planned, record.key, turned)

    def _failed(self, planned: PlannedItem) -> None:
        if self._pool.failed():
            self._journal.warn(planned, " cannot be made, and --fail-fast stands: nothing more is submitted")

    def _goes_on_from(self) -> frozenset[State]:
        """Where an item may have gone back to and is taken up again at once."""
        if self._pool.is_stopping:
            return frozenset()
        return frozenset({State.FINISHED} if self._pool.is_closed else {State.PLANNED, State.FINISHED})

    async def _step_by_step(self, planned: PlannedItem, record: ItemRecord) -> ItemRecord:
        record = await self._compare(planned, record)
        record = await self._upload(planned, record)
        record = await self._generate(planned, record)
        record, facts = await self._download(planned, record)
        return await self._deliver(planned, record, facts)

    async def _take_up(self, planned: PlannedItem) -> ItemRecord:
        record = await self._ledger.open_item(_new_record(planned, self._terms))
        if planned.action is Action.GENERATE and self._pool.is_closed:
            return record
        changes: Mapping[str, Any]
        match record.state:
            case State.FAILED if record.asset_ids:
                event, changes = Event.TRY_AGAIN, FORGIVEN
            case State.FAILED | State.DEFERRED | State.REFUSED | State.UPLOADING:
                event, changes = Event.PLAN, FORGIVEN
            case State.DELIVERED | State.HELD if planned.action is Action.GENERATE:
                event, changes = (
                    Event.RESULT_LOST,
                    {"detail": "its file is gone: made again", "asset_ids": (), "job_id": ""},
                )
            case State.DELIVERED | State.HELD:
                event, changes = Event.MISSING, {"detail": "its file is gone"}
            case State.DOWNLOADED if not await self._sources(planned, record):
                event, changes = Event.MISSING, {"detail": "a downloaded file is not whole"}
            case State.SUBMITTING:
                return await self._submissions.lost(planned, record, "the run ended within the submission")
            case _:
                return record
        return await self._journal.move(planned, record, event, **changes)

    async def _compare(self, planned: PlannedItem, record: ItemRecord) -> ItemRecord:
        """Refused where its views cannot be of one object: nothing of it is sent, and nothing paid."""
        if self._comparing is None or record.state not in {State.PLANNED, State.READY}:
            return record
        if (stays := await self._not_now(planned, record)) is not None:
            return stays
        return await self._comparing.judge(planned, record, self._journal)

    async def _not_now(self, planned: PlannedItem, record: ItemRecord) -> ItemRecord | None:
        """The item as it stays: it is not the time to submit anything, or over the budget. None: it goes on."""
        if self._pool.is_closed or self._pool.is_out_of_time:
            return record
        return await self._submissions.over_budget(planned, record)

    async def _upload(self, planned: PlannedItem, record: ItemRecord) -> ItemRecord:
        if record.state is not State.PLANNED:
            return record
        async with self._pool.preparing:
            if (stays := await self._not_now(planned, record)) is not None:  # the turn may have been long in coming
                return stays
            began = anyio.current_time()
            record = await self._journal.move(planned, record, Event.UPLOAD)
            assets = await self._uploads.assets(planned.work, planned.work.pictures)
        return await self._journal.move(
            planned,
            record,
            Event.UPLOADED,
            inputs=submission(planned.work.params, assets),
            timings=_timed(record, "upload", began),
        )

    async def _generate(self, planned: PlannedItem, record: ItemRecord) -> ItemRecord:
        """Submit and watch within a slot. Where the team's ceiling has no room, the slot is given back first."""
        while record.state in {State.PLANNED, State.READY, State.SUBMITTED}:
            async with self._pool.slots:
                record = await self._submissions.submit(planned, record)
                record = await self._watch(planned, record)
            if record.state is not State.READY or self._pool.is_closed:
                break
        return record

    async def _watch(self, planned: PlannedItem, record: ItemRecord) -> ItemRecord:
        if record.state is not State.SUBMITTED:
            return record
        began = anyio.current_time()
        try:
            with self._pool.job():
                job = self._submissions.told_as_ended(record.job_id) or await self._watcher.wait(
                    record.job_id,
                    tell=partial(self._tell_progress, planned),
                    params=record.params,
                    submitted_at=record.submitting_at,
                )
        except StageTimedOut as error:  # paid, perhaps: it stays submitted, and the next run looks it up first
            self._journal.warn(planned, f": {error}")
            return record
        timings = _timed(record, "generate", began)
        if job.status is not JobStatus.SUCCESS:
            return await self._job_failed(planned, record, job, timings)
        price = job.cu_charged if job.cu_charged is not None else record.quoted_cu or 0.0
        self._budget.settle(record.key, price)
        return await self._journal.move(
            planned,
            record,
            Event.JOB_SUCCEEDED,
            asset_ids=job.asset_ids,
            charged_cu=(record.charged_cu or 0.0) + price,
            failed_jobs=0,
            job_s=job.took_s,
            notes=job.notes,
            timings=timings,
        )

    async def _job_failed(
        self, planned: PlannedItem, record: ItemRecord, job: Job, timings: Mapping[str, float]
    ) -> ItemRecord:
        """A failed job is refunded, unless the service says otherwise; what was refunded is tried again, within
        bounds. What was not is for a person to decide, for the next try is paid again; so are pictures at fault.
        """
        kept_cu = job.cu_charged or 0.0
        self._budget.settle(record.key, kept_cu)
        count = failed_jobs(job, record.failed_jobs)
        record = await self._journal.fail(
            planned,
            record.key,
            failure_of(job, count),
            charged_cu=(record.charged_cu or 0.0) + kept_cu,
            failed_jobs=count,
            timings=timings,
        )
        if count >= FAILED_JOBS_MAX or count % JOB_ATTEMPTS == 0:
            return record
        return await self._journal.move(planned, record, Event.PLAN, detail="tried again: it was refunded")

    def _tell_progress(self, planned: PlannedItem, job: Job) -> None:
        self._observe(JobProgressed(key=planned.work.key, aliases=planned.work.aliases, progress=job.progress))

    async def _download(self, planned: PlannedItem, record: ItemRecord) -> tuple[ItemRecord, MeshFacts | None]:
        """With what the mesh says of itself, where this very process has fetched all files, hashed and found whole."""
        if record.state is not State.FINISHED:
            return record, None
        if await self._sources(planned, record):
            detail = "its files are here already"
            return await self._journal.move(planned, record, Event.DOWNLOADED, detail=detail), None
        began = anyio.current_time()
        try:
            files = await download(
                record.asset_ids,
                partial(self._terms.staged, record.key),
                scenario=self._scenario,
                downloads=self._downloads,
                storage=self._storage,
                now=self._now,
                turns=self._pool.downloads,
                is_new=planned.action is not Action.FETCH,
            )
        except ResultGone as error:
            if self._terms.service != EMBEDDED:  # it is paid: it is asked for again, not bought again
                raise
            changes: Mapping[str, Any] = {"job_id": "", "asset_ids": ()}
            return await self._journal.move(planned, record, Event.RESULT_LOST, detail=str(error), **changes), None
        record = await self._journal.move(
            planned,
            record,
            Event.DOWNLOADED,
            outputs=tuple(_output(one) for one in files),
            timings=_timed(record, "download", began),
        )
        return record, next(one.facts for one in files if one.role == MESH)

    async def _sources(self, planned: PlannedItem, record: ItemRecord) -> list[Source]:
        """The files of the result, where all of them lie whole in staging or stand at their place already: an earlier
        run ended before it delivered them, or before it could say so. Empty where one is missing. Their bytes are
        compared, for a power cut may leave files of the right size that were never written.
        """
        found = [await self._found(planned, one) for one in self._staged(record)]
        return [one for one in found if one is not None] if None not in found else []

    def _staged(self, record: ItemRecord) -> list[Source]:
        """The files of the result as they lie in staging once they are downloaded."""
        return [_source(one, self._terms.staged(record.key, one.role)) for one in record.outputs]

    async def _found(self, planned: PlannedItem, staged: Source) -> Source | None:
        for path in (staged.path, *self._placing.places(planned.work.aliases[-1], staged)):
            if await self._storage.digest(path) == staged.sha256:
                return replace(staged, path=path)
        return None

    async def _deliver(self, planned: PlannedItem, record: ItemRecord, facts: MeshFacts | None) -> ItemRecord:
        """Judge the downloaded mesh, put it to its place under every name, record the verdict.

        With ``facts`` the files were hashed as this very process wrote them: they are not read again.
        """
        if record.state is not State.DOWNLOADED:
            return record
        began = anyio.current_time()
        sources = self._staged(record) if facts else await self._sources(planned, record)
        if not sources:
            return await self._journal.move(planned, record, Event.MISSING, detail="a downloaded file is not whole")
        mesh = next(one for one in sources if one.role == MESH)
        verdict = await self._accept(record, mesh.path, facts)
        held = verdict.outcome == "held"
        picture = await self._preview(planned, mesh.path)
        aliases = planned.work.aliases
        try:
            for alias in aliases:
                await self._placing.place(
                    record.key, alias, sources, picture, held=held, keep_sources=alias != aliases[-1]
                )
        except SourceGone as error:
            return await self._journal.move(planned, record, Event.MISSING, detail=str(error))
        return await self._journal.move(
            planned,
            record,
            Event.HOLD if held else Event.ACCEPT,
            verdict=verdict,
            timings=_timed(record, "deliver", began),
            **FORGIVEN,
        )

    async def _accept(self, record: ItemRecord, mesh: Path, facts: MeshFacts | None) -> Verdict:
        try:
            return await accept(
                mesh, facts=facts, params=record.params, on_low=self._terms.on_low, storage=self._storage
            )
        except MeshDamaged:
            await self._storage.remove([mesh])  # so that the next run fetches it anew
            raise

    async def _preview(self, planned: PlannedItem, mesh: Path) -> bytes | None:
        """A picture for people: that it cannot be drawn never fails an item."""
        if self._compute is None or not self._terms.previews:
            return None
        try:
            front = planned.work.pictures[View.FRONT].path
            return await self._compute.run(draw_preview, str(mesh), str(front), timeout_s=PREVIEW_S)
        except MvmeshError as error:
            self._journal.warn(planned, f" gets no preview: {error}")
            return None


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
        name=f"{file.role}.part{file.suffix}",
        size_bytes=file.size_bytes,
        sha256=file.sha256,
        media_type=file.media_type,
    )


def _source(file: OutputFile, path: Path) -> Source:
    return Source(
        role=file.role,
        path=path,
        suffix=PurePosixPath(file.name).suffix,
        media_type=file.media_type,
        size_bytes=file.size_bytes,
        sha256=file.sha256,
    )
