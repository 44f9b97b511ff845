"""Whether silhouettes agree under given framings: is what one view shows there in all the others?

A ray through a point of one view's silhouette must pass through the solid that the other views leave. How far it misses
is measured against their outlines without any grid in space. With all outlines' points this is the silhouette
coherence of Hernandez, Schmitt and Cipolla, "Silhouette Coherence for Camera Calibration under Circular Motion" (2007).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pipeline.domain.views import CAMERAS, ORTHOGRAPHIC_WIDTH, View
from pipeline.geometry.distances import distance_from, signed_distance, softened
from pipeline.geometry.rays import PIXEL, SIZE, march, passing, slopes_of_misses
from pipeline.geometry.resampling import resampled

_OUTLINE_POINTS = 144
"""Of each view."""
_STRIDES, _POINTS_MIN = (4, 2, 1), 400
"""Pixels between the points inside silhouettes at which agreement is counted: the first that gives so many points, for
one of too few that falls on a sharp tip would tell against a consistent set.
"""
_THIN = 0.5
"""Pixels from the middle of parts too thin to be seen at ``SIZE`` to their outline."""
_TOLERANCE = 0.6
"""Pixels; a ray that misses by less passes."""
COARSE_PX = 32
"""Pictures of so few pixels can't be expected to agree closer than to their own pixels."""
CONSISTENT, CONSISTENT_CUT_OUT = 0.99, 0.96
"""Silhouettes of one object in one frame agree by so much at least: given ones, and ones found before a background."""

Parameters = NDArray[np.float64]
"""(N, 4) scale, right, up and perspective of each view, as in ``Framing``."""


@dataclass(frozen=True)
class Outlines:
    """The silhouettes of N views, ready to be compared."""

    views: tuple[View, ...]
    distances: NDArray[np.float32]
    """(N, SIZE, SIZE) pixels, negative inside."""
    inside: tuple[NDArray[np.float64], ...]
    """(Q, 2) points inside each silhouette, evenly spread: right, up (world units from the picture's middle)."""
    consistent: float = CONSISTENT
    """The least agreement of silhouettes that contradict nothing."""
    tolerance: float = _TOLERANCE * PIXEL
    """World units; a ray that misses by less passes."""

    @cached_property
    def frames(self) -> NDArray[np.float64]:
        """(N, 3, 3) unit vectors right, up, backward of each view."""
        return np.array([[CAMERAS[view].right, CAMERAS[view].up, CAMERAS[view].backward] for view in self.views])

    @cached_property
    def boxes(self) -> NDArray[np.float64]:
        """(N, 4) left, right, bottom, top of each silhouette, world units from the picture's middle."""
        return np.array([_box(plane) for plane in self.distances])

    @cached_property
    def contour(self) -> NDArray[np.float64]:
        """(P, 3) points on the outlines: number of the view, right, up (world units from the picture's middle)."""
        return np.concatenate([_tagged(at, _contour(plane)) for at, plane in enumerate(self.distances)])

    def without(self, view: View) -> "Outlines":
        return self.only([at for at, one in enumerate(self.views) if one is not view])

    def only(self, at: Sequence[int]) -> "Outlines":
        """The views of these numbers."""
        keep = list(at)
        views, inside = tuple(self.views[at] for at in keep), tuple(self.inside[at] for at in keep)
        return replace(self, views=views, distances=self.distances[keep], inside=inside)

    def mirrored(self, view: View) -> "Outlines":
        """The same with one picture's left and right exchanged."""
        return self._with(view, self.distances[self.views.index(view), :, ::-1])

    def turned(self, view: View, quarters: int) -> "Outlines":
        """The same with one picture turned counter-clockwise by so many right angles."""
        return self._with(view, np.rot90(self.distances[self.views.index(view)], quarters))

    def exchanged(self, one: View, other: View) -> "Outlines":
        """The same with each of two pictures under the other one's name."""
        names = {one: other, other: one}
        order = [self.views.index(names.get(view, view)) for view in self.views]
        return replace(self, distances=self.distances[order], inside=tuple(self.inside[at] for at in order))

    def _with(self, view: View, plane: NDArray[np.float32]) -> "Outlines":
        at, distances, inside = self.views.index(view), self.distances.copy(), list(self.inside)
        distances[at], inside[at] = plane, _inside(plane)
        return replace(self, distances=distances, inside=tuple(inside))


def outlines(coverages: Mapping[View, NDArray[np.float32]], *, given: bool = True) -> Outlines:
    """Prepare (S, S) coverages, 0..1, for comparison; ``given`` as in ``Silhouette``, of all."""
    distances = np.stack([_distances(plane) for plane in coverages.values()])
    size = min(len(plane) for plane in coverages.values())
    return Outlines(
        tuple(coverages),
        distances,
        tuple(map(_inside, distances)),
        CONSISTENT if given else CONSISTENT_CUT_OUT,
        _TOLERANCE * (ORTHOGRAPHIC_WIDTH / size if size <= COARSE_PX else PIXEL),
    )


def shared(outlines_: Outlines) -> Parameters:
    """The parameters of orthographic pictures that share one frame."""
    return np.tile([1.0, 0.0, 0.0, 0.0], (len(outlines_.views), 1))


def misses(seen: Outlines, parameters: Parameters) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """By how much the rays through the outlines' points miss the other views' solid.

    (P,) world units, 0 where they don't; and (P,) how deep on the ray they come nearest, backward of the origin.
    """
    off, depths = march(seen.distances, seen.frames, parameters, seen.contour)
    return off, depths


def slopes(
    seen: Outlines, parameters: Parameters, off: NDArray[np.float64], depths: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(P, N, 4) how the ``misses`` change with the parameters."""
    changes: NDArray[np.float64] = slopes_of_misses(
        seen.distances, seen.frames, parameters.copy(), seen.contour, off, depths
    )
    return changes


def agreements(seen: Outlines, parameters: Parameters) -> NDArray[np.float64]:
    """(N,) intersection over union of each silhouette and the hull of all, as that view shows it.

    The hull lies within every silhouette, so that this is the part of the silhouette whose rays meet the hull.
    """
    return np.array([_agreement(seen, parameters, at) for at in range(len(seen.views))])


def agree(seen: Outlines, parameters: Parameters, first: Sequence[View] = ()) -> bool:
    """Whether the silhouettes of all views are consistent; cheap to deny when ``first`` ones are not."""
    order = sorted(range(len(seen.views)), key=lambda at: seen.views[at] not in first)
    return all(_agreement(seen, parameters, at) >= seen.consistent for at in order)


def _agreement(seen: Outlines, parameters: Parameters, at: int) -> float:
    points = seen.inside[at]
    if not len(points):
        return 1.0
    count: int = passing(seen.distances, seen.frames, parameters, at, points, seen.tolerance)
    return count / len(points)


def extents(seen: Outlines, parameters: Parameters) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(3,) lowest and (3,) highest x, y and z of the outlines' points where their rays come nearest to the solid."""
    _, depths = misses(seen, parameters)
    views = seen.contour[:, 0].astype(np.intp)
    scale, shift, perspective = parameters[views, :1], parameters[views, 1:3], parameters[views, 3:]
    start = np.einsum("pa,pax->px", (seen.contour[:, 1:] - shift) / scale, seen.frames[views, :2])
    points = start + depths[:, None] * (seen.frames[views, 2] - perspective * start)
    return points.min(axis=0), points.max(axis=0)


def _distances(coverage: NDArray[np.float32]) -> NDArray[np.float32]:
    """(SIZE, SIZE) signed distances; parts of a silhouette that vanish when it is made smaller stay, as lines."""
    smaller = resampled(coverage, SIZE, SIZE)
    soft = softened(smaller)
    far = np.full((SIZE, SIZE), 2 * SIZE, np.float32)
    distances = signed_distance(smaller) if soft.max() >= 0.5 > soft.min() else far
    inside = distances < 0
    far_off = ~_widened(inside)
    fine = np.ascontiguousarray(coverage, np.float32)
    vanished = _shown(fine, far_off & _widened(smaller > 0) if len(fine) >= 2 * SIZE else far_off)
    if not vanished.any():
        return distances
    lines = _shown(fine, ~inside & _widened(vanished))
    with_lines: NDArray[np.float32] = np.minimum(distances, distance_from(lines) - np.float32(_THIN))
    return with_lines


@njit(cache=True, nogil=True, error_model="numpy")
def _shown(coverage: NDArray[np.float32], where: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which marked pixels (SIZE, SIZE) show anything: a coverage (S, S) that is ``softened`` reaches one half there."""
    size, last = len(coverage), len(coverage) - 1
    shown = np.zeros((SIZE, SIZE), np.bool_)
    for j in range(SIZE):
        top = j * size // SIZE
        for i in range(SIZE):
            if not where[j, i]:
                continue
            left = i * size // SIZE
            for y in range(top, max((j + 1) * size // SIZE, top + 1)):
                for x in range(left, max((i + 1) * size // SIZE, left + 1)):
                    total = np.float32(0)
                    for dy in range(-1, 2):
                        for dx in range(-1, 2):
                            weight = np.float32((2 - abs(dy)) * (2 - abs(dx)))
                            total += weight * coverage[min(max(y + dy, 0), last), min(max(x + dx, 0), last)]
                    if total >= 8:
                        shown[j, i] = True
    return shown


def _widened(marked: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The marked pixels and their eight neighbours."""
    wide = np.pad(marked, 1)
    wide = wide[:-2] | wide[1:-1] | wide[2:]
    widened: NDArray[np.bool_] = wide[:, :-2] | wide[:, 1:-1] | wide[:, 2:]
    return widened


def _tagged(at: int, points: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.column_stack([np.full(len(points), float(at)), points])


def _placed(columns: NDArray[np.floating[Any]], rows: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Right and up of the picture's middle, world units; the first pixel's centre is at 0."""
    middle = SIZE / 2 - 0.5
    return np.column_stack([(columns - middle) * PIXEL, (middle - rows) * PIXEL])


def _crossings(plane: NDArray[np.float32]) -> NDArray[np.float64]:
    """Where the outline passes between pixels of one row."""
    here, there = plane[:, :-1], plane[:, 1:]
    rows, columns = np.nonzero((here < 0) != (there < 0))
    before, after = here[rows, columns].astype(np.float64), there[rows, columns].astype(np.float64)
    return np.column_stack([columns + before / (before - after), rows])


def _contour(plane: NDArray[np.float32]) -> NDArray[np.float64]:
    across, down = _crossings(plane), _crossings(np.ascontiguousarray(plane.T))[:, ::-1]
    points = np.concatenate([across, down])
    order = np.lexsort((points[:, 0], points[:, 1]))
    chosen = order[np.linspace(0, len(order) - 1, min(_OUTLINE_POINTS, len(order))).round().astype(np.intp)]
    return _placed(points[chosen, 0], points[chosen, 1])


def _inside(plane: NDArray[np.float32]) -> NDArray[np.float64]:
    for stride in _STRIDES:
        start = stride // 2
        rows, columns = np.nonzero(plane[start::stride, start::stride] < 0)
        if len(rows) >= _POINTS_MIN:
            break
    return _placed(columns * stride + float(start), rows * stride + float(start))


def _box(plane: NDArray[np.float32]) -> tuple[float, float, float, float]:
    rows, columns = np.nonzero(plane < 0)
    across, down = _crossings(plane)[:, 0], _crossings(np.ascontiguousarray(plane.T))[:, 0]
    low = _placed(np.array([min([columns.min(), *across])]), np.array([max([rows.max(), *down])]))[0]
    high = _placed(np.array([max([columns.max(), *across])]), np.array([min([rows.min(), *down])]))[0]
    return float(low[0]), float(high[0]), float(low[1]), float(high[1])
