"""Which of the hollows that a hull is believed to have its pictures bear out.

Where pictures are of one colour, or a lamp moves with the camera, beliefs may wander off through what nothing speaks
against. Each hollow, voxels side by side, is judged by the rays that meet it: what other views say of the place where
such a ray meets the hull, and of the place where it meets what is left.
"""

from collections.abc import Sequence

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pipeline.geometry.beliefs import SURE, VoxelRays, views_that_see
from pipeline.geometry.threads import shared_out

_WITNESSES = 2
"""So many views must look through what is empty: a face that one alone sees might be pushed anywhere."""
_CONTRADICTED = 0.005
"""Pairs of views, for each ray that meets a hollow, that must disagree on the hull there, ..."""
_GAIN = 0.08
"""... and by how much the pairs that agree, less those that don't, must grow."""

_DISAGREEING, _GAINED, _RAYS = range(3)
"""What is counted of a hollow: pairs that disagree on the hull, the growth of agreement, the rays."""


def borne_out(
    odds: NDArray[np.float32],
    agreement: NDArray[np.float32],
    rays: Sequence[VoxelRays],
    beside: NDArray[np.int32],
) -> NDArray[np.float32]:
    """(M,) log odds that voxels are full, sure of those in hollows that pictures don't bear out.

    ``agreement``, ``rays`` and ``beside`` as for ``believed``.
    """
    odds = _witnessed(odds, rays)
    hollow, count = _numbered(odds <= 0, beside)
    if not count:
        return odds
    before, after = (views_that_see(rays, full) for full in (np.ones_like(hollow, np.bool_), odds > 0))
    found = shared_out(
        lambda view: _pairs(*rays[view], view, hollow, count, before, after, agreement), range(len(rays))
    )
    pairs = np.add.reduce(found)
    contradicted = pairs[:, _DISAGREEING] > _CONTRADICTED * pairs[:, _RAYS]
    idle = ~(contradicted & (pairs[:, _GAINED] > _GAIN * pairs[:, _RAYS]))
    if not idle.any():
        return odds
    return _witnessed(np.where((hollow >= 0) & idle[hollow], np.float32(SURE), odds), rays)


def _witnessed(odds: NDArray[np.float32], rays: Sequence[VoxelRays]) -> NDArray[np.float32]:
    odds = odds.copy()
    while len(hardly_seen := np.flatnonzero((odds <= 0) & (views_that_see(rays, odds > 0).sum(axis=1) < _WITNESSES))):
        odds[hardly_seen] = SURE
    return odds


@njit(cache=True, nogil=True)
def _numbered(empty: NDArray[np.bool_], beside: NDArray[np.int32]) -> tuple[NDArray[np.int32], int]:
    """(M,) the number of each empty voxel's hollow, -1 for the others, and how many hollows there are."""
    found, count = np.full(len(empty), -1, np.int32), 0
    waiting = np.empty(len(empty), np.int32)
    for first in range(len(empty)):
        if not empty[first] or found[first] >= 0:
            continue
        found[first], waiting[0], left = count, first, 1
        while left:
            left -= 1
            v = waiting[left]
            for side in range(beside.shape[1]):
                other = beside[v, side]
                if other >= 0 and empty[other] and found[other] < 0:
                    found[other], waiting[left] = count, other
                    left += 1
        count += 1
    return found, count


@njit(cache=True, nogil=True)
def _pairs(
    order: NDArray[np.int32],
    starts: NDArray[np.int32],
    view: int,
    hollow: NDArray[np.int32],
    count: int,
    before: NDArray[np.float32],
    after: NDArray[np.float32],
    agreement: NDArray[np.float32],
) -> NDArray[np.int64]:
    """(count, 3) what one view's rays say of each hollow that they meet first, as the constants above count it."""
    found = np.zeros((count, 3), np.int64)
    for ray in range(len(starts) - 1):
        at, end = starts[ray], starts[ray + 1]
        if at == end or hollow[order[at]] < 0:
            continue
        v = order[at]
        agreeing, disagreeing = _heard(v, view, before, agreement)
        while at < end and hollow[order[at]] >= 0:
            at += 1
        nearer, further = _heard(order[at], view, after, agreement) if at < end else (0, 0)
        found[hollow[v], _DISAGREEING] += disagreeing
        found[hollow[v], _GAINED] += nearer - further - agreeing + disagreeing
        found[hollow[v], _RAYS] += 1
    return found


@njit(cache=True, nogil=True)
def _heard(v: int, view: int, seen: NDArray[np.float32], agreement: NDArray[np.float32]) -> tuple[int, int]:
    """How many of the other views that see a voxel agree with this one, and how many don't."""
    agreeing, disagreeing = 0, 0
    for other in range(seen.shape[1]):
        if other != view and seen[v, other] > 0:
            agreeing += agreement[v, view, other] > 1
            disagreeing += agreement[v, view, other] < 1
    return agreeing, disagreeing
