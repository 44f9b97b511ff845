import json
import os
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.domain.items import ContentKeys, Picture, content_key
from pipeline.domain.packing import Packing
from pipeline.domain.views import View

FOLDER = Path("sets/a chair")
NAMES = st.text(st.characters(blacklist_characters="/\0", blacklist_categories=["Cs"]), min_size=1, max_size=8).filter(
    lambda name: name not in {".", ".."}
)
PATHS = st.one_of(
    NAMES.map(lambda name: FOLDER / name),
    NAMES.map(lambda name: FOLDER / "below" / name),
    NAMES.map(lambda name: Path(f"{FOLDER}{name}") / "x.png"),
    NAMES.map(lambda name: Path("/elsewhere") / name),
)
PICTURES = st.dictionaries(
    st.sampled_from(View),
    st.builds(
        Picture,
        path=PATHS,
        sha256=st.binary(min_size=32, max_size=32).map(bytes.hex),
        size_bytes=st.integers(0, 2**40),
        media_type=st.sampled_from(["image/png", "image/jpeg"]),
        width=st.integers(1, 60_000),
        height=st.integers(1, 60_000),
        changes=st.lists(st.text(max_size=5), max_size=2).map(tuple),
    ),
)


@given(PICTURES)
def test_packed_pictures_are_the_pictures(pictures):
    packed = Packing().packed(pictures, FOLDER)
    assert packed == pictures
    assert list(packed) == list(pictures)
    assert dict(packed.items()) == pictures
    assert packed.digests() == {view: one.sha256 for view, one in pictures.items()}
    for view in View:
        assert (view in packed) is (view in pictures)
        assert packed.get(view) == pictures.get(view)


def test_a_view_that_is_not_there_is_a_key_error():
    with pytest.raises(KeyError):
        Packing().packed({}, FOLDER)[View.FRONT]


def test_many_sets_share_what_they_have_in_common():
    packing, size = Packing(), 0
    for at in range(1000):
        folder = Path(f"sets/set {at:06}")
        pictures = {
            view: Picture(
                path=folder / f"{view}.png",
                sha256=sha256(f"{at} {view}".encode()).hexdigest(),
                size_bytes=at,
                media_type="image/png",
                width=128,
                height=128,
            )
            for view in (View.FRONT, View.LEFT, View.BACK, View.RIGHT)
        }
        packed = packing.packed(pictures, folder)
        size += len(packed._facts) + len(os.fsencode(packed._folder))
    assert len(packing._shapes) == 1
    assert size < 1000 * 250


@given(
    st.dictionaries(st.sampled_from(["faceCount", "ä", "é\n"]), st.one_of(st.integers(), st.text(max_size=3))),
    st.dictionaries(st.sampled_from(View), st.sampled_from("abc")),
    st.integers(1, 3),
)
def test_keys_that_share_their_terms_are_those_of_each_by_itself(params, pictures, copy):
    terms = {"service": "https://x/ü", "project": '"p"', "model": "m", "params": params}
    assert ContentKeys(**terms).key(pictures, copy) == content_key(**terms, pictures=pictures, copy=copy)
    assert content_key(**terms, pictures=pictures, copy=copy) == _as_it_always_was(
        **terms, pictures=pictures, copy=copy
    )


def _as_it_always_was(*, service, project, model, params, pictures, copy):
    """Keys outlive versions: they name what is paid."""
    said = {
        "service": service,
        "project": project,
        "model": model,
        "params": dict(sorted(params.items())),
        "pictures": {view.value: digest for view, digest in sorted(pictures.items())},
        "copy": copy,
    }
    text = json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return sha256(text.encode()).hexdigest()
