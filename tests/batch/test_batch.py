"""The main job as a person meets it: run, run again, change something, rename, stop, lose an answer."""

import shutil
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
import toy_engine
from world import World, draw

from pipeline.batch.decisions import retry
from pipeline.domain.errors import NeverSent, SubmissionUncertain
from pipeline.domain.events import ItemMoved
from pipeline.domain.jobs import Job
from pipeline.domain.lifecycle import State
from pipeline.domain.planning import Action
from pipeline.ports.interfaces import Scenario

pytestmark = pytest.mark.anyio


class Wrapped:
    """A service whose ``generate`` meets with something on its way."""

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        self.posts = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._scenario, name)


class LosesTheFirstAnswer(Wrapped):
    async def generate(self, *, model: str, inputs: Mapping[str, Any]) -> Job:
        self.posts += 1
        job = await self._scenario.generate(model=model, inputs=inputs)
        if self.posts == 1:
            raise SubmissionUncertain("the answer was lost")
        return job


class LosesTheFirstRequest(Wrapped):
    async def generate(self, *, model: str, inputs: Mapping[str, Any]) -> Job:
        self.posts += 1
        if self.posts == 1:
            raise NeverSent("connection refused")
        return await self._scenario.generate(model=model, inputs=inputs)


async def test_every_set_becomes_a_mesh_and_a_row(world: World) -> None:
    for set_id in ("chair", "lamp"):
        world.add(set_id)
    outcome, rows, _ = await world.run()
    assert (outcome.delivered, outcome.failed) == (2, 0)
    assert world.mesh("chair").read_bytes() != world.mesh("lamp").read_bytes()
    chair = rows[0]
    assert (chair.set, chair.state, chair.verdict, chair.attempts) == ("chair", State.DELIVERED, "accepted", 1)
    assert chair.views == ("front", "left", "back")
    assert chair.outputs[0].path == "meshes/chair/chair.glb"
    assert chair.outputs[0].bytes == world.mesh("chair").stat().st_size
    assert {"upload", "generate", "download", "deliver"} <= set(chair.timings)
    assert (world.folder / "out" / "results.jsonl").read_text().count("\n") == 2
    moves = [one.after for one in world.events if isinstance(one, ItemMoved) and one.aliases[0].set_id == "lamp"]
    assert moves == ["uploading", "ready", "submitting", "submitted", "finished", "downloaded", "delivered"]
    assert not list((world.folder / "out" / ".mvmesh").rglob("*.part")), "nothing is left in staging"


async def test_a_second_run_has_nothing_to_do(world: World) -> None:
    world.add("chair")
    await world.run()
    outcome, rows, plan = await world.run()
    assert not plan.needs_service
    assert [one.action for one in plan.items] == [Action.NOTHING]
    assert outcome.delivered == 1
    assert rows[0].outputs


async def test_one_changed_picture_is_one_new_job_and_the_old_mesh_is_kept(world: World) -> None:
    world.add("chair")
    world.add("lamp")
    await world.run()
    before = world.mesh("chair").read_bytes()
    draw(world.folder / "sets/chair/left.png", 4000)
    _, _, plan = await world.run()
    assert [(one.work.aliases[0].set_id, one.action) for one in plan.items] == [
        ("chair", Action.GENERATE),
        ("lamp", Action.NOTHING),
    ]
    assert await world.jobs() == 3
    assert world.mesh("chair").read_bytes() != before
    kept = list((world.folder / "out/.mvmesh/replaced").rglob("*.replaced"))
    assert [one.name for one in kept] == ["chair.glb.replaced"]
    assert kept[0].read_bytes() == before


async def test_one_changed_parameter_is_one_new_job(world: World) -> None:
    world.add("chair")
    await world.run()
    outcome, _, plan = await world.run(defaults={"faceCount": 50_000})
    assert outcome.delivered == 1
    assert [one.action for one in plan.items] == [Action.GENERATE]
    assert await world.jobs() == 2


async def test_a_renamed_folder_takes_its_mesh_along_and_costs_nothing(world: World) -> None:
    world.add("chair")
    await world.run()
    mesh = world.mesh("chair").read_bytes()
    (world.folder / "sets/chair").rename(world.folder / "sets/stool")
    outcome, rows, plan = await world.run()
    assert not plan.needs_service
    assert outcome.delivered == 1
    assert world.mesh("stool").read_bytes() == mesh
    assert not world.mesh("chair").parent.exists()
    assert rows[0].outputs[0].path == "meshes/stool/stool.glb"
    assert await world.jobs() == 1


async def test_two_sets_that_exchange_their_names_exchange_their_meshes(world: World) -> None:
    world.add("a")
    world.add("b")
    await world.run()
    of_a, of_b = world.mesh("a").read_bytes(), world.mesh("b").read_bytes()
    sets = world.folder / "sets"
    (sets / "a").rename(sets / "c")
    (sets / "b").rename(sets / "a")
    (sets / "c").rename(sets / "b")
    _, _, plan = await world.run()
    assert not plan.needs_service
    assert (world.mesh("a").read_bytes(), world.mesh("b").read_bytes()) == (of_b, of_a)
    _, _, plan = await world.run()
    assert [one.action for one in plan.items] == [Action.NOTHING, Action.NOTHING]


async def test_equal_pictures_are_one_job_and_two_meshes(world: World) -> None:
    world.add("chair")
    shutil.copytree(world.folder / "sets/chair", world.folder / "sets/twin")
    outcome, rows, _ = await world.run()
    assert outcome.delivered == 2
    assert await world.jobs() == 1
    assert rows[0].job_id == rows[1].job_id
    assert world.mesh("chair").read_bytes() == world.mesh("twin").read_bytes()


async def test_copies_and_variants_are_jobs_of_their_own(world: World) -> None:
    world.add("chair")
    outcome, rows, _ = await world.run(
        sets=[{"path": "sets/*", "copies": 2}],
        variants=[{"name": "fine"}, {"name": "plain", "params": {"generateType": "Geometry"}}],
    )
    assert outcome.delivered == 4
    assert await world.jobs() == 4
    assert [row.label for row in rows] == ["chair@fine", "chair@fine@copy2", "chair@plain", "chair@plain@copy2"]
    assert world.mesh("chair@plain@copy2").is_file()


async def test_a_deleted_mesh_is_fetched_again_not_made_again(world: World) -> None:
    world.add("chair")
    await world.run()
    before = world.mesh("chair").read_bytes()
    world.mesh("chair").unlink()
    outcome, _, plan = await world.run()
    assert [one.action for one in plan.items] == [Action.FETCH]
    assert outcome.delivered == 1
    assert world.mesh("chair").read_bytes() == before
    assert await world.jobs() == 1


async def test_a_bad_set_leaves_its_siblings_alone(world: World) -> None:
    world.add("chair")
    world.add("lamp")
    (world.folder / "sets/lamp/left.png").write_bytes(b"no picture")
    (world.folder / "sets/empty").mkdir()
    outcome, rows, _ = await world.run()
    assert (outcome.delivered, outcome.refused) == (1, 2)
    refused = {row.set: row for row in rows if row.state is State.REFUSED}
    assert refused.keys() == {"empty", "lamp"}
    assert refused["lamp"].error is not None
    assert "left.png" in refused["lamp"].error.message
    assert refused["lamp"].error.mend


async def test_a_failed_job_is_tried_again_within_a_bound_and_told(world: World) -> None:
    world.add("chair")
    world.engine = toy_engine.break_down
    outcome, rows, _ = await world.run()
    assert outcome.failed == 1
    assert rows[0].attempts == 2
    assert rows[0].error is not None
    assert "the engine failed" in rows[0].error.message
    assert rows[0].error.mend.startswith("run again")
    world.engine = toy_engine.make
    outcome, rows, _ = await world.run()
    assert outcome.delivered == 1
    assert rows[0].error is None


async def test_pictures_that_the_service_blames_fail_once_until_a_person_says_otherwise_or_they_change(
    world: World,
) -> None:
    world.add("chair")
    world.engine = toy_engine.refuse
    for _ in range(2):
        outcome, rows, _ = await world.run()
        assert (outcome.failed, rows[0].attempts, await world.jobs()) == (1, 1, 1)
        assert rows[0].error is not None
        assert (rows[0].error.kind, rows[0].error.message[-26:]) == ("PicturesMakeNoMesh", "frontImage shows no object")
        assert rows[0].error.mend.startswith("render it on a plain background; then run again")
    async with world.batch() as batch:
        await retry(await batch._ledger.items(), anew=False, ledger=batch._ledger)
    await world.run()
    assert await world.jobs() == 2
    world.engine = toy_engine.make
    draw(world.folder / "sets/chair/left.png", 77)
    outcome, rows, _ = await world.run()
    assert (outcome.delivered, rows[0].error) == (1, None)


async def test_a_mesh_that_falls_short_is_held_where_the_manifest_says_so(world: World) -> None:
    world.add("chair")
    world.engine = toy_engine.make_untextured
    outcome, rows, _ = await world.run(acceptance={"on_low": "hold"})
    assert outcome.held == 1
    assert world.mesh("chair", held=True).is_file()
    assert not world.mesh("chair").exists()
    assert rows[0].reasons == ("no texture, asked for a textured mesh",)
    _, _, plan = await world.run(acceptance={"on_low": "hold"})
    assert [one.action for one in plan.items] == [Action.LEAVE]


async def test_a_lost_answer_is_found_in_the_list_and_paid_once(world: World) -> None:
    world.add("chair")
    outcome, rows, _ = await world.run(wrap=LosesTheFirstAnswer)
    assert outcome.delivered == 1
    assert rows[0].attempts == 1
    assert await world.jobs() == 1


async def test_an_absent_submission_stays_uncertain_until_absence_may_be_believed(world: World) -> None:
    class Swallows(Wrapped):
        async def generate(self, **_: Any) -> Job:
            raise SubmissionUncertain("the connection broke")

    world.add("chair")
    patient = {"uncertain": {"settle": "1s", "believe_after": "1h"}}
    outcome, _, _ = await world.run(wrap=Swallows, **patient)
    assert outcome.uncertain == 1
    outcome, _, _ = await world.run(**patient)
    assert outcome.uncertain == 1
    assert await world.jobs() == 0
    world.ahead = timedelta(seconds=2)
    outcome, rows, _ = await world.run(uncertain={"settle": "1s", "believe_after": "1s"})
    assert outcome.delivered == 1
    assert rows[0].attempts == 2
    assert await world.jobs() == 1


async def test_a_request_that_never_left_is_simply_sent_again(world: World) -> None:
    world.add("chair")
    outcome, rows, _ = await world.run(wrap=LosesTheFirstRequest)
    assert outcome.delivered == 1
    assert rows[0].attempts == 1
    assert await world.jobs() == 1


async def test_a_moved_project_folder_takes_its_results_along(world: World) -> None:
    world.add("chair")
    await world.run()
    moved = world.folder.parent / f"{world.folder.name} moved"
    world.folder.rename(moved)
    world.folder = moved
    outcome, _, plan = await world.run()
    assert [one.action for one in plan.items] == [Action.NOTHING]
    assert outcome.delivered == 1
