import numpy as np
import pytest
from backdrops import KINDS, WHITE, before, contact_shadow, plain
from numpy.typing import NDArray

from pipeline.domain.views import View
from pipeline.geometry.distances import signed_distance
from pipeline.geometry.silhouettes import ReconstructionError, pure_colours, silhouette

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
