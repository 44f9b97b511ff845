"""A depth for a silhouette that no other view bounds: round, symmetric, thick where the outline is wide."""

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pipeline.geometry.resampling import resampled

_SIZE = 192
"""Pixels along the plane on which the depth is solved; it is smooth, so few are enough."""
_THICKNESS_PX = 256
_SMOOTH_PX = 128
"""The same for what is only compared with its neighbours."""
_ROUNDNESS = 3.0
"""4 makes a ball of a disc, 2 a rod of a bar; between the two."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inflation:
    """A guessed solid, symmetric about the plane of a silhouette."""

    depth_squared: NDArray[np.float32]
    """(S, S) the square of half the depth behind each pixel, world units; zero outside the silhouette."""
    deepest: float
    """The largest half depth."""
    steepness: float
    """How much faster than a distance ``(z * z - depth_squared) / (abs(z) + deepest)`` may grow."""


def inflated(distance: NDArray[np.float32], pixel: float) -> Inflation:
    """Give a silhouette a depth.

    ``distance`` (S, S) is the signed distance from the outline in world units, ``pixel`` the size of its pixels. The
    square u of half the depth solves the Poisson equation (laplacian u = -constant, u = 0 on the outline), which makes
    a ball of a disc.
    """
    depth_squared = _depth_squared(distance, pixel)
    deepest = float(np.sqrt(max(depth_squared.max(), pixel * pixel)))
    slope = max(float(np.abs(np.diff(depth_squared, axis=axis)).max()) for axis in (0, 1)) / pixel
    return Inflation(depth_squared=depth_squared, deepest=deepest, steepness=float(np.hypot(1, 1.5 * slope / deepest)))


def thickness(distance: NDArray[np.float32], pixel: float) -> NDArray[np.float32]:
    """(s, s) how thick a silhouette is at each place against the thickest place of its row, 0..1; 0 outside.

    The measure is the square of the depth that ``inflated`` would give it; arguments as there.
    """
    shown = resampled(distance, _THICKNESS_PX, _THICKNESS_PX)
    thick = np.maximum(_depth_squared(shown, pixel * len(distance) / _THICKNESS_PX, _SMOOTH_PX), 0)
    part: NDArray[np.float32] = thick / np.maximum(thick.max(axis=1, keepdims=True), np.float32(1e-9))
    return part


def _depth_squared(distance: NDArray[np.float32], pixel: float, plane: int = _SIZE) -> NDArray[np.float32]:
    """On a plane of so many pixels, then as fine as the distance."""
    coarse = resampled(distance, plane, plane)
    cell = pixel * len(distance) / plane
    solved = _solve(coarse < 0, _ROUNDNESS * cell * cell)
    size = len(distance)
    u = resampled(solved, size, size)
    # Near the outline the solution follows the fine distance, so that the two vanish together.
    steepness = resampled(_steepness(solved, coarse, cell), size, size)
    part = np.clip(-distance / (4 * cell) - 0.5, 0, 1)
    smooth = part * part * (3 - 2 * part)
    # What is too thin for the coarse plane is about as round as a rod so thin.
    inward = np.maximum(-distance, 0)
    near = np.maximum(steepness * inward, _ROUNDNESS / 2 * inward * (inward + pixel))
    blended: NDArray[np.float32] = (smooth * u + (1 - smooth) * near).astype(np.float32)
    return blended


def _steepness(solved: NDArray[np.float32], distance: NDArray[np.float32], cell: float) -> NDArray[np.float32]:
    """How fast the solution grows away from the outline, carried outwards from where it is well known."""
    known = distance < -2 * cell
    if not known.any():
        known = distance <= distance.min()
    ratio = np.where(known, solved / np.maximum(-distance, cell), 0).astype(np.float32)
    weight = known.astype(np.float32)
    for _ in range(12):
        ratio, weight = _spread(ratio), _spread(weight)
    mean = ratio[known].sum() / weight[known].sum()
    return np.where(weight > 1e-6, ratio / np.maximum(weight, 1e-6), mean).astype(np.float32)


def _spread(plane: NDArray[np.float32]) -> NDArray[np.float32]:
    padded = np.pad(plane, 1, mode="edge")
    across = padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:]
    spread: NDArray[np.float32] = (across[:-2] + across[1:-1] + across[2:]) / 9
    return spread


@njit(cache=True, nogil=True)
def _solve(inside: NDArray[np.bool_], source: float) -> NDArray[np.float32]:
    """Successive over-relaxation of the five-point Poisson equation, zero outside."""
    height, width = inside.shape
    over = 2 - 2.4 * np.pi / height  # near the best
    u = np.zeros((height, width))
    for _ in range(2 * height):
        for y in range(1, height - 1):
            for x in range(1, width - 1):
                if inside[y, x]:
                    mean = (u[y - 1, x] + u[y + 1, x] + u[y, x - 1] + u[y, x + 1] + source) / 4
                    u[y, x] += over * (mean - u[y, x])
    return u.astype(np.float32)
