"""What is behind an object: the background of an opaque picture as it would look without the object.

Worked out on cells of a few pixels, whose means have little noise. What can be reached from the border without a sharp
step, and has the background's colour, perhaps darker, is background; so a soft shadow is part of it.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pipeline.geometry.cells import Cells, apart, cells_of, hues, levels
from pipeline.geometry.pieces import pieces
from pipeline.geometry.shadows import Manner, grown, reached, true_shadows

_LEAST_CELLS = 2
"""A picture of fewer cells across has no inside that could differ from its border."""
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
_REACHES, _REACHED = (48, 12, 3), 8.0
"""Cells, from far to near, over which the background's unevenness is averaged, and so many that tell as much as those
farther off.
"""
_SHADED = 3.0
"""Cells that far from the trend, in parts of what most are, are a shadow's rather than the background's unevenness."""
_LEAST_HOLE, _LEAST_NOISY = 2e-4, 1.5e-3
"""The part of the picture from which on enclosed background may be a hole; and where the background is uneven."""
_EVEN, _UNEVEN_MAX = 0.5, 2.0
"""Levels about its trend up to which a background is even, and beyond which more of it excuses no more."""
_NOISY = 2.0
"""Levels: where pixels bend more than that, edges are told by means of many pixels."""
_ALIKE = 1.5
"""Levels from the background up to which the mean of nine cells shows it."""
_HUE, _LEAST_HUE = 2.5, 2.0
"""How far a noisy background's hue strays: in parts of what nine in ten cells keep to, and so many levels at least."""
_DIMMER, _HUELESS, _LEAST_GRAIN = 10.0, 0.7, 0.75
"""Levels by which the light of a hole may be off if its hue is so near, and the least part of the noise that it has."""
_BEND = 0.12
"""How strongly a shadow's slope may bend over two of as many pixels as a cell has, in parts of its darkness."""
_STRICTNESS = ((1.0, 1), (1.0, 3), (1.0, 6), (0.6, 1), (0.35, 1))
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


def background(colours: NDArray[np.uint8]) -> Background | None:
    """The background of an (H, W, 3 or more) sRGB picture; None when most of the border does not look like one."""
    cells = cells_of(colours)
    if min(cells.means.shape[:2]) < _LEAST_CELLS:
        return None
    border = _border(cells.means.shape[:2])
    trend, held = _trend(cells.means, border, degree=2)
    off = apart(cells.means, trend)
    fits = border & (off <= max(3 * float(np.median(off[border])), 8))
    if float(np.median(off[border])) > _NOISE_MAX or held < _BORDER_HELD:
        return None
    if _kink(cells, fits) > _NOISY:
        cells = cells.bent()
    manner = _manner(cells, fits)
    first = reached(cells, trend, fits, replace(manner, steepness=0, slack=_UNTRENDED))
    trend, _ = _trend(cells.means, first, degree=4)
    off = apart(cells.means, trend)
    uneven = _uneven(cells.means - trend, first & (off <= _SHADED * max(1.0, float(np.median(off[first])))))
    trend = trend + uneven
    if manner.noisy:
        strayed = levels(hues(cells.means, trend))[first]
        manner = replace(manner, hue=max(_HUE * float(np.quantile(strayed, 0.9)), _LEAST_HUE))
    clear, dark = _shadowed(cells, trend, fits, manner)
    plain = clear & ~dark
    manner = replace(manner, uneven=_level(uneven[plain]), rough=_level((cells.means - trend)[plain]))
    if manner.noisy:
        clear = clear | _between(cells, trend, plain, manner)
    holes = _holes(cells, trend, clear, manner if dark.any() else replace(manner, steepness=0))
    return Background(
        cell=cells.px,
        clear=clear | holes,
        holes=holes,
        dark=dark,
        plate=_plate(cells.means, trend, clear | holes),
        noise=manner.noise,
    )


def _level(differences: NDArray[np.float32]) -> float:
    """Their root mean square."""
    return float(np.sqrt((differences**2).mean())) if differences.size else 0.0


def _border(shape: tuple[int, int]) -> NDArray[np.bool_]:
    border = np.ones(shape, bool)
    border[_BORDER:-_BORDER, _BORDER:-_BORDER] = False
    return border


def _trend(means: NDArray[np.float32], known: NDArray[np.bool_], *, degree: int) -> tuple[NDArray[np.float32], float]:
    """(h, w, 3) a polynomial through most of the known cells, and the part of them that it fits."""
    height, width, _ = means.shape
    y, x = (np.vander(np.linspace(-1, 1, size), degree + 1, increasing=True) for size in (height, width))
    powers = [(i, j) for i in range(degree + 1) for j in range(degree + 1 - i)]
    rows, columns = np.nonzero(known)
    step = max(1, len(rows) // _FIT_CELLS)
    rows, columns = rows[::step], columns[::step]
    samples = np.stack([y[rows, i] * x[columns, j] for i, j in powers], axis=1)
    colours = means[rows, columns].astype(np.float64)
    error: NDArray[np.floating[Any]] = np.abs(colours - np.median(colours, axis=0)).max(axis=1)
    for _ in range(_FIT_ROUNDS):
        fits = error <= max(3 * float(np.median(error)), 3)
        weights = _least_squares(samples[fits], colours[fits])
        error = np.abs(colours - samples @ weights).max(axis=1)
    by_row = np.zeros((degree + 1, width, 3))
    for (i, j), weight in zip(powers, weights, strict=True):
        by_row[i] += x[:, j, None] * weight
    trend = y @ by_row.reshape(degree + 1, -1)
    held = float((error <= max(3 * float(np.median(error)), 10)).mean())
    return trend.reshape(height, width, 3).astype(np.float32), held


def _between(cells: Cells, trend: NDArray[np.float32], clear: NDArray[np.bool_], manner: Manner) -> NDArray[np.bool_]:
    """What noise has kept from being reached, beside an edge and between two: it is very like the background."""
    off = cells.means - trend
    alike = apart(cells.means, trend) <= min(manner.tolerance, 1 + 3 * manner.rough)
    alike &= (cells.kinks <= manner.kink) & (levels(hues(cells.means, trend)) <= manner.hue)
    mean = _smooth(off, alike | clear, np.zeros_like(off), 1)
    alike &= np.sqrt((mean**2).mean(axis=2)) <= _ALIKE
    while True:
        more = clear | (alike & grown(clear, 1))
        if np.array_equal(more, clear):
            return clear
        clear = more


def _uneven(off: NDArray[np.float32], known: NDArray[np.bool_]) -> NDArray[np.float32]:
    """(h, w, 3) how the background goes up and down about its trend: means around, from far where little is known."""
    smooth = np.zeros_like(off)
    for reach in _REACHES:
        smooth = _smooth(off, known, smooth, reach)
    return smooth


@njit(cache=True, nogil=True, error_model="numpy")
def _smooth(
    values: NDArray[np.float32], known: NDArray[np.bool_], farther: NDArray[np.float32], reach: int
) -> NDArray[np.float32]:
    """(h, w, 3) means of what is known within ``reach`` rows and columns, and of what is expected from farther off."""
    height, width = known.shape
    down = np.zeros((width, 4))
    smooth = np.empty_like(values)
    for row in range(-reach, height):
        for edge, sign in ((row + reach, 1.0), (row - reach - 1, -1.0)):
            if 0 <= edge < height:
                for column in range(width):
                    if known[edge, column]:
                        down[column, 3] += sign
                        for k in range(3):
                            down[column, k] += sign * values[edge, column, k]
        if row < 0:
            continue
        total = np.zeros(4)
        for column in range(-reach, width):
            for k in range(4):
                if column + reach < width:
                    total[k] += down[column + reach, k]
                if column - reach - 1 >= 0:
                    total[k] -= down[column - reach - 1, k]
            if column >= 0:
                for k in range(3):
                    smooth[row, column, k] = (total[k] + _REACHED * farther[row, column, k]) / (total[3] + _REACHED)
    return smooth


def _least_squares(samples: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """(T, 3) weights of the (N, T) terms; held near zero where too few cells tell them."""
    normal = samples.T @ samples + 1e-6 * len(samples) * np.eye(samples.shape[1])
    return np.asarray(np.linalg.solve(normal, samples.T @ values), np.float64)


def _manner(cells: Cells, fits: NDArray[np.bool_]) -> Manner:
    """How uneven the background is, from the border."""
    pairs = fits[:, 1:] & fits[:, :-1]
    across = cells.means[:, 1:][pairs] - cells.means[:, :-1][pairs]
    step, kink = float(np.median(np.sqrt((across**2).mean(axis=1)))), _kink(cells, fits)
    curve = float(np.quantile(cells.bends[1][fits], 0.95))
    return Manner(
        step=1.5 + 4 * step,
        kink=2 + 1.2 * kink,
        curve=1 + 1.3 * curve if kink > _NOISY else np.inf,
        noise=step * cells.px / float(np.sqrt(2)),
        bend=_BEND / cells.px,
    )


def _kink(cells: Cells, fits: NDArray[np.bool_]) -> float:
    """How much pixels bend by noise alone, in levels."""
    return float(np.quantile(cells.kinks[fits], 0.95))


def _shadowed(
    cells: Cells, trend: NDArray[np.float32], fits: NDArray[np.bool_], manner: Manner
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """What is background, and the part of it that lies in shadows: as much as shows no sign of being object."""
    clear = dark = fits
    for strictness in _STRICTNESS:
        strict = manner.stricter(*strictness)
        clear = reached(cells, trend, fits, strict)
        clear, dark, sure = true_shadows(cells.means, trend, clear, strict)
        if sure:
            break
    return clear, dark


def _holes(cells: Cells, trend: NDArray[np.float32], clear: NDArray[np.bool_], manner: Manner) -> NDArray[np.bool_]:
    """Enclosed cells that look just like the background, in pieces that are large enough and as even as it is.

    Noise tells them: where it and the hue are the background's, the light may be off by more than its trend foretells.
    """
    off, tinted = cells.means - trend, hues(cells.means, trend)
    alike = ~clear & (cells.kinks <= manner.kink) & (cells.bends[1] <= manner.curve)
    grain = cells.kinks / max(float(cells.kinks[clear].mean()), 1) if manner.noisy else None
    near = 1.2 + 1.6 * min(manner.uneven, _UNEVEN_MAX)
    holes = _even((off, tinted, grain), alike & (levels(off) <= manner.tolerance), manner, (near, near))
    if grain is not None:
        alike &= ~holes & (levels(off) <= _DIMMER) & (levels(tinted) <= manner.hue)
        holes |= _even((off, tinted, grain), alike, manner, (_DIMMER, _HUELESS))
    return reached(cells, trend, holes, manner) & ~clear if holes.any() else holes


def _even(
    looks: tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32] | None],
    alike: NDArray[np.bool_],
    manner: Manner,
    near: tuple[float, float],
) -> NDArray[np.bool_]:
    """The large pieces of what is alike whose mean is near the trend, and which are as even and noisy as it is."""
    off, tinted, grain = looks
    even = np.zeros_like(alike)
    found = pieces(alike)
    chosen = found.sizes >= max((_LEAST_HOLE if manner.uneven < _EVEN else _LEAST_NOISY) * alike.size, 10)
    if not chosen.any():
        return even
    mean, spread = found.moments(off)
    hue, _ = found.moments(tinted)
    light = np.sqrt(np.maximum(mean**2 - hue**2, 0))
    chosen &= spread <= 1 + 1.7 * manner.rough + 0.3 * min(manner.uneven, _UNEVEN_MAX)
    chosen &= (light <= near[0]) & (hue <= near[1])
    if grain is not None:
        chosen &= found.moments(grain[..., None])[0] >= _LEAST_GRAIN
    found.painted(chosen, even, value=True)
    return even


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
