from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

import anyio
import pytest
from simulated_ports import SimulatedService, virtual_now, virtual_time

from pipeline.domain.durations import Durations
from pipeline.domain.errors import RequestRefused, StageTimedOut
from pipeline.domain.jobs import JobStatus
from pipeline.stages.watch import Pace, Watcher

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return virtual_time()


DAY = timedelta(days=1)


@asynccontextmanager
async def watching(service, pace=None, durations=None):
    watcher = Watcher(service, now=virtual_now, pace=pace, durations=durations)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watcher.run)
        yield watcher
        tasks.cancel_scope.cancel()


def inputs(at):
    return {"frontImage": f"asset_{at}"}


async def awaited(watcher, job_id):
    heard = []
    job = await watcher.wait(job_id, tell=heard.append)
    assert heard[-1] == job
    return job


class Mute(SimulatedService):
    """Its feed shows nothing; single look-ups do."""

    async def jobs(self, **asked):
        return replace(await super().jobs(**asked), jobs=())


async def test_a_job_is_told_soon_after_it_ends():
    service = SimulatedService(job_s=600)
    async with watching(service) as watcher:
        job = await awaited(watcher, service.add_job(inputs(1)).job_id)
    assert (job.status, job.asset_ids) == (JobStatus.SUCCESS, ("mesh_of_job_1",))
    assert 600 <= anyio.current_time() < 606


async def test_a_failed_job_is_final_with_its_reason():
    service = SimulatedService(job_s=30)
    service.failures = 1
    async with watching(service) as watcher:
        job = await awaited(watcher, service.add_job(inputs(1)).job_id)
    assert (job.status, job.error) == (JobStatus.FAILURE, "no object in the picture")


async def test_many_jobs_cost_no_more_requests_than_one():
    """The change feed is read once for all."""
    service = SimulatedService(job_s=3_600)
    ended = []
    async with watching(service) as watcher, anyio.create_task_group() as waits:

        async def wait(job_id):
            ended.append((await awaited(watcher, job_id)).job_id)

        for at in range(100):
            waits.start_soon(wait, service.add_job(inputs(at)).job_id)
    assert len(set(ended)) == 100
    assert len(service.asked) < 450, "although nothing was known of how long they take"
    assert anyio.current_time() < 3_600 * 1.05


async def test_jobs_beyond_a_page_of_the_feed_are_heard_of_too():
    service = SimulatedService(job_s=60)
    service.page_size = 7
    async with watching(service) as watcher, anyio.create_task_group() as waits:
        for at in range(50):
            waits.start_soon(awaited, watcher, service.add_job(inputs(at)).job_id)
    assert set(service.asked) == {"jobs"}
    assert anyio.current_time() < 75


async def test_a_new_job_is_asked_for_often_and_an_old_one_seldom():
    service = SimulatedService(job_s=10_000)
    async with watching(service) as watcher, anyio.create_task_group() as waits:
        waits.start_soon(awaited, watcher, service.add_job(inputs(1)).job_id)
        await anyio.sleep(10)
        early = service.asked.count("jobs")
        await anyio.sleep(1_000)
        before = service.asked.count("jobs")
        await anyio.sleep(10)
        late = service.asked.count("jobs") - before
        waits.cancel_scope.cancel()
    assert early > 8
    assert late <= 3


async def test_without_jobs_nothing_is_asked():
    service = SimulatedService()
    async with watching(service):
        await anyio.sleep(10_000)
    assert service.asked == []


async def test_a_job_that_the_feed_never_mentions_is_looked_up():
    service = Mute(job_s=100)
    async with watching(service) as watcher:
        job = await awaited(watcher, service.add_job(inputs(1)).job_id)
    assert job.status is JobStatus.SUCCESS
    assert anyio.current_time() < 150


async def test_look_ups_of_silent_jobs_are_no_storm():
    service = Mute(job_s=1_000)
    async with watching(service) as watcher, anyio.create_task_group() as waits:
        for at in range(40):
            waits.start_soon(awaited, watcher, service.add_job(inputs(at)).job_id)
        await anyio.sleep(900)
        look_ups = [one for one in service.asked if one != "jobs"]
        assert len(look_ups) < 900
        assert len(set(look_ups)) == 40
    assert anyio.current_time() < 1_200


async def test_a_service_without_a_feed_is_asked_job_by_job():
    class NoFeed(SimulatedService):
        async def jobs(self, **_):
            raise RequestRefused("400: unknown filter")

    service = NoFeed(job_s=100)
    async with watching(service) as watcher:
        assert (await awaited(watcher, service.add_job(inputs(1)).job_id)).status is JobStatus.SUCCESS


async def test_a_success_is_waited_for_until_it_tells_what_it_made():
    class LateAssets(SimulatedService):
        def _seen(self, job_id):
            job = super()._seen(job_id)
            return job if anyio.current_time() > 180 else replace(job, asset_ids=())

    service = LateAssets(job_s=60)
    async with watching(service) as watcher:
        job = await awaited(watcher, service.add_job(inputs(1)).job_id)
    assert job.asset_ids == ("mesh_of_job_1",)
    assert 180 < anyio.current_time() < 200


async def test_a_success_that_never_tells_what_it_made_is_left_for_later():
    """It is paid: it must neither count as failed nor as made of nothing, or it would be generated again."""

    class NoAssets(SimulatedService):
        def _seen(self, job_id):
            return replace(super()._seen(job_id), asset_ids=())

    service = NoAssets(job_s=60)
    async with watching(service) as watcher:
        with pytest.raises(StageTimedOut, match="tells nothing that it made"):
            await watcher.wait(service.add_job(inputs(1)).job_id, tell=lambda _: None)
    assert anyio.current_time() < 500


async def test_a_job_that_is_unknown_for_a_moment_is_not_given_up():
    class Hiccup(Mute):
        async def job(self, job_id):
            if anyio.current_time() < 100:
                raise RequestRefused("404")
            return await super().job(job_id)

    service = Hiccup(job_s=60)
    async with watching(service) as watcher:
        assert (await awaited(watcher, service.add_job(inputs(1)).job_id)).status is JobStatus.SUCCESS


async def test_a_job_that_stays_unknown_is_left_for_a_later_run():
    """It is paid, and may only be told late: nobody submits it anew."""
    service = SimulatedService()
    async with watching(service) as watcher:
        with pytest.raises(StageTimedOut, match="does not know job job_9") as raised:
            await watcher.wait("job_9", tell=lambda _: None)
    assert "looked up, not submitted anew" in raised.value.mend
    assert 100 < anyio.current_time() < 400


async def test_a_job_that_does_not_end_is_left_for_a_later_run():
    service = SimulatedService(job_s=10**9)
    async with watching(service, Pace(stuck_s=3_600)) as watcher:
        with pytest.raises(StageTimedOut, match="not final after 60 min"):
            await watcher.wait(service.add_job(inputs(1)).job_id, tell=lambda _: None)
        assert 3_600 <= anyio.current_time() < 3_610


async def test_a_job_that_takes_far_longer_than_others_is_stuck():
    service = SimulatedService(job_s=200)
    async with watching(service) as watcher, anyio.create_task_group() as waits:
        for at in range(3):
            waits.start_soon(awaited, watcher, service.add_job(inputs(at)).job_id)
        service.job_s = 10**9
        with pytest.raises(StageTimedOut, match="not final after 17 min"):
            await watcher.wait(service.add_job(inputs(9)).job_id, tell=lambda _: None)
    assert 1_000 <= anyio.current_time() < 1_010
    assert service.asked[-1] == "job_4", "it was looked up by itself before it was given up"


async def test_what_earlier_runs_saw_is_known_and_short_jobs_are_given_time():
    service = SimulatedService(job_s=800)
    async with watching(service, durations=Durations([({}, 5.0)] * 3)) as watcher:
        assert (await awaited(watcher, service.add_job(inputs(1)).job_id)).status is JobStatus.SUCCESS


async def test_a_job_that_was_stuck_in_an_earlier_run_is_looked_at_once():
    service = SimulatedService(job_s=10**9)
    job_id = service.add_job(inputs(1)).job_id
    await anyio.sleep(8 * 3_600)
    async with watching(service) as watcher:
        with pytest.raises(StageTimedOut):
            await watcher.wait(job_id, tell=lambda _: None)
    assert anyio.current_time() < 8 * 3_600 + 60


async def test_a_service_whose_clock_is_far_off_makes_no_job_look_stuck():
    class Behind(SimulatedService):
        def _seen(self, job_id):
            job = super()._seen(job_id)
            return replace(job, created_at=job.created_at - DAY, updated_at=job.updated_at - DAY)

        async def jobs(self, **asked):
            return replace(await super().jobs(**asked), told_at=virtual_now() - DAY)

    service = Behind(job_s=100)
    async with watching(service) as watcher:
        assert (await awaited(watcher, service.add_job(inputs(1)).job_id)).status is JobStatus.SUCCESS
    assert anyio.current_time() < 120


async def test_progress_is_told_once_for_every_change():
    class Progressing(SimulatedService):
        def _seen(self, job_id):
            job = super()._seen(job_id)
            step = int(anyio.current_time() // 20)
            return job if job.status.is_final else replace(job, progress=step / 10, updated_at=virtual_now())

    service = Progressing(job_s=100)
    heard = []
    async with watching(service) as watcher:
        await watcher.wait(service.add_job(inputs(1)).job_id, tell=lambda job: heard.append(job.progress))
    assert list(dict.fromkeys(heard)) == [0, 0.1, 0.2, 0.3, 0.4, 1.0]


async def test_a_status_that_this_version_has_not_met_counts_as_on_its_way():
    class Odd(SimulatedService):
        def _seen(self, job_id):
            job = super()._seen(job_id)
            return job if job.status.is_final else replace(job, status=JobStatus.UNKNOWN)

    service = Odd(job_s=50)
    async with watching(service) as watcher:
        assert (await awaited(watcher, service.add_job(inputs(1)).job_id)).status is JobStatus.SUCCESS


async def test_jobs_of_an_earlier_run_that_ended_long_ago_are_found_in_bulk():
    """Hundreds, although as many are waited for at a time as there are slots."""
    service = SimulatedService(job_s=60)
    jobs = [service.add_job(inputs(at)) for at in range(400)]
    await anyio.sleep(40_000)
    slots = anyio.CapacityLimiter(8)
    found = []

    async def wait(watcher, job):
        async with slots:
            ended = await watcher.wait(job.job_id, tell=lambda _: None, submitted_at=job.created_at)
            found.append(ended.job_id)

    async with watching(service) as watcher, anyio.create_task_group() as waits:
        for job in jobs:
            waits.start_soon(wait, watcher, job)
    assert sorted(found) == sorted(job.job_id for job in jobs)
    assert len(service.asked) < 10
    assert anyio.current_time() < 40_010


async def test_a_job_of_an_earlier_run_is_found_whatever_the_services_clock_says():
    class Off(SimulatedService):
        def _seen(self, job_id):
            job = super()._seen(job_id)
            return replace(job, created_at=job.created_at + self.off, updated_at=job.updated_at + self.off)

        async def jobs(self, **asked):
            return replace(await super().jobs(**asked), told_at=virtual_now() + self.off)

    for off in (-DAY, DAY):
        service = Off(job_s=60)
        service.off = off
        job_id = service.add_job(inputs(1)).job_id
        submitted_at = virtual_now()
        await anyio.sleep(10_000)
        began = anyio.current_time()
        async with watching(service) as watcher:
            await watcher.wait(job_id, tell=lambda _: None, submitted_at=submitted_at)
        assert anyio.current_time() - began < 5


async def test_a_job_that_ended_before_anybody_waited_is_known_at_once():
    """It ends at once, and a look into the feed comes before its id is recorded."""
    service = SimulatedService(job_s=0.2)
    async with watching(service) as watcher, anyio.create_task_group() as waits:
        early = service.add_job(inputs(1)).job_id
        waits.start_soon(awaited, watcher, service.add_job(inputs(2)).job_id)
        await anyio.sleep(5)
        asked = len(service.asked)
        began = anyio.current_time()
        await awaited(watcher, early)
        assert (anyio.current_time(), len(service.asked)) == (began, asked)


async def test_many_stragglers_that_the_feed_keeps_back_are_all_found():
    class Forgetful(SimulatedService):
        """Its list never shows an end."""

        async def jobs(self, **asked):
            page = await super().jobs(**asked)
            return replace(page, jobs=tuple(one for one in page.jobs if not one.status.is_final))

    service = Forgetful(job_s=60)
    async with watching(service, durations=Durations([({}, 60.0)] * 20)) as watcher, anyio.create_task_group() as waits:
        for at in range(60):
            waits.start_soon(awaited, watcher, service.add_job(inputs(at)).job_id)
    assert anyio.current_time() < 180


async def test_a_look_up_that_hangs_does_not_hold_the_others_up_for_ever():
    class Hangs(Mute):
        async def job(self, job_id):
            if job_id == "job_1":
                await anyio.sleep(10**6)
            return await super().job(job_id)

    service = Hangs(job_s=100)
    async with watching(service, Pace(stuck_s=1_000)) as watcher, anyio.create_task_group() as waits:
        hangs, fine = service.add_job(inputs(1)).job_id, service.add_job(inputs(2)).job_id

        async def gives_up():
            with pytest.raises(StageTimedOut):
                await watcher.wait(hangs, tell=lambda _: None)

        waits.start_soon(gives_up)
        await awaited(watcher, fine)
        assert anyio.current_time() < 400


async def test_waiting_jobs_without_assets_do_not_wait_for_one_another():
    class LateAssets(SimulatedService):
        """What was made is told five seconds later, and the list never shows that."""

        def _seen(self, job_id):
            ends_at = self._jobs[job_id][1]
            ended = super()._seen(job_id)
            return ended if anyio.current_time() > ends_at + 5 else replace(ended, asset_ids=())

        async def jobs(self, **asked):
            page = await super().jobs(**asked)
            return replace(page, jobs=tuple(replace(one, asset_ids=()) for one in page.jobs))

    service = LateAssets(job_s=60)
    async with watching(service) as watcher, anyio.create_task_group() as waits:
        for at in range(16):
            waits.start_soon(awaited, watcher, service.add_job(inputs(at)).job_id)
    assert anyio.current_time() < 60 + 5 + 16 + 10


async def test_a_clock_of_ours_that_was_set_makes_no_job_look_stuck():
    """The run that submitted it took the year for another one."""
    service = SimulatedService(job_s=100)
    async with watching(service) as watcher:
        job = service.add_job(inputs(1))
        long_ago = job.created_at - 400 * DAY
        ended = await watcher.wait(job.job_id, tell=lambda _: None, submitted_at=long_ago)
    assert ended.status is JobStatus.SUCCESS
    assert anyio.current_time() < 130


async def test_a_feed_that_loses_its_place_is_still_a_feed():
    class Forgetful(SimulatedService):
        async def jobs(self, **asked):
            if asked.get("page"):
                raise RequestRefused("400: paginationToken")
            return await super().jobs(**asked)

    service = Forgetful(job_s=60)
    service.page_size = 4
    async with watching(service) as watcher, anyio.create_task_group() as waits:
        for at in range(12):
            waits.start_soon(awaited, watcher, service.add_job(inputs(at)).job_id)
    assert service.asked.count("jobs") > 5
    assert anyio.current_time() < 100
