import numpy as np
import pytest
import trimesh

from pipeline.geometry.decimation import decimate


def assert_manifold(mesh: trimesh.Trimesh) -> None:
    assert (np.unique(np.sort(mesh.edges, axis=1), axis=0, return_counts=True)[1] == 2).all()
    assert mesh.is_winding_consistent


@pytest.mark.parametrize("face_count", [5_000, 4_999, 300, 20])
def test_a_ball_keeps_its_shape_down_to_exactly_the_asked_faces(face_count: int) -> None:
    ball = trimesh.creation.icosphere(subdivisions=5)
    mesh = trimesh.Trimesh(*decimate(ball.vertices, ball.faces.astype(np.int32), face_count), process=False)
    assert len(mesh.faces) == face_count // 2 * 2
    assert_manifold(mesh)
    assert mesh.euler_number == 2
    assert mesh.volume == pytest.approx(4 / 3 * np.pi, rel=2 / face_count**0.5)


def test_the_hole_of_a_ring_survives_whatever_is_asked() -> None:
    ring = trimesh.creation.torus(1, 0.4, major_sections=60, minor_sections=30)
    mesh = trimesh.Trimesh(*decimate(ring.vertices, ring.faces.astype(np.int32), 4), process=False)
    assert_manifold(mesh)
    assert mesh.euler_number == 0
    assert 14 <= len(mesh.faces) < 60


def test_flat_sides_lose_their_faces_before_edges_do() -> None:
    box = trimesh.creation.box().subdivide_loop(0)
    for _ in range(5):
        box = box.subdivide()
    vertices, faces = decimate(box.vertices, box.faces.astype(np.int32), 400)
    mesh = trimesh.Trimesh(vertices, faces, process=False)
    assert_manifold(mesh)
    assert mesh.volume == pytest.approx(1, abs=1e-3)
    assert np.abs(np.abs(vertices).max(axis=1) - 0.5).max() < 1e-3


def test_enough_is_left_alone() -> None:
    ball = trimesh.creation.icosphere(subdivisions=2)
    vertices, faces = decimate(ball.vertices, ball.faces.astype(np.int32), 10_000)
    assert np.array_equal(vertices, ball.vertices)
    assert np.array_equal(faces, ball.faces)
