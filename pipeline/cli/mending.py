"""The composition root of what mends a ledger (see ``composition``). Each function holds the lock as a run does."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pipeline.batch.decisions import UNSETTLED, Reconciled, Reconciling, retry
from pipeline.batch.rebuilding import Rebuilding, Rebuilt
from pipeline.batch.remains import RESULTS
from pipeline.batch.survey import survey
from pipeline.batch.terms import EMBEDDED, terms_of
from pipeline.cli.labels import Labels, item_named, labels_of, published_items
from pipeline.cli.ledgers import opened_ledger, trusted_ledger
from pipeline.cli.services import connected, service_identity
from pipeline.domain.errors import UsageError
from pipeline.domain.events import Observer
from pipeline.domain.items import ItemRecord
from pipeline.domain.lifecycle import State
from pipeline.domain.manifest import Manifest
from pipeline.domain.model import schema_known_of
from pipeline.ports.clock import utc_now
from pipeline.ports.images import PillowImages
from pipeline.ports.interfaces import Ledger
from pipeline.ports.ledger import LEDGER_FILE, SqliteLedger
from pipeline.ports.ledger_files import damage, is_missing, last_change, set_aside_before, successor
from pipeline.ports.lock import state_lock
from pipeline.ports.storage import LocalStorage


async def reconcile_items(
    manifest: Manifest, *, jobs: Mapping[str, str], absent: Sequence[str], observe: Observer
) -> tuple[list[Reconciled], Labels]:
    """Look for all uncertain submissions of the manifest's service; see ``Reconciling``. The service is not asked where
    nothing is uncertain.

    Args:
        manifest: whose ledger and service.
        jobs: by name of an item, the job that a person says is its.
        absent: the names of items that, as a person says, the service has no job of.
        observe: hears of retries.

    Raises:
        UsageError: a name is not known, or a job cannot be the item's.
    """
    terms = terms_of(manifest, service=service_identity(manifest), began=utc_now())
    with state_lock(manifest.state_folder):
        async with trusted_ledger(manifest) as ledger:
            labels = await labels_of(manifest, ledger)
            ours = await _ours(manifest, ledger)
            records = [one for one in ours if one.state in UNSETTLED]
            named = {name: item_named(name, UNSETTLED, ours, labels).key for name in dict.fromkeys([*jobs, *absent])}
            if not records:
                return [], labels
            async with connected(manifest, observe) as service:
                reconciling = Reconciling(ledger, service.scenario, patience=terms.patience, now=utc_now)
                found = await reconciling.carry_out(
                    records,
                    jobs={named[name]: job_id for name, job_id in jobs.items()},
                    absent=[named[name] for name in absent],
                )
            return found, labels


async def _ours(manifest: Manifest, ledger: Ledger) -> list[ItemRecord]:
    """What the ledger has of the manifest's service and project."""
    service, project = service_identity(manifest), manifest.project
    return [one for one in await ledger.items() if (one.service, one.project) == (service, project)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Retried:
    """An item that was not made, and that the next run tries again."""

    record: ItemRecord
    cu: float | None
    """What it may cost; None: the price is not known."""


_NOT_MADE = (State.REFUSED, State.FAILED)
"""A run refuses a set whose views contradict one another; tried again, they are compared again."""


async def retry_items(manifest: Manifest, names: Sequence[str], *, anew: bool) -> tuple[list[Retried], Labels]:
    """Let the next run try the named failed items again; without names all that the last run left so.

    Raises:
        UsageError: a name is not that of a failed item; ``anew`` without a name.
    """
    if anew and not names:
        raise UsageError("--anew has sets made and paid once more", mend="say which: mvmesh retry MANIFEST --anew NAME")
    with state_lock(manifest.state_folder):
        async with trusted_ledger(manifest) as ledger:
            labels = await labels_of(manifest, ledger)
            ours = await _ours(manifest, ledger)
            if names:
                states = [*_NOT_MADE, State.SUBMITTED] if anew else [*_NOT_MADE]
                chosen = [item_named(name, states, ours, labels) for name in dict.fromkeys(names)]
            else:
                asked_for = {row.key for row in await published_items(manifest) if row.key}
                chosen = [one for one in ours if one.state in _NOT_MADE and (one.key in asked_for or not asked_for)]
            retried = await retry(list({one.key: one for one in chosen}.values()), anew=anew, ledger=ledger)
            return [Retried(record=one, cu=await _price(one, manifest, ledger)) for one in retried], labels


async def _price(record: ItemRecord, manifest: Manifest, ledger: Ledger) -> float | None:
    """What another job of the item costs, as last known."""
    if record.asset_ids or manifest.backend == EMBEDDED:
        return 0.0
    quote = await ledger.quote(
        service=record.service,
        project=record.project,
        model=record.model,
        params=schema_known_of(record.model).price_relevant(record.params),
    )
    return quote.cu if quote else record.quoted_cu


async def rebuild_ledger(manifest: Manifest, *, observe: Observer) -> tuple[Rebuilt, list[Path]]:
    """Make a lost or damaged ledger anew, or add to a sound one what it lacks; see ``Rebuilding``. Also the files that
    were set aside. Breaking off changes nothing.

    Raises:
        LocalIoError: the ledger is of a newer version, the disk cannot be used.
        RequestRefused: the service does not show its jobs.
    """
    storage = LocalStorage()
    terms = terms_of(manifest, service=service_identity(manifest), began=utc_now())
    with state_lock(manifest.state_folder):
        async with connected(manifest, observe) as service, _ledger_to_fill(manifest) as (ledger, kept, changed):
            plan = await survey(manifest, terms, images=PillowImages(), storage=storage, ledger=ledger)
            rebuilding = Rebuilding(
                terms,
                backend=manifest.backend,
                model=manifest.model,
                scenario=service.scenario,
                storage=storage,
                ledger=ledger,
                now=utc_now,
                observe=observe,
            )
            rebuilt = await rebuilding.carry_out(plan, last_change=changed)
        return rebuilt, kept


@asynccontextmanager
async def _ledger_to_fill(manifest: Manifest) -> AsyncIterator[tuple[SqliteLedger, list[Path], datetime | None]]:
    """A new ledger, or the one that is there if it is sound; what is set aside in the end; and when what was lost was
    last changed, as far as files tell: a ledger that is sound is not what was lost.
    """
    path = manifest.state_folder / LEDGER_FILE
    others = [*await set_aside_before(path), manifest.output_folder / RESULTS]
    of_all = await last_change(path, *others)
    if await is_missing(path) or await damage(path, now=utc_now):
        async with successor(path, now=utc_now) as (ledger, kept):
            yield ledger, kept, of_all
    else:
        of_others = await last_change(*others)
        async with opened_ledger(manifest) as ledger:
            yield ledger, [], of_others
