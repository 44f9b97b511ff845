"""What is behind an object: the background of an opaque picture as it would look without the object.

Worked out on cells of a few pixels, whose means have little noise. What can be reached from the border without a sharp
step, and has the background's colour, perhaps darker, is background; so a soft shadow is part of it.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pipeline.geometry.pieces import pieces
from pipeline.geometry.shadows import Manner, reached, true_shadows

_CELLS = 192
"""About so many cells are laid along the longer side, by cells of a power of two of pixels."""
_CELL_MAX_PX = 8
_BORDER = 2
"""The picture's outermost rings of cells show the background, for the most part."""
_BORDER_HELD = 0.5
"""The part of the border that must be background for the background to be known."""
_NOISE_MAX = 14.0
"""A border that differs more than that from its own trend is no background."""
_FIT_CELLS = 3_000
"""So many cells are enough to fit a trend to."""
_FIT_ROUNDS = 4
_UNTRENDED = 20.0
"""Levels: so far the background may stray from what its border foretells, as a vignette does."""
_LEAST_HOLE = 2e-4
"""The part of the picture from which on background that the object encloses may be a hole."""
_BEND = 0.25
"""How strongly a shadow's slope may bend over two of as many pixels as a cell has, in parts of its darkness."""
_STRICTNESS = (1.0, 0.6, 0.35)
"""How steep a shadow may be, tried in turn until none of them turns out to be part of the object."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Background:
    """The background of an (H, W) picture, on (h, w) cells of ``cell`` x ``cell`` pixels."""

    cell: int
    clear: NDArray[np.bool_]
    """(h, w) where nothing but background is seen."""
    holes: NDArray[np.bool_]
    """(h, w) the part of it that the object encloses; it may be a plain part of the object after all."""
    dark: NDArray[np.bool_]
    """(h, w) the part of it that lies in a shadow."""
    plate: NDArray[np.float32]
    """(h, w, 3) what the background looks like, behind the object too, where it is continued."""
    noise: float
    """Standard deviation of a pixel from the plate, in levels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cells:
    """A picture in cells."""

    px: int
    means: NDArray[np.float32]
    """(h, w, 3)"""
    kinks: NDArray[np.float32]
    """(h, w) the greatest second difference of brightness, over two pixels, in levels."""


def background(colours: NDArray[np.uint8]) -> Background | None:
    """The background of an (H, W, 3 or more) sRGB picture; None when most of the border does not look like one."""
    cells = _cells(colours)
    border = _border(cells.means.shape[:2])
    trend, held = _trend(cells.means, border, degree=2)
    off = np.sqrt(((cells.means - trend) ** 2).mean(axis=2))
    fits = border & (off <= max(3 * float(np.median(off[border])), 8))
    if float(np.median(off[border])) > _NOISE_MAX or held < _BORDER_HELD:
        return None
    manner = _manner(cells, fits)
    first = reached(cells.means, cells.kinks, trend, fits, replace(manner, steepness=0, slack=_UNTRENDED))
    trend, _ = _trend(cells.means, first, degree=4)
    clear, dark = _shadowed(cells, trend, fits, manner)
    holes = _holes(cells, trend, clear, manner if dark.any() else replace(manner, steepness=0))
    return Background(
        cell=cells.px,
        clear=clear | holes,
        holes=holes,
        dark=dark,
        plate=_plate(cells.means, trend, clear | holes),
        noise=manner.noise,
    )


def _cells(colours: NDArray[np.uint8]) -> Cells:
    longer = max(colours.shape[:2])
    px = int(np.clip(2 ** int(np.log2(max(longer / _CELLS, 1))), 1, _CELL_MAX_PX))
    means, kinks = _gathered(colours, px)
    return Cells(px=px, means=means, kinks=kinks)


@njit(cache=True, nogil=True, error_model="numpy")
def _gathered(colours: NDArray[np.uint8], px: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Means and kinks. A soft slope has none, however steep; an edge has as much as it has contrast."""
    height, width = colours.shape[0], colours.shape[1]
    rows, columns = -(-height // px), -(-width // px)
    means, kinks = np.zeros((rows, columns, 3), np.float32), np.zeros((rows, columns), np.float32)
    light = np.empty((5, width), np.int32)
    most = np.zeros(columns, np.int32)
    for y in range(height + 2):
        if y < height:
            sums = means[y // px]
            for x in range(width):
                r, g, b = colours[y, x, 0], colours[y, x, 1], colours[y, x, 2]
                light[y % 5, x] = int(r) + 2 * int(g) + int(b)
                at = x // px
                sums[at, 0] += r
                sums[at, 1] += g
                sums[at, 2] += b
        middle = y - 2
        if middle < 0:
            continue
        here = light[middle % 5]
        for x in range(2, width - 2):
            kink = abs(here[x - 2] - 2 * here[x] + here[x + 2])
            most[x // px] = max(most[x // px], kink)
        if 2 <= middle < height - 2:
            above, below = light[(middle - 2) % 5], light[(middle + 2) % 5]
            for x in range(width):
                kink = abs(above[x] - 2 * here[x] + below[x])
                most[x // px] = max(most[x // px], kink)
        if middle % px == px - 1 or middle == height - 1:
            count = px * (min(middle + 1, height) - middle // px * px)
            for at in range(columns):
                kinks[middle // px, at] = most[at] / np.float32(4)
                most[at] = 0
                part = count if at < columns - 1 else count * (width - at * px) / px
                for k in range(3):
                    means[middle // px, at, k] /= part
    return means, kinks


def _border(shape: tuple[int, int]) -> NDArray[np.bool_]:
    border = np.ones(shape, bool)
    border[_BORDER:-_BORDER, _BORDER:-_BORDER] = False
    return border


def _trend(means: NDArray[np.float32], known: NDArray[np.bool_], *, degree: int) -> tuple[NDArray[np.float32], float]:
    """(h, w, 3) a polynomial through most of the known cells, and the part of them that it fits."""
    height, width, _ = means.shape
    y, x = np.linspace(-1, 1, height), np.linspace(-1, 1, width)
    powers = [(i, j) for i in range(degree + 1) for j in range(degree + 1 - i)]
    rows, columns = np.nonzero(known)
    step = max(1, len(rows) // _FIT_CELLS)
    rows, columns = rows[::step], columns[::step]
    samples = np.stack([y[rows] ** i * x[columns] ** j for i, j in powers], axis=1)
    colours = means[rows, columns].astype(np.float64)
    error: NDArray[np.floating[Any]] = np.abs(colours - np.median(colours, axis=0)).max(axis=1)
    for _ in range(_FIT_ROUNDS):
        fits = error <= max(3 * float(np.median(error)), 3)
        weights = _least_squares(samples[fits], colours[fits])
        error = np.abs(colours - samples @ weights).max(axis=1)
    by_row = np.zeros((degree + 1, width, 3))
    for (i, j), weight in zip(powers, weights, strict=True):
        by_row[i] += x[:, None] ** j * weight
    trend: NDArray[np.float64] = np.zeros((height, width, 3))
    for i in range(degree + 1):
        trend += y[:, None, None] ** i * by_row[i]
    return trend.astype(np.float32), float((error <= max(3 * float(np.median(error)), 10)).mean())


def _least_squares(samples: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """(T, 3) weights of the (N, T) terms; held near zero where too few cells tell them."""
    normal = samples.T @ samples + 1e-6 * len(samples) * np.eye(samples.shape[1])
    return np.asarray(np.linalg.solve(normal, samples.T @ values), np.float64)


def _manner(cells: Cells, fits: NDArray[np.bool_]) -> Manner:
    """How uneven the background is, from the border."""
    across = np.sqrt((np.diff(cells.means, axis=1) ** 2).mean(axis=2))[fits[:, 1:] & fits[:, :-1]]
    step, kink = float(np.median(across)), float(np.quantile(cells.kinks[fits], 0.95))
    return Manner(step=1.5 + 4 * step, kink=2 + 1.2 * kink, noise=step * cells.px / np.sqrt(2), bend=_BEND / cells.px)


def _shadowed(
    cells: Cells, trend: NDArray[np.float32], fits: NDArray[np.bool_], manner: Manner
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """What is background, and the part of it that lies in shadows: as much as shows no sign of being object."""
    clear = dark = fits
    for strictness in _STRICTNESS:
        strict = manner.stricter(strictness)
        clear = reached(cells.means, cells.kinks, trend, fits, strict)
        clear, dark, sure = true_shadows(cells.means, trend, clear, strict)
        if sure:
            break
    return clear, dark


def _holes(cells: Cells, trend: NDArray[np.float32], clear: NDArray[np.bool_], manner: Manner) -> NDArray[np.bool_]:
    """Enclosed cells that look just like the background, in pieces that are large enough."""
    off = np.sqrt(((cells.means - trend) ** 2).mean(axis=2))
    alike = ~clear & (off <= manner.tolerance) & (cells.kinks <= manner.kink)
    found = pieces(alike)
    chosen = found.sizes >= max(_LEAST_HOLE * clear.size, 10)
    holes = np.zeros_like(clear)
    found.painted(chosen, holes, value=True)
    return reached(cells.means, cells.kinks, trend, holes, manner) & ~clear if chosen.any() else holes


def _plate(means: NDArray[np.float32], trend: NDArray[np.float32], clear: NDArray[np.bool_]) -> NDArray[np.float32]:
    """The means where they show the background; elsewhere the trend, off by as much as the nearest background is."""
    return trend + _continued(means - trend, clear)


@njit(cache=True, nogil=True)
def _continued(values: NDArray[np.float32], known: NDArray[np.bool_]) -> NDArray[np.float32]:
    """(h, w, 3) known values, softened, spread over a few cells and fading beyond."""
    height, width = known.shape
    spread, ring = np.zeros_like(values), np.where(known, 0, 127).astype(np.int8)
    for round_ in range(6):
        for row in range(height):
            for column in range(width):
                if (round_ == 0) != known[row, column] or (round_ and ring[row, column] < 127):
                    continue
                total = np.zeros(3, np.float32)
                count = np.float32(0)
                for y in range(max(row - 1, 0), min(row + 2, height)):
                    for x in range(max(column - 1, 0), min(column + 2, width)):
                        if ring[y, x] < max(round_, 1):
                            for k in range(3):
                                total[k] += values[y, x, k] if round_ == 0 else spread[y, x, k]
                            count += 1
                if count:
                    for k in range(3):
                        spread[row, column, k] = total[k] / count
                    if round_:
                        ring[row, column] = round_
    return spread
