from dataclasses import replace

import numpy as np
import pytest

from pipeline.geometry.mesh import Mesh
from pipeline.geometry.preview import preview
from pipeline.geometry.rendering import Part

TETRAHEDRON = Mesh(
    positions=np.array([[1, 1, 1], [-1, -1, 1], [-1, 1, -1], [1, -1, -1]], np.float32),
    faces=np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]], np.uint32),
)
RED = np.array([[210, 30, 30]] * 4, np.uint8)


def reddish(picture: np.ndarray) -> np.ndarray:
    return picture[..., 0].astype(int) > picture[..., 1].astype(int) + 60


def extent(mask: np.ndarray) -> tuple[int, int, int, int]:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return rows[0], rows[-1], columns[0], columns[-1]


@pytest.mark.parametrize(("scale", "shift"), [(1, 0), (250, -4000), (0.001, 7)])
def test_a_mesh_of_any_size_and_place_fills_its_half(scale: float, shift: float) -> None:
    mesh = replace(TETRAHEDRON, positions=(TETRAHEDRON.positions * scale + shift).astype(np.float32))
    picture = preview([Part(mesh=mesh, colours=RED)], np.zeros((8, 8, 4), np.uint8))
    assert picture.shape == (384, 768, 4)
    assert not reddish(picture[:, :384]).any()
    top, bottom, left, right = extent(reddish(picture[:, 384:]))
    assert max(bottom - top, right - left) == pytest.approx(330, abs=4)
    assert (top + bottom) / 2 == pytest.approx(191.5, abs=3)
    assert (left + right) / 2 == pytest.approx(191.5, abs=3)


def test_parts_keep_their_places_to_one_another() -> None:
    beside = replace(TETRAHEDRON, positions=TETRAHEDRON.positions + np.array([0, 6, 0], np.float32))
    picture = preview([Part(mesh=TETRAHEDRON), Part(mesh=beside, colours=RED)], None)
    assert picture.shape == (384, 384, 4)
    _, bottom, _, _ = extent(reddish(picture))
    assert bottom < 192


def test_the_front_picture_is_cut_to_its_object_and_keeps_its_proportions() -> None:
    front = np.zeros((500, 900, 4), np.uint8)
    front[100:200, 650:850] = (220, 20, 20, 255)
    front[:, :, :3] = (220, 20, 20)
    top, bottom, left, right = extent(reddish(preview([Part(mesh=TETRAHEDRON)], front)[:, :384]))
    assert right - left == pytest.approx(2 * (bottom - top), abs=3)
    assert right - left > 300


def test_an_opaque_photo_is_shown_whole() -> None:
    photo = np.full((300, 300, 3), (240, 10, 10), np.uint8)
    tile = preview([Part(mesh=TETRAHEDRON)], photo)[:, :384]
    assert reddish(tile).all()


def test_the_card_is_opaque_but_for_its_round_corners() -> None:
    alpha = preview([Part(mesh=TETRAHEDRON)], None)[..., 3]
    assert alpha[0, 0] == alpha[-1, -1] == 0
    assert (alpha[30:-30] == 255).all()


def test_a_flat_mesh_seen_as_a_point_is_no_error() -> None:
    point = replace(TETRAHEDRON, positions=np.full((4, 3), 3, np.float32))
    assert preview([Part(mesh=point)], None).shape == (384, 384, 4)
