"""A run that begins with the first sets of a library while the others are still being looked at."""

import json
from dataclasses import replace

import anyio
import pytest
from simulated_ports import virtual_time
from simulated_run import Died, SimulatedRuns
from simulation.clock import without_threads

from pipeline.domain.errors import UsageError
from pipeline.domain.events import RunGrew, RunStarted
from pipeline.domain.lifecycle import State
from pipeline.domain.model import PUBLISHED_SCHEMA

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return virtual_time()


@pytest.fixture
def runs(tmp_path):
    return SimulatedRuns(tmp_path)


def published(runs):
    lines = runs.storage.get(runs.output / "results.jsonl").decode().splitlines()
    rows = {row["set"]: row["state"] for row in map(json.loads, lines)}
    assert list(rows) == sorted(rows)
    assert len(rows) == len(lines)
    return rows


async def test_the_first_set_is_submitted_before_the_last_one_is_looked_at(runs, monkeypatch):
    for at in range(6):
        runs.add(f"set {at}")
    submitted_before = {}

    async def slowly(images, paths):
        await anyio.sleep(30)
        submitted_before[paths[0].parent.name] = len(runs.service.submitted)
        return [await images.probe(path) for path in paths]

    monkeypatch.setattr("simulated_ports.SimulatedImages.probe_all", slowly)
    outcome, rows = await runs.run_early()
    assert submitted_before["set 0"] == submitted_before["set 1"] == 0
    assert submitted_before["set 5"] >= 3
    assert outcome.delivered == len(rows) == 6
    assert [one.charged_cu for one in await runs.ledger.items()] == [10.0] * 6


async def test_its_results_are_those_of_a_run_that_knew_all_sets(runs, tmp_path):
    other = SimulatedRuns(tmp_path / "other")
    for one in (runs, other):
        for at in range(5):
            one.add(f"set {at}")
        one.add("a twin", front="front of set 3")
    (outcome, rows), (expected, expected_rows) = await runs.run_early(), await other.run()
    assert outcome == expected
    assert [(row.set, row.state, row.key, row.outputs[0].path) for row in rows] == [
        (row.set, row.state, row.key, row.outputs[0].path) for row in expected_rows
    ]
    started, *grown = [one for one in runs.observed if isinstance(one, RunStarted | RunGrew)]
    assert not started.is_whole
    assert [one.is_whole for one in grown] == [False] * (len(grown) - 1) + [True]
    assert (grown[-1].total, grown[-1].quoted_cu) == (5, 50.0)


@pytest.mark.parametrize("twin", ["a twin", "z twin"])
async def test_equal_pictures_that_are_found_late_share_the_mesh(runs, twin):
    for at in range(4):
        runs.add(f"set {at}")
    runs.add(twin, front="front of set 0" if twin > "set" else "front of set 3")
    outcome, rows = await runs.run_early()
    assert outcome.delivered == len(rows) == 5
    assert len(runs.service.submitted) == 4
    assert sorted(runs.meshes) == sorted(f"{row.set}/{row.set}.glb" for row in rows)
    assert (await runs.plan()).to_do == []


async def test_a_mesh_whose_set_was_renamed_is_not_driven_away_by_a_new_set_of_its_old_name(runs):
    runs.add("a")
    await runs.run()
    (before,) = runs.meshes.values()
    runs.rename("a", "z")
    for name in ("a", "b", "c"):
        runs.add(name, front=f"new {name}")
    outcome, _ = await runs.run_early()
    assert outcome.delivered == 4
    assert len(runs.service.submitted) == 4  # the renamed one is not made again
    assert runs.meshes["z/z.glb"] == before
    assert len(set(runs.meshes.values())) == 4


async def test_what_is_wrong_with_the_last_folders_leaves_what_was_begun_recorded(runs):
    for name in ("a", "b", "c", "D"):
        runs.add(name)
    await runs.run()
    for name in ("a0", "a1"):
        runs.add(name)
    (runs.folder / "sets" / "d").mkdir()
    (runs.folder / "sets" / "d" / "front.png").write_text("another")
    with pytest.raises(ExceptionGroup) as caught:
        await runs.run_early()
    assert caught.group_contains(UsageError)
    assert any("to go on with" in one for one in runs.warnings)
    assert set(published(runs)) >= {"a", "b", "c", "D", "a0", "a1"}  # nothing is forgotten, nothing is hidden
    begun = {one.state for one in await runs.ledger.items()} - {State.DELIVERED}
    assert begun
    (runs.folder / "sets" / "d" / "front.png").unlink()
    (runs.folder / "sets" / "d").rmdir()
    outcome, _ = await runs.run()
    assert outcome.delivered == 6
    assert len(runs.service.submitted) == 6


async def probed_slowly(images, paths):
    await anyio.sleep(30)
    return [await images.probe(path) for path in paths]


async def test_a_run_that_is_stopped_while_it_still_looks_ends_well_and_goes_on_the_next_time(runs, monkeypatch):
    for at in range(12):
        runs.add(f"set {at:02}")
    monkeypatch.setattr("simulated_ports.SimulatedImages.probe_all", probed_slowly)
    stop = anyio.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(later, 170, stop.set)
        outcome, rows = await runs.run_early(stop=stop)
    assert outcome.interrupted
    assert not outcome.is_whole
    assert 0 < outcome.delivered < len(rows) < 12
    assert outcome.unfinished == len(rows) - outcome.delivered
    assert published(runs) == {row.set: row.state for row in rows}
    outcome, _ = await runs.run()
    assert (outcome.delivered, outcome.interrupted) == (12, False)
    assert len(runs.service.submitted) == 12


async def later(after_s, happen):
    await anyio.sleep(after_s)
    happen()


async def test_rows_of_sets_that_are_not_looked_at_yet_stay_published(runs, monkeypatch):
    for name in ("b", "d", "z"):
        runs.add(name)
    await runs.run()
    for name in ("a", "c", "e", "f"):
        runs.add(name)
    monkeypatch.setattr("simulated_ports.SimulatedImages.probe_all", probed_slowly)
    with pytest.raises(BaseExceptionGroup):
        await runs.run_early(dies_after=6)
    rows = published(runs)
    assert {name: rows[name] for name in ("b", "d", "z")} == dict.fromkeys("bdz", "delivered")
    assert "a" in rows
    assert "f" not in rows


async def test_sets_that_would_share_an_id_are_told_before_anything_is_sent(runs):
    """One of them would drive the other's mesh away."""
    runs.sections = {"sets": [{"path": "sets/*"}, {"path": "more/*"}]}
    for at in range(6):
        runs.add(f"set {at}")
    twin = runs.folder / "more" / "set 5" / "front.png"
    twin.parent.mkdir(parents=True)
    twin.write_text("another")
    with pytest.raises(UsageError) as refused:
        await runs.run_early()
    assert "set 5" in refused.value.problems[0]
    assert runs.service.uploads == []


async def test_a_name_that_some_file_systems_take_for_another_is_never_begun(runs):
    for name in ("A", "b", "c", "d", "e"):
        runs.add(name)
    runs.add("a", front="another")  # comes last: names are sorted
    runs.sections = {"sets": [{"path": "sets/[A-Z]*"}, {"path": "sets/[a-z]*"}]}
    with pytest.raises(UsageError) as refused:
        await runs.run_early()
    assert "apart" in refused.value.problems[0]
    runs.sections = {}
    with pytest.raises((UsageError, ExceptionGroup)):
        await runs.run_early()
    assert not any("another" in name for name in runs.service.uploads)
    assert sum(one.state is State.DELIVERED for one in await runs.ledger.items()) == len(runs.meshes)


@pytest.mark.parametrize("moves", [0, 3, 9, 14, 20, 27])
async def test_a_run_that_died_is_finished_by_the_next_one_and_nothing_is_paid_twice(runs, moves):
    for at in range(4):
        runs.add(f"set {at}")
    with pytest.raises(BaseExceptionGroup) as died:
        await runs.run_early(dies_after=moves)
    assert died.group_contains(Died)
    with without_threads():
        outcome, _ = await runs.run()
    assert outcome.delivered == 4
    assert len(runs.service.submitted) == 4


async def test_the_first_set_that_is_refused_does_not_hold_up_the_others(runs, monkeypatch):
    runs.add("a", back="no front")
    for name in ("b", "c", "d"):
        runs.add(name)
    outcome, rows = await runs.run_early()
    assert (outcome.refused, outcome.delivered) == (1, 3)
    assert [row.state for row in rows] == [State.REFUSED, *[State.DELIVERED] * 3]
    assert [row.set for row in outcome.wanting] == ["a"]


@pytest.mark.parametrize(
    ("sections", "may"), [({}, True), ({"budget": {"max_cu": 100}}, False), ({"limits": {"in_flight": 2}}, True)]
)
async def test_what_needs_all_sets_to_be_known_waits_for_them(runs, sections, may):
    runs.sections = sections
    assert runs.batch().can_begin_early() is may


async def test_parameters_that_the_live_model_does_not_take_are_told_before_anything_is_paid(runs):
    """Wherever in the manifest they stand."""
    for at in range(4):
        runs.add(f"set {at}")
    hero = runs.folder / "hero" / "front.png"
    hero.parent.mkdir()
    hero.write_text("hero")
    runs.sections = {"sets": [{"path": "sets/*"}, {"path": "hero", "params": {"faceCount": 90_000}}]}
    allowed = replace(PUBLISHED_SCHEMA.parameters["faceCount"], max=80_000, default=50_000)
    narrow = replace(PUBLISHED_SCHEMA, parameters={**PUBLISHED_SCHEMA.parameters, "faceCount": allowed})

    async def model_schema(model):
        return narrow

    runs.sections["defaults"] = {"faceCount": 60_000}
    runs.service.model_schema = model_schema
    with pytest.raises(UsageError) as refused:
        await runs.run_early()
    assert "sets[1]" in refused.value.problems[0]
    assert "90" in refused.value.problems[0]
    assert runs.service.submitted == []


async def test_new_sets_do_not_wait_for_lost_files_to_be_fetched(runs, monkeypatch):
    runs.sections = {"limits": {"in_flight": 4, "downloads": 4}}
    for at in range(60):
        runs.add(f"s {at:02}")
    await runs.run()
    await runs.storage.remove([runs.output / "meshes" / name for name in runs.meshes])
    for at in range(8):
        runs.add(f"z {at}")
    fetch, began = type(runs.downloads).fetch, anyio.current_time()
    last_submission = []

    async def slowly(downloads, *args, **options):
        await anyio.sleep(60)
        return await fetch(downloads, *args, **options)

    generate = runs.service.generate

    async def noted(**options):
        last_submission.append(anyio.current_time() - began)
        return await generate(**options)

    runs.service.generate = noted
    monkeypatch.setattr(type(runs.downloads), "fetch", slowly)
    outcome, _ = await runs.run()
    assert outcome.delivered == 68
    assert last_submission[-1] < (anyio.current_time() - began) / 4
