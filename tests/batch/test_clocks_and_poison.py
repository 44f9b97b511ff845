"""Clocks that are set, jobs that are told late, requests that never succeed: found by a review, kept from coming back."""
# ruff: noqa: ARG002 - a service is told more than its simulation looks at

from dataclasses import replace
from datetime import timedelta

import anyio
import pytest
from simulated_ports import SimulatedService, virtual_now, virtual_time
from simulated_run import SimulatedRuns

from pipeline.batch.decisions import retry
from pipeline.domain.errors import CeilingReached, RequestRefused, ServiceUnreachable, SubmissionUncertain
from pipeline.domain.lifecycle import State
from pipeline.ports.interfaces import Restoration

pytestmark = pytest.mark.anyio
HOUR = timedelta(hours=1)


@pytest.fixture
def anyio_backend():
    return virtual_time()


def runs_of(tmp_path, service, *, sets=1, **sections):
    runs = SimulatedRuns(tmp_path, service=service)
    runs.sections = sections
    for at in range(sets):
        runs.add(f"set {at:02}")
    return runs


class SetClock:
    """Our wall clock, which somebody may set."""

    def __init__(self, runs, off):
        self.off = off
        batch = runs.batch
        runs.ledger._now = self.now

        def ticking():
            made = batch()
            made._now = self.now
            return made

        runs.batch = ticking

    def now(self):
        return virtual_now() + self.off


class ToldLate(SimulatedService):
    """Neither list nor look-up shows a job in its first ten minutes."""

    def _is_told(self, job):
        return virtual_now() - job.created_at >= timedelta(minutes=10)

    async def job(self, job_id):
        if not self._is_told(self._seen(job_id)):
            raise RequestRefused(f"404: no job {job_id}")
        return await super().job(job_id)

    async def jobs(self, **asked):
        page = await super().jobs(**asked)
        return replace(page, jobs=tuple(filter(self._is_told, page.jobs)))


async def test_a_job_that_is_told_late_is_paid_once_and_keeps_its_part_of_the_budget(tmp_path):
    runs = runs_of(tmp_path, ToldLate(), sets=3, budget={"max_cu": 20}, limits={"in_flight": 1})
    outcome, _ = await runs.run()
    assert (outcome.unfinished, outcome.over_budget, len(runs.service.submitted)) == (2, 1, 2)
    await anyio.sleep(3_600)
    outcome, _ = await runs.run()
    assert (outcome.delivered, len(runs.service.submitted)) == (2, 2)


async def test_a_job_that_is_gone_for_good_is_made_again_when_a_person_says_so(tmp_path):
    runs = runs_of(tmp_path, SimulatedService(job_s=10**6))
    stop = anyio.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: runs.run(stop=stop))
        while not runs.service.submitted:  # noqa: ASYNC110 - costs nothing in virtual time
            await anyio.sleep(1)
        stop.set()
    runs.service.forget_job("job_1")
    runs.service.job_s = 60
    outcome, _ = await runs.run()
    assert (outcome.unfinished, len(runs.service.submitted)) == (1, 1)
    await retry([await runs.record()], anew=True, ledger=runs.ledger)
    assert ((await runs.run())[0].delivered, len(runs.service.submitted)) == (1, 2)


async def test_a_restored_delivery_whose_file_and_job_are_gone_is_not_paid_again_by_itself(tmp_path):
    runs = runs_of(tmp_path, SimulatedService())
    await runs.run()
    bare = replace(await runs.record(), asset_ids=(), inputs={}, submitting_at=None)
    await runs.ledger.restore(
        Restoration(service="scenario", project="", items=[bare], jobs={}, deliveries=[], uploads=[], detail="")
    )
    runs.storage.disk.take(runs.output / "meshes/set 00/set 00.glb")
    for _ in range(3):
        outcome, _ = await runs.run()
        assert (outcome.failed, len(runs.service.submitted)) == (1, 1)


async def test_a_clock_that_is_put_forward_within_the_loss_makes_no_attempt_old(tmp_path):
    class Lagging(SimulatedService):
        async def generate(self, *, model, inputs):
            job = await super().generate(model=model, inputs=inputs)
            if len(self.submitted) > 1:
                return job
            clock.off = timedelta()
            raise SubmissionUncertain("cut")

        async def jobs(self, **asked):
            page = await super().jobs(**asked)
            until = virtual_now() - timedelta(minutes=3)
            return replace(page, jobs=tuple(one for one in page.jobs if one.created_at < until))

    runs = runs_of(tmp_path, Lagging())
    clock = SetClock(runs, -2 * HOUR)
    await runs.run()
    await anyio.sleep(4_000)
    assert ((await runs.run())[0].delivered, len(runs.service.submitted)) == (1, 1)


class Losing(SimulatedService):
    async def generate(self, *, model, inputs):
        raise SubmissionUncertain("cut")


async def test_a_loss_from_the_future_keeps_no_run_waiting(tmp_path):
    runs = runs_of(tmp_path, Losing())
    clock = SetClock(runs, 20 * HOUR)
    await runs.run()
    clock.off = timedelta()
    began = anyio.current_time()
    assert (await runs.run())[0].uncertain == 1
    assert anyio.current_time() - began < 200


async def test_a_clock_that_is_put_back_within_a_run_keeps_it_no_longer(tmp_path):
    class PutsBack(Losing):
        async def jobs(self, **asked):
            clock.off = timedelta()
            return await super().jobs(**asked)

    runs = runs_of(tmp_path, PutsBack())
    clock = SetClock(runs, 5 * HOUR)
    assert (await runs.run())[0].uncertain == 1
    assert anyio.current_time() < 200


async def test_a_list_out_of_a_cache_shows_nothing_of_what_came_after(tmp_path):
    class Cached(SimulatedService):
        async def generate(self, *, model, inputs):
            job = await super().generate(model=model, inputs=inputs)
            if len(self.submitted) == 40:
                raise SubmissionUncertain("cut")
            return job

        async def jobs(self, **asked):
            page = await super().jobs(**asked)
            if asked.get("updated_after"):
                return page
            old = virtual_now() - timedelta(minutes=10)
            return replace(page, told_at=old, jobs=tuple(one for one in page.jobs if one.created_at < old))

    runs = runs_of(tmp_path, Cached(), sets=60, limits={"in_flight": 2})
    await runs.run()
    assert len(runs.service.submitted) == 60


async def test_a_list_that_stays_broken_leaves_the_lost_one_uncertain_and_harms_no_other(tmp_path):
    class Broken(SimulatedService):
        async def generate(self, *, model, inputs):
            if not self.submitted:
                self.add_job(inputs)
                raise SubmissionUncertain("cut")
            return await super().generate(model=model, inputs=inputs)

        async def jobs(self, **asked):
            if asked.get("created_after"):
                raise ServiceUnreachable("GET /jobs: given up after 8 tries: HTTP 500")
            return await super().jobs(**asked)

    outcome, _ = await runs_of(tmp_path, Broken(), sets=10, limits={"in_flight": 2}).run()
    assert (outcome.delivered, outcome.uncertain) == (9, 1)


@pytest.mark.parametrize("wish_s", [None, 0.0, 0.1])
async def test_a_ceiling_that_asks_for_no_pause_is_no_leave_to_storm(tmp_path, wish_s):
    class Full(SimulatedService):
        posts = 0

        async def generate(self, *, model, inputs):
            self.posts += 1
            raise CeilingReached("429", ceiling=2, retry_after_s=wish_s)

    service = Full()
    await runs_of(tmp_path, service, sets=8).run()
    assert service.posts < 1_000


async def test_one_job_for_two_items_is_a_bug_that_is_told(tmp_path):
    """As a service does that takes equal requests for one."""

    class Merging(SimulatedService):
        async def generate(self, *, model, inputs):
            job = await super().generate(model=model, inputs=inputs)
            return replace(job, job_id="job_1")

    runs = runs_of(tmp_path, Merging(), sets=2, limits={"in_flight": 1})
    with pytest.raises(ExceptionGroup):
        await runs.run()
    assert State.SUBMITTING in {one.state for one in await runs.ledger.items()}
