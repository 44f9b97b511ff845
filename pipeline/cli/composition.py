"""The composition root: which adapter stands behind which port, and what a run and a plan are put together from.

``ledgers`` opens what is the truth, ``services`` reaches what is asked; ``mending`` puts together what mends.
"""

import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import anyio

from pipeline.batch import EMBEDDED, Batch, Outcome
from pipeline.batch.comparing import Comparing
from pipeline.batch.survey import Survey
from pipeline.cli.ledgers import trusted_ledger
from pipeline.cli.services import connected, embedded_data, service_identity
from pipeline.domain.errors import LocalIoError, UsageError
from pipeline.domain.events import Noted, Observer
from pipeline.domain.manifest import Manifest, load_manifest
from pipeline.domain.model import PUBLISHED_SCHEMA, without_ranges
from pipeline.domain.planning import Plan, PlannedItem
from pipeline.domain.run_options import AS_THE_MANIFEST_SAYS, RunOptions
from pipeline.ports import engine_extra
from pipeline.ports.clock import utc_now
from pipeline.ports.comparisons import COMPARISONS_FILE, SqliteComparisons
from pipeline.ports.compute import WorkerProcesses
from pipeline.ports.images import PillowImages
from pipeline.ports.interfaces import Compute
from pipeline.ports.lock import state_lock
from pipeline.ports.storage import LocalStorage
from pipeline.stages.compare import AT_ONCE

if TYPE_CHECKING:
    from pipeline.report.html import ReportPage


def read_manifest(path: Path) -> Manifest:
    """Read and check a manifest.

    Raises:
        UsageError: all that is wrong with it, a line each.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(
            f"{path} is not UTF-8 text: {error.reason} at byte {error.start}",
            mend="name a manifest, or write one with `mvmesh init FOLDER`",
        ) from error
    except OSError as error:
        raise UsageError(
            f"{path} cannot be read: {error.strerror}", mend="name a manifest, or write one with `mvmesh init FOLDER`"
        ) from error
    try:
        return load_manifest(text, file=path, environ=os.environ)
    except UsageError as error:
        return _judged_by_the_live_model(text, path, error)


def _judged_by_the_live_model(text: str, path: Path, error: UsageError) -> Manifest:
    """A manifest that only has values beyond the published ranges: the service that it names may allow them, and is
    asked before anything is spent. The embedded one does not.
    """
    try:
        manifest = load_manifest(text, file=path, environ=os.environ, schema=without_ranges(PUBLISHED_SCHEMA))
    except UsageError:
        raise error from None
    if manifest.backend == EMBEDDED:
        raise error
    return manifest


@asynccontextmanager
async def opened_batch(
    manifest: Manifest, observe: Observer, options: RunOptions = AS_THE_MANIFEST_SAYS
) -> AsyncIterator[Batch]:
    """The batch on its ledger; the lock of the state folder is the caller's business."""
    async with trusted_ledger(manifest) as ledger, _preview_workers() as compute, _comparing(manifest) as comparing:
        storage = LocalStorage()
        yield Batch(
            manifest,
            service=service_identity(manifest),
            images=PillowImages(),
            storage=storage,
            ledger=ledger,
            compute=compute,
            comparing=comparing,
            now=utc_now,
            observe=observe,
            new_report=partial(_new_report, manifest.name),
            options=options,
        )


@asynccontextmanager
async def _preview_workers() -> AsyncIterator[Compute | None]:
    """A worker process for previews; None without the engine extra."""
    if engine_extra.missing():
        yield None
        return
    async with WorkerProcesses(1) as compute:
        yield compute


@asynccontextmanager
async def _comparing(manifest: Manifest) -> AsyncIterator[Comparing | None]:
    """None where views are not compared. Nothing is started or opened before something is."""
    if manifest.backend == EMBEDDED or engine_extra.missing():
        yield None
        return
    async with WorkerProcesses(AT_ONCE) as compute, SqliteComparisons(comparisons_file(manifest)) as memory:
        yield Comparing(compute=compute, memory=memory)


def comparisons_file(manifest: Manifest) -> Path:
    """Where it is remembered what comparisons of views told."""
    return manifest.state_folder / COMPARISONS_FILE


def _new_report(title: str) -> "ReportPage":
    from pipeline.report.html import ReportPage  # noqa: PLC0415 - only when there is something to report

    return ReportPage(title)


async def plan_batch(manifest_path: Path, options: RunOptions, *, observe: Observer) -> Plan:
    """What a run would do, with prices as last known; no request leaves the machine."""
    manifest = read_manifest(manifest_path)
    async with opened_batch(manifest, observe, options) as batch:
        return await batch.plan()


async def run_batch(
    manifest_path: Path,
    options: RunOptions,
    *,
    confirm: Callable[[Plan], bool] | None,
    observe: Observer,
    stop: anyio.Event,
) -> tuple[Outcome, Plan]:
    """One run, from the manifest to the published results; how it ended, and what it was about.

    Args:
        manifest_path: the manifest.
        options: what this run is told beyond the manifest.
        confirm: sees the priced plan before anything is spent, and may decline it; None: nobody is asked.
        observe: hears of every change.
        stop: once set, the run ends in seconds.

    Raises:
        UsageError: the manifest is wrong, or the plan was declined.
        AbortRun: the run cannot go on.
    """
    manifest = read_manifest(manifest_path)
    _make_output(manifest.output_folder, may_hold=manifest.acceptance.on_low == "hold")
    with state_lock(manifest.state_folder):
        for line in options.told_over(manifest):
            observe(Noted(message=line))
        async with opened_batch(manifest, observe, options) as batch, aclosing(batch.survey()) as looking:
            is_nobody_asked = confirm is None or manifest.backend == EMBEDDED
            first = await looking.head() if is_nobody_asked and batch.can_begin_early() else []
            if first and not looking.is_whole:
                return await _carry_out_early(manifest, batch, looking, first, observe=observe, stop=stop)
            plan = await batch.plan(looking)
            if not plan.needs_service:
                return await batch.carry_out(plan, scenario=None, downloads=None, stop=stop), plan
            async with connected(manifest, observe) as service:
                plan = await batch.price(plan, service.scenario)
                if confirm is not None and not confirm(plan):
                    raise UsageError("nothing was done: the plan was declined", mend="--yes says so beforehand")
                _note_what_is_missing(manifest, observe)
                outcome = await batch.carry_out(plan, scenario=service.scenario, downloads=service.downloads, stop=stop)
            await _clear_embedded(manifest, batch, plan)
            return outcome, plan


async def _carry_out_early(
    manifest: Manifest,
    batch: Batch,
    looking: Survey,
    first: Sequence[PlannedItem],
    *,
    observe: Observer,
    stop: anyio.Event,
) -> tuple[Outcome, Plan]:
    async with connected(manifest, observe) as service:
        _note_what_is_missing(manifest, observe)
        outcome, plan = await batch.carry_out_early(
            looking, first, scenario=service.scenario, downloads=service.downloads, stop=stop
        )
    if looking.is_whole:
        await _clear_embedded(manifest, batch, plan)
    return outcome, plan


def _note_what_is_missing(manifest: Manifest, observe: Observer) -> None:
    if manifest.previews and engine_extra.missing():
        observe(Noted(message=f"no previews are drawn without the engine extra: {engine_extra.MEND}"))
    if why := why_not_compared(manifest):
        observe(Noted(message=why))


def why_not_compared(manifest: Manifest) -> str:
    """What a person who pays should know: views that contradict one another would not be found out. Empty: they are."""
    if manifest.backend == EMBEDDED or not engine_extra.missing() or not compares_any(manifest):
        return ""
    return f"the views of a set are not compared with one another without the engine extra: {engine_extra.MEND}"


def compares_any(manifest: Manifest) -> bool:
    """Whether the manifest has the views of some sets compared."""
    policies = {entry.consistency or manifest.preflight.consistency for entry in manifest.sets}
    return policies != {"skip"}


async def _clear_embedded(manifest: Manifest, batch: Batch, plan: Plan) -> None:
    """What has been delivered need not lie in the embedded service's data as well."""
    if manifest.backend != EMBEDDED:
        return
    from pipeline.service.serve import forget_assets  # noqa: PLC0415 - the base install has no engine

    spent = await batch.spent_assets(plan)
    await forget_assets(embedded_data(manifest), spent)
    await batch.forget(spent)


def _make_output(folder: Path, *, may_hold: bool) -> None:
    """The folder is there and may be written: nothing is paid for what could not be kept."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LocalIoError(
            f"the output folder {folder} cannot be made: {error.strerror}", mend="name another one under `output:`"
        ) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise LocalIoError(
            f"the output folder {folder} may not be written",
            mend="give yourself the right to, or name another one under `output:`",
        )
    if may_hold and os.path.realpath(folder / "meshes") == os.path.realpath(folder / "held"):
        raise LocalIoError(
            f"the folders meshes and held in {folder} are one, by a link: a mesh in one would be taken for what stands "
            "in the way of the other",
            mend="remove the link; with `acceptance: {on_low: warn}` no mesh is held",
        )
