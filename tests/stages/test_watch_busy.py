"""What it costs to watch many jobs, and how soon their ends are known: in virtual time, counted."""

from contextlib import asynccontextmanager
from functools import partial

import anyio
import pytest
from busy_service import BusyService, keep_busy, lognormal_s
from simulated_ports import virtual_now, virtual_time

from pipeline.domain.durations import Durations
from pipeline.domain.errors import ServiceFault, ServiceUnreachable
from pipeline.ports.retrying import Tries, persist
from pipeline.stages.watch import Watcher

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return virtual_time()


@asynccontextmanager
async def watching(service, known=()):
    watcher = Watcher(service, now=virtual_now, durations=Durations(({}, one) for one in known))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watcher.run)
        yield watcher
        tasks.cancel_scope.cancel()


async def measured(service, *, mean_s, jobs, slots, known=True):
    async with watching(service, lognormal_s(mean_s, 300, seed=9) if known else ()) as watcher:
        found = await keep_busy(watcher, service, lognormal_s(mean_s, jobs), slots=slots)
    assert service.asked_in_a_second <= 2, "whatever happens"
    return found


@pytest.mark.parametrize("known", [True, False], ids=["known", "first run"])
async def test_short_jobs_are_noticed_as_soon_as_two_requests_a_second_allow(known):
    found = await measured(BusyService(), mean_s=5, jobs=640, slots=32, known=known)
    assert found.mean_lag_s < 0.3
    assert found.requests_a_job < 0.4
    assert found.ratio < 1.065


@pytest.mark.parametrize("known", [True, False], ids=["known", "first run"])
async def test_long_jobs_end_within_a_hundredth_of_the_ideal(known):
    found = await measured(BusyService(), mean_s=180, jobs=320, slots=32, known=known)
    assert found.mean_lag_s < 180 * 0.01
    assert found.requests_a_job < 3
    assert found.ratio < 1.012


async def test_a_thousand_long_jobs_in_flight_cost_a_tenth_of_a_request_each():
    found = await measured(BusyService(), mean_s=180, jobs=8_000, slots=1_000)
    assert found.requests_a_job < 0.1
    assert found.ratio < 1.012


async def test_one_long_job_after_the_other_costs_a_handful_of_looks_each():
    found = await measured(BusyService(), mean_s=180, jobs=20, slots=1)
    assert found.requests_a_job < 20
    assert found.mean_lag_s < 180 * 0.025


async def test_nothing_is_asked_while_nothing_can_be_ready():
    service = BusyService()
    async with watching(service, [600.0] * 50) as watcher, anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(partial(keep_busy, watcher, service, [600.0], slots=1))
        await anyio.sleep(450)
        assert len(service.asked) <= 3, "failures come early, and are to be noticed"
    assert 600 <= anyio.current_time() < 610


@pytest.mark.parametrize(("lag_s", "ratio"), [(5, 2.5), (20, 3.4)])
async def test_a_feed_that_lags_costs_its_lag_or_what_look_ups_cost_and_no_more(lag_s, ratio):
    """Without any feed, two look-ups a second take 3.1 times as long as 32 slots could."""
    found = await measured(BusyService(lag_s=lag_s), mean_s=5, jobs=640, slots=32)
    assert found.ratio < ratio
    assert found.requests_a_job < 1.2


@pytest.mark.parametrize("lies", ["hides", "keeps_back"])
async def test_a_feed_that_lies_by_omission_slows_its_victims_alone(lies):
    service = BusyService(**{lies: lambda number: number % 10 == 0})
    found = await measured(service, mean_s=5, jobs=640, slots=32)
    assert found.mean_lag_s < 1.2
    assert max(found.lags_s) < 20
    assert found.requests_a_job < 0.5
    assert len(service.look_ups) < 2 * 64


async def test_a_feed_that_shows_nothing_is_soon_read_now_and_then_alone():
    service = BusyService(hides=lambda _: True)
    found = await measured(service, mean_s=5, jobs=640, slots=32)
    assert found.requests_a_job < 1.1
    assert len(service.feed_requests) < 40


async def test_without_a_feed_the_likeliest_are_looked_up_first():
    service = BusyService(has_feed=False)
    found = await measured(service, mean_s=180, jobs=160, slots=32)
    assert found.ratio < 1.08
    assert found.mean_lag_s < 180 * 0.06
    assert len(service.feed_requests) < 8, "it is asked again, ever more seldom"


async def test_without_a_feed_a_thousand_jobs_are_taken_in_turn():
    service = BusyService(has_feed=False)
    found = await measured(service, mean_s=180, jobs=1_500, slots=1_000)
    assert found.requests_a_job < 1.2
    assert len(found.lags_s) == 1_500


async def test_jobs_of_other_people_cost_some_pages():
    found = await measured(BusyService(strangers_per_s=20), mean_s=5, jobs=640, slots=32)
    assert found.requests_a_job < 0.5
    assert found.mean_lag_s < 0.6


async def test_progress_that_moves_the_dates_of_all_jobs_costs_nothing_where_a_page_holds_them():
    found = await measured(BusyService(bump_s=1), mean_s=180, jobs=160, slots=32)
    assert found.requests_a_job < 3
    assert found.ratio < 1.012


async def test_progress_that_moves_the_dates_of_a_thousand_jobs_costs_two_requests_a_second_at_most():
    found = await measured(BusyService(bump_s=5), mean_s=180, jobs=2_000, slots=1_000)
    assert found.requests_a_job < 0.7
    assert found.ratio < 1.03


async def test_failures_are_noticed_as_successes_are():
    service = BusyService(fails=lambda number: number % 2 == 0)
    found = await measured(service, mean_s=5, jobs=320, slots=32)
    assert found.mean_lag_s < 0.3
    assert service.look_ups == [] or len(service.look_ups) < 20


class FailingList(BusyService):
    """Its list answers 500, again and again; ``is_dead``: so does all else."""

    is_dead = False

    async def jobs(self, **_):
        await self._fail("GET /jobs")

    async def job(self, job_id):
        if self.is_dead:
            await self._fail("GET /jobs/{id}")
        return await super().job(job_id)

    async def _fail(self, what):
        async def attempt():
            await anyio.sleep(0.1)
            raise ServiceFault(f"{what}: HTTP 500")

        await persist(what, attempt, Tries())


async def test_a_list_that_fails_again_and_again_is_done_without():
    found = await measured(FailingList(), mean_s=180, jobs=64, slots=32)
    assert found.mean_lag_s < 60
    assert found.ratio < 1.4


async def test_a_service_that_answers_nothing_any_more_ends_the_run_after_a_quarter_of_an_hour():
    service = FailingList()
    service.is_dead = True
    with pytest.raises(ExceptionGroup) as ended:
        async with watching(service, [5.0] * 20) as watcher:
            await watcher.wait(service.submit(5.0), tell=lambda _: None)
    assert ended.group_contains(ServiceUnreachable, match="15 min")
    assert 900 <= anyio.current_time() < 1200
