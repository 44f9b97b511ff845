from hypothesis import given
from hypothesis import strategies as st

from pipeline.domain.budget import Budget

MOVES = st.lists(
    st.tuples(st.sampled_from(["reserve", "settle", "release"]), st.sampled_from("abcd"), st.integers(0, 40)),
    max_size=60,
)


@given(MOVES, st.integers(0, 100))
def test_what_is_spent_and_reserved_never_passes_the_maximum(moves, max_cu):
    """As long as no job costs more than it was quoted."""
    budget, quoted = Budget(max_cu=max_cu), {}
    for move, key, cu in moves:
        if move == "reserve":
            if budget.reserve(key, cu):
                quoted[key] = cu
        elif move == "settle":
            budget.settle(key, min(cu, quoted.pop(key, 0)))
        else:
            budget.release(key)
            quoted.pop(key, None)
        assert budget.committed_cu == budget.spent_cu + sum(quoted.values()) <= max_cu


ALL_MOVES = st.lists(
    st.tuples(
        st.sampled_from(["reserve", "owe", "settle", "release"]),
        st.sampled_from("abcd"),
        st.none() | st.integers(0, 40),
    ),
    max_size=60,
)


@given(ALL_MOVES, st.none() | st.integers(0, 100))
def test_the_sum_is_what_the_moves_make_and_no_reservation_takes_it_past_the_maximum(moves, max_cu):
    budget, spent, aside = Budget(max_cu=max_cu), 0, {}
    for move, key, cu in moves:
        match move:
            case "reserve":
                others = spent + sum(aside.values()) - aside.get(key, 0)
                fits = max_cu is None or (cu is not None and others + cu <= max_cu)
                assert budget.reserve(key, cu) is fits
                aside |= {key: cu or 0} if fits else {}
            case "owe":
                budget.owe(key, cu)
                aside[key] = cu or 0
            case "settle":
                budget.settle(key, cu)
                reserved = aside.pop(key, 0)
                spent += reserved if cu is None else cu
            case "release":
                budget.release(key)
                aside.pop(key, None)
        assert (budget.spent_cu, budget.committed_cu) == (spent, spent + sum(aside.values()))


def test_a_reservation_is_replaced_not_added():
    budget = Budget(max_cu=10)
    assert budget.reserve("a", 10)
    assert budget.reserve("a", 10)
    assert not budget.reserve("b", 1)


def test_a_release_gives_room_back_and_a_settlement_keeps_what_was_charged():
    budget = Budget(max_cu=20)
    budget.reserve("a", 10)
    budget.reserve("b", 10)
    budget.release("a")
    budget.settle("b", 4)
    assert (budget.spent_cu, budget.committed_cu) == (4, 4)
    assert budget.reserve("c", 16)


def test_without_word_of_a_charge_it_is_as_quoted():
    budget = Budget(max_cu=20)
    budget.reserve("a", 7)
    budget.settle("a", None)
    assert budget.spent_cu == 7


def test_what_an_earlier_run_submitted_leaves_less_room():
    budget = Budget(max_cu=10)
    budget.owe("earlier", 8)
    assert not budget.reserve("new", 5)
    budget.release("earlier")
    assert budget.reserve("new", 5)


def test_an_unknown_price_fits_no_budget_but_an_unlimited_one():
    assert not Budget(max_cu=1_000).reserve("a", None)
    assert Budget().reserve("a", None)


def test_the_last_unit_may_be_spent():
    assert Budget(max_cu=10).reserve("a", 10)
    assert Budget(max_cu=0).reserve("a", 0)
