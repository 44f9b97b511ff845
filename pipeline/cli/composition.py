"""The composition root: the one place that knows which adapter stands behind which port."""

import os
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import anyio

from pipeline.batch import EMBEDDED, Batch, Outcome
from pipeline.batch.remains import RESULTS, may_be_paid, published_rows, tells_of_a_ledger
from pipeline.batch.survey import Survey
from pipeline.batch.terms import shelf_name
from pipeline.domain.errors import CredentialsError, LocalIoError, NeverSent, ServiceUnreachable, UsageError
from pipeline.domain.events import Noted, Observer
from pipeline.domain.lifecycle import State
from pipeline.domain.manifest import Manifest, load_manifest
from pipeline.domain.model import PUBLISHED_SCHEMA, without_ranges
from pipeline.domain.planning import Plan, PlannedItem
from pipeline.domain.run_options import AS_THE_MANIFEST_SAYS, RunOptions
from pipeline.ports import engine_extra
from pipeline.ports.addresses import is_loopback
from pipeline.ports.clock import utc_now
from pipeline.ports.compute import WorkerProcesses
from pipeline.ports.credentials import Credentials, from_environment
from pipeline.ports.images import PillowImages
from pipeline.ports.interfaces import Compute, Downloads, Scenario
from pipeline.ports.ledger import LEDGER_FILE, SqliteLedger
from pipeline.ports.ledger_files import is_missing, set_aside_before
from pipeline.ports.lock import state_lock
from pipeline.ports.storage import LocalStorage

if TYPE_CHECKING:
    from pipeline.ports.scenario import ScenarioClient
    from pipeline.report.html import ReportPage

SCENARIO_URL = "https://api.cloud.scenario.com/v1"
_ROWS_AT_ONCE = 500

BASE_URL_VARIABLE = "SCENARIO_BASE_URL"


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """A service, ready to be asked."""

    scenario: Scenario
    downloads: Downloads


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
async def opened_ledger(manifest: Manifest) -> AsyncIterator[SqliteLedger]:
    ledger = await SqliteLedger.open(manifest.state_folder / LEDGER_FILE, now=utc_now)
    try:
        yield ledger
    finally:
        await ledger.close()


@asynccontextmanager
async def trusted_ledger(manifest: Manifest) -> AsyncIterator[SqliteLedger]:
    """The ledger, once it is certain that it can be read whole and that it is the one which the output folder's results
    were made with: a run on another would pay once more for all that they tell of.

    Raises:
        LocalIoError: it is missing, damaged, or does not know what the results tell.
    """
    if await is_missing(manifest.state_folder / LEDGER_FILE):
        await told_to_be_paid(manifest)
    async with opened_ledger(manifest) as ledger:
        await ledger.check()
        if not await _has_published(ledger, manifest):
            await _check_knows(ledger, manifest)
        yield ledger


async def _has_published(ledger: SqliteLedger, manifest: Manifest) -> bool:
    """Whether the results are, to the last byte, what this very ledger published: then it knows what they tell."""
    known = await ledger.publication(shelf_name(manifest))
    (stamp,) = await LocalStorage().stamps([manifest.output_folder / RESULTS])
    return known is not None and stamp is not None and known.files[0] == stamp


async def _check_knows(ledger: SqliteLedger, manifest: Manifest) -> None:
    paid, unknown = await told_to_be_paid(manifest), list[ToldPaid]()
    for at in range(0, len(paid), _ROWS_AT_ONCE):
        some = paid[at : at + _ROWS_AT_ONCE]
        jobs = await ledger.known_jobs([row.job_id for row in some])
        keys = (await ledger.states([row.key for row in some if not row.job_id])).keys()
        unknown += [row for row in some if row.job_id not in jobs and (row.job_id or row.key not in keys)]
    if unknown:
        raise _lost(manifest, f"does not know {_told(unknown)}")


@dataclass(frozen=True, slots=True)
class ToldPaid:
    """A row of the results that tells of a job, or of a submission that may have made one."""

    label: str
    key: str
    job_id: str
    state: State


async def told_to_be_paid(manifest: Manifest) -> list[ToldPaid]:
    """What the last run's results tell of jobs which may have cost money.

    Raises:
        LocalIoError: there are some, or there may be, and no ledger that could know of them.
    """
    paid: list[ToldPaid] = []
    unread, has_ledger = False, False
    async with aclosing(published_rows(manifest.output_folder, storage=LocalStorage())) as rows:
        async for row in rows:
            unread |= row is None
            has_ledger |= row is not None and tells_of_a_ledger(row)
            if row is not None and may_be_paid(row):
                paid.append(ToldPaid(row.label, row.key, row.job_id, row.state))
    if await is_missing(path := manifest.state_folder / LEDGER_FILE):
        if paid:
            raise _lost(manifest, f"is missing, and with it {_told(paid)}")
        if unread and manifest.backend != EMBEDDED:
            raise _lost(manifest, f"is missing, and {RESULTS} cannot be read")
        if has_ledger:
            raise _lost(manifest, f"is missing, which the run had that wrote {RESULTS}")
        if await set_aside_before(path):
            raise _lost(manifest, "is missing, and a damaged one was set aside there")
    return paid


def _lost(manifest: Manifest, what: str) -> LocalIoError:
    return LocalIoError(
        f"the ledger {manifest.state_folder / LEDGER_FILE} {what}: what is paid would be paid again",
        mend="`mvmesh reconcile MANIFEST --rebuild` makes it anew from the files and the service's job list; to begin "
        f"anew instead, move {RESULTS} and all that is called {LEDGER_FILE}* out of their folders",
    )


def _told(paid: Sequence[ToldPaid]) -> str:
    count, first = len({row.job_id or row.key for row in paid}), paid[0]
    jobs = "1 paid job" if count == 1 else f"{count:,} paid jobs"
    name = f"{first.label}: {first.job_id or first.state}"
    return f"{jobs} that {RESULTS} tells of ({name}{', ...' if count > 1 else ''})"


@asynccontextmanager
async def opened_batch(
    manifest: Manifest, observe: Observer, options: RunOptions = AS_THE_MANIFEST_SAYS
) -> AsyncIterator[Batch]:
    """The batch on its ledger; the lock of the state folder is the caller's business."""
    async with trusted_ledger(manifest) as ledger, _preview_workers() as compute:
        storage = LocalStorage()
        yield Batch(
            manifest,
            service=service_identity(manifest),
            images=PillowImages(),
            storage=storage,
            ledger=ledger,
            compute=compute,
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


def _new_report(title: str) -> "ReportPage":
    from pipeline.report.html import ReportPage  # noqa: PLC0415 - only when there is something to report

    return ReportPage(title)


@asynccontextmanager
async def connected(manifest: Manifest, observe: Observer) -> AsyncIterator[Connection]:
    """The manifest's service: embedded in this process, or remote.

    Raises:
        CredentialsError: none in the environment, or not to be sent to that address.
        UsageError: the embedded service needs the engine extra.
    """
    # aiohttp takes a third of a second to import: only a run that has something to ask waits for it.
    from pipeline.ports.downloads import Downloader  # noqa: PLC0415
    from pipeline.ports.retrying import Tries  # noqa: PLC0415
    from pipeline.ports.scenario import ScenarioClient  # noqa: PLC0415

    def tell(error: Exception) -> None:
        observe(Noted(message=f"trying again: {error}", level="warning"))

    async with AsyncExitStack() as stack:
        if manifest.backend == EMBEDDED:
            base_url, credentials = await stack.enter_async_context(_embedded(embedded_data(manifest)))
        else:
            base_url, credentials = _remote(manifest)
        client = await stack.enter_async_context(
            ScenarioClient.connect(base_url, credentials, project=manifest.project, tries=Tries(tell=tell))
        )
        await _look_for(client, base_url)
        yield Connection(scenario=client, downloads=await stack.enter_async_context(Downloader.connect(base_url)))


async def _look_for(client: "ScenarioClient", base_url: str) -> None:
    """Whether there is a service at all: nobody waits a quarter of an hour, as one does for one that has been there."""
    try:
        await client.look_for(attempts=2 if is_loopback(urlsplit(base_url).hostname or "") else 8)
    except ServiceUnreachable as error:
        if isinstance(error.__cause__, NeverSent):
            raise ServiceUnreachable(
                f"no service answers at {base_url}: {error}", mend=error.mend or "is `mvmesh serve` running there?"
            ) from error


def embedded_data(manifest: Manifest) -> Path:
    """Where the embedded service keeps its jobs and assets."""
    return manifest.state_folder / "service"


@asynccontextmanager
async def _embedded(data: Path) -> AsyncIterator[tuple[str, Credentials]]:
    from pipeline.service.serve import local_service  # noqa: PLC0415 - the base install has no engine

    credentials = Credentials(key=secrets.token_urlsafe(18), secret=secrets.token_urlsafe(32))
    async with local_service(data, credentials=(credentials.key, credentials.secret)) as base_url:
        yield base_url, credentials


def service_identity(manifest: Manifest) -> str:
    """What tells one service from another in content keys: ``local``, ``scenario``, or the base URL of any other."""
    url = base_url_of(manifest)
    return "scenario" if url == SCENARIO_URL else url


def base_url_of(manifest: Manifest) -> str:
    """Where the manifest's service is; ``local`` for the embedded one, which is nowhere until it is started."""
    url = os.environ.get(BASE_URL_VARIABLE) or SCENARIO_URL if manifest.backend == "scenario" else manifest.backend
    return url.rstrip("/")


def _remote(manifest: Manifest) -> tuple[str, Credentials]:
    base_url = base_url_of(manifest)
    credentials = from_environment(os.environ)
    if credentials is None:
        raise CredentialsError(
            f"no credentials for {base_url}",
            mend="set SCENARIO_SDK_API_KEY and SCENARIO_SDK_API_SECRET (or ..._FILE), or use `backend: local`",
        )
    return base_url, credentials


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
    _make_output(manifest.output_folder)
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
                _note_missing_previews(manifest, observe)
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
        _note_missing_previews(manifest, observe)
        outcome, plan = await batch.carry_out_early(
            looking, first, scenario=service.scenario, downloads=service.downloads, stop=stop
        )
    if looking.is_whole:
        await _clear_embedded(manifest, batch, plan)
    return outcome, plan


def _note_missing_previews(manifest: Manifest, observe: Observer) -> None:
    if manifest.previews and engine_extra.missing():
        observe(Noted(message=f"no previews are drawn without the engine extra: {engine_extra.MEND}"))


async def _clear_embedded(manifest: Manifest, batch: Batch, plan: Plan) -> None:
    """What has been delivered need not lie in the embedded service's data as well."""
    if manifest.backend != EMBEDDED:
        return
    from pipeline.service.serve import forget_assets  # noqa: PLC0415 - the base install has no engine

    spent = await batch.spent_assets(plan)
    await forget_assets(embedded_data(manifest), spent)
    await batch.forget(spent)


def _make_output(folder: Path) -> None:
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
