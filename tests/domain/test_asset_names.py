from pathlib import Path

import pytest

from pipeline.domain.asset_names import asset_name, named, picture_of
from pipeline.domain.items import Picture
from pipeline.domain.views import View

PICTURE = Picture(
    path=Path("secret project/front.png"),
    sha256="0123456789abcdef" * 4,
    size_bytes=1,
    media_type="image/png",
    width=9,
    height=9,
)


@pytest.mark.parametrize("view", View)
@pytest.mark.parametrize("behind", ["", ".png", " (1)", "-1.png", "_x"])
def test_a_picture_is_known_again_by_its_assets_name(view: View, behind: str) -> None:
    name = asset_name(view, PICTURE, 12)
    assert "secret" not in name
    found = picture_of(name + behind)
    assert found == named(PICTURE, 12)
    assert found.is_of(PICTURE)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "front.png",
        "front-0123456789ab",
        f"front-{'0' * 31}-1",
        f"front-{'0' * 32}",
        f"front-{'0' * 32}-0",
        f"front-{'0' * 32}-x",
        f"front-{'0' * 33}-1",
        f"my front-{'0' * 32}-1",
        f"front-{'0' * 32}-12345678901234567890",
    ],
)
def test_names_that_we_have_not_given_tell_nothing(name: str) -> None:
    assert picture_of(name) is None
