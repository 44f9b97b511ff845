"""Budgets, windows, ceilings and interruptions: hard stops that lose nothing."""

import hashlib
from collections.abc import Mapping
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from world import World

from pipeline.batch.decisions import retry
from pipeline.domain.errors import AssetGone, CredentialsError, RequestRefused
from pipeline.domain.jobs import Job
from pipeline.domain.lifecycle import State
from pipeline.domain.planning import Action
from pipeline.ports.interfaces import Scenario
from pipeline.service.pricing import PriceList
from pipeline.service.serve import forget_assets

pytestmark = pytest.mark.anyio
PAID = {"prices": PriceList.from_document({"base": 10, "enablePbr": 5})}


class Wrapped:
    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        self.posts = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._scenario, name)


async def test_the_plan_has_the_services_price_and_the_rows_what_was_charged(world: World) -> None:
    world.add("chair")
    world.add("lamp")
    world.options = PAID
    outcome, rows, plan = await world.run(sets=[{"path": "sets/*", "params": {"enablePbr": True}}])
    assert plan.cu == 30
    assert outcome.charged_cu == 30
    assert [(row.cu_quoted, row.cu_charged) for row in rows] == [(15, 15), (15, 15)]


async def test_what_is_over_the_budget_is_deferred_and_done_when_there_is_room(world: World) -> None:
    for set_id in "abc":
        world.add(set_id)
    world.options = PAID
    outcome, rows, _ = await world.run(budget={"max_cu": 25})
    assert (outcome.delivered, outcome.over_budget) == (2, 1)
    assert outcome.charged_cu <= 25
    deferred = [row for row in rows if row.state is State.DEFERRED]
    assert deferred[0].error is not None
    assert "10 CU more would pass the budget" in deferred[0].error.message
    outcome, _, _ = await world.run(budget={"max_cu": 25})
    assert (outcome.delivered, outcome.over_budget, outcome.charged_cu) == (3, 0, 10)
    assert await world.jobs() == 3


async def test_nothing_is_submitted_after_the_window(world: World) -> None:
    world.add("chair")
    async with world.batch(limits={"max_duration": "1s"}) as batch, world.service() as (scenario, downloads):
        plan = await batch.price(await batch.plan(), scenario)
        batch._manifest = batch._manifest.model_copy(
            update={"limits": batch._manifest.limits.model_copy(update={"max_duration": 0.0})}
        )
        outcome = await batch.carry_out(plan, scenario=scenario, downloads=downloads, stop=anyio.Event())
    assert outcome.out_of_time == 1
    assert await world.jobs() == 0
    outcome, _, _ = await world.run()
    assert outcome.delivered == 1


async def test_a_ceiling_that_the_run_did_not_know_is_learned(world: World) -> None:
    for set_id in "abcdef":
        world.add(set_id)
    world.options = {"ceiling": 2}
    outcome, _, _ = await world.run(limits={"in_flight": 6})
    assert outcome.delivered == 6
    assert any("ceiling is 2" in str(event) for event in world.events)
    assert await world.jobs() == 6


async def test_a_stop_within_a_submission_records_it_and_the_next_run_pays_nothing_twice(world: World) -> None:
    stop = anyio.Event()

    class StopsWithin(Wrapped):
        async def generate(self, *, model: str, inputs: Mapping[str, Any]) -> Job:
            stop.set()
            await anyio.lowlevel.checkpoint()
            return await self._scenario.generate(model=model, inputs=inputs)

    for set_id in "abc":
        world.add(set_id)
    with anyio.fail_after(5):
        outcome, rows, _ = await world.run(wrap=StopsWithin, stop=stop)
    assert outcome.interrupted
    assert outcome.delivered == 0
    submitted = await world.jobs()
    assert sum(row.state is State.SUBMITTED for row in rows) == submitted
    outcome, _, _ = await world.run()
    assert outcome.delivered == 3
    assert await world.jobs() == 3


async def test_an_answer_that_does_not_come_is_not_waited_for_once_told_to_stop(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.batch.pool.LAST_WORDS_S", 0.2)
    stop = anyio.Event()

    class Hangs(Wrapped):
        async def generate(self, *, model: str, inputs: Mapping[str, Any]) -> Job:
            await self._scenario.generate(model=model, inputs=inputs)
            stop.set()
            await anyio.sleep_forever()
            raise AssertionError

    world.add("chair")
    with anyio.fail_after(5):
        outcome, rows, _ = await world.run(wrap=Hangs, stop=stop)
    assert outcome.interrupted
    assert rows[0].state is State.UNCERTAIN
    outcome, rows, _ = await world.run()
    assert outcome.delivered == 1
    assert await world.jobs() == 1


async def test_assets_that_the_service_lost_are_uploaded_again(world: World) -> None:
    world.add("chair")

    class Forgets(Wrapped):
        async def generate(self, *, model: str, inputs: Mapping[str, Any]) -> Job:
            self.posts += 1
            if self.posts == 1:
                raise AssetGone("the service has no such asset", asset_ids=[inputs["leftImage"]])
            return await self._scenario.generate(model=model, inputs=inputs)

    outcome, rows, _ = await world.run(wrap=Forgets)
    assert outcome.delivered == 1
    assert rows[0].attempts == 1


async def test_refused_credentials_end_the_run_and_nothing_is_charged_or_lost(world: World) -> None:
    world.add("chair")

    class Refuses(Wrapped):
        async def generate(self, **_: Any) -> Job:
            raise CredentialsError("the plan lacks the model")

    with pytest.raises(ExceptionGroup) as caught:
        await world.run(wrap=Refuses)
    assert caught.group_contains(CredentialsError)
    assert (world.folder / "out/results.jsonl").is_file()
    outcome, _, plan = await world.run()
    assert [one.action for one in plan.items] == [Action.GENERATE]
    assert outcome.delivered == 1


async def test_a_front_that_the_service_refuses_stops_nobody_else(world: World) -> None:
    for set_id in "abc":
        world.add(set_id)
    bad = hashlib.sha256((world.folder / "sets/a/front.png").read_bytes()).hexdigest()[:32]

    class RefusesOne(Wrapped):
        async def create_asset(self, *, name: str, **rest: Any) -> str:
            if name == f"front-{bad}-1":
                raise RequestRefused("400: no such picture")
            return await self._scenario.create_asset(name=name, **rest)

    outcome, rows, plan = await world.run(wrap=RefusesOne)
    assert plan.cu == 0
    assert (outcome.delivered, outcome.failed) == (2, 1)
    assert rows[0].error is not None
    assert "no such picture" in rows[0].error.message


async def test_a_lost_result_is_not_bought_again_behind_the_plans_back(world: World) -> None:
    """It was quoted free once; both the file and the service's assets are gone; now it costs."""
    world.add("chair")
    _, rows, _ = await world.run()
    world.mesh("chair").unlink()
    async with world.service() as (scenario, _):
        job = (await scenario.jobs()).jobs[0]
    await forget_assets(world.folder / "service", job.asset_ids)
    world.options = PAID
    outcome, rows, plan = await world.run(budget={"max_cu": 1})
    assert [one.action for one in plan.items] == [Action.FETCH]
    assert outcome.charged_cu == 0
    assert rows[0].state is State.FAILED
    assert "does not list" in (rows[0].error.message if rows[0].error else "")
    async with world.batch() as batch:
        await retry(await batch._ledger.items(), anew=True, ledger=batch._ledger)
    outcome, _, plan = await world.run(budget={"max_cu": 20})
    assert (plan.cu, outcome.delivered, outcome.charged_cu) == (10, 1, 10)
