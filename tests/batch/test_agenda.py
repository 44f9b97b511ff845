"""The order in which items are taken, and who waits for which. In virtual time."""

from dataclasses import dataclass
from types import SimpleNamespace

import anyio
import pytest
from simulated_ports import virtual_time

from pipeline.batch.agenda import TAIL, Agenda
from pipeline.domain.lifecycle import State
from pipeline.domain.planning import Action

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return virtual_time()


@dataclass(frozen=True)
class Item:
    name: str
    lasts_s: float = 1.0
    action: Action = Action.GENERATE


def record(state=State.DELIVERED):
    return SimpleNamespace(state=state, key="k")


async def taken(agenda, count):
    return [(await agenda.take()).name for _ in range(count)]


async def test_the_plans_order_stands_until_the_longest_come_first_at_the_end():
    items = [Item(f"{at:02}", lasts_s=at % 5) for at in range(20)]
    agenda = Agenda(items, expected_s=lambda one: one.lasts_s, slots=lambda: 2)
    order = await taken(agenda, 20)
    assert order[: 20 - 2 * TAIL] == sorted(order)[: 20 - 2 * TAIL]
    tail = [int(one) % 5 for one in order[20 - 2 * TAIL :]]
    assert tail == sorted(tail, reverse=True)


async def test_equally_long_ones_stay_in_their_order():
    agenda = Agenda([Item(f"{at}") for at in range(6)], expected_s=lambda one: one.lasts_s, slots=lambda: 8)
    assert await taken(agenda, 6) == ["0", "1", "2", "3", "4", "5"]


async def test_the_end_is_sorted_anew_by_what_was_learned_meanwhile():
    learned = {}
    agenda = Agenda(
        [Item(f"{at}") for at in range(8)], expected_s=lambda one: learned.get(one.name, 0), slots=lambda: 8
    )
    assert await taken(agenda, 4) == ["0", "1", "2", "3"]
    learned["7"] = 9
    assert await taken(agenda, 2) == ["7", "4"]


async def test_what_is_paid_comes_before_all_that_is_longer():
    items = [Item("new", lasts_s=9), Item("paid", action=Action.RESUME), Item("fetched", action=Action.FETCH)]
    agenda = Agenda(items, expected_s=lambda one: one.lasts_s, slots=lambda: 8)
    assert await taken(agenda, 3) == ["paid", "fetched", "new"]


async def test_workers_wait_while_more_may_come():
    agenda = Agenda(open=True)
    got = []

    async def work():
        while (one := await agenda.take()) is not None:
            got.append((anyio.current_time(), one.name))
            await anyio.sleep(1)
            agenda.put_back(one, record())

    async with anyio.create_task_group() as workers:
        for _ in range(3):
            workers.start_soon(work)
        await anyio.sleep(10)
        assert not agenda.is_idle
        agenda.add([Item("a"), Item("b")])
        await anyio.sleep(10)
        assert not agenda.is_idle
        agenda.add([Item("c")])
        agenda.no_more()
    assert [at for at, _ in got] == [10, 10, 20]
    assert agenda.is_idle


async def test_a_plan_of_nothing_ends_at_once():
    agenda = Agenda(open=True)
    async with anyio.create_task_group() as workers:
        workers.start_soon(agenda.take)
        await anyio.sleep(5)
        agenda.no_more()
    assert anyio.current_time() == 5
    assert await Agenda().take() is None


async def test_while_the_plan_grows_the_longest_have_to_wait():
    """They would come first again and again, and what stands first in the plan never."""
    agenda = Agenda([Item("a"), Item("b", lasts_s=9)], open=True, expected_s=lambda one: one.lasts_s)
    assert await taken(agenda, 2) == ["a", "b"]
