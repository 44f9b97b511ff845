"""The engine's benchmark measures what it says, on shapes whose answers are known."""

import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parent / "bench"))
import engine_modes
from engine_solids import closed, f_score, iou, plain_hull, truth
from engine_subjects import Shot, Source, Subject, coverage, photograph
from engine_validity import Verdict, judged

from pipeline.domain.views import CAMERAS, View
from pipeline.geometry.gltf import pack_glb
from pipeline.geometry.mesh import Mesh

GRID = 110
"""Voxels along the frame: a hundredth of a unit each."""
VOXEL = 1e-6
BOX = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], np.float64)
SIDES = np.array(
    [
        [int(corner) for corner in side]
        for side in ["013", "032", "467", "475", "045", "051", "237", "276", "026", "064", "157", "173"]
    ]
)
"""Counter-clockwise seen from outside."""


def box(half: tuple[float, float, float], at: tuple[float, float, float] = (0, 0, 0)) -> NDArray[np.float64]:
    return BOX * half + at


def joined(*boxes: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    return np.concatenate(boxes), np.concatenate([SIDES + 8 * k for k in range(len(boxes))])


def grey(faces: NDArray[np.int32], *_: object) -> NDArray[np.float64]:
    return np.full((len(faces), 3), 0.5)


def test_boxes_that_run_through_one_another_are_solid_once() -> None:
    positions, faces = joined(box((0.3, 0.1, 0.1)), box((0.1, 0.3, 0.1), (0.05, 0, 0)))
    found = truth(positions, faces, GRID)
    volume = 0.6 * 0.2 * 0.2 + 0.2 * 0.6 * 0.2 - 0.2 * 0.2 * 0.2
    assert found.solid.sum() * VOXEL == pytest.approx(volume, rel=0.01)
    assert found.unsure < 0.01
    assert not (np.abs(found.points) < 0.07).all(axis=1).any()  # what is hidden inside is not surface


def test_a_hole_in_a_box_hardly_matters_and_a_void_inside_is_filled() -> None:
    positions, faces = joined(box((0.3, 0.3, 0.3)))
    assert iou(truth(positions, faces[1:], GRID).solid, truth(positions, faces, GRID).solid) > 0.9
    hollow = np.concatenate([faces, faces[:, ::-1] + 8])
    both = np.concatenate([positions, box((0.2, 0.2, 0.2))])
    assert truth(both, hollow, GRID).solid.sum() * VOXEL == pytest.approx(0.6**3, rel=0.01)


def test_a_box_is_its_own_hull() -> None:
    positions, faces = joined(box((0.3, 0.2, 0.1)))
    shots = [Shot(camera=CAMERAS[view]) for view in View]
    seen = {shot: coverage(positions, faces, shot, 512, 3) for shot in shots}
    hull, real = plain_hull(seen, GRID), closed(positions, faces, GRID)
    assert iou(hull.solid, real.solid) > 0.97
    assert f_score(hull.points, real.points) > 0.99
    assert f_score(real.points, closed(positions + 0.02, faces, GRID).points) < 0.9


def test_a_pinholes_hull_holds_the_box_and_little_more() -> None:
    positions, faces = joined(box((0.3, 0.2, 0.1)))
    shots = [engine_modes.judged_from(view, "persp") for view in View]
    hull = plain_hull({shot: coverage(positions, faces, shot, 512, 3) for shot in shots}, GRID).solid
    real = closed(positions, faces, GRID).solid
    assert (real & ~hull).sum() < 0.02 * real.sum()
    assert iou(hull, real) > 0.75


def test_voxels_lie_in_the_frame_of_the_views() -> None:
    positions, faces = joined(box((0.05, 0.05, 0.05), (0.3, -0.2, 0.1)))
    at = np.argwhere(closed(positions, faces, GRID).solid).mean(axis=0)
    assert (at + 0.5) / GRID * 1.1 - 0.55 == pytest.approx([0.3, -0.2, 0.1], abs=0.005)


def test_a_pinhole_shows_near_things_larger() -> None:
    positions, faces = joined(box((0.1, 0.1, 0.01), (0, 0, 0.4)), box((0.1, 0.1, 0.01), (0, 0, -0.4)))
    one, other = (Subject(positions=positions, faces=faces[k : k + 12], look=grey) for k in (0, 12))
    shot = Shot(camera=CAMERAS[View.FRONT], perspective=1 / engine_modes.distance())
    near, far = (np.sqrt((photograph(subject, shot, 256)[..., 3] / 255).sum()) for subject in (one, other))
    assert near / far == pytest.approx((engine_modes.distance() + 0.39) / (engine_modes.distance() - 0.41), rel=0.02)


@pytest.mark.parametrize("mode", ["framed", "persp", "sizes+exposure+shadow+jpeg"])
def test_a_mode_makes_the_same_pictures_again(mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_modes, "ROOT", tmp_path)
    monkeypatch.setattr(engine_modes, "SIZE", 96)
    monkeypatch.setattr(engine_modes, "_edition", lambda: "now")
    views = [View.FRONT, View.LEFT]
    first, kept = (engine_modes.pictures(Source(name="mug"), mode, views) for _ in range(2))
    for view in views:
        assert np.array_equal(first[view], kept[view])
        inner = first[view][2:-2, 2:-2, 3]
        assert inner.any()
        assert mode.endswith("jpeg") or not first[view][[0, -1], :, 3].any()


def test_a_mesh_is_judged_by_what_is_wrong_with_it() -> None:
    positions, faces = joined(box((0.3, 0.2, 0.1)))
    whole = _judged(positions, faces)
    assert (whole.faces, whole.open_edges, whole.torn_vertices, whole.flat) == (12, 0, 0, 0)
    assert _judged(positions, faces[1:]).open_edges
    touching, both = joined(box((0.1, 0.1, 0.1)), box((0.1, 0.1, 0.1), (0.2, 0.2, 0.2)))
    assert _judged(touching, both).torn_vertices == 1  # two boxes share a corner
    flat = np.concatenate([faces, [[0, 1, 1]]])
    assert _judged(positions, flat).flat


def _judged(positions: NDArray[np.float64], faces: NDArray[np.int64]) -> Verdict:
    mesh = Mesh(positions=positions.astype(np.float32), faces=faces.astype(np.uint32))
    return judged(pack_glb(mesh, base_color=None, metallic_roughness=None, generator="test"))
