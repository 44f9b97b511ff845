import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.domain.items import Alias, content_key
from pipeline.domain.views import View

SAID = {
    "service": "scenario",
    "project": "",
    "model": "m",
    "params": {"faceCount": 50_000, "enablePbr": True},
    "pictures": {View.FRONT: "a" * 64, View.BACK: "b" * 64},
}


def test_the_content_key_never_changes_between_versions():
    """It is in ledgers: another key for the same content would pay for every mesh again."""
    assert content_key(**SAID) == "d63e0462d217eef388996efea21aa71057129fa0c7623c655d58c4856dd5514a"


def test_the_content_key_ignores_the_order_of_what_it_is_told():
    params = dict(reversed(SAID["params"].items()))
    pictures = dict(reversed(SAID["pictures"].items()))
    assert content_key(**{**SAID, "params": params, "pictures": pictures}) == content_key(**SAID)


@pytest.mark.parametrize(
    "change",
    [
        {"service": "local"},
        {"project": "p"},
        {"model": "n"},
        {"params": {"faceCount": 50_001, "enablePbr": True}},
        {"params": {"faceCount": 50_000}},
        {"pictures": {View.FRONT: "a" * 64, View.LEFT: "b" * 64}},
        {"copy": 2},
    ],
)
def test_the_content_key_knows_all_that_decides_the_result(change):
    assert content_key(**{**SAID, **change}) != content_key(**SAID)


def test_labels():
    assert Alias(set_id="props/chair").label == "props/chair"
    assert Alias(set_id="props/chair", variant="pbr").label == "props/chair@pbr"
    assert Alias(set_id="props/chair", copy=2).label == "props/chair@copy2"
    assert Alias(set_id="props/chair", variant="pbr", copy=2).label == "props/chair@pbr@copy2"


NAMES = st.text(string.ascii_letters, min_size=1, max_size=3)
ALIASES = st.builds(Alias, set_id=NAMES, variant=NAMES | st.just(""), copy=st.integers(1, 3))


@given(ALIASES, ALIASES)
def test_different_aliases_have_different_labels(one, other):
    assert (one == other) is (one.label == other.label)
