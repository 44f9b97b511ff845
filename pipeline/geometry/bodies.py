"""The separate bodies of a surface, and which of them are phantoms.

Where silhouettes of thin or pierced parts cross, a hull holds small bodies that no picture asks for.
"""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pipeline.geometry.cameras import Projections
from pipeline.geometry.threads import shared_out

_REAL = 0.05
"""A body of this part of the largest one's volume is never a phantom."""
_LEAST_FACES = 24
"""Bodies of fewer faces are crumbs of the grid."""
_SIZE = 320
"""Pixels along the pictures on which bodies are compared."""
_LARGE, _IGNORED = -1, -2
"""Instead of a rank: bodies that stay in any case, and that go in any case."""
_EXPOSED_PX = 3
"""A body that alone covers so many pixels of a silhouette is needed."""


def without_phantoms(
    vertices: NDArray[np.floating[Any]], faces: NDArray[np.int32], projections: Projections
) -> NDArray[np.int32]:
    """The faces of the bodies without which a silhouette would not stay covered, and of all large ones.

    (V, 3) world positions, (F, 3) faces of a closed surface. Bodies are judged from the largest down.
    """
    labels, count = _bodies(faces, len(vertices))
    if count <= 1:
        return faces
    volumes = np.abs(_volumes(vertices, faces, labels, count))
    large = volumes >= _REAL * volumes.max()
    order = np.argsort(-volumes, kind="stable")
    doubtful = order[(~large & (np.bincount(labels, minlength=count) >= _LEAST_FACES))[order]]
    kept = large.copy()
    if len(doubtful):
        ranks = np.full(count, _IGNORED, np.int32)
        ranks[large], ranks[doubtful] = _LARGE, np.arange(len(doubtful))
        matrices = projections.resized(_SIZE).cameras.matrices
        shadows = shared_out(lambda matrix: _shadows(vertices, faces, labels, ranks, matrix), list(matrices))
        kept[doubtful] = _needed(shadows, len(doubtful))
    needed: NDArray[np.int32] = faces[kept[labels]]
    return needed


def _needed(shadows: list[tuple[NDArray[np.bool_], NDArray[np.int64]]], count: int) -> NDArray[np.bool_]:
    """(count,) which bodies, taken in their order, reach beyond what is covered by more than the width of an edge."""
    covered = [_grown(by_large) for by_large, _ in shadows]
    pixels = [np.unique(pairs) for _, pairs in shadows]
    starts = [np.searchsorted(pairs, np.arange(count + 1) * _SIZE**2) for pairs in pixels]
    needed = np.zeros(count, bool)
    for body in range(count):
        own = [pairs[start[body] : start[body + 1]] % _SIZE**2 for pairs, start in zip(pixels, starts, strict=True)]
        exposed = max(int((~all_[at]).sum()) for all_, at in zip(covered, own, strict=True))
        if exposed >= _EXPOSED_PX:
            needed[body] = True
            for all_, at in zip(covered, own, strict=True):
                for step in (0, -1, 1, -_SIZE, _SIZE):
                    all_[np.clip(at + step, 0, _SIZE**2 - 1)] = True
    return needed


def _grown(covered: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(S * S,) the pixels of a picture and all beside them."""
    grown = covered.copy()
    grown[1:] |= covered[:-1]
    grown[:-1] |= covered[1:]
    grown[:, 1:] |= covered[:, :-1]
    grown[:, :-1] |= covered[:, 1:]
    return grown.ravel()


@njit(cache=True, nogil=True, error_model="numpy")
def _shadows(
    vertices: NDArray[np.floating[Any]],
    faces: NDArray[np.int32],
    labels: NDArray[np.int32],
    ranks: NDArray[np.int32],
    matrix: NDArray[np.float64],
) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """What a view shows of the large bodies, and of each doubtful one: rank * S * S + pixel, some repeatedly."""
    at = np.empty((len(vertices), 2), np.float32)
    for v in range(len(vertices)):
        x, y, z = vertices[v, 0], vertices[v, 1], vertices[v, 2]
        weight = matrix[2, 0] * x + matrix[2, 1] * y + matrix[2, 2] * z + matrix[2, 3]
        at[v, 0] = (matrix[0, 0] * x + matrix[0, 1] * y + matrix[0, 2] * z + matrix[0, 3]) / weight - 0.5
        at[v, 1] = (matrix[1, 0] * x + matrix[1, 1] * y + matrix[1, 2] * z + matrix[1, 3]) / weight - 0.5
    covered = np.zeros((_SIZE, _SIZE), np.bool_)
    found, count = np.empty(1024, np.int64), 0
    for f in range(len(faces)):
        rank = ranks[labels[f]]
        if rank == _IGNORED:
            continue
        ax, ay, bx, by = at[faces[f, 0], 0], at[faces[f, 0], 1], at[faces[f, 1], 0], at[faces[f, 1], 1]
        cx, cy = at[faces[f, 2], 0], at[faces[f, 2], 1]
        left, right = int(np.ceil(max(min(ax, bx, cx), 0))), int(np.floor(min(max(ax, bx, cx), _SIZE - 1)))
        top, bottom = int(np.ceil(max(min(ay, by, cy), 0))), int(np.floor(min(max(ay, by, cy), _SIZE - 1)))
        for row in range(top, bottom + 1):
            for column in range(left, right + 1):
                of_a = (cx - bx) * (row - by) - (cy - by) * (column - bx)
                of_b = (ax - cx) * (row - cy) - (ay - cy) * (column - cx)
                of_c = (bx - ax) * (row - ay) - (by - ay) * (column - ax)
                if min(of_a, of_b, of_c) < 0 < max(of_a, of_b, of_c):
                    continue
                if rank == _LARGE:
                    covered[row, column] = True
                    continue
                if count == len(found):
                    found = np.concatenate((found, np.empty_like(found)))
                found[count] = (np.int64(rank) * _SIZE + row) * _SIZE + column
                count += 1
    return covered, found[:count]


@njit(cache=True, nogil=True, error_model="numpy")
def _volumes(
    vertices: NDArray[np.floating[Any]], faces: NDArray[np.int32], labels: NDArray[np.int32], count: int
) -> NDArray[np.float64]:
    volumes = np.zeros(count)
    for f in range(len(faces)):
        a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
        x, y, z = vertices[a, 0], vertices[a, 1], vertices[a, 2]
        volumes[labels[f]] += (
            x * (vertices[b, 1] * vertices[c, 2] - vertices[b, 2] * vertices[c, 1])
            + y * (vertices[b, 2] * vertices[c, 0] - vertices[b, 0] * vertices[c, 2])
            + z * (vertices[b, 0] * vertices[c, 1] - vertices[b, 1] * vertices[c, 0])
        ) / 6
    return volumes


@njit(cache=True, nogil=True, error_model="numpy")
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
