import pytest

from pipeline.domain.views import View, is_view_name, recognise, recognise_all


@pytest.mark.parametrize(
    ("name", "view"),
    [
        ("front.png", View.FRONT),
        ("FRONT.PNG", View.FRONT),
        ("chair_front.jpg", View.FRONT),
        ("left-front.webp", View.LEFT_FRONT),
        ("leftFront.png", View.LEFT_FRONT),
        ("front_right.png", View.RIGHT_FRONT),
        ("front view (2).png", View.FRONT),
        ("frontview.png", View.FRONT),
        ("frontImage.png", View.FRONT),
        ("rightFrontImage.png", View.RIGHT_FRONT),
        ("ChairRear.tif", View.BACK),
        ("underside.png", View.BOTTOM),
        ("back 背面.png", View.BACK),
        ("000.png", View.FRONT),
        ("chair_045.png", View.LEFT_FRONT),
        ("315.png", View.RIGHT_FRONT),
        ("chair_123_front.png", View.FRONT),
        ("front.v2.png", View.FRONT),
        ("logo.png", None),
        ("backpack.png", None),
        ("front_back.png", None),
        ("leftBack.png", None),
        ("135.png", None),
        ("045_090.png", None),
        ("chair_7.png", None),
    ],
)
def test_one_name_by_itself(name: str, view: View | None) -> None:
    assert recognise(name) is view


SETS = [
    ("the API's own", "x", "frontImage leftImage rightImage", "front left right"),
    ("the object's name holds a view", "x", "left_shoe_front left_shoe_left left_shoe_back", "front left back"),
    ("the object's name ends with a view", "x", "shoe_left_front shoe_left_back shoe_left_top", "front back top"),
    ("a hat", "x", "top-hat_left top-hat_top top-hat_front", "left top front"),
    ("a hat in CamelCase", "x", "TopHatLeft TopHatTop TopHatFront", "left top front"),
    ("the folder tells the object", "top-hat", "top-hat_left", "left"),
    ("the folder tells, one name is short", "left shoe", "left_shoe_back front", "back front"),
    ("diagonals stay diagonals", "x", "front front_left front_right", "front leftFront rightFront"),
    ("diagonals alone", "x", "front_left front_right", "leftFront rightFront"),
    ("diagonals of a named object", "x", "chair_front chair_front_left chair_back", "front leftFront back"),
    ("named diagonals alone", "x", "chair_front_left chair_front_right", "leftFront rightFront"),
    ("a folder called front", "front", "front_left", "leftFront"),
    ("views that the model lacks", "x", "front leftBack rightBack", "front - -"),
    ("the same with a name", "x", "chair_front chair_leftBack chair_rightBack", "front - -"),
    ("nothing shared", "x", "left_shoe_front", "-"),
    ("a stray", "x", "chair_front chair_left logo", "front left -"),
    ("words after the view", "x", "chair_front_v2 chair_back_final chair_left", "front back left"),
    ("azimuths", "x", "000 045 090 180", "front leftFront left back"),
    ("azimuths with a number in the name", "x", "prop_090_000 prop_090_045", "front leftFront"),
    ("frames that are no azimuths", "x", "000 001 002 090", "- - - -"),
    ("azimuths that the model lacks", "x", "000 135 225", "front - -"),
]


@pytest.mark.parametrize(("why", "folder", "names", "views"), SETS, ids=[one[0] for one in SETS])
def test_the_names_of_a_set_together(why: str, folder: str, names: str, views: str) -> None:
    files = [f"{name}.png" for name in names.split()]
    found = recognise_all(files, folder)

    assert [view.value if view else "-" for view in (found[name] for name in files)] == views.split()


@pytest.mark.parametrize("text", ["front", "Front", "front_view", "front 2", "left-front", "045"])
def test_what_is_a_views_name_and_nothing_else(text: str) -> None:
    assert is_view_name(text)


@pytest.mark.parametrize(
    "text", ["old_front", "2_front", "", "chair", "front_back", "leftBack", "chair_045", "view_front"]
)
def test_what_is_more_than_a_views_name(text: str) -> None:
    assert is_view_name(text) is None
