import numpy as np
import pytest
import trimesh

from pipeline.domain.views import View
from pipeline.geometry.bodies import without_phantoms
from pipeline.geometry.cameras import Framing, Projections, projections


def shown(*views: View) -> Projections:
    return projections({view: Framing() for view in views}, 64)


def bodies(*balls: tuple[float, tuple[float, float, float]]) -> trimesh.Trimesh:
    meshes = []
    for radius, centre in balls:
        mesh = trimesh.creation.icosphere(subdivisions=2, radius=radius)
        meshes.append(mesh.apply_translation(centre))
    return trimesh.util.concatenate(meshes)


@pytest.mark.parametrize(
    ("centre", "kept"),
    [
        pytest.param((0, 0, 0.4), True, id="seen beside the large body from the left"),
        pytest.param((0.4, 0, 0), True, id="seen beside it from the front"),
        pytest.param((0.24, 0, 0.24), False, id="hidden from both sides"),
    ],
)
def test_a_small_body_stays_only_if_a_silhouette_needs_it(*, centre: tuple[float, float, float], kept: bool) -> None:
    mesh = bodies((0.3, (0, 0, 0)), (0.03, centre))
    faces = without_phantoms(mesh.vertices, mesh.faces.astype(np.int32), shown(View.FRONT, View.LEFT))
    assert len(faces) == len(mesh.faces) // (1 if kept else 2)


def test_large_bodies_stay_and_crumbs_go() -> None:
    mesh = bodies((0.2, (-0.2, 0, 0)), (0.15, (0.2, 0, 0)))
    crumb = trimesh.creation.box((0.001, 0.001, 0.001)).apply_translation((0, 0.5, 0))
    whole = trimesh.util.concatenate([mesh, crumb])
    faces = without_phantoms(whole.vertices, whole.faces.astype(np.int32), shown(View.FRONT))
    assert len(faces) == len(mesh.faces)
