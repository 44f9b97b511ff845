"""Lost answers are settled while the run goes on, and a run waits no longer than it has to. In virtual time."""
# ruff: noqa: ARG002 - a service is told more than its simulation looks at

from dataclasses import replace
from datetime import timedelta

import anyio
import pytest
from simulated_ports import SimulatedService, virtual_now, virtual_time
from simulated_run import SimulatedRuns

from pipeline.domain.errors import ServiceUnreachable, SubmissionUncertain
from pipeline.domain.lifecycle import State

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return virtual_time()


class Losing(SimulatedService):
    """Loses the answers to some submissions, by their number; ``makes``: the job is there all the same. Its list is
    ``lag_s`` old.
    """

    lose = frozenset({1})
    makes = True
    lag_s = 0.0
    posts = 0
    looks = 0

    async def generate(self, *, model, inputs):
        self.posts += 1
        if self.posts not in self.lose:
            return await super().generate(model=model, inputs=inputs)
        await anyio.sleep(1)
        if self.makes:
            self.add_job(inputs)
        raise SubmissionUncertain("cut")

    async def jobs(self, **asked):
        page = await super().jobs(**asked)
        if asked.get("created_after") is None:
            return page
        self.looks += 1
        until = virtual_now() - timedelta(seconds=self.lag_s)
        return replace(page, jobs=tuple(one for one in page.jobs if one.created_at <= until))


def runs_of(tmp_path, service, *, sets=1, **sections):
    runs = SimulatedRuns(tmp_path, service=service)
    runs.sections = sections
    for at in range(sets):
        runs.add(f"set {at:02}")
    return runs


async def test_a_job_that_was_made_is_found_and_fetched_in_the_same_run(tmp_path):
    service = Losing()
    outcome, rows = await runs_of(tmp_path, service).run()
    assert (outcome.delivered, len(service.submitted), rows[0].attempts) == (1, 1, 1)
    assert anyio.current_time() < 90


async def test_an_absence_is_believed_in_the_same_run_once_later_jobs_show(tmp_path):
    service = Losing(job_s=30)
    service.makes = False
    outcome, rows = await runs_of(tmp_path, service, sets=6, limits={"in_flight": 2}).run()
    assert (outcome.delivered, outcome.uncertain, len(service.submitted)) == (6, 0, 6)
    assert sorted(row.attempts for row in rows) == [1] * 5 + [2]


async def test_a_list_that_lags_less_than_the_settle_time_is_waited_for(tmp_path):
    service = Losing()
    service.lag_s = 50
    outcome, _ = await runs_of(tmp_path, service).run()
    assert (outcome.delivered, len(service.submitted)) == (1, 1)


async def test_a_list_that_lags_longer_leaves_it_for_a_later_run_that_pays_nothing_again(tmp_path):
    service = Losing(job_s=20)
    service.lag_s = 1_800
    runs = runs_of(tmp_path, service, sets=3)
    outcome, _ = await runs.run()
    assert (outcome.delivered, outcome.uncertain) == (2, 1)
    assert anyio.current_time() < 110, "the settle time, and no longer"
    assert any("stays uncertain: not listed 7" in one for one in runs.warnings)
    outcome, _ = await runs.run()
    assert outcome.uncertain == 1
    await anyio.sleep(1_800)
    outcome, _ = await runs.run()
    assert (outcome.delivered, len(service.submitted)) == (3, 3)


async def test_others_go_on_while_one_is_uncertain(tmp_path):
    service = Losing(job_s=600)
    service.lag_s = 10_000
    outcome, _ = await runs_of(tmp_path, service, sets=8, limits={"in_flight": 2}).run()
    assert (outcome.delivered, outcome.uncertain) == (7, 1)
    assert anyio.current_time() < 4 * 620 + 60, "nobody waits for the list while there is work"


async def test_under_policy_ask_nothing_is_sent_again(tmp_path):
    service = Losing(job_s=20)
    service.makes = False
    runs = runs_of(tmp_path, service, sets=3, uncertain={"policy": "ask"})
    for _ in range(3):
        outcome, rows = await runs.run()
        assert (outcome.delivered, outcome.uncertain, len(service.submitted)) == (2, 1, 2)
        await anyio.sleep(80_000)
    assert [row.state for row in rows].count(State.UNCERTAIN) == 1


async def test_a_service_that_loses_every_answer_is_not_asked_for_ever(tmp_path):
    service = Losing()
    service.lose, service.makes = range(10**6), False
    runs = runs_of(tmp_path, service, uncertain={"settle": "5s", "believe_after": "5s"})
    outcome, rows = await runs.run()
    assert outcome.failed == 1
    assert "4 submissions of it were lost" in rows[0].error.message
    assert service.posts == 4


async def test_an_error_that_ends_the_run_waits_for_no_answer_longer_than_a_stop_does(tmp_path):
    class Hangs(SimulatedService):
        async def generate(self, *, model, inputs):
            if self.submitted:
                self.add_job(inputs)
                await anyio.sleep(170)
            return await super().generate(model=model, inputs=inputs)

        async def jobs(self, **asked):
            raise ServiceUnreachable("no route")

    runs = runs_of(tmp_path, Hangs(), sets=2)
    with pytest.raises(ExceptionGroup) as raised:
        await runs.run()
    assert raised.group_contains(ServiceUnreachable)
    assert anyio.current_time() < 15
    assert {one.state for one in await runs.ledger.items()} == {State.SUBMITTED, State.UNCERTAIN}


async def test_a_stop_does_not_wait_for_the_service_to_tell_its_ceiling(tmp_path):
    class Hangs(SimulatedService):
        async def team_limits(self):
            await anyio.sleep(300)

    runs = runs_of(tmp_path, Hangs(), limits={"in_flight": "auto"})
    stop = anyio.Event()
    async with anyio.create_task_group() as tasks:

        async def interrupt():
            await anyio.sleep(10)
            stop.set()

        tasks.start_soon(interrupt)
        outcome, _ = await runs.run(stop=stop)
    assert outcome.interrupted
    assert anyio.current_time() < 12


async def test_many_losses_cost_few_looks(tmp_path):
    service = Losing(job_s=300)
    service.lose, service.lag_s = range(2, 40), 40
    outcome, _ = await runs_of(tmp_path, service, sets=40, limits={"in_flight": 40}).run()
    assert (outcome.delivered, len(service.submitted)) == (40, 40)
    assert service.looks < 10


async def test_a_job_that_fails_again_and_again_is_left_to_a_person(tmp_path):
    service = SimulatedService(job_s=10)
    service.failures = 100
    runs = runs_of(tmp_path, service)
    for expected in (2, 4, 4, 4):
        outcome, rows = await runs.run()
        assert (outcome.failed, len(service.submitted)) == (1, expected)
    assert "mvmesh retry" in rows[0].error.mend
    assert rows[0].cu_charged == 0


async def test_a_failure_that_was_not_refunded_is_not_paid_again_without_a_person(tmp_path):
    class Keeps(SimulatedService):
        def _seen(self, job_id):
            job = super()._seen(job_id)
            return replace(job, cu_charged=10.0) if job.status == "failure" else job

    service = Keeps(job_s=10)
    service.failures = 1
    runs = runs_of(tmp_path, service)
    for _ in range(3):
        outcome, rows = await runs.run()
        assert (outcome.failed, len(service.submitted), rows[0].cu_charged) == (1, 1, 10)
    assert "10 CU were not refunded" in rows[0].error.message
    assert "mvmesh retry" in rows[0].error.mend
