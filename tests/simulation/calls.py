"""The ports ``Scenario`` and ``Downloads`` of one process: the service, seen through a network that fails."""
# ruff: noqa: ARG002, ARG005 - a port is told more than its simulation looks at

import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Any, TypeVar

import anyio

from pipeline.domain.errors import (
    ConnectionLost,
    MeshDamaged,
    MvmeshError,
    NeverSent,
    ServiceUnreachable,
    SubmissionUncertain,
    Throttled,
    UrlExpired,
)
from pipeline.domain.jobs import Asset, Job, JobPage, Quote, TeamLimits
from pipeline.domain.model import PUBLISHED_SCHEMA, ModelSchema
from pipeline.domain.outputs import GLB_TYPE
from pipeline.ports.gate import Gate
from pipeline.ports.interfaces import Downloaded, Gallery
from simulation.disk import Disk, File
from simulation.process import Process
from simulation.service import Arrival, GenerationService

T = TypeVar("T")

PATIENCE_S = 60.0
"""How long the client goes on repeating what may be repeated."""

LATEST_S = 45.0
"""A request is done so long at most after its client has given it up: within the manifest's ``settle``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Weather:
    """How the network is: shares of the requests that meet with it, and the hours when nothing goes through."""

    never_sent: float = 0.0
    throttled: float = 0.0
    lost_before: float = 0.0
    lost_after: float = 0.0
    late: float = 0.0
    repeated: float = 0.0
    """Answers to what may be repeated that are lost once: the service does it twice."""
    broken_downloads: float = 0.0
    outages: tuple[tuple[float, float], ...] = ()

    def outage_until(self, now: float) -> float | None:
        return next((end for begin, end in self.outages if begin <= now < end), None)


class ServiceCalls:
    """``about_to_submit`` and ``about_to_upload`` hear of requests before they leave."""

    def __init__(
        self,
        service: GenerationService,
        process: Process,
        weather: Weather,
        chance: Random,
        *,
        about_to_submit: Callable[[Process, Mapping[str, Any]], None],
        about_to_upload: Callable[[Process, bytes], None],
    ) -> None:
        self._service = service
        self._process = process
        self._weather = weather
        self._chance = chance
        self._about_to_submit = about_to_submit
        self._about_to_upload = about_to_upload
        self._gate = Gate()

    def turn(self) -> AbstractAsyncContextManager[None]:
        return self._gate.turn()

    async def create_asset(self, *, name: str, data: bytes, media_type: str, gallery: Gallery) -> str:
        self._about_to_upload(self._process, data)
        return await self._asked(f"upload {name}", lambda now: self._service.create_asset(name, data))

    async def quote(self, *, model: str, inputs: Mapping[str, Any]) -> Quote:
        return await self._asked("quote", lambda now: self._service.quote(inputs))

    async def generate(self, *, model: str, inputs: Mapping[str, Any]) -> Job:
        self._process.step("service", f"service: generate {dict(inputs)}")
        if not self._gate.is_closed:  # an answer has come since: the refusal was old news
            self._process.turned_away_until = 0.0
        self._about_to_submit(self._process, inputs)
        patience_s = self._chance.uniform(1, 90)
        match self._fate():
            case "never sent":
                await self._process.sleep(self._chance.uniform(0.1, 20))
                self._process.tell("service: the connection failed before the request could leave")
                raise NeverSent("no connection")
            case "throttled":
                await self._process.sleep(self._chance.uniform(0.1, 2))
                raise self._turned_away(self._chance.choice([0, 1, 20]))
            case "lost before":
                return await self._hears_nothing("it never arrived", patience_s)
            case "lost after":
                arrival = self._send(inputs, self._chance.uniform(0.05, 1))
                return await self._hears_nothing(f"it arrived at {arrival.at:.2f}", patience_s)
            case "late":
                return await self._late(inputs, patience_s, self._chance.uniform(0, LATEST_S))
            case _:
                arrival = self._send(inputs, self._chance.uniform(0.05, 1))
                await self._process.sleep(arrival.at - anyio.current_time() + self._chance.uniform(0.05, 1))
                return self._answer(arrival)

    async def _late(self, inputs: Mapping[str, Any], patience_s: float, after_s: float) -> Job:
        """Done only after the client has given it up, as it does earlier when it is stopped or dies."""
        arrival = self._service.send(inputs, at=anyio.current_time() + patience_s + after_s, run=self._process.number)
        try:
            self._process.step("service", "service: the request is out")
            return await self._hears_nothing(f"it arrives {after_s:.0f} s after that", patience_s)
        finally:
            self._service.hurry(arrival, at=anyio.current_time() + after_s)

    def _turned_away(self, wish_s: float) -> Throttled:
        self._process.tell(f"service: 429, come back in {wish_s} s")
        self._process.turned_away_until = anyio.current_time() + wish_s
        return Throttled("429", retry_after_s=wish_s or None)

    def _send(self, inputs: Mapping[str, Any], travels_s: float) -> Arrival:
        arrival = self._service.send(inputs, at=anyio.current_time() + travels_s, run=self._process.number)
        self._process.step("service", "service: the request is out")
        return arrival

    async def job(self, job_id: str) -> Job:
        return await self._asked(f"look up {job_id}", lambda now: self._service.job(job_id, now), quietly=True)

    async def jobs(
        self, *, updated_after: datetime | None = None, created_after: datetime | None = None, page: str | None = None
    ) -> JobPage:
        if updated_after and created_after:
            raise ValueError("the service filters by one of updated_after and created_after, not by both")
        return await self._asked(
            "list created" if updated_after is None else "list",
            lambda now: self._service.list_jobs(
                now, updated_after=updated_after, created_after=created_after, page=page
            ),
            quietly=updated_after is not None,
        )

    async def assets(self, asset_ids: Sequence[str]) -> list[Asset]:
        return await self._asked(f"assets {asset_ids}", lambda now: self._service.assets(asset_ids, now))

    async def model_schema(self, model: str) -> ModelSchema:
        return await self._asked("model", lambda now: PUBLISHED_SCHEMA, quietly=True)

    async def team_limits(self) -> TeamLimits:
        return await self._asked("limits", lambda now: self._service.team_limits(), quietly=True)

    def _fate(self) -> str:
        weather, chance = self._weather, self._chance
        if weather.outage_until(anyio.current_time()) is not None:
            return chance.choice(["never sent", "lost before"])
        draw = chance.random()
        for share, fate in (
            (weather.never_sent, "never sent"),
            (weather.throttled, "throttled"),
            (weather.lost_before, "lost before"),
            (weather.lost_after, "lost after"),
            (weather.late, "late"),
        ):
            draw -= share
            if draw < 0:
                return fate
        return "answered"

    async def _hears_nothing(self, why: str, patience_s: float) -> Job:
        self._process.tell(f"service: the answer will not come, {why}")
        await self._process.sleep(patience_s)
        self._process.step("service", "service: no answer")
        raise SubmissionUncertain("the answer was lost")

    def _answer(self, arrival: Arrival) -> Job:
        self._service.catch_up(anyio.current_time())
        outcome = arrival.outcome
        said = outcome.job_id if isinstance(outcome, Job) else repr(outcome)
        self._process.step("service", f"service: answers {said}")
        if isinstance(outcome, MvmeshError):
            raise outcome
        assert outcome is not None  # it has arrived
        return outcome

    async def _asked(self, what: str, answer: Callable[[float], T], *, quietly: bool = False) -> T:
        """What may be repeated is repeated by the client, within bounds."""
        if quietly:
            self._process.check()
        else:
            self._process.step("service", f"service: {what}")
        async with self._gate.turn():
            await anyio.sleep(self._chance.uniform(0.05, 0.5))
            await self._wait_out(what)
            self._process.check()
            if self._chance.random() < self._weather.repeated:
                self._process.tell(f"service: {what}: the answer is lost, asked again")
                answer(anyio.current_time())
                await anyio.sleep(self._chance.uniform(0.5, 20))
                self._process.check()
            return answer(anyio.current_time())

    async def _wait_out(self, what: str) -> None:
        until = self._weather.outage_until(anyio.current_time())
        if until is None:
            return
        waits_s = until - anyio.current_time()
        await anyio.sleep(min(waits_s, PATIENCE_S))
        if waits_s > PATIENCE_S:
            self._process.check()
            self._process.tell(f"service: {what}: unreachable")
            raise ServiceUnreachable(f"{what}: no answer", mend="later")


class MeshDownloads:
    """What breaks off leaves a beginning behind; what is damaged has the right size."""

    def __init__(
        self, service: GenerationService, process: Process, weather: Weather, chance: Random, disk: Disk
    ) -> None:
        self._service = service
        self._process = process
        self._weather = weather
        self._chance = chance
        self._disk = disk

    async def fetch(self, url: str, target: Path, *, expected_bytes: int | None) -> Downloaded:
        self._process.step("service", f"download: {url.partition('?')[0]}")
        await anyio.sleep(self._chance.uniform(0.1, 5))
        self._process.check()
        data = self._service.content(url, anyio.current_time())
        fault = self._fault()
        self._process.require_room()
        self._disk.link(target, File(b"", synced=False))
        self._disk.grow(target, data[: len(data) // 2])
        self._process.step("disk", f"download: half of it is there{f', {fault}' if fault else ''}")
        await anyio.sleep(self._chance.uniform(0.1, 5))
        self._process.check()
        if fault == "breaks off":
            raise ConnectionLost("the body broke off")
        if fault == "truncated":
            data = data[: len(data) // 2]
        if fault == "damaged":
            data = b"\0\0\0\0" + data[4:]
        self._process.require_room()
        self._disk.grow(target, data)
        self._process.step("disk", "download: it is here")
        if expected_bytes is not None and len(data) != expected_bytes:
            raise MeshDamaged(f"the file has {len(data)} bytes, expected {expected_bytes}")
        return Downloaded(size_bytes=len(data), sha256=_sha256(data), media_type=GLB_TYPE)

    def _fault(self) -> str:
        if self._weather.outage_until(anyio.current_time()) is not None:
            raise ConnectionLost("no connection")
        if self._chance.random() >= self._weather.broken_downloads:
            return ""
        return self._raised(self._chance.choice(["expired", "html", "breaks off", "truncated", "damaged"]))

    def _raised(self, fault: str) -> str:
        """Faults that show before the body comes are raised at once."""
        if fault == "expired":
            raise UrlExpired("HTTP 403")
        if fault == "html":
            raise MeshDamaged("an HTML page")
        return fault


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
