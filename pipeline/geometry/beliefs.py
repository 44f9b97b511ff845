"""How far a hull's voxels are to be believed full, by the colours that several pictures show at them.

A ray of a picture shows the first full voxel on its way. What a picture says of a voxel depends on what lies before
and behind it on the ray, and on the colours of the other pictures there, as far as they see so far. These are
sum-product messages along rays, as in Ulusoy, Geiger and Black, "Towards Probabilistic Volumetric Reconstruction using
Ray Potentials" (2015), with colours compared view by view, and with neighbours that would be alike (a mean field).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pipeline.geometry.threads import shared_out

_ROUNDS = 10
_FILLED = (0.0, 0.5)
"""Log odds of being full before anything is seen, in the first round and in the last: at first rays look a little into
the hull, in the end what nothing speaks against is full."""
_ALIKE = (0.3, 1.0)
"""What each of the six neighbours adds if it is sure, likewise."""
SURE = 2.0
"""Log odds beyond which a voxel is simply full or empty."""
_DAMPING = 0.5
_STRONGEST = 4.0
"""No message says more than that, log odds."""
_UNSEEN, _PALE = 0.1, 0.5
"""A voxel that no other view sees may have any colour: that counts as so much of a view, less likely by this factor."""
_MISSING = 0.02
"""How likely a ray within the outline meets nothing: outlines err."""
_HIDDEN = 1e-4
"""What is seen with less likelihood than that is not."""


class VoxelRays(NamedTuple):
    """The M voxels as R rays of a picture meet them."""

    order: NDArray[np.int32]
    """(M,) numbers of voxels, those of a ray together, the nearest first."""
    starts: NDArray[np.int32]
    """(R + 1,) where each ray begins in it."""


def believed(
    agreement: NDArray[np.float32], rays: Sequence[VoxelRays], beside: NDArray[np.int32]
) -> NDArray[np.float32]:
    """(M,) log odds that each voxel is full.

    ``agreement`` (M, N, N): how many times likelier than by chance view i's colour at the voxel is, if view j shows the
    same place; ``beside`` (M, 6) the numbers of neighbours, -1 beyond the hull, where nothing is known.
    """
    count, views = agreement.shape[:2]
    said, seen = np.zeros((views, count), np.float32), np.zeros((count, views), np.float32)
    odds, full = np.zeros(count, np.float32), np.full(count, 0.5, np.float32)
    for at in range(_ROUNDS):
        part = at / (_ROUNDS - 1)
        shared_out(lambda view, full=full: _look(*rays[view], view, full, seen), range(views))  # type: ignore[misc]
        shared_out(
            lambda view, odds=odds: _listen(*rays[view], view, odds, said[view], seen, agreement),  # type: ignore[misc]
            range(views),
        )
        alone = said.sum(axis=0) + np.float32(_between(_FILLED, part))
        for _ in range(2):
            odds, full = _with_neighbours(alone, full, beside, np.float32(_between(_ALIKE, part)))
    return odds


def consent(agreement: NDArray[np.float32], rays: Sequence[VoxelRays], full: NDArray[np.bool_]) -> float:
    """Where two views see one of the (M,) full voxels: how often they show likelier one surface than chance; 0..1.

    Pairs whose agreement is 1 say nothing and don't count.
    """
    return float(_consent(agreement, views_that_see(rays, full) * full[:, None]))


def views_that_see(rays: Sequence[VoxelRays], full: NDArray[np.bool_]) -> NDArray[np.float32]:
    """(M, N) which views see each voxel where these are full."""
    seen, solid = np.zeros((len(full), len(rays)), np.float32), full.astype(np.float32)
    shared_out(lambda view: _look(*rays[view], view, solid, seen), range(len(rays)))
    return seen


def all_along(rays: Sequence[VoxelRays], marked: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(M, N) of (M, N): whether the first voxel on the view's ray through each is marked."""
    found = np.zeros_like(marked)
    shared_out(lambda view: _along(*rays[view], view, marked, found), range(len(rays)))
    return found


@njit(cache=True, nogil=True)
def _along(
    order: NDArray[np.int32], starts: NDArray[np.int32], view: int, marked: NDArray[np.bool_], found: NDArray[np.bool_]
) -> None:
    for ray in range(len(starts) - 1):
        for at in range(starts[ray], starts[ray + 1]):
            found[order[at], view] = marked[order[starts[ray]], view]


@njit(cache=True, nogil=True, error_model="numpy")
def _consent(agreement: NDArray[np.float32], seen: NDArray[np.float32]) -> float:
    alike, pairs = 0.0, 1e-9
    for v in range(len(seen)):
        for one in range(seen.shape[1]):
            if seen[v, one] > 0:
                for other in range(seen.shape[1]):
                    if other != one and seen[v, other] > 0 and agreement[v, one, other] != 1:
                        pairs += 1
                        alike += agreement[v, one, other] > 1
    return alike / pairs


def _between(ends: tuple[float, float], part: float) -> float:
    return ends[0] + part * (ends[1] - ends[0])


@njit(cache=True, nogil=True, error_model="numpy")
def _look(
    order: NDArray[np.int32], starts: NDArray[np.int32], view: int, full: NDArray[np.float32], seen: NDArray[np.float32]
) -> None:
    """How likely a view sees each voxel: nothing lies before it."""
    for ray in range(len(starts) - 1):
        clear = np.float32(1)
        for at in range(starts[ray], starts[ray + 1]):
            seen[order[at], view] = clear
            clear *= 1 - full[order[at]]
            if clear < _HIDDEN:
                clear = np.float32(0)


@njit(cache=True, nogil=True, error_model="numpy")
def _listen(
    order: NDArray[np.int32],
    starts: NDArray[np.int32],
    view: int,
    odds: NDArray[np.float32],
    said: NDArray[np.float32],
    seen: NDArray[np.float32],
    agreement: NDArray[np.float32],
) -> None:
    """Renew the messages of a view's rays: what they say of each voxel, given what all others say."""
    longest = 0
    for ray in range(len(starts) - 1):
        longest = max(longest, starts[ray + 1] - starts[ray])
    full, likely, shown = np.empty(longest), np.empty(longest), np.empty(longest)
    for ray in range(len(starts) - 1):
        first, count, clear, whole = starts[ray], 0, 1.0, 0.0
        while first + count < starts[ray + 1] and clear >= _HIDDEN:
            v = order[first + count]
            full[count] = 1 / (1 + np.exp(said[v] - odds[v]))
            likely[count] = clear * _likelihood(v, view, seen, agreement)
            shown[count] = full[count] * likely[count]
            whole += shown[count]
            clear *= 1 - full[count]
            count += 1
        whole += clear * _MISSING
        before = 1e-6
        for at in range(count):
            v = order[first + at]
            behind = max(whole - before - shown[at], 0.0) / max(1 - full[at], _HIDDEN)
            message = np.log((before + likely[at]) / (before + behind))
            said[v] += _DAMPING * (min(max(message, -_STRONGEST), _STRONGEST) - said[v])
            before += shown[at]
        for at in range(first + count, starts[ray + 1]):
            said[order[at]] *= 1 - _DAMPING


@njit(cache=True, nogil=True, error_model="numpy")
def _likelihood(v: int, view: int, seen: NDArray[np.float32], agreement: NDArray[np.float32]) -> float:
    """Of the view's colour at a voxel, if the ray ends there: by the other views as far as they see it."""
    weight, agreeing = _UNSEEN, _UNSEEN * _PALE
    for other in range(seen.shape[1]):
        if other != view:
            weight += seen[v, other]
            agreeing += seen[v, other] * agreement[v, view, other]
    return agreeing / weight


@njit(cache=True, nogil=True, error_model="numpy")
def _with_neighbours(
    alone: NDArray[np.float32], full: NDArray[np.float32], beside: NDArray[np.int32], alike: np.float32
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The log odds and the likelihoods that they stand for."""
    odds, likely = np.empty_like(alone), np.empty_like(alone)
    for v in range(len(alone)):
        leaning = np.float32(0)
        for side in range(6):
            if beside[v, side] >= 0:
                leaning += 2 * full[beside[v, side]] - 1
        odds[v] = alone[v] + alike * leaning
        likely[v] = 1 / (1 + np.exp(-odds[v]))
    return odds, likely
