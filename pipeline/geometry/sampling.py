"""The hull's field at the points of a grid: the greatest of what views, volume and guessed depth say there.

Points are looked at in parts, each half as long as the one around it: first at its middle, from where the field can
only change as fast as a distance. What cannot be the greatest anywhere in a part is not asked again there, and where
the field cannot come near zero its sign is enough.
"""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pipeline.domain.views import ORTHOGRAPHIC_WIDTH
from pipeline.geometry.isosurface import BLOCK
from pipeline.geometry.volumes import volume_at

SLACK = 1.25
"""The field may change this much faster than a distance, because outlines are measured to a part of a pixel."""
SIGN, VALUE = 1, 2
"""What can be needed of the field in a block of points, beside nothing."""
_PART = BLOCK // 2
"""Points along the parts of a block."""


class Field(NamedTuple):
    """A hull as compiled kernels know it."""

    distances: NDArray[np.float32]
    """(N, S, S) as in ``Hull``."""
    matrices: NDArray[np.float64]
    """(N, 3, 4) as in ``Cameras``."""
    volume: NDArray[np.float32]
    lattice: NDArray[np.float64]
    """As in ``Volume``."""
    depth_squared: NDArray[np.float32]
    """(1, S, S) as in ``Inflation``; S is 0 where some view bounds the depth."""
    deepest: float
    steepness: float


@njit(cache=True, nogil=True, error_model="numpy")
def _between(planes: NDArray[np.float32], at: int, column: float, row: float) -> float:
    """Plane number ``at``, linear between the pixels' centres, constant beyond the outermost."""
    last = planes.shape[1] - 1
    x, y = min(max(column, 0.0), float(last)), min(max(row, 0.0), float(last))
    i, j = min(int(x), last - 1), min(int(y), last - 1)
    x, y = x - i, y - j
    # Without a sign: nobody has to look whether an index counts from the end.
    plane, left, top, right, bottom = np.uintp(at), np.uintp(i), np.uintp(j), np.uintp(i + 1), np.uintp(j + 1)
    above = planes[plane, top, left] * (1 - x) + planes[plane, top, right] * x
    below = planes[plane, bottom, left] * (1 - x) + planes[plane, bottom, right] * x
    return float(above * (1 - y) + below * y)


@njit(cache=True, nogil=True, error_model="numpy")
def seen_from(
    distances: NDArray[np.float32], matrices: NDArray[np.float64], view: int, x: float, y: float, z: float
) -> float:
    """One view's signed distance of a point from its silhouette, world units where the point is."""
    weight = matrices[view, 2, 0] * x + matrices[view, 2, 1] * y + matrices[view, 2, 2] * z + matrices[view, 2, 3]
    across = matrices[view, 0, 0] * x + matrices[view, 0, 1] * y + matrices[view, 0, 2] * z + matrices[view, 0, 3]
    down = matrices[view, 1, 0] * x + matrices[view, 1, 1] * y + matrices[view, 1, 2] * z + matrices[view, 1, 3]
    return float(weight * _between(distances, view, across / weight - 0.5, down / weight - 0.5))


@njit(cache=True, nogil=True, error_model="numpy")
def sampled(
    field: Field,
    lattice: NDArray[np.float64],
    layers: tuple[int, int],
    shape: tuple[int, int],
    care: NDArray[np.uint8],
    elsewhere: NDArray[np.float32],
    per_cell: float,
    enough: float,
) -> NDArray[np.float32]:
    """(stop - start, height, width) values at some layers of a grid (``lattice``: x, y, z of the first point, spacing).

    ``care``: what is needed of each block; ``elsewhere``: the blocks' values. Values further from zero than
    ``per_cell`` are right in their sign alone, those of more than ``enough`` in being more.
    """
    (start, stop), (height, width) = layers, shape
    values = np.empty((stop - start, height, width), np.float32)
    count = len(field.distances) + (1 if field.volume.size else 0)
    bounds, order = np.empty(count), np.arange(count)
    for block in range(care.size):
        top, left = block // care.shape[1] * BLOCK, block % care.shape[1] * BLOCK
        bottom, beyond = min(top + BLOCK, height), min(left + BLOCK, width)
        asked = care[block // care.shape[1], block % care.shape[1]]
        if asked == SIGN:
            values[:, top:bottom, left:beyond] = elsewhere[block // care.shape[1], block % care.shape[1]]
        if asked != VALUE:
            continue
        middle = _place(lattice, start + BLOCK / 2, top + BLOCK / 2, left + BLOCK / 2)
        reach = SLACK * lattice[3] * BLOCK / 2 * np.sqrt(3.0)
        largest = _rank(
            field.distances, field.matrices, field.volume, field.lattice, middle, reach, bounds, order, count
        )
        for k in range(start, stop, _PART):
            for j in range(top, bottom, _PART):
                for i in range(left, beyond, _PART):
                    part = k, j, i, min(k + _PART, stop), min(j + _PART, bottom), min(i + _PART, beyond)
                    _sample_part(field, lattice, part, (per_cell, enough), bounds, order, largest, values, start)
    return values


@njit(cache=True, nogil=True, error_model="numpy")
def _place(lattice: NDArray[np.float64], k: float, j: float, i: float) -> tuple[float, float, float]:
    return lattice[0] + i * lattice[3], lattice[1] + j * lattice[3], lattice[2] + k * lattice[3]


@njit(cache=True, nogil=True, error_model="numpy")
def _rank(
    distances: NDArray[np.float32],
    matrices: NDArray[np.float64],
    volume: NDArray[np.float32],
    volume_lattice: NDArray[np.float64],
    at: tuple[float, float, float],
    reach: float,
    bounds: NDArray[np.float64],
    order: NDArray[np.int64],
    count: int,
) -> int:
    """Sort the first ``count`` numbers in ``order`` (of the views, and behind them the volume) by the most that each
    can be within reach of a point, put that into ``bounds``; how many of them may be the greatest somewhere there.
    """
    x, y, z = at
    for rank in range(count):
        number, to = order[rank], rank
        if number < len(distances):
            bounds[number] = seen_from(distances, matrices, number, x, y, z) + reach
        else:
            bounds[number] = volume_at(volume, volume_lattice, x, y, z) + reach
        while to > 0 and bounds[order[to - 1]] < bounds[number]:
            order[to] = order[to - 1]
            to -= 1
        order[to] = number
    left = 1
    while left < count and bounds[order[left]] >= bounds[order[0]] - 2 * reach:
        left += 1
    return left


@njit(cache=True, nogil=True, error_model="numpy")
def _anyway(
    depth_squared: NDArray[np.float32], deepest: float, steepness: float, x: float, y: float, z: float
) -> float:
    """What the field is at least: that of the box which pictures show, and that of the guessed depth."""
    value = max(abs(x), abs(y), abs(z)) - ORTHOGRAPHIC_WIDTH / 2
    if depth_squared.size:
        size = depth_squared.shape[1]
        scale, middle = size / ORTHOGRAPHIC_WIDTH, size / 2 - 0.5  # of the shared frame
        depth = _between(depth_squared, 0, middle + scale * x, middle - scale * y)
        value = max(value, (z * z - depth) / ((abs(z) + deepest) * steepness))
    return value


@njit(cache=True, nogil=True, error_model="numpy")
def _sample_part(
    field: Field,
    lattice: NDArray[np.float64],
    part: tuple[int, int, int, int, int, int],
    needed: tuple[float, float],
    bounds: NDArray[np.float64],
    order: NDArray[np.int64],
    count: int,
    values: NDArray[np.float32],
    lowest: int,
) -> None:
    """The points from k, j, i to before k, j, i, two along each axis at a time; ``lowest`` is values' first layer."""
    # Taken out once: each time costs as much as what is done with them at a point.
    distances, matrices, volume, volume_lattice = field.distances, field.matrices, field.volume, field.lattice
    guessed, deepest, steepness = field.depth_squared, field.deepest, field.steepness
    (k0, j0, i0, k1, j1, i1), (per_cell, enough), half = part, needed, (_PART - 1) / 2
    x, y, z = _place(lattice, k0 + half, j0 + half, i0 + half)
    reach = SLACK * lattice[3] * half * np.sqrt(3.0)
    count = _rank(distances, matrices, volume, volume_lattice, (x, y, z), reach, bounds, order, count)
    value = max(_anyway(guessed, deepest, steepness, x, y, z), bounds[order[0]] - reach)
    if abs(value) > reach + per_cell or value > reach + enough:
        values[k0 - lowest : k1 - lowest, j0:j1, i0:i1] = value
        return
    near = SLACK * lattice[3] * np.sqrt(0.75) + per_cell
    for k in range(k0, k1, 2):
        for j in range(j0, j1, 2):
            for i in range(i0, i1, 2):
                for corner in range(-1 if near < np.inf else 0, 8):  # the middle first, where that may be enough
                    z0, y0, x0 = k + (corner >> 2), j + (corner >> 1 & 1), i + (corner & 1)
                    if corner < 0:
                        x, y, z = _place(lattice, k + 0.5, j + 0.5, i + 0.5)
                    elif z0 < k1 and y0 < j1 and x0 < i1:
                        x, y, z = _place(lattice, z0, y0, x0)
                    else:
                        continue
                    value = _anyway(guessed, deepest, steepness, x, y, z)
                    for rank in range(count):
                        number = order[rank]
                        if value > enough or value >= bounds[number]:
                            break
                        if number < len(distances):
                            value = max(value, seen_from(distances, matrices, number, x, y, z))
                        else:
                            value = max(value, volume_at(volume, volume_lattice, x, y, z))
                    if corner >= 0:
                        values[z0 - lowest, y0, x0] = value
                    elif abs(value) > near:
                        values[k - lowest : min(k + 2, k1) - lowest, j : min(j + 2, j1), i : min(i + 2, i1)] = value
                        break
