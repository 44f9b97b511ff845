import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline.geometry.mesh import Mesh
from pipeline.geometry.ordering import ordered


def sheet(side: int, *, seed: int | None) -> Mesh:
    """A grid of ``side`` x ``side`` squares, two faces each, in rows or in any order."""
    at = np.arange(side * side).reshape(side, side) + np.arange(side)[:, None]  # rows of side + 1 vertices
    corners = np.stack([at, at + 1, at + side + 1, at + side + 2], axis=-1).reshape(-1, 4)
    faces = corners[:, [[0, 1, 2], [1, 3, 2]]].reshape(-1, 3)
    if seed is not None:
        faces = np.random.default_rng(seed).permutation(faces)
    return mesh_of(faces.astype(np.uint32))


def mesh_of(faces: NDArray[np.uint32]) -> Mesh:
    values = np.random.default_rng(1).random((int(faces.max()) + 3, 8)).astype(np.float32)
    return Mesh(positions=values[:, :3], faces=faces, normals=values[:, 3:6], uvs=values[:, 6:])


def corners(mesh: Mesh) -> NDArray[np.float32]:
    """(F, 3, 8) all that each corner has, the faces in an order that depends on nothing else."""
    assert mesh.normals is not None
    assert mesh.uvs is not None
    whole = np.concatenate([mesh.positions, mesh.normals, mesh.uvs], axis=1)[mesh.faces]
    return whole[np.lexsort(whole.reshape(len(whole), -1).T)]


def transforms(mesh: Mesh, cache: int = 16) -> float:
    """Vertices that a processor with a first-in-first-out cache transforms, for each face."""
    kept: list[int] = []
    count = 0
    for vertex in mesh.faces.ravel().tolist():
        if vertex not in kept:
            count += 1
            kept = [*kept, vertex][-cache:]
    return count / len(mesh.faces)


def test_few_vertices_are_transformed_twice() -> None:
    rows, any_order = sheet(40, seed=None), sheet(40, seed=0)
    assert transforms(rows) > 1
    assert transforms(any_order) > 2.5
    assert transforms(ordered(rows)) < 0.75
    assert transforms(ordered(any_order)) < 0.75


@given(
    st.lists(
        st.lists(st.integers(0, 11), min_size=3, max_size=3, unique=True),
        min_size=1,
        max_size=30,
    )
)
def test_the_triangles_are_the_same_whatever_hangs_together(faces: list[list[int]]) -> None:
    mesh = mesh_of(np.array(faces, np.uint32))
    found = ordered(mesh)
    assert np.array_equal(corners(found), corners(mesh))
    assert np.array_equal(np.unique(found.faces), np.arange(len(found.positions)))  # none is unused


def test_vertices_come_in_the_order_of_their_use() -> None:
    faces = ordered(sheet(9, seed=3)).faces.ravel()
    newest = np.maximum.accumulate(np.concatenate([[0], faces]))
    assert (faces <= newest[:-1] + 1).all()
