"""Rays from pictures through the solid that other views' silhouettes leave: by how much they miss it. Compiled."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pipeline.domain.views import ORTHOGRAPHIC_WIDTH

SIZE = 256
"""Pixels along the pictures on which views are compared."""
PIXEL = ORTHOGRAPHIC_WIDTH / SIZE
_STEP, _STEP_RATIO = 0.5 * PIXEL, 0.25
"""A march along a ray goes on by this much at least, and by this part of how far it is off."""
_GOLDEN, _SECTIONS = (np.sqrt(5) - 1) / 2, 9
"""Of the way around the least that a march found."""
_NUDGE = 1e-3
"""Of a parameter, to see what it changes."""
_CAUTION = 0.7
"""The part of a distance that a march may go: beside pictures, and between pixels, distances are a little too large."""
_CLOSEST = 0.05
"""What is nearer to a camera than this part of its distance from the origin is outside what it shows."""


@njit(cache=True, nogil=True, error_model="numpy")
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
    perspective = parameters[view, 3]
    scale = parameters[view, 0] / max(1 - perspective * backward, _CLOSEST)
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
    distance *= PIXEL / scale
    return float(max(distance, backward - (1 - _CLOSEST) / perspective) if perspective > 0 else distance)


@njit(cache=True, nogil=True, error_model="numpy")
def _worst(
    distances: NDArray[np.float32],
    frames: NDArray[np.float64],
    parameters: NDArray[np.float64],
    own: int,
    line: tuple[float, float, float, float, float, float],
    depth: float,
) -> tuple[float, int]:
    """How far a point of a ray is outside the solid of all views but its own, and which view says so."""
    x, y, z = line[0] + depth * line[3], line[1] + depth * line[4], line[2] + depth * line[5]
    worst, at = -np.inf, -1
    for view in range(distances.shape[0]):
        if view != own:
            distance = _distance(distances, frames, parameters, view, x, y, z)
            if distance > worst:
                worst, at = distance, view
    return worst, at


@njit(cache=True, nogil=True, error_model="numpy")
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


@njit(cache=True, nogil=True, error_model="numpy")
def _least(
    distances: NDArray[np.float32],
    frames: NDArray[np.float64],
    parameters: NDArray[np.float64],
    own: int,
    line: tuple[float, float, float, float, float, float],
    low: float,
    high: float,
) -> tuple[float, float]:
    """The least that the ray is off between two depths, and where, by golden sections."""
    one, other = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    of_one, _ = _worst(distances, frames, parameters, own, line, one)
    of_other, _ = _worst(distances, frames, parameters, own, line, other)
    for _ in range(_SECTIONS):
        if of_one < of_other:
            high, other, of_other = other, one, of_one
            one = high - _GOLDEN * (high - low)
            of_one, _ = _worst(distances, frames, parameters, own, line, one)
        else:
            low, one, of_one = one, other, of_other
            other = low + _GOLDEN * (high - low)
            of_other, _ = _worst(distances, frames, parameters, own, line, other)
    return (of_one, one) if of_one < of_other else (of_other, other)


@njit(cache=True, nogil=True, error_model="numpy")
def _nearest(parameters: NDArray[np.float64], own: int, reach: float) -> float:
    """The depth at which a ray through a view's picture ends, before its camera."""
    perspective = parameters[own, 3]
    return float(min(reach, (1 - _CLOSEST) / perspective) if perspective > 0 else reach)


@njit(cache=True, nogil=True, error_model="numpy")
def march(
    distances: NDArray[np.float32],
    frames: NDArray[np.float64],
    parameters: NDArray[np.float64],
    points: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The least that the ray through each point is off the solid of the other views, and at which depth.

    The field along a ray changes no faster than the way, so that a march, from the far end on, may step over what
    cannot be less than the least so far, and at first than what the ray is off at depth 0. It ends where it meets the
    solid.
    """
    found, depths = np.empty(len(points)), np.empty(len(points))
    reach = ORTHOGRAPHIC_WIDTH / parameters[:, 0].min()
    for n in range(len(points)):
        own = int(points[n, 0])
        line = _ray(frames, parameters, own, points[n, 1], points[n, 2])
        nearest = _nearest(parameters, own, reach)
        least, _ = _worst(distances, frames, parameters, own, line, 0.0)
        depth, least_at, least_step, met = -reach, 0.0, _STEP, False
        while depth <= nearest and not met:
            off, _ = _worst(distances, frames, parameters, own, line, depth)
            step = _STEP + _STEP_RATIO * max(off, 0.0)
            met = off <= 0
            if off < least or met:
                least, least_at, least_step = off, depth, step
            depth += max(step, _CAUTION * (off - max(least, 0.0)))
        if least > 0:
            low, high = least_at - least_step, least_at + least_step
            closer, closer_at = _least(distances, frames, parameters, own, line, low, high)
            if closer < least:
                least, least_at = closer, closer_at
        found[n], depths[n] = max(least, 0.0), least_at
    return found, depths


@njit(cache=True, nogil=True, error_model="numpy")
def passing(
    distances: NDArray[np.float32],
    frames: NDArray[np.float64],
    parameters: NDArray[np.float64],
    own: int,
    points: NDArray[np.float64],
    tolerance: float,
) -> int:
    """How many points (Q, 2) of view number ``own`` have rays that miss the others' solid by ``tolerance`` at most."""
    count, reach = 0, ORTHOGRAPHIC_WIDTH / parameters[:, 0].min()
    nearest = _nearest(parameters, own, reach)
    for n in range(len(points)):
        line = _ray(frames, parameters, own, points[n, 0], points[n, 1])
        off, _ = _worst(distances, frames, parameters, own, line, 0.0)
        depth = -reach
        while off > tolerance and depth <= nearest:
            off, _ = _worst(distances, frames, parameters, own, line, depth)
            depth += max(_STEP, _CAUTION * (off - tolerance))
        if off <= tolerance:
            count += 1
    return count


@njit(cache=True, nogil=True, error_model="numpy")
def slopes_of_misses(
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
        line = _ray(frames, parameters, own, points[n, 1], points[n, 2])
        _, rising = _worst(distances, frames, parameters, own, line, depth + _STEP)
        _, falling = _worst(distances, frames, parameters, own, line, depth - _STEP)
        rise = _change(distances, frames, parameters, rising, line, depth)
        fall = _change(distances, frames, parameters, falling, line, depth)
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


@njit(cache=True, nogil=True, error_model="numpy")
def _change(
    distances: NDArray[np.float32],
    frames: NDArray[np.float64],
    parameters: NDArray[np.float64],
    view: int,
    line: tuple[float, float, float, float, float, float],
    depth: float,
) -> float:
    """How much more a view's distance is a step nearer to the camera than a step farther."""
    x, y, z, along_x, along_y, along_z = line
    near, far = depth + _STEP, depth - _STEP
    return _distance(
        distances, frames, parameters, view, x + near * along_x, y + near * along_y, z + near * along_z
    ) - _distance(distances, frames, parameters, view, x + far * along_x, y + far * along_y, z + far * along_z)
