"""Rounds of questions, in virtual time."""

import asyncio
from functools import partial

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from simulated_ports import virtual_time

from pipeline.ports.gathering import LONGEST_REST_S, Gathering
from pipeline.ports.hops import MOST, Hops

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return virtual_time()


class Server:
    """Answers with the question itself after a second, a round at a time; some questions are refused, some break off
    the round that they are in the first time.
    """

    def __init__(self, *, rounds=1, most=None, rest_s=0.0, refused=(), breaking=()):
        self.rounds, self.began = [], []
        self.at_once = self.most_at_once = 0
        self.refused = set(refused)
        self.breaking = set(breaking)
        self.gathering = Gathering(self.serve, rounds=rounds, most=most, rest_s=rest_s)

    async def serve(self, batch):
        self.rounds.append([one.what for one in batch])
        self.began.append(anyio.current_time())
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await anyio.sleep(1)
            if broken := self.breaking.intersection(one.what for one in batch):
                self.breaking -= broken
                raise ConnectionResetError
            for one in batch:
                one.fail(LookupError(one.what)) if one.what in self.refused else one.answer(one.what)
        finally:
            self.at_once -= 1

    async def ask(self, what, got, *, after_s=0.0, patience_s=float("inf")):
        await anyio.sleep(after_s)
        got[what] = None
        with anyio.move_on_after(patience_s):
            try:
                got[what] = await self.gathering.ask(what)
            except (LookupError, ConnectionResetError) as error:
                got[what] = type(error)


async def all_of(*asks):
    async with anyio.create_task_group() as tasks:
        for ask in asks:
            tasks.start_soon(ask)


async def test_what_is_asked_during_a_round_shares_the_next():
    server, got = Server(), {}
    await all_of(*(partial(server.ask, at, got, after_s=0.5 * bool(at)) for at in range(6)))
    assert [sorted(one) for one in server.rounds] == [[0], [1, 2, 3, 4, 5]]
    assert got == {at: at for at in range(6)}


async def test_what_is_asked_at_one_moment_shares_a_round():
    server, got = Server(), {}
    await all_of(*(partial(server.ask, at, got) for at in range(6)))
    assert len(server.rounds) <= 2
    await all_of(*(partial(server.ask, at, got) for at in range(6)))
    assert len(server.rounds) <= 4


async def test_a_refusal_is_for_the_one_who_asked():
    server, got = Server(refused=[2]), {}
    await all_of(*(partial(server.ask, at, got) for at in range(4)))
    assert got == {0: 0, 1: 1, 2: LookupError, 3: 3}


async def test_who_gives_up_while_it_waits_is_never_served():
    server, got = Server(), {}
    await all_of(
        partial(server.ask, "first", got),
        partial(server.ask, "hasty", got, after_s=0.2, patience_s=0.5),
        partial(server.ask, "patient", got, after_s=0.3),
    )
    assert server.rounds == [["first"], ["patient"]]
    assert got == {"first": "first", "hasty": None, "patient": "patient"}


async def test_who_gives_up_while_it_serves_leaves_the_others_to_one_of_them():
    server, got = Server(), {}
    await all_of(
        partial(server.ask, "first", got),
        partial(server.ask, "leader", got, after_s=0.2, patience_s=1.3),  # served from 1.0 on
        partial(server.ask, "a", got, after_s=0.3),
        partial(server.ask, "b", got, after_s=0.4),
    )
    assert server.rounds == [["first"], ["leader", "a", "b"], ["a", "b"]]
    assert got == {"first": "first", "leader": None, "a": "a", "b": "b"}


async def test_a_round_that_breaks_is_the_trouble_of_the_one_who_served_it():
    server, got = Server(breaking=["a"]), {}
    await all_of(*(partial(server.ask, one, got, after_s=0.1 * at) for at, one in enumerate(("first", "a", "b"))))
    assert got == {"first": "first", "a": ConnectionResetError, "b": "b"}


async def test_rounds_have_bounds():
    server, got = Server(rounds=2, most=3), {}
    await all_of(*(partial(server.ask, at, got) for at in range(20)))
    assert got == {at: at for at in range(20)}
    assert max(map(len, server.rounds)) == 3
    assert server.most_at_once == 2


@pytest.mark.parametrize(("rest_s", "apart_s"), [(0.0, 1.5), (0.1, 1.5), (1.0, 2.0), (3.0, 6.0), (40.0, 60.0)])
async def test_many_together_are_followed_by_a_rest_in_which_more_come(monkeypatch, rest_s, apart_s):
    """A round takes a second; the rest goes with how many it had, and counts from its beginning."""
    monkeypatch.setattr("pipeline.ports.gathering.LONGEST_REST_S", 60.0)
    server, got = Server(rest_s=rest_s), {}
    await all_of(
        *(partial(server.ask, at, got) for at in range(3)),
        *(partial(server.ask, at, got, after_s=at / 2) for at in (3, 4, 5, 9)),
    )
    assert got == {at: at for at in (*range(6), 9)}
    assert server.began[1] - server.began[0] == pytest.approx(apart_s)


async def test_who_asks_alone_never_rests():
    server, got, began = Server(rest_s=LONGEST_REST_S), {}, anyio.current_time()
    for at in range(10):
        await server.ask(at, got)
    assert anyio.current_time() - began == pytest.approx(10.0)


@given(
    st.lists(
        st.tuples(st.integers(0, 30), st.sampled_from([1, 4, 12, 1000]), st.booleans(), st.booleans()), max_size=25
    ),
    st.integers(1, 3),
    st.none() | st.integers(1, 4),
    st.sampled_from([0.0, 0.005]),
)
def test_everybody_who_waits_long_enough_is_served(questions, rounds, most, rest_s):
    """Whoever gives up, serves or is refused beside it. Times are tenths of a second."""

    async def play():
        server = Server(
            rounds=rounds,
            most=most,
            rest_s=rest_s,
            refused=[at for at, one in enumerate(questions) if one[2]],
            breaking=[at for at, one in enumerate(questions) if one[3]],
        )
        got = {}
        with anyio.fail_after(200):
            await all_of(
                *(
                    partial(server.ask, at, got, after_s=one[0] / 10, patience_s=one[1] / 10)
                    for at, one in enumerate(questions)
                )
            )
        for at, one in enumerate(questions):
            allowed = {LookupError if one[2] else at, ConnectionResetError, *([None] if one[1] < 1000 else [])}
            assert got[at] in allowed
        assert server.most_at_once <= rounds
        assert server.gathering._waiting == []
        assert server.gathering._free == rounds

    backend, options = virtual_time()
    anyio.run(play, backend=backend, backend_options=options)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_who_is_torn_off_in_the_rest_before_his_round_leaves_the_others_to_one_of_them(monkeypatch):
    """By means that no scope can ward off: the event loop's own cancellation of a task."""
    monkeypatch.setattr("pipeline.ports.gathering.LONGEST_REST_S", 0.2)
    rounds, got, tasks = [], {}, {}

    async def serve(batch):
        rounds.append({one.what for one in batch})
        for one in batch:
            one.answer(one.what)

    gathering = Gathering(serve, rest_s=0.2)

    async def ask(what):
        tasks[what] = asyncio.current_task()
        try:
            got[what] = await gathering.ask(what)
        except asyncio.CancelledError:
            got[what] = None

    with anyio.fail_after(10):
        await all_of(partial(ask, "a"), partial(ask, "b"), partial(ask, "c"))
        assert rounds[-1] >= {"b", "c"}, "many together: a rest follows"
        async with anyio.create_task_group() as group:
            for what in ("leader", "other"):
                group.start_soon(ask, what)
            await anyio.wait_all_tasks_blocked()
            tasks["leader"].cancel()
    assert got == {**{one: one for one in ("a", "b", "c", "other")}, "leader": None}
    assert rounds[-1] == {"other"}


class TestHops:
    @pytest.fixture
    def anyio_backend(self):
        return "asyncio"

    async def test_calls_in_threads_share_hops(self, monkeypatch):
        hops, ways, got = Hops(1), [], {}
        hop = hops._calls._serve

        async def counted(batch):
            ways.append(len(batch))
            await hop(batch)

        monkeypatch.setattr(hops._calls, "_serve", counted)

        async def ask(at):
            try:
                got[at] = await hops.run(divmod, 10, at)
            except ZeroDivisionError:
                got[at] = "nothing"

        async with anyio.create_task_group() as tasks:
            for at in range(40):
                tasks.start_soon(ask, at)
        assert got == {0: "nothing", **{at: divmod(10, at) for at in range(1, 40)}}
        assert max(ways) == MOST
        assert len(ways) <= 5
