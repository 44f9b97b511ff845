"""Tangents: which way a normal map's red and green lie on the surface."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pipeline.geometry.mesh import Mesh


def vertex_tangents(mesh: Mesh) -> NDArray[np.float32]:
    """(V, 4) as glTF has them: a unit vector square to the normal along which u grows, and 1 or -1, by which the cross
    product of normal and tangent points to where v falls (up on the texture; -1 where the texture is mirrored).

    As MikkTSpace has it (Mikkelsen, 2008): the mean over the faces around a vertex, each flattened onto the vertex's
    tangent plane and weighted by its angle there. Faces without a place on the texture count for nothing; where no face
    counts, the tangent is any that is square to the normal. The mesh needs normals and uvs.
    """
    assert mesh.normals is not None
    assert mesh.uvs is not None
    normals = mesh.normals.astype(np.float64)
    sums, turns = _sums(mesh.positions.astype(np.float64), mesh.faces, normals, mesh.uvs.astype(np.float64))
    lengths = np.linalg.norm(sums, axis=1, keepdims=True)
    known = lengths[:, 0] > 1e-12
    units = np.where(known[:, None], sums / np.where(known[:, None], lengths, 1), _square_to(normals))
    return np.concatenate([units, np.where(turns < 0, -1.0, 1.0)[:, None]], axis=1).astype(np.float32)


def _square_to(normals: NDArray[np.float64]) -> NDArray[np.float64]:
    """(V, 3) some unit vector square to each normal: from the axis that it is least along."""
    axes = np.eye(3)[np.abs(normals).argmin(axis=1)]
    crossed = np.cross(axes, normals)
    square: NDArray[np.float64] = crossed / np.linalg.norm(crossed, axis=1, keepdims=True)
    return square


@njit(cache=True, nogil=True)
def _sums(
    positions: NDArray[np.float64], faces: NDArray[np.uint32], normals: NDArray[np.float64], uvs: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(V, 3) weighted sums of the faces' tangents, and (V,) of the signs of their places on the texture."""
    sums, turns = np.zeros_like(normals), np.zeros(len(normals))
    for f in range(len(faces)):
        for corner in range(3):
            i, j, k = faces[f, corner], faces[f, (corner + 1) % 3], faces[f, (corner + 2) % 3]
            n, one, two = normals[i], positions[j] - positions[i], positions[k] - positions[i]
            one -= n * (n[0] * one[0] + n[1] * one[1] + n[2] * one[2])
            two -= n * (n[0] * two[0] + n[1] * two[1] + n[2] * two[2])
            u1, v1, u2, v2 = uvs[j, 0] - uvs[i, 0], uvs[j, 1] - uvs[i, 1], uvs[k, 0] - uvs[i, 0], uvs[k, 1] - uvs[i, 1]
            turn = u2 * v1 - u1 * v2  # positive where the texture is not mirrored: v grows downwards
            along = (two * v1 - one * v2) * np.sign(turn)
            length = np.sqrt(along[0] ** 2 + along[1] ** 2 + along[2] ** 2)
            lengths = np.sqrt((one[0] ** 2 + one[1] ** 2 + one[2] ** 2) * (two[0] ** 2 + two[1] ** 2 + two[2] ** 2))
            if length <= 1e-30 or lengths <= 1e-30:
                continue
            cosine = (one[0] * two[0] + one[1] * two[1] + one[2] * two[2]) / lengths
            angle = np.arccos(min(max(cosine, -1.0), 1.0))
            turns[i] += angle * np.sign(turn)
            for axis in range(3):
                sums[i, axis] += angle * along[axis] / length
    return sums, turns
