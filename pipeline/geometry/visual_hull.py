"""The largest solid that fits all silhouettes, as a field over space: negative inside, about the distance outside.

The field at a point is the greatest of the silhouettes' signed distances where the views see the point; it is smooth
across pixels, so that its zero level has no staircase.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pipeline.domain.views import ORTHOGRAPHIC_WIDTH, View
from pipeline.geometry.cameras import Cameras, Framing, Projections, projections
from pipeline.geometry.distances import signed_distance
from pipeline.geometry.inflation import Inflation, inflated
from pipeline.geometry.isosurface import BLOCK
from pipeline.geometry.volumes import EVERYWHERE, Volume, volume_at

_SLACK = 1.25
"""The field may change this much faster than a distance, because outlines are measured to a part of a pixel."""
_SIGN, _VALUE = 1, 2
"""What can be needed of the field in a block of points, beside nothing."""
_UNBOUNDED = Inflation(depth_squared=np.zeros((0, 0), np.float32), deepest=1.0, steepness=1.0)
_COARSE = 48
"""Points along the frame of the grid that finds where the object is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hull:
    """The silhouettes of N views on squares of S pixels, ready to be asked about points in space."""

    projections: Projections
    distances: NDArray[np.float32]
    """(N, S, S) world units as at the origin, negative inside the silhouette."""
    inflation: Inflation | None = None
    """In the frame that pictures share, where no view bounds the depth."""
    volume: Volume = EVERYWHERE
    """What is known of the solid beside the silhouettes: the field is nowhere less than its values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """Points in space, ``spacing`` apart, around all of the hull: the outermost are outside it."""

    origin: tuple[float, float, float]
    """x, y, z of the first point."""
    spacing: float
    shape: tuple[int, int, int]
    """Number of points (nz, ny, nx)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocks:
    """A grid's blocks of ``BLOCK`` points a side, indexed z, y, x."""

    active: NDArray[np.bool_]
    """Whether the surface may pass through the block or between it and the next one."""
    care: NDArray[np.uint8]
    """What is needed of its points: values where active, signs beside that, nothing elsewhere."""
    values: NDArray[np.float32]
    """The field at its middle."""


def visual_hull(coverages: Mapping[View, NDArray[np.float32]], framings: Mapping[View, Framing] | None = None) -> Hull:
    """The hull of (S, S) coverages, one S for all; the depth is guessed by inflation where no view bounds it.

    Without ``framings`` the pictures are orthographic and share one frame.
    """
    size = next(iter(coverages.values())).shape[0]
    shown = projections({view: (framings or {}).get(view, Framing()) for view in coverages}, size)
    scaled = zip(coverages.values(), shown.cameras.pixels, strict=True)
    hull = Hull(
        projections=shown,
        distances=np.stack([signed_distance(coverage) * np.float32(pixel) for coverage, pixel in scaled]),
    )
    if coverages.keys() - {View.FRONT, View.BACK}:
        return hull
    return replace(hull, inflation=inflated(_middle_plane(hull), ORTHOGRAPHIC_WIDTH / size))


def _middle_plane(hull: Hull) -> NDArray[np.float32]:
    """(S, S) the field where z is 0, as the front's picture of the shared frame would show it."""
    size = hull.projections.size
    pixel = ORTHOGRAPHIC_WIDTH / size
    start = (pixel - ORTHOGRAPHIC_WIDTH) / 2
    plane: NDArray[np.float32] = values_on(hull, Grid(origin=(start, start, 0), spacing=pixel, shape=(1, size, size)))[
        0
    ]
    return plane[::-1]


def grid_around(hull: Hull, spacing: float) -> Grid | None:
    """The grid of this spacing that holds all of the hull; None when nothing is left of the hull."""
    frame = _frame()
    near = np.argwhere(coarse_values(hull) < _SLACK * frame.spacing * np.sqrt(3) / 2)
    if not len(near):
        return None
    low = np.array(frame.origin) + (near.min(axis=0)[::-1] - 0.5) * frame.spacing - 2 * spacing
    high = np.array(frame.origin) + (near.max(axis=0)[::-1] + 0.5) * frame.spacing + 2 * spacing
    nx, ny, nz = (int(n) for n in np.ceil((high - low) / spacing) + 1)
    return Grid(origin=(float(low[0]), float(low[1]), float(low[2])), spacing=spacing, shape=(nz, ny, nx))


def coarse_values(hull: Hull) -> NDArray[np.float32]:
    """The field at points all over the frame, indexed z, y, x."""
    return values_on(hull, _frame())


def _frame() -> Grid:
    """A coarse grid over all that the pictures show."""
    start = -ORTHOGRAPHIC_WIDTH / 2
    return Grid(
        origin=(start, start, start), spacing=ORTHOGRAPHIC_WIDTH / (_COARSE - 1), shape=(_COARSE, _COARSE, _COARSE)
    )


def near_surface(hull: Hull, grid: Grid) -> Blocks:
    """Find the blocks of a grid that the surface may pass through, from the field at their middles."""
    nz, ny, nx = (-(-n // BLOCK) for n in grid.shape)
    x, y, z = (start + grid.spacing * BLOCK / 2 for start in grid.origin)
    values = values_on(hull, Grid(origin=(x, y, z), spacing=grid.spacing * BLOCK, shape=(nz, ny, nx)))
    reach = _SLACK * grid.spacing * (BLOCK / 2 + 1) * np.sqrt(3)
    active = np.abs(values) <= reach
    return Blocks(active=active, care=np.where(active, _VALUE, _SIGN * _beside(active)).astype(np.uint8), values=values)


def _beside(active: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The blocks whose first points are the last of an active block's cells, and the active ones."""
    beside = active.copy()
    for axis in range(3):
        later, earlier = np.moveaxis(beside, axis, 0)[1:], np.moveaxis(beside.copy(), axis, 0)[:-1]
        later |= earlier
    return beside


def field_slice(hull: Hull, grid: Grid, blocks: Blocks, k: int) -> NDArray[np.float32]:
    """(ny, nx) values of the field at the points of layer ``k``, as far as the blocks care."""
    at = k // BLOCK
    return _slice(hull, grid, k, (blocks.care[at], blocks.values[at], 2 * grid.spacing))


def values_on(hull: Hull, grid: Grid) -> NDArray[np.float32]:
    """(nz, ny, nx) values of the field at all points of a grid."""
    blocks = tuple(-(-n // BLOCK) for n in grid.shape[1:])
    everywhere = np.full(blocks, _VALUE, np.uint8), np.zeros(blocks, np.float32), np.inf
    return np.stack([_slice(hull, grid, k, everywhere) for k in range(grid.shape[0])])


def _slice(
    hull: Hull, grid: Grid, k: int, care: tuple[NDArray[np.uint8], NDArray[np.float32], float]
) -> NDArray[np.float32]:
    """One layer. ``care``: what is needed of each block, the blocks' values, what is as good as any larger value."""
    lattice = np.array([*grid.origin, grid.spacing])
    _, height, width = grid.shape
    inflation = hull.inflation or _UNBOUNDED
    depth = inflation.depth_squared, inflation.deepest, inflation.steepness
    known = hull.volume.values, hull.volume.lattice
    needed, elsewhere, enough = care
    return _sample(
        hull.distances, hull.projections.cameras, *depth, *known, lattice, k, height, width, needed, elsewhere, enough
    )


@njit(cache=True, nogil=True, error_model="numpy")
def _between(plane: NDArray[np.float32], column: float, row: float) -> float:
    """Linear between the pixels' centres, constant beyond the outermost."""
    last = plane.shape[0] - 1
    x, y = min(max(column, 0.0), float(last)), min(max(row, 0.0), float(last))
    i, j = min(int(x), last - 1), min(int(y), last - 1)
    x, y = x - i, y - j
    above = plane[j, i] * (1 - x) + plane[j, i + 1] * x
    below = plane[j + 1, i] * (1 - x) + plane[j + 1, i + 1] * x
    return float(above * (1 - y) + below * y)


@njit(cache=True, nogil=True, error_model="numpy")
def _sample(
    distances: NDArray[np.float32],
    cameras: Cameras,
    depth_squared: NDArray[np.float32],
    deepest: float,
    steepness: float,
    volume: NDArray[np.float32],
    volume_lattice: NDArray[np.float64],
    lattice: NDArray[np.float64],
    k: int,
    height: int,
    width: int,
    care: NDArray[np.uint8],
    elsewhere: NDArray[np.float32],
    enough: float,
) -> NDArray[np.float32]:
    values = np.empty((height, width), np.float32)
    m, size = cameras.matrices, distances.shape[1]
    scale, middle = size / ORTHOGRAPHIC_WIDTH, size / 2 - 0.5  # of the shared frame
    z = lattice[2] + k * lattice[3]
    for block in range(care.size):
        top, left = block // care.shape[1] * BLOCK, block % care.shape[1] * BLOCK
        bottom, beyond = min(top + BLOCK, height), min(left + BLOCK, width)
        asked = care[block // care.shape[1], block % care.shape[1]]
        if asked == _SIGN:
            values[top:bottom, left:beyond] = elsewhere[block // care.shape[1], block % care.shape[1]]
        if asked != _VALUE:
            continue
        for row in range(top, bottom):
            y = lattice[1] + row * lattice[3]
            for column in range(left, beyond):
                x = lattice[0] + column * lattice[3]
                value = max(abs(x), abs(y), abs(z)) - ORTHOGRAPHIC_WIDTH / 2
                for view in range(distances.shape[0]):
                    if value > enough:
                        break
                    weight = m[view, 2, 0] * x + m[view, 2, 1] * y + m[view, 2, 2] * z + m[view, 2, 3]
                    across = (m[view, 0, 0] * x + m[view, 0, 1] * y + m[view, 0, 2] * z + m[view, 0, 3]) / weight - 0.5
                    down = (m[view, 1, 0] * x + m[view, 1, 1] * y + m[view, 1, 2] * z + m[view, 1, 3]) / weight - 0.5
                    value = max(value, weight * _between(distances[view], across, down))
                if depth_squared.size:
                    depth = _between(depth_squared, middle + scale * x, middle - scale * y)
                    value = max(value, (z * z - depth) / ((abs(z) + deepest) * steepness))
                if volume.size and value <= enough:
                    value = max(value, volume_at(volume, volume_lattice, x, y, z))
                values[row, column] = value
    return values
