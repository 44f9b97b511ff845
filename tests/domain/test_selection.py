import pytest
from domain.test_planning import PLAIN, checked, record
from hypothesis import given
from hypothesis import strategies as st

from pipeline.domain.errors import UsageError
from pipeline.domain.items import Alias, Finding
from pipeline.domain.lifecycle import State
from pipeline.domain.model import MODEL_ID, PUBLISHED_SCHEMA
from pipeline.domain.planning import Action, Plan, Variant, decide, work_items
from pipeline.domain.selection import Selection
from pipeline.domain.views import View

SETS = ["hero/chair", "hero/lamp", "props/chair", "props/sofa"]
BOTH = [Variant(name="normal", params={}), Variant(name="pbr", params={"enablePbr": True})]
REFUSED = Finding(kind="no-front", verdict="refuse", message="no front")


def plan_of(names=SETS, *, variants=(PLAIN,), refused=(), states=None, twins=()):
    """A plan in which every set has pictures of its own, but for the twins, which have those of the first."""
    sets = [checked(name, {View.FRONT: names[0] if name in twins else name}) for name in names]
    sets += [checked(name, {}, findings=[REFUSED]) for name in refused]
    works, refusals = work_items(
        sets,
        variants,
        defaults={},
        service="scenario",
        project="",
        model=MODEL_ID,
        schema=PUBLISHED_SCHEMA,
    )
    items = []
    for work in works:
        state = (states or {}).get(work.aliases[0].label)
        found = record(work, state) if state else None
        items.append(decide(work, found, intact=(), has_source=False, results_last=True))
    return Plan(items=tuple(items), refused=tuple(refusals))


def taken(plan: Plan) -> list[str]:
    return [alias.label for one in plan.items if one.action is not Action.SKIP for alias in one.work.aliases]


def test_without_a_word_everything_is_selected() -> None:
    plan = plan_of(refused=["broken"])
    assert Selection().of(plan) == plan


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"only": ("hero/*",)}, ["hero/chair", "hero/lamp"]),
        ({"only": ("*chair", "*sofa")}, ["hero/chair", "props/chair", "props/sofa"]),
        ({"only": ("props/s?fa",)}, ["props/sofa"]),
        ({"exclude": ("*chair",)}, ["hero/lamp", "props/sofa"]),
        ({"only": ("hero/*",), "exclude": ("*/lamp",)}, ["hero/chair"]),
    ],
    ids=str,
)
def test_patterns_of_set_ids(options, expected) -> None:
    plan = Selection(**options).of(plan_of())
    assert taken(plan) == expected
    assert {alias.label for alias in plan.outside} == set(SETS) - set(expected)
    assert len(plan.items) == len(SETS)


def test_a_set_id_names_all_its_variants_and_a_label_one() -> None:
    plan = plan_of(["chair", "lamp"], variants=BOTH)
    assert taken(Selection(only=("chair",)).of(plan)) == ["chair@normal", "chair@pbr"]
    assert taken(Selection(only=("chair@pbr",)).of(plan)) == ["chair@pbr"]
    assert taken(Selection(exclude=("*@pbr",)).of(plan)) == ["chair@normal", "lamp@normal"]


def test_a_set_that_is_called_like_a_pattern_is_named_as_it_is_written() -> None:
    assert taken(Selection(only=("chair [old]",)).of(plan_of(["chair [old]", "chair o"]))) == ["chair [old]"]


def test_sets_with_equal_pictures_come_together() -> None:
    plan = Selection(only=("hero/lamp",)).of(plan_of(twins=["hero/lamp"]))
    assert taken(plan) == ["hero/chair", "hero/lamp"]
    assert Alias(set_id="hero/chair") not in plan.outside


def test_refused_sets_outside_are_kept_and_marked() -> None:
    plan = Selection(only=("hero/*",)).of(plan_of(refused=["broken", "hero/broken"]))
    assert len(plan.refused) == 2
    assert [one.aliases[0].label for one in plan.refused_inside] == ["hero/broken"]


def test_a_limit_takes_what_is_paid_first_and_does_not_count_what_is_done() -> None:
    states = {"hero/lamp": State.DROPPED, "props/sofa": State.SUBMITTED}
    plan = Selection(limit=2).of(plan_of(states=states))
    assert [one.action for one in plan.items] == [Action.GENERATE, Action.LEAVE, Action.SKIP, Action.RESUME]
    assert [alias.label for alias in plan.outside] == ["props/chair"]


@given(st.integers(1, 9), st.lists(st.sampled_from(SETS), max_size=3))
def test_a_limit_never_lets_more_through(limit: int, patterns: list[str]) -> None:
    plan = Selection(only=tuple(patterns), limit=limit).of(plan_of())
    assert len(plan.to_do) == min(limit, len(set(patterns)) or len(SETS))
    assert len(plan.items) == len(SETS)
    assert len(plan.outside) == len(SETS) - len(plan.to_do)


def test_what_is_here_under_another_name_is_placed_whatever_is_selected() -> None:
    """Else a selected mesh would come where the only copy of another stands."""
    plan = plan_of(["a", "b"], states={"b": State.DELIVERED})
    moved = decide(plan.items[1].work, plan.items[1].record, intact=(), has_source=True, results_last=True)
    plan = Selection(only=("a",)).of(Plan(items=(plan.items[0], moved)))
    assert [one.action for one in plan.items] == [Action.GENERATE, Action.PLACE]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"only": ("hero/chiar",)}, "--only 'hero/chiar' fits no set; did you mean 'hero/chair'"),
        ({"only": ("SOFA",)}, "did you mean 'props/sofa'?"),
        ({"exclude": ("hero/lmap",)}, "--exclude 'hero/lmap' fits no set; did you mean 'hero/lamp'"),
        ({"only": ("xyz",)}, "there are 'hero/chair', 'hero/lamp', 'props/chair' and 1 more"),
        ({"only": ("hero/chair@pbr",)}, "did you mean 'hero/chair'"),
    ],
    ids=str,
)
def test_a_pattern_that_fits_nothing_is_told_the_nearest_sets(options, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        Selection(**options).of(plan_of())
    assert said in caught.value.problems[0]


def test_patterns_that_leave_nothing_are_refused() -> None:
    with pytest.raises(UsageError, match="leaves out every set"):
        Selection(only=("hero/lamp",), exclude=("hero/*",)).of(plan_of())
