"""Ceilings met: the pool becomes as small as what is in flight and grows again carefully. In virtual time."""
# ruff: noqa: ARG002 - a service is told more than its simulation looks at

from contextlib import ExitStack, contextmanager

import anyio
import pytest
from simulated_ports import SimulatedDownloads, SimulatedService, virtual_time
from simulated_run import SimulatedRuns
from simulation.clock import BEGIN

from pipeline.batch.bringing import UNKNOWN_CEILING
from pipeline.batch.pool import FIRST_HOLD_S, GROWS_TO, PROBES, SHUT_AFTER_S, Pool
from pipeline.domain.errors import CeilingReached
from pipeline.domain.jobs import TeamLimits

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return virtual_time()


def pool_of(in_flight):
    return Pool(in_flight=in_flight, downloads=1, until=None, stop=anyio.Event())


@contextmanager
def in_flight(pool, count):
    with ExitStack() as stack:
        for _ in range(count):
            stack.enter_context(pool.job())
        yield


class Crowded(SimulatedService):
    """A team whose ceiling is partly taken by others: ``room(t)`` slots are left for us."""

    told = 10

    def __init__(self, room, **more):
        super().__init__(**more)
        self.room = room
        self.refused_at = []

    async def generate(self, *, model, inputs):
        await anyio.sleep(1)
        ours = sum(not self._seen(one).status.is_final for one in self._jobs)
        if ours >= self.room(anyio.current_time()):
            self.refused_at.append(anyio.current_time())
            raise CeilingReached("429", ceiling=self.told)
        return self.add_job(inputs)


async def run_of(tmp_path, service, *, sets, in_flight):
    runs = SimulatedRuns(tmp_path, service=service)
    runs.sections = {"limits": {"in_flight": in_flight}}
    for at in range(sets):
        runs.add(f"set {at:03}")
    return await runs.run()


async def test_a_refusal_leaves_as_many_slots_as_there_are_jobs_in_flight():
    pool = pool_of(8)
    with in_flight(pool, 4):
        assert pool.refused(20, None)
    assert pool.slots.total_tokens == 4


async def test_what_is_accepted_after_a_refusal_has_room():
    """Both were on their way together."""
    pool = pool_of(8)
    pool.refused(20, None)
    assert pool.slots.total_tokens == 1
    with in_flight(pool, 3):
        assert pool.slots.total_tokens == 3


async def test_the_ceiling_told_is_never_passed_again():
    pool = pool_of(8)
    with in_flight(pool, 8):
        pool.refused(3, None)
        assert pool.slots.total_tokens == 3
        for _ in range(100):
            await anyio.sleep(FIRST_HOLD_S)
            pool.accepted()
    assert pool.slots.total_tokens == 3


async def test_it_grows_by_one_after_a_while_and_waits_longer_where_that_was_too_much():
    pool = pool_of(8)
    with in_flight(pool, 4):
        pool.refused(20, None)
    with in_flight(pool, 3):
        pool.accepted()
        assert pool.slots.total_tokens == 4
        await anyio.sleep(FIRST_HOLD_S)
        pool.accepted()
        pool.accepted()
        assert pool.slots.total_tokens == 5
    with in_flight(pool, 4):
        pool.refused(20, None)
    with in_flight(pool, 3):
        await anyio.sleep(FIRST_HOLD_S)
        pool.accepted()
        assert pool.slots.total_tokens == 4
        await anyio.sleep(FIRST_HOLD_S)
        pool.accepted()
        assert pool.slots.total_tokens == 5


async def test_one_slot_always_stays():
    pool = pool_of(1)
    assert not pool.refused(1, None)
    assert pool.slots.total_tokens == 1


async def test_an_unknown_ceiling_is_met_a_few_times_and_all_sets_are_made(tmp_path):
    service = Crowded(lambda _: 3, job_s=300)
    service.told = 3
    outcome, _ = await run_of(tmp_path, service, sets=30, in_flight=10)
    assert (outcome.delivered, service.in_flight_at_most, len(service.submitted)) == (30, 3, 30)
    assert len(service.refused_at) < 7, "those that were on their way together; none is repeated at once"
    assert anyio.current_time() < 30 / 3 * 320, "the slots that are left are never idle"


async def test_slots_that_others_give_back_are_used(tmp_path):
    """Others hold eight of ten for an hour."""
    service = Crowded(lambda at: 2 if at < 3_600 else 10, job_s=300)
    outcome, _ = await run_of(tmp_path, service, sets=100, in_flight=10)
    assert outcome.delivered == 100
    assert service.in_flight_at_most > 7
    assert len(service.refused_at) < 25


async def test_a_ceiling_that_others_fill_is_tried_seldom_by_one(tmp_path):
    service = Crowded(lambda at: 0 if at < 1_800 else 10, job_s=60)
    outcome, _ = await run_of(tmp_path, service, sets=20, in_flight=10)
    assert outcome.delivered == 20
    assert len(service.refused_at) < 10 + 1_800 / 30 + 40


async def test_a_ceiling_without_room_for_an_hour_defers_the_rest(tmp_path):
    service = Crowded(lambda _: 0)
    outcome, rows = await run_of(tmp_path, service, sets=5, in_flight=5)
    assert (outcome.out_of_time, service.submitted) == (5, [])
    assert "busy for an hour" in rows[0].error.message
    assert SHUT_AFTER_S <= anyio.current_time() < SHUT_AFTER_S + 300


async def test_jobs_of_ours_that_take_hours_do_not_shut_the_pool(tmp_path):
    service = Crowded(lambda _: 1, job_s=7_000)
    outcome, _ = await run_of(tmp_path, service, sets=3, in_flight=3)
    assert outcome.delivered == 3


class Untold(SimulatedService):
    """A ceiling that the service does not tell until it is reached."""

    def __init__(self, ceiling, **more):
        super().__init__(**more)
        self.ceiling = ceiling
        self.refused_at = []

    async def team_limits(self):
        return TeamLimits()

    async def generate(self, *, model, inputs):
        try:
            return await super().generate(model=model, inputs=inputs)
        except CeilingReached:
            self.refused_at.append(anyio.current_time())
            raise


@pytest.mark.parametrize("ceiling", [1, 5, 8, 20, 50])
async def test_a_ceiling_that_nobody_tells_is_found_with_a_handful_of_refusals_and_then_filled(tmp_path, ceiling):
    service = Untold(ceiling, job_s=120)
    outcome, _ = await run_of(tmp_path, service, sets=4 * ceiling + 60, in_flight="auto")
    assert outcome.delivered == len(service.submitted) == 4 * ceiling + 60
    assert service.in_flight_at_most == ceiling
    assert 1 <= len(service.refused_at) <= PROBES + max(UNKNOWN_CEILING - ceiling, 0), "those that were on their way"
    assert max(service.refused_at) - min(service.refused_at) < 5, "none is repeated"


async def test_a_service_that_never_refuses_gets_as_many_as_are_sane(tmp_path):
    service = Untold(None, job_s=600)
    outcome, _ = await run_of(tmp_path, service, sets=GROWS_TO + 50, in_flight="auto")
    assert outcome.delivered == GROWS_TO + 50
    assert service.in_flight_at_most == GROWS_TO


async def test_what_a_person_or_the_service_has_said_is_never_exceeded(tmp_path):
    said = Untold(None, job_s=60)
    await run_of(tmp_path / "said", said, sets=40, in_flight=6)
    told = SimulatedService(job_s=60)
    told.ceiling = 6
    await run_of(tmp_path / "told", told, sets=40, in_flight="auto")
    assert said.in_flight_at_most == told.in_flight_at_most == 6


async def test_slow_downloads_keep_no_slot_empty(tmp_path):
    """All jobs in flight end at one time, and each mesh takes long to come: the next jobs begin all the same."""

    class Slow(SimulatedDownloads):
        async def fetch(self, url, target, *, expected_bytes):
            await anyio.sleep(59)
            return await super().fetch(url, target, expected_bytes=expected_bytes)

    service = SimulatedService(job_s=300)
    runs = SimulatedRuns(tmp_path, service=service)
    runs.downloads = Slow(service, runs.storage)
    runs.sections = {"limits": {"in_flight": 16, "uploads": 2, "downloads": 2}}
    for at in range(48):
        runs.add(f"set {at:03}")
    await runs.run()
    began = sorted((job.created_at - BEGIN).total_seconds() for job, _ in service._jobs.values())
    assert began[31] - began[16] < 10, "one wave after the other"
    assert began[47] < 2 * 300 * 1.1 + 60


async def test_sets_get_ready_one_after_the_other_not_all_at_the_end(tmp_path):
    """The first job begins when the pictures of the first sets are there, however many are at work."""
    service = SimulatedService(job_s=60)
    runs = SimulatedRuns(tmp_path, service=service)
    runs.sections = {"limits": {"in_flight": 30, "uploads": 2}}
    for at in range(60):
        runs.add(f"set {at:03}", **{view: f"{view} {at}" for view in ("front", "back", "left", "right")})
    await runs.run()
    first = min(job.created_at for job, _ in service._jobs.values())
    assert (first - BEGIN).total_seconds() < 20
