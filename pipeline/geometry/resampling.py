"""Planes of pixels in another number of pixels, over the same frame."""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray


def resampled(plane: NDArray[Any], height: int, width: int) -> NDArray[np.float32]:
    """(H, W, ...) to (height, width, ...): means of what each pixel covers when shrinking, linear when growing."""
    rows = _along(np.asarray(plane, np.float32), height)
    return np.ascontiguousarray(_along(rows.swapaxes(0, 1), width).swapaxes(0, 1))


def _along(plane: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """The same along the first axis only."""
    if size == len(plane):
        return plane
    lines = np.ascontiguousarray(plane).reshape(len(plane), -1)
    resized: NDArray[np.float32] = _shrunk(lines, size) if size < len(plane) else _grown(lines, size)
    return resized.reshape(size, *plane.shape[1:])


def _grown(lines: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    at = np.clip((np.arange(size) + 0.5) * len(lines) / size - 0.5, 0, len(lines) - 1)
    below = at.astype(np.intp)
    part = (at - below).astype(np.float32)[:, None]
    grown: NDArray[np.float32] = lines[below] * (1 - part) + lines[np.minimum(below + 1, len(lines) - 1)] * part
    return grown


@njit(cache=True, nogil=True)
def _shrunk(lines: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    length, width = lines.shape
    shrunk = np.zeros((size, width), np.float32)
    for row in range(size):
        start, end = row * length / size, (row + 1) * length / size
        for source in range(int(start), min(int(np.ceil(end)), length)):
            weight = np.float32((min(source + 1, end) - max(source, start)) * size / length)
            for column in range(width):
                shrunk[row, column] += weight * lines[source, column]
    return shrunk
