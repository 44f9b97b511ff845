"""Pictures that vanish or change between the plan and their upload: that set fails by name, its siblings go on, and
nothing is paid for wrong bytes.
"""

import shutil
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest
from world import World, draw

from pipeline.domain.lifecycle import State

pytestmark = pytest.mark.anyio


def vanish(picture: Path) -> None:
    picture.unlink()


def become_another(picture: Path) -> None:
    draw(picture, 4_711)


def become_another_of_the_same_size(picture: Path) -> None:
    data = bytearray(picture.read_bytes())
    data[-20] ^= 1
    picture.write_bytes(data)


def become_a_folder(picture: Path) -> None:
    picture.unlink()
    picture.mkdir()


def lead_in_a_circle(picture: Path) -> None:
    picture.unlink()
    picture.symlink_to(picture.name)


def lose_its_folder(picture: Path) -> None:
    shutil.rmtree(picture.parent)


CHANGES = [
    vanish,
    become_another,
    become_another_of_the_same_size,
    become_a_folder,
    lead_in_a_circle,
    lose_its_folder,
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda it: it.__name__)
async def test_between_the_plan_and_the_upload(world: World, change: Callable[[Path], None]) -> None:
    for set_id in "abc":
        world.add(set_id)
    async with world.batch() as batch, world.service() as (scenario, downloads):
        plan = await batch.price(await batch.plan(), scenario)
        change(world.folder / "sets" / "b" / "left.png")
        outcome = await batch.carry_out(plan, scenario=scenario, downloads=downloads, stop=anyio.Event())
        rows = {row.set: row for row in await batch.rows(plan)}
    assert (outcome.delivered, outcome.failed) == (2, 1)
    assert rows["b"].state is State.FAILED
    assert rows["b"].error is not None
    assert rows["b"].error.kind == "PictureRefused"
    assert str(world.folder / "sets" / "b") in rows["b"].error.message
    assert rows["b"].error.mend
    assert await world.jobs() == 2


async def test_what_was_mended_is_made_by_the_next_run(world: World) -> None:
    world.add("a")
    picture = world.folder / "sets" / "a" / "left.png"
    async with world.batch() as batch, world.service() as (scenario, downloads):
        plan = await batch.price(await batch.plan(), scenario)
        kept = picture.read_bytes()
        become_another(picture)
        outcome = await batch.carry_out(plan, scenario=scenario, downloads=downloads, stop=anyio.Event())
        assert outcome.failed == 1
    picture.write_bytes(kept)
    outcome, _, _ = await world.run()
    assert outcome.delivered == 1
    assert await world.jobs() == 1
