"""The life of a job: queued, in-progress, finalizing, success; or failure from anywhere. The store is the queue."""

import errno
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import anyio
from anyio import create_task_group

from pipeline.domain.errors import WorkerDied
from pipeline.domain.jobs import PICTURES, JobStatus
from pipeline.domain.model import wants_pbr, wants_texture
from pipeline.domain.views import View
from pipeline.ports.compute import read_progress
from pipeline.ports.interfaces import Compute, Now
from pipeline.ports.job_records import AssetRecord, JobRecord, new_id
from pipeline.ports.job_store import JobStore
from pipeline.service.engine import Engine, EngineFailure, EngineTask, Made, MadeFile

_log = logging.getLogger(__name__)

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_PROGRESS_EVERY_S = 0.3
_PROGRESS_MAX = 0.99
"""1 is for jobs whose assets can be had."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Failure:
    error: str
    hint: str
    fault: str = ""
    """See ``JobRecord``."""


class JobRunner:
    """Takes queued jobs from the store, oldest first, one for each concurrent call of ``work``."""

    def __init__(
        self, *, store: JobStore, compute: Compute, now: Now, engine: Engine, timeout_s: float, threads: int
    ) -> None:
        self._store = store
        self._compute = compute
        self._now = now
        self._engine = engine
        self._timeout_s = timeout_s
        self._threads = threads
        self._arrived = anyio.Event()

    async def submit(self, job: JobRecord, *, ceiling: int) -> bool:
        """Record a new job and wake a worker; False, and nothing done, when the ceiling is reached."""
        accepted = await self._store.add_job(job, ceiling=ceiling)
        if accepted:
            self._arrived.set()
            self._arrived = anyio.Event()
        return accepted

    async def work(self) -> None:
        """Do one job after the other, for ever. Cancelled, it leaves its job to the next start."""
        while True:
            arrived = self._arrived
            job = await self._store.take_job(self._now)
            if job is None:
                await arrived.wait()
            else:
                await self._complete(job)

    async def _complete(self, job: JobRecord) -> None:
        folder = await self._store.work_folder(job.job_id)
        outcome = await self._attempt(job, folder)
        if isinstance(outcome, _Failure):
            await self._store.save_job(
                job.moved(JobStatus.FAILURE, self._now(), error=outcome.error, hint=outcome.hint, fault=outcome.fault)
            )
        else:
            await self._publish(job, outcome)
        await self._store.drop_work(folder)

    async def _publish(self, job: JobRecord, made: Made) -> None:
        finalizing = job.moved(JobStatus.FINALIZING, self._now(), progress=_PROGRESS_MAX)
        await self._store.save_job(finalizing)
        at = self._now()
        assets = [_asset(job, one, index, at) for index, one in enumerate(made.files)]
        asset_ids = tuple(asset.asset_id for asset in assets)
        done = finalizing.moved(JobStatus.SUCCESS, at, progress=1.0, asset_ids=asset_ids, notes=made.notes)
        await self._store.finish_job(done, [(asset, one.path) for asset, one in zip(assets, made.files, strict=True)])

    async def _attempt(self, job: JobRecord, folder: Path) -> Made | _Failure:
        """Run the engine; whatever becomes of it is this job's outcome and nobody else's."""
        pictures = await self._pictures(job)
        if isinstance(pictures, _Failure):
            return pictures
        task = _task(job, pictures, folder, self._threads)
        async with create_task_group() as tasks:
            tasks.start_soon(self._follow, job, task.progress)
            outcome = await self._computed(job, task)
            tasks.cancel_scope.cancel()
        return outcome

    async def _computed(self, job: JobRecord, task: EngineTask) -> Made | _Failure:
        try:
            return await self._compute.run(self._engine, task, timeout_s=self._timeout_s)
        except EngineFailure as failure:
            return _Failure(error=failure.message, hint=failure.hint, fault=PICTURES)
        except WorkerDied as death:
            _log.warning("%s: %s", job.job_id, death)
            return _Failure(error=str(death), hint=death.mend)
        except Exception as error:  # noqa: BLE001 - a fault of the engine on these pictures, logged
            if isinstance(error, OSError) and error.errno in _NO_ROOM:
                _log.warning("%s: its mesh could not be written: %s", job.job_id, error.strerror)
                return _Failure(error="the service's disk has no room for the mesh", hint="make room there")
            _log.exception("%s: the engine failed", job.job_id)
            hint = "the service's log has the details: please report it with these pictures"
            return _Failure(error=f"the engine failed ({type(error).__name__})", hint=hint)

    async def _pictures(self, job: JobRecord) -> Mapping[View, Path] | _Failure:
        wanted = {view: str(job.inputs[view.field]) for view in View if view.field in job.inputs}
        known = {asset.asset_id for asset in await self._store.assets(list(wanted.values()))}
        if gone := [f"{view.field}: {asset_id}" for view, asset_id in wanted.items() if asset_id not in known]:
            return _Failure(error=f"deleted before the job began: {', '.join(gone)}", hint="upload them again")
        return {view: self._store.asset_path(asset_id) for view, asset_id in wanted.items()}

    async def _follow(self, job: JobRecord, progress: Path) -> None:
        """Record what the worker tells of its progress, as often as clients look."""
        last = job.progress
        while True:
            await anyio.sleep(_PROGRESS_EVERY_S)
            told = min(_PROGRESS_MAX, await anyio.to_thread.run_sync(read_progress, progress))
            if told > last:
                last = told
                await self._store.save_job(replace(job, progress=told, updated_at=self._now()))


def _task(job: JobRecord, pictures: Mapping[View, Path], folder: Path, threads: int) -> EngineTask:
    return EngineTask(
        pictures=pictures,
        face_count=round(job.inputs["faceCount"]),
        textured=wants_texture(job.inputs),
        pbr=wants_pbr(job.inputs),
        folder=folder,
        progress=folder / "progress",
        threads=threads,
    )


def _asset(job: JobRecord, made: MadeFile, index: int, at: datetime) -> AssetRecord:
    return AssetRecord(
        asset_id=new_id("asset"),
        name=made.name,
        kind=made.kind,
        source=made.source,
        media_type=made.media_type,
        properties=made.properties,
        created_at=at,
        job_id=job.job_id,
        output_index=index,
    )
