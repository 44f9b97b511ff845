"""A field sampled on a grid becomes a closed surface: marching cubes (Lorensen and Cline, 1987), slice by slice.

The table of cases is derived, not copied: on each side of a cube the corners inside are cut off one run at a time, so
that two cubes always agree about the side they share (also an ambiguous one), and the closed loops that arise are cut
into triangles whose diagonals never lie in a side. The surface is therefore closed and manifold for any field.
"""

from collections.abc import Callable, Iterator
from functools import cache
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pipeline.geometry.threads import shared_out

BLOCK = 8
"""Cells along one side of the blocks that are skipped where the field says that no surface is near."""

Edge = tuple[int, int]
"""A cube's edge by its two corners. Corner c lies at x = c & 1, y = c >> 1 & 1, z = c >> 2."""

_EDGES: tuple[Edge, ...] = tuple((c, c | 1 << axis) for axis in range(3) for c in range(8) if not c >> axis & 1)
"""The twelve edges: four along x, four along y, four along z."""
_SIDES: tuple[tuple[int, ...], ...] = (
    (0, 4, 6, 2),
    (1, 3, 7, 5),
    (0, 1, 5, 4),
    (2, 6, 7, 3),
    (0, 2, 3, 1),
    (4, 5, 7, 6),
)
"""The corners of each side, counter-clockwise seen from outside the cube."""
_BASES = tuple(edge[0] for edge in _EDGES)
_LEAST_STEP = 0.02
"""Vertices keep this part of an edge away from its ends, so that no triangle collapses to a point."""


def _crossings(inside: int) -> dict[Edge, Edge]:
    """For a case (bit c set: corner c is inside), the crossed edge that follows each crossed edge on its loop."""
    following: dict[Edge, Edge] = {}
    for side in _SIDES:
        flags = [bool(inside >> c & 1) for c in side]
        for at in range(4):
            if flags[at] and not flags[at - 1]:
                leave = at
                while flags[leave % 4]:
                    leave += 1
                entry, exit_ = (side[at - 1], side[at]), (side[(leave - 1) % 4], side[leave % 4])
                following[_edge(entry)] = _edge(exit_)
    return following


def _edge(corners: Edge) -> Edge:
    return min(corners), max(corners)


def _loops(following: dict[Edge, Edge]) -> Iterator[list[Edge]]:
    left = dict(following)
    while left:
        loop = [next(iter(left))]
        while (after := left.pop(loop[-1])) != loop[0]:
            loop.append(after)
        yield loop


def _share_side(a: Edge, b: Edge) -> bool:
    return any({*a, *b} <= set(side) for side in _SIDES)


def _cut(loop: list[Edge]) -> list[tuple[Edge, Edge, Edge]] | None:
    """The loop as triangles without a diagonal in a side of the cube; None where there is no such cut."""
    if len(loop) < 3:
        return []
    for apex in range(1, len(loop) - 1):
        base = (loop[0], loop[apex], loop[-1])
        inner = [(loop[0], loop[apex])] * (apex > 1) + [(loop[apex], loop[-1])] * (apex < len(loop) - 2)
        if any(_share_side(*diagonal) for diagonal in inner):
            continue
        before, after = _cut(loop[: apex + 1]), _cut(loop[apex:])
        if before is not None and after is not None:
            return [base, *before, *after]
    return None


@cache
def cases() -> NDArray[np.int8]:
    """(256, 3 T) numbers of edges, three a triangle, -1 after the last: the triangles of every case."""
    rows: list[list[int]] = []
    for inside in range(256):
        triangles = [cut for loop in _loops(_crossings(inside)) for cut in _cut(loop) or ()]
        rows.append([_EDGES.index(edge) for triangle in triangles for edge in triangle])
    table = np.full((256, max(map(len, rows)) + 1), -1, np.int8)
    for row, edges in zip(table, rows, strict=True):
        row[: len(edges)] = edges
    return table


def isosurface(
    slices: Callable[[int, int], NDArray[np.float32]], active: NDArray[np.bool_], shape: tuple[int, int, int]
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """The zero level of a field that is negative inside.

    ``shape`` is the number of grid points (nz, ny, nx); ``slices(k, l)`` gives the (l - k, ny, nx) values from z = k
    to before z = l, and may be called from several threads; ``active`` (z, y, x) says in which blocks of ``BLOCK``
    cells a side the surface can be: others are not looked at. The outermost values must be positive for the surface to
    be closed.
    Returns (V, 3) vertices x, y, z in grid units and (F, 3) faces, counter-clockwise seen from outside.
    """
    table = cases()

    def layer(at: int) -> _Layer:
        start = at * BLOCK
        return _Layer(*_march(slices(start, min(start + BLOCK + 1, shape[0])), active[at], start, table))

    numbers = [int(at) for at in np.flatnonzero(active.any(axis=(1, 2)))]
    return _joined(numbers, shared_out(layer, numbers))


class _Layer(NamedTuple):
    """The surface in one layer of blocks."""

    vertices: NDArray[np.float32]
    faces: NDArray[np.int32]


def _joined(numbers: list[int], layers: list[_Layer]) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """One surface of all layers by their numbers: what two of them have in common becomes one vertex."""
    vertices: list[NDArray[np.float32]] = [np.empty((0, 3), np.float32)]
    faces: list[NDArray[np.int32]] = [np.empty((0, 3), np.int32)]
    count = 0
    edges, known = _on_slice(vertices[0], 0)
    for at, layer in zip(numbers, layers, strict=True):
        floor, again = _on_slice(layer.vertices, at * BLOCK)
        _, theirs, ours = np.intersect1d(edges, floor, assume_unique=True, return_indices=True)
        new = np.ones(len(layer.vertices), bool)
        new[again[ours]] = False
        names = np.cumsum(new, dtype=np.int32) + np.int32(count - 1)
        names[again[ours]] = known[theirs]
        vertices.append(layer.vertices[new])
        faces.append(names[layer.faces])
        count += len(vertices[-1])
        edges, top = _on_slice(layer.vertices, (at + 1) * BLOCK)
        edges, known = edges if at + 1 in numbers else edges[:0], names[top]
    return np.concatenate(vertices), np.concatenate(faces)


def _on_slice(vertices: NDArray[np.float32], z: int) -> tuple[NDArray[np.int64], NDArray[np.intp]]:
    """The vertices within the slice at z: a number for the edge of the grid that each lies on, and which they are."""
    which = np.flatnonzero(vertices[:, 2] == z)
    x, y = vertices[which, 0].astype(np.int64), vertices[which, 1].astype(np.int64)
    return (y << 32 | x << 1) + (vertices[which, 1] > y), which


@njit(cache=True, nogil=True, error_model="numpy")
def _march(
    values: NDArray[np.float32], active: NDArray[np.bool_], lowest: int, table: NDArray[np.int8]
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """The surface from the (up to BLOCK + 1, ny, nx) values at z = ``lowest`` and above."""
    depth, height, width = values.shape
    room = active.sum() * BLOCK * BLOCK * BLOCK
    vertices, faces = np.empty((3 * room + 1, 3), np.float32), np.empty((5 * room + 1, 3), np.int32)
    within = np.empty((2, 2, height, width), np.int32)  # vertices in the slices of even and odd k, along x and along y
    upright = np.empty((height, width), np.int32)
    made, cut = 0, 0
    _forget(within[0], active)
    for k in range(depth - 1):
        _forget(within[k + 1 & 1], active)
        _forget(upright.reshape(1, height, width), active)
        below, above = values[k], values[k + 1]
        for row in range(height - 1):
            for block in range(active.shape[1]):
                if not active[row // BLOCK, block]:
                    continue
                first, case = block * BLOCK, 0
                for corner in range(0, 8, 2):
                    case |= ((above if corner >> 2 else below)[row + (corner >> 1 & 1), first] < 0) << corner + 1
                for column in range(first, min(first + BLOCK, width - 1)):
                    case = case >> 1 & 0x55
                    case |= (below[row, column + 1] < 0) << 1 | (below[row + 1, column + 1] < 0) << 3
                    case |= (above[row, column + 1] < 0) << 5 | (above[row + 1, column + 1] < 0) << 7
                    at = 0
                    while table[case, at] >= 0:
                        edge = table[case, at]
                        axis, corner = edge // 4, _BASES[edge]
                        x, y, z = corner & 1, corner >> 1 & 1, corner >> 2
                        i, j = column + x, row + y
                        vertex = upright[j, i] if axis == 2 else within[k + z & 1, axis, j, i]
                        if vertex < 0:
                            vertex = made
                            here = above[j, i] if z else below[j, i]
                            if axis == 2:
                                upright[j, i], there = vertex, above[j, i]
                            else:
                                within[k + z & 1, axis, j, i] = vertex
                                there = (above if z else below)[j + (axis == 1), i + (axis == 0)]
                            step = min(max(here / (here - there), _LEAST_STEP), 1 - _LEAST_STEP)
                            vertices[made, 0], vertices[made, 1], vertices[made, 2] = i, j, lowest + k + z
                            vertices[made, axis] += step
                            made += 1
                        faces[cut + at // 3, at % 3] = vertex
                        at += 1
                    cut += at // 3
    return vertices[:made].copy(), faces[:cut].copy()


@njit(cache=True, nogil=True, error_model="numpy")
def _forget(numbers: NDArray[np.int32], active: NDArray[np.bool_]) -> None:
    """Set the (planes, ny, nx) numbers to -1 at the corners of all cells in active blocks."""
    for row in range(active.shape[0]):
        for column in range(active.shape[1]):
            if active[row, column]:
                top, left = row * BLOCK, column * BLOCK
                numbers[:, top : top + BLOCK + 1, left : left + BLOCK + 1] = -1
