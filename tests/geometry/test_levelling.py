import numpy as np
import pytest
from numpy.typing import NDArray
from sheets import WIDTH, alike, sheet

from pipeline.geometry.levelling import levels


def halves(vertices: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Two views see the whole sheet; one paints its left, the other its right."""
    left = vertices[:, 0] < WIDTH / 2
    return np.stack([left, ~left]).astype(np.float32), np.full((2, len(vertices)), 0.8, np.float32)


def painted(
    share: NDArray[np.float32], samples: NDArray[np.uint8], level: NDArray[np.integer] | int = 0
) -> NDArray[np.float64]:
    """(V,) the red of the vertices."""
    total: NDArray[np.float64] = (share[..., None] * (samples.astype(float) + level)).sum(axis=0)[:, 0]
    return total


def test_two_shades_of_one_paint_meet_without_a_step() -> None:
    vertices, _, patches = sheet()
    share, seen = halves(vertices)
    samples = alike(len(vertices), 2)
    samples[1] += 20
    level = levels(vertices, patches, share, samples, seen)
    assert painted(share, samples, level) == pytest.approx(130, abs=1)


def test_details_stay_as_the_chosen_view_shows_them() -> None:
    vertices, _, patches = sheet()
    share, seen = halves(vertices)
    samples = alike(len(vertices), 2)
    fine = np.where(np.arange(len(vertices)) % 2, 15, 0).astype(np.uint8)
    samples[0] += fine[:, None]
    samples[1] += fine[::-1, None] + 1 - fine[:, None]  # as if parallax had moved it
    step = (
        painted(share, samples, levels(vertices, patches, share, samples, seen))[1::2] - painted(share, samples)[1::2]
    )
    assert np.abs(step).max() < 8  # half of the difference if all were blended: a detail twice
    assert np.ptp(step[vertices[1::2, 0] < WIDTH / 3]) <= 2


def test_what_contradicts_the_painted_colour_lends_nothing_to_it() -> None:
    vertices, _, patches = sheet()
    share, seen = np.zeros((2, len(vertices)), np.float32), np.full((2, len(vertices)), 0.8, np.float32)
    share[0] = 1
    samples = alike(len(vertices), 2)
    samples[1] = (250, 20, 20)
    assert (levels(vertices, patches, share, samples, seen)[0] == 0).all()


def test_where_a_view_sees_nothing_anywhere_near_it_gets_no_level() -> None:
    vertices, _, patches = sheet()
    share, seen = halves(vertices)
    left = share[0] > 0
    seen[1, left] = 0
    samples = alike(len(vertices), 2)
    samples[1] += 20
    level = levels(vertices, patches, share, samples, seen)
    assert (level[1, vertices[:, 0] < WIDTH / 4] == 0).all()
    assert (np.abs(level[:, vertices[:, 0] > 3 * WIDTH / 4] - np.array([[[10]], [[-10]]])) <= 1).all()
