"""A picture in cells of a few pixels, whose means have little noise, and where in it something begins or ends."""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numba import njit
from numpy.typing import NDArray

_CELLS = 192
"""About so many cells are laid along the longer side, by cells of a power of two of pixels."""
_CELL_MAX_PX = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Cells:
    """A picture in cells."""

    px: int
    means: NDArray[np.float32]
    """(h, w, 3)"""
    kinks: NDArray[np.float32]
    """(h, w) the greatest second difference of brightness, over two pixels, in levels."""
    bends: NDArray[np.float32]
    """(2, h, w) the greatest second difference of the means, over one cell and two, in levels; none until asked for."""

    def bent(self) -> Self:
        """With its bends: they take longer than all else and tell only where there is noise."""
        return replace(self, bends=_bends(self.means))


def cells_of(colours: NDArray[np.uint8]) -> Cells:
    longer = max(colours.shape[:2])
    px = int(np.clip(2 ** int(np.log2(max(longer / _CELLS, 1))), 1, _CELL_MAX_PX))
    means, kinks = _gathered(colours, px)
    return Cells(px=px, means=means, kinks=kinks, bends=np.zeros((2, *kinks.shape), np.float32))


@njit(cache=True, nogil=True, error_model="numpy")
def _gathered(colours: NDArray[np.uint8], px: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Means and kinks. A soft slope has none, however steep; an edge has as much as it has contrast."""
    height, width = colours.shape[0], colours.shape[1]
    rows, columns = -(-height // px), -(-width // px)
    means, kinks = np.zeros((rows, columns, 3), np.float32), np.zeros((rows, columns), np.float32)
    light, most = np.empty((5, width), np.float32), np.zeros(width, np.float32)
    two = np.float32(2)
    for y in range(height + 2):
        if y < height:
            _add_line(colours, y, px, means, light)
        middle = y - 2
        if middle < 0:
            continue
        here, above, below = middle % 5, (middle - 2) % 5, (middle + 2) % 5
        for x in range(2, width - 2):
            most[x] = max(most[x], abs(light[here, x - 2] - two * light[here, x] + light[here, x + 2]))
        if 2 <= middle < height - 2:
            for x in range(width):
                most[x] = max(most[x], abs(light[above, x] - two * light[here, x] + light[below, x]))
        if middle % px == px - 1 or middle == height - 1:
            row = middle // px
            for at in range(columns):
                end = min((at + 1) * px, width)
                for x in range(at * px, end):
                    kinks[row, at] = max(kinks[row, at], most[x] / np.float32(4))
                for k in range(3):
                    means[row, at, k] /= (middle + 1 - row * px) * (end - at * px)
            most[:] = 0
    return means, kinks


@njit(cache=True, nogil=True, error_model="numpy")
def _add_line(
    colours: NDArray[np.uint8], y: int, px: int, sums: NDArray[np.float32], light: NDArray[np.float32]
) -> None:
    """Add a line's colours to the sums of the cells that it crosses, and keep its brightness, times four."""
    row, width = y // px, colours.shape[1]
    for at in range(sums.shape[1]):
        red, green, blue = 0, 0, 0
        for x in range(at * px, min((at + 1) * px, width)):
            r, g, b = int(colours[y, x, 0]), int(colours[y, x, 1]), int(colours[y, x, 2])
            light[y % 5, x] = r + 2 * g + b
            red += r
            green += g
            blue += b
        sums[row, at, 0] += red
        sums[row, at, 1] += green
        sums[row, at, 2] += blue


@njit(cache=True, nogil=True, error_model="numpy")
def _bends(means: NDArray[np.float32]) -> NDArray[np.float32]:
    """Of three cells side by side at a time, so that noise counts less; none at the border.

    An edge has as much as it has contrast, over two cells wherever it lies in its cell.
    """
    height, width, _ = means.shape
    bends = np.zeros((2, height, width), np.float32)
    for row in range(height):
        for column in range(width):
            for far in range(1, 3):
                most = np.float32(0)
                for turn in range(2):
                    down, right = far * turn, far * (1 - turn)
                    if row < down or row + down >= height or column < right or column + right >= width:
                        continue
                    square = np.float32(0)
                    for k in range(3):
                        total = np.float32(0)
                        for aside in range(-1, 2):
                            y = min(max(row + aside * (1 - turn), 0), height - 1)
                            x = min(max(column + aside * turn, 0), width - 1)
                            total += means[y - down, x - right, k] - 2 * means[y, x, k] + means[y + down, x + right, k]
                        square += total * total
                    most = max(most, square)
                bends[far - 1, row, column] = np.sqrt(most / 27)
    return bends


@njit(cache=True, nogil=True, error_model="numpy")
def apart(one: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.float32]:
    """(h, w) how far (h, w, 3) colours are from others, in levels: root mean squares over the channels."""
    height, width, _ = one.shape
    levels = np.empty((height, width), np.float32)
    for row in range(height):
        for column in range(width):
            square = np.float32(0)
            for k in range(3):
                off = one[row, column, k] - other[row, column, k]
                square += off * off
            levels[row, column] = np.sqrt(square / np.float32(3))
    return levels


@njit(cache=True, nogil=True, error_model="numpy")
def hues(means: NDArray[np.float32], trend: NDArray[np.float32]) -> NDArray[np.float32]:
    """(h, w, 3) what is left of the difference of colours from the trend's once both are lit alike, in levels."""
    height, width, _ = means.shape
    rest = np.empty_like(means)
    for row in range(height):
        for column in range(width):
            product = light = np.float32(0)
            for k in range(3):
                product += means[row, column, k] * trend[row, column, k]
                light += trend[row, column, k] ** 2
            part = product / max(light, np.float32(1))
            for k in range(3):
                rest[row, column, k] = means[row, column, k] - part * trend[row, column, k]
    return rest


def levels(differences: NDArray[np.float32]) -> NDArray[np.float32]:
    """(h, w) root mean squares over the channels of (h, w, 3) differences."""
    return apart(differences, np.zeros_like(differences))
