import warnings

import numpy as np
import pytest
from backdrops import KINDS, WHITE, Light, before, contact_shadow, plain, studio
from numpy.typing import NDArray
from PIL import Image

from pipeline.domain.views import View
from pipeline.geometry.backgrounds import background
from pipeline.geometry.checkers import checkers
from pipeline.geometry.distances import signed_distance
from pipeline.geometry.silhouettes import ReconstructionError, doubts, pure_colours, silhouette

SIZE = 512


@pytest.fixture(scope="module")
def jug() -> NDArray[np.uint8]:
    """A red jug with a handle that one sees through, a pattern and a pale band, straight alpha; it stands on a floor."""
    fine = (np.indices((3 * SIZE, 3 * SIZE)) + 0.5) / 3 / SIZE - 0.5
    y, x = fine[0], fine[1]
    handle = np.hypot((x - 0.2) / 0.16, y / 0.2)
    inside = ((np.abs(x) < 0.2 - 0.1 * y) & (np.abs(y) < 0.3)) | ((handle < 1) & (handle > 0.62))
    colours = np.where((np.sin(40 * x) * np.sin(40 * y) > 0.4)[..., None], (120, 40, 30), (190, 60, 40))
    colours = np.where((np.abs(y + 0.15) < 0.04)[..., None], (205, 190, 150), colours)
    alpha = inside.reshape(SIZE, 3, SIZE, 3).mean(axis=(1, 3))
    mixed = (colours * inside[..., None]).reshape(SIZE, 3, SIZE, 3, 3).mean(axis=(1, 3))
    return np.uint8(np.rint(np.dstack([mixed / np.maximum(alpha, 1e-9)[..., None], 255 * alpha])))


def agreement(found: NDArray[np.float32], cut_out: NDArray[np.uint8]) -> float:
    """Intersection over union of soft masks."""
    true = cut_out[..., 3] / 255
    return float(np.minimum(found, true).sum() / np.maximum(found, true).sum())


@pytest.mark.parametrize("kind", KINDS)
def test_an_object_is_found_in_front_of_every_kind_of_background(kind: str, jug: NDArray[np.uint8]) -> None:
    seen = silhouette(View.FRONT, KINDS[kind](jug, View.FRONT), SIZE)
    assert not seen.given
    assert agreement(seen.coverage, jug) > 0.98
    distance = signed_distance(np.float32(jug[..., 3] / 255))
    off = np.abs(signed_distance(seen.coverage) - distance)[np.abs(distance) < 0.8]
    assert np.median(off) < 0.5
    assert seen.coverage[SIZE // 2, int(SIZE * 0.75)] < 0.5  # the handle's hole


def test_edges_are_found_to_a_part_of_a_pixel_and_their_colours_are_the_objects_own(jug: NDArray[np.uint8]) -> None:
    seen = silhouette(View.FRONT, before(jug, WHITE), SIZE)
    mixed = (jug[..., 3] > 60) & (jug[..., 3] < 200)
    assert np.abs(seen.coverage - jug[..., 3] / 255)[mixed].mean() < 0.05
    pure = pure_colours(seen, signed_distance(seen.coverage)).astype(float)
    assert np.abs(pure - jug[..., :3])[mixed].mean() < 12  # unmixed white would make it 60 and more


def test_a_shadow_is_no_object_however_dark_its_middle(jug: NDArray[np.uint8]) -> None:
    shade = contact_shadow(jug[..., 3] / 255, View.FRONT, darkness=0.7, softness=0.02)
    seen = silhouette(View.FRONT, before(jug, plain(235, 235, 235), shade=shade), SIZE)
    assert agreement(seen.coverage, jug) > 0.98


def test_a_grey_object_is_no_shadow() -> None:
    y, x = np.indices((SIZE, SIZE)) / SIZE - 0.5
    shading = 150 + 60 * x + 0 * y
    cut_out = np.dstack([shading, shading, shading, 255 * (np.hypot(y, x) < 0.3)]).astype(np.uint8)
    assert agreement(silhouette(View.FRONT, before(cut_out, WHITE), SIZE).coverage, cut_out) > 0.99


def blotchy(height: int, width: int) -> Light:
    """Grey paper that has not been ironed, and a sensor's noise."""
    random = np.random.default_rng(3)
    blotches = Image.fromarray(random.normal(0, 2.5, (12, 12)).astype(np.float32))
    uneven = np.asarray(blotches.resize((width, height), Image.Resampling.BICUBIC))
    return 190 + uneven[..., None] + random.normal(0, 3, (height, width, 3))


def disc(*colour: float, radius: float = 0.3) -> NDArray[np.uint8]:
    y, x = (np.indices((SIZE, SIZE)) + 0.5) / SIZE - 0.5
    cut_out = np.empty((SIZE, SIZE, 4), np.uint8)
    cut_out[..., :3], cut_out[..., 3] = colour, 255 * (np.hypot(y, x) < radius)
    return cut_out


@pytest.mark.parametrize("quality", [75, 90])
def test_compression_does_not_make_an_object_of_a_shadow(quality: int, jug: NDArray[np.uint8]) -> None:
    shade = contact_shadow(jug[..., 3] / 255, View.FRONT, darkness=0.55, softness=0.016)
    seen = silhouette(View.FRONT, before(jug, plain(250, 250, 250), shade=shade, jpeg_quality=quality), SIZE)
    assert agreement(seen.coverage, jug) > 0.985


def test_a_narrow_shadow_all_around_is_no_object(jug: NDArray[np.uint8]) -> None:
    shade = contact_shadow(jug[..., 3] / 255, View.TOP, darkness=0.4, softness=0.01)
    seen = silhouette(View.TOP, before(jug, plain(250, 250, 250), shade=shade), SIZE)
    assert agreement(seen.coverage, jug) > 0.97


def test_blotches_of_the_background_are_no_objects(jug: NDArray[np.uint8]) -> None:
    seen = silhouette(View.FRONT, before(jug, blotchy, jpeg_quality=85), SIZE)
    assert agreement(seen.coverage, jug) > 0.97


@pytest.mark.parametrize("grey", [170, 200])
def test_noise_does_not_hide_a_grey_object_in_front_of_grey(grey: int) -> None:
    cut_out = disc(grey, grey, grey)
    seen = silhouette(View.FRONT, before(cut_out, blotchy), SIZE)
    assert agreement(seen.coverage, cut_out) > 0.98


def test_what_is_nearly_as_light_as_the_background_is_no_hole() -> None:
    cut_out = disc(200, 60, 40)
    inner = disc(0, 0, 0, radius=0.12)[..., 3] > 0
    cut_out[inner, :3] = 252
    assert agreement(silhouette(View.FRONT, before(cut_out, WHITE), SIZE).coverage, cut_out) > 0.99
    cut_out[inner, 3] = 0
    assert agreement(silhouette(View.FRONT, before(cut_out, WHITE), SIZE).coverage, cut_out) > 0.99


def test_an_outline_that_is_hardly_seen_is_doubtful(jug: NDArray[np.uint8]) -> None:
    pale = {View.FRONT: silhouette(View.FRONT, before(disc(247, 247, 247), WHITE), SIZE)}
    (note,) = doubts(pale)
    assert "front (along 100% of its outline)" in note
    assert "give transparent pictures" in note
    assert not doubts({View.FRONT: silhouette(View.FRONT, before(jug, studio), SIZE)})


@pytest.mark.parametrize(
    "picture",
    [
        pytest.param(np.zeros((1, 1, 4), np.uint8), id="one pixel"),
        pytest.param(np.full((7, 90, 4), 255, np.uint8), id="blank strip"),
        pytest.param(np.full((300, 300, 4), 255, np.uint8), id="blank"),
        pytest.param(np.uint8(np.indices((200, 200)).sum(axis=0) % 2 * 255)[..., None].repeat(4, axis=2), id="checks"),
        pytest.param(np.uint8(np.arange(300) // 2)[None, :, None].repeat(300, axis=0).repeat(4, axis=2) | 3, id="ramp"),
    ],
)
def test_odd_pictures_are_refused_without_a_warning(picture: NDArray[np.uint8]) -> None:
    picture[..., 3] = 255
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ReconstructionError, match="top view"):
            silhouette(View.TOP, picture, 64)


@pytest.mark.parametrize("part", [0.01, 0.1, 0.3, 0.6])
def test_no_noise_warns(part: float) -> None:
    random = np.random.default_rng(5)
    picture = before(disc(180, 60, 40), WHITE)
    salted = random.random((SIZE, SIZE)) < part
    picture[salted, :3] = 255 * random.integers(0, 2, salted.sum())[:, None]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = background(picture)
    assert found is None or found.clear.any()


def test_an_object_may_touch_a_side_of_its_picture(jug: NDArray[np.uint8]) -> None:
    cropped = np.ascontiguousarray(jug[:, 180:])
    seen = silhouette(View.FRONT, before(cropped, plain(210, 220, 230)), SIZE)
    beside = (SIZE - cropped.shape[1]) // 2
    found = seen.coverage[:, beside : beside + cropped.shape[1]]
    assert agreement(found, cropped) > 0.98


def test_a_busy_background_is_refused_by_name() -> None:
    noise = np.random.default_rng(1).integers(0, 255, (64, 64, 4), np.uint8)
    noise[..., 3] = 255
    with pytest.raises(ReconstructionError, match=r"top view: .* background isn't plain; .* transparent"):
        silhouette(View.TOP, noise, 64)


def test_equal_pictures_give_equal_silhouettes(jug: NDArray[np.uint8]) -> None:
    picture = KINDS["shadow in studio, JPEG 90"](jug, View.FRONT)
    one, two = (silhouette(View.FRONT, picture.copy(), SIZE) for _ in range(2))
    np.testing.assert_array_equal(one.coverage, two.coverage)
    np.testing.assert_array_equal(one.colours, two.colours)


def test_noise_does_not_hide_a_part_of_another_hue() -> None:
    """As light as the background at one end, darker at the other: by brightness alone it might be its shadow."""
    cut_out = disc(200, 90, 30)
    inner = (np.indices((SIZE, SIZE))[0] > 0.5 * SIZE) & (cut_out[..., 3] > 0)
    light = np.linspace(1.02, 0.86, SIZE)[:, None, None] * (194, 190, 182)
    cut_out[inner, :3] = np.broadcast_to(light, (SIZE, SIZE, 3))[inner]
    for quality in (None, 85):
        seen = silhouette(View.FRONT, before(cut_out, blotchy, jpeg_quality=quality), SIZE)
        assert agreement(seen.coverage, cut_out) > 0.98


def test_a_hole_is_known_by_its_noise_where_the_light_is_not_foretold() -> None:
    cut_out = disc(120, 60, 40, radius=0.4)
    hole = disc(0, 0, 0, radius=0.15)[..., 3] > 0
    cut_out[hole, 3] = 0

    def lamp(height: int, width: int) -> Light:
        y, x = (np.indices((height, width)) + 0.5) / SIZE - 0.5
        return blotchy(height, width) + 7 * np.exp(-20 * (x * x + y * y))[..., None]

    seen = silhouette(View.FRONT, before(cut_out, lamp), SIZE)
    assert agreement(seen.coverage, cut_out) > 0.99
    plain_part = cut_out.copy()
    plain_part[hole] = (197, 197, 197, 255)  # as light as the hole, without noise of its own
    seen = silhouette(View.FRONT, before(plain_part, lamp), SIZE)
    assert agreement(seen.coverage, plain_part) > 0.99


def scrawled(height: int, width: int) -> Light:
    """Squares as an image generator draws them: of two colours, and every row of its own widths."""
    random = np.random.default_rng(2)
    edges = np.cumsum(random.uniform(9, 23, (height // 16 + 1, width // 9)), axis=1)
    column = np.arange(width)
    odd = np.stack([(np.searchsorted(edges[y // 16], column) + y // 16) % 2 for y in range(height)])
    return (204 + 51.0 * odd)[..., None].repeat(3, axis=2)


def test_an_irregular_checkerboard_is_refused_by_name(jug: NDArray[np.uint8]) -> None:
    with pytest.raises(ReconstructionError, match=r"left view: a checkerboard .* transparent; export it with real"):
        silhouette(View.LEFT, before(jug, scrawled), SIZE)


@pytest.mark.parametrize("level", [204, 250])
def test_an_object_of_a_checkerboards_colour_is_refused_by_name(jug: NDArray[np.uint8], level: int) -> None:
    pale = np.dstack([np.full_like(jug[..., :3], level), jug[..., 3]])
    with pytest.raises(ReconstructionError, match=r"left view: a checkerboard .* transparent; export it with real"):
        silhouette(View.LEFT, KINDS["checkerboard"](pale, View.LEFT), len(pale))


def test_no_checkerboard_is_seen_in_what_has_none(jug: NDArray[np.uint8]) -> None:
    for kind, put in KINDS.items():
        assert (checkers(put(jug, View.FRONT)) is not None) == ("checkerboard" in kind)
