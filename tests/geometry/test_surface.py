"""Surfaces of hulls of every kind: closed, manifold, turned outwards, of as many faces as were asked for."""

from collections.abc import Callable, Mapping

import numpy as np
import pytest
from numba import config
from numpy.typing import NDArray

from pipeline.domain.views import CAMERAS, ORTHOGRAPHIC_WIDTH, View
from pipeline.geometry.surface import surface
from pipeline.geometry.visual_hull import Hull, visual_hull

Outline = Callable[[View, NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]]
"""A view's signed distances, negative inside, at points to the right and up of its middle."""


def hull_of(outline: Outline, size: int, views: tuple[View, ...] = tuple(View)) -> Hull:
    """From pictures whose pixels are covered as far as a straight outline through them would."""
    at = ((np.arange(size) + 0.5) / size - 0.5) * ORTHOGRAPHIC_WIDTH
    pixel = ORTHOGRAPHIC_WIDTH / size
    covered: Mapping[View, NDArray[np.float32]] = {
        view: np.clip(0.5 - outline(view, at[None, :], -at[:, None]) / pixel, 0, 1).astype(np.float32) for view in views
    }
    return visual_hull(covered)


def disc(radius: float) -> Outline:
    return lambda _view, right, up: np.hypot(right, up) - radius


def blobs(seed: int) -> Outline:
    """Other random blots in every view: what they have in common is thin, pierced and in pieces."""

    def outline(view: View, right: NDArray[np.float64], up: NDArray[np.float64]) -> NDArray[np.float64]:
        rng = np.random.default_rng([seed, list(View).index(view)])
        waves = np.zeros(np.broadcast_shapes(right.shape, up.shape))
        for frequency, turn, phase in zip(
            rng.uniform(4, 20, 8), rng.uniform(0, np.pi, 8), rng.uniform(0, 6, 8), strict=True
        ):
            waves += np.sin(frequency * (right * np.cos(turn) + up * np.sin(turn)) + phase)
        inside_frame = np.maximum(np.abs(right), np.abs(up)) - 0.5
        return np.maximum(0.03 * (waves - rng.uniform(1, 3)), inside_frame)

    return outline


def assert_closed_manifold(vertices: NDArray[np.float32], faces: NDArray[np.int32]) -> None:
    corners = np.array([[0, 1], [1, 2], [2, 0]])
    edges = faces[:, corners].reshape(-1, 2).astype(np.int64)
    forth, back = edges @ [len(vertices), 1], edges @ [1, len(vertices)]
    assert len(np.unique(forth)) == len(forth), "an edge has two faces on one side"
    assert np.array_equal(np.sort(forth), np.sort(back)), "an edge has one face, or two that turn different ways"
    assert np.array_equal(np.unique(faces), np.arange(len(vertices)))
    assert_one_fan_each(faces, len(vertices))


def assert_one_fan_each(faces: NDArray[np.int32], vertex_count: int) -> None:
    """Around every vertex its faces are one ring: each corner leads to the next one's, until all were passed."""
    corners = faces.size
    vertex = faces.ravel()
    after, before = np.roll(faces, -1, axis=1).ravel(), np.roll(faces, 1, axis=1).ravel()
    by_after = np.argsort(vertex.astype(np.int64) * vertex_count + after)
    keys = (vertex.astype(np.int64) * vertex_count + after)[by_after]
    following = by_after[np.searchsorted(keys, vertex.astype(np.int64) * vertex_count + before)]
    smallest, jump = np.arange(corners), following
    for _ in range(int(np.bincount(vertex).max()).bit_length()):
        smallest, jump = np.minimum(smallest, smallest[jump]), jump[jump]
    assert len(np.unique(smallest)) == vertex_count


def normals_of(vertices: NDArray[np.float32], faces: NDArray[np.int32]) -> tuple[NDArray, NDArray]:
    a, b, c = (vertices[faces[:, corner]].astype(float) for corner in range(3))
    crossed = np.cross(b - a, c - a)
    doubled = np.linalg.norm(crossed, axis=1)
    return crossed / doubled[:, None], doubled / 2


def volume(vertices: NDArray[np.float32], faces: NDArray[np.int32]) -> float:
    a, b, c = (vertices[faces[:, corner]].astype(float) for corner in range(3))
    return float(np.einsum("ij,ij->", a, np.cross(b, c)) / 6)


def least_angle(vertices: NDArray[np.float32], faces: NDArray[np.int32]) -> NDArray[np.float64]:
    p = vertices[faces].astype(float)
    sides = np.sort(np.stack([((p[:, k] - p[:, k - 1]) ** 2).sum(axis=1) for k in range(3)], axis=1), axis=1)
    cosine = (sides[:, 1] + sides[:, 2] - sides[:, 0]) / (2 * np.sqrt(sides[:, 1] * sides[:, 2]))
    return np.degrees(np.arccos(np.clip(cosine, -1, 1)))


@pytest.mark.parametrize("seed", range(8))
def test_whatever_the_pictures_the_surface_is_closed_and_has_the_asked_faces(seed: int) -> None:
    rng = np.random.default_rng(seed)
    views = (View.FRONT, *(view for view in View if view is not View.FRONT and rng.random() < 0.6))
    hull = hull_of(blobs(seed), int(rng.integers(24, 128)), views)
    for face_count in (int(rng.integers(4_000, 40_000)), 1_001):
        vertices, faces = surface(hull, face_count)
        assert len(faces) > 0
        assert_closed_manifold(vertices, faces)
        assert volume(vertices, faces) > 0
        assert (normals_of(vertices, faces)[1] > 0).all()
        assert len(faces) == face_count // 2 * 2 or len(faces) > face_count == 1_001


@pytest.mark.parametrize("face_count", [100, 1_001, 60_000, 400_000])
def test_no_face_is_a_needle(face_count: int) -> None:
    vertices, faces = surface(hull_of(disc(0.4), 256), face_count)
    assert len(faces) == face_count // 2 * 2
    angles = least_angle(vertices, faces)
    assert angles.min() > 2
    assert np.mean(angles < 5) < 0.01


def test_the_hull_of_a_ball_is_smooth_and_keeps_its_ridges() -> None:
    """It is where cylinders around the directions of the views meet, so its normals are known."""
    vertices, faces = surface(hull_of(disc(0.4), 512), 60_000)
    middles = vertices[faces].astype(float).mean(axis=1)
    axes = np.array([CAMERAS[view].backward for view in View])
    across = middles[:, None] - (middles @ axes.T)[..., None] * axes
    radii = np.linalg.norm(across, axis=2)
    nearest = radii.argmax(axis=1)
    assert np.abs(radii.max(axis=1) - 0.4).mean() < 0.1 * ORTHOGRAPHIC_WIDTH / 512
    true = across[np.arange(len(middles)), nearest] / radii.max(axis=1)[:, None]
    found, areas = normals_of(vertices, faces)
    off = np.degrees(np.arccos(np.clip((true * found).sum(axis=1), -1, 1)))
    assert np.average(off, weights=areas) < 1.5
    ranked = np.sort(radii, axis=1)
    away_from_ridges = ranked[:, -1] - ranked[:, -2] > 0.01
    assert np.average(off[away_from_ridges], weights=areas[away_from_ridges]) < 1


def test_parts_of_a_few_pixels_survive_small_face_counts() -> None:
    def table(view: View, right: NDArray[np.float64], up: NDArray[np.float64]) -> NDArray[np.float64]:
        if view in {View.TOP, View.BOTTOM}:
            return np.maximum(np.abs(right), np.abs(up)) - 0.3
        leg = np.maximum(np.abs(np.abs(right) - 0.29) - 0.004, np.abs(up) - 0.3)
        return np.minimum(leg, np.maximum(np.abs(right) - 0.3, np.abs(up - 0.29) - 0.01))

    sides = (View.FRONT, View.LEFT, View.TOP)
    vertices, faces = surface(hull_of(table, 512, sides), 600)
    assert_closed_manifold(vertices, faces)
    for x in (-1, 1):
        for z in (-1, 1):
            leg = (x * vertices[:, 0] > 0.2) & (z * vertices[:, 2] > 0.2)
            assert vertices[leg, 1].min() == pytest.approx(-0.3, abs=0.01)


def test_the_surface_does_not_depend_on_the_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    for threads in (1, 3):
        monkeypatch.setattr(config, "NUMBA_NUM_THREADS", threads)
        made.append(surface(hull_of(blobs(1), 96), 20_000))
    for one, other in zip(*made, strict=True):
        assert np.array_equal(one, other)


def test_when_the_finest_grid_has_fewer_faces_all_are_given() -> None:
    vertices, faces = surface(hull_of(disc(0.01), 200), 100_000)
    assert_closed_manifold(vertices, faces)
    assert 100 < len(faces) < 100_000
