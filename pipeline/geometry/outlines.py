"""What an outline says of the solid behind it: where it is thick, and whether it looks like that of a box."""

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pipeline.domain.views import ORTHOGRAPHIC_WIDTH
from pipeline.geometry.inflation import thickness

BOXY = 0.65
"""Outlines steadier than that speak for boxes (bottles have .53, boxes of several parts .66 to .9)."""
_STEADY_OVER, _STEADY_WITHIN = 0.0258, ORTHOGRAPHIC_WIDTH / 256
"""A row is steady if those so far above and below it (world units) differ from it by no more than so much width."""
_PEAKED = 8
"""Places count for the peak with this power of their thickness."""


class Profile(NamedTuple):
    """How thick a view's outline is along its rows."""

    thickness: NDArray[np.float32]
    """(s, s) as ``inflation.thickness`` has it, over the whole picture, rows without any like those of the nearest;
    (0, 0) where nothing is to be made of it."""
    peaks: NDArray[np.float32]
    """(S,) about the column of each row's thickest place, 0 in the middle of the first pixel."""


NOWHERE = Profile(np.zeros((0, 0), np.float32), np.zeros(0, np.float32))


def profile(distance: NDArray[np.float32], pixel: float) -> Profile:
    """Of an (S, S) signed distance from an outline, world units; ``pixel``: the size of its pixels."""
    thick, size = thickness(distance, pixel), len(distance)
    grow = size / len(thick)
    weights = thick**_PEAKED
    sums = weights.sum(axis=1)
    filled = np.flatnonzero(sums)
    if not len(filled):
        return NOWHERE
    nearest = np.rint(np.interp(np.arange(len(thick)), filled, filled)).astype(np.intp)
    middles = (weights * (np.arange(len(thick)) + 0.5)).sum(axis=1)[filled] / sums[filled]
    rows = (np.arange(size) + 0.5) / grow - 0.5
    return Profile(thick[nearest], (np.interp(rows, filled, middles) * grow - 0.5).astype(np.float32))


def steadiness(distance: NDArray[np.floating[Any]]) -> float:
    """The part of an outline's rows that go on the same above and below, 0..1; ``distance`` (S, S), negative inside.

    Boxes seen square have steady rows, but so have upright cylinders.
    """
    inside, size = distance < 0, len(distance)
    over = max(round(_STEADY_OVER / ORTHOGRAPHIC_WIDTH * size), 1)
    differing = (inside[over:] != inside[:-over]).sum(axis=1)
    steady = np.maximum(differing[over:], differing[:-over]) <= _STEADY_WITHIN / ORTHOGRAPHIC_WIDTH * size
    shown = inside[over:-over].any(axis=1)
    return float((steady & shown).sum() / max(shown.sum(), 1))


@njit(cache=True, nogil=True, error_model="numpy")
def thickness_at(plane: NDArray[np.float32], size: int, column: float, row: float) -> float:
    """A ``Profile``'s thickness, linear between its pixels, where a picture of so many pixels has this column (0 in the
    middle of the first pixel) and this row (0 at its edge).
    """
    grow, last = len(plane) / size, len(plane) - 1
    column, row = min(max((column + 0.5) * grow - 0.5, 0.0), last - 1e-3), min(max(row * grow - 0.5, 0.0), last - 1e-3)
    i, j = int(column), int(row)
    s, t = column - i, row - j
    above = plane[j, i] * (1 - s) + plane[j, i + 1] * s
    below = plane[j + 1, i] * (1 - s) + plane[j + 1, i + 1] * s
    return float(above * (1 - t) + below * t)
