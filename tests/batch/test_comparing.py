"""Views that contradict one another are held back on a real service: nothing of their set is sent, or paid."""

from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw
from world import World

from pipeline.batch.comparing import Comparing
from pipeline.batch.decisions import retry
from pipeline.domain.events import Noted
from pipeline.domain.lifecycle import State
from pipeline.domain.planning import Action
from pipeline.ports.comparisons import SqliteComparisons
from pipeline.ports.compute import WorkerProcesses
from pipeline.service.pricing import PriceList

pytestmark = pytest.mark.anyio
SOUND, SMALL, ASKEW = (40, 40, 120, 128), (40, 100, 90, 126), (40, 44, 120, 128)
"""What the other views leave room for; what cannot be of the same object; what fits badly."""
VARIANTS = {"variants": [{"name": "draft", "params": {"faceCount": 40_000}}, {"name": "fine", "params": {}}]}


def draw_set(world: World, name: str, *, back: tuple[int, int, int, int] = SOUND) -> None:
    """Blocks of colours that no other set has."""
    folder = world.folder / "sets" / name
    folder.mkdir(parents=True, exist_ok=True)
    world.shades += 1
    for at, view in enumerate(("front", "left", "back", "right")):
        picture = Image.new("RGBA", (160, 160))
        box = back if view == "back" else SOUND
        ImageDraw.Draw(picture).rectangle(box, fill=(world.shades, 90, 60), outline=(at * 60, 20, 20))
        picture.save(folder / f"{view}.png")


class Counted:
    """A service that counts what it is asked for."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()

    def __call__(self, scenario: Any) -> "Counted":
        self._scenario = scenario
        return self

    def __getattr__(self, name: str) -> Any:
        self.calls[name] += 1
        return getattr(self._scenario, name)


class CountedWorkers(WorkerProcesses):
    calls = 0

    async def run(self, function: Any, *args: Any, timeout_s: float) -> Any:
        self.calls += 1
        return await super().run(function, *args, timeout_s=timeout_s)


@pytest.fixture
async def workers(world: World, tmp_path: Path) -> AsyncIterator[CountedWorkers]:
    """The world's views are compared."""
    async with CountedWorkers(2) as compute, SqliteComparisons(tmp_path / "told") as memory:
        world.comparing = Comparing(compute=compute, memory=memory)
        yield compute


def errors(rows: list[Any]) -> dict[str, str]:
    return {row.set: row.error.kind for row in rows if row.error}


async def test_nothing_of_a_set_that_contradicts_itself_is_sent_until_it_is_mended(
    world: World, workers: CountedWorkers
) -> None:
    draw_set(world, "a")
    draw_set(world, "b", back=SMALL)
    service = Counted()
    outcome, rows, _ = await world.run(wrap=service)
    assert (outcome.delivered, outcome.refused) == (1, 1)
    assert (service.calls["create_asset"], service.calls["generate"], await world.jobs()) == (4, 1, 1)
    wrong = rows[1]
    assert (wrong.set, wrong.state, wrong.attempts, wrong.views) == (
        "b",
        State.REFUSED,
        0,
        ("front", "left", "right", "back"),
    )
    assert wrong.error is not None
    assert wrong.error.kind == "contradiction"
    assert "back view contradicts the others" in wrong.error.message
    assert "`consistency: skip`" in wrong.error.mend
    assert "`mvmesh retry`" in wrong.error.mend

    outcome, _, plan = await world.run()
    assert [one.action for one in plan.items] == [Action.NOTHING, Action.LEAVE]
    assert (outcome.refused, workers.calls) == (1, 2)

    draw_set(world, "b")
    outcome, rows, _ = await world.run()
    assert (outcome.delivered, errors(rows), await world.jobs()) == (2, {}, 2)


async def test_the_sets_own_say_and_a_persons_word(world: World, workers: CountedWorkers) -> None:
    draw_set(world, "b", back=SMALL)
    assert (await world.run())[0].refused == 1
    async with world.batch() as batch:
        (record,) = await retry(await batch._ledger.items(), anew=False, ledger=batch._ledger)
    assert record.state is State.PLANNED
    assert (await world.run())[0].refused == 1  # judged again, by what is remembered
    assert workers.calls == 1
    outcome, rows, _ = await world.run(sets=[{"path": "sets/b", "consistency": "skip"}])
    assert (outcome.delivered, rows[0].findings, rows[0].error) == (1, (), None)
    assert await world.jobs() == 1


async def test_what_fits_badly_is_sent_with_a_note_or_held_as_the_manifest_says(
    world: World, workers: CountedWorkers
) -> None:
    draw_set(world, "a", back=ASKEW)
    outcome, rows, _ = await world.run(preflight={"consistency": "hold"}, **VARIANTS)
    assert (outcome.refused, errors(rows), workers.calls) == (2, {"a": "disagreement"}, 1)
    assert "`consistency: warn`" in rows[0].error.mend
    assert await world.jobs() == 0
    outcome, rows, _ = await world.run(**VARIANTS)
    assert (outcome.delivered, workers.calls) == (2, 1)
    for row in rows:
        assert len(row.findings) == 1
        assert "agree to" in row.findings[0]
        assert row.error is None
    assert sum("goes on all the same" in one.message for one in world.events if isinstance(one, Noted)) == 2
    _, rows, _ = await world.run(**VARIANTS)
    assert rows[0].findings  # also in the results of later runs


async def test_what_is_over_the_budget_is_not_compared(world: World, workers: CountedWorkers) -> None:
    world.options = {"prices": PriceList(base=7)}
    draw_set(world, "a")
    draw_set(world, "b")
    outcome, _, _ = await world.run(budget={"max_cu": 6})
    assert (outcome.over_budget, workers.calls) == (2, 0)
    outcome, _, _ = await world.run(budget={"max_cu": 14})
    assert (outcome.delivered, workers.calls) == (2, 2)
