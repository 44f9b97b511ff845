import pytest

from pipeline.domain.model import PUBLISHED_SCHEMA, Parameter, ParameterType, wants_pbr, wants_texture
from pipeline.domain.views import View


def test_the_published_model_takes_eight_views_and_three_choices():
    assert len(PUBLISHED_SCHEMA.parameters) == 11
    assert [name for name, one in PUBLISHED_SCHEMA.parameters.items() if one.required] == [View.FRONT.field]
    assert set(PUBLISHED_SCHEMA.choices) == {"faceCount", "generateType", "enablePbr"}


@pytest.mark.parametrize("value", [40_000, 1_500_000])
def test_the_ends_of_a_range_belong_to_it(value):
    assert PUBLISHED_SCHEMA.problems({"faceCount": value}) == []


@pytest.mark.parametrize(
    ("params", "says"),
    [
        ({"faceCount": 39_999}, "faceCount: 39999 is below 40,000"),
        ({"faceCount": 1_500_001}, "faceCount: 1500001 is above 1,500,000"),
        ({"faceCount": "many"}, "faceCount: 'many' is no number"),
        ({"faceCount": True}, "faceCount: True is no number"),
        ({"enablePbr": 1}, "enablePbr: 1 is no boolean"),
        ({"generateType": "normal"}, "generateType: 'normal' is none of Normal, Geometry (nearest: Normal)"),
        ({"facecount": 50_000}, "the model has no parameter 'facecount'; did you mean faceCount?"),
        ({"seed": 1}, "the model has no parameter 'seed'; it has faceCount, generateType, enablePbr"),
        ({"frontImage": "asset"}, "the model has no parameter 'frontImage'"),
    ],
)
def test_problems_say_what_was_found_and_what_fits(params, says):
    (problem,) = PUBLISHED_SCHEMA.problems(params)
    assert problem.startswith(says)


def test_all_problems_are_told_at_once():
    assert len(PUBLISHED_SCHEMA.problems({"faceCount": 1, "enablePbr": "yes", "nonsense": 0})) == 3


def test_completed_parameters_are_equal_for_equal_choices():
    assert PUBLISHED_SCHEMA.complete({"enablePbr": False}) == PUBLISHED_SCHEMA.complete({"faceCount": 500_000})
    assert list(PUBLISHED_SCHEMA.complete({"enablePbr": True})) == ["faceCount", "generateType", "enablePbr"]


def test_pictures_do_not_decide_the_price():
    params = PUBLISHED_SCHEMA.complete({})
    assert PUBLISHED_SCHEMA.price_relevant(params) == params
    assert not any(PUBLISHED_SCHEMA.parameters[view.field].cost_impact for view in View)


def test_a_choice_without_a_range_takes_any_number():
    assert Parameter(name="n", type=ParameterType.NUMBER).problem(-1.5) is None


@pytest.mark.parametrize(
    ("params", "texture", "pbr"),
    [
        ({}, True, False),
        ({"enablePbr": True}, True, True),
        ({"generateType": "Geometry", "enablePbr": True}, False, False),
    ],
)
def test_what_a_choice_means(params, texture, pbr):
    assert (wants_texture(params), wants_pbr(params)) == (texture, pbr)
