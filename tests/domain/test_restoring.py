from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.domain.asset_names import NamedPicture, named
from pipeline.domain.items import Alias, ItemRecord, Picture, WorkItem
from pipeline.domain.jobs import Job, JobStatus
from pipeline.domain.lifecycle import State, is_paid
from pipeline.domain.restoring import Doubt, Evidence, Orders, chosen_job, files_of, restored, spare_jobs
from pipeline.domain.results import ResultFile, ResultRow
from pipeline.domain.views import View

NOON = datetime(2031, 5, 1, 12, tzinfo=UTC)
KEY = "0123456789abcdef" * 4
DOUBT = Doubt(since=NOON, inputs={"frontImage": "not known"})


def picture(digit: str) -> Picture:
    return Picture(
        path=Path(f"{digit}.png"), sha256=digit * 64, size_bytes=1, media_type="image/png", width=200, height=200
    )


def work(*, copy: int = 1, **changes: Any) -> WorkItem:
    pictures = {View.FRONT: picture("f"), View.BACK: picture("b")}
    usual = {"params": {"faceCount": 50_000}, "pictures": pictures, "aliases": (Alias(set_id="chair"),)}
    return WorkItem(key=KEY, model="m", copy=copy, **{**usual, **changes})


NAMES = {
    "asset_f": named(picture("f")),
    "asset_f2": named(picture("f"), 2),
    "asset_b": named(picture("b")),
    "theirs": None,
}
ECHO = {"frontImage": "asset_f", "backImage": "asset_b", "faceCount": 50_000, "enablePbr": False}


def job(at: int = 0, *, status: JobStatus = JobStatus.SUCCESS, cu: float | None = 7.0, **changes: Any) -> Job:
    made = ("mesh",) if status is JobStatus.SUCCESS else ()
    usual = {"asset_ids": made, "echo": ECHO, "created_at": NOON + timedelta(seconds=at), "cu_charged": cu}
    return Job(job_id=f"job_{at}", status=status, **{**usual, **changes})


@pytest.mark.parametrize(
    ("changes", "fits"),
    [
        ({}, True),
        ({"newField": {"deep": 1}}, True),
        ({"leftImage": None}, True),
        ({"leftImage": "asset_b"}, False),
        ({"backImage": None}, False),
        ({"backImage": "asset_f"}, False),
        ({"backImage": "theirs"}, False),
        ({"backImage": "gone"}, False),
        ({"faceCount": 60_000}, False),
        ({"frontImage": "asset_f2"}, False),
    ],
)
def test_a_job_is_of_a_work_item_when_pictures_views_and_parameters_are(changes: dict[str, Any], *, fits: bool) -> None:
    found = Orders([work()]).fitting(job(echo={**ECHO, **changes}), NAMES)
    assert (found is not None) == fits


def test_a_parameter_that_is_not_told_is_not_taken_for_granted() -> None:
    echo = {name: value for name, value in ECHO.items() if name != "faceCount"}
    assert Orders([work()]).fitting(job(echo=echo), NAMES) is None


def test_copies_are_told_apart_by_their_front_pictures() -> None:
    first, second = work(), work(copy=2)
    orders = Orders([first, second])
    assert orders.fitting(job(), NAMES) is first
    assert orders.fitting(job(echo={**ECHO, "frontImage": "asset_f2"}), NAMES) is second


def test_one_picture_may_serve_as_several_views() -> None:
    twice = work(pictures={View.FRONT: picture("f"), View.BACK: picture("f")})
    assert Orders([twice]).fitting(job(echo={**ECHO, "backImage": "asset_f"}), NAMES) is twice


JOBS = st.lists(
    st.builds(
        lambda at, status, cu: job(at, status=status, cu=cu),
        st.integers(0, 99),
        st.sampled_from(JobStatus),
        st.sampled_from([None, 0.0, 7.0]),
    ),
    max_size=5,
    unique_by=lambda one: one.job_id,
).map(lambda jobs: sorted(jobs, key=lambda one: one.created_at, reverse=True))

RECORDS = st.none() | st.builds(
    lambda state, asset_ids: ItemRecord(
        key=KEY,
        state=state,
        service="s",
        project="",
        model="m",
        params={},
        pictures={},
        asset_ids=asset_ids,
        submitting_at=NOON,
    ),
    st.sampled_from(State),
    st.sampled_from([(), ("mesh",)]),
)

ROWS = st.none() | st.builds(
    lambda state, job_id: ResultRow(set="chair", key=KEY, state=state, job_id=job_id, backend="s"),
    st.sampled_from(State),
    st.sampled_from(["", "job_told"]),
)


@given(jobs=JOBS, record=RECORDS, row=ROWS, doubt=st.sampled_from([None, DOUBT]))
def test_what_is_paid_is_never_begun_anew(
    jobs: list[Job], record: ItemRecord | None, row: ResultRow | None, doubt: Doubt | None
) -> None:
    found = Evidence(key=KEY, work=work(), row=row, jobs=tuple(jobs), record=record)
    after = restored(found, service="s", project="", doubt=doubt)
    paid = [one for one in jobs if one.cu_charged or not one.status.is_final or one.status is JobStatus.SUCCESS]
    standing = after or record
    if paid:
        assert standing is not None
        assert is_paid(standing.state) or standing.state in {State.DELIVERED, State.HELD, State.DROPPED, State.FAILED}
        assert standing.state is not State.FAILED or standing.asset_ids
    if after is not None and after.job_id and paid:
        assert after.job_id in {one.job_id for one in paid}
        assert {one.job_id for one in spare_jobs(found, after.job_id)} <= {one.job_id for one in jobs} - {after.job_id}
    if record is not None and record.state in {State.DELIVERED, State.HELD, State.SUBMITTED, State.FINISHED}:
        assert after is None


@given(JOBS)
def test_a_success_comes_before_what_runs_and_a_refunded_failure_is_none(jobs: list[Job]) -> None:
    taken = chosen_job(jobs)
    if any(one.status is JobStatus.SUCCESS for one in jobs):
        assert taken == next(one for one in jobs if one.status is JobStatus.SUCCESS)
    elif taken is not None:
        assert not taken.status.is_final or taken.cu_charged


def row(path: str, *, state: State = State.DELIVERED, role: str = "mesh", **changes: Any) -> ResultRow:
    file = ResultFile(role=role, path=path, bytes=1, sha256="a" * 64, media_type="model/gltf-binary")
    return ResultRow(set="props/chair", variant="pbr", key=KEY, state=state, outputs=(file,), **changes)


@pytest.mark.parametrize(
    ("found", "is_ours"),
    [
        (row("meshes/props/chair@pbr/chair.glb"), True),
        (row("held/props/chair@pbr/chair.glb", state=State.HELD), True),
        (row("meshes/props/chair@pbr/albedo.png", role="albedo"), True),
        (row("previews/props/chair@pbr.webp", role="preview"), True),
        (row("meshes/props/chair@pbr/chair.glb", state=State.HELD), False),
        (row("../../etc/passwd"), False),
        (row("/etc/passwd"), False),
        (row("meshes/props/chair@pbr/../../../x.glb"), False),
        (row("meshes/props/lamp/lamp.glb"), False),
        (row("meshes/props/chair@pbr/x.glb", role="../x"), False),
    ],
)
def test_files_are_ours_when_they_are_named_as_we_name_them(found: ResultRow, *, is_ours: bool) -> None:
    assert bool(files_of(found)) == is_ours


def test_an_uncertain_submission_stays_so_in_doubt_alone() -> None:
    found = Evidence(key=KEY, work=work(), row=replace_state(State.UNCERTAIN))
    assert restored(found, service="s", project="", doubt=None) is None
    after = restored(found, service="s", project="", doubt=DOUBT)
    assert after is not None
    assert (after.state, after.submitting_at, after.inputs) == (State.UNCERTAIN, NOON, DOUBT.inputs)


def test_what_was_noted_of_a_mesh_is_known_again_from_its_row_or_its_job() -> None:
    """An older row has no notes; the next publication would lose them otherwise."""
    told = row("meshes/chair/chair.glb", notes=("the depth is guessed",))
    delivered = restored(Evidence(key=KEY, row=told, stands=True), service="s", project="", doubt=None)
    noted = replace(job(), notes=("the depth is guessed",))
    finished = restored(Evidence(key=KEY, work=work(), jobs=(noted,)), service="s", project="", doubt=None)
    assert delivered is not None
    assert finished is not None
    assert (delivered.state, finished.state) == (State.DELIVERED, State.FINISHED)
    assert delivered.notes == finished.notes == ("the depth is guessed",)


def replace_state(state: State) -> ResultRow:
    return ResultRow(set="chair", key=KEY, state=state)


def test_a_told_copy_that_no_picture_of_the_plan_has_fits_nothing() -> None:
    orders = Orders([work()])
    assert orders.fitting(job(echo={**ECHO, "frontImage": "x"}), {**NAMES, "x": NamedPicture("0" * 32)}) is None
    assert "no set of this manifest" in orders.why_not(
        job(echo={**ECHO, "frontImage": "x"}), {**NAMES, "x": NamedPicture("0" * 32)}
    )
    assert orders.why_not(job(echo={**ECHO, "frontImage": "theirs"}), NAMES) == ""


def test_the_number_of_failures_in_a_row_is_kept() -> None:
    failures = [job(at, status=JobStatus.FAILURE, cu=0.0, asset_ids=()) for at in (9, 8)]
    found = Evidence(key=KEY, work=work(), jobs=(*failures, replace(job(7), job_id="older")))
    after = restored(found, service="s", project="", doubt=None)
    assert after is not None
    assert (after.state, after.job_id, after.failed_jobs) == (State.FINISHED, "older", 0)
    alone = restored(replace(found, jobs=tuple(failures)), service="s", project="", doubt=None)
    assert alone is not None
    assert (alone.state, alone.failed_jobs) == (State.FAILED, 2)


@pytest.mark.parametrize(
    ("state", "job_id", "attempts", "doubt", "after"),
    [
        (State.SUBMITTED, "job_9", 2, DOUBT, State.SUBMITTED),
        (State.FINISHED, "job_9", 2, None, State.SUBMITTED),
        (State.SUBMITTED, "job_0", 1, DOUBT, State.FAILED),
        (State.UNCERTAIN, "", 2, DOUBT, State.UNCERTAIN),
        (State.UNCERTAIN, "", 2, None, State.FAILED),
        (State.SUBMITTING, "", 1, DOUBT, State.FAILED),
    ],
)
def test_failures_that_are_listed_say_nothing_of_a_later_submission_that_the_results_tell_of(
    state: State, job_id: str, attempts: int, doubt: Doubt | None, after: State
) -> None:
    """A list that lags shows the first job, which failed, and not yet the second one, which is paid."""
    told = ResultRow(set="chair", key=KEY, state=state, job_id=job_id, attempts=attempts)
    evidence = Evidence(key=KEY, work=work(), row=told, jobs=(job(status=JobStatus.FAILURE, cu=0.0),))
    found = restored(evidence, service="scenario", project="", doubt=doubt)
    assert found is not None
    assert (found.state, found.job_id) == (after, job_id if after is State.SUBMITTED else found.job_id)
