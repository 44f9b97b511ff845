"""Rebuilding: a ledger that was lost is filled again from what is left. Nothing is submitted, no file is touched."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import anyio

from pipeline.batch.remains import Listed, list_jobs, look_up, picture_names, read_results, standing_files
from pipeline.batch.terms import Terms
from pipeline.domain.asset_names import named
from pipeline.domain.errors import SubmissionUncertain
from pipeline.domain.events import Noted, Observer
from pipeline.domain.items import ItemRecord, OutputFile, WorkItem
from pipeline.domain.jobs import Job
from pipeline.domain.lifecycle import State
from pipeline.domain.planning import Plan
from pipeline.domain.restoring import Doubt, Evidence, Names, Orders, alias_of, restored, spare_jobs
from pipeline.domain.results import ResultRow
from pipeline.domain.views import View
from pipeline.ports.interfaces import Delivery, Ledger, Now, Restoration, Scenario, Storage, UploadEntry
from pipeline.stages.submit import CLOCK_SKEW, DATE_STEP
from pipeline.stages.upload import submission

_KEY = re.compile(r"[0-9a-f]{64}")

NOT_KNOWN = "not known any more"
"""Stands for an asset among the inputs of an uncertain submission: no job echoes it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spare:
    """A job that was paid, or will be, beside the one that an item goes on with."""

    key: str
    job_id: str
    taken: str
    """The job that the item goes on with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stranger:
    """A job at the service that fits no work item, and that may be ours all the same."""

    job_id: str
    created_at: datetime | None
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuilt:
    """What a rebuild came to."""

    records: tuple[ItemRecord, ...]
    """What was put into the ledger."""
    labels: Mapping[str, Sequence[str]]
    """By content key: the names under which a mesh is, or was, asked for."""
    spare: tuple[Spare, ...]
    strangers: tuple[Stranger, ...]
    others: int
    """Jobs of the model that are somebody else's by the names of their pictures, if the service keeps names."""
    to_make: int
    """Work items of the manifest of which nothing was found: the next run submits them."""
    unread_rows: int
    """Lines of the results that could not be read."""
    jobs: int
    """Jobs of the model that the service told of."""
    is_whole: bool
    """The service's list was read to its end."""
    last_change: datetime | None
    """Of what was lost, as far as it is known."""

    def having(self, *states: State) -> list[ItemRecord]:
        return [one for one in self.records if one.state in states]


@dataclass(slots=True, kw_only=True)
class _Remains:
    """All that was found, by content key where it belongs to an item."""

    rows: dict[str, list[ResultRow]] = field(default_factory=dict)
    unread_rows: int = 0
    files: dict[str, list[tuple[ResultRow, Sequence[OutputFile]]]] = field(default_factory=dict)
    listed: Listed
    names: Names = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    """By job id."""
    jobs: dict[str, list[Job]] = field(default_factory=dict)
    """Those that the ledger does not know, newest first."""
    records: Mapping[str, ItemRecord] = field(default_factory=dict)
    known_jobs: frozenset[str] = frozenset()
    ahead: timedelta = CLOCK_SKEW
    """The service's clock is ahead of ours by so much at most."""
    latest: datetime | None = None
    """When the last of the jobs that the list itself shows was made or moved: single look-ups do not lag with it."""


class Rebuilding:
    """One rebuild of one manifest's part of a ledger."""

    def __init__(
        self,
        terms: Terms,
        *,
        backend: str,
        model: str,
        scenario: Scenario,
        storage: Storage,
        ledger: Ledger,
        now: Now,
        observe: Observer,
    ) -> None:
        """``backend`` and ``model`` are as the manifest names them. ``ledger`` is a new one, or a sound one that lacks
        something: what it has of jobs and meshes stays.
        """
        self._terms = terms
        self._backend = backend
        self._model = model
        self._scenario = scenario
        self._storage = storage
        self._ledger = ledger
        self._now = now
        self._observe = observe

    async def carry_out(self, plan: Plan, *, last_change: datetime | None) -> Rebuilt:
        """Find all there is of the plan's items, and put it into the ledger in one transaction.

        Args:
            plan: what the manifest asks for.
            last_change: of the ledger that was lost, as far as it is known.

        Raises:
            RequestRefused: the service does not show its jobs.
            SubmissionUncertain: it may hide some still that were made right before the ledger was lost, and there are
                items without one.
            AbortRun: the service or the disk cannot be used. In all these cases nothing has changed.
        """
        works = {one.work.key: one.work for one in plan.items}
        orders = Orders(works.values())
        found = await self._gather(orders, last_change)
        uploads = _uploads(works.values(), found.names)
        evidence = [_evidence_of(key, works.get(key), found) for key in {**works, **found.rows}]
        is_believed = self._is_absence_believed(found, last_change)
        records = [
            record
            for one in evidence
            if (record := self._restored(one, self._doubt(one.work, uploads, last_change), is_believed=is_believed))
        ]
        to_make = len(works.keys() - found.records.keys() - {one.key for one in records})
        unsettled = to_make + (0 if self._terms.patience.ask else sum(map(_is_beyond_finding, records)))
        if unsettled and not is_believed:
            raise self._too_early(unsettled, last_change)
        await self._restore(records, found, uploads)
        strangers = tuple(_strangers(found, orders))
        return Rebuilt(
            records=tuple(records),
            labels=_labels(works.values(), found.rows),
            spare=tuple(_spares(evidence, records)),
            strangers=strangers,
            others=sum(_is_unknown(job, found) for job in found.listed.jobs) - len(strangers),
            to_make=to_make,
            unread_rows=found.unread_rows,
            jobs=len(found.listed.jobs),
            is_whole=found.listed.is_whole,
            last_change=last_change,
        )

    async def _gather(self, orders: Orders, last_change: datetime | None) -> _Remains:
        results = await read_results(self._terms.shelf.output, storage=self._storage)
        rows = [row for row in results.rows if _KEY.fullmatch(row.key) and row.backend == self._backend]
        files = await standing_files(rows, self._terms.shelf.output, storage=self._storage)
        await self._let_settle(last_change)
        asked_at = self._now()
        found = _Remains(listed=await list_jobs(self._scenario, self._model, observe=self._observe))
        found.latest = found.listed.latest
        if found.listed.told_at is not None:
            found.ahead = max(found.listed.told_at + DATE_STEP - asked_at, timedelta())
        found.unread_rows = results.unread
        for at, row in enumerate(rows):
            found.rows.setdefault(row.key, []).append(row)
            if at in files:
                found.files.setdefault(row.key, []).append((row, files[at]))
        told = {row.job_id: row.key for row in rows if row.job_id}
        unlisted = told.keys() - {job.job_id for job in found.listed.jobs}
        found.listed.jobs += await look_up(sorted(unlisted), scenario=self._scenario)
        found.names = await picture_names(found.listed.jobs, scenario=self._scenario)
        found.keys = _keys_of(found.listed.jobs, told, orders, found.names)
        found.records = {one.key: one for one in await self._ledger.items()}
        found.known_jobs = frozenset(await self._ledger.known_jobs([job.job_id for job in found.listed.jobs]))
        for job in sorted(found.listed.jobs, key=_age_of):
            if (key := found.keys.get(job.job_id)) and job.job_id not in found.known_jobs:
                found.jobs.setdefault(key, []).append(job)
        return found

    async def _let_settle(self, last_change: datetime | None) -> None:
        """A job that was submitted right before the ledger was lost needs its time to be listed."""
        settle_s = self._terms.patience.settle_s
        age_s = 0.0 if last_change is None else (self._now() - last_change).total_seconds()
        left_s = min(settle_s - age_s, settle_s)
        if left_s > 0:
            self._observe(Noted(message=f"waiting {left_s:.0f} s: what was submitted last may not be listed yet"))
            await anyio.sleep(left_s)

    def _is_absence_believed(self, found: _Remains, last_change: datetime | None) -> bool:
        """Whether what the list does not show was not made: as promise 2 has it for a lost answer, with the settle time
        waited for. Where nothing tells when the ledger was last changed, a person who rebuilds has to know.
        """
        if last_change is None:
            return True
        settle = timedelta(seconds=self._terms.patience.settle_s)
        has_caught_up = found.latest is not None and found.latest > last_change + settle + found.ahead
        return has_caught_up or self._now() >= self._believed_at(last_change)

    def _believed_at(self, last_change: datetime) -> datetime:
        return last_change + timedelta(seconds=self._terms.patience.believe_after_s)

    def _too_early(self, count: int, last_change: datetime | None) -> SubmissionUncertain:
        assert last_change is not None  # else absence is believed
        return SubmissionUncertain(
            f"the service lists nothing that came after {last_change:%Y-%m-%d %H:%M:%S} UTC, when the ledger was last "
            f"changed: the list may lag, and {count:,} work items without a job may have one there",
            mend=f"rebuild after {self._believed_at(last_change):%Y-%m-%d %H:%M:%S} UTC "
            "(`uncertain: {believe_after: ...}` in the manifest); nothing has changed",
        )

    def _restored(self, evidence: Evidence, doubt: Doubt, *, is_believed: bool) -> ItemRecord | None:
        believed = is_believed and not self._terms.patience.ask
        return restored(
            evidence,
            service=self._terms.service,
            project=self._terms.project,
            doubt=None if believed else doubt,
        )

    def _doubt(
        self, work: WorkItem | None, uploads: Mapping[tuple[str, int], str], last_change: datetime | None
    ) -> Doubt:
        """What an uncertain submission looks like whose record is lost."""
        assets = {View.FRONT: NOT_KNOWN}
        if work is not None:
            assets = {
                view: uploads.get((one.sha256, work.copy if view is View.FRONT else 1), NOT_KNOWN)
                for view, one in work.pictures.items()
            }
        return Doubt(since=last_change or self._now(), inputs=submission(work.params if work else {}, assets))

    async def _restore(
        self, records: Sequence[ItemRecord], found: _Remains, uploads: Mapping[tuple[str, int], str]
    ) -> None:
        there = {*found.records, *(one.key for one in records)}
        await self._ledger.restore(
            Restoration(
                service=self._terms.service,
                project=self._terms.project,
                items=records,
                jobs={job_id: key for job_id, key in found.keys.items() if key in there},
                deliveries=[
                    self._delivery(row, files)
                    for key, standing in found.files.items()
                    if key in there
                    for row, files in standing
                ],
                uploads=[
                    UploadEntry(sha256=sha256, copy=copy, asset_id=asset_id)
                    for (sha256, copy), asset_id in uploads.items()
                ],
                detail="from the results, the files and the service's job list",
            )
        )

    def _delivery(self, row: ResultRow, files: Sequence[OutputFile]) -> Delivery:
        return Delivery(
            output=self._terms.shelf_name,
            alias=alias_of(row),
            key=row.key,
            held=row.state is State.HELD,
            files=files,
            delivered_at=self._now(),
        )


def _evidence_of(key: str, work: WorkItem | None, found: _Remains) -> Evidence:
    standing = found.files.get(key, ())
    rows = found.rows.get(key, ())
    return Evidence(
        key=key,
        work=work,
        row=standing[0][0] if standing else rows[0] if rows else None,
        stands=bool(standing),
        jobs=tuple(found.jobs.get(key, ())),
        record=found.records.get(key),
    )


def _age_of(job: Job) -> float:
    """For sorting: the newest first, those without a date last."""
    return -job.created_at.timestamp() if job.created_at else 0.0


def _keys_of(jobs: Iterable[Job], told: Mapping[str, str], orders: Orders, names: Names) -> dict[str, str]:
    """By job id: the key of the item that it was made for, by a row's word, else by its pictures and parameters."""
    found = dict(told)
    for job in jobs:
        if job.job_id not in found and (work := orders.fitting(job, names)):
            found[job.job_id] = work.key
    return found


def _uploads(works: Iterable[WorkItem], names: Names) -> dict[tuple[str, int], str]:
    """The asset of each picture, by its SHA-256 and copy."""
    assets = {name: asset_id for asset_id, name in names.items() if name is not None}
    found = {}
    for work in works:
        for view, picture in work.pictures.items():
            copy = work.copy if view is View.FRONT else 1
            if asset_id := assets.get(named(picture, copy)):
                found[picture.sha256, copy] = asset_id
    return found


def _is_beyond_finding(record: ItemRecord) -> bool:
    """Whether it is uncertain, and no job that is listed later could be known for its own."""
    return record.state is State.UNCERTAIN and NOT_KNOWN in record.inputs.values()


def _labels(works: Iterable[WorkItem], rows: Mapping[str, Sequence[ResultRow]]) -> dict[str, Sequence[str]]:
    told = {key: tuple(row.label for row in some) for key, some in rows.items()}
    return {**told, **{work.key: tuple(alias.label for alias in work.aliases) for work in works}}


def _spares(evidence: Iterable[Evidence], records: Iterable[ItemRecord]) -> Iterable[Spare]:
    taken = {one.key: one.job_id for one in records}
    for one in evidence:
        job_id = taken.get(one.key, one.record.job_id if one.record else "")
        for job in spare_jobs(one, job_id):
            yield Spare(key=one.key, job_id=job.job_id, taken=job_id)


def _is_unknown(job: Job, found: _Remains) -> bool:
    return job.job_id not in found.keys and job.job_id not in found.known_jobs


def _strangers(found: _Remains, orders: Orders) -> Iterable[Stranger]:
    for job in found.listed.jobs:
        if _is_unknown(job, found) and (why := orders.why_not(job, found.names)):
            yield Stranger(job_id=job.job_id, created_at=job.created_at, why=why)
