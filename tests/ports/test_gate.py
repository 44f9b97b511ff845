"""The gate in virtual time: the clock jumps whenever all tasks wait."""

from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio
import pytest
from anyio.abc import TaskGroup
from anyio.lowlevel import checkpoint
from hypothesis import given
from hypothesis import strategies as st
from simulated_ports import virtual_time

from pipeline.domain.errors import ConnectionLost, RequestRefused, Throttled
from pipeline.ports.gate import Gate, Pauses, full_jitter_s

pytestmark = pytest.mark.anyio

EXACT = Pauses(first_s=0.0, longest_s=0.0)
"""No pauses but those that the host wishes."""


@pytest.fixture
def anyio_backend():
    return virtual_time()


@dataclass(slots=True, kw_only=True)
class Host:
    """A host behind a gate, which notes when it was asked, and by whom."""

    gate: Gate
    asked: list[tuple[float, str]] = field(default_factory=list)

    @property
    def times(self) -> list[float]:
        return [at for at, _ in self.asked]

    async def ask(self, name: str = "", *, answers_s: float = 0.0, wish_s: float | None = None, says=None) -> None:
        """One request; with ``wish_s`` or ``says`` it is turned away after ``answers_s``."""
        error = Throttled("busy", retry_after_s=wish_s) if wish_s is not None else says
        try:
            async with self.gate.turn():
                self.asked.append((anyio.current_time(), name))
                await anyio.sleep(answers_s)
                if error:
                    raise error
        except (Throttled, ConnectionLost, RequestRefused):
            pass


def host(pauses: Pauses = EXACT) -> Host:
    return Host(gate=Gate(pauses))


@asynccontextmanager
async def closed(pauses: Pauses = EXACT, *, wish_s: float = 100.0):
    """A host that has just turned somebody away."""
    one = host(pauses)
    await one.ask(wish_s=wish_s)
    one.asked.clear()
    async with anyio.create_task_group() as tasks:
        yield one, tasks


def crowd(tasks: TaskGroup, one: Host, size: int, **how) -> None:
    for _ in range(size):
        tasks.start_soon(lambda: one.ask(**how))


async def test_an_open_gate_lets_everybody_through_at_once() -> None:
    one = host()
    async with anyio.create_task_group() as tasks:
        crowd(tasks, one, 500, answers_s=5)
    assert one.times == [0] * 500
    assert not one.gate.is_closed


async def test_one_refusal_closes_it_for_all() -> None:
    async with closed() as (one, tasks):
        assert one.gate.is_closed
        crowd(tasks, one, 20)
    assert min(one.times) == 100
    assert not one.gate.is_closed


async def test_after_the_pause_one_goes_first_and_the_others_when_it_was_answered() -> None:
    async with closed() as (one, tasks):
        crowd(tasks, one, 7, answers_s=1)
    assert one.times == [100, 101, 101, 102, 102, 102, 102]


async def test_a_plain_no_is_an_answer() -> None:
    async with closed() as (one, tasks):
        crowd(tasks, one, 3, answers_s=1, says=RequestRefused("there is no such job"))
    assert one.times == [100, 101, 101]
    assert not one.gate.is_closed


async def test_after_so_many_answers_nobody_waits_for_anybody() -> None:
    async with closed() as (one, tasks):
        crowd(tasks, one, 1000, answers_s=1)
    assert one.times == [100] + [101] * 2 + [102] * 4 + [103] * 8 + [104] * 16 + [105] * 32 + [106] * 937


async def test_a_refusal_on_the_way_up_begins_anew() -> None:
    async with closed() as (one, tasks):
        crowd(tasks, one, 3, answers_s=1)
        await anyio.sleep(101.5)
        assert one.times == [100, 101, 101]
        await one.ask(answers_s=0, wish_s=10)  # not before there is room
        assert one.times[3] == 102
        crowd(tasks, one, 3, answers_s=1)
    assert one.times[4:] == [112, 113, 113]


async def test_after_a_new_refusal_nobody_waits_for_those_sent_before_it() -> None:
    async with closed() as (one, tasks):
        await one.ask()
        crowd(tasks, one, 1, answers_s=3600)
        await anyio.wait_all_tasks_blocked()
        await one.ask(wish_s=5)
        await one.ask()
        tasks.cancel_scope.cancel()
    assert sorted(one.times) == [100, 100, 100, 105]


async def test_the_longest_wish_stands() -> None:
    one = host()
    async with anyio.create_task_group() as tasks:
        for answers_s, wish_s in ((1, 10), (2, 50), (3, 20)):
            tasks.start_soon(lambda s=answers_s, w=wish_s: one.ask(answers_s=s, wish_s=w))
        await anyio.sleep(4)
        await one.ask()
    assert one.times[-1] == 52


async def test_a_wish_is_granted_up_to_a_bound() -> None:
    async with closed(Pauses(longest_wish_s=30), wish_s=1e9) as (one, tasks):
        crowd(tasks, one, 1)
    assert one.times == [30]


async def test_refusals_of_what_was_sent_together_count_once() -> None:
    pauses = Pauses(first_s=1, longest_s=1000)
    one = host(pauses)
    async with anyio.create_task_group() as tasks:
        crowd(tasks, one, 200, says=Throttled("busy"))
    await one.ask()
    assert one.times[-1] <= 1, "two hundred refusals are one reason to pause a second"


async def test_answers_to_what_was_sent_before_do_not_open_it() -> None:
    one = host()
    async with anyio.create_task_group() as tasks:
        crowd(tasks, one, 5, answers_s=10)
        await anyio.sleep(1)
        await one.ask(wish_s=100)
        await anyio.sleep(20)
        assert one.gate.is_closed
        crowd(tasks, one, 1)
    assert one.times[-1] == 101


async def test_late_answers_of_others_send_nobody_after_the_one_that_goes_first() -> None:
    one = host()
    async with anyio.create_task_group() as tasks:
        for late_s in (102, 103, 104):
            tasks.start_soon(lambda s=late_s: one.ask(answers_s=s))
            tasks.start_soon(lambda s=late_s: one.ask(answers_s=s, says=ConnectionLost("cut")))
        await checkpoint()
        await one.ask(wish_s=100)
        del one.asked[:]
        crowd(tasks, one, 5, answers_s=8)
    assert one.times == [100, 108, 108, 116, 116]


async def test_a_pause_that_another_was_told_to_make_is_not_cut_short_by_an_answer() -> None:
    one = host()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: one.ask(answers_s=3, wish_s=60))
        await checkpoint()
        await one.ask(wish_s=1)
        await one.ask(answers_s=5)  # goes first, meanwhile the other is told of a minute
        await one.ask()
    assert one.times == [0, 0, 1, 63]


@pytest.mark.parametrize(("wish_s", "is_closed"), [(None, False), (60, True)])
async def test_a_refusal_heard_after_an_answer_to_a_later_request_is_old_news_unless_it_is_a_wish(
    wish_s: float | None,
    is_closed: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    one = host()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: one.ask(answers_s=30, says=Throttled("busy", retry_after_s=wish_s)))
        await checkpoint()
        await one.ask(wish_s=1)
        await one.ask()
        await anyio.sleep(40)
        assert one.gate.is_closed == is_closed
        await one.ask()
    assert one.times[-1] >= (90 if is_closed else 41)


async def test_one_that_hangs_holds_nobody_up_for_longer_than_its_time() -> None:
    async with closed() as (one, tasks):
        crowd(tasks, one, 100, answers_s=3600)
        await anyio.sleep(145)
        assert one.times == [100, 110, 120, 130, 140], "one by one, and no storm when the time of the first is over"
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize("how", ["cancelled", "broken"])
async def test_the_next_one_goes_when_the_first_is_cancelled_or_its_connection_breaks(how) -> None:
    async with closed() as (one, _):
        with anyio.move_on_after(102 if how == "cancelled" else 1000):
            await one.ask(answers_s=3600 if how == "cancelled" else 2, says=ConnectionLost("cut"))
        assert one.gate.is_closed
        await one.ask(answers_s=1)
        await one.ask()
    assert one.times == [100, 102, 103]


async def test_whoever_is_cancelled_while_it_waits_leaves_no_trace() -> None:
    async with closed() as (one, _):
        with anyio.move_on_after(50):
            await one.ask()
        await one.ask()
        await one.ask()
    assert one.times == [100, 100]


@pytest.mark.parametrize("wish_s", [None, 0.0, 0.001])
async def test_a_host_that_always_says_no_is_asked_ever_less_by_all_together(wish_s) -> None:
    """A wish for no pause is no leave to storm."""
    one = host(Pauses())

    async def insists() -> None:
        while True:
            await one.ask(answers_s=0.05, says=Throttled("busy", retry_after_s=wish_s))

    with anyio.move_on_after(3600):
        async with anyio.create_task_group() as tasks:
            for _ in range(100):
                tasks.start_soon(insists)
    later = [at for at in one.times if at > 0]
    assert len(later) < 300, "an hour of pauses of half a minute each, a few short ones before"
    assert sum(at > 1800 for at in later) < 150


async def test_a_host_that_takes_few_a_second_serves_all_without_a_storm() -> None:
    """A hundred workers, two requests a second: few are turned away, and nobody more often than its tries last."""
    one, served_at, tries = host(Pauses()), [], {}

    def serve() -> None:
        now = anyio.current_time()
        if sum(now - at < 1 for at in served_at) >= 2:
            raise Throttled("busy")
        served_at.append(now)

    async def works(name: int) -> None:
        while True:
            tries[name] = tries.get(name, 0) + 1
            try:
                async with one.gate.turn():
                    await anyio.sleep(0.05)
                    serve()
                    return
            except Throttled:
                continue

    async with anyio.create_task_group() as tasks:
        for name in range(100):
            tasks.start_soon(works, name)
    assert sum(tries.values()) < 100 + 100 + 300, "all at once, then a few too many at a time"
    assert sorted(tries.values())[95] <= 8


async def test_pauses_double_and_an_answer_resets_them(monkeypatch) -> None:
    monkeypatch.setattr("random.uniform", lambda _, bound: bound)
    one, began = host(Pauses(first_s=1, longest_s=8)), anyio.current_time()
    for _ in range(6):
        await one.ask(says=Throttled("busy"))
    await one.ask()
    for _ in range(2):
        await one.ask(says=Throttled("busy"))
    assert [at - began for at in one.times] == [0, 1, 3, 7, 15, 23, 31, 31, 32]


@given(
    st.integers(-1, 10**9),
    st.floats(0, 1e9, allow_subnormal=False),
    st.floats(0, 1e9, allow_subnormal=False),
)
def test_full_jitter_lies_between_nothing_and_its_bound(tried: int, first_s: float, longest_s: float) -> None:
    pause_s = full_jitter_s(tried, first_s=first_s, longest_s=longest_s)
    assert 0 <= pause_s <= longest_s
    assert pause_s <= first_s * 2.0 ** min(max(tried, 0), 60)
