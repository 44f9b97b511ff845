"""Stops that mean it: selections, windows, times, money, the first failure. In virtual time."""

from datetime import timedelta

import anyio
import pytest
from simulated_ports import SimulatedService, virtual_now, virtual_time
from simulated_run import SimulatedRuns

from pipeline.domain.errors import RequestRefused
from pipeline.domain.lifecycle import State
from pipeline.domain.run_options import AS_THE_MANIFEST_SAYS, RunOptions
from pipeline.domain.selection import Selection
from pipeline.domain.window import Window
from pipeline.ports.clock import local_time

pytestmark = pytest.mark.anyio
HOUR_S = 3600.0


@pytest.fixture
def anyio_backend():
    return virtual_time()


@pytest.fixture
def runs(tmp_path) -> SimulatedRuns:
    runs = SimulatedRuns(tmp_path)
    for name in "abcd":
        runs.add(name)
    runs.sections["limits"] = {"in_flight": 1}
    return runs


def window_in(begins: timedelta, ends: timedelta) -> Window:
    """So long from now, by whatever this machine's clock shows."""
    now = local_time(virtual_now())
    return Window(begins=(now + begins).time(), ends=(now + ends).time())


def states(rows) -> dict[str, State]:
    return {row.set: row.state for row in rows}


async def test_what_is_outside_the_selection_stays_and_decides_nothing(runs: SimulatedRuns) -> None:
    runs.service.troubles = [RequestRefused("no")]
    outcome, _ = await runs.run()
    assert (outcome.failed, outcome.delivered) == (1, 3)
    runs.add("e")
    runs.options = RunOptions(selection=Selection(only=("[b-e]",)))
    outcome, rows = await runs.run()
    assert (outcome.delivered, outcome.failed, outcome.unfinished) == (4, 0, 0)
    assert states(rows) == {"a": State.FAILED, **dict.fromkeys("bcde", State.DELIVERED)}
    assert len(runs.service.submitted) == 4


async def test_a_limit_does_so_many_and_the_next_run_goes_on(runs: SimulatedRuns) -> None:
    runs.options = RunOptions(selection=Selection(limit=3))
    outcome, rows = await runs.run()
    assert (outcome.delivered, outcome.unfinished, len(rows)) == (3, 0, 4)
    outcome, rows = await runs.run()
    assert (outcome.delivered, outcome.unfinished) == (4, 0)
    assert len(runs.service.submitted) == 4


async def test_an_exchange_of_names_outside_the_selection_loses_no_mesh(runs: SimulatedRuns) -> None:
    await runs.run()
    before = runs.meshes
    runs.rename("a", "swap")
    runs.rename("b", "a")
    runs.rename("swap", "b")
    runs.options = RunOptions(selection=Selection(only=("a",)))
    outcome, _ = await runs.run()
    assert outcome.delivered == 1
    runs.options = AS_THE_MANIFEST_SAYS
    await runs.run()
    assert runs.meshes["a/a.glb"] == before["b/b.glb"]
    assert runs.meshes["b/b.glb"] == before["a/a.glb"]
    assert len(runs.service.submitted) == 4


async def test_outside_the_window_everything_is_deferred_and_nothing_is_sent(runs: SimulatedRuns) -> None:
    runs.options = RunOptions(window=window_in(timedelta(hours=1), timedelta(hours=2)))
    outcome, rows = await runs.run()
    assert (outcome.out_of_time, outcome.delivered) == (4, 0)
    assert {row.error.kind for row in rows if row.error} == {"OutOfTime"}
    assert not runs.service.submitted
    await anyio.sleep(HOUR_S)
    runs.options = RunOptions(window=window_in(timedelta(), timedelta(hours=1)))
    outcome, _ = await runs.run()
    assert outcome.delivered == 4


async def test_a_window_that_ends_within_a_run_defers_the_rest_and_fetches_what_is_paid(tmp_path) -> None:
    runs = SimulatedRuns(tmp_path, service=SimulatedService(job_s=1800))
    for name in "abcd":
        runs.add(name)
    runs.sections["limits"] = {"in_flight": 1}
    window = window_in(timedelta(), timedelta(minutes=45))
    runs.options = RunOptions(window=window)
    outcome, _ = await runs.run()
    assert (outcome.delivered, outcome.out_of_time) == (2, 2)
    assert window.is_open(local_time(virtual_now())) is False
    assert len(runs.service.submitted) == 2


async def test_what_is_paid_is_fetched_outside_the_window(runs: SimulatedRuns) -> None:
    stop = anyio.Event()
    async with anyio.create_task_group() as tasks:

        async def interrupt() -> None:
            await anyio.sleep(30)
            stop.set()

        tasks.start_soon(interrupt)
        outcome, _ = await runs.run(stop=stop)
    assert len(runs.service.submitted) == 1
    runs.sections["limits"] = {"in_flight": 1, "window": str(window_in(timedelta(hours=2), timedelta(hours=3)))}
    outcome, _ = await runs.run()
    assert (outcome.delivered, outcome.out_of_time) == (1, 3)
    assert len(runs.service.submitted) == 1


async def test_a_run_is_told_how_long_and_how_much(runs: SimulatedRuns) -> None:
    runs.sections |= {"budget": {"max_cu": 1}, "limits": {"in_flight": 1, "max_duration": "1s"}}
    runs.options = RunOptions(max_cu=25.0, max_duration_s=HOUR_S)
    outcome, _ = await runs.run()
    assert (outcome.delivered, outcome.over_budget) == (2, 2)
    runs.options = RunOptions(max_cu=100.0, max_duration_s=30.0)
    outcome, _ = await runs.run()
    assert (outcome.delivered, outcome.out_of_time) == (3, 1)


async def test_after_the_first_failure_nothing_more_is_submitted_and_what_is_paid_is_finished(
    runs: SimulatedRuns,
) -> None:
    class RefusesTheSecond(SimulatedService):
        async def generate(self, *, model, inputs):
            if len(self.submitted) == 1:
                raise RequestRefused("no")
            return await super().generate(model=model, inputs=inputs)

    runs = SimulatedRuns(runs.folder, service=RefusesTheSecond())
    runs.sections["limits"] = {"in_flight": 2}
    runs.options = RunOptions(fail_fast=True)
    outcome, rows = await runs.run()
    assert (outcome.delivered, outcome.failed, outcome.unfinished) == (1, 1, 2)
    assert len(runs.service.submitted) == 1
    assert [one for one in runs.warnings if "--fail-fast" in one]
    assert all(row.error is None for row in rows if row.state is not State.FAILED)


async def test_a_refused_set_is_a_failure_too(runs: SimulatedRuns) -> None:
    runs.add("broken", left="no front")
    runs.options = RunOptions(fail_fast=True)
    outcome, _ = await runs.run()
    assert (outcome.refused, outcome.unfinished) == (1, 4)
    assert not runs.service.submitted
    runs.options = RunOptions(fail_fast=True, selection=Selection(exclude=("broken",)))
    outcome, _ = await runs.run()
    assert (outcome.delivered, outcome.refused) == (4, 0)


async def test_without_the_option_siblings_go_on(runs: SimulatedRuns) -> None:
    runs.service.troubles = [RequestRefused("no")]
    outcome, _ = await runs.run()
    assert (outcome.delivered, outcome.failed) == (3, 1)
