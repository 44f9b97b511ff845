"""Colours of surfaces as functions of the place: plain, mixed by masks, grained by noise. All colours are linear."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """N places on a shape: where it was made, where on its rings, and which way the surface looks in the object."""

    x: Values
    y: Values
    z: Values
    around: Values
    along: Values
    facing: Values
    """(N, 3) unit vectors."""


Paint = Callable[[Place], Values]
"""(N, 3) linear colours."""


def colour(code: str) -> Values:
    """``#d0402a`` as linear red, green, blue."""
    srgb = np.array([int(code[k : k + 2], 16) for k in (1, 3, 5)]) / 255
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def plain(code: str, wear: float = 0.06, grain: float = 9) -> Paint:
    """One colour, a little uneven."""

    def paint(at: Place) -> Values:
        return shaded(colour(code), 1 + wear * (2 * cloud(at.x * grain, at.y * grain, at.z * grain) - 1))

    return paint


def over(below: Values, above: Values, share: Values | Mask) -> Values:
    """``above`` painted over ``below`` where ``share`` is 1 or True."""
    part = np.asarray(share, np.float64)[:, None]
    return below * (1 - part) + above * part


def shaded(base: Values, factor: Values) -> Values:
    """(3,) or (N, 3) colours made lighter or darker by (N,) factors."""
    return base * factor[:, None]


def wood(across: Values, along: Values, depth: Values, light: str, dark: str) -> Values:
    """Grain that runs with ``along``; ``across`` and ``depth`` are at right angles to it. The unit: about one plank."""
    drift = cloud(across * 1.5, along * 0.35, depth * 1.5)
    rings = 0.5 + 0.5 * np.sin(26 * (across + depth * 0.6 + 0.55 * drift))
    fibre = noise(across * 38, along * 2.2, depth * 38)
    base = over(np.broadcast_to(colour(light), (len(across), 3)), colour(dark), 0.55 * rings * rings + 0.25 * fibre)
    return shaded(base, 0.92 + 0.16 * drift)


def noise(x: Values, y: Values, z: Values) -> Values:
    """Value noise on the unit lattice, 0 to 1."""
    cells = [np.floor(axis) for axis in (x, y, z)]
    ease = [(axis - cell) ** 2 * (3 - 2 * (axis - cell)) for axis, cell in zip((x, y, z), cells, strict=True)]
    i, j, k = (cell.astype(np.int64).astype(np.uint32) for cell in cells)
    total = np.zeros_like(x)
    for corner in range(8):
        steps = [np.uint32(corner >> bit & 1) for bit in range(3)]
        weight = np.ones_like(x)
        for step, t in zip(steps, ease, strict=True):
            weight = weight * (t if step else 1 - t)
        total += weight * _lattice(i + steps[0], j + steps[1], k + steps[2])
    return total


def cloud(x: Values, y: Values, z: Values) -> Values:
    """Three octaves of noise, 0 to 1."""
    return (4 * noise(x, y, z) + 2 * noise(x * 2.1, y * 2.1, z * 2.1) + noise(x * 4.3, y * 4.3, z * 4.3)) / 7


def _lattice(i: NDArray[np.uint32], j: NDArray[np.uint32], k: NDArray[np.uint32]) -> Values:
    """A number from 0 to 1 for every lattice point: integer hashing, the same everywhere."""
    mixed = i * np.uint32(0x8DA6B343) ^ j * np.uint32(0xD8163841) ^ k * np.uint32(0xCB1AB31F)
    mixed = (mixed ^ (mixed >> np.uint32(13))) * np.uint32(0x5BD1E995)
    return (mixed ^ (mixed >> np.uint32(15))) / 0xFFFFFFFF


def disc(x: Values, y: Values, radius: float) -> Mask:
    return x * x + y * y < radius * radius


def panel(x: Values, y: Values, width: float, height: float, corner: float) -> Values:
    """Signed distance to a rectangle with round corners about the origin, negative inside."""
    beyond_x, beyond_y = np.abs(x) - width / 2 + corner, np.abs(y) - height / 2 + corner
    outside = np.hypot(np.maximum(beyond_x, 0), np.maximum(beyond_y, 0))
    return outside + np.minimum(np.maximum(beyond_x, beyond_y), 0) - corner


def stroke(x: Values, y: Values, start: tuple[float, float], end: tuple[float, float], width: float) -> Mask:
    """A line with round ends."""
    along = np.array(end) - np.array(start)
    t = np.clip(((x - start[0]) * along[0] + (y - start[1]) * along[1]) / (along**2).sum(), 0, 1)
    return disc(x - start[0] - t * along[0], y - start[1] - t * along[1], width / 2)


def inside(x: Values, y: Values, corners: Sequence[tuple[float, float]]) -> Mask:
    """Whether places lie within a polygon (crossings of a ray, even or odd)."""
    within = np.zeros(len(x), np.bool_)
    for (ax, ay), (bx, by) in zip(corners, [*corners[1:], corners[0]], strict=True):
        if ay != by:
            within ^= ((ay > y) != (by > y)) & (x < ax + (bx - ax) * (y - ay) / (by - ay))
    return within


def repeated(value: Values, period: float) -> Values:
    """Distance from the nearest multiple of ``period``, with its sign."""
    return value - np.rint(value / period) * period
