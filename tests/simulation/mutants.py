"""Products that break a promise each, for a soak that must notice: the right product behind one wrong port."""
# ruff: noqa: ARG002 - what is wrong about a port is often that it does not look

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio

from pipeline.domain.errors import NeverSent, SubmissionUncertain
from pipeline.domain.items import ItemRecord
from pipeline.domain.jobs import Job, JobPage
from pipeline.domain.lifecycle import Event, State
from pipeline.domain.manifest import Manifest
from simulation.database import MortalDatabase
from simulation.disk import File
from simulation.night import Wiring


class _Wrapped:
    """All that a wrong port does not do itself is done by the right one."""

    def __init__(self, right: Any) -> None:
        self._right = right

    def __getattr__(self, name: str) -> Any:
        return getattr(self._right, name)


class RepeatsSubmissions(_Wrapped):
    """As the official SDK does: an answer that was lost is asked for again."""

    async def generate(self, *, model: str, inputs: Mapping[str, Any]) -> Job:
        try:
            return await self._right.generate(model=model, inputs=inputs)
        except SubmissionUncertain:
            return await self._right.generate(model=model, inputs=inputs)


class TakesLostForNeverSent(_Wrapped):
    async def generate(self, *, model: str, inputs: Mapping[str, Any]) -> Job:
        try:
            return await self._right.generate(model=model, inputs=inputs)
        except SubmissionUncertain as error:
            raise NeverSent(str(error)) from error


class ReadsOnePageAlone(_Wrapped):
    """The first page of the list is taken for all of it."""

    async def jobs(self, **asked: Any) -> JobPage:
        return replace(await self._right.jobs(**asked), next_page=None)


class KnowsNoJobs(_Wrapped):
    """Jobs that the ledger has are taken for those of lost answers."""

    async def known_jobs(self, job_ids: Sequence[str]) -> Mapping[str, Mapping[str, Any]]:
        return {}


class SharesFrontPictures(_Wrapped):
    """Copies are submitted with the same front picture."""

    async def uploads(self, *, service: str, project: str, pictures: Collection[tuple[str, int]]) -> Mapping:
        known = await self._right.uploads(service=service, project=project, pictures=[(one, 1) for one, _ in pictures])
        return {(sha256, copy): known[sha256, 1] for sha256, copy in pictures if (sha256, 1) in known}


class IntendsAfterwards(_Wrapped):
    """The intent is committed together with the outcome."""

    def __init__(self, right: Any) -> None:
        super().__init__(right)
        self._intents: dict[str, Mapping[str, Any]] = {}

    async def advance(self, key: str, event: Event, *, detail: str = "", **changes: Any) -> ItemRecord:
        if event is Event.INTEND:
            self._intents[key] = changes
            record = await self._right.item(key)
            return replace(record, **changes, state=State.SUBMITTING)
        if intended := self._intents.pop(key, None):
            await self._right.advance(key, Event.INTEND, **intended)
        return await self._right.advance(key, event, detail=detail, **changes)


class ForgetsTheOutcomeAtDeath(_Wrapped):
    """A commit reaches the disk with the next one (synchronous=OFF, and the power is cut)."""

    def __init__(self, right: MortalDatabase) -> None:
        super().__init__(right)
        self._waiting: list[Callable[[Any], Any]] = []

    async def write(self, work: Callable[[Any], Any]) -> Any:
        waiting, self._waiting = self._waiting, [work]
        if waiting:
            await self._right.write(waiting[0])
        return await self._right.read(_tried(work))

    async def read(self, work: Callable[[Any], Any]) -> Any:
        return await self._right.read(_tried(work, *self._waiting))

    async def glance(self, work: Callable[[Any], Any]) -> Any:
        return await self.read(work)


def _tried(work: Callable[[Any], Any], *before: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The outcome of ``work`` without its trace."""

    def at_once(connection: Any) -> Any:
        connection.execute("BEGIN")
        try:
            for one in before:
                one(connection)
            return work(connection)
        finally:
            connection.execute("ROLLBACK")

    return at_once


class _PublishesWrongly(_Wrapped):
    async def publish_new(self, source: Path, target: Path, *, unless: Path | None = None) -> bool:
        there, beside, given = await self._right.sizes([target, unless or target, source])
        if there is not None or beside is not None or given is None:
            return False
        await self.publish(source, target)
        return True


class WritesInPlace(_PublishesWrongly):
    """Without a temporary name."""

    async def publish(self, source: Path, target: Path) -> None:
        data = await self._right.read(source)
        half = File(data[: len(data) // 2], synced=False)
        self._right._disk.link(target, half)
        self._right._process.step("disk", f"disk: half of {target.name} is in its place")
        self._right._disk.grow(target, data)
        self._right._disk.unlink(source)


class SyncsNothing(_PublishesWrongly):
    """Renamed before the bytes are on the disk."""

    async def publish(self, source: Path, target: Path) -> None:
        await self._right.publish(source, target)
        file = self._right._disk.file(target)
        file.synced = False


def _with(section: str, **changes: Any) -> Callable[[Manifest], Manifest]:
    def change(manifest: Manifest) -> Manifest:
        return manifest.model_copy(update={section: getattr(manifest, section).model_copy(update=changes)})

    return change


def _deaf(stop: anyio.Event) -> anyio.Event:
    return anyio.Event()


MUTANTS: Mapping[str, Wiring] = {
    "repeats a submission whose answer was lost": Wiring(scenario=RepeatsSubmissions),
    "takes a lost answer for a request that never left": Wiring(scenario=TakesLostForNeverSent),
    "believes an absence at once": Wiring(manifest=_with("uncertain", settle=0.0, believe_after=0.0)),
    "reads one page of the list alone": Wiring(scenario=ReadsOnePageAlone),
    "counts a known job twice": Wiring(ledger=KnowsNoJobs),
    "shares front pictures between copies": Wiring(ledger=SharesFrontPictures),
    "commits the intent with the outcome": Wiring(ledger=IntendsAfterwards),
    "commits late": Wiring(database=ForgetsTheOutcomeAtDeath),
    "writes meshes in place": Wiring(storage=WritesInPlace),
    "does not sync meshes": Wiring(storage=SyncsNothing),
    "knows no budget": Wiring(manifest=_with("budget", max_cu=None)),
    "knows no window": Wiring(manifest=_with("limits", max_duration=None)),
    "does not hear the stop": Wiring(stop=_deaf),
}
