"""Whether pictures agree at points in space: how much likelier than by chance they show one surface there."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

_DEVIATION = 0.025
"""Of the colours (0..1) of one place in two pictures, and ..."""
_VARIED = 0.5
"""... so much more where the colours around it vary."""
_MOST = 30.0
"""Nothing is likelier than by chance by more than that: a single colour is no proof."""
_LEAST = 0.65
"""Nor less likely: one picture may have a highlight, a reflection or a shadow there. With less, glossy things lose a
tenth of what is solid; with 1 nothing would be carved.
"""
_SHEEN = 0.02
"""A highlight adds at least so much light to all channels alike, ..."""
_TINTED = 0.06
"""... up to such differences of what is seen, 0..1."""
_CELLS = 24
_COMMON = 0.08
"""How common colours are is told by a smooth density (standard deviation) over so many cells along each channel."""


def agreement(colours: NDArray[np.float32], spread: NDArray[np.float32]) -> NDArray[np.float32]:
    """(M, N, N): how many times likelier than by chance view i's colour is if view j shows the same place; 1 for i = j.

    ``colours`` (M, N, 3), 0..1, of M points in N views, and how much they vary around (M, N).
    """
    return _compared(colours, spread, _commonness(colours))


def _commonness(colours: NDArray[np.float32]) -> NDArray[np.float32]:
    """(M, N) the density of each colour among all of them."""
    cells = np.minimum((colours.reshape(-1, 3) * _CELLS).astype(np.int64), _CELLS - 1)
    number = (cells[:, 0] * _CELLS + cells[:, 1]) * _CELLS + cells[:, 2]
    counts = np.bincount(number, minlength=_CELLS**3).reshape(_CELLS, _CELLS, _CELLS)
    variance = _COMMON**2 + _DEVIATION**2
    apart = np.subtract.outer(np.arange(_CELLS), np.arange(_CELLS)) / _CELLS
    blur = np.exp(-(apart**2) / (2 * variance))
    smooth = np.einsum("ai,bj,ck,ijk->abc", blur, blur, blur, counts, optimize=True)
    density = (smooth / len(number) / variance**1.5).astype(np.float32).ravel()
    found: NDArray[np.float32] = density[number].reshape(colours.shape[:2])
    return found


@njit(cache=True, nogil=True, error_model="numpy")
def _compared(
    colours: NDArray[np.float32], spread: NDArray[np.float32], commonness: NDArray[np.float32]
) -> NDArray[np.float32]:
    count, views = spread.shape
    found = np.ones((count, views, views), np.float32)
    for v in range(count):
        for i in range(views):
            for j in range(i + 1, views):
                deviation = _DEVIATION + _VARIED * (spread[v, i] + spread[v, j]) / 2
                apart = 0.0
                for channel in range(3):
                    apart += (colours[v, i, channel] - colours[v, j, channel]) ** 2
                density = np.exp(-apart / (2 * deviation * deviation)) / (deviation * deviation * deviation)
                found[v, i, j] = min(max(density / commonness[v, i], _LEAST), _MOST)
                found[v, j, i] = min(max(density / commonness[v, j], _LEAST), _MOST)
    return found


def highlights(colours: NDArray[np.float32], outermost: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(M, N) where a view may have a highlight: it shows what most others show of the place, and white light on top.

    ``colours`` as for ``agreement``; ``outermost`` (M, N): whether the view sees the point if nothing is hollow.
    A smooth surface mirrors its lamp at another place in each picture. What such colours have in common with each other
    lies behind the surface, at the lamp's image (Blake, "Specular Stereo", 1985): they tell nothing of where it is.
    """
    return _highlights(colours, outermost)


@njit(cache=True, nogil=True, error_model="numpy")
def _highlights(colours: NDArray[np.float32], outermost: NDArray[np.bool_]) -> NDArray[np.bool_]:
    found = np.zeros_like(outermost)
    for v in range(len(outermost)):
        for one in range(outermost.shape[1]):
            others, duller = 0, 0
            for other in range(outermost.shape[1]):
                if outermost[v, one] and outermost[v, other] and other != one:
                    others += 1
                    duller += _whiter(colours, v, one, other)
            found[v, one] = others > 0 and 2 * duller >= others
    return found


@njit(cache=True, nogil=True, error_model="numpy")
def _whiter(colours: NDArray[np.float32], v: int, one: int, other: int) -> bool:
    """Whether one view's colour is another's and white light; light goes about with the square of a colour."""
    added = np.float32(0)
    for channel in range(3):
        added = max(added, colours[v, one, channel] ** 2 - colours[v, other, channel] ** 2)
    apart = np.float32(0)
    for channel in range(3):
        white = np.sqrt(min(colours[v, other, channel] ** 2 + added, np.float32(1)))
        apart = max(apart, white - colours[v, one, channel])
    return bool(added > _SHEEN and apart < _TINTED)


@njit(cache=True, nogil=True, error_model="numpy")
def unheeded(agreement: NDArray[np.float32], silent: NDArray[np.bool_]) -> None:
    """Make such (M, N) colours speak neither for nor against any other's, in place."""
    views = silent.shape[1]
    for v in range(len(silent)):
        for one in range(views):
            for other in range(one + 1, views):
                if silent[v, one] or silent[v, other]:
                    agreement[v, one, other] = agreement[v, other, one] = 1


@njit(cache=True, nogil=True, error_model="numpy")
def reduced(colours: NDArray[np.uint8], coverage: NDArray[np.float32], factor: int) -> NDArray[np.float32]:
    """(s, s, 4): mean colours, 0..1, over squares of an (S, S, 3) picture's covered pixels, and their coverage."""
    size = len(colours) // factor
    small = np.zeros((size, size, 4), np.float32)
    for row in range(size * factor):
        for column in range(size * factor):
            part = coverage[row, column]
            if part > 0:
                j, i = row // factor, column // factor
                for channel in range(3):
                    small[j, i, channel] += part * colours[row, column, channel]
                small[j, i, 3] += part
    for j in range(size):
        for i in range(size):
            if small[j, i, 3] > 0:
                for channel in range(3):
                    small[j, i, channel] /= 255 * small[j, i, 3]
    return small


@njit(cache=True, nogil=True, error_model="numpy")
def around(small: NDArray[np.float32]) -> NDArray[np.float32]:
    """(s, s, 4): the mean colours over 3 x 3 pixels of such a picture, and their largest span of a channel; else 0."""
    size = len(small)
    found = np.zeros_like(small)
    for row in range(size):
        for column in range(size):
            top, bottom, left, right = max(row - 1, 0), min(row + 2, size), max(column - 1, 0), min(column + 2, size)
            weight = np.float32(0)
            for y in range(top, bottom):
                for x in range(left, right):
                    weight += small[y, x, 3]
            if weight == 0:
                continue
            for channel in range(3):
                total, low, high = np.float32(0), np.float32(1), np.float32(0)
                for y in range(top, bottom):
                    for x in range(left, right):
                        if small[y, x, 3] > 0:
                            total += small[y, x, 3] * small[y, x, channel]
                            low, high = min(low, small[y, x, channel]), max(high, small[y, x, channel])
                found[row, column, channel] = total / weight
                found[row, column, 3] = max(found[row, column, 3], high - low)
    return found


@njit(cache=True, nogil=True, error_model="numpy")
def look_up_all(
    picture: NDArray[np.float32],
    points: NDArray[np.float64],
    view: int,
    colours: NDArray[np.float32],
    spread: NDArray[np.float32],
) -> None:
    """Put what a picture by ``around`` has at its (M, 2) points, linear between pixels, into (M, N, 3) and (M, N)."""
    last = len(picture) - 1
    for p in range(len(points)):
        x, y = min(max(points[p, 0] - 0.5, 0.0), last - 1e-3), min(max(points[p, 1] - 0.5, 0.0), last - 1e-3)
        i, j = int(x), int(y)
        x, y = x - i, y - j
        for channel in range(4):
            above = picture[j, i, channel] * (1 - x) + picture[j, i + 1, channel] * x
            below = picture[j + 1, i, channel] * (1 - x) + picture[j + 1, i + 1, channel] * x
            value = above * (1 - y) + below * y
            if channel < 3:
                colours[p, view, channel] = value
            else:
                spread[p, view] = value
