"""Whether silhouettes agree under given framings: is what one view shows there in all the others?

A ray through a point of one view's silhouette must pass through the solid that the other views leave. How far it misses
is measured against their outlines without any grid in space. With all outlines' points this is the silhouette
coherence of Hernandez, Schmitt and Cipolla, "Silhouette Coherence for Camera Calibration under Circular Motion" (2007).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pipeline.domain.views import CAMERAS, ORTHOGRAPHIC_WIDTH, View
from pipeline.geometry.distances import signed_distance
from pipeline.geometry.resampling import resampled

SIZE = 256
"""Pixels along the pictures on which views are compared."""
PIXEL = ORTHOGRAPHIC_WIDTH / SIZE
_OUTLINE_POINTS = 144
"""Of each view."""
_STRIDE = 4
"""Pixels between the points inside silhouettes at which agreement is counted."""
_TOLERANCE = 0.6 * PIXEL
"""A ray that misses by less passes."""
_STEP, _STEP_RATIO = 0.5 * PIXEL, 0.25
"""A march along a ray goes on by this much at least, and by this part of how far it is off."""
_GOLDEN, _SECTIONS = (np.sqrt(5) - 1) / 2, 9
"""Of the way around the least that a march found."""
_NUDGE = 1e-3
"""Of a parameter, to see what it changes."""

Parameters = NDArray[np.float64]
"""(N, 4) scale, right, up and perspective of each view, as in ``Framing``."""


@dataclass(frozen=True)
class Outlines:
    """The silhouettes of N views, ready to be compared."""

    views: tuple[View, ...]
    distances: NDArray[np.float32]
    """(N, SIZE, SIZE) pixels, negative inside."""

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

    @cached_property
    def inside(self) -> NDArray[np.float64]:
        """(Q, 3) points inside the silhouettes, evenly spread; as ``contour``."""
        return np.concatenate([_tagged(at, _inside(plane)) for at, plane in enumerate(self.distances)])

    def without(self, view: View) -> "Outlines":
        keep = [at for at, one in enumerate(self.views) if one is not view]
        return Outlines(tuple(self.views[at] for at in keep), self.distances[keep])


def outlines(coverages: Mapping[View, NDArray[np.float32]]) -> Outlines:
    """Prepare (S, S) coverages, 0..1, for comparison."""
    distances = [signed_distance(resampled(plane, SIZE, SIZE)) for plane in coverages.values()]
    return Outlines(tuple(coverages), np.stack(distances))


def shared(outlines_: Outlines) -> Parameters:
    """The parameters of orthographic pictures that share one frame."""
    return np.tile([1.0, 0.0, 0.0, 0.0], (len(outlines_.views), 1))


def misses(seen: Outlines, parameters: Parameters) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """By how much the rays through the outlines' points miss the other views' solid.

    (P,) world units, 0 where they don't; and (P,) how deep on the ray they come nearest, backward of the origin.
    """
    return _misses(seen.distances, seen.frames, parameters, seen.contour, 0.0)


def slopes(
    seen: Outlines, parameters: Parameters, off: NDArray[np.float64], depths: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(P, N, 4) how the ``misses`` change with the parameters."""
    return _slopes(seen.distances, seen.frames, parameters.copy(), seen.contour, off, depths)


def agreements(seen: Outlines, parameters: Parameters) -> NDArray[np.float64]:
    """(N,) intersection over union of each silhouette and the hull of all, as that view shows it.

    The hull lies within every silhouette, so that this is the part of the silhouette whose rays meet the hull.
    """
    at = seen.inside
    off, _ = _misses(seen.distances, seen.frames, parameters, at, _TOLERANCE)
    views = at[:, 0].astype(np.intp)
    count = np.bincount(views, minlength=len(seen.views))
    return np.bincount(views, off <= _TOLERANCE, len(seen.views)) / np.maximum(count, 1)


def extents(seen: Outlines, parameters: Parameters) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(3,) lowest and (3,) highest x, y and z of the outlines' points where their rays come nearest to the solid."""
    _, depths = misses(seen, parameters)
    rays = [_ray(seen.frames, parameters, int(at), right, up) for at, right, up in seen.contour]
    points = np.array([[start + depth * way for start, way in zip(ray[:3], ray[3:], strict=True)]
        for ray, depth in zip(rays, depths, strict=True)])
    return points.min(axis=0), points.max(axis=0)


def _tagged(at: int, points: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.column_stack([np.full(len(points), float(at)), points])


def _placed(columns: NDArray[np.float64], rows: NDArray[np.float64]) -> NDArray[np.float64]:
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
    start = _STRIDE // 2
    rows, columns = np.nonzero(plane[start::_STRIDE, start::_STRIDE] < 0)
    return _placed(columns * _STRIDE + float(start), rows * _STRIDE + float(start))


def _box(plane: NDArray[np.float32]) -> tuple[float, float, float, float]:
    rows, columns = np.nonzero(plane < 0)
    across, down = _crossings(plane)[:, 0], _crossings(np.ascontiguousarray(plane.T))[:, 0]
    low = _placed(np.array([min([columns.min(), *across])]), np.array([max([rows.max(), *down])]))[0]
    high = _placed(np.array([max([columns.max(), *across])]), np.array([min([rows.min(), *down])]))[0]
    return float(low[0]), float(high[0]), float(low[1]), float(high[1])


@njit(cache=True, nogil=True)
def _distance(
    distances: NDArray[np.float32],
    frames: NDArray[np.float64],
    parameters: NDArray[np.float64],
    view: int,
    x: float,
    y: float,
    z: float,
) -> float:
    """How far a point is outside one view's silhouette, world units, negative inside."""
    size = distances.shape[1]
    middle, last = size / 2 - 0.5, size - 1.0
    backward = x * frames[view, 2, 0] + y * frames[view, 2, 1] + z * frames[view, 2, 2]
    scale = parameters[view, 0] / max(1 - parameters[view, 3] * backward, 0.05)
    across = scale * (x * frames[view, 0, 0] + y * frames[view, 0, 1] + z * frames[view, 0, 2]) + parameters[view, 1]
    upward = scale * (x * frames[view, 1, 0] + y * frames[view, 1, 1] + z * frames[view, 1, 2]) + parameters[view, 2]
    column, row = middle + across / PIXEL, middle - upward / PIXEL
    inner_column, inner_row = min(max(column, 0.0), last), min(max(row, 0.0), last)
    i, j = min(int(inner_column), size - 2), min(int(inner_row), size - 2)
    u, v = inner_column - i, inner_row - j
    above = distances[view, j, i] * (1 - u) + distances[view, j, i + 1] * u
    below = distances[view, j + 1, i] * (1 - u) + distances[view, j + 1, i + 1] * u
    distance = above * (1 - v) + below * v
    if column != inner_column or row != inner_row:
        distance += np.hypot(column - inner_column, row - inner_row)
    return float(distance * PIXEL / scale)


@njit(cache=True, nogil=True)
def _worst(
    distances: NDArray[np.float32],
    frames: NDArray[np.float64],
    parameters: NDArray[np.float64],
    own: int,
    ray: tuple[float, float, float, float, float, float],
    depth: float,
) -> tuple[float, int]:
    """How far a point of a ray is outside the solid of all views but its own, and which view says so."""
    x, y, z = ray[0] + depth * ray[3], ray[1] + depth * ray[4], ray[2] + depth * ray[5]
    worst, at = -np.inf, -1
    for view in range(distances.shape[0]):
        if view != own:
            distance = _distance(distances, frames, parameters, view, x, y, z)
            if distance > worst:
                worst, at = distance, view
    return worst, at


@njit(cache=True, nogil=True)
def _ray(
    frames: NDArray[np.float64], parameters: NDArray[np.float64], view: int, right: float, up: float
) -> tuple[float, float, float, float, float, float]:
    """Of the ray through a point of a picture: its point at depth 0, and the way for each unit of depth."""
    a, b = (right - parameters[view, 1]) / parameters[view, 0], (up - parameters[view, 2]) / parameters[view, 0]
    x = a * frames[view, 0, 0] + b * frames[view, 1, 0]
    y = a * frames[view, 0, 1] + b * frames[view, 1, 1]
    z = a * frames[view, 0, 2] + b * frames[view, 1, 2]
    part = parameters[view, 3]
    return x, y, z, frames[view, 2, 0] - part * x, frames[view, 2, 1] - part * y, frames[view, 2, 2] - part * z


@njit(cache=True, nogil=True)
def _least(
    distances: NDArray[np.float32],
    frames: NDArray[np.float64],
    parameters: NDArray[np.float64],
    own: int,
    ray: tuple[float, float, float, float, float, float],
    low: float,
    high: float,
) -> tuple[float, float]:
    """The least that the ray is off between two depths, and where, by golden sections."""
    one, other = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    of_one, _ = _worst(distances, frames, parameters, own, ray, one)
    of_other, _ = _worst(distances, frames, parameters, own, ray, other)
    for _ in range(_SECTIONS):
        if of_one < of_other:
            high, other, of_other = other, one, of_one
            one = high - _GOLDEN * (high - low)
            of_one, _ = _worst(distances, frames, parameters, own, ray, one)
        else:
            low, one, of_one = one, other, of_other
            other = low + _GOLDEN * (high - low)
            of_other, _ = _worst(distances, frames, parameters, own, ray, other)
    return (of_one, one) if of_one < of_other else (of_other, other)


@njit(cache=True, nogil=True)
def _misses(
    distances: NDArray[np.float32],
    frames: NDArray[np.float64],
    parameters: NDArray[np.float64],
    points: NDArray[np.float64],
    passable: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The least that the ray through each point is off the solid of the other views, and at which depth.

    The field along a ray changes no faster than the way, so that a march may step over what cannot be less than the
    least so far. A ray passes as soon as it is off by ``passable`` or less.
    """
    found, depths = np.empty(len(points)), np.empty(len(points))
    reach = ORTHOGRAPHIC_WIDTH / parameters[:, 0].min()
    for n in range(len(points)):
        own = int(points[n, 0])
        ray = _ray(frames, parameters, own, points[n, 1], points[n, 2])
        perspective = parameters[own, 3]
        nearest = min(reach, 0.95 / perspective) if perspective > 0 else reach
        depth, least, least_at, least_step = -reach, np.inf, 0.0, 0.0
        while depth <= nearest:
            off, _ = _worst(distances, frames, parameters, own, ray, depth)
            step = _STEP + _STEP_RATIO * max(off, 0.0)
            if off < least:
                least, least_at, least_step = off, depth, step
                if least <= passable:
                    break
            depth += max(step, off - least)
        if least > passable and passable == 0:
            low, high = least_at - least_step, least_at + least_step
            closer, closer_at = _least(distances, frames, parameters, own, ray, low, high)
            if closer < least:
                least, least_at = closer, closer_at
        found[n], depths[n] = max(least, 0.0), least_at
    return found, depths


@njit(cache=True, nogil=True)
def _slopes(
    distances: NDArray[np.float32],
    frames: NDArray[np.float64],
    parameters: NDArray[np.float64],
    points: NDArray[np.float64],
    off: NDArray[np.float64],
    depths: NDArray[np.float64],
) -> NDArray[np.float64]:
    """How each miss changes with each parameter; 0 where a ray passes.

    A ray comes nearest where one view's distance begins to rise above another's that falls: the miss changes as both
    do, each weighed by how fast the other changes along the ray.
    """
    slopes = np.zeros((len(points), len(parameters), 4))
    for n in range(len(points)):
        if off[n] <= 0:
            continue
        own, depth = int(points[n, 0]), depths[n]
        ray = _ray(frames, parameters, own, points[n, 1], points[n, 2])
        _, rising = _worst(distances, frames, parameters, own, ray, depth + _STEP)
        _, falling = _worst(distances, frames, parameters, own, ray, depth - _STEP)
        rise = _change(distances, frames, parameters, rising, ray, depth)
        fall = _change(distances, frames, parameters, falling, ray, depth)
        share = 1.0 if rising == falling or rise <= fall else min(max(-fall / (rise - fall), 0.0), 1.0)
        for view, weight in ((rising, share), (falling, 1 - share)):
            for moved in (own, view):
                for column in range(4):
                    change = 0.0
                    kept = parameters[moved, column]
                    for by in (_NUDGE, -_NUDGE):
                        parameters[moved, column] = kept + by
                        x, y, z, along_x, along_y, along_z = _ray(frames, parameters, own, points[n, 1], points[n, 2])
                        x, y, z = x + depth * along_x, y + depth * along_y, z + depth * along_z
                        change += _distance(distances, frames, parameters, view, x, y, z) / (2 * by)
                    parameters[moved, column] = kept
                    slopes[n, moved, column] += weight * change
    return slopes


@njit(cache=True, nogil=True)
def _change(
    distances: NDArray[np.float32],
    frames: NDArray[np.float64],
    parameters: NDArray[np.float64],
    view: int,
    ray: tuple[float, float, float, float, float, float],
    depth: float,
) -> float:
    """How much more a view's distance is a step nearer to the camera than a step farther."""
    x, y, z, along_x, along_y, along_z = ray
    near, far = depth + _STEP, depth - _STEP
    return _distance(
        distances, frames, parameters, view, x + near * along_x, y + near * along_y, z + near * along_z
    ) - _distance(distances, frames, parameters, view, x + far * along_x, y + far * along_y, z + far * along_z)
