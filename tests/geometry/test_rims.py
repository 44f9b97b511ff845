import numpy as np
from numpy.typing import NDArray

from pipeline.geometry.rims import leaks

SIZE = 240
PIXEL = 1.1 / SIZE
NEAR, FAR = 0.3, 0.0
ORANGE, BLUE = (200, 120, 40), (40, 60, 190)


def two_sheets(hull_edge: int) -> NDArray[np.float32]:
    """A near sheet on the left up to a column, a far one behind it."""
    depth = np.full((SIZE, SIZE), FAR, np.float32)
    depth[:, :hull_edge] = NEAR
    return depth


def picture(edge: int) -> NDArray[np.uint8]:
    colours = np.full((SIZE, SIZE, 3), BLUE, np.uint8)
    colours[:, :edge] = ORANGE
    return colours


def test_what_shows_inside_a_rim_that_is_too_far_out_is_found() -> None:
    found = leaks(two_sheets(100), picture(98), PIXEL)
    inner = found[10:-10]
    assert inner[:, 98:100].all()
    assert not inner[:, :97].any()
    assert not inner[:, 100:].any()


def test_an_exact_rim_leaks_nothing() -> None:
    assert not leaks(two_sheets(100), picture(100), PIXEL).any()


def test_one_colour_on_both_sides_is_no_evidence() -> None:
    assert not leaks(two_sheets(100), picture(0), PIXEL).any()


def test_a_silhouette_s_outline_is_exact() -> None:
    alone = np.where(two_sheets(100) == NEAR, np.float32(NEAR), np.float32(-np.inf))
    assert not leaks(alone, picture(97), PIXEL).any()
