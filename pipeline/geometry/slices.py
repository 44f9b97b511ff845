"""Level slices through an object that the silhouettes of two directions bound, and superellipses inscribed in them.

A view from the side shows a level slice as a span, along one row. Between the ends of two views' spans lies a
rectangle, or a parallelogram where the directions are not square to each other. What is thin in one view against the
thickest part of its row (a tail, an arm, a handle) is thin along that view's direction, too, and lies at the other
view's thickest part: there every span of either view meets something solid, so that no outline is uncovered.
"""

from dataclasses import dataclass, replace
from math import cos, radians

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pipeline.domain.views import CAMERAS, ORTHOGRAPHIC_WIDTH, View
from pipeline.geometry.cameras import Cameras
from pipeline.geometry.outlines import NOWHERE, Profile, profile, thickness_at
from pipeline.geometry.photoconsistency import Spans, spans
from pipeline.geometry.threads import shared_out
from pipeline.geometry.visual_hull import Hull

PLAIN = 1 / 13
"""One over the exponent from which on a slice is left as it is."""
FRONTS = View.FRONT, View.BACK
_SIDES = View.LEFT, View.RIGHT
_DIAGONALS = View.RIGHT_FRONT, View.LEFT_FRONT
_OUTSIDE = 1.5
"""So many half widths from the middle the exponent makes no difference."""
_THIN, _SLACK = 2.0, 0.1
"""Spacings of the grid: parts of less half width are not rounded; how much too large all is made, to be safe."""
_NEAR = 5.0
"""Spacings outside that are out of any doubt."""
_OFF_MIDDLE = 0.6
"""Slices are widest no further from the middle than that part of the way to their ends."""
_MIRRORED = 0.95
"""An outline and its mirror image that overlap by so much (intersection over union) are of a mirrored object."""
_LEAN_MAX = 0.92
"""Of the slices of two directions 45 degrees apart: with more they would be knives."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slices:
    """Two directions that bound level slices, and how views show these."""

    pair: tuple[View, View]
    """The views that stand for the directions; where these are square the second camera is to the first one's right."""
    at: tuple[int, int]
    """Their numbers."""
    cameras: Cameras
    spans: dict[View, Spans]
    """Of all views from the sides."""
    profiles: tuple[Profile, Profile]
    """Of the two views, where they are square to each other: how thick their outlines are where."""
    middle: float | None = None
    """The x about which the object is taken to be mirrored, where its other half shows what no view does."""

    @property
    def apart_deg(self) -> float:
        """The angle between the directions, 0..360."""
        return turn_deg(*self.pair)

    @property
    def is_leaning(self) -> bool:
        """Whether the directions are not square to each other."""
        return self.apart_deg % 90 > 0


def turn_deg(one: View, other: View) -> float:
    """By how much the second camera stands further to the object's left than the first, 0..360."""
    return (CAMERAS[other].azimuth_deg - CAMERAS[one].azimuth_deg) % 360


def is_level(view: View) -> bool:
    return CAMERAS[view].elevation_deg == 0


def slices_of(hull: Hull) -> tuple[Slices, ...]:
    """The pairs of directions by which a hull's views bound level slices best; none where they look along one line.

    Diagonal views count where neither left nor right is there: with one another, and each with the front.
    """
    views = hull.projections.views
    front, side = (_first(of, views) for of in (FRONTS, _SIDES))
    diagonals = [view for view in _DIAGONALS if view in views]
    pairs = [(front, side)] if front and side else [(front, view) for view in diagonals if front]
    if len(diagonals) > 1 and not (front and side):
        pairs.insert(0, (diagonals[0], diagonals[1]))
    found = {view: spans(hull.distances[at]) for at, view in enumerate(views) if is_level(view)} if pairs else {}
    lonely = len(pairs) == 1 and len(diagonals) == 1 and not side
    middle = _middle(hull, views.index(pairs[0][0])) if lonely else None
    ordered = [pair if turn_deg(*pair) % 90 or turn_deg(*pair) < 180 else pair[::-1] for pair in pairs]
    return tuple(
        Slices(
            pair=pair,
            at=(views.index(pair[0]), views.index(pair[1])),
            cameras=hull.projections.cameras,
            spans=found,
            profiles=_profiles(hull, pair),
            middle=middle,
        )
        for pair in ordered
    )


def _profiles(hull: Hull, pair: tuple[View, View]) -> tuple[Profile, Profile]:
    if turn_deg(*pair) % 90:
        return NOWHERE, NOWHERE
    views, pixels = hull.projections.views, hull.projections.cameras.pixels
    one, other = shared_out(lambda at: profile(hull.distances[at], pixels[at]), [views.index(view) for view in pair])
    return one, other


def _first(of: tuple[View, ...], views: tuple[View, ...]) -> View | None:
    return next((view for view in of if view in views), None)


def others(slices: tuple[Slices, ...], views: tuple[View, ...]) -> list[View]:
    """The views that look along none of the directions."""
    along = [view for one in slices for view in one.pair]
    return [view for view in views if not (is_level(view) and any(turn_deg(view, one) % 180 == 0 for one in along))]


def _middle(hull: Hull, at: int) -> float | None:
    """The x in the middle of an outline whose left and right halves mirror each other; None of another outline."""
    inside = hull.distances[at] < 0
    columns = np.flatnonzero(inside.any(axis=0))
    if not len(columns):
        return None
    shown = inside[:, columns[0] : columns[-1] + 1]
    if (shown & shown[:, ::-1]).sum() < _MIRRORED * (shown | shown[:, ::-1]).sum():
        return None
    framing, size = hull.projections.framings[at], hull.projections.size
    across = ((columns[0] + columns[-1] + 1) / 2 / size - 0.5) * ORTHOGRAPHIC_WIDTH
    return float((across - framing.right) / framing.scale * hull.projections.cameras.frames[at, 0, 0])


def values(
    slices: Slices, points: NDArray[np.float64], roundness: NDArray[np.float64], spacing: float
) -> NDArray[np.float32]:
    """(V,) at (V, 3) points: about the distance from the rounded slices, each within its level; negative inside.

    ``roundness`` (V,) is one over the exponents, ``spacing`` that of the grid on which the values are to be kept.
    """
    if slices.middle is not None:
        mirrored = points * [-1, 1, 1] + [2 * slices.middle, 0, 0]
        alone = replace(slices, middle=None)
        return np.maximum(*(values(alone, of, roundness, spacing) for of in (points, mirrored)))
    (one, other), ends = slices.at, [slices.spans[view] for view in slices.pair]
    lean = round(cos(radians(slices.apart_deg)), 9)
    shown = (one, ends[0], *slices.profiles[0]), (other, ends[1], *slices.profiles[1])
    return _superellipses(slices.cameras, *shown[0], *shown[1], points, roundness, spacing, lean)


@njit(cache=True, nogil=True, error_model="numpy")
def _superellipses(
    cameras: Cameras,
    one: int,
    one_spans: Spans,
    one_thick: NDArray[np.float32],
    one_peaks: NDArray[np.float32],
    other: int,
    other_spans: Spans,
    other_thick: NDArray[np.float32],
    other_peaks: NDArray[np.float32],
    points: NDArray[np.float64],
    roundness: NDArray[np.float64],
    spacing: float,
    lean: float,
) -> NDArray[np.float32]:
    """``lean`` is the cosine of the angle between the directions."""
    found = np.empty(len(points), np.float32)
    thinnest = _THIN * spacing
    for p in range(len(points)):
        x, y, z = points[p, 0], points[p, 1], points[p, 2]
        u, wide, a, one_column, one_row = place(cameras, one, one_spans, x, y, z)
        v, deep, b, other_column, other_row = place(cameras, other, other_spans, x, y, z)
        if one_peaks.size:
            k, j = int(one_row), int(other_row)
            u = _from_peak(u, one_spans.starts[k, a], one_spans.stops[k, a], one_peaks[k])
            v = _from_peak(v, other_spans.starts[j, b], other_spans.stops[j, b], other_peaks[j])
        inverse, least, largest, beyond = roundness[p], min(wide, deep), max(abs(u), abs(v)), -np.inf
        if lean:
            # Of all ellipses that touch the parallelogram's sides, the one along and across the first direction.
            along = min(max(lean * wide / deep, -_LEAN_MAX), _LEAN_MAX)
            u, v = (u + v) / np.sqrt(2 * (1 + along)), (u - v) / np.sqrt(2 * (1 - along))
        u, v = abs(u), abs(v)
        if inverse >= PLAIN and 0 < largest < _OUTSIDE:
            exponent, larger = 1 / inverse, max(u, v)
            larger *= ((u / larger) ** exponent + (v / larger) ** exponent) ** inverse
            if one_peaks.size and (larger - 1) * least < _NEAR * spacing:
                # As deep as the first view shows it thick there, and as wide as the second one does.
                thick = thickness_at(one_thick, len(one_spans.counts), one_column, one_row) ** (2 * inverse)
                beyond = (v * v - max(thick, (thinnest / deep) ** 2)) / (v + 1) * deep
                thick = thickness_at(other_thick, len(other_spans.counts), other_column, other_row) ** (2 * inverse)
                beyond = max(beyond, (u * u - max(thick, (thinnest / wide) ** 2)) / (u + 1) * wide)
            largest = max(largest, larger)
        # What the grid is too coarse for stays plain: a little beyond the rectangle.
        slack = _SLACK * spacing + max(thinnest - least, 0.0) + 1.5 * spacing * max(1 - 4 * inverse, 0.0)
        found[p] = max((largest - 1) * least, beyond) - slack
    return found


@njit(cache=True, nogil=True, error_model="numpy")
def place(
    cameras: Cameras, view: int, found: Spans, x: float, y: float, z: float
) -> tuple[float, float, int, float, float]:
    """A point's place in the span that shows it, -1 and 1 at the ends; half the span in world units; the number of the
    span in its row; the column and the row where the view sees the point, the row within the picture.
    """
    m = cameras.matrices
    weight = m[view, 2, 0] * x + m[view, 2, 1] * y + m[view, 2, 2] * z + m[view, 2, 3]
    column = (m[view, 0, 0] * x + m[view, 0, 1] * y + m[view, 0, 2] * z + m[view, 0, 3]) / weight - 0.5
    down = (m[view, 1, 0] * x + m[view, 1, 1] * y + m[view, 1, 2] * z + m[view, 1, 3]) / weight
    down = min(max(down, 0.0), len(found.counts) - 1.0)
    row = int(down)
    at, last = 0, found.counts[row] - 1
    while at < last and column > (found.stops[row, at] + found.starts[row, at + 1]) / 2:
        at += 1
    half = max((found.stops[row, at] - found.starts[row, at]) / 2, 1e-3)
    return (column - (found.starts[row, at] + half)) / half, half * cameras.pixels[view] * weight, at, column, down


@njit(cache=True, nogil=True, error_model="numpy")
def _from_peak(off: float, start: float, stop: float, peak: float) -> float:
    """A place in a span that is 0 in its middle, as one that is 0 at the row's peak where that lies in the span."""
    if not start < peak < stop:
        return off
    middle = min(max((2 * peak - start - stop) / (stop - start), -_OFF_MIDDLE), _OFF_MIDDLE)
    return (off - middle) / (1 - middle) if off > middle else (off - middle) / (1 + middle)


@njit(cache=True, nogil=True, error_model="numpy")
def flattened(field: NDArray[np.float32], spacing: float) -> NDArray[np.float32]:
    """(nz, ny, nx) with the same zero level, no steeper where slices change with the height."""
    flat = np.empty_like(field)
    depth, height, width = field.shape
    for k in range(depth):
        for j in range(height):
            below, above = max(j - 1, 0), min(j + 1, height - 1)
            run = max(above - below, 1) * spacing
            for i in range(width):
                slope = (field[k, above, i] - field[k, below, i]) / run
                flat[k, j, i] = field[k, j, i] / np.sqrt(1 + slope * slope)
    return flat
