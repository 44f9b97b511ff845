"""Opening a manifest's ledger, and whether it is the one that its results were made with (see ``composition``)."""

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass

from pipeline.batch import EMBEDDED
from pipeline.batch.remains import RESULTS, may_be_paid, published_rows, tells_of_a_ledger
from pipeline.batch.terms import shelf_name
from pipeline.domain.errors import LocalIoError
from pipeline.domain.lifecycle import State
from pipeline.domain.manifest import Manifest
from pipeline.ports.clock import utc_now
from pipeline.ports.ledger import LEDGER_FILE, SqliteLedger
from pipeline.ports.ledger_files import is_missing, set_aside_before
from pipeline.ports.storage import LocalStorage

_ROWS_AT_ONCE = 500


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
