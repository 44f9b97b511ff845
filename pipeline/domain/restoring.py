"""What a ledger should hold of a work item, told by what is left when it is lost: a row of the results, files that
stand, jobs at the service. Decided here, without I/O.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any

from pipeline.domain.asset_names import NamedPicture, named
from pipeline.domain.failures import failed_jobs, failure_of
from pipeline.domain.items import Alias, ItemRecord, MeshFacts, OutputFile, Verdict, WorkItem
from pipeline.domain.jobs import Job, JobStatus
from pipeline.domain.lifecycle import State, is_paid
from pipeline.domain.outputs import PREVIEW, file_name, mesh_folder, preview_path
from pipeline.domain.results import ResultFile, ResultMesh, ResultRow
from pipeline.domain.views import View

Names = Mapping[str, NamedPicture | None]
"""By asset id: the picture that its name tells of; None where it is not one that we have named. Assets that the service
no longer has, or tells no name of, are left out.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """All that is known of one work item."""

    key: str
    work: WorkItem | None = None
    """None: no set of the manifest asks for it (any more)."""
    row: ResultRow | None = None
    stands: bool = False
    """The files that the row tells of stand whole in the output folder."""
    jobs: tuple[Job, ...] = ()
    """Jobs at the service that were made for it and that no ledger knows, newest first."""
    record: ItemRecord | None = None
    """What a ledger that is sound but lacks something has of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """A submission whose answer was lost may still come up in the service's list."""

    since: datetime
    """No submission is younger."""
    inputs: Mapping[str, Any]
    """Of the item in doubt, as far as its pictures' assets are known."""


def chosen_job(jobs: Iterable[Job]) -> Job | None:
    """Of an item's jobs, newest first, the one to go on with: a success, else one that may become one, else a failure
    that was charged all the same. A refunded failure is none.
    """
    jobs = list(jobs)
    successes = [job for job in jobs if job.status is JobStatus.SUCCESS]
    running = [job for job in jobs if not job.status.is_final]
    charged = [job for job in jobs if job.status.is_final and job.cu_charged]
    return next(iter([*successes, *running, *charged]), None)


def restored(found: Evidence, *, service: str, project: str, doubt: Doubt | None) -> ItemRecord | None:
    """The record that a ledger should have; None where it has all that there is to know.

    Args:
        found: what is known of the item.
        service: the service's identity.
        project: the service's project.
        doubt: what a submission that was uncertain is left in; None: an absence from the service's list is believed.
    """
    if found.record is not None and _is_settled(found.record):
        return None
    base = found.record or _blank(found, service, project)
    if found.stands and found.row is not None:
        return _delivered(base, found, found.row)
    job = chosen_job(found.jobs)
    if job is not None:
        return _with_job(base, found, job)
    if _tells_of_another(found) and (told := _as_told(base, found, doubt)):
        return told
    if found.jobs:
        return _failed(base, found.jobs)
    return None if found.record is not None else _as_told(base, found, doubt)


def _tells_of_another(found: Evidence) -> bool:
    """Whether the row tells of a later submission than those that failed, which the service does not list (yet)."""
    row = found.row
    if row is None or found.record is not None:  # a ledger that is sound knows better than a row
        return False
    if row.state in {State.SUBMITTING, State.UNCERTAIN}:
        return row.attempts > len(found.jobs)
    return bool(row.job_id) and row.job_id not in {one.job_id for one in found.jobs}


def _is_settled(record: ItemRecord) -> bool:
    """Whether the ledger knows of a job, or of a person's word, that nothing else can better."""
    if record.state in {State.SUBMITTING, State.UNCERTAIN}:
        return False
    if record.state in {State.DELIVERED, State.HELD, State.DROPPED} or is_paid(record.state):
        return True
    return record.state is State.FAILED and bool(record.asset_ids)


def _blank(found: Evidence, service: str, project: str) -> ItemRecord:
    work, row = found.work, found.row
    return ItemRecord(
        key=found.key,
        state=State.PLANNED,
        service=service,
        project=project,
        model=work.model if work else row.model if row else "",
        params=work.params if work else row.params if row else {},
        pictures={view: one.sha256 for view, one in work.pictures.items()} if work else {},
        copy=work.copy if work else row.copy_number if row else 1,
        attempts=max(row.attempts if row else 0, len(found.jobs)),
        quoted_cu=row.cu_quoted if row else None,
        charged_cu=row.cu_charged if row else None,
        timings=row.timings if row else {},
    )


def _delivered(base: ItemRecord, found: Evidence, row: ResultRow) -> ItemRecord:
    """The asset ids let a file that is lost later be fetched again."""
    job = next((one for one in found.jobs if one.job_id == row.job_id), None) or chosen_job(found.jobs)
    return replace(
        base,
        state=row.state,
        job_id=row.job_id or (job.job_id if job else ""),
        asset_ids=job.asset_ids if job else (),
        inputs=_inputs(base, job) if job else {},
        submitting_at=job.created_at if job else None,
        charged_cu=_charged(found.jobs) or row.cu_charged,
        outputs=tuple(_staged(one) for one in row.outputs if one.role != PREVIEW),
        verdict=Verdict(outcome=row.verdict, reasons=row.reasons, facts=_facts(row.mesh)) if row.verdict else None,
        notes=row.notes,
        **_NO_ERROR,
    )


def _with_job(base: ItemRecord, found: Evidence, job: Job) -> ItemRecord:
    """A job that has ended well is as good as watched; any other is watched by the next run."""
    is_made = job.status is JobStatus.SUCCESS and bool(job.asset_ids)
    others = [one for one in found.jobs if one is not job]
    price = job.cu_charged if job.cu_charged is not None else base.quoted_cu or 0.0
    return replace(
        base,
        state=State.FINISHED if is_made else State.SUBMITTED,
        job_id=job.job_id,
        asset_ids=job.asset_ids if is_made else (),
        inputs=_inputs(base, job),
        submitting_at=job.created_at,
        failed_jobs=0 if is_made else _failures(others),
        charged_cu=_charged(others) + price if is_made else _charged(others) or None,
        notes=job.notes if is_made else (),
        outputs=(),
        verdict=None,
        **_NO_ERROR,
    )


def _failed(base: ItemRecord, jobs: Sequence[Job]) -> ItemRecord:
    """Refunded failures alone: the next run tries again, within the bound that they count towards."""
    last = jobs[0]
    count = failed_jobs(last, _failures(jobs[1:]))
    failure = failure_of(last, count)
    return replace(
        base,
        state=State.FAILED,
        job_id=last.job_id,
        inputs=_inputs(base, last),
        submitting_at=last.created_at,
        failed_jobs=count,
        charged_cu=0.0,
        error_class=type(failure).__name__,
        error=str(failure),
        mend=failure.mend,
    )


def _as_told(base: ItemRecord, found: Evidence, doubt: Doubt | None) -> ItemRecord | None:
    """The row alone tells: the service's list has no job of it, nor was the row's own to be looked up."""
    row = found.row
    if row is None:
        return None
    if row.state is State.DROPPED:
        return replace(base, state=State.DROPPED)
    if row.state in {State.SUBMITTING, State.UNCERTAIN}:
        return _uncertain(base, doubt) if doubt else None
    if row.job_id and (is_paid(row.state) or row.state in {State.DELIVERED, State.HELD}):
        return replace(base, state=State.SUBMITTED, job_id=row.job_id)
    return None


def _uncertain(base: ItemRecord, doubt: Doubt) -> ItemRecord:
    return replace(
        base,
        state=State.UNCERTAIN,
        inputs=doubt.inputs,
        submitting_at=doubt.since,
        lost_at=doubt.since,
        error_class="SubmissionUncertain",
        error="its answer was lost, then the ledger; whether the job was made, and charged, is not known",
        mend="run again, or `mvmesh reconcile`: the service's job list is searched before anything is sent anew",
    )


_NO_ERROR: Mapping[str, Any] = {"error_class": "", "error": "", "mend": ""}


def _failures(jobs: Sequence[Job]) -> int:
    """How many failed one after the other, up to the newest."""
    count = 0
    for job in jobs:
        if job.status is JobStatus.SUCCESS:
            break
        count += job.status.is_final
    return count


def _charged(jobs: Iterable[Job]) -> float:
    return sum((job.cu_charged or 0.0 for job in jobs), 0.0)


def _inputs(base: ItemRecord, job: Job) -> Mapping[str, Any]:
    """What was sent: the echo may have more."""
    sent = [*(view.field for view in View), *base.params]
    return {name: job.echo[name] for name in sent if job.echo.get(name) is not None}


def _staged(file: ResultFile) -> OutputFile:
    """As a download names it: the place in the output folder is the delivery's business."""
    suffix = PurePosixPath(file.path).suffix
    return OutputFile(
        role=file.role,
        name=f"{file.role}.part{suffix}",
        size_bytes=file.bytes,
        sha256=file.sha256,
        media_type=file.media_type,
    )


def _facts(mesh: ResultMesh | None) -> MeshFacts | None:
    if mesh is None:
        return None
    return MeshFacts(
        face_count=mesh.faces,
        vertex_count=mesh.vertices,
        texture_count=mesh.textures,
        material_count=mesh.materials,
        has_uvs=mesh.has_uvs,
        has_pbr=mesh.has_pbr,
    )


def alias_of(row: ResultRow) -> Alias:
    return Alias(set_id=row.set, variant=row.variant, copy=row.copy_number)


def files_of(row: ResultRow) -> list[OutputFile]:
    """The files that a delivered row tells of, as far as they are named as we name them: a row is but a line of a file
    that anybody may have edited, and what it names may be moved away later.
    """
    alias = alias_of(row)
    folder = mesh_folder(alias, held=row.state is State.HELD)
    found = []
    for one in row.outputs:
        ours = preview_path(alias)
        if one.role != PREVIEW:
            ours = folder / file_name(alias, one.role, PurePosixPath(one.path).suffix)
        if one.path == str(ours):
            found.append(
                OutputFile(
                    role=one.role, name=one.path, size_bytes=one.bytes, sha256=one.sha256, media_type=one.media_type
                )
            )
    return found


class Orders:
    """The work items of a plan, found by the inputs that a job echoes."""

    def __init__(self, works: Iterable[WorkItem]) -> None:
        self._by_front: dict[NamedPicture, list[WorkItem]] = {}
        for work in works:
            self._by_front.setdefault(named(work.pictures[View.FRONT], work.copy), []).append(work)

    def fitting(self, job: Job, names: Names) -> WorkItem | None:
        """The work item that the job was made for: the same pictures for the same views, the same parameters."""
        return next((work for work in self._candidates(job, names) if _fits(work, job.echo, names)), None)

    def why_not(self, job: Job, names: Names) -> str:
        """Why no work item fits a job; empty where it is certainly none of ours."""
        front = job.echo.get(View.FRONT.field)
        if not isinstance(front, str):
            return "the service does not tell its inputs"
        if front not in names:
            return "its front picture is no longer at the service, or has no name there"
        if names[front] is None:
            return ""
        if near := self._candidates(job, names):
            return f"the front picture of {near[0].aliases[0].label}, with other views or parameters"
        return "its front picture is of no set of this manifest"

    def _candidates(self, job: Job, names: Names) -> Sequence[WorkItem]:
        name = names.get(str(job.echo.get(View.FRONT.field, "")))
        return self._by_front.get(name, ()) if name else ()


def _fits(work: WorkItem, echo: Mapping[str, Any], names: Names) -> bool:
    """The front picture was compared, with its copy, when the work item was looked up."""
    given = {view: str(echo[view.field]) for view in View if echo.get(view.field)}
    if given.keys() != work.pictures.keys():
        return False
    seen = {view: names.get(asset_id) for view, asset_id in given.items()}
    has_pictures = all(one is not None and one.is_of(work.pictures[view]) for view, one in seen.items())
    return has_pictures and all(name in echo and echo[name] == value for name, value in work.params.items())


def spare_jobs(found: Evidence, taken: str) -> Collection[Job]:
    """Jobs beside the one that is gone on with which were paid, or will be."""
    return [job for job in found.jobs if job.job_id != taken and (job.cu_charged or not job.status.is_final)]
