"""Soft shadows on a background, told from an object by where they end: nowhere sharply."""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pipeline.geometry.cells import Cells, apart
from pipeline.geometry.pieces import pieces

_DARKEST = 0.2
"""No shadow takes more of the background's light than all but this."""
_STEEPEST = 24.0
"""Levels from one cell to the next: no soft shadow is steeper."""
_GROWTH = 0.75
"""How much of its own darkness a shadow may gain from one cell to the next."""
_TINT = 0.06
"""How far a shadow's colour may stray from the background's, in parts of what it darkens."""
_ROUNDED = 2.0
"""Levels by which rounding and compression bend a shadow's slope, where the plain background has none to bend."""
_CURVE = 0.3
"""How strongly a shadow's slope may bend over a cell, in parts of its darkness; with the square of the distance."""
_DEEPEST = 0.11
"""The part of the picture's longer side that a shadow reaches in from the plain background."""
_LEAST_SOFT = 0.2
"""The least part of a shadow's rim that fades into the plain background."""
_LEAST_LEAK = 3
"""So few sharp cells at a shadow's end are chance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """How a background behaves from cell to cell, in levels."""

    step: float
    """The greatest difference of neighbours' means by noise alone."""
    kink: float
    """The greatest second difference of its pixels by noise alone."""
    noise: float
    """Standard deviation of a pixel."""
    bend: float
    """How strongly a shadow's slope may bend over two pixels, in parts of its darkness."""
    curve: float
    """The greatest second difference of means by noise alone; infinite where there is hardly any noise."""
    hue: float = np.inf
    """How far the hue of plain cells, lit or shaded, strays from the trend's by noise alone, in levels."""
    uneven: float = 0.0
    """How far the plain background goes up and down about its trend, slowly: root mean square."""
    rough: float = 0.0
    """The same from cell to cell."""
    steepness: float = 1.0
    """How steep a shadow may be: 1 as steep as soft shadows ever are, 0 where none is expected."""
    width: int = 1
    """Cells around a shadow's innermost ones that must lie in it, too: outlines have gaps."""
    slack: float = 0.0
    """How much further than by noise the plain background may be from its trend, in levels."""

    def stricter(self, steepness: float, width: int) -> Self:
        return replace(self, steepness=steepness, width=width)

    @property
    def noisy(self) -> bool:
        return bool(np.isfinite(self.curve))

    @property
    def tolerance(self) -> float:
        """How far the plain background may be from its trend, in levels."""
        return max(3.0, 1 + 0.7 * self.step) + self.slack

    @property
    def dark(self) -> float:
        """The darkness from which on it is no longer the plain background."""
        return max(6.0, 2 * self.step)


def reached(cells: Cells, trend: NDArray[np.float32], seeds: NDArray[np.bool_], manner: Manner) -> NDArray[np.bool_]:
    """(h, w) the cells that are background: smoothly connected with a seed, and of the trend's colour or darker.

    Shadows are entered only where they are wide: outlines have small gaps.
    """
    means = cells.means
    limits = (manner.step, manner.tolerance, manner.kink, manner.bend, manner.curve, manner.hue)
    plain, shaded, off = _alike(means, cells.kinks, cells.bends, trend, limits)
    clear = seeds.copy()
    if manner.slack:
        _flood(clear, _wide(plain, means, off, manner.step, 0.0) | seeds, means, off, manner.step, 0.0)
        return _carried(clear, plain, means, off, (manner.step, 0.0))
    _flood(clear, plain | seeds, means, off, manner.step, 0.0)
    if not manner.steepness:
        return clear
    passable = plain | shaded
    wide = _wide(passable, means, off, manner.step, manner.steepness)
    for _ in range(manner.width - 1):
        wide = _eroded(wide)
    inner = clear.copy()
    _flood(inner, wide, means, off, manner.step, manner.steepness)
    for _ in range(manner.width):
        inner = _carried(inner, passable, means, off, (manner.step, manner.steepness))
    return inner


@njit(cache=True, nogil=True, error_model="numpy")
def _alike(
    means: NDArray[np.float32],
    kinks: NDArray[np.float32],
    bends: NDArray[np.float32],
    trend: NDArray[np.float32],
    limits: tuple[float, float, float, float, float, float],
) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.float32]]:
    """(h, w) which cells look like the background, which like it in a shadow, and how far each is from it in levels."""
    step, tolerance, kink, bend, curve, hue = limits
    height, width = kinks.shape
    plain, shaded = np.zeros((height, width), np.bool_), np.zeros((height, width), np.bool_)
    distance = np.empty((height, width), np.float32)
    for row in range(height):
        for column in range(width):
            r, g, b = means[row, column, 0], means[row, column, 1], means[row, column, 2]
            r0, g0, b0 = trend[row, column, 0], trend[row, column, 1], trend[row, column, 2]
            off = np.sqrt(((r - r0) ** 2 + (g - g0) ** 2 + (b - b0) ** 2) / 3)
            part = (r * r0 + g * g0 + b * b0) / max(r0 * r0 + g0 * g0 + b0 * b0, np.float32(1))
            tint = np.sqrt(((r - part * r0) ** 2 + (g - part * g0) ** 2 + (b - part * b0) ** 2) / 3)
            distance[row, column] = off
            even = bends[1, row, column] <= curve and bends[0, row, column] <= curve
            plain[row, column] = off <= tolerance and tint <= hue and kinks[row, column] <= kink and even
            smooth = kinks[row, column] <= kink + _ROUNDED + bend * off
            for far in range(2):
                smooth &= bends[far, row, column] <= curve + (far + 1) ** 2 * _CURVE * off
            shaded[row, column] = smooth and _DARKEST <= part <= 1 and tint <= min(step, hue) + _TINT * off
    return plain, shaded, distance


@njit(cache=True, nogil=True, error_model="numpy")
def _steady(
    means: NDArray[np.float32],
    off: NDArray[np.float32],
    one: tuple[int, int],
    two: tuple[int, int],
    limit: tuple[float, float],
) -> bool:
    """Whether there is no sharp step between two cells; ``limit``: by noise, and how steep a shadow may be."""
    square = 0.0
    for k in range(3):
        square += (means[one[0], one[1], k] - means[two[0], two[1], k]) ** 2
    growth = min(_GROWTH * (off[one[0], one[1]] + off[two[0], two[1]]) / 2, _STEEPEST)
    return bool(np.sqrt(square / 3) <= limit[0] + limit[1] * growth)


@njit(cache=True, nogil=True, error_model="numpy")
def _wide(
    open_: NDArray[np.bool_], means: NDArray[np.float32], off: NDArray[np.float32], step: float, steepness: float
) -> NDArray[np.bool_]:
    """(h, w) the open cells around which all are open, without a sharp step."""
    height, width = open_.shape
    wide = np.zeros((height, width), np.bool_)
    for row in range(height):
        for column in range(width):
            good = open_[row, column]
            for y in range(max(row - 1, 0), min(row + 2, height)):
                for x in range(max(column - 1, 0), min(column + 2, width)):
                    if good:
                        near = open_[y, x]
                        if near and (y == row or x == column):
                            near = _steady(means, off, (row, column), (y, x), (step, steepness))
                        good = near
            wide[row, column] = good
    return wide


@njit(cache=True, nogil=True, error_model="numpy")
def _flood(
    clear: NDArray[np.bool_],
    open_: NDArray[np.bool_],
    means: NDArray[np.float32],
    off: NDArray[np.float32],
    step: float,
    steepness: float,
) -> None:
    """Carry what is clear on through open cells, never over a sharp step; in place."""
    height, width = clear.shape
    waiting = np.empty(height * width, np.int32)
    left = 0
    for at in range(height * width):
        if clear[at // width, at % width]:
            waiting[left] = at
            left += 1
    while left:
        left -= 1
        row, column = waiting[left] // width, waiting[left] % width
        for turn in range(4):
            y, x = row + (turn == 0) - (turn == 1), column + (turn == 2) - (turn == 3)
            if y < 0 or x < 0 or y >= height or x >= width or clear[y, x] or not open_[y, x]:
                continue
            if _steady(means, off, (row, column), (y, x), (step, steepness)):
                clear[y, x] = True
                waiting[left] = y * width + x
                left += 1


def grown(mask: NDArray[np.bool_], cells: int) -> NDArray[np.bool_]:
    """The mask and all within so many cells of it."""
    for _ in range(cells):
        mask = ~_eroded(~mask)
    return mask


def _eroded(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The cells around which all are marked; beyond the picture's border all are."""
    padded = np.pad(mask, 1, constant_values=True)
    across = padded[:, :-2] & padded[:, 1:-1] & padded[:, 2:]
    eroded: NDArray[np.bool_] = across[:-2] & across[1:-1] & across[2:]
    return eroded


@njit(cache=True, nogil=True, error_model="numpy")
def _carried(
    clear: NDArray[np.bool_],
    open_: NDArray[np.bool_],
    means: NDArray[np.float32],
    off: NDArray[np.float32],
    limit: tuple[float, float],
) -> NDArray[np.bool_]:
    """One cell further, through open cells, never over a sharp step."""
    height, width = clear.shape
    carried = clear.copy()
    for row in range(height):
        for column in range(width):
            if clear[row, column] or not open_[row, column]:
                continue
            for turn in range(4):
                y, x = row + (turn == 0) - (turn == 1), column + (turn == 2) - (turn == 3)
                near = 0 <= y < height and 0 <= x < width and clear[y, x]
                if near and _steady(means, off, (row, column), (y, x), limit):
                    carried[row, column] = True
    return carried


def true_shadows(
    means: NDArray[np.float32], trend: NDArray[np.float32], clear: NDArray[np.bool_], manner: Manner
) -> tuple[NDArray[np.bool_], NDArray[np.bool_], bool]:
    """Give back what was taken for a shadow and is part of the object.

    A shadow fades into the background. Something grey that the flood of the background broke into, where its outline
    happens to be faint, has a sharp outline elsewhere: cells with plain background on one side and it on the other.
    And it is broad, where the floor's shadow is seen from the side, or lies closely around what is seen from above.

    Returns the background without such pieces, the shadows in it, and whether there were none such.
    """
    off = apart(means, trend)
    dark = clear & (off > manner.dark)
    found = pieces(dark)
    if not len(found.sizes):
        return clear, dark, True
    numbers = np.full(dark.shape, -1, np.int32)
    for run, number in zip(found.runs, found.numbers, strict=True):
        numbers[run[0], run[1] : run[2]] = number
    sharp, soft, rim = _ends(numbers, clear, len(found.sizes))
    reach = int(np.ceil(_DEEPEST * max(dark.shape)))
    deep = np.bincount(numbers[dark & ~grown(clear & ~dark, reach)], minlength=len(found.sizes))
    wrong = (sharp > np.maximum(soft, _LEAST_LEAK)) | (deep > _LEAST_LEAK) | (soft < _LEAST_SOFT * rim)
    clear, dark = clear.copy(), dark.copy()
    found.painted(wrong, clear, value=False)
    found.painted(wrong, dark, value=False)
    return clear, dark, not wrong.any()


@njit(cache=True, nogil=True)
def _ends(
    numbers: NDArray[np.int32], clear: NDArray[np.bool_], count: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """(P,) how many cells of each dark piece end sharply, and softly, in plain background; and at all."""
    rim, sharp, soft = np.zeros(count, np.int64), np.zeros(count, np.int64), np.zeros(count, np.int64)
    height, width = clear.shape
    for row in range(height):
        for column in range(width):
            number = numbers[row, column]
            if number < 0:
                continue
            fades = breaks = ends = False
            for turn in range(4):
                down, right = (turn == 0) - (turn == 1), (turn == 2) - (turn == 3)
                y, x = row + down, column + right
                ends |= y < 0 or x < 0 or y >= height or x >= width or numbers[y, x] != number
                for blocked in range(3):
                    y, x = row + (blocked + 1) * down, column + (blocked + 1) * right
                    if y < 0 or x < 0 or y >= height or x >= width or numbers[y, x] >= 0:
                        break
                    if clear[y, x]:
                        fades |= blocked == 0
                        breaks |= blocked > 0
                        break
            rim[number] += ends
            sharp[number] += breaks
            soft[number] += fades
    return sharp, soft, rim
