from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.domain.items import Alias, CheckedSet, Finding, ImageSet, ItemRecord, Picture
from pipeline.domain.lifecycle import State
from pipeline.domain.model import MODEL_ID, PUBLISHED_SCHEMA, schema_known_of
from pipeline.domain.planning import Action, Plan, PlannedItem, Variant, decide, work_items
from pipeline.domain.views import View

PLAIN = Variant(params={})
VIEWS = st.dictionaries(st.sampled_from(View), st.sampled_from("abc"), min_size=1).map(
    lambda it: {View.FRONT: "f", **it}
)
PARAMS = st.fixed_dictionaries(
    {}, optional={"faceCount": st.sampled_from([50_000, 90_000]), "enablePbr": st.booleans()}
)
NO_MESH_YET = {State.PLANNED, State.UPLOADING, State.READY, State.REFUSED, State.FAILED, State.DEFERRED}
AT_THE_SERVICE = {State.SUBMITTING, State.UNCERTAIN, State.SUBMITTED, State.FINISHED, State.DOWNLOADED}


def checked(set_id, pictures, *, params=None, copies=1, findings=()):
    found = {view: picture(name) for view, name in pictures.items()}
    image_set = ImageSet(set_id=set_id, folder=Path(set_id), views={}, params=params or {}, copies=copies)
    return CheckedSet(image_set=image_set, pictures=found, findings=tuple(findings))


def picture(name):
    return Picture(
        path=Path(name),
        sha256=sha256(name.encode()).hexdigest(),
        size_bytes=1,
        media_type="image/png",
        width=200,
        height=200,
    )


def planned(sets, variants=(PLAIN,), **changes):
    terms = {"defaults": {}, "service": "scenario", "project": "", "model": MODEL_ID, "schema": PUBLISHED_SCHEMA}
    return work_items(sets, variants, **{**terms, **changes})[0]


def keys(sets, **changes):
    return {one.key for one in planned(sets, **changes)}


def record(work, state, **changes):
    return ItemRecord(
        key=work.key, state=state, service="", project="", model=work.model, params=work.params, pictures={}, **changes
    )


@given(VIEWS, PARAMS)
def test_equal_pictures_and_parameters_are_one_item_with_both_names(pictures, params):
    (work,) = planned(
        [checked("a", pictures, params=params), checked("b", dict(reversed(pictures.items())), params=params)]
    )
    assert [alias.label for alias in work.aliases] == ["a", "b"]


@given(VIEWS, PARAMS, st.sampled_from(View), st.sampled_from("xyz"))
def test_any_other_picture_is_another_item(pictures, params, view, name):
    changed = {**pictures, view: name}
    assert keys([checked("a", pictures, params=params)]).isdisjoint(keys([checked("a", changed, params=params)]))


@given(VIEWS)
def test_pictures_that_change_places_are_another_item(pictures):
    there = checked("a", {View.FRONT: "a", View.BACK: "b"})
    back = checked("a", {View.FRONT: "b", View.BACK: "a"})
    assert keys([there]).isdisjoint(keys([back]))


@given(VIEWS, PARAMS, PARAMS)
def test_parameters_count_with_their_defaults_filled_in(pictures, one, other):
    same = PUBLISHED_SCHEMA.complete(one) == PUBLISHED_SCHEMA.complete(other)
    assert (keys([checked("a", pictures, params=one)]) == keys([checked("a", pictures, params=other)])) is same


@pytest.mark.parametrize("change", [{"service": "local"}, {"project": "p"}, {"model": "other"}])
def test_another_service_project_or_model_is_another_item(change):
    sets = [checked("a", {View.FRONT: "a"})]
    assert keys(sets).isdisjoint(keys(sets, **change))


def test_copies_are_items_of_their_own_and_shared_one_by_one():
    works = planned([checked("a", {View.FRONT: "a"}), checked("b", {View.FRONT: "a"}, copies=3)])
    assert [[alias.label for alias in one.aliases] for one in works] == [["a", "b"], ["b@copy2"], ["b@copy3"]]
    assert [one.copy for one in works] == [1, 2, 3]


def test_variants_over_set_over_defaults():
    sets = [checked("a", {View.FRONT: "a"}, params={"faceCount": 60_000, "enablePbr": True})]
    variants = [Variant(name="low", params={"faceCount": 40_000}), Variant(name="own", params={})]
    low, own = planned(sets, variants, defaults={"faceCount": 90_000, "generateType": "Geometry"})
    assert low.params == {"faceCount": 40_000, "generateType": "Geometry", "enablePbr": True}
    assert own.params == {"faceCount": 60_000, "generateType": "Geometry", "enablePbr": True}
    assert [low.aliases[0].label, own.aliases[0].label] == ["a@low", "a@own"]


def test_a_refused_set_is_kept_out_with_every_name_it_would_have_had():
    no = Finding(kind="truncated", verdict="refuse", message="cut")
    works, refused = work_items(
        [checked("bad", {}, copies=2, findings=[no]), checked("good", {View.FRONT: "a"})],
        [PLAIN],
        defaults={},
        service="local",
        project="",
        model=MODEL_ID,
        schema=PUBLISHED_SCHEMA,
    )
    assert [one.aliases[0].set_id for one in works] == ["good"]
    assert [alias.label for one in refused for alias in one.aliases] == ["bad", "bad@copy2"]


@given(st.sampled_from(State), st.booleans(), st.booleans(), st.booleans())
def test_what_is_or_may_be_paid_is_never_generated_anew(state, has_assets, is_here, has_source):
    """Whatever the names are now, and whatever is left in the output folder."""
    (work,) = planned([checked("new name", {View.FRONT: "a"})])
    known = record(work, state, asset_ids=("asset",) if has_assets else ())
    intact = list(work.aliases) if is_here else []
    action = decide(work, known, intact=intact, has_source=has_source or is_here, results_last=True).action
    if action is Action.GENERATE:
        assert state in NO_MESH_YET
        assert not (state is State.FAILED and has_assets)
    if state in AT_THE_SERVICE:
        assert action is Action.RESUME


@pytest.mark.parametrize(
    ("state", "is_here", "has_source", "action"),
    [
        (State.DELIVERED, True, True, Action.NOTHING),
        (State.DELIVERED, False, True, Action.PLACE),
        (State.DELIVERED, False, False, Action.FETCH),
        (State.HELD, True, True, Action.LEAVE),
        (State.HELD, False, True, Action.PLACE),
        (State.HELD, False, False, Action.FETCH),
        (State.DROPPED, False, False, Action.LEAVE),
        (State.UNCERTAIN, False, False, Action.RESUME),
        (State.DEFERRED, False, False, Action.GENERATE),
    ],
)
def test_the_action_for_each_state(state, is_here, has_source, action):
    (work,) = planned([checked("a", {View.FRONT: "a"})])
    intact = work.aliases if is_here else ()
    assert decide(work, record(work, state), intact=intact, has_source=has_source, results_last=True).action is action


def test_every_unfinished_state_is_picked_up_by_the_next_run():
    (work,) = planned([checked("a", {View.FRONT: "a"})])
    for state in set(State) - {State.DELIVERED, State.HELD, State.DROPPED}:
        found = decide(work, record(work, state), intact=(), has_source=False, results_last=True)
        assert found.action in {Action.GENERATE, Action.RESUME}, state
    assert decide(work, None, intact=(), has_source=False, results_last=True).action is Action.GENERATE


def test_a_second_name_for_a_delivered_mesh_is_a_copy_of_the_first():
    (work,) = planned([checked("a", {View.FRONT: "a"}), checked("b", {View.FRONT: "a"})])
    found = decide(work, record(work, State.DELIVERED), intact=[Alias(set_id="a")], has_source=True, results_last=True)
    assert found.action is Action.PLACE
    assert found.unplaced == (Alias(set_id="b"),)


def test_the_plan_costs_what_it_generates_and_says_when_it_does_not_know():
    one, two, three = planned([checked(name, {View.FRONT: name}) for name in "abc"])
    plan = Plan(
        items=(
            PlannedItem(work=one, action=Action.GENERATE),
            PlannedItem(work=two, action=Action.GENERATE),
            PlannedItem(work=three, action=Action.RESUME),
        )
    )
    assert plan.cu is None
    priced = plan.priced(lambda _: 20.0)
    assert priced.cu == 40
    assert priced.items[2].cu is None
    assert plan.priced(lambda item: 20.0 if item.work is one else None).cu is None
    assert plan.needs_service
    assert not Plan(items=(PlannedItem(work=one, action=Action.PLACE),)).needs_service


def test_the_parameters_of_another_model_are_its_own_business() -> None:
    params = {"textureSize": 2048}
    schema = schema_known_of("model_other")
    assert schema.complete(params) == params
    assert schema.price_relevant(params) == params


def test_a_lost_mesh_is_made_again_where_the_service_keeps_nothing() -> None:
    (work,) = planned([checked("a", {View.FRONT: "a"})])
    found = decide(work, record(work, State.DELIVERED), intact=(), has_source=False, results_last=False)
    assert found.action is Action.GENERATE
