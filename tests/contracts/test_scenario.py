"""The port ``Scenario``."""

from datetime import timedelta

import anyio
import pytest

from pipeline.domain.errors import AssetGone, CeilingReached, RequestRefused, Throttled
from pipeline.domain.jobs import Job, JobStatus
from pipeline.domain.model import MODEL_ID, PUBLISHED_SCHEMA

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["real", "simulated", "scripted"])
def kind(request):
    return request.param


async def submitted(served, **inputs) -> Job:
    inputs = inputs or {"frontImage": await served.upload()}
    return await served.scenario.generate(model=MODEL_ID, inputs=inputs)


async def ended(served, job: Job) -> Job:
    while not job.status.is_final:
        await anyio.sleep(0.05)
        job = await served.scenario.job(job.job_id)
    return job


async def test_every_upload_is_an_asset_of_its_own(serving):
    async with serving() as served:
        assert len({await served.upload(), await served.upload()}) == 2


async def test_a_quote_creates_nothing(serving):
    async with serving() as served:
        quote = await served.scenario.quote(model=MODEL_ID, inputs={"frontImage": await served.upload()})
        assert quote.cu == 10
        assert (await served.scenario.jobs()).jobs == ()


async def test_unknown_pictures_are_named_and_nothing_is_made(serving):
    async with serving() as served:
        inputs = {"frontImage": await served.upload(), "backImage": "asset_gone"}
        for ask in (served.scenario.quote, served.scenario.generate):
            with pytest.raises(AssetGone) as gone:
                await ask(model=MODEL_ID, inputs=inputs)
            assert gone.value.asset_ids == ("asset_gone",)
        assert (await served.scenario.jobs()).jobs == ()


async def test_a_job_echoes_its_inputs_and_has_just_begun(serving):
    async with serving(idle=True) as served:
        inputs = {"frontImage": await served.upload(), "faceCount": 60_000}
        job = await submitted(served, **inputs)
        assert job.echo.items() >= inputs.items()
        assert not job.status.is_final
        assert (job.model_id, job.asset_ids, job.cu_charged) == (MODEL_ID, (), job.cu_charged)
        assert job.created_at == job.updated_at


async def test_a_job_that_ends_well_tells_its_price_and_what_it_made(serving):
    async with serving() as served:
        job = await ended(served, await submitted(served))
        assert (job.status, job.progress, job.cu_charged) == (JobStatus.SUCCESS, 1.0, 10)
        assert len(job.asset_ids) == 1
        assert job.created_at < job.updated_at


async def test_a_job_that_fails_says_why_and_is_refunded(serving):
    async with serving(fails=True) as served:
        job = await ended(served, await submitted(served))
        assert (job.status, job.asset_ids) == (JobStatus.FAILURE, ())
        assert "no object" in job.error
        assert not job.cu_charged


async def test_the_ceiling_is_named_and_nothing_is_made(serving):
    async with serving(ceiling=1, idle=True) as served:
        await submitted(served)
        with pytest.raises(CeilingReached) as full:
            await submitted(served)
        assert (full.value.ceiling, full.value.retry_after_s) == (1, 5)
        assert len((await served.scenario.jobs()).jobs) == 1
        assert (await served.scenario.team_limits()).parallel_jobs == 1


async def test_a_job_that_ended_makes_room_under_the_ceiling(serving):
    async with serving(ceiling=1) as served:
        for _ in range(2):
            await ended(served, await submitted(served))


async def test_an_unknown_job_is_refused(serving):
    async with serving() as served:
        with pytest.raises(RequestRefused):
            await served.scenario.job("job_unknown")


async def test_jobs_are_listed_newest_first_from_a_moment_on(serving):
    async with serving(idle=True) as served:
        jobs = []
        for _ in range(3):
            jobs.append(await submitted(served))
            await anyio.sleep(0.01)
        newest_first = [one.job_id for one in reversed(jobs)]
        everything = await served.scenario.jobs(created_after=jobs[0].created_at - timedelta(seconds=1))
        assert [one.job_id for one in everything.jobs] == newest_first
        assert everything.jobs[0].echo == jobs[2].echo
        later = await served.scenario.jobs(created_after=jobs[0].created_at)
        assert [one.job_id for one in later.jobs] == newest_first[:2]


async def test_a_long_list_comes_in_pages_that_hold_every_job_once(serving):
    async with serving(idle=True, ceiling=1000) as served:
        front = await served.upload()
        made = [(await submitted(served, frontImage=front, faceCount=50_000 + at)).job_id for at in range(101)]
        first = await served.scenario.jobs()
        second = await served.scenario.jobs(page=first.next_page)
        assert (len(first.jobs), second.next_page) == (100, None)
        assert sorted(one.job_id for one in (*first.jobs, *second.jobs)) == sorted(made)


async def test_the_feed_tells_what_moved_since(serving):
    async with serving() as served:
        job = await submitted(served)
        done = await ended(served, job)
        (told,) = (await served.scenario.jobs(updated_after=job.created_at)).jobs
        assert (told.status, told.asset_ids, told.updated_at) == (done.status, done.asset_ids, done.updated_at)
        assert (await served.scenario.jobs(updated_after=done.updated_at)).jobs == ()


async def test_a_list_is_of_one_order_alone(serving):
    async with serving() as served:
        job = await submitted(served)
        with pytest.raises(ValueError, match="not by both"):
            await served.scenario.jobs(updated_after=job.created_at, created_after=job.created_at)


async def test_a_list_tells_the_services_clock(serving):
    async with serving() as served:
        job = await submitted(served)
        told_at = (await served.scenario.jobs()).told_at
        assert abs(told_at - job.created_at) < timedelta(seconds=30)


async def test_assets_come_in_the_order_of_asking_without_unknown_ones(serving):
    async with serving() as served:
        made = [(await ended(served, await submitted(served))).asset_ids[0] for _ in range(2)]
        asked = [made[1], "asset_unknown", made[0], made[1]]
        found = await served.scenario.assets(asked)
        assert [one.asset_id for one in found] == [made[1], made[0]]
        assert {(one.kind, one.media_type, one.source) for one in found} == {("3d", "model/gltf-binary", "img23d")}


async def test_what_was_made_can_be_fetched(serving, tmp_path):
    async with serving() as served:
        job = await ended(served, await submitted(served))
        (mesh,) = await served.scenario.assets(job.asset_ids)
        target = tmp_path / "staging" / "mesh.part"
        got = await served.downloads.fetch(mesh.url, target, expected_bytes=mesh.size_bytes)
        assert got.size_bytes == mesh.size_bytes == len(served.read(target))


async def test_the_models_inputs_are_the_published_ones(serving):
    async with serving() as served:
        assert (await served.scenario.model_schema(MODEL_ID)).choices == PUBLISHED_SCHEMA.choices


async def test_a_refusal_closes_the_gate_for_everybody(serving):
    async with serving() as served:
        began = anyio.current_time()
        with pytest.raises(Throttled):
            async with served.scenario.turn():
                raise Throttled("429", retry_after_s=0.3)
        await served.scenario.team_limits()
        assert anyio.current_time() - began >= 0.3
