"""Distances within a picture: which marked pixel is nearest, and how far an outline is, finer than a pixel."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

_GREY, _LEAST_GREY = 0.05, 0.05
"""Where less than that part of the pixels beside an outline is grey, the picture was cut out hard, in steps."""
_WIDTH_PX = 3.0
"""Over what width steps are evened out."""
_STEP_PX = 0.4
"""How far an outline may be moved by that: no part that has a pixel of its own vanishes, and corners stay."""
_NEAR_PX = 3
"""Distances beyond that have no steps to speak of."""


@njit(cache=True, nogil=True, error_model="numpy")
def nearest_marked(marked: NDArray[np.bool_]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """(H, W) row and column of the marked pixel nearest to each pixel, exactly; at least one must be marked.

    Lower envelopes of parabolas after Felzenszwalb and Huttenlocher, "Distance Transforms of Sampled Functions" (2012).
    """
    rows = _nearest_in_column(marked)
    height, width = marked.shape
    columns = np.empty((height, width), np.int32)
    found, heights = np.empty(width, np.int32), np.empty(width)
    lowest, starts = np.empty(width, np.int32), np.empty(width)
    halves = 0.5 / np.arange(width)  # a product takes a third of a division's time
    for y in range(height):
        found[:] = rows[y]
        last = -1
        for x in range(width):
            within = found[x] == y and 0 < x < width - 1 and found[x - 1] == y and found[x + 1] == y
            if found[x] < 0 or within:  # nothing in this column, or the ends of the run are nearer to all beside it
                continue
            heights[x] = (found[x] - y) ** 2 + x * x
            start = -np.inf
            while last >= 0:
                start = (heights[x] - heights[lowest[last]]) * halves[x - lowest[last]]
                if start > starts[last]:
                    break
                last -= 1
            last += 1
            lowest[last], starts[last] = x, start if last else -np.inf
        begin = 0
        for at in range(last + 1):
            end = width if at == last else min(int(np.floor(starts[at + 1])) + 1, width)
            nearest = lowest[at]
            for x in range(begin, end):
                rows[y, x], columns[y, x] = found[nearest], nearest
            begin = max(begin, end)
        for x in range(width):
            if found[x] == y:
                rows[y, x], columns[y, x] = y, x
    return rows, columns


@njit(cache=True, nogil=True, error_model="numpy")
def _nearest_in_column(marked: NDArray[np.bool_]) -> NDArray[np.int32]:
    """(H, W) row of the marked pixel nearest to each pixel in its column; negative where the column has none."""
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
    return rows


def distance_from(marked: NDArray[np.bool_]) -> NDArray[np.float32]:
    """(H, W) distance in pixels from the nearest marked pixel; at least one must be marked."""
    distance: NDArray[np.float32] = _lengths(*nearest_marked(marked))
    return distance


@njit(cache=True, nogil=True, error_model="numpy")
def _lengths(rows: NDArray[np.int32], columns: NDArray[np.int32]) -> NDArray[np.float32]:
    lengths = np.empty(rows.shape, np.float32)
    for y in range(rows.shape[0]):
        for x in range(rows.shape[1]):
            lengths[y, x] = np.sqrt(float((rows[y, x] - y) ** 2 + (columns[y, x] - x) ** 2))
    return lengths


def signed_distance(coverage: NDArray[np.float32]) -> NDArray[np.float32]:
    """(H, W) distance in pixels of each pixel's centre from the outline, negative inside.

    ``coverage`` (H, W) in 0..1 is how much of each pixel the object covers; the outline runs where it passes one half,
    once softened. Both sides of the outline must occur.
    """
    soft = softened(coverage)
    marked = _beside(soft >= 0.5)
    rows, columns = nearest_marked(marked)
    distance: NDArray[np.float32] = _from_outline(soft, _pieces(soft, marked), rows, columns)
    edge = coverage[marked]
    if np.mean((edge > _GREY) & (edge < 1 - _GREY)) >= _LEAST_GREY:
        return distance
    evened: NDArray[np.float32] = _unstepped(distance, _weights())
    return evened


def _weights() -> NDArray[np.float32]:
    """A Gaussian's, cut off at twice its width."""
    at = np.arange(-round(2 * _WIDTH_PX), round(2 * _WIDTH_PX) + 1)
    weights = np.exp(-(at[:, None] ** 2 + at[None, :] ** 2) / (2 * _WIDTH_PX**2))
    normalised: NDArray[np.float32] = (weights / weights.sum()).astype(np.float32)
    return normalised


def softened(coverage: NDArray[np.float32]) -> NDArray[np.float32]:
    """A 3 x 3 binomial mean: gives also a mask without grey edges a slope to find its outline by."""
    mean: NDArray[np.float32] = _softened(np.ascontiguousarray(coverage, np.float32))
    return mean


@njit(cache=True, nogil=True, error_model="numpy")
def _softened(coverage: NDArray[np.float32]) -> NDArray[np.float32]:
    height, width = coverage.shape
    soft, column_sums = np.empty_like(coverage), np.empty(width + 2, np.float32)
    sixteenth = np.float32(1 / 16)
    for y in range(height):
        above, here, below = coverage[max(y - 1, 0)], coverage[y], coverage[min(y + 1, height - 1)]
        for x in range(width):
            column_sums[x + 1] = above[x] + here[x] + here[x] + below[x]
        column_sums[0], column_sums[width + 1] = column_sums[1], column_sums[width]
        for x in range(width):
            soft[y, x] = (column_sums[x] + column_sums[x + 1] + column_sums[x + 1] + column_sums[x + 2]) * sixteenth
    return soft


def _beside(inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The pixels that have a neighbour on the other side of the outline."""
    beside = np.zeros_like(inside)
    across, down = inside[:, 1:] != inside[:, :-1], inside[1:] != inside[:-1]
    beside[:, 1:] |= across
    beside[:, :-1] |= across
    beside[1:] |= down
    beside[:-1] |= down
    return beside


@njit(cache=True, nogil=True, error_model="numpy")
def _pieces(soft: NDArray[np.float32], marked: NDArray[np.bool_]) -> NDArray[np.float32]:
    """(H, W, 3) at each marked pixel the outline that passes by: its unit normal y, x, and how deep inside it lies.

    Elsewhere anything.
    """
    height, width = soft.shape
    pieces = np.empty((height, width, 3), np.float32)
    for row in range(height):
        for column in range(width):
            if not marked[row, column]:
                continue
            above, below = max(row - 1, 0), min(row + 1, height - 1)
            left, right = max(column - 1, 0), min(column + 1, width - 1)
            normal_y = (soft[below, column] - soft[above, column]) / (below - above)
            normal_x = (soft[row, right] - soft[row, left]) / (right - left)
            steepness = np.sqrt(normal_y * normal_y + normal_x * normal_x)
            if steepness == 0:
                normal_y, steepness = 1.0, 1.0
            normal_y, normal_x = normal_y / steepness, normal_x / steepness
            # How deep inside the outline that pixel lies: the crossing towards its neighbour along the main axis.
            here, downhill = soft[row, column], -1 if soft[row, column] >= 0.5 else 1
            if abs(normal_y) > abs(normal_x):
                beyond = soft[below if (downhill > 0) == (normal_y > 0) else above, column]
                slant = abs(normal_y)
            else:
                beyond = soft[row, right if (downhill > 0) == (normal_x > 0) else left]
                slant = abs(normal_x)
            depth = 0.0
            if (beyond >= 0.5) != (here >= 0.5):
                depth = -downhill * (here - 0.5) / (here - beyond) * slant
            pieces[row, column, 0], pieces[row, column, 1], pieces[row, column, 2] = normal_y, normal_x, depth
    return pieces


@njit(cache=True, nogil=True, error_model="numpy")
def _from_outline(
    soft: NDArray[np.float32], pieces: NDArray[np.float32], rows: NDArray[np.int32], columns: NDArray[np.int32]
) -> NDArray[np.float32]:
    """Each pixel's distance from the piece of outline that passes by the pixel (row, column) nearest to it."""
    height, width = soft.shape
    distance = np.empty((height, width), np.float32)
    for y in range(height):
        for x in range(width):
            row, column = rows[y, x], columns[y, x]
            normal_y, normal_x = pieces[row, column, 0], pieces[row, column, 1]
            off_y, off_x = np.float32(y - row), np.float32(x - column)
            across = off_y * normal_y + off_x * normal_x + pieces[row, column, 2]
            # Sideways the outline goes on for half a pixel's diagonal before it may turn a corner.
            along = max(abs(off_x * normal_y - off_y * normal_x) - np.float32(0.75), np.float32(0))
            length = np.sqrt(across * across + along * along)
            distance[y, x] = -length if soft[y, x] >= 0.5 else length
    return distance


@njit(cache=True, nogil=True, error_model="numpy")
def _unstepped(distance: NDArray[np.float32], weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """The distances from an outline without the steps that hard pixels make of it."""
    height, width = distance.shape
    reach = len(weights) // 2
    smooth, farthest = distance.copy(), np.float32(reach)
    for y in range(height):
        for x in range(width):
            here = distance[y, x]
            if abs(here) > _NEAR_PX:
                continue
            mean = np.float32(0)
            for j in range(len(weights)):
                row = min(max(y + j - reach, 0), height - 1)
                for i in range(len(weights)):
                    column = min(max(x + i - reach, 0), width - 1)
                    mean += weights[j, i] * min(max(distance[row, column], -farthest), farthest)
            smooth[y, x] = min(max(mean, here - _STEP_PX), here + _STEP_PX)
    return smooth
