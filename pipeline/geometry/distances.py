"""Distances within a picture: which marked pixel is nearest, and how far an outline is, finer than a pixel."""

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(cache=True, nogil=True)
def nearest_marked(marked: NDArray[np.bool_]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """(H, W) row and column of the marked pixel nearest to each pixel, exactly; at least one must be marked.

    Lower envelopes of parabolas after Felzenszwalb and Huttenlocher, "Distance Transforms of Sampled Functions" (2012).
    """
    height, width = marked.shape
    far = 4 * (height + width)
    rows = np.empty((height, width), np.int32)
    for y in range(height):
        for x in range(width):
            rows[y, x] = y if marked[y, x] else (rows[y - 1, x] if y else -far)
    for y in range(height - 2, -1, -1):
        for x in range(width):
            below = rows[y + 1, x]
            if abs(below - y) < abs(y - rows[y, x]):
                rows[y, x] = below
    columns = np.empty((height, width), np.int32)
    heights, lowest, starts = np.empty(width), np.empty(width, np.int32), np.empty(width)
    for y in range(height):
        for x in range(width):
            heights[x] = (rows[y, x] - y) ** 2 + x * x
        last = 0
        lowest[0], starts[0] = 0, -np.inf
        for x in range(1, width):
            start = (heights[x] - heights[lowest[last]]) / (2 * (x - lowest[last]))
            while start <= starts[last]:
                last -= 1
                start = (heights[x] - heights[lowest[last]]) / (2 * (x - lowest[last]))
            last += 1
            lowest[last], starts[last] = x, start
        at = 0
        for x in range(width):
            while at < last and starts[at + 1] < x:
                at += 1
            columns[y, x] = lowest[at]
        found = rows[y].copy()
        for x in range(width):
            rows[y, x] = found[columns[y, x]]
    return rows, columns


def distance_from(marked: NDArray[np.bool_]) -> NDArray[np.float32]:
    """(H, W) distance in pixels from the nearest marked pixel; at least one must be marked."""
    rows, columns = nearest_marked(marked)
    y, x = np.ogrid[: marked.shape[0], : marked.shape[1]]
    return np.hypot(rows - y, columns - x).astype(np.float32)


def signed_distance(coverage: NDArray[np.float32]) -> NDArray[np.float32]:
    """(H, W) distance in pixels of each pixel's centre from the outline, negative inside.

    ``coverage`` (H, W) in 0..1 is how much of each pixel the object covers; the outline runs where it passes one half,
    once softened. Both sides of the outline must occur.
    """
    soft = softened(coverage)
    slope_y, slope_x = (np.gradient(soft, axis=axis).astype(np.float32) for axis in (0, 1))
    rows, columns = nearest_marked(_beside(soft >= 0.5))
    return _from_outline(soft, slope_y, slope_x, rows, columns)


def softened(coverage: NDArray[np.float32]) -> NDArray[np.float32]:
    """A 3 x 3 binomial mean: gives also a mask without grey edges a slope to find its outline by."""
    padded: NDArray[np.float32] = np.pad(coverage, 1, mode="edge")
    across = padded[:, :-2] + 2 * padded[:, 1:-1] + padded[:, 2:]
    mean: NDArray[np.float32] = (across[:-2] + 2 * across[1:-1] + across[2:]) / 16
    return mean


def _beside(inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The pixels that have a neighbour on the other side of the outline."""
    beside = np.zeros_like(inside)
    across, down = inside[:, 1:] != inside[:, :-1], inside[1:] != inside[:-1]
    beside[:, 1:] |= across
    beside[:, :-1] |= across
    beside[1:] |= down
    beside[:-1] |= down
    return beside


@njit(cache=True, nogil=True)
def _from_outline(
    soft: NDArray[np.float32],
    slope_y: NDArray[np.float32],
    slope_x: NDArray[np.float32],
    rows: NDArray[np.int32],
    columns: NDArray[np.int32],
) -> NDArray[np.float32]:
    """Each pixel's distance from the piece of outline that passes by the pixel (row, column) nearest to it."""
    height, width = soft.shape
    distance = np.empty((height, width), np.float32)
    for y in range(height):
        for x in range(width):
            row, column = rows[y, x], columns[y, x]
            normal_y, normal_x = slope_y[row, column], slope_x[row, column]
            steepness = np.hypot(normal_y, normal_x)
            if steepness == 0:
                normal_y, steepness = np.float32(1), np.float32(1)
            normal_y, normal_x = normal_y / steepness, normal_x / steepness
            # How deep inside the outline that pixel lies: the crossing towards its neighbour along the main axis.
            here, downhill = soft[row, column], -1 if soft[row, column] >= 0.5 else 1
            if abs(normal_y) > abs(normal_x):
                step_y, step_x, slant = (downhill if normal_y > 0 else -downhill), 0, abs(normal_y)
            else:
                step_y, step_x, slant = 0, (downhill if normal_x > 0 else -downhill), abs(normal_x)
            beyond = soft[min(max(row + step_y, 0), height - 1), min(max(column + step_x, 0), width - 1)]
            depth = np.float32(0)
            if (beyond >= 0.5) != (here >= 0.5):
                depth = -downhill * (here - 0.5) / (here - beyond) * slant
            off_y, off_x = y - row, x - column
            across = off_y * normal_y + off_x * normal_x + depth
            # Sideways the outline goes on for half a pixel's diagonal before it may turn a corner.
            along = max(abs(off_x * normal_y - off_y * normal_x) - 0.75, 0)
            length = np.hypot(across, along)
            distance[y, x] = -length if soft[y, x] >= 0.5 else length
    return distance
