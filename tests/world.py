"""The whole flow on a real service in the test's own loop: real sockets, real files, a cheap engine."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import toy_engine
import yaml
from PIL import Image, ImageDraw

from pipeline.batch import Batch, Outcome
from pipeline.batch.comparing import Comparing
from pipeline.domain.events import RunEvent
from pipeline.domain.manifest import load_manifest
from pipeline.domain.planning import Plan
from pipeline.domain.results import ResultRow
from pipeline.ports.clock import utc_now
from pipeline.ports.credentials import Credentials
from pipeline.ports.downloads import Downloader
from pipeline.ports.images import PillowImages
from pipeline.ports.interfaces import Scenario
from pipeline.ports.ledger import SqliteLedger
from pipeline.ports.scenario import ScenarioClient
from pipeline.ports.storage import LocalStorage
from pipeline.service.options import ServiceOptions
from pipeline.service.serve import local_service

VIEWS = ("front", "left", "back")


def draw(path: Path, shade: int) -> None:
    """A small picture that no other shade equals."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.new("RGBA", (128, 128))
    ImageDraw.Draw(image).ellipse((20, 10, 100, 120), fill=(shade % 256, shade // 256, 90, 255))
    image.save(path)


@dataclass(slots=True)
class World:
    """A folder of image sets, a manifest over it, and a service to run it on."""

    folder: Path
    engine: Any = toy_engine.make
    options: Mapping[str, Any] = field(default_factory=dict)
    events: list[RunEvent] = field(default_factory=list)
    comparing: Comparing | None = None
    shades: int = 0
    ahead: timedelta = timedelta()
    """How far our clock has been put on."""

    def add(self, set_id: str) -> None:
        """An image set whose pictures are like no other's."""
        for view in VIEWS:
            self.shades += 1
            draw(self.folder / "sets" / set_id / f"{view}.png", self.shades)

    def manifest(self, **sections: Any) -> Any:
        said = {"version": 1, "name": "world", "backend": "http://127.0.0.1:1/v1", "output": "out", **sections}
        said.setdefault("sets", [{"path": "sets/*"}])
        return load_manifest(yaml.safe_dump(said), file=self.folder / "m.yaml", environ={})

    async def run(
        self,
        *,
        wrap: Callable[[Scenario], Any] = lambda scenario: scenario,
        stop: anyio.Event | None = None,
        **sections: Any,
    ) -> tuple[Outcome, list[ResultRow], Plan]:
        """One run on the service, whose data outlives it; ``wrap`` comes between flow and service."""
        stop = stop or anyio.Event()
        async with self.batch(**sections) as batch:
            plan = await batch.plan()
            if not plan.needs_service:
                outcome = await batch.carry_out(plan, scenario=None, downloads=None, stop=stop)
                return outcome, await batch.rows(plan), plan
            async with self.service() as (scenario, downloads):
                service = wrap(scenario)
                plan = await batch.price(plan, service)
                outcome = await batch.carry_out(plan, scenario=service, downloads=downloads, stop=stop)
            return outcome, await batch.rows(plan), plan

    @asynccontextmanager
    async def batch(self, **sections: Any) -> AsyncIterator[Batch]:
        manifest = self.manifest(**sections)
        ledger = await SqliteLedger.open(manifest.state_folder / "ledger.sqlite3", now=utc_now)
        try:
            yield Batch(
                manifest,
                service=manifest.backend,
                images=PillowImages(),
                storage=LocalStorage(),
                ledger=ledger,
                compute=None,
                comparing=self.comparing,
                now=lambda: utc_now() + self.ahead,
                observe=self.events.append,
            )
        finally:
            await ledger.close()

    @asynccontextmanager
    async def service(self) -> AsyncIterator[tuple[ScenarioClient, Downloader]]:
        options = ServiceOptions(engine=self.engine, workers=1, **{"ceiling": 4, **self.options})
        async with (
            local_service(self.folder / "service", credentials=("key", "secret"), options=options) as url,
            ScenarioClient.connect(url, Credentials(key="key", secret="secret")) as scenario,
            Downloader.connect(url) as downloads,
        ):
            yield scenario, downloads

    async def jobs(self) -> int:
        """How many jobs were ever submitted."""
        async with self.service() as (scenario, _):
            return len((await scenario.jobs()).jobs)

    def mesh(self, label: str, *, held: bool = False) -> Path:
        name = label.split("@", maxsplit=1)[0].rsplit("/", 1)[-1]
        return self.folder / "out" / ("held" if held else "meshes") / label / f"{name}.glb"
