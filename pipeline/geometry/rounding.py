"""A prior for few views: horizontal slices are superellipses, as round as the colours of the views say.

From the sides alone a hull is boxy: each slice is a rectangle, or several. Within each rectangle with half widths a, b
the slice |x / a|^n + |z / b|^n <= 1 still touches all four sides, so that every silhouette stays covered. The exponent
n is chosen level by level: where the corner that two neighbouring views share shows the same colours in both
(``photoconsistency``), and plain where it never does. A round thing passes one shade from view to view, a box doesn't.
What another view's silhouette needs of a rounded corner is given back (``covering``).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pipeline.domain.views import CAMERAS, ORTHOGRAPHIC_WIDTH, View
from pipeline.geometry.cameras import Cameras
from pipeline.geometry.covering import covering, lacking, rays
from pipeline.geometry.photoconsistency import EXPONENTS, Corner, Spans, disagreement, reduced, spans
from pipeline.geometry.silhouettes import Silhouette
from pipeline.geometry.visual_hull import Grid, Hull, grid_around
from pipeline.geometry.volumes import Volume, levelled

_PAIRS = (
    ((View.FRONT, View.BACK), (View.LEFT, View.RIGHT)),
    ((View.RIGHT_FRONT,), (View.LEFT_FRONT,)),
)
"""Two directions that bound a slice, best first, each with the views that look along it."""
_POINTS = 800_000
"""Of the grid on which the rounded solid is kept."""
_FINEST = ORTHOGRAPHIC_WIDTH / 256
_RASH = 2.0
"""So many spacings of the grid must be given back to a ray before its level is called too round."""
_FLAT = 0.035
"""World units of height below which a part of a silhouette is flat."""
_LEDGE = 0.006
"""The part of a row that flat parts must fill to count."""
_AROUND, _FELT = 0.012, 0.3
"""How far around such levels (world units, standard deviation), and from what sum of them on, others are less round."""
_LESS, _LEAST = 0.4, 0.15
_COARSE = ORTHOGRAPHIC_WIDTH / 112
"""The spacing on which the hull's extent is looked for."""
_SMOOTHING = 0.034
"""World units of height over which levels are judged together (standard deviation)."""
_SHARED = 0.11
"""How much the whole object's judgement counts in each level's: as so many world units of levels."""
_BETTER = 0.9
"""The best curve must leave less than this part of the rectangle's disagreement, or the slices stay plain."""
_ALIKE = 0.006
"""Where even the rectangle's faces differ by less, colours say nothing; objects are round more often than not."""
_USUAL = 1 / 2.5
"""One over the exponent of what nothing decides: between an ellipse and a box."""
_PLAIN = 1 / 13
"""One over the exponent from which on a slice is left as it is."""
_OUTSIDE = 1.5
"""So many half widths from the middle the exponent makes no difference."""
_THIN, _SLACK = 2.0, 0.1
"""Spacings of the grid: parts of less half width are not rounded; how much too large all is made, to be safe."""
_TOLD = "Horizontal slices are rounded as the colours of neighbouring views agree best; no outline shows their shape."
_GUESSED = (
    "Horizontal slices are rounded by guess: no outline shows their shape, and colours don't tell round from square."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Axes:
    """The two directions that bound the slices."""

    at: tuple[int, int]
    """Numbers of the views that stand for them."""
    spans: tuple[Spans, Spans]


def rounded(hull: Hull, silhouettes: Mapping[View, Silhouette]) -> tuple[Hull, tuple[str, ...]]:
    """The hull with its horizontal slices rounded as far as the pictures speak for it, and what a person should know.

    The same hull where no two views bound the slices or nothing is round. Silhouettes of all views stay covered.
    """
    pair = _pair(hull.projections.views)
    rough = grid_around(hull, _COARSE) if pair else None
    if pair is None or rough is None:
        return hull, ()
    views, grid = hull.projections.views, _grid(rough)
    found = {view: spans(hull.distances[at]) for at, view in enumerate(views) if _is_level(view)}
    axes = _Axes(at=(views.index(pair[0]), views.index(pair[1])), spans=(found[pair[0]], found[pair[1]]))
    told = _roundness(_corners(hull, silhouettes, found, pair, _levels(grid)), grid.spacing, grid.shape[1])
    if told is None and _others(hull, axes):
        return hull, ()  # a guess is for what no other view looks at
    roundness = _USUAL + np.zeros(grid.shape[1]) if told is None else told
    if _others(hull, axes):
        roundness = roundness * _without_ledges(hull, axes, grid)
    if (roundness < _PLAIN).all():
        return hull, ()
    volume = _covering(hull, axes, grid, roundness)
    notes = () if _others(hull, axes) else (_TOLD if told is not None else _GUESSED,)
    return replace(hull, volume=volume), notes


def _without_ledges(hull: Hull, axes: _Axes, grid: Grid) -> NDArray[np.float64]:
    """(L,) 1, and 0 around levels where an outline has something flat sticking out.

    Rounded it would be a thin bar, to which ``covering`` would then have to give fins for the other views.
    """
    is_flat = np.zeros(grid.shape[1])
    for at in axes.at:
        row = hull.projections.points(at, _levels(grid))[:, 1] - 0.5
        high = max(round(_FLAT / hull.projections.cameras.pixels[at]), 1)
        flat = ledges(hull.distances[at], high)
        is_flat = np.maximum(is_flat, np.interp(row, np.arange(len(flat)), flat > _LEDGE * len(flat)))
    near: NDArray[np.float64] = np.clip(2 * _blurred(is_flat[:, None], _AROUND / grid.spacing)[:, 0], 0, 1)
    return 1 - near


@njit(cache=True, nogil=True)
def ledges(distance: NDArray[np.float32], high: int) -> NDArray[np.int64]:
    """(S,) how many of each row's pixels are in the silhouette, but not in a column of it that is so ``high``."""
    counts, runs = np.zeros(len(distance), np.int64), np.zeros(distance.shape[1], np.int64)
    for row in range(len(distance) + 1):
        for column in range(distance.shape[1]):  # of all columns side by side, as they lie in memory
            if row < len(distance) and distance[row, column] < 0:
                runs[column] += 1
            elif runs[column]:
                if runs[column] < high:
                    counts[row - runs[column] : row] += 1
                runs[column] = 0
    return counts


def _covering(hull: Hull, axes: _Axes, grid: Grid, roundness: NDArray[np.float64]) -> Volume:
    """The rounded solid, less round where else much of a silhouette would have to be given back: that makes fins."""
    sent = rays(hull)
    while True:
        volume = _solid(hull, axes, grid, roundness)
        lack = lacking(hull, volume, sent)
        rash = (lack.max(axis=(0, 2)) > _RASH * grid.spacing) & (roundness > 0)
        if not rash.any():
            return covering(volume, lack)
        near = _blurred(rash[:, None].astype(np.float64), _AROUND / grid.spacing)[:, 0] > _FELT
        roundness = np.where(near, np.where(roundness > _LEAST, roundness * _LESS, 0), roundness)


def _solid(hull: Hull, axes: _Axes, grid: Grid, roundness: NDArray[np.float64]) -> Volume:
    lattice = np.array([*grid.origin, grid.spacing])
    (one, other), cameras = axes.at, hull.projections.cameras
    values = _superellipses(cameras, one, axes.spans[0], other, axes.spans[1], lattice, grid.shape, roundness)
    values = levelled(_flattened(values, grid.spacing), grid.spacing)
    return Volume(values=values, lattice=lattice)


def _pair(views: tuple[View, ...]) -> tuple[View, View] | None:
    """A view for each of two directions; the second one's camera stands to the object's left of the first one's."""
    for first, second in _PAIRS:
        one, other = (next((view for view in both if view in views), None) for both in (first, second))
        if one and other:
            return (one, other) if _turn(one, other) < 180 else (other, one)
    return None


def _turn(one: View, other: View) -> float:
    return (CAMERAS[other].azimuth_deg - CAMERAS[one].azimuth_deg) % 360


def _is_level(view: View) -> bool:
    return CAMERAS[view].elevation_deg == 0


def _grid(rough: Grid) -> Grid:
    """A grid of about ``_POINTS`` in all, given one that holds the hull."""
    spacing = max(rough.spacing * float(np.cbrt(np.prod(rough.shape) / _POINTS)), _FINEST)
    shape = [int(np.ceil((n - 1) * rough.spacing / spacing)) + 1 for n in rough.shape]
    return Grid(origin=rough.origin, spacing=spacing, shape=(shape[0], shape[1], shape[2]))


def _levels(grid: Grid) -> NDArray[np.float64]:
    """(L, 3) points on the axis, one for each level of the grid."""
    heights = grid.origin[1] + grid.spacing * np.arange(grid.shape[1])
    return np.stack([np.zeros_like(heights), heights, np.zeros_like(heights)], axis=1)


def _corners(
    hull: Hull,
    silhouettes: Mapping[View, Silhouette],
    found: Mapping[View, Spans],
    pair: tuple[View, View],
    levels: NDArray[np.float64],
) -> list[NDArray[np.float32]]:
    """The disagreement at each corner that two of the views see, of the pair's directions."""
    views, turn = hull.projections.views, _turn(*pair)
    seeing = [view for view in found if _turn(pair[0], view) % 180 in (0, turn)]
    neighbours = [
        (one, other)
        for one in seeing
        for other in seeing
        if _turn(one, other) == (turn if _turn(pair[0], one) % 180 == 0 else 180 - turn)
    ]
    used = [view for view in seeing if any(view in both for both in neighbours)]
    colours = {view: reduced(silhouettes[view].colours, silhouettes[view].coverage) for view in used}
    rows = {view: hull.projections.points(views.index(view), levels)[:, 1] - 0.5 for view in used}
    return [
        disagreement(Corner(colours[one], found[one], rows[one], colours[other], found[other], rows[other]))
        for one, other in neighbours
    ]


def _roundness(corners: list[NDArray[np.float32]], spacing: float, count: int) -> NDArray[np.float64] | None:
    """(L,) one over the exponent of each level, 0 where slices stay plain; None where colours say nothing."""
    if not corners or np.isnan(corners).all():
        return None
    sums, weights = np.nansum(corners, axis=0), np.isfinite(corners).sum(axis=0)[:, :1]
    mean = sums.sum(axis=0) / weights.sum()
    if mean[-1] < _ALIKE:
        return None
    if mean.min() >= _BETTER * mean[-1]:
        return np.zeros(count)
    shared = _SHARED / spacing * len(corners)
    blurred = _blurred(np.concatenate([sums, weights], axis=1), _SMOOTHING / spacing)
    judged = (blurred[:, :-1] + shared * mean) / (blurred[:, -1:] + shared)
    best, plain = judged.min(axis=1), judged[:, -1]
    chosen = np.where(best < _BETTER * plain, 1 / np.array(EXPONENTS)[judged.argmin(axis=1)], 0)
    chosen = np.where(plain < _ALIKE, _USUAL, chosen)
    smooth: NDArray[np.float64] = _blurred(chosen[:, None], _SMOOTHING / spacing / 2)[:, 0]
    return smooth / _blurred(np.ones((count, 1)), _SMOOTHING / spacing / 2)[:, 0]


def _blurred(columns: NDArray[np.floating], deviation: float) -> NDArray[np.float64]:
    """Sums along the first axis, weighted by a Gaussian that is 1 in its middle."""
    reach = int(3 * deviation) + 1
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / deviation) ** 2)
    padded = np.pad(columns.astype(np.float64), ((reach, reach), (0, 0)))
    sums: NDArray[np.float64] = sum(weight * padded[at : at + len(columns)] for at, weight in enumerate(weights))
    return sums


def _others(hull: Hull, axes: _Axes) -> list[int]:
    """Numbers of the views that look along neither of the axes."""
    views = hull.projections.views
    turns = [_turn(views[axes.at[0]], view) % 180 for view in views]
    return [at for at, view in enumerate(views) if not _is_level(view) or turns[at] not in {turns[k] for k in axes.at}]


@njit(cache=True, nogil=True, error_model="numpy")
def _superellipses(
    cameras: Cameras,
    one: int,
    one_spans: Spans,
    other: int,
    other_spans: Spans,
    lattice: NDArray[np.float64],
    shape: tuple[int, int, int],
    roundness: NDArray[np.float64],
) -> NDArray[np.float32]:
    """(nz, ny, nx) about the distance from the rounded slices, each within its level; negative inside."""
    values, spacing = np.empty(shape, np.float32), lattice[3]
    for k in range(shape[0]):
        z = lattice[2] + spacing * k
        for j in range(shape[1]):
            y, inverse = lattice[1] + spacing * j, roundness[j]
            steepness = 2 ** max(inverse - 0.5, 0.0)
            always = (_SLACK + 1.5 * max(1 - 4 * inverse, 0.0)) * spacing  # what the grid is too coarse for stays plain
            for i in range(shape[2]):
                x = lattice[0] + spacing * i
                u, wide = _place(cameras, one, one_spans, x, y, z)
                v, deep = _place(cameras, other, other_spans, x, y, z)
                least, largest = min(wide, deep), max(u, v)
                if inverse >= _PLAIN and 0 < largest < _OUTSIDE:
                    largest *= (1 + (min(u, v) / largest) ** (1 / inverse)) ** inverse
                values[k, j, i] = (largest - 1) * least / steepness - always - max(_THIN * spacing - least, 0.0)
    return values


@njit(cache=True, nogil=True, error_model="numpy")
def _place(cameras: Cameras, view: int, found: Spans, x: float, y: float, z: float) -> tuple[float, float]:
    """A point's distance from the middle of the span that shows it, 1 at the ends; half the span in world units."""
    m = cameras.matrices
    weight = m[view, 2, 0] * x + m[view, 2, 1] * y + m[view, 2, 2] * z + m[view, 2, 3]
    column = (m[view, 0, 0] * x + m[view, 0, 1] * y + m[view, 0, 2] * z + m[view, 0, 3]) / weight - 0.5
    row = int((m[view, 1, 0] * x + m[view, 1, 1] * y + m[view, 1, 2] * z + m[view, 1, 3]) / weight)
    row = min(max(row, 0), len(found.counts) - 1)
    at, last = 0, found.counts[row] - 1
    while at < last and column > (found.stops[row, at] + found.starts[row, at + 1]) / 2:
        at += 1
    half = max((found.stops[row, at] - found.starts[row, at]) / 2, 1e-3)
    return abs(column - (found.starts[row, at] + half)) / half, half * cameras.pixels[view] * weight


@njit(cache=True, nogil=True, error_model="numpy")
def _flattened(values: NDArray[np.float32], spacing: float) -> NDArray[np.float32]:
    """The same zero level, no steeper where slices change with the height."""
    flat = np.empty_like(values)
    depth, height, width = values.shape
    for k in range(depth):
        for j in range(height):
            below, above = max(j - 1, 0), min(j + 1, height - 1)
            run = max(above - below, 1) * spacing
            for i in range(width):
                slope = (values[k, above, i] - values[k, below, i]) / run
                flat[k, j, i] = values[k, j, i] / np.sqrt(1 + slope * slope)
    return flat
