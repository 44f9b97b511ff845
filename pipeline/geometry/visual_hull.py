"""The largest solid that fits all silhouettes, as a field over space: negative inside, about the distance outside.

The field at a point is the greatest of the silhouettes' signed distances where the views see the point; it is smooth
across pixels, so that its zero level has no staircase.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pipeline.domain.views import CAMERAS, ORTHOGRAPHIC_WIDTH, View
from pipeline.geometry.distances import signed_distance
from pipeline.geometry.inflation import inflated
from pipeline.geometry.isosurface import BLOCK

_SLACK = 1.25
"""The field may change this much faster than a distance where it is inflated or an outline is measured roughly."""
_COARSE = 48
"""Points along the frame of the grid that finds where the object is."""

Lattice = NDArray[np.float64]
"""(4,) x, y, z of a grid's first point and the spacing of its points, world units."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hull:
    """The silhouettes of N views on squares of S pixels, ready to be asked about points in space."""

    views: tuple[View, ...]
    distances: NDArray[np.float32]
    """(N, S, S) world units, negative inside the silhouette."""
    right: NDArray[np.float64]
    """(N, 3) where the pictures' right is; with ``up`` the frames of the views."""
    up: NDArray[np.float64]
    depth_squared: NDArray[np.float32]
    """(S, S) in the front view: the square of half the depth guessed there, negative outside; (0, 0) if not guessed."""

    @property
    def depth_guessed(self) -> bool:
        return self.depth_squared.size > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """Points in space, ``spacing`` apart, around all of the hull: the outermost are outside it."""

    origin: tuple[float, float, float]
    """x, y, z of the first point."""
    spacing: float
    shape: tuple[int, int, int]
    """Number of points (nz, ny, nx)."""

    @property
    def lattice(self) -> Lattice:
        return np.array([*self.origin, self.spacing])


def visual_hull(coverages: Mapping[View, NDArray[np.float32]]) -> Hull:
    """The hull of (S, S) coverages, one S for all; the depth is guessed by inflation where no view bounds it."""
    views = tuple(coverages)
    size = next(iter(coverages.values())).shape[0]
    pixel = ORTHOGRAPHIC_WIDTH / size
    distances = np.stack([signed_distance(coverages[view]) * np.float32(pixel) for view in views])
    bounded = set(views) - {View.FRONT, View.BACK}
    both = [plane if view is View.FRONT else plane[:, ::-1] for view, plane in zip(views, distances, strict=True)]
    return Hull(
        views=views,
        distances=distances,
        right=np.array([CAMERAS[view].right for view in views]),
        up=np.array([CAMERAS[view].up for view in views]),
        depth_squared=np.zeros((0, 0), np.float32) if bounded else inflated(np.maximum.reduce(both), pixel),
    )


def grid_around(hull: Hull, spacing: float) -> Grid | None:
    """The grid of this spacing that holds all of the hull; None when nothing is left of the hull."""
    start, step = -ORTHOGRAPHIC_WIDTH / 2, ORTHOGRAPHIC_WIDTH / (_COARSE - 1)
    values = coarse_values(hull)
    near = np.argwhere(values < _SLACK * step * np.sqrt(3) / 2)
    if not len(near):
        return None
    low = start + (near.min(axis=0)[::-1] - 0.5) * step - 2 * spacing
    high = start + (near.max(axis=0)[::-1] + 0.5) * step + 2 * spacing
    nx, ny, nz = (int(n) for n in np.ceil((high - low) / spacing).astype(int) + 1)
    return Grid(origin=(float(low[0]), float(low[1]), float(low[2])), spacing=spacing, shape=(nz, ny, nx))


def coarse_values(hull: Hull) -> NDArray[np.float32]:
    """The field at points all over the frame, indexed z, y, x."""
    start, step = -ORTHOGRAPHIC_WIDTH / 2, ORTHOGRAPHIC_WIDTH / (_COARSE - 1)
    return _values(hull, np.array([start, start, start, step]), (_COARSE, _COARSE, _COARSE))


def near_surface(hull: Hull, grid: Grid) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
    """For each block of ``BLOCK`` cells (z, y, x): whether the surface may pass through it, and the field at its middle."""
    shape = tuple(-(-n // BLOCK) for n in grid.shape)
    middle = np.array(grid.origin) + grid.spacing * BLOCK / 2
    values = _values(hull, np.array([*middle, grid.spacing * BLOCK]), (shape[0], shape[1], shape[2]))
    reach = _SLACK * grid.spacing * (BLOCK / 2 + 1) * np.sqrt(3)
    return np.abs(values) <= reach, values


def _values(hull: Hull, lattice: Lattice, shape: tuple[int, int, int]) -> NDArray[np.float32]:
    everywhere = np.ones((shape[1], shape[2]), np.bool_), np.zeros((shape[1], shape[2]), np.float32)
    return np.stack([field_slice(hull, lattice, k, shape, *everywhere, 1, np.inf) for k in range(shape[0])])


def field_slice(
    hull: Hull,
    lattice: Lattice,
    k: int,
    shape: tuple[int, int, int],
    active: NDArray[np.bool_],
    elsewhere: NDArray[np.float32],
    block: int,
    enough: float,
) -> NDArray[np.float32]:
    """(ny, nx) values of the field at the points of layer ``k``.

    Only in the active blocks (of ``block`` points a side) are they computed, elsewhere they are those given; values
    beyond ``enough`` need not be right.
    """
    return _sample(
        hull.distances,
        hull.right,
        hull.up,
        hull.depth_squared,
        lattice,
        k,
        shape[1],
        shape[2],
        active,
        elsewhere,
        block,
        enough,
    )


@njit(cache=True, nogil=True)
def _between(plane: NDArray[np.float32], column: float, row: float) -> float:
    """Linear between the pixels' centres; beyond the picture the border's value, or the way back to it if longer."""
    last = plane.shape[0] - 1
    x, y = min(max(column, 0.0), float(last)), min(max(row, 0.0), float(last))
    i, j = min(int(x), last - 1), min(int(y), last - 1)
    x, y = x - i, y - j
    above = plane[j, i] * (1 - x) + plane[j, i + 1] * x
    below = plane[j + 1, i] * (1 - x) + plane[j + 1, i + 1] * x
    return float(above * (1 - y) + below * y)


@njit(cache=True, nogil=True)
def _sample(
    distances: NDArray[np.float32],
    right: NDArray[np.float64],
    up: NDArray[np.float64],
    depth_squared: NDArray[np.float32],
    lattice: Lattice,
    k: int,
    height: int,
    width: int,
    active: NDArray[np.bool_],
    elsewhere: NDArray[np.float32],
    block: int,
    enough: float,
) -> NDArray[np.float32]:
    values = np.empty((height, width), np.float32)
    size = distances.shape[1]
    scale, middle = size / ORTHOGRAPHIC_WIDTH, size / 2 - 0.5
    z = lattice[2] + k * lattice[3]
    deepest = np.sqrt(max(depth_squared.max(), 1e-12)) if depth_squared.size else 1.0
    for row in range(height):
        y = lattice[1] + row * lattice[3]
        for column in range(width):
            if not active[row // block, column // block]:
                values[row, column] = elsewhere[row // block, column // block]
                continue
            x = lattice[0] + column * lattice[3]
            value = max(abs(x), abs(y), abs(z)) - ORTHOGRAPHIC_WIDTH / 2
            for view in range(distances.shape[0]):
                if value > enough:
                    break
                across = x * right[view, 0] + y * right[view, 1] + z * right[view, 2]
                upward = x * up[view, 0] + y * up[view, 1] + z * up[view, 2]
                seen = _between(distances[view], middle + scale * across, middle - scale * upward)
                value = max(value, seen)
            if depth_squared.size:
                depth = _between(depth_squared, middle + scale * x, middle - scale * y)
                value = max(value, (z * z - depth) / (2 * deepest))
            values[row, column] = value
    return values
