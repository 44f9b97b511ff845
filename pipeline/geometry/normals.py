"""Unit normals at the vertices of a surface."""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray


def vertex_normals(vertices: NDArray[np.floating[Any]], faces: NDArray[np.integer[Any]]) -> NDArray[np.float32]:
    """(V, 3) unit normals: the mean of the faces' normals weighted by area, so that large flat faces look flat.

    A vertex whose faces have no area or cancel out gets +Y: it is still a unit vector.
    """
    sums = _sums(vertices.astype(np.float64), faces.astype(np.int32))
    lengths = np.linalg.norm(sums, axis=1, keepdims=True)
    units = np.where(lengths > 0, sums / np.where(lengths > 0, lengths, 1), np.array([0.0, 1.0, 0.0]))
    return units.astype(np.float32)


@njit(cache=True, nogil=True, error_model="numpy")
def _sums(vertices: NDArray[np.float64], faces: NDArray[np.int32]) -> NDArray[np.float64]:
    sums = np.zeros_like(vertices)
    for f in range(len(faces)):
        a, b, c = vertices[faces[f, 0]], vertices[faces[f, 1]], vertices[faces[f, 2]]
        ux, uy, uz, vx, vy, vz = b[0] - a[0], b[1] - a[1], b[2] - a[2], c[0] - a[0], c[1] - a[1], c[2] - a[2]
        for corner in range(3):
            sums[faces[f, corner], 0] += uy * vz - uz * vy
            sums[faces[f, corner], 1] += uz * vx - ux * vz
            sums[faces[f, corner], 2] += ux * vy - uy * vx
    return sums
