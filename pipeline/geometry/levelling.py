"""What views differ by over wide areas, blended over all of them; detail stays with the view that was chosen for it.

Two bands (Burt and Adelson, "A Multiresolution Spline With Application to Image Mosaics", 1983) on a surface, as
Allene, Pons and Keriven have them ("Seamless Image-Based Texture Atlases using Multi-band Blending", 2008): blending
the whole colours would show details twice where a shape is not exact, choosing them whole shows where one view ends.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pipeline.geometry.patches import PATCH, Patches

_WIDE = 0.015
"""World units, the deviation of the smoothing that parts the two bands."""
_CONTRADICTION = 0.3
"""Views whose colours differ from the painted one by so much, of all that they can, show something else."""


def levels(
    vertices: NDArray[np.float32],
    patches: Patches,
    share: NDArray[np.float32],
    samples: NDArray[np.uint8],
    seen: NDArray[np.float32],
) -> NDArray[np.int8]:
    """(N, V, 3) what is to be added to the sRGB colours in which each view shows the vertices, 0..255.

    ``share`` (N, V) how much of each vertex's colour comes from each view, ``samples`` (N, V, 3) the colours in which
    the views show them, ``seen`` (N, V) how much each view's word weighs, 0 where it sees nothing.
    """
    starts, neighbours = _adjacent(patches.first, patches.second, patches.count)
    sums = _differences(patches.of, patches.count, share, samples, seen)
    # Each step takes the mean over a patch and some five others around it.
    for _ in range(round((_WIDE / PATCH) ** 2 / 0.45)):
        sums = _spread(sums, starts, neighbours)
    return _at_vertices(vertices, patches.of, starts, neighbours, sums)


@njit(cache=True, nogil=True)
def _adjacent(
    first: NDArray[np.int64], second: NDArray[np.int64], count: int
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Where each patch's neighbours begin in a list of all, and the list."""
    starts = np.zeros(count + 1, np.int64)
    for pair in range(len(first)):
        starts[first[pair] + 1] += 1
        starts[second[pair] + 1] += 1
    starts = np.cumsum(starts)
    neighbours, place = np.empty(2 * len(first), np.int32), starts.copy()
    for pair in range(len(first)):
        one, other = first[pair], second[pair]
        neighbours[place[one]], neighbours[place[other]] = other, one
        place[one] += 1
        place[other] += 1
    return starts, neighbours


@njit(cache=True, nogil=True, error_model="numpy")
def _differences(
    of: NDArray[np.int32],
    count: int,
    share: NDArray[np.float32],
    samples: NDArray[np.uint8],
    seen: NDArray[np.float32],
) -> NDArray[np.float32]:
    """(P, N, 4) by how much the blend of all views that agree exceeds each, summed by weight; and the weight."""
    views = len(seen)
    sums, weights = np.zeros((count, views, 4), np.float32), np.empty(views, np.float32)
    painted, blended = np.empty(3, np.float32), np.empty(3, np.float32)
    for v in range(len(of)):
        painted[:] = 0
        for view in range(views):
            if share[view, v] > 0:
                for channel in range(3):
                    painted[channel] += share[view, v] * samples[view, v, channel]
        total = np.float32(0)
        blended[:] = 0
        for view in range(views):
            weights[view] = 0
            if seen[view, v] > 0:
                unlike = np.float32(0)
                for channel in range(3):
                    unlike += abs(samples[view, v, channel] - painted[channel])
                agreeing = max(1 - (unlike / np.float32(765 * _CONTRADICTION)) ** 2, np.float32(0))
                weights[view] = seen[view, v] * agreeing * agreeing
                total += weights[view]
                for channel in range(3):
                    blended[channel] += weights[view] * samples[view, v, channel]
        for view in range(views):
            if weights[view] > 0:
                for channel in range(3):
                    more = blended[channel] / total - samples[view, v, channel]
                    sums[of[v], view, channel] += weights[view] * more
                sums[of[v], view, 3] += weights[view]
    return sums


@njit(cache=True, nogil=True, error_model="numpy")
def _spread(sums: NDArray[np.float32], starts: NDArray[np.int64], neighbours: NDArray[np.int32]) -> NDArray[np.float32]:
    """The mean over each patch and its neighbours, of sums and weights alike."""
    spread = sums.copy()
    for patch in range(len(sums)):
        for n in range(starts[patch], starts[patch + 1]):
            other = neighbours[n]
            for view in range(sums.shape[1]):
                for channel in range(4):
                    spread[patch, view, channel] += sums[other, view, channel]
        part = np.float32(1 / (1 + starts[patch + 1] - starts[patch]))
        for view in range(sums.shape[1]):
            for channel in range(4):
                spread[patch, view, channel] *= part
    return spread


@njit(cache=True, nogil=True, error_model="numpy")
def _at_vertices(
    vertices: NDArray[np.float32],
    of: NDArray[np.int32],
    starts: NDArray[np.int64],
    neighbours: NDArray[np.int32],
    sums: NDArray[np.float32],
) -> NDArray[np.int8]:
    """(N, V, 3) the differences at each vertex: of its patch and those around it, the nearer the more."""
    count, views = len(starts) - 1, sums.shape[1]
    middles, vertex_counts = np.zeros((count, 3), np.float32), np.zeros(count, np.float32)
    for v in range(len(of)):
        for axis in range(3):
            middles[of[v], axis] += vertices[v, axis]
        vertex_counts[of[v]] += 1
    levels, mixed = np.zeros((views, len(of), 3), np.int8), np.empty((views, 4), np.float32)
    for v in range(len(of)):
        patch = of[v]
        mixed[:] = 0
        for n in range(starts[patch] - 1, starts[patch + 1]):
            other = patch if n < starts[patch] else neighbours[n]
            away = np.float32(0)
            for axis in range(3):
                away += (vertices[v, axis] - middles[other, axis] / vertex_counts[other]) ** 2
            near = max(1 - away / np.float32((2 * PATCH) ** 2), np.float32(0.01))
            for view in range(views):
                for channel in range(4):
                    mixed[view, channel] += near * near * sums[other, view, channel]
        for view in range(views):
            if mixed[view, 3] > np.float32(1e-6):
                for channel in range(3):
                    level = round(mixed[view, channel] / mixed[view, 3])
                    levels[view, v, channel] = min(max(level, -127), 127)
    return levels
