"""A field on a coarse grid that takes part in the hull's finer one."""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray


class Volume(NamedTuple):
    """A smooth field, negative inside, that grows no faster than a distance."""

    values: NDArray[np.float32]
    """(nz, ny, nx) world units; at least two points along each axis, or none at all: then it bounds nothing."""
    lattice: NDArray[np.float64]
    """x, y, z of the first point, and the spacing."""


_BAND = 4
"""Points to either side of the zero level between which a jump becomes a slope."""
EVERYWHERE = Volume(values=np.zeros((0, 0, 0), np.float32), lattice=np.zeros(4))
"""Bounds nothing."""


@njit(cache=True, nogil=True)
def volume_at(values: NDArray[np.float32], lattice: NDArray[np.float64], x: float, y: float, z: float) -> float:
    """Linear between the points, constant beyond the outermost."""
    depth, height, width = values.shape
    x, y, z = (x - lattice[0]) / lattice[3], (y - lattice[1]) / lattice[3], (z - lattice[2]) / lattice[3]
    x, y, z = min(max(x, 0.0), width - 1.0), min(max(y, 0.0), height - 1.0), min(max(z, 0.0), depth - 1.0)
    i, j, k = min(int(x), width - 2), min(int(y), height - 2), min(int(z), depth - 2)
    x, y, z = x - i, y - j, z - k
    # Without a sign: nobody has to look whether an index counts from the end.
    left, top, front = np.uintp(i), np.uintp(j), np.uintp(k)
    right, bottom, back = np.uintp(i + 1), np.uintp(j + 1), np.uintp(k + 1)
    above = values[front, top, left] * (1 - x) + values[front, top, right] * x
    below = values[front, bottom, left] * (1 - x) + values[front, bottom, right] * x
    near = above * (1 - y) + below * y
    above = values[back, top, left] * (1 - x) + values[back, top, right] * x
    below = values[back, bottom, left] * (1 - x) + values[back, bottom, right] * x
    return float(near * (1 - z) + (above * (1 - y) + below * y) * z)


def levelled(values: NDArray[np.float32], spacing: float) -> NDArray[np.float32]:
    """A field with about the same zero level that grows no faster than a distance, nearly, and no slower deep inside.

    Where the field jumps the solid gets a slope, ``_BAND`` points wide at the most: it becomes larger, never smaller.
    """
    band = np.float32(_BAND * spacing)
    near = swept(np.maximum(values, -band), np.float32(spacing))
    # Seen from below: what is as deep as the band takes its depth from the nearest point that isn't.
    deep = swept(np.where(near > -band, -near, np.float32(np.inf)), np.float32(spacing))
    return np.where(np.isfinite(deep), -deep, -band)


@njit(cache=True, nogil=True)
def swept(values: NDArray[np.float32], step: np.float32) -> NDArray[np.float32]:
    """The largest field below this one that changes by no more than a step times the distance to each of 26 neighbours.

    A step is for one spacing. Over a spacing and more, linear between the points, the field then grows by no more than
    1.25 steps in any direction; over long distances by 1.13. Two sweeps of a chamfer distance (Borgefors, "On Digital
    Distance Transforms in Three Dimensions", 1996).
    """
    done = values.copy()
    _sweep(done, step)
    _sweep(done[::-1, ::-1, ::-1], step)
    return done


@njit(cache=True, nogil=True)
def _sweep(field: NDArray[np.float32], step: np.float32) -> None:
    """In the order of the points, each from those before it."""
    depth, height, width = field.shape
    slant, corner = step * np.float32(np.sqrt(2)), step * np.float32(np.sqrt(3))
    for k in range(depth):
        for j in range(height):
            row = field[k, j]
            if k:
                _lower(row, field[k - 1, j], step, slant)
                if j:
                    _lower(row, field[k - 1, j - 1], slant, corner)
                if j < height - 1:
                    _lower(row, field[k - 1, j + 1], slant, corner)
            if j:
                _lower(row, field[k, j - 1], step, slant)
            for i in range(1, width):
                row[i] = min(row[i], row[i - 1] + step)


@njit(cache=True, nogil=True)
def _lower(row: NDArray[np.float32], other: NDArray[np.float32], across: np.float32, aslant: np.float32) -> None:
    """By a row beside it."""
    last = len(row) - 1
    row[0] = min(row[0], other[0] + across, other[1] + aslant)
    for i in range(1, last):
        row[i] = min(row[i], other[i] + across, min(other[i - 1], other[i + 1]) + aslant)
    row[last] = min(row[last], other[last] + across, other[last - 1] + aslant)
