"""The separate bodies of a surface, and which of them are phantoms.

Where silhouettes of thin or pierced parts cross, a hull holds small bodies that no picture asks for.
"""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pipeline.geometry.cameras import Projections
from pipeline.geometry.rasterising import rasterise

_REAL = 0.05
"""A body of this part of the largest one's volume is never a phantom."""
_LEAST_FACES = 24
"""Bodies of fewer faces are crumbs of the grid."""
_SIZE = 320
"""Pixels along the pictures on which bodies are compared."""
_EXPOSED_PX = 3
"""A body that alone covers so many pixels of a silhouette is needed."""


def without_phantoms(
    vertices: NDArray[np.floating[Any]], faces: NDArray[np.int32], projections: Projections
) -> NDArray[np.int32]:
    """The faces of the bodies without which a silhouette would not stay covered, and of all large ones.

    (V, 3) world positions, (F, 3) faces of a closed surface. Bodies are judged from the largest down.
    """
    labels, count = _bodies(faces, len(vertices))
    if count == 1:
        return faces
    volumes = np.abs(_volumes(vertices, faces, labels, count))
    sizes = np.bincount(labels, minlength=count)
    order = np.argsort(-volumes, kind="stable")
    real = volumes >= _REAL * volumes.max()
    shown = projections.resized(_SIZE)
    covered = _masks(vertices, faces[real[labels]], shown)
    kept = real.copy()
    for body in order[~real[order] & (sizes[order] >= _LEAST_FACES)]:
        masks = _masks(vertices, faces[labels == body], shown)
        if any(_exposed(mask, all_) for mask, all_ in zip(masks, covered, strict=True)):
            kept[body] = True
            covered = [mask | all_ for mask, all_ in zip(masks, covered, strict=True)]
    needed: NDArray[np.int32] = faces[kept[labels]]
    return needed


def _exposed(mask: NDArray[np.bool_], covered: NDArray[np.bool_]) -> bool:
    """Whether a mask reaches beyond what is covered by more than the width of an edge."""
    grown = covered.copy()
    grown[1:] |= covered[:-1]
    grown[:-1] |= covered[1:]
    grown[:, 1:] |= covered[:, :-1]
    grown[:, :-1] |= covered[:, 1:]
    return int((mask & ~grown).sum()) >= _EXPOSED_PX


def _masks(
    vertices: NDArray[np.floating[Any]], faces: NDArray[np.int32], projections: Projections
) -> list[NDArray[np.bool_]]:
    """Where each view shows these faces."""
    if faces.size < len(vertices):
        used, corners = np.unique(faces, return_inverse=True)
        vertices, faces = vertices[used], corners.reshape(-1, 3).astype(np.int32)
    size = projections.size
    points = [projections.points(at, vertices) for at in range(len(projections.views))]
    return [rasterise(shown, faces, size, size).face >= 0 for shown in points]


def _volumes(
    vertices: NDArray[np.floating[Any]], faces: NDArray[np.int32], labels: NDArray[np.int32], count: int
) -> NDArray[np.float64]:
    a, b, c = (vertices[faces[:, corner]].astype(np.float64) for corner in range(3))
    return np.bincount(labels, np.einsum("ij,ij->i", a, np.cross(b, c)) / 6, count).astype(np.float64)


@njit(cache=True, nogil=True)
def _bodies(faces: NDArray[np.int32], vertex_count: int) -> tuple[NDArray[np.int32], int]:
    """(F,) the number of each face's body, counted from 0 in the order of their first faces; union-find."""
    parent = np.arange(vertex_count)
    for f in range(len(faces)):
        for corner in range(1, 3):
            a, b = faces[f, 0], faces[f, corner]
            while parent[a] != a:
                parent[a] = parent[parent[a]]
                a = parent[a]
            while parent[b] != b:
                parent[b] = parent[parent[b]]
                b = parent[b]
            parent[max(a, b)] = min(a, b)
    number = np.full(vertex_count, -1, np.int32)
    labels, count = np.empty(len(faces), np.int32), 0
    for f in range(len(faces)):
        root = faces[f, 0]
        while parent[root] != root:
            root = parent[root]
        if number[root] < 0:
            number[root] = count
            count += 1
        labels[f] = number[root]
    return labels, count
