"""What an outline says of the solid behind it."""

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.domain.views import ORTHOGRAPHIC_WIDTH
from pipeline.geometry.distances import signed_distance
from pipeline.geometry.outlines import BOXY, NOWHERE, profile, steadiness, thickness_at

SIZE = 256
PIXEL = ORTHOGRAPHIC_WIDTH / SIZE
ROW, COLUMN = np.mgrid[:SIZE, :SIZE] + 0.5


def outline(inside: NDArray[np.bool_]) -> NDArray[np.float32]:
    return signed_distance(inside.astype(np.float32)) * np.float32(PIXEL)


BAR = outline((abs(COLUMN - 128) < 40) & (abs(ROW - 128) < 100))
DISC = outline(np.hypot(COLUMN - 128, ROW - 128) < 80)
TAILED = outline((np.hypot(COLUMN - 90, ROW - 128) < 60) | ((abs(ROW - 128) < 8) & (abs(COLUMN - 170) < 60)))


def test_across_a_bar_thickness_falls_like_a_cylinders_depth() -> None:
    shown = profile(BAR, PIXEL)
    for off in (0, 10, 20, 30):
        found = thickness_at(shown.thickness, SIZE, 127.5 + off, 128)
        assert found == pytest.approx(1 - (off / 40) ** 2, abs=0.05)


def test_a_tail_is_thin_beside_its_body_whose_middle_is_the_peak() -> None:
    shown = profile(TAILED, PIXEL)
    assert shown.peaks[128] == pytest.approx(89.5, abs=6)
    assert thickness_at(shown.thickness, SIZE, 190, 128) < 0.1
    assert thickness_at(shown.thickness, SIZE, 89.5, 128) > 0.95


def test_rows_without_any_of_it_are_like_the_nearest_and_an_empty_picture_has_none() -> None:
    shown = profile(BAR, PIXEL)
    assert thickness_at(shown.thickness, SIZE, 127.5, 3) == pytest.approx(1, abs=0.02)
    assert profile(np.ones((SIZE, SIZE), np.float32), PIXEL) is NOWHERE


def test_boxes_have_steady_rows_and_what_is_round_has_not() -> None:
    steps = outline((abs(COLUMN - 128) < np.where(ROW < 128, 40, 90)) & (abs(ROW - 128) < 100))
    assert steadiness(BAR) > steadiness(steps) > BOXY
    assert steadiness(DISC) < 0.35
    assert steadiness(np.ones((SIZE, SIZE))) == 0
