import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.domain.views import View
from pipeline.geometry.distances import signed_distance
from pipeline.geometry.silhouettes import ReconstructionError, completed, pure_colours, silhouette

SIZE = 120
ORANGE = np.array([230.0, 120, 30])


def ring() -> NDArray[np.float64]:
    """Exact coverage, nearly, of a ring."""
    y, x = (np.indices((SIZE * 4, SIZE * 4)) + 0.5) / 4 - SIZE / 2
    radius = np.hypot(x, y)
    inside = (radius < 45) & (radius > 20)
    return inside.reshape(SIZE, 4, SIZE, 4).mean(axis=(1, 3))


def opaque(background: NDArray[np.float64], coverage: NDArray[np.float64]) -> NDArray[np.uint8]:
    mixed = background * (1 - coverage[..., None]) + ORANGE * coverage[..., None]
    return np.dstack([mixed.round().clip(0, 255), np.full(coverage.shape, 255)]).astype(np.uint8)


def transparent(coverage: NDArray[np.float64]) -> NDArray[np.uint8]:
    colours = np.where(coverage[..., None] > 0, ORANGE, 0)
    return np.dstack([colours, (255 * coverage).round()]).astype(np.uint8)


def overlap(found: NDArray[np.float32], true: NDArray[np.float64]) -> float:
    a, b = found >= 0.5, true >= 0.5
    return float((a & b).sum() / (a | b).sum())


def test_alpha_is_the_coverage() -> None:
    seen = silhouette(View.FRONT, transparent(ring()), SIZE)
    assert seen.given
    assert seen.coverage == pytest.approx(ring(), abs=1 / 255)


@pytest.mark.parametrize(
    "background",
    [
        pytest.param(np.full((SIZE, SIZE, 3), 255.0), id="white"),
        pytest.param(np.linspace(100, 200, SIZE)[:, None, None] + np.zeros((SIZE, SIZE, 3)), id="gradient"),
        pytest.param(150 + np.random.default_rng(2).normal(0, 4, (SIZE, SIZE, 3)), id="noise"),
    ],
)
def test_a_plain_background_is_told_from_the_object_and_its_hole(background: NDArray[np.float64]) -> None:
    seen = silhouette(View.FRONT, opaque(background, ring()), SIZE)
    assert not seen.given
    assert overlap(seen.coverage, ring()) > 0.98
    assert seen.coverage[SIZE // 2, SIZE // 2] < 0.5


def test_a_white_spot_on_the_object_is_no_hole_in_front_of_white() -> None:
    picture = opaque(np.full((SIZE, SIZE, 3), 255.0), ring())
    picture[58:61, 88:91] = 255
    assert silhouette(View.FRONT, picture, SIZE).coverage[59, 89] >= 0.5


def test_what_one_view_takes_for_background_its_opposite_may_know_better() -> None:
    white = np.full((SIZE, SIZE, 3), 255.0)
    whole, bitten = opaque(white, ring()), opaque(white, ring())
    bitten[50:70, 90:] = 255
    both = completed({View.LEFT: silhouette(View.LEFT, bitten, SIZE), View.RIGHT: silhouette(View.RIGHT, whole, SIZE)})
    assert overlap(both[View.LEFT].coverage, ring()) > 0.98
    apart = completed({View.LEFT: silhouette(View.LEFT, bitten, SIZE), View.TOP: silhouette(View.TOP, whole, SIZE)})
    assert overlap(apart[View.LEFT].coverage, ring()) < 0.98


@pytest.mark.parametrize("picture", [transparent(ring()), opaque(np.full((SIZE, SIZE, 3), 255.0), ring())])
def test_no_background_is_left_in_the_colours(picture: NDArray[np.uint8]) -> None:
    seen = silhouette(View.FRONT, picture, SIZE)
    assert np.abs(pure_colours(seen, signed_distance(seen.coverage)) - ORANGE).max() <= 1


def test_a_trace_of_alpha_is_none_and_a_little_less_than_solid_is_all() -> None:
    coverage = ring()
    picture = transparent(coverage)
    picture[..., 3] = np.rint(5 + 240 * coverage)
    assert silhouette(View.FRONT, picture, SIZE).coverage == pytest.approx(coverage, abs=1 / 200)


def test_alpha_that_is_nowhere_the_same_for_long_is_taken_as_it_is() -> None:
    picture = np.full((256, 256, 4), 128, np.uint8)
    picture[..., 3] = np.arange(256)[None, :]
    assert silhouette(View.FRONT, picture, 256).coverage[0] == pytest.approx(np.arange(256) / 255, abs=0.02)


def salted(part: float) -> NDArray[np.uint8]:
    """A disc whose transparency is wrong in a part of the pixels."""
    y, x = np.indices((512, 512)) - 255.5
    picture = np.full((512, 512, 4), 128, np.uint8)
    wrong = np.random.default_rng(4).random((512, 512)) < part
    picture[..., 3] = 255 * ((np.hypot(y, x) < 150) ^ wrong)
    return picture


def test_specks_and_pinholes_by_the_thousand_are_taken_out() -> None:
    clean, noisy = (silhouette(View.FRONT, salted(part), 512).coverage for part in (0, 0.1))
    assert overlap(noisy, clean.astype(np.float64)) > 0.99
    assert ((noisy >= 0.5) != (clean >= 0.5)).mean() < 2e-3


def test_transparency_that_is_noise_is_refused_by_name() -> None:
    picture = np.full((512, 512, 4), 128, np.uint8)
    picture[..., 3] = 255 * (np.random.default_rng(6).random((512, 512)) < 0.3)
    with pytest.raises(ReconstructionError, match=r"left view: its transparency is noise, .* specks; replace"):
        silhouette(View.LEFT, picture, 512)


def test_nearly_opaque_pictures_are_opaque() -> None:
    picture = opaque(np.full((SIZE, SIZE, 3), 255.0), ring())
    picture[..., 3] = 252
    assert not silhouette(View.FRONT, picture, SIZE).given


@pytest.mark.parametrize("size", [SIZE // 2, 2 * SIZE])
def test_colours_under_what_is_transparent_are_nobodys(size: int) -> None:
    picture = transparent(ring())
    picture[picture[..., 3] == 0] = (0, 255, 255, 0)
    seen = silhouette(View.FRONT, picture, size)
    assert np.abs(pure_colours(seen, signed_distance(seen.coverage)) - ORANGE).max() <= 2


def test_premultiplied_edges_leave_no_dark_seam() -> None:
    picture = transparent(ring())
    picture[..., :3] = np.rint(picture[..., :3] * ring()[..., None])
    seen = silhouette(View.FRONT, picture, SIZE)
    assert np.abs(pure_colours(seen, signed_distance(seen.coverage)) - ORANGE).max() <= 2


def test_a_wide_picture_stands_in_the_middle_of_its_square() -> None:
    seen = silhouette(View.FRONT, transparent(ring())[30:90], 2 * SIZE)
    assert seen.coverage.shape == (2 * SIZE, 2 * SIZE)
    rows, columns = np.nonzero(seen.coverage >= 0.5)
    assert (rows.min(), rows.max()) == (60, 179)
    assert columns.min() == pytest.approx(30, abs=1)
    assert columns.max() == pytest.approx(209, abs=1)


def test_a_slanted_line_thinner_than_two_pixels_is_told_from_a_blank_picture() -> None:
    y, x = np.indices((64, 64)) - 31.5
    off = np.abs(np.cos(np.radians(30)) * x + np.sin(np.radians(30)) * y)
    line = np.clip(1 - off, 0, 1) * (np.hypot(x, y) < 25)
    with pytest.raises(ReconstructionError, match="front view: the object is nowhere two pixels wide; give a picture"):
        silhouette(View.FRONT, transparent(line), 64)
    with pytest.raises(ReconstructionError, match="blank"):
        silhouette(View.FRONT, transparent(0.3 * line), 64)


def shadowed(shade: NDArray[np.float64]) -> NDArray[np.uint8]:
    """The ring in front of something black that covers so much of each pixel."""
    coverage = ring()
    both = coverage + (1 - coverage) * shade
    colours = ORANGE * (coverage / np.maximum(both, 1e-9))[..., None]
    return np.dstack([colours.round(), (255 * both).round()]).astype(np.uint8)


def test_a_soft_shadow_in_the_alpha_is_no_object() -> None:
    y, x = np.indices((SIZE, SIZE)) - SIZE / 2
    shade = 0.7 * np.clip(1.5 - np.hypot(x - 8, y - 8) / 40, 0, 1) ** 2
    assert (shade > 0.5).mean() > 0.02
    seen = silhouette(View.FRONT, shadowed(shade), SIZE)
    assert np.abs(seen.coverage - ring()).mean() < 0.01
    assert overlap(seen.coverage, ring()) > 0.99


def test_what_is_half_transparent_and_fades_nowhere_is_object() -> None:
    picture = transparent(ring())
    y, x = np.indices((SIZE, SIZE)) - SIZE / 2
    picture[np.hypot(x, y) < 18] = (10, 10, 10, 160)
    assert silhouette(View.FRONT, picture, SIZE).coverage[SIZE // 2, SIZE // 2] == pytest.approx(160 / 255)


@pytest.mark.parametrize("feather_px", [4.0, 6.0])
def test_the_soft_edge_of_something_dark_is_no_shadow(feather_px: float) -> None:
    y, x = np.indices((SIZE, SIZE)) - SIZE / 2
    picture = np.full((SIZE, SIZE, 4), 30, np.uint8)
    picture[..., 3] = (255 / (1 + np.exp((np.hypot(x, y) - 35) / feather_px * 1.7))).round()
    assert overlap(silhouette(View.FRONT, picture, SIZE).coverage, picture[..., 3] / 255) > 0.99


def test_an_object_that_is_all_shadow_stays() -> None:
    y, x = np.indices((SIZE, SIZE)) - SIZE / 2
    picture = np.zeros((SIZE, SIZE, 4), np.uint8)
    picture[..., 3] = np.clip(255 - 5 * np.hypot(x, y), 0, 255)
    assert (silhouette(View.FRONT, picture, SIZE).coverage >= 0.5).mean() > 0.1
