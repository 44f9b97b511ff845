"""One suite a port, for the real adapter and for its simulation: what differs is a fault of the simulation.

Real ones run on asyncio, on real files and sockets; simulated ones on trio in virtual time.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import pytest
import toy_engine
from simulated_ports import SimulatedDownloads, SimulatedService, SimulatedStorage, virtual_time
from simulation.calls import MeshDownloads, ServiceCalls, Weather
from simulation.disk import Disk
from simulation.process import immortal
from simulation.service import GenerationService, Temper
from world import draw

from pipeline.ports.credentials import Credentials
from pipeline.ports.downloads import Downloader
from pipeline.ports.interfaces import Downloads, Gallery, Scenario
from pipeline.ports.scenario import ScenarioClient
from pipeline.service.options import ServiceOptions
from pipeline.service.pricing import PriceList
from pipeline.service.serve import local_service

PRICE_CU = 10


@pytest.fixture(params=["real", "simulated"])
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def anyio_backend(kind: str) -> Any:
    return "asyncio" if kind == "real" else virtual_time()


@dataclass(slots=True, kw_only=True)
class Served:
    """A service, reached through the ports."""

    scenario: Scenario
    downloads: Downloads
    folder: Path
    read: Callable[[Path], bytes | None]
    """What is on the disk that downloads go to."""
    pictures: int = 0

    async def upload(self) -> str:
        """The asset of a picture that no other equals."""
        self.pictures += 1
        path = self.folder / f"{self.pictures}.png"
        draw(path, self.pictures)
        return await self.scenario.create_asset(
            name="front", data=path.read_bytes(), media_type="image/png", gallery=Gallery()
        )


Serving = Callable[..., AbstractAsyncContextManager[Served]]


@pytest.fixture
def serving(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Serving:
    """A service with these options: its ``ceiling``; ``fails``: no job succeeds; ``idle``: no job ends."""
    if kind == "simulated":
        return lambda **options: _simulated(tmp_path, **options)
    if kind == "scripted":
        return lambda **options: _scripted(tmp_path, **options)
    monkeypatch.setenv(toy_engine.GATE, str(tmp_path / "never"))
    return lambda **options: _real(tmp_path, **options)


@asynccontextmanager
async def _real(folder: Path, *, ceiling: int = 8, fails: bool = False, idle: bool = False) -> AsyncIterator[Served]:
    engine = toy_engine.refuse if fails else toy_engine.make_when_told if idle else toy_engine.make
    prices = PriceList.from_document({"base": PRICE_CU})
    options = ServiceOptions(engine=engine, workers=1, ceiling=ceiling, prices=prices)
    async with (
        local_service(folder / "service", credentials=("key", "secret"), options=options) as url,
        ScenarioClient.connect(url, Credentials(key="key", secret="secret")) as scenario,
        Downloader.connect(url) as downloads,
    ):
        yield Served(scenario=scenario, downloads=downloads, folder=folder, read=Path.read_bytes)


@asynccontextmanager
async def _simulated(
    folder: Path, *, ceiling: int = 8, fails: bool = False, idle: bool = False
) -> AsyncIterator[Served]:
    temper = Temper(ceiling=ceiling, fails=float(fails), job_s=(1e6, 1e6) if idle else (60, 60), price_cu=PRICE_CU)
    service, process, disk = GenerationService(temper, Random(1), charged=_unheard), immortal(), Disk(watch=_unheard)
    yield Served(
        scenario=ServiceCalls(
            service, process, Weather(), Random(1), about_to_submit=_unheard, about_to_upload=_unheard
        ),
        downloads=MeshDownloads(service, process, Weather(), Random(1), disk),
        folder=folder,
        read=disk.get,
    )


@asynccontextmanager
async def _scripted(
    folder: Path, *, ceiling: int = 8, fails: bool = False, idle: bool = False
) -> AsyncIterator[Served]:
    """The one that tests of stages give their troubles to."""
    service, storage = SimulatedService(job_s=1e6 if idle else 60), SimulatedStorage()
    service.ceiling, service.failures = ceiling, 1_000 if fails else 0
    downloads = SimulatedDownloads(service, storage)
    yield Served(scenario=service, downloads=downloads, folder=folder, read=storage.get)


def _unheard(*_: Any) -> None:
    """What the promises of a night would look at."""
