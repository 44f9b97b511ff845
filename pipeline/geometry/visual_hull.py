"""The largest solid that fits all silhouettes, as a field over space: negative inside, about the distance outside.

The field at a point is the greatest of the silhouettes' signed distances where the views see the point; it is smooth
across pixels, so that its zero level has no staircase.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pipeline.domain.views import ORTHOGRAPHIC_WIDTH, View
from pipeline.geometry.cameras import Framing, Projections, projections
from pipeline.geometry.distances import signed_distance, softened
from pipeline.geometry.inflation import Inflation, inflated
from pipeline.geometry.isosurface import BLOCK
from pipeline.geometry.sampling import SIGN, SLACK, VALUE, Field, sampled
from pipeline.geometry.threads import shared_out
from pipeline.geometry.volumes import EVERYWHERE, Volume

_THINNEST_PX = 0.25
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
        distances=np.stack(shared_out(lambda of: _distance(of[0]) * np.float32(of[1]), list(scaled))),
    )
    if coverages.keys() - {View.FRONT, View.BACK}:
        return hull
    return replace(hull, inflation=inflated(_middle_plane(hull), ORTHOGRAPHIC_WIDTH / size))


def _distance(coverage: NDArray[np.float32]) -> NDArray[np.float32]:
    """(S, S) pixels; what is all so thin that its outline is all there is of it keeps a little inside."""
    distance = signed_distance(coverage)
    if distance.min() < 0:
        return distance
    return np.where(softened(coverage) >= 0.5, -_THINNEST_PX, distance).astype(np.float32)


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
    reach = SLACK * frame.spacing * np.sqrt(3) / 2
    near = np.argwhere(values_on(hull, frame, enough=reach) <= reach)
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
    reach = SLACK * grid.spacing * (BLOCK / 2 + 1) * np.sqrt(3)
    middles = Grid(origin=(x, y, z), spacing=grid.spacing * BLOCK, shape=(nz, ny, nx))
    values = values_on(hull, middles, enough=reach)
    active = np.abs(values) <= reach
    return Blocks(active=active, care=np.where(active, VALUE, SIGN * _beside(active)).astype(np.uint8), values=values)


def _beside(active: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The blocks whose first points are the last of an active block's cells, and the active ones."""
    beside = active.copy()
    for axis in range(3):
        later, earlier = np.moveaxis(beside, axis, 0)[1:], np.moveaxis(beside.copy(), axis, 0)[:-1]
        later |= earlier
    return beside


def field_slices(hull: Hull, grid: Grid, blocks: Blocks, start: int, stop: int) -> NDArray[np.float32]:
    """(stop - start, ny, nx) values of the field at the points of these layers, as far as the blocks care.

    All but the last layer must lie in one layer of blocks. Values further than a cell from zero are right in their
    sign alone.
    """
    at = start // BLOCK
    per_cell = SLACK * grid.spacing
    return _slices(hull, grid, (start, stop), (blocks.care[at], blocks.values[at], per_cell), 2 * per_cell)


def values_on(hull: Hull, grid: Grid, *, enough: float = np.inf) -> NDArray[np.float32]:
    """(nz, ny, nx) values of the field at all points of a grid; those of more than ``enough`` are wrong, perhaps, but
    more than that.
    """
    depth = grid.shape[0]
    blocks = tuple(-(-n // BLOCK) for n in grid.shape[1:])
    everywhere = np.full(blocks, VALUE, np.uint8), np.zeros(blocks, np.float32), np.inf
    layers = [(start, min(start + BLOCK, depth)) for start in range(0, depth, BLOCK)]
    return np.concatenate(shared_out(lambda layer: _slices(hull, grid, layer, everywhere, enough), layers))


def _slices(
    hull: Hull,
    grid: Grid,
    layers: tuple[int, int],
    care: tuple[NDArray[np.uint8], NDArray[np.float32], float],
    enough: float,
) -> NDArray[np.float32]:
    """Some layers. ``care``: what is needed of each block, the blocks' values, the most that one cell can change.
    ``enough``: as for ``values_on``.
    """
    lattice = np.array([*grid.origin, grid.spacing])
    _, height, width = grid.shape
    inflation = hull.inflation or _UNBOUNDED
    field = Field(
        distances=hull.distances,
        matrices=hull.projections.cameras.matrices,
        depth_squared=inflation.depth_squared[None],
        deepest=inflation.deepest,
        steepness=inflation.steepness,
        volume=hull.volume.values,
        lattice=hull.volume.lattice,
    )
    return sampled(field, lattice, layers, (height, width), *care, enough)
