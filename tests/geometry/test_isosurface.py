import numpy as np
import pytest
from numba import config
from numpy.typing import NDArray

from pipeline.geometry.isosurface import BLOCK, cases, isosurface

N = 40


def surface_of(field: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    field = np.pad(field, 1, constant_values=1).astype(np.float32)
    everywhere = np.ones([-(-n // BLOCK) for n in field.shape], bool)
    return isosurface(lambda start, stop: field[start:stop], everywhere, (len(field), *field.shape[1:]))


def ball(radius: float) -> NDArray[np.float32]:
    z, y, x = np.indices((N, N, N)) - (N - 1) / 2
    return (np.sqrt(x**2 + y**2 + z**2) - radius).astype(np.float32)


def volume(vertices: NDArray[np.float32], faces: NDArray[np.int32]) -> float:
    a, b, c = (vertices[faces[:, corner]].astype(float) for corner in range(3))
    return float(np.einsum("ij,ij->", a, np.cross(b, c)) / 6)


def test_a_ball_is_found_to_a_part_of_a_cell_and_faces_outwards() -> None:
    vertices, faces = surface_of(ball(15))
    assert np.linalg.norm(vertices - (N + 1) / 2, axis=1) == pytest.approx(15, abs=0.02)
    assert volume(vertices, faces) == pytest.approx(4 / 3 * np.pi * 15**3, rel=0.01)
    assert len(vertices) - len(faces) // 2 == 2


def test_any_field_gives_a_surface_where_every_edge_has_two_faces_that_run_it_both_ways() -> None:
    vertices, faces = surface_of(np.random.default_rng(3).normal(size=(N, N, N)).astype(np.float32))
    edges = faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2).astype(np.int64)
    forth, back = (np.sort(edges @ factors) for factors in ([len(vertices), 1], [1, len(vertices)]))
    assert len(np.unique(forth)) == len(forth)
    assert np.array_equal(forth, back)


def test_values_of_exactly_zero_make_no_face_without_area() -> None:
    vertices, faces = surface_of(np.rint(ball(12)).astype(np.float32))
    a, b, c = (vertices[faces[:, corner]] for corner in range(3))
    assert np.linalg.norm(np.cross(b - a, c - a), axis=1).min() > 0


def test_blocks_that_are_not_active_are_not_asked_for() -> None:
    field = np.ones((4 * BLOCK, BLOCK, BLOCK), np.float32)
    field[3 * BLOCK + 3, 3, 3] = -1
    active = np.zeros((4, 1, 1), bool)
    active[3] = True
    asked: list[int] = []

    def slices(start: int, stop: int) -> NDArray[np.float32]:
        asked.extend(range(start, stop))
        return field[start:stop]

    _, faces = isosurface(slices, active, (4 * BLOCK, BLOCK, BLOCK))
    assert len(faces) == 8
    assert min(asked) == 3 * BLOCK


def test_every_case_is_the_mirror_of_its_complement_in_number_of_crossed_edges() -> None:
    crossed = [len(set(row[row >= 0])) for row in cases()]
    assert crossed == crossed[::-1]
    assert crossed[0] == 0
    assert crossed[1] == 3


def test_layers_of_blocks_are_joined_without_a_seam_whatever_the_number_of_threads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    noise = np.random.default_rng(5).normal(size=(3 * BLOCK, 2 * BLOCK + 3, BLOCK + 1)).astype(np.float32)
    surfaces = []
    for threads in (1, 4):
        monkeypatch.setattr(config, "NUMBA_NUM_THREADS", threads)
        surfaces.append(surface_of(noise))
    for one, other in zip(*surfaces, strict=True):
        assert np.array_equal(one, other)
    vertices, _ = surfaces[0]
    assert len(np.unique(vertices, axis=0)) == len(vertices)
