import numpy as np
import pytest
from numpy.typing import NDArray
from sheets import WIDTH, alike, sheet

from pipeline.geometry.labelling import shares


def test_each_part_comes_from_the_view_that_sees_it_squarely() -> None:
    vertices, faces, patches = sheet()
    left = vertices[:, 0] < WIDTH / 2
    seen = np.where(np.stack([left, ~left]), 0.9, 0.3).astype(np.float32)
    share = shares(vertices, faces, patches, alike(len(vertices), 2), seen)
    assert share.sum(axis=0) == pytest.approx(1)
    middle = np.abs(vertices[:, 0] - WIDTH / 2) < 0.03
    assert (share[0, left & ~middle] > 0.95).all()
    assert (share[1, ~left & ~middle] > 0.95).all()


def test_a_hair_s_breadth_of_squareness_is_no_reason_for_a_speckle() -> None:
    vertices, faces, patches = sheet()
    seen = np.random.default_rng(1).uniform(0.78, 0.82, (3, len(vertices))).astype(np.float32)
    samples = np.repeat((255 * np.eye(3, dtype=np.uint8))[:, None], len(vertices), axis=1)
    label = shares(vertices, faces, patches, samples, seen).argmax(axis=0)
    assert seams(faces, seen.argmax(axis=0)) > 0.6
    assert seams(faces, label) < 0.05  # one line across is a thirtieth


def seams(faces: NDArray[np.int32], label: NDArray[np.intp]) -> float:
    """The part of all edges whose ends come from two views."""
    return float((label[faces] != label[np.roll(faces, 1, axis=1)]).mean())


def test_the_view_that_all_others_contradict_is_not_believed() -> None:
    vertices, faces, patches = sheet()
    samples = alike(len(vertices), 3)
    samples[0] = (250, 20, 20)
    seen = np.repeat(np.array([[0.77], [0.75], [0.75]], np.float32), len(vertices), axis=1)
    assert shares(vertices, faces, patches, samples, seen)[0].max() == 0


def test_two_views_that_agree_outweigh_one_that_sees_a_little_better() -> None:
    vertices, faces, patches = sheet()
    samples = alike(len(vertices), 3)
    samples[0] = (190, 30, 30)
    seen = np.repeat(np.array([[0.84], [0.7], [0.8]], np.float32), len(vertices), axis=1)
    assert shares(vertices, faces, patches, samples, seen)[0].max() == 0


def test_a_difference_of_shade_is_no_contradiction() -> None:
    vertices, faces, patches = sheet()
    samples = alike(len(vertices), 3)
    samples[0] += 12
    seen = np.repeat(np.array([[0.84], [0.7], [0.8]], np.float32), len(vertices), axis=1)
    assert shares(vertices, faces, patches, samples, seen)[0].min() == 1


def test_what_no_view_sees_has_no_share() -> None:
    vertices, faces, patches = sheet()
    hidden = vertices[:, 1] > WIDTH / 2
    seen = np.where(np.stack([hidden, hidden]), 0, 0.8).astype(np.float32)
    share = shares(vertices, faces, patches, alike(len(vertices), 2), seen)
    assert (share[:, hidden] == 0).all()
    assert share[:, ~hidden].sum(axis=0) == pytest.approx(1)


def test_views_that_agree_at_a_slant_outweigh_one_that_sees_squarely_what_lies_behind() -> None:
    vertices, faces, patches = sheet()
    samples = alike(len(vertices), 4)
    samples[0] = (90, 40, 30)  # as a view from above sees the ground beyond a ledge that isn't there
    samples[1:] = (30, 160, 60)
    seen = np.repeat(np.array([[1.0], [0.3], [0.2], [0.3]], np.float32), len(vertices), axis=1)
    assert shares(vertices, faces, patches, samples, seen)[0].max() == 0
