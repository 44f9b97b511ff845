"""The local service's store, on a real disk."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import anyio
import pytest

from pipeline.domain.errors import LocalIoError
from pipeline.domain.jobs import JobStatus
from pipeline.ports.job_records import AssetRecord, JobRecord, UploadRecord, new_id, to_row
from pipeline.ports.job_store import MIGRATIONS, JobQuery, JobStore
from pipeline.ports.sqlite import Database

pytestmark = pytest.mark.anyio
START = datetime(2026, 1, 1, tzinfo=UTC)


def clock(start: datetime = START) -> Callable[[], datetime]:
    """A wall clock that moves on by a second at every look."""
    ticks = iter(start + timedelta(seconds=count) for count in range(1000))
    return lambda: next(ticks)


def job(at: datetime = START, **fields) -> JobRecord:
    history = ((JobStatus.QUEUED, at),)
    fields = {"job_id": new_id("job"), "inputs": {"faceCount": 50_000}, "history": history, **fields}
    return JobRecord(model_id="model_x", cu_cost=5, created_at=at, updated_at=at, **fields)


def asset() -> AssetRecord:
    return AssetRecord(
        asset_id=new_id("asset"),
        name="front.png",
        kind="image",
        source="uploaded",
        media_type="image/png",
        properties={"size": 3},
        created_at=START,
        collection_ids=("c1", "c2"),
    )


async def test_records_come_back_as_they_were_given(tmp_path) -> None:
    upload = UploadRecord(
        upload_id=new_id("upload"),
        file_name="ä.png",
        media_type="image/png",
        size_bytes=3,
        parts=2,
        created_at=START,
        updated_at=START,
        hidden=True,
    )
    made, picture = job(error="ü", asset_ids=("a", "b"), progress=0.25, notes=("n; 1", "ö")), asset()
    async with JobStore.open(tmp_path, now=clock()) as store:
        await store.add_job(made, ceiling=1)
        await store.add_asset(picture, b"png")
        await store.save_upload(upload)
        await store.save_part(upload, 2, b"two")
        key = await store.key("signing")
    async with JobStore.open(tmp_path, now=clock()) as store:
        assert await store.job(made.job_id) == made
        assert await store.assets(["x", picture.asset_id]) == [picture]
        assert store.asset_path(picture.asset_id).read_bytes() == b"png"
        assert await store.upload(upload.upload_id) == upload
        assert await store.parts(upload) == [None, b"two"]
        assert await store.key("signing") == key != await store.key("another")


async def test_jobs_of_a_store_that_knew_neither_notes_nor_faults_have_none(tmp_path) -> None:
    database = await Database.open(tmp_path / "service.sqlite3", MIGRATIONS[:1])
    old = {name: value for name, value in to_row(job(job_id="job_old")).items() if name not in {"notes", "fault"}}
    insert = f"INSERT INTO jobs ({', '.join(old)}) VALUES ({', '.join('?' * len(old))})"
    await database.write(lambda connection: connection.execute(insert, list(old.values())) and None)
    await database.close()
    async with JobStore.open(tmp_path, now=clock()) as store:
        assert await store.job("job_old") == job(job_id="job_old")


async def test_the_ceiling_holds_when_all_come_at_once(tmp_path) -> None:
    accepted = []
    async with JobStore.open(tmp_path, now=clock()) as store:

        async def submit() -> None:
            accepted.append(await store.add_job(job(), ceiling=3))

        async with anyio.create_task_group() as tasks:
            for _ in range(10):
                tasks.start_soon(submit)
    assert accepted.count(True) == 3


async def test_jobs_are_taken_once_each_oldest_first(tmp_path) -> None:
    now = clock()
    async with JobStore.open(tmp_path, now=now) as store:
        waiting = [job(now()) for _ in range(3)]
        for one in waiting:
            await store.add_job(one, ceiling=9)
        taken = [await store.take_job(now) for _ in range(4)]
    assert [one.job_id if one else None for one in taken] == [*(one.job_id for one in waiting), None]


async def test_only_interrupted_jobs_are_queued_again(tmp_path) -> None:
    now = clock()
    async with JobStore.open(tmp_path, now=now) as store:
        done, failed, running, queued = (job(now()) for _ in range(4))
        finished = replace(done, status=JobStatus.SUCCESS)
        for one in (finished, replace(failed, status=JobStatus.FAILURE), queued):
            await store.save_job(one)
        await store.save_job(running.moved(JobStatus.IN_PROGRESS, now(), progress=0.5))
        assert await store.requeue_interrupted(now) == 1
        again = await store.job(running.job_id)
        assert again
        assert (again.status, again.progress) == (JobStatus.QUEUED, 0.0)
        assert await store.job(done.job_id) == finished
        assert await store.cu_spent() == 15  # of four jobs of 5 CU, one failed


async def test_pages_follow_one_another_through_equal_times(tmp_path) -> None:
    async with JobStore.open(tmp_path, now=clock()) as store:
        made = [job() for _ in range(7)]
        for one in made:
            await store.save_job(one)
        query, seen = JobQuery(by_update=True, size=3), []
        while page := await store.jobs(query):
            seen += [one.job_id for one in page]
            query = replace(query, beyond=query.position(page[-1]))
        assert sorted(seen) == sorted(one.job_id for one in made)
        assert await store.jobs(replace(query, beyond=None, after=START)) == []


async def test_uploads_that_nobody_completed_are_swept_after_a_day(tmp_path) -> None:
    upload = UploadRecord(
        upload_id=new_id("upload"),
        file_name="a",
        media_type="image/png",
        size_bytes=3,
        parts=1,
        created_at=START,
        updated_at=START,
    )
    async with JobStore.open(tmp_path, now=clock()) as store:
        await store.save_upload(upload)
        await store.save_part(upload, 1, b"one")
    async with JobStore.open(tmp_path, now=clock(START + timedelta(hours=23))) as store:
        assert await store.parts(upload) == [b"one"]
    async with JobStore.open(tmp_path, now=clock(START + timedelta(hours=25))) as store:
        assert await store.upload(upload.upload_id) is None
        assert await store.parts(upload) == [None]


async def test_a_folder_that_is_none_is_told(tmp_path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(LocalIoError):
        async with JobStore.open(tmp_path / "file" / "data", now=clock()):
            pass
