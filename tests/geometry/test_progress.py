import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.geometry.progress import Stages


def test_stages_have_the_share_that_they_take() -> None:
    told: list[float] = []
    stages = Stages(told.append, {"short": 1, "long": 3})
    stages.within("short")(0.5)
    stages.within("short")(1)
    stages.within("long")(1 / 3)
    stages.within("long")(1)
    assert told == pytest.approx([0.125, 0.25, 0.5, 1.0])
    assert told[-1] == 1


def test_a_stage_may_have_stages_of_its_own() -> None:
    told: list[float] = []
    stages = Stages(told.append, {"read": 1, "make": 1})
    within = Stages(stages.within("make"), {"a": 1, "b": 1})
    stages.within("read")(1)
    within.within("a")(1)
    within.within("b")(1)
    assert told == [0.5, 0.75, 1.0]


@given(
    st.dictionaries(st.text(), st.floats(0.001, 1e6), min_size=1),
    st.lists(st.tuples(st.integers(0, 9), st.floats(-1, 2))),
)
def test_it_never_goes_back_and_never_beyond(expected: dict[str, float], said: list[tuple[int, float]]) -> None:
    told: list[float] = []
    stages = Stages(told.append, expected)
    names = list(expected)
    for at, fraction in said:
        stages.within(names[at % len(names)])(fraction)
    stages.within(names[-1])(1)
    assert told == sorted(set(told))
    assert all(0 < fraction <= 1 for fraction in told)
    assert told[-1:] in ([1.0], [])
