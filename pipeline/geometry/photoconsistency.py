"""Where a curve around the corner between two neighbouring views must run for both to show the same colours on it.

Cut level, an object seen from two sides fits a rectangle (of views at another angle, a parallelogram). Between the
side that faces one view and the side that faces the other lies a corner that both see. Whether it is round, and how
round, silhouettes cannot say; but a point there has one colour in both pictures.
"""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

EXPONENTS = (2.0, 2.5, 3.0, 4.0, 6.0, 12.0)
"""Of the superellipses |u|^n + |v|^n = 1 that are tried: 2 is an ellipse, the last nearly a rectangle. With less than 2
things that have something stick out became diamonds."""
_ANGLES_DEG = np.linspace(15, 75, 9)
"""Where on the corner colours are compared: neither view sees it too aslant."""
_DIFFERENCE_MAX = 0.1
"""Larger differences (of 1) count as this one: one view may see something that hides the corner from the other."""
_COLOURS_PX = 256
"""Colours are compared on pictures of about this size: a texture's grain is smoothed away."""
_NARROWEST_PX, _EDGE_PX = 4.0, 1.5
"""On these pictures: what has less width shows nothing, and colours so near to the outline may be impure."""


class Spans(NamedTuple):
    """The intervals in which each row of a picture meets the object; rows without any have those of the nearest."""

    starts: NDArray[np.float32]
    """(S, K) columns, where 0 is the middle of the first pixel."""
    stops: NDArray[np.float32]
    counts: NDArray[np.int32]
    """(S,) how many of the K hold."""


class Corner(NamedTuple):
    """Two neighbouring views' pictures: the first one's right edge and the second one's left edge are one corner."""

    right: NDArray[np.float32]
    """(s, s, 3) the first view's colours, 0..1, as ``reduced`` makes them."""
    right_spans: Spans
    right_rows: NDArray[np.float64]
    """(L,) the rows of the full picture that show the levels that are looked at."""
    left: NDArray[np.float32]
    left_spans: Spans
    left_rows: NDArray[np.float64]


def spans(distance: NDArray[np.float32]) -> Spans:
    """The spans of an (S, S) signed distance from an outline, negative inside; S >= 2."""
    starts, stops, counts = _spans(distance, int(_crossings(distance).max()) // 2 + 1)
    filled = np.flatnonzero(counts)
    if len(filled):
        rows = np.arange(len(counts))
        after = np.clip(np.searchsorted(filled, rows), 0, len(filled) - 1)
        before = np.maximum(after - 1, 0)
        nearer = np.where(np.abs(filled[before] - rows) < np.abs(filled[after] - rows), before, after)
        source = filled[nearer]
        starts, stops, counts = starts[source], stops[source], counts[source]
    return Spans(starts, stops, counts)


def _crossings(distance: NDArray[np.float32]) -> NDArray[np.intp]:
    inside = distance < 0
    return np.asarray((inside[:, 1:] != inside[:, :-1]).sum(axis=1) + 2)


@njit(cache=True, nogil=True, error_model="numpy")
def _spans(
    distance: NDArray[np.float32], most: int
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int32]]:
    height, width = distance.shape
    starts, stops = np.zeros((height, most), np.float32), np.zeros((height, most), np.float32)
    counts = np.zeros(height, np.int32)
    for row in range(height):
        for column in range(width):
            here = distance[row, column]
            if here >= 0:
                continue
            before = distance[row, column - 1] if column else np.float32(0)
            after = distance[row, column + 1] if column < width - 1 else np.float32(0)
            if before >= 0:
                starts[row, counts[row]] = column - here / (here - before)
            if after >= 0:
                stops[row, counts[row]] = column + here / (here - after)
                counts[row] += 1
    return starts, stops, counts


@njit(cache=True, nogil=True, error_model="numpy")
def reduced(colours: NDArray[np.uint8], coverage: NDArray[np.float32]) -> NDArray[np.float32]:
    """(S, S, 3) sRGB as a picture of about 256 pixels, 0..1: means over squares of pixels, those covered only."""
    size = len(colours)
    factor = max(1, size // _COLOURS_PX)
    small = np.zeros((size // factor, size // factor, 3), np.float32)
    for row in range(len(small)):
        for column in range(len(small)):
            weight = np.float32(1e-6)
            for y in range(row * factor, (row + 1) * factor):
                for x in range(column * factor, (column + 1) * factor):
                    part = coverage[y, x] / np.float32(255)
                    weight += coverage[y, x]
                    for channel in range(3):
                        small[row, column, channel] += part * colours[y, x, channel]
            for channel in range(3):
                small[row, column, channel] /= weight
    return small


def disagreement(corner: Corner) -> NDArray[np.float32]:
    """(L, E) mean difference of the two views' colours along each of ``EXPONENTS``, level by level, 0..1.

    NaN where a view shows too little. Of a level's spans the outermost meet at the corner.
    """
    exponents = np.array(EXPONENTS)[:, None]
    angles = np.radians(_ANGLES_DEG)
    # By the angle of the curve's normal: how far in from the right edge, how far from the left one; part of the width.
    inwards = np.stack([1 - np.cos(angles) ** (2 / exponents), 1 - np.sin(angles) ** (2 / exponents)]) / 2
    return _disagreement(
        (corner.right, corner.right_spans, corner.right_rows),
        (corner.left, corner.left_spans, corner.left_rows),
        inwards,
    )


@njit(cache=True, nogil=True, error_model="numpy")
def _disagreement(
    right: tuple[NDArray[np.float32], Spans, NDArray[np.float64]],
    left: tuple[NDArray[np.float32], Spans, NDArray[np.float64]],
    inwards: NDArray[np.float64],
) -> NDArray[np.float32]:
    levels, (_, exponents, angles) = len(right[2]), inwards.shape
    size = len(right[1].counts)
    factor = max(1, size // _COLOURS_PX)
    found = np.full((levels, exponents), np.nan, np.float32)
    for level in range(levels):
        row, other = int(right[2][level] + 0.5), int(left[2][level] + 0.5)
        if not (0 <= row < size and 0 <= other < size) or right[1].counts[row] == 0 or left[1].counts[other] == 0:
            continue
        last = right[1].counts[row] - 1
        start, stop = right[1].starts[row, last], right[1].stops[row, last]
        begin, end = left[1].starts[other, 0], left[1].stops[other, 0]
        if min(stop - start, end - begin) < _NARROWEST_PX * factor:
            continue
        for e in range(exponents):
            total = 0.0
            for angle in range(angles):
                x = min(stop - inwards[0, e, angle] * (stop - start), stop - _EDGE_PX * factor)
                z = max(begin + inwards[1, e, angle] * (end - begin), begin + _EDGE_PX * factor)
                difference = 0.0
                for channel in range(3):
                    one = _colour(right[0], (x + 0.5) / factor - 0.5, (row + 0.5) / factor - 0.5, channel)
                    two = _colour(left[0], (z + 0.5) / factor - 0.5, (other + 0.5) / factor - 0.5, channel)
                    difference += abs(one - two) / 3
                total += min(difference, _DIFFERENCE_MAX)
            found[level, e] = total / angles
    return found


@njit(cache=True, nogil=True, error_model="numpy")
def _colour(picture: NDArray[np.float32], column: float, row: float, channel: int) -> float:
    """Linear along the row that is nearest."""
    last = len(picture) - 1
    x, j = min(max(column, 0.0), last - 1e-3), min(max(int(row + 0.5), 0), last)
    i = int(x)
    return float(picture[j, i, channel] * (1 - (x - i)) + picture[j, i + 1, channel] * (x - i))
