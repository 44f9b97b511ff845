import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.geometry.distances import distance_from, nearest_marked, signed_distance


def disc(size: int, radius: float, *, samples: int = 8) -> NDArray[np.float32]:
    """The exact coverage, nearly, of a disc around a point that is not a pixel's centre."""
    y, x = (np.indices((size * samples, size * samples)) + 0.5) / samples
    inside = np.hypot(x - size / 2 - 0.3, y - size / 2 + 0.2) < radius
    return inside.reshape(size, samples, size, samples).mean(axis=(1, 3)).astype(np.float32)


def test_the_nearest_marked_pixel_is_what_a_search_finds() -> None:
    marked = np.random.default_rng(0).random((40, 50)) > 0.98
    rows, columns = nearest_marked(marked)
    y, x = np.indices(marked.shape)
    searched = np.min([np.hypot(y - row, x - column) for row, column in np.argwhere(marked)], axis=0)
    assert marked[rows, columns].all()
    assert np.hypot(y - rows, x - columns) == pytest.approx(searched)
    assert distance_from(marked) == pytest.approx(searched, abs=1e-5)


@pytest.mark.parametrize(("soft", "tolerance_px"), [(True, 0.2), (False, 0.5)])
def test_an_outline_is_found_to_a_part_of_a_pixel(*, soft: bool, tolerance_px: float) -> None:
    coverage = disc(128, 40)
    found = signed_distance(coverage if soft else (coverage >= 0.5).astype(np.float32))
    y, x = np.indices((128, 128)) + 0.5
    true = np.hypot(x - 64.3, y - 63.8) - 40
    near = np.abs(true) < 4
    assert np.abs(found - true)[near].max() < tolerance_px
    assert (np.sign(found) == np.sign(true))[np.abs(true) > 0.5].all()
    assert np.abs(found - true).max() < 1


def test_corners_are_round_from_outside() -> None:
    square = np.zeros((64, 64), np.float32)
    square[20:44, 20:44] = 1
    found = signed_distance(square)
    assert found[10, 10] == pytest.approx(np.hypot(9.5, 9.5), abs=0.8)
    assert found[32, 10] == pytest.approx(9.5, abs=0.1)
    assert found[32, 32] == pytest.approx(-11.5, abs=0.6)


def test_an_outline_of_hard_pixels_has_no_steps() -> None:
    hard = (disc(256, 80) >= 0.5).astype(np.float32)
    found = signed_distance(hard)
    y, x = np.indices(hard.shape) + 0.5
    across, down = x - 128.3, y - 127.8
    near = np.abs(np.hypot(across, down) - 80) < 1.5
    slope_y, slope_x = np.gradient(found)
    cosine = (slope_y * down + slope_x * across) / np.hypot(slope_y, slope_x).clip(1e-6) / np.hypot(across, down)
    off = np.degrees(np.arccos(np.clip(cosine, -1, 1)))[near]
    assert off.mean() < 3
    assert np.abs(found - (np.hypot(across, down) - 80))[near].max() < 0.6


@pytest.mark.parametrize("width_px", [2, 3])
def test_a_thin_bar_of_hard_pixels_stays_as_wide_as_it_is(width_px: int) -> None:
    bar = np.zeros((64, 64), np.float32)
    bar[10:50, 30 : 30 + width_px] = 1
    inside = signed_distance(bar) < 0
    assert (inside[12:48].sum(axis=1) == width_px).all()


def test_grey_edges_are_taken_at_their_word() -> None:
    coverage = np.zeros((64, 64), np.float32)
    coverage[20:44, 20:44] = 1
    coverage[19, 20:44] = coverage[20:44, 19] = 0.5
    found = signed_distance(coverage)
    assert found[30, 16] == pytest.approx(3, abs=0.1)
