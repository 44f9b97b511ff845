import numpy as np
import pytest

from pipeline.geometry.mesh import Mesh
from pipeline.geometry.normals import vertex_normals
from pipeline.geometry.tangents import vertex_tangents

SIDE = 12


def hill(*, mirrored: bool = False, turned: bool = False) -> Mesh:
    """A height field over x and y, its texture laid on from +Z: u along x, v against y."""
    x, y = (one.ravel() for one in np.meshgrid(np.linspace(-1, 1, SIDE), np.linspace(-1, 1, SIDE)))
    positions = np.stack([x, y, 0.3 * np.sin(2 * x) * np.cos(3 * y)], axis=1).astype(np.float32)
    at = np.arange(SIDE * (SIDE - 1)).reshape(SIDE - 1, SIDE)[:, :-1].ravel()[:, None]
    faces = np.concatenate([at + np.array(corners) for corners in ((0, 1, SIDE), (1, SIDE + 1, SIDE))]).astype(
        np.uint32
    )
    u, v = (-x if mirrored else x), -y
    uvs = np.stack([v, u] if turned else [u, v], axis=1).astype(np.float32) / 2 + 0.5
    return Mesh(positions=positions, faces=faces, normals=vertex_normals(positions, faces), uvs=uvs)


@pytest.mark.parametrize(
    ("mesh", "tangent", "bitangent"),
    [
        (hill(), [1, 0, 0], [0, 1, 0]),
        (hill(mirrored=True), [-1, 0, 0], [0, 1, 0]),
        (hill(turned=True), [0, -1, 0], [-1, 0, 0]),
    ],
)
def test_red_goes_where_u_grows_and_green_where_v_falls(
    mesh: Mesh, tangent: list[float], bitangent: list[float]
) -> None:
    """Seen from +Z, as a texture laid on from there shows it."""
    assert mesh.normals is not None
    found = vertex_tangents(mesh)
    other = np.cross(mesh.normals, found[:, :3]) * found[:, 3:]
    flat = found[:, :2] / np.linalg.norm(found[:, :2], axis=1, keepdims=True)
    assert (flat @ tangent[:2] > 0.97).all()
    assert (other[:, :2] @ bitangent[:2] > 0.5).all()


def test_tangents_are_unit_vectors_square_to_the_normals_whatever_the_texture() -> None:
    smooth = hill()
    assert smooth.normals is not None
    nowhere = Mesh(
        positions=smooth.positions,
        faces=smooth.faces,
        normals=smooth.normals,
        uvs=np.zeros((len(smooth.positions), 2), np.float32),
    )
    noise = np.random.default_rng(0).random((len(smooth.positions), 2)).astype(np.float32)
    anyhow = Mesh(positions=smooth.positions, faces=smooth.faces, normals=smooth.normals, uvs=noise)
    for mesh in (smooth, nowhere, anyhow):
        found = vertex_tangents(mesh)
        assert np.abs(np.linalg.norm(found[:, :3], axis=1) - 1).max() < 1e-6
        assert np.abs((found[:, :3] * smooth.normals).sum(axis=1)).max() < 1e-5
        assert set(found[:, 3]) <= {-1.0, 1.0}
