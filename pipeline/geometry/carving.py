"""Takes out of a hull what its silhouettes cannot see to be empty: where pictures show different colours at one place.

The hull is cut into voxels, each is judged by all pictures together (``beliefs``), and what is believed empty is taken
out as a smooth volume that still covers every silhouette.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pipeline.domain.views import ORTHOGRAPHIC_WIDTH, View
from pipeline.geometry.agreement import agreement, around, highlights, look_up_all, reduced, unheeded
from pipeline.geometry.beliefs import SURE, VoxelRays, all_along, believed, consent
from pipeline.geometry.cameras import Projections
from pipeline.geometry.covering import covering, lacking, rays_through
from pipeline.geometry.exposure import evened, exposure
from pipeline.geometry.hollows import borne_out
from pipeline.geometry.silhouettes import Silhouette
from pipeline.geometry.threads import shared_out
from pipeline.geometry.visual_hull import Grid, Hull, coarse_values, grid_around, values_on
from pipeline.geometry.volumes import Volume, levelled, volume_at

_FEWEST_VIEWS = 7
"""With fewer, most places are seen by two views or one: what agrees by chance costs some objects more than is won."""
_VOXELS = 64_000
"""About so many in the hull."""
_FINEST, _COARSEST = ORTHOGRAPHIC_WIDTH / 160, ORTHOGRAPHIC_WIDTH / 80
_FEWEST_PX = 3
"""A voxel is no smaller than so many pixels."""
_SAMPLES = 3
"""Pixels of the reduced pictures along a voxel, about."""
_ASLANT = 0.9
"""A view along no axis of the grid has a smaller cosine to all of them: the columns it sees lie closer."""
_LEAST_CONSENT = 0.7
"""So many pairs of pictures must agree on what is left, or colours are no guide: the hull stays."""
_WORTH = 1.5
"""What is taken out must take disagreement with it: a larger part of that than of the solid, by this factor."""
_MORE_CONSENT = 0.05
"""Exposures are evened out where so many more pairs then agree on the hull."""
_BEYOND = 3
"""How many voxels around the hull go on as those within it: the solid's surface must not bend outside."""
_ROUNDS = 2
"""Of smoothing, each with the weights 1/4, 1/2, 1/4 along every axis."""


def carved(hull: Hull, silhouettes: Mapping[View, Silhouette]) -> Hull:
    """The hull without what its pictures agree to be empty; the same hull where they don't say so."""
    grid = _grid(hull) if len(hull.projections.views) >= _FEWEST_VIEWS else None
    if grid is None:
        return hull
    inside = values_on(hull, grid, enough=0.0) < 0
    if not inside.any():  # thinner than the grid
        return hull
    where = np.ascontiguousarray(np.argwhere(inside), np.int32)
    points = where[:, ::-1] * grid.spacing + np.array(grid.origin)
    shown = hull.projections
    rays = shared_out(lambda at: _rays(shown, at, points, grid), range(len(shown.views)))
    colours, spread = _colours(shown, silhouettes, points, grid.spacing)
    agreeing = _agreeing(colours, spread, rays)
    beside = _beside(inside, where)
    odds = borne_out(believed(agreeing, rays, beside), agreeing, rays, beside)
    if not _better(agreeing, rays, odds > 0):
        return hull
    volume = _without(odds, inside, where, grid)
    if hull.volume.values.size:
        volume = volume._replace(values=common(volume.values, volume.lattice, hull.volume.values, hull.volume.lattice))
    return replace(hull, volume=covering(volume, lacking(hull, volume, rays_through(hull))))


def _grid(hull: Hull) -> Grid | None:
    """Around the hull, which has about ``_VOXELS`` of its points; None where nothing is left of it."""
    coarse = coarse_values(hull)
    spacing = ORTHOGRAPHIC_WIDTH / (len(coarse) - 1) * float(np.cbrt(max((coarse < 0).sum(), 1) / _VOXELS))
    finest = max(_FINEST, _FEWEST_PX * float(hull.projections.cameras.pixels.max()))
    return grid_around(hull, max(min(spacing, _COARSEST), finest))


def _colours(
    shown: Projections, silhouettes: Mapping[View, Silhouette], points: NDArray[np.float64], spacing: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(M, N, 3) colours of M points in each picture and (M, N) how much they vary about there, 0..1."""
    colours = np.empty((len(points), len(shown.views), 3), np.float32)
    spread = np.empty(colours.shape[:2], np.float32)

    def look_up(at: int) -> None:
        one = silhouettes[shown.views[at]]
        factor = max(1, round(spacing / _SAMPLES / shown.cameras.pixels[at]))
        picture = around(reduced(one.colours, one.coverage, factor))
        look_up_all(picture, shown.points(at, points)[:, :2] / factor, at, colours, spread)

    shared_out(look_up, range(len(shown.views)))
    return colours, spread


def _agreeing(
    colours: NDArray[np.float32], spread: NDArray[np.float32], rays: Sequence[VoxelRays]
) -> NDArray[np.float32]:
    """The pictures' agreement, with their exposures evened out if that makes clearly more of them agree on the hull.

    Colours that may be highlights say nothing in it.
    """
    found = agreement(colours, spread)
    samples = np.rint(255 * colours).astype(np.uint8).transpose(1, 0, 2)
    outermost = np.zeros(spread.shape, np.bool_)
    for view, (order, starts) in enumerate(rays):
        outermost[order[starts[:-1][np.diff(starts) > 0]], view] = True
    exposures = exposure(samples, outermost.T.astype(np.float32))
    if exposures.differs:
        samples = evened(samples[:, :, None], exposures)[:, :, 0]
        even = np.ascontiguousarray(samples.transpose(1, 0, 2), np.float32) / np.float32(255)
        other, whole = agreement(even, spread), np.ones(len(colours), np.bool_)
        if consent(other, rays, whole) > consent(found, rays, whole) + _MORE_CONSENT:
            found, colours = other, even
    unheeded(found, all_along(rays, highlights(colours, outermost)))
    return found


def _better(agreement: NDArray[np.float32], rays: Sequence[VoxelRays], full: NDArray[np.bool_]) -> bool:
    """Whether the pictures agree on what is left, and the part that disagreed has shrunk by more than the solid has."""
    before, after = consent(agreement, rays, np.ones_like(full)), consent(agreement, rays, full)
    return after >= _LEAST_CONSENT and after - before > _WORTH * (1 - before) * (1 - full.mean())


def _rays(shown: Projections, at: int, points: NDArray[np.float64], grid: Grid) -> VoxelRays:
    """As many rays through view number ``at`` as it sees columns of the grid, straight or aslant."""
    x, y, depth = shown.points(at, points).T
    first = shown.points(at, np.array([grid.origin]))[0]
    pixels = grid.spacing / shown.cameras.pixels[at]
    aslant = np.abs(shown.cameras.frames[at, 2]).max() < _ASLANT
    column, row = _counted(x - first[0], pixels / np.sqrt(1 + aslant)), _counted(y - first[1], pixels)
    ray = row * (column.max() + 1) + column
    behind = _counted(-depth, grid.spacing / 4)
    return VoxelRays(*_in_order(ray, behind))


def _counted(values: NDArray[np.float64], step: float) -> NDArray[np.int32]:
    """In steps from the smallest one."""
    steps = np.rint(values / step).astype(np.int32)
    return np.asarray(steps - steps.min())


@njit(cache=True, nogil=True, error_model="numpy")
def _in_order(ray: NDArray[np.int32], behind: NDArray[np.int32]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Numbers by ray, then by ``behind``, and where each ray begins: two counting sorts."""
    order = np.arange(len(ray)).astype(np.int32)
    starts = np.zeros(1, np.int32)
    for keys in (behind, ray):
        starts = np.zeros(keys.max() + 2, np.int32)
        for v in range(len(keys)):
            starts[keys[v] + 1] += 1
        for key in range(1, len(starts)):
            starts[key] += starts[key - 1]
        following, sorted_ = starts.copy(), np.empty_like(order)
        for at in range(len(order)):
            v = order[at]
            sorted_[following[keys[v]]] = v
            following[keys[v]] += 1
        order = sorted_
    return order, starts


def _beside(inside: NDArray[np.bool_], where: NDArray[np.int32]) -> NDArray[np.int32]:
    """(M, 6) the numbers of each voxel's neighbours along the axes, -1 where there is none."""
    number = np.full(tuple(n + 2 for n in inside.shape), -1, np.int32)
    k, j, i = where.T + 1
    number[k, j, i] = np.arange(len(where))
    sides = [(k, j, i + 1), (k, j, i - 1), (k, j + 1, i), (k, j - 1, i), (k + 1, j, i), (k - 1, j, i)]
    return np.stack([number[side] for side in sides], axis=1)


def _without(odds: NDArray[np.float32], inside: NDArray[np.bool_], where: NDArray[np.int32], grid: Grid) -> Volume:
    """The voxels believed full and all that is beyond the hull, but no wall between the hull's outside and hollows."""
    values = np.full(inside.shape, -1, np.float32)
    values[inside] = -np.clip(odds, -SURE, SURE) / SURE
    carry_on(values, inside.astype(np.uint8), where, _BEYOND)
    for _ in range(_ROUNDS):
        for axis in range(3):
            values = _smoothed(values, axis)
    values = levelled(np.ascontiguousarray(values * np.float32(grid.spacing)), grid.spacing)
    return Volume(values=values, lattice=np.array([*grid.origin, grid.spacing]))


def _smoothed(values: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
    padded: NDArray[np.float32] = np.pad(values, [(int(axis == k),) * 2 for k in range(3)], mode="edge")
    moved = np.moveaxis(padded, axis, 0)
    smooth: NDArray[np.float32] = ((moved[:-2] + moved[2:]) / 4 + moved[1:-1] / 2).astype(np.float32)
    return np.moveaxis(smooth, 0, axis)


@njit(cache=True, nogil=True, error_model="numpy")
def carry_on(values: NDArray[np.float32], known: NDArray[np.uint8], where: NDArray[np.int32], rounds: int) -> None:
    """Values outwards from the known ones, each the mean of the known ones among the 26 around it."""
    depth, height, width = values.shape
    front = where
    for _ in range(rounds):
        found = np.empty((8 * len(front) + 8, 3), np.int32)
        count = 0
        for p in range(len(front)):
            for side in range(27):
                k, j, i = front[p, 0] + side // 9 - 1, front[p, 1] + side // 3 % 3 - 1, front[p, 2] + side % 3 - 1
                if not (0 <= k < depth and 0 <= j < height and 0 <= i < width) or known[k, j, i] or count == len(found):
                    continue
                known[k, j, i] = 2
                found[count, 0], found[count, 1], found[count, 2] = k, j, i
                count += 1
        for p in range(count):
            total, number = np.float32(0), 0
            for side in range(27):
                k, j, i = found[p, 0] + side // 9 - 1, found[p, 1] + side // 3 % 3 - 1, found[p, 2] + side % 3 - 1
                if 0 <= k < depth and 0 <= j < height and 0 <= i < width and known[k, j, i] == 1:
                    total += values[k, j, i]
                    number += 1
            values[found[p, 0], found[p, 1], found[p, 2]] = total / max(number, 1)
        for p in range(count):
            known[found[p, 0], found[p, 1], found[p, 2]] = 1
        front = found[:count].copy()


@njit(cache=True, nogil=True, error_model="numpy")
def common(
    values: NDArray[np.float32], lattice: NDArray[np.float64], others: NDArray[np.float32], other: NDArray[np.float64]
) -> NDArray[np.float32]:
    """The field of what is solid in both, at the points of the first one's lattice."""
    both = values.copy()
    for k in range(values.shape[0]):
        for j in range(values.shape[1]):
            for i in range(values.shape[2]):
                x, y, z = lattice[0] + i * lattice[3], lattice[1] + j * lattice[3], lattice[2] + k * lattice[3]
                both[k, j, i] = max(both[k, j, i], np.float32(volume_at(others, other, x, y, z)))
    return both
