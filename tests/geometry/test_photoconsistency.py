import numpy as np
from numpy.typing import NDArray

from pipeline.geometry.photoconsistency import EXPONENTS, Corner, disagreement, reduced, spans

SIZE = 128
WIDTH = 40.0
"""Half of the solid's, in pixels."""


def outline() -> NDArray[np.float32]:
    """The signed distance from an upright strip."""
    columns = np.abs(np.arange(SIZE) - (SIZE - 1) / 2) - WIDTH
    return np.broadcast_to(columns, (SIZE, SIZE)).astype(np.float32)


def painted(exponent: float, turn_deg: float) -> NDArray[np.float32]:
    """A superellipse's picture from this azimuth, the colour of a point that of the direction in which it lies."""
    u = np.clip((np.arange(SIZE) - (SIZE - 1) / 2) / WIDTH, -1, 1)
    depth = (1 - np.abs(u) ** exponent) ** (1 / exponent)
    azimuth = np.radians(turn_deg) + np.arctan2(u, depth)
    row = 0.5 + 0.4 * np.stack([np.sin(2 * azimuth), np.cos(3 * azimuth), np.sin(5 * azimuth)], axis=-1)
    return np.broadcast_to(row, (SIZE, SIZE, 3)).astype(np.float32)


def test_the_curve_on_which_two_views_agree_is_the_solids_own() -> None:
    strip, rows = spans(outline()), np.arange(SIZE, dtype=np.float64)
    for exponent in (2.0, 2.5, 4.0):
        found = disagreement(Corner(painted(exponent, 0), strip, rows, painted(exponent, 90), strip, rows))
        assert found.shape == (SIZE, len(EXPONENTS))
        assert EXPONENTS[found[64].argmin()] == exponent
        assert found[64].min() < 0.02 < found[64, -1]


def test_levels_that_a_view_does_not_show_say_nothing() -> None:
    strip = spans(outline())
    rows = np.array([-5.0, 64.0, 500.0])
    found = disagreement(Corner(painted(2, 0), strip, rows, painted(2, 90), strip, rows))
    np.testing.assert_array_equal(np.isnan(found[:, 0]), [True, False, True])


def test_spans_begin_and_end_between_pixels_and_empty_rows_borrow_those_of_the_nearest() -> None:
    distance = np.ones((6, 8), np.float32)
    distance[2] = [1, -1, -1, 1, 3, -1, -3, -1]
    distance[3] = [1, 1, -3, 1, 1, 1, 1, 1]
    found = spans(distance)
    np.testing.assert_array_equal(found.counts, [2, 2, 2, 1, 1, 1])
    np.testing.assert_allclose(found.starts[0, :2], [0.5, 4.75])
    np.testing.assert_allclose(found.stops[0, 0], 2.5)
    np.testing.assert_allclose([found.starts[5, 0], found.stops[5, 0]], [1.25, 2.75])


def test_reduced_pictures_are_means_of_what_is_covered() -> None:
    colours = np.zeros((512, 512, 3), np.uint8)
    coverage = np.zeros((512, 512), np.float32)
    colours[0, 0], colours[0, 1], colours[1, 1] = 200, 100, 255
    coverage[0, :2] = (1, 0.5)
    small = reduced(colours, coverage)
    assert small.shape == (256, 256, 3)
    np.testing.assert_allclose(small[0, 0], (200 + 50) / 1.5 / 255, rtol=1e-4)
    assert (small[1:] == 0).all()
