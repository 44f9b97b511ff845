"""What is left when a ledger is lost: the results and the files in the output folder, the jobs at the service."""

from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import anyio
from anyio import CapacityLimiter
from pydantic import ValidationError

from pipeline.batch.terms import EMBEDDED
from pipeline.domain.asset_names import picture_of
from pipeline.domain.errors import RequestRefused
from pipeline.domain.events import Noted, Observer
from pipeline.domain.items import OutputFile
from pipeline.domain.jobs import Job
from pipeline.domain.lifecycle import State
from pipeline.domain.outputs import PREVIEW
from pipeline.domain.restoring import Names, files_of
from pipeline.domain.results import ResultRow
from pipeline.domain.views import View
from pipeline.ports.interfaces import Scenario, Storage
from pipeline.ports.lines import lines_of

RESULTS = "results.jsonl"

PAGES = 1_000
"""Of the service's job list, a hundred jobs each, at most."""

_MAY_BE_PAID = (State.SUBMITTING, State.UNCERTAIN)
_TOLD_EVERY = 20
_ASSETS_A_CALL = 200
_AT_ONCE = 8


@dataclass(slots=True, kw_only=True)
class Results:
    """The rows of ``results.jsonl``, each line by itself: one that cannot be read does not spoil the others."""

    rows: list[ResultRow] = field(default_factory=list)
    unread: int = 0


def tells_of_a_ledger(row: ResultRow) -> bool:
    """Whether a run at a service that may ask money has published it: it had a ledger, and may have submitted since."""
    return row.backend != EMBEDDED and bool(row.key)


def may_be_paid(row: ResultRow) -> bool:
    """Whether it tells of a job at a service that may ask money for it, or of a submission that may have made one."""
    return row.backend != EMBEDDED and (bool(row.job_id) or row.state in _MAY_BE_PAID)


@dataclass(slots=True, kw_only=True)
class Listed:
    """The service's jobs of one model, newest first."""

    jobs: list[Job] = field(default_factory=list)
    is_whole: bool = False
    """The list was read to its end."""
    told_at: datetime | None = None
    """The service's own clock when it was first asked; None where it does not say."""

    @property
    def latest(self) -> datetime | None:
        """When the last of them was made or moved."""
        told = (at for job in self.jobs for at in (job.created_at, job.updated_at) if at is not None)
        return max(told, default=None)


async def read_results(output: Path, *, storage: Storage) -> Results:
    """What the last run has published.

    Raises:
        LocalIoError: it is there and cannot be read.
    """
    found = Results()
    async with aclosing(published_rows(output, storage=storage)) as rows:
        async for row in rows:
            if row is None:
                found.unread += 1
            else:
                found.rows.append(row)
    return found


async def published_rows(output: Path, *, storage: Storage) -> AsyncGenerator[ResultRow | None]:
    """What the last run has published, row by row; None for a line that cannot be read. No more than a piece of the
    file is in memory.

    Raises:
        LocalIoError: it is there and cannot be read.
    """
    async with aclosing(lines_of(output / RESULTS, storage=storage)) as lines:
        async for line in lines:
            yield _row(line)


def _row(line: bytes) -> ResultRow | None:
    try:
        return ResultRow.model_validate_json(line)
    except ValidationError:
        return None


async def standing_files(
    rows: Sequence[ResultRow], output: Path, *, storage: Storage
) -> Mapping[int, Sequence[OutputFile]]:
    """By number of the row: its files that stand with the bytes it tells of, where nothing but a preview lacks."""
    found: dict[int, Sequence[OutputFile]] = {}
    limit = CapacityLimiter(_AT_ONCE)

    async def look(at: int, row: ResultRow) -> None:
        async with limit:
            there = [one for one in files_of(row) if await storage.digest(output / one.name) == one.sha256]
        wanted = [one.path for one in row.outputs if one.role != PREVIEW]
        if wanted and {one.name for one in there} >= set(wanted):
            found[at] = there

    async with anyio.create_task_group() as tasks:
        for at, row in enumerate(rows):
            if row.state in {State.DELIVERED, State.HELD}:
                tasks.start_soon(look, at, row)
    return found


async def list_jobs(scenario: Scenario, model: str, *, observe: Observer) -> Listed:
    """All jobs of a model that the service lists, whoever made them.

    Raises:
        RequestRefused: the service does not show its list.
    """
    found, page = Listed(), None
    for number in range(1, PAGES + 1):
        listed = await scenario.jobs(page=page)
        found.jobs += [job for job in listed.jobs if job.model_id in {"", model}]
        found.told_at = found.told_at or listed.told_at
        page = listed.next_page
        if page is None:
            found.is_whole = True
            break
        if number % _TOLD_EVERY == 0:
            observe(Noted(message=f"{number} pages of the service's job list read, {len(found.jobs):,} jobs"))
    return found


async def look_up(job_ids: Iterable[str], *, scenario: Scenario) -> list[Job]:
    """These jobs, one by one; those that the service does not know are left out."""
    found: list[Job] = []
    limit = CapacityLimiter(_AT_ONCE)

    async def ask(job_id: str) -> None:
        async with limit:
            try:
                found.append(await scenario.job(job_id))
            except RequestRefused:
                return

    async with anyio.create_task_group() as tasks:
        for job_id in job_ids:
            tasks.start_soon(ask, job_id)
    return found


async def picture_names(jobs: Sequence[Job], *, scenario: Scenario) -> Names:
    """What the names of the assets tell that these jobs were made of."""
    echoed = [job.echo.get(view.field) for job in jobs for view in View]
    wanted = list(dict.fromkeys(one for one in echoed if isinstance(one, str)))
    assets = []
    for start in range(0, len(wanted), _ASSETS_A_CALL):
        assets += await scenario.assets(wanted[start : start + _ASSETS_A_CALL])
    return {one.asset_id: picture_of(one.name) for one in assets if one.name}
