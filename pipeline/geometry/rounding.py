"""A prior for few views: horizontal slices are superellipses, as round as the colours of the views say.

From the sides alone a hull is boxy: each slice is a rectangle, or several. Within each rectangle with half widths a, b
the slice |x / a|^n + |z / b|^n <= 1 still touches all four sides, so that every silhouette stays covered. The exponent
n is chosen level by level: where the corner that two neighbouring views share shows the same colours in both
(``photoconsistency``), and plain where it never does. A round thing passes one shade from view to view, a box doesn't.
What another view's silhouette needs of a rounded corner is given back (``covering``).
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pipeline.domain.views import ORTHOGRAPHIC_WIDTH, View
from pipeline.geometry.covering import covering, lacking, rays_through
from pipeline.geometry.depths import depths
from pipeline.geometry.outlines import BOXY, steadiness
from pipeline.geometry.photoconsistency import EXPONENTS, Corner, disagreement, reduced
from pipeline.geometry.silhouettes import Silhouette
from pipeline.geometry.slices import PLAIN, Slices, flattened, is_level, others, slices_of, turn_deg, values
from pipeline.geometry.visual_hull import Grid, Hull, grid_around
from pipeline.geometry.volumes import Volume, levelled

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
_BETTER_IF_BOXY = 0.5
"""The same where outlines are those of boxes: wood agrees with itself in many ways."""
_ALL_CORNERS = 4
_CLEARLY, _UNCLEAR = 0.86, 1 / 3.0
"""Of fewer corners none may be what it seems, with a handle that sticks out for example: where these leave more than
this part of the rectangle's disagreement nothing is made rounder than that."""
_ALIKE = 0.006
"""Where even the rectangle's faces differ by less, colours say nothing; objects are round more often than not."""
_USUAL = 1 / 2.5
"""One over the exponent of what nothing decides: between an ellipse and a box."""
_ROUND = 1 / 2.0
"""The same of slices so slanted that a box would be no likelier."""
_TOLD = "Horizontal slices are rounded as the colours of neighbouring views agree best; no outline shows their shape."
_GUESSED = (
    "Horizontal slices are rounded by guess: no outline shows their shape, and colours don't tell round from square."
)
_LEANING = "How deep the object is was guessed in part: two views so near to each other hardly show it."
_DEEP = "How deep the object is at which height was guessed: as deep as it is wide there."
_SLICES_MEND = "To show it, give the top or the bottom, or both leftFront and rightFront, too."
_DEPTH_MEND = "To show it, give the left or the right view, too."


def rounded(hull: Hull, silhouettes: Mapping[View, Silhouette]) -> tuple[Hull, tuple[str, ...]]:
    """The hull without the corners that only missing views leave to it, and what a person should know.

    Horizontal slices are rounded as far as the pictures speak for it, or given a likely depth. The same hull where
    there is nothing to go by, or nothing is round. Silhouettes of all views stay covered.
    """
    slices, views = slices_of(hull), hull.projections.views
    rough = grid_around(hull, _COARSE)
    if rough is None:
        return hull, ()
    grid = _grid(rough)
    if not slices:
        return _deepened(hull, grid)
    open_ = not others(slices, views)
    told = [_judged(hull, one, silhouettes, grid, is_open=open_) for one in slices]
    if all((roundness < PLAIN).all() for roundness, _ in told):
        return hull, ()
    volume = _covering(hull, slices, grid, np.stack([roundness for roundness, _ in told]))
    return replace(hull, volume=volume), tuple(note for _, note in told[-1:] if note)


def _deepened(hull: Hull, grid: Grid) -> tuple[Hull, tuple[str, ...]]:
    field = depths(hull, _points(grid), grid.spacing)
    if field is None:
        return hull, ()
    volume = _volume(field.reshape(grid.shape), grid)
    lack = lacking(hull, volume, rays_through(hull))
    return replace(hull, volume=covering(volume, lack)), (f"{_DEEP} {_DEPTH_MEND}",)


def _judged(
    hull: Hull, slices: Slices, silhouettes: Mapping[View, Silhouette], grid: Grid, *, is_open: bool
) -> tuple[NDArray[np.float64], str]:
    """(L,) one over the exponent of each level's slices, 0 where they stay plain; and a note where no outline tells."""
    plain = np.zeros(grid.shape[1])
    if slices.is_leaning:
        return plain + (_ROUND if is_open else _USUAL), f"{_LEANING} {_DEPTH_MEND}"
    is_boxy = min(steadiness(hull.distances[at]) for at in slices.at) >= BOXY
    told = _roundness(_corners(hull, slices, silhouettes, _levels(grid)), grid.spacing, len(plain), is_boxy=is_boxy)
    if not is_open:  # a guess is for what no other view looks at
        return plain if told is None else told * _without_ledges(hull, slices, grid), ""
    if told is None and is_boxy:
        return plain, ""
    return (plain + _USUAL, f"{_GUESSED} {_SLICES_MEND}") if told is None else (told, f"{_TOLD} {_SLICES_MEND}")


def _without_ledges(hull: Hull, slices: Slices, grid: Grid) -> NDArray[np.float64]:
    """(L,) 1, and 0 around levels where an outline has something flat sticking out.

    Rounded it would be a thin bar, to which ``covering`` would then have to give fins for the other views.
    """
    is_flat = np.zeros(grid.shape[1])
    for at in slices.at:
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


def _covering(hull: Hull, slices: tuple[Slices, ...], grid: Grid, roundness: NDArray[np.float64]) -> Volume:
    """The rounded solid, less round where else much of a silhouette would have to be given back: that makes fins.

    ``roundness`` (K, L): one over the exponents of each pair's slices.
    """
    sent = rays_through(hull)
    while True:
        volume = _solid(slices, grid, roundness)
        lack = lacking(hull, volume, sent)
        rash = (lack.max(axis=(0, 2)) > _RASH * grid.spacing) & (roundness > 0).any(axis=0)
        if not rash.any():
            return covering(volume, lack)
        near = _blurred(rash[:, None].astype(np.float64), _AROUND / grid.spacing)[:, 0] > _FELT
        roundness = np.where(near, np.where(roundness > _LEAST, roundness * _LESS, 0), roundness)


def _solid(slices: tuple[Slices, ...], grid: Grid, roundness: NDArray[np.float64]) -> Volume:
    points = _points(grid)
    by_point = [np.tile(np.repeat(levels, grid.shape[2]), grid.shape[0]) for levels in roundness]
    fields = [values(one, points, each, grid.spacing) for one, each in zip(slices, by_point, strict=True)]
    return _volume(flattened(np.maximum.reduce(fields).reshape(grid.shape), grid.spacing), grid)


def _volume(field: NDArray[np.float32], grid: Grid) -> Volume:
    return Volume(values=levelled(field, grid.spacing), lattice=np.array([*grid.origin, grid.spacing]))


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
    hull: Hull, slices: Slices, silhouettes: Mapping[View, Silhouette], levels: NDArray[np.float64]
) -> list[NDArray[np.float32]]:
    """The disagreement at each corner that two of the views along the pair's directions see."""
    views = hull.projections.views
    seeing = [view for view in views if is_level(view) and turn_deg(slices.pair[0], view) % 90 == 0]
    neighbours = [(one, other) for one in seeing for other in seeing if turn_deg(one, other) == 90]
    used = [view for view in seeing if any(view in both for both in neighbours)]
    colours = {view: reduced(silhouettes[view].colours, silhouettes[view].coverage) for view in used}
    rows = {view: hull.projections.points(views.index(view), levels)[:, 1] - 0.5 for view in used}
    found = slices.spans
    return [
        disagreement(Corner(colours[one], found[one], rows[one], colours[other], found[other], rows[other]))
        for one, other in neighbours
    ]


def _roundness(
    corners: list[NDArray[np.float32]], spacing: float, count: int, *, is_boxy: bool
) -> NDArray[np.float64] | None:
    """(L,) one over the exponent of each slice, 0 where it stays plain; None where colours say nothing.

    ``is_boxy``: outlines speak for a box, so that colours must speak the more clearly for something round.
    """
    if not corners or np.isnan(corners).all():
        return None
    sums, weights = np.nansum(corners, axis=0), np.isfinite(corners).sum(axis=0)[:, :1]
    mean = sums.sum(axis=0) / weights.sum()
    if mean[-1] < _ALIKE:
        return None
    exponents, better = np.array(EXPONENTS), _BETTER_IF_BOXY if is_boxy else _BETTER
    if mean.min() >= better * mean[-1]:
        return np.zeros(count)
    shared = _SHARED / spacing * len(corners)
    blurred = _blurred(np.concatenate([sums, weights], axis=1), _SMOOTHING / spacing)
    judged = (blurred[:, :-1] + shared * mean) / (blurred[:, -1:] + shared)
    best, plain = judged.min(axis=1), judged[:, -1]
    chosen = np.where(best < better * plain, 1 / exponents[judged.argmin(axis=1)], 0)
    if len(corners) < _ALL_CORNERS and mean.min() >= _CLEARLY * mean[-1]:
        chosen = np.minimum(chosen, _UNCLEAR)
    chosen = np.where(plain < _ALIKE, 0 if is_boxy else _USUAL, chosen)
    smooth: NDArray[np.float64] = _blurred(chosen[:, None], _SMOOTHING / spacing / 2)[:, 0]
    return smooth / _blurred(np.ones((count, 1)), _SMOOTHING / spacing / 2)[:, 0]


def _blurred(columns: NDArray[np.floating], deviation: float) -> NDArray[np.float64]:
    """Sums along the first axis, weighted by a Gaussian that is 1 in its middle."""
    reach = int(3 * deviation) + 1
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / deviation) ** 2)
    padded = np.pad(columns.astype(np.float64), ((reach, reach), (0, 0)))
    sums: NDArray[np.float64] = sum(weight * padded[at : at + len(columns)] for at, weight in enumerate(weights))
    return sums


def _points(grid: Grid) -> NDArray[np.float64]:
    """(V, 3) all points of a grid, x fastest."""
    x, y, z = (start + grid.spacing * np.arange(n) for start, n in zip(grid.origin, grid.shape[::-1], strict=True))
    return np.stack([axis.ravel() for axis in np.meshgrid(z, y, x, indexing="ij")][::-1], axis=1)
