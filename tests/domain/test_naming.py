import re
import unicodedata

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.domain.items import Alias
from pipeline.domain.naming import PART_MAX_BYTES, identity, is_portable, mesh_name, portable_path

PARTS = st.text(min_size=1, max_size=12) | st.sampled_from(
    ["con", "NUL.txt", "a.", "a ", " a", ".", "..", "a:b", "a?b", "é", "e\u0301", "a@pbr", "a_b", "chair.glb", "x" * 300, "視" * 90]
)  # fmt: skip
IDS = st.lists(PARTS.map(lambda part: part.replace("/", "_")), min_size=1, max_size=4).map("/".join)
SUFFIXES = st.sampled_from(["", "@pbr", "@copy2", "@pbr@copy2"])
RESERVED = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d) *(\..*)?")
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


@pytest.mark.parametrize(
    "set_id", ["chair", "props/chair", "Möbel/Stuhl 2", "v1.2/chair-b_c", "视图/椅子", "a (copy)", ".hidden", "CONsole"]
)
def test_what_every_system_takes_is_kept(set_id: str) -> None:
    assert str(portable_path(set_id)) == set_id
    assert mesh_name(set_id) == set_id.rsplit("/", maxsplit=1)[-1] + ".glb"


@pytest.mark.parametrize(
    ("set_id", "beginning"),
    [
        ("a:b", "a_b~"),
        ("nul", "nul~"),
        ("aux.v2", "aux_v2~"),
        ("chair.", "chair~"),
        ("..", "~"),
        ("chair.glb", "chair_glb~"),
        ("chair@pbr", "chair_pbr~"),
        ("x" * 300, "xxx"),
        ("a_b~0123456789", "a_b~0123456789~"),
    ],
)
def test_what_some_system_refuses_is_mended_and_marked(set_id: str, beginning: str) -> None:
    name = portable_path(set_id).name
    assert name.startswith(beginning)
    assert re.search(r"~[0-9a-f]{10}$", name)
    assert mesh_name(set_id) == name + ".glb"


def test_composed_and_decomposed_names_are_one() -> None:
    assert portable_path("cafe\u0301") == portable_path("caf\u00e9")
    assert identity("CAFE\u0301") == identity("caf\u00e9")


def test_a_variant_never_meets_a_set_of_that_name() -> None:
    variant = Alias(set_id="chair", variant="pbr")
    namesake = Alias(set_id="chair@pbr")

    assert variant.label == namesake.label
    assert portable_path(variant.set_id, variant.suffix) != portable_path(namesake.set_id, namesake.suffix)


@unhurried
@given(IDS, SUFFIXES)
def test_names_are_portable(set_id: str, suffix: str) -> None:
    path = portable_path(set_id, suffix)

    assert len(path.parts) <= len(set_id.split("/"))
    for part in path.parts:
        assert not set(part) & set('<>:"/\\|?*')
        assert all(ord(sign) >= 32 and ord(sign) != 127 for sign in part)
        assert part == part.rstrip(". ")
        assert part.strip()
        assert not RESERVED.fullmatch(part)
        assert len(part.encode()) <= PART_MAX_BYTES + 40
        assert unicodedata.is_normalized("NFC", part.removesuffix(suffix))
    assert not path.name.lower().endswith(".glb")


@unhurried
@given(st.lists(st.tuples(IDS, SUFFIXES), min_size=2, max_size=8))
def test_two_labels_never_meet(labels: list[tuple[str, str]]) -> None:
    paths: dict[str, tuple[str, str]] = {}
    for set_id, suffix in labels:
        said = (identity(set_id), suffix)
        assert paths.setdefault(identity(str(portable_path(set_id, suffix))), said) == said


@unhurried
@given(IDS)
def test_names_are_the_same_every_time_and_marked_names_are_not_taken_for_kept_ones(set_id: str) -> None:
    path = portable_path(set_id)
    assert path == portable_path(set_id)
    if str(path) != unicodedata.normalize("NFC", set_id):
        assert portable_path(str(path)) != path


@pytest.mark.parametrize("name", ["", "a/b", "a\\b", "con", "COM1.x", "a.", " a", "a\n", "x" * 121])
def test_what_is_not_portable(name: str) -> None:
    assert not is_portable(name)
