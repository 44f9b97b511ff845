import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.geometry.labelling import shares

ACROSS = 41
WIDTH = 0.4


def sheet() -> tuple[NDArray[np.float32], NDArray[np.int32], NDArray[np.float32]]:
    """A flat square seen from +Z, both sides of it, so that every edge comes once in each direction."""
    y, x = np.divmod(np.arange(ACROSS**2), ACROSS)
    vertices = np.stack([x, y, np.zeros_like(x)], axis=1).astype(np.float32) * np.float32(WIDTH / (ACROSS - 1))
    corner = (np.arange(ACROSS - 1)[:, None] * ACROSS + np.arange(ACROSS - 1)).ravel()
    front = np.concatenate(
        [
            np.stack([corner, corner + 1, corner + ACROSS], axis=1),
            np.stack([corner + 1, corner + ACROSS + 1, corner + ACROSS], axis=1),
        ]
    )
    faces = np.concatenate([front, front[:, ::-1]]).astype(np.int32)
    return vertices, faces, np.tile(np.array([0, 0, 1], np.float32), (len(vertices), 1))


def alike(count: int, views: int) -> NDArray[np.uint8]:
    return np.full((views, count, 3), 120, np.uint8)


def test_each_part_comes_from_the_view_that_sees_it_squarely() -> None:
    vertices, faces, normals = sheet()
    left = vertices[:, 0] < WIDTH / 2
    seen = np.where(np.stack([left, ~left]), 0.9, 0.3).astype(np.float32)
    share = shares(vertices, faces, normals, alike(len(vertices), 2), seen)
    assert share.sum(axis=0) == pytest.approx(1)
    middle = np.abs(vertices[:, 0] - WIDTH / 2) < 0.03
    assert (share[0, left & ~middle] > 0.95).all()
    assert (share[1, ~left & ~middle] > 0.95).all()


def test_a_hair_s_breadth_of_squareness_is_no_reason_for_a_speckle() -> None:
    vertices, faces, normals = sheet()
    seen = np.random.default_rng(1).uniform(0.78, 0.82, (3, len(vertices))).astype(np.float32)
    samples = np.repeat((255 * np.eye(3, dtype=np.uint8))[:, None], len(vertices), axis=1)
    label = shares(vertices, faces, normals, samples, seen).argmax(axis=0)
    assert seams(faces, seen.argmax(axis=0)) > 0.6
    assert seams(faces, label) < 0.05  # one line across is a thirtieth


def seams(faces: NDArray[np.int32], label: NDArray[np.intp]) -> float:
    """The part of all edges whose ends come from two views."""
    return float((label[faces] != label[np.roll(faces, 1, axis=1)]).mean())


def test_the_view_that_all_others_contradict_is_not_believed() -> None:
    vertices, faces, normals = sheet()
    samples = alike(len(vertices), 3)
    samples[0] = (250, 20, 20)
    seen = np.repeat(np.array([[0.77], [0.75], [0.75]], np.float32), len(vertices), axis=1)
    assert shares(vertices, faces, normals, samples, seen)[0].max() == 0


def test_two_views_that_agree_outweigh_one_that_sees_a_little_better() -> None:
    vertices, faces, normals = sheet()
    samples = alike(len(vertices), 3)
    samples[0] = (190, 30, 30)
    seen = np.repeat(np.array([[0.84], [0.7], [0.8]], np.float32), len(vertices), axis=1)
    assert shares(vertices, faces, normals, samples, seen)[0].max() == 0


def test_a_difference_of_shade_is_no_contradiction() -> None:
    vertices, faces, normals = sheet()
    samples = alike(len(vertices), 3)
    samples[0] += 12
    seen = np.repeat(np.array([[0.84], [0.7], [0.8]], np.float32), len(vertices), axis=1)
    assert shares(vertices, faces, normals, samples, seen)[0].min() == 1


def test_what_no_view_sees_has_no_share() -> None:
    vertices, faces, normals = sheet()
    hidden = vertices[:, 1] > WIDTH / 2
    seen = np.where(np.stack([hidden, hidden]), 0, 0.8).astype(np.float32)
    share = shares(vertices, faces, normals, alike(len(vertices), 2), seen)
    assert (share[:, hidden] == 0).all()
    assert share[:, ~hidden].sum(axis=0) == pytest.approx(1)
