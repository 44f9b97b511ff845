"""A whole batch in virtual time: real folders of (toy) pictures, everything else simulated."""

import shutil
from contextlib import aclosing
from pathlib import Path
from typing import Any

import anyio
import yaml
from simulated_ports import (
    SimulatedDownloads,
    SimulatedImages,
    SimulatedService,
    SimulatedStorage,
    simulated_ledger,
    virtual_now,
)
from simulation.clock import without_threads

from pipeline.batch import Batch, Outcome
from pipeline.domain.events import ItemMoved, Noted, RunEvent
from pipeline.domain.items import ItemRecord
from pipeline.domain.manifest import load_manifest
from pipeline.domain.planning import Plan
from pipeline.domain.results import ResultRow
from pipeline.domain.run_options import AS_THE_MANIFEST_SAYS


class Died(Exception):
    """The run's process is no more."""


class SimulatedRuns:
    """One manifest, one service, one ledger, any number of runs."""

    def __init__(self, folder: Path, *, service: SimulatedService | None = None, folded: bool = False) -> None:
        self.folder = folder
        self.service = service or SimulatedService()
        self.storage = SimulatedStorage(folded=folded)
        self.downloads = SimulatedDownloads(self.service, self.storage)
        self.ledger = simulated_ledger()
        self.observed: list[RunEvent] = []
        self.sections: dict[str, Any] = {}
        self.options = AS_THE_MANIFEST_SAYS
        self._moves_left: int | None = None

    def add(self, set_id: str, **pictures: str) -> None:
        """An image set; a picture is whatever its text says."""
        for view, text in (pictures or {"front": f"front of {set_id}"}).items():
            path = self.folder / "sets" / set_id / f"{view}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def rename(self, before: str, after: str) -> None:
        (self.folder / "sets" / before).rename(self.folder / "sets" / after)

    def remove(self, set_id: str) -> None:
        shutil.rmtree(self.folder / "sets" / set_id)

    def batch(self) -> Batch:
        said = {"version": 1, "name": "night", "backend": "scenario", "output": "out", "sets": [{"path": "sets/*"}]}
        text = yaml.safe_dump({**said, "limits": {"in_flight": 4}, **self.sections})
        return Batch(
            load_manifest(text, file=self.folder / "m.yaml", environ={}),
            service="scenario",
            images=SimulatedImages(),
            storage=self.storage,
            ledger=self.ledger,
            compute=None,
            now=virtual_now,
            observe=self._hear,
            options=self.options,
        )

    def _hear(self, event: RunEvent) -> None:
        self.observed.append(event)
        if self._moves_left is not None and isinstance(event, ItemMoved):
            self._moves_left -= 1
            if self._moves_left < 0:
                raise Died

    async def plan(self) -> Plan:
        return await self._planned(self.batch())

    async def run(
        self, *, stop: anyio.Event | None = None, dies_after: int | None = None
    ) -> tuple[Outcome, list[ResultRow]]:
        """One run; with ``dies_after`` it ends in Died right after so many committed moves, all tasks at once."""
        self._moves_left = dies_after
        batch = self.batch()
        plan = await self._planned(batch)
        if plan.needs_service:
            plan = await batch.price(plan, self.service)
        outcome = await batch.carry_out(
            plan, scenario=self.service, downloads=self.downloads, stop=stop or anyio.Event()
        )
        return outcome, await batch.rows(plan)

    async def run_early(
        self, *, chunk: int = 1, stop: anyio.Event | None = None, dies_after: int | None = None
    ) -> tuple[Outcome, list[ResultRow]]:
        """One run that begins with the first ``chunk`` sets that are free, while the others are still looked at."""
        self._moves_left = dies_after
        batch = self.batch()
        with without_threads():
            async with aclosing(batch.survey(chunk=chunk)) as looking:
                first = await looking.head()
                assert first, "no set is free"
                assert not looking.is_whole, "all sets are known already"
                outcome, plan = await batch.carry_out_early(
                    looking, first, scenario=self.service, downloads=self.downloads, stop=stop or anyio.Event()
                )
                return outcome, await batch.rows(plan)

    async def _planned(self, batch: Batch) -> Plan:
        with without_threads():  # folders are real
            return await batch.plan()

    async def record(self) -> ItemRecord:
        """The only item."""
        (found,) = await self.ledger.items()
        return found

    @property
    def output(self) -> Path:
        return self.folder / "out"

    @property
    def meshes(self) -> dict[str, bytes]:
        """Delivered meshes by the path below ``meshes/``."""
        return {
            name: self.storage.get(self.output / "meshes" / name) for name in self.storage.names(self.output / "meshes")
        }

    @property
    def warnings(self) -> list[str]:
        return [one.message for one in self.observed if isinstance(one, Noted) and one.level == "warning"]
