"""Patches of a surface, about as large as a detail: what is settled by patch costs no more on more faces."""

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

PATCH = 0.012
"""World units across a patch: the number of patches doesn't depend on that of the faces."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patches:
    """P patches of a surface of V vertices; each pair of patches that touch comes once."""

    of: NDArray[np.int32]
    """(V,) the patch of each vertex."""
    count: int
    first: NDArray[np.int64]
    """(pairs,) one of two patches that touch."""
    second: NDArray[np.int64]
    """(pairs,) the other one."""
    ends: NDArray[np.int32]
    """(E, 2) the vertices of each edge between two patches."""
    pair: NDArray[np.int64]
    """(E,) the pair that each edge is between."""


def patched(vertices: NDArray[np.float32], faces: NDArray[np.int32], normals: NDArray[np.float32]) -> Patches:
    """The vertices (V, 3) of a closed surface in patches: those in one small cube that face one way."""
    x, y, z = ((vertices - vertices.min(axis=0)) / PATCH).astype(np.int64).T
    axis = np.abs(normals).argmax(axis=1)
    way = 2 * axis + (np.take_along_axis(normals, axis[:, None], axis=1)[:, 0] < 0)
    keys, patch = np.unique(((x << 40) | (y << 22) | (z << 3)) + way, return_inverse=True)
    of: NDArray[np.int32] = patch.ravel().astype(np.int32)
    ends = _between(faces, of)
    one, other = of[ends[:, 0]].astype(np.int64), of[ends[:, 1]]
    pairs, pair = np.unique(np.minimum(one, other) * len(keys) + np.maximum(one, other), return_inverse=True)
    first, second = np.divmod(pairs, len(keys))
    return Patches(of=of, count=len(keys), first=first, second=second, ends=ends, pair=pair.ravel())


@njit(cache=True, nogil=True)
def _between(faces: NDArray[np.int32], of: NDArray[np.int32]) -> NDArray[np.int32]:
    """(E, 2) the edges whose ends lie in two patches; on a closed surface each comes once in each direction."""
    ends, count = np.empty((3 * len(faces), 2), np.int32), 0
    for f in range(len(faces)):
        for corner in range(3):
            i, j = faces[f, corner], faces[f, (corner + 1) % 3]
            if i < j and of[i] != of[j]:
                ends[count, 0], ends[count, 1] = i, j
                count += 1
    return ends[:count].copy()
