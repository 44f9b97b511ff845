"""The service's job store as clients are told of it: late, in part, or with another end than the engine's."""

import hashlib
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from fault_plan import Fate, FaultPlan

from pipeline.domain.jobs import JobStatus
from pipeline.domain.views import View
from pipeline.ports.interfaces import Now
from pipeline.ports.job_records import AssetRecord, JobRecord, milliseconds
from pipeline.ports.job_store import JobQuery, JobStore

ALL = JobQuery(by_update=False, size=1_000_000)


class ToldJobs:
    """Stands between the routes and their store. What it does not change is the store's own."""

    def __init__(self, store: JobStore, plan: FaultPlan, now: Now) -> None:
        self._store = store
        self._plan = plan
        self._now = now
        self._digests: dict[str, str] = {}
        self._fates: dict[str, Fate] = {}
        self._made = Counter[str]()
        self.arranged = deque[Fate]()
        """What becomes of the next jobs, before the plan decides."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def job(self, job_id: str) -> JobRecord | None:
        found = await self._store.job(job_id)
        return found and self._told(found, await self.fate(found), self._now())

    async def jobs(self, query: JobQuery) -> list[JobRecord]:
        """As the list was ``lag_s`` ago."""
        at = self._now() - timedelta(seconds=self._plan.lag_s)
        listed = []
        for job in await self.all():
            fate = await self.fate(job)
            if fate is not Fate.UNLISTED and job.created_at <= at:
                listed.append(self._told(job, fate, at))
        return _page(listed, query)

    async def assets(self, asset_ids: Sequence[str]) -> list[AssetRecord]:
        found = await self._store.assets(asset_ids)
        return [asset for asset in found if not await self._is_late(asset)]

    async def all(self) -> list[JobRecord]:
        """Every job that was ever made, as it is, oldest first."""
        return list(reversed(await self._store.jobs(ALL)))

    async def fate(self, job: JobRecord) -> Fate:
        if job.job_id not in self._fates:
            await self.decide()
        return self._fates[job.job_id]

    async def decide(self) -> None:
        """What becomes of every job that was made by now, in the order of their making: which one of equal ones a job is,
        is known for good.
        """
        for job in await self.all():
            if job.job_id not in self._fates:
                content = self.content(job.inputs)
                drawn = self._plan.fate(content, self._made[content])
                self._fates[job.job_id] = self.arranged.popleft() if self.arranged else drawn
                self._made[content] += 1

    def content(self, inputs: Mapping[str, Any]) -> str:
        """What a job's inputs are, whatever ids the pictures got."""
        fields = {view.field for view in View}
        said = {name: self.digest(str(value)) if name in fields else value for name, value in inputs.items()}
        return hashlib.sha256(repr(sorted(said.items())).encode()).hexdigest()[:16]

    def digest(self, asset_id: str) -> str:
        """Of an asset's contents; empty when there are none."""
        if asset_id not in self._digests:
            path = self._store.asset_path(asset_id)
            if not path.is_file():
                return ""
            self._digests[asset_id] = hashlib.sha256(path.read_bytes()).hexdigest()
        return self._digests[asset_id]

    def _told(self, job: JobRecord, fate: Fate, at: datetime) -> JobRecord:
        late = timedelta(seconds=self._plan.late_s)
        match fate:
            case Fate.FAILS | Fate.FAILS_KEPT if job.status is JobStatus.SUCCESS:
                ends = [
                    (JobStatus.FAILURE, when) if status.is_final else (status, when) for status, when in job.history
                ]
                failed = replace(job, history=tuple(ends), asset_ids=(), error="out of luck", hint="try again")
                return _as_of(failed, at)
            case Fate.STICKS:
                ends = [(status, when + late if status.is_final else when) for status, when in job.history]
                return _as_of(replace(job, history=tuple(ends)), at)
            case Fate.LATE_IDS if job.status is JobStatus.SUCCESS and at < job.updated_at + late:
                return replace(_as_of(job, at), asset_ids=())
            case _:
                return _as_of(job, at)

    async def _is_late(self, asset: AssetRecord) -> bool:
        job = await self._store.job(asset.job_id) if asset.job_id else None
        if job is None or await self.fate(job) is not Fate.LATE_ASSETS:
            return False
        return self._now() < asset.created_at + timedelta(seconds=self._plan.late_s)


def _as_of(job: JobRecord, at: datetime) -> JobRecord:
    history = tuple(one for one in job.history if one[1] <= at) or job.history[:1]
    status, when = history[-1]
    if status is job.status and when <= job.updated_at <= at:
        return replace(job, history=history)
    asset_ids = job.asset_ids if status is JobStatus.SUCCESS else ()
    return replace(job, status=status, updated_at=when, history=history, asset_ids=asset_ids)


def _page(jobs: list[JobRecord], query: JobQuery) -> list[JobRecord]:
    """As the store's own listing."""
    after = -1 if query.after is None else milliseconds(query.after)
    kept = [
        job
        for job in jobs
        if query.position(job)[0] > after
        and (query.status is None or job.status is query.status)
        and (query.beyond is None or query.position(job) < query.beyond)
    ]
    return sorted(kept, key=query.position, reverse=True)[: query.size]
