"""Gives back to a solid what it must have for its views' silhouettes to stay covered, and as little more as it can."""

from collections.abc import Sequence

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pipeline.domain.views import ORTHOGRAPHIC_WIDTH
from pipeline.geometry.cameras import Framing, Projections
from pipeline.geometry.sampling import seen_from
from pipeline.geometry.threads import shared_out
from pipeline.geometry.visual_hull import Hull
from pipeline.geometry.volumes import Volume, swept, volume_at

_RAYS, _RIM_RAYS = 128, 512
"""Rays are shot through about so many pixels along a picture's side; through more of them near the outline."""
_MISSED = ORTHOGRAPHIC_WIDTH / 2048
"""So near to its outline a silhouette need not be covered: a quarter of a pixel of 512."""
_SLOPE = 0.4
"""What is given back fades out with the distance: so steeply."""
_INSIDE = 0.1
"""Spacings of the volume that such a ray gets inside."""
_STEEPEST = 1.25
"""The volume grows no faster than that along any ray."""

Point = tuple[float, float, float]
Rays = tuple[NDArray[np.float64], NDArray[np.float64]]
"""(R, 3) points of the rays through a view's silhouette where they cross the plane of the origin, and directions: one
world unit backward, towards the camera."""


def rays_through(hull: Hull) -> list[Rays]:
    """Through all silhouettes, once for all volumes that are to cover them."""
    return shared_out(lambda at: _rays(hull, at), _different(hull.projections))


def lacking(hull: Hull, volume: Volume, sent: Sequence[Rays]) -> NDArray[np.float32]:
    """(nz, ny, nx) by how much the volume's field is too large where a silhouette's rays meet the hull but not it."""
    found: NDArray[np.float32] = np.maximum.reduce(shared_out(lambda one: _lacking_of(hull, volume, one), sent))
    return found


def covering(volume: Volume, lack: NDArray[np.float32]) -> Volume:
    """The volume, larger where it is found ``lacking``.

    All along such a ray the field falls by what the ray lacks, and around it by less and less: the solid swells as
    little as will do. The field grows no faster than the given one, and slower where something was given back.
    """
    if not lack.any():
        return volume
    spread = -swept(-lack, np.float32(_SLOPE * volume.lattice[3]))
    return Volume(values=(volume.values - spread) / np.float32(1 + _SLOPE), lattice=volume.lattice)


def _different(shown: Projections) -> list[int]:
    """Numbers of the views less those that look along the rays of another one, from the other side."""
    backward = shown.cameras.frames[:, 2]
    shared = [framing == Framing() for framing in shown.framings]
    return [
        at
        for at in range(len(shared))
        if not any(shared[at] and shared[k] and backward[at] @ backward[k] < -0.999 for k in range(at))
    ]


def _lacking_of(hull: Hull, volume: Volume, sent: Rays) -> NDArray[np.float32]:
    """(nz, ny, nx) by how much the field is too large at the volume's points for one view's rays."""
    lack = np.zeros_like(volume.values)
    _march(hull.distances, hull.projections.cameras.matrices, volume.values, volume.lattice, *sent, lack)
    return lack


@njit(cache=True, nogil=True, error_model="numpy")
def _through(
    values: NDArray[np.float32], lattice: NDArray[np.float64], start: Point, way: Point
) -> tuple[float, float]:
    """Where a ray enters the volume's box, and where it leaves it: before it enters, if it passes by."""
    enters, leaves = -np.inf, np.inf
    for axis in range(3):
        low = lattice[axis] - start[axis]
        high = low + lattice[3] * (values.shape[2 - axis] - 1)
        if way[axis] != 0:
            one, other = low / way[axis], high / way[axis]
            enters, leaves = max(enters, min(one, other)), min(leaves, max(one, other))
        elif low > 0 or high < 0:
            return 0.0, -1.0
    return enters, leaves


def _rays(hull: Hull, at: int) -> Rays:
    size, framing = hull.projections.size, hull.projections.framings[at]
    row, column = _chosen(hull.distances[at], hull.projections.cameras.pixels[at])
    pixel = ORTHOGRAPHIC_WIDTH / size
    across = ((column + 0.5 - size / 2) * pixel - framing.right) / framing.scale
    upward = ((size / 2 - row - 0.5) * pixel - framing.up) / framing.scale
    right, up, backward = hull.projections.cameras.frames[at]
    starts = across[:, None] * right + upward[:, None] * up
    return starts, backward - framing.perspective * starts


def _chosen(distance: NDArray[np.float32], pixel: float) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows and columns of the pixels through which rays are shot; ``pixel`` as in ``Cameras``."""
    found = []
    for rays, rim in ((_RAYS, np.inf), (_RIM_RAYS, len(distance) / _RAYS * pixel)):
        apart = max(1, round(len(distance) / rays))
        middles = np.arange(apart // 2, len(distance), apart)
        near = distance[apart // 2 :: apart, apart // 2 :: apart]
        found.append(middles[np.stack(np.nonzero((near < -_MISSED) & (near > -rim)))])
    row, column = np.concatenate(found, axis=1)
    return row, column


@njit(cache=True, nogil=True, error_model="numpy")
def _march(
    distances: NDArray[np.float32],
    matrices: NDArray[np.float64],
    values: NDArray[np.float32],
    lattice: NDArray[np.float64],
    starts: NDArray[np.float64],
    steps: NDArray[np.float64],
    lack: NDArray[np.float32],
) -> None:
    """Note at the volume's points what rays lack that find nothing of the volume within the hull."""
    spacing = lattice[3]
    step, found = spacing / 2, np.nan
    for ray in range(len(starts)):
        start = starts[ray, 0], starts[ray, 1], starts[ray, 2]
        way = steps[ray, 0], steps[ray, 1], steps[ray, 2]
        begin, stop = _through(values, lattice, start, way)
        at, best = begin, np.inf
        if at < found < stop:  # where the last ray found something this one most often does
            x, y, z = start[0] + found * way[0], start[1] + found * way[1], start[2] + found * way[2]
            value = volume_at(values, lattice, x, y, z)
            if value < 0 and _within(distances, matrices, x, y, z, step / 2):
                continue
        while at < stop and best >= 0:
            x, y, z = start[0] + at * way[0], start[1] + at * way[1], start[2] + at * way[2]
            value = volume_at(values, lattice, x, y, z)
            if value < 0 and _within(distances, matrices, x, y, z, step / 2):
                best, found = value, at
            at += max(step, value / _STEEPEST)
        if best < 0:
            continue
        at = begin
        while at < stop:
            x, y, z = start[0] + at * way[0], start[1] + at * way[1], start[2] + at * way[2]
            value = volume_at(values, lattice, x, y, z)
            if value < best and _within(distances, matrices, x, y, z, step / 2):
                best = value
            at += max(step, (value - best) / _STEEPEST)
        at = begin if best < np.inf else stop
        while at < stop:
            x, y, z = start[0] + at * way[0], start[1] + at * way[1], start[2] + at * way[2]
            value = volume_at(values, lattice, x, y, z)
            if value < best + spacing and _within(distances, matrices, x, y, z, step / 2):
                _note(lack, lattice, x, y, z, best + _INSIDE * spacing)
            at += max(step, (value - best - spacing) / _STEEPEST)


@njit(cache=True, nogil=True, error_model="numpy")
def _within(
    distances: NDArray[np.float32], matrices: NDArray[np.float64], x: float, y: float, z: float, slack: float
) -> bool:
    """Whether a point is in the hull or no further from it than the slack."""
    view, views = 0, len(distances)
    while view < views and seen_from(distances, matrices, view, x, y, z) <= slack:
        view += 1
    return view == views


@njit(cache=True, nogil=True)
def _note(lack: NDArray[np.float32], lattice: NDArray[np.float64], x: float, y: float, z: float, much: float) -> None:
    """At the eight points around one."""
    depth, height, width = lack.shape
    i = min(max(int((x - lattice[0]) / lattice[3]), 0), width - 2)
    j = min(max(int((y - lattice[1]) / lattice[3]), 0), height - 2)
    k = min(max(int((z - lattice[2]) / lattice[3]), 0), depth - 2)
    for corner in range(8):
        at = k + corner // 4, j + corner // 2 % 2, i + corner % 2
        lack[at] = max(lack[at], np.float32(much))
