import pytest

from pipeline.domain.grouping import group_flat, group_folder, group_mapped, is_picture
from pipeline.domain.views import View


def told(findings: object) -> list[tuple[str, str]]:
    return [(one.kind, one.verdict) for one in findings]


@pytest.mark.parametrize(
    ("name", "expected"),
    [("a.png", True), ("a.JPEG", True), ("a.b.heic", True), ("a.gif", True), ("a.txt", False), (".DS_Store", False),
     ("Thumbs.db", False), ("._front.png", False), ("png", False), ("a.png.part", False)],
)  # fmt: skip
def test_what_counts_as_a_picture(name: str, *, expected: bool) -> None:
    assert is_picture(name) is expected


def test_two_candidates_for_one_view_are_both_named() -> None:
    found = group_folder(["front.png", "front.jpg", "left.png"], "chair")

    assert found.views == {View.LEFT: "left.png"}
    (finding,) = found.findings
    assert (finding.kind, finding.verdict, finding.view) == ("two-candidates", "refuse", View.FRONT)
    assert finding.message == "2 files could be front: front.jpg, front.png"
    assert "views: {front: front.png}" in finding.mend


def test_a_missing_front_says_what_was_found_and_how_files_are_recognised() -> None:
    found = group_folder(["left.png", "logo.png"], "chair")

    assert told(found.findings) == [("no-front", "refuse"), ("unrecognised", "warn")]
    assert found.findings[0].message == "no front view: found left (left.png); not recognised: logo.png"
    assert "front.png" in found.findings[0].mend


def test_many_unrecognised_pictures_are_told_in_bounded_length() -> None:
    found = group_folder([f"img_{number}.png" for number in range(5000)], "chair")
    assert found.findings[0].message.endswith("and 4994 more")


def test_a_mapping_uses_exactly_its_files_whatever_form_their_names_have() -> None:
    found = group_mapped(["F.png", "cafe\u0301.png", "left.png"], {View.FRONT: "F.png", View.BACK: "caf\u00e9.png"})

    assert found.views == {View.FRONT: "F.png", View.BACK: "cafe\u0301.png"}
    assert not found.findings


def test_a_mapped_file_that_is_not_there_is_named_with_the_nearest() -> None:
    (finding,) = group_mapped(["F.png", "B.png"], {View.FRONT: "f.png", View.BACK: "B.png"}).findings

    assert (finding.kind, finding.verdict, finding.view) == ("missing-file", "refuse", View.FRONT)
    assert finding.mend == "did you mean F.png?"


@pytest.mark.parametrize(
    ("pattern", "names", "expected"),
    [
        ("{set}_{view}", "chair_front chair_left lamp_front", {"chair": "front left", "lamp": "front"}),
        ("{view}-{set}", "front-a left-a front-b", {"a": "front left", "b": "front"}),
        ("r_{set}.{view}_v1", "r_a.front_v1 r_a.top_v1", {"a": "front top"}),
        ("{set}_{view}", "old_chair_front old_chair_045", {"old_chair": "front leftFront"}),
        ("{set}_{view}", "chair_front chair_front_left", {"chair": "front leftFront"}),
        ("{set}_{view}", "shoe_left_front shoe_left_back shoe_right_front shoe_right_back",
         {"shoe_left": "front back", "shoe_right": "front back"}),
        ("{set}_{view}", "lamp_front_left lamp_front_right", {"lamp": "leftFront rightFront"}),
    ],
)  # fmt: skip
def test_flat_folders_are_grouped_by_name(pattern: str, names: str, expected: dict[str, str]) -> None:
    flat = group_flat([f"{name}.png" for name in names.split()], pattern)

    assert {name: " ".join(one.views) for name, one in flat.sets.items()} == expected
    assert not flat.strays


def test_what_fits_no_set_of_a_flat_folder_is_told() -> None:
    flat = group_flat(["chair_front.png", "logo.png", "chair_hero.png", "_front.png"], "{set}_{view}")

    assert list(flat.sets) == ["chair"]
    assert flat.strays == ("logo.png", "chair_hero.png", "_front.png")
