"""Ports that run inline, without threads and sockets: for tests in virtual time."""
# ruff: noqa: ARG002 - a port is told more than its simulation looks at

import hashlib
import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
from anyio.lowlevel import checkpoint
from simulation.clock import BEGIN, virtual_now, virtual_time
from simulation.database import MortalDatabase, empty_ledger_file
from simulation.disk import Disk, DiskStorage
from simulation.process import immortal

from pipeline.domain.errors import AssetGone, CeilingReached, MeshDamaged, PictureRefused, RequestRefused
from pipeline.domain.items import Picture
from pipeline.domain.jobs import Asset, Job, JobPage, JobStatus, Quote, TeamLimits
from pipeline.domain.model import MODEL_ID, PUBLISHED_SCHEMA
from pipeline.domain.outputs import GLB_TYPE
from pipeline.domain.views import View
from pipeline.ports.gate import Gate
from pipeline.ports.interfaces import Downloaded
from pipeline.ports.ledger import SqliteLedger

__all__ = ["virtual_time"]


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def glb(document: Mapping | None = None, binary: bytes | None = None, *, faces: int = 12) -> bytes:
    """A whole GLB; without a document, one of so many faces that say nothing but their number."""
    if document is None:
        document = {
            "asset": {"version": "2.0"},
            "accessors": [{"componentType": 5126, "type": "VEC3", "count": faces * 3}],
            "meshes": [{"primitives": [{"attributes": {"POSITION": 0}}]}],
        }
    text = json.dumps(document).encode()
    text += b" " * (-len(text) % 4)
    chunks = struct.pack("<2I", len(text), 0x4E4F534A) + text
    if binary is not None:
        chunks += struct.pack("<2I", len(binary), 0x004E4942) + binary
    return struct.pack("<3I", 0x46546C67, 2, 12 + len(chunks)) + chunks


def simulated_ledger() -> SqliteLedger:
    """The ledger's own code in virtual time."""
    return SqliteLedger(MortalDatabase(empty_ledger_file(), immortal(), committed=_unheard), virtual_now)


def _unheard(*_: Any) -> None:
    """These ports are watched by nobody."""


class SimulatedStorage(DiskStorage):
    """Files in memory; with ``folded``, on a file system that ignores case."""

    def __init__(self, *, folded: bool = False) -> None:
        self.disk = Disk(watch=_unheard, folded=folded)
        super().__init__(self.disk, immortal())

    def names(self, below: Path) -> list[str]:
        return self.disk.names(below)

    def put(self, path: Path, data: bytes) -> None:
        self.disk.put(path, data)

    def get(self, path: Path) -> bytes | None:
        return self.disk.get(path)


class SimulatedImages:
    """Whatever a file holds is a picture."""

    async def probe(self, path: Path) -> Picture:
        data = path.read_bytes()  # noqa: ASYNC240 - without threads
        return Picture(
            path=path, sha256=sha256(data), size_bytes=len(data), media_type="image/png", width=200, height=200
        )

    async def probe_all(self, paths: Sequence[Path]) -> list[Picture | PictureRefused]:
        return [await self.probe(path) for path in paths]

    async def prepare(self, picture: Picture) -> tuple[bytes, str]:
        await checkpoint()
        return picture.sha256.encode(), picture.media_type


class SimulatedService:
    """A generation service: every job takes ``job_s`` and makes one mesh. ``troubles`` are raised one by one instead of
    generating; with ``lose_answers`` the job is made and the caller hears of it all the same.
    """

    def __init__(self, *, job_s: float = 60.0) -> None:
        self.job_s = job_s
        self.cu = 10.0
        self.page_size = 100
        self.ceiling: int | None = None
        self.troubles: list[Exception] = []
        self.lost_answers: list[Exception] = []
        self.failures = 0
        self.uploads: list[str] = []
        self.submitted: list[Mapping] = []
        self.asked: list[str] = []
        self.in_flight_at_most = 0
        self.contents: dict[str, bytes] = {}
        self._gate = Gate()
        self._assets: dict[str, Asset] = {}
        self._jobs: dict[str, tuple[Job, float]] = {}

    def turn(self):
        return self._gate.turn()

    async def create_asset(self, *, name, data, media_type, gallery) -> str:
        await anyio.sleep(1)
        self.uploads.append(name)
        return f"asset_{len(self.uploads)}"

    async def quote(self, *, model, inputs) -> Quote:
        await anyio.sleep(1)
        self._require_pictures(inputs)
        return Quote(cu=self.cu)

    async def generate(self, *, model, inputs) -> Job:
        await anyio.sleep(1)
        if self.troubles:
            raise self.troubles.pop(0)
        self._require_pictures(inputs)
        if self.ceiling is not None and self._running() >= self.ceiling:
            raise CeilingReached("429", ceiling=self.ceiling, retry_after_s=5)
        job = self.add_job(inputs)
        if self.lost_answers:
            raise self.lost_answers.pop(0)
        return job

    def add_job(self, inputs: Mapping) -> Job:
        self.submitted.append(inputs)
        job_id = f"job_{len(self.submitted)}"
        now = virtual_now()
        job = Job(
            job_id=job_id, status=JobStatus.QUEUED, model_id=MODEL_ID, created_at=now, updated_at=now, echo=inputs
        )
        self._jobs[job_id] = job, anyio.current_time() + self.job_s
        self.in_flight_at_most = max(self.in_flight_at_most, self._running())
        return job

    def _running(self) -> int:
        return sum(not self._seen(one).status.is_final for one in self._jobs)

    def _require_pictures(self, inputs: Mapping) -> None:
        """Tests that upload nothing may name any picture."""
        if not self.uploads:
            return
        known = {f"asset_{number}" for number, _ in enumerate(self.uploads, start=1)}
        if gone := [inputs[view.field] for view in View if view.field in inputs and inputs[view.field] not in known]:
            raise AssetGone(f"not found: {', '.join(gone)}", asset_ids=gone)

    def forget_job(self, job_id: str) -> None:
        del self._jobs[job_id]

    def forget_assets(self) -> None:
        self._assets.clear()

    def _seen(self, job_id: str) -> Job:
        job, ends_at = self._jobs[job_id]
        if job.status.is_final or anyio.current_time() < ends_at:
            return job
        ended = replace(job, updated_at=BEGIN + timedelta(seconds=ends_at), progress=1.0)
        if self.failures:
            self.failures -= 1
            ended = replace(ended, status=JobStatus.FAILURE, error="no object in the picture", cu_charged=0.0)
        else:
            made = self.add_mesh(f"mesh_of_{job_id}", glb(faces=100 + len(self._assets)))
            ended = replace(ended, status=JobStatus.SUCCESS, asset_ids=(made,), cu_charged=self.cu)
        self._jobs[job_id] = ended, ends_at
        return ended

    def add_mesh(self, asset_id: str, data: bytes) -> str:
        self.contents[f"https://files/{asset_id}"] = data
        self._assets[asset_id] = Asset(
            asset_id=asset_id,
            url=f"https://files/{asset_id}",
            kind="3d",
            media_type=GLB_TYPE,
            source="img23d",
            size_bytes=len(data),
        )
        return asset_id

    async def job(self, job_id: str) -> Job:
        await anyio.sleep(0.1)
        self.asked.append(job_id)
        if job_id not in self._jobs:
            raise RequestRefused(f"no job {job_id}")
        return self._seen(job_id)

    async def jobs(self, *, updated_after=None, created_after=None, page=None) -> JobPage:
        if updated_after and created_after:
            raise ValueError("the service filters by one of updated_after and created_after, not by both")
        await anyio.sleep(0.1)
        self.asked.append("jobs")
        listed = [self._seen(one) for one in self._jobs]
        if updated_after:
            listed = [one for one in listed if one.updated_at > updated_after]
        if created_after:
            listed = [one for one in listed if one.created_at > created_after]
        listed.sort(key=lambda one: one.updated_at if updated_after else one.created_at, reverse=True)
        start = int(page or 0)
        end = start + self.page_size
        return JobPage(
            jobs=tuple(listed[start:end]), next_page=str(end) if end < len(listed) else None, told_at=virtual_now()
        )

    async def assets(self, asset_ids: Sequence[str]) -> list[Asset]:
        await anyio.sleep(0.1)
        return [self._assets[one] for one in dict.fromkeys(asset_ids) if one in self._assets]

    async def model_schema(self, model):
        return PUBLISHED_SCHEMA

    async def team_limits(self) -> TeamLimits:
        async with self._gate.turn():
            return TeamLimits(parallel_jobs=self.ceiling)


class SimulatedDownloads:
    """Fetches what the service made; ``troubles`` are raised one by one instead."""

    def __init__(self, service: SimulatedService, storage: SimulatedStorage) -> None:
        self.troubles: list[Exception] = []
        self.fetched: list[str] = []
        self._service = service
        self._storage = storage

    async def fetch(self, url: str, target: Path, *, expected_bytes: int | None) -> Downloaded:
        await anyio.sleep(1)
        self.fetched.append(url)
        if self.troubles:
            raise self.troubles.pop(0)
        data = self._service.contents[url]
        self._storage.put(target, data)
        if expected_bytes is not None and len(data) != expected_bytes:
            raise MeshDamaged(f"the file has {len(data)} bytes, expected {expected_bytes}")
        return Downloaded(size_bytes=len(data), sha256=sha256(data), media_type=GLB_TYPE)
