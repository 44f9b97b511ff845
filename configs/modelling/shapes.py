"""Shapes as closed surfaces of rings. Frame: +Y up, the front faces +Z, the object's own left is +X; units are free."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import pi

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]
ROUND = 96
"""Points of a full circle."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    points: Points
    """(V, 3) where it stands in the object."""
    rest: Points
    """(V, 3) where it was made, before it was moved: what its paint sees."""
    surface: Points
    """(V, 2) around and along its rings, each from 0 to 1."""
    faces: NDArray[np.int64]
    """(F, 3)"""

    def moved(self, x: float = 0, y: float = 0, z: float = 0) -> "Shape":
        return replace(self, points=self.points + np.array([x, y, z]))

    def turned(self, axis: str, degrees: float) -> "Shape":
        """Turned about a coordinate axis, counter-clockwise when it points at you."""
        first, second = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}[axis]
        points, angle = self.points.copy(), np.radians(degrees)
        points[:, first] = self.points[:, first] * np.cos(angle) - self.points[:, second] * np.sin(angle)
        points[:, second] = self.points[:, first] * np.sin(angle) + self.points[:, second] * np.cos(angle)
        return replace(self, points=points)

    def stretched(self, x: float = 1, y: float = 1, z: float = 1) -> "Shape":
        return replace(self, points=self.points * np.array([x, y, z]))

    def bent(self, change: Callable[[Points], Points]) -> "Shape":
        return replace(self, points=change(self.points))

    def as_made(self) -> "Shape":
        """Its paint sees it as it is now."""
        return replace(self, rest=self.points)


def loft(rings: Points) -> Shape:
    """(n, m, 3): n rings of m points; every ring goes round once, the last ring closes what the first one opens."""
    grid = np.concatenate([rings, rings[:, :1]], axis=1)
    n, m = grid.shape[:2]
    index = np.arange(n * m).reshape(n, m)
    a, b, c, d = (corner.ravel() for corner in (index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1]))
    points = grid.reshape(-1, 3)
    along, around = np.meshgrid(np.linspace(0, 1, n), np.linspace(0, 1, m), indexing="ij")
    faces = np.concatenate([np.stack([a, b, c], axis=1), np.stack([a, c, d], axis=1)])
    return Shape(points=points, rest=points, surface=np.stack([around.ravel(), along.ravel()], axis=1), faces=faces)


def lathe(profile: Points, ribs: Callable[[Points], Points] | None = None) -> Shape:
    """(n, 2) radius and height, from one end to the other, turned about the Y axis; ``around`` starts at the front and
    goes to the left. ``ribs`` gives a factor on the radius at each turn of 0 to 1.
    """
    turn = np.arange(ROUND) / ROUND
    radius = profile[:, :1] * (ribs(turn) if ribs else np.ones(ROUND))
    height = np.broadcast_to(profile[:, 1:], radius.shape)
    return loft(np.stack([radius * np.sin(2 * pi * turn), height, radius * np.cos(2 * pi * turn)], axis=2))


def rounded(corners: Sequence[tuple[float, float]], radius: float, steps: int = 6) -> Points:
    """A polyline whose inner corners are rounded by parabolas that begin ``radius`` before them."""
    points = np.array(corners, np.float64)
    way = [points[:1]]
    for before, corner, after in zip(points, points[1:], points[2:], strict=False):
        start, end = (
            corner + (other - corner) * min(0.5, radius / max(float(np.hypot(*(other - corner))), 1e-9))
            for other in (before, after)
        )
        t = np.linspace(0, 1, steps)[:, None]
        way.append((1 - t) ** 2 * start + 2 * t * (1 - t) * corner + t**2 * end)
    return np.concatenate([*way, points[-1:]])


def turned_solid(corners: Sequence[tuple[float, float]], radius: float) -> Shape:
    """A lathe of rounded corners, closed at both ends: (radius, height) from below to above."""
    closed = [(0.0, corners[0][1]), *corners, (0.0, corners[-1][1])]
    return lathe(rounded(closed, radius))


def ball(x: float, y: float, z: float) -> Shape:
    """An ellipsoid of these half axes."""
    angle = np.linspace(-pi / 2, pi / 2, 40)
    profile = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    profile[[0, -1], 0] = 0
    return lathe(profile).stretched(x, y, z).as_made()


def box(width: float, height: float, depth: float, edge: float) -> Shape:
    """A box with its edges rounded by the radius ``edge``."""
    quarter = np.linspace(0, pi / 2, 7)
    turn = np.concatenate([quarter + k * pi / 2 for k in range(4)])
    side_x, side_z = (np.repeat(np.array(signs), 7) for signs in ((1, 1, -1, -1), (1, -1, -1, 1)))
    rings = []
    for lift, up in [*((lift, -1) for lift in quarter - pi / 2), *((lift, 1) for lift in quarter)]:
        radius = edge * np.cos(lift)
        x = side_x * (width / 2 - edge) + radius * np.sin(turn)
        z = side_z * (depth / 2 - edge) + radius * np.cos(turn)
        rings.append(np.stack([x, np.full_like(x, up * (height / 2 - edge) + edge * np.sin(lift)), z], axis=1))
    below, above = (np.broadcast_to([0, end * height / 2, 0], rings[0].shape) for end in (-1, 1))
    return loft(np.array([below, *rings, above], np.float64))


def slab(outline: Points, depth: float, edge: float) -> Shape:
    """A convex outline (m, 2) in x and y, ``depth`` thick in z, its rims rounded by about ``edge``."""
    middle = outline.mean(axis=0)
    reach = np.hypot(*(outline - middle).T).max()
    angle = np.linspace(0, pi / 2, 6)
    insets = np.concatenate([edge * (1 - np.sin(angle)), edge * (1 - np.cos(angle))])
    levels = depth / 2 - edge + edge * np.cos(angle)
    heights = np.concatenate([-levels, levels[::-1]])
    rings = [
        np.column_stack([middle + (outline - middle) * (1 - inset / reach), np.full(len(outline), height)])
        for inset, height in zip(insets, heights, strict=True)
    ]
    ends = [np.broadcast_to([*middle, end * depth / 2], rings[0].shape) for end in (-1, 1)]
    return loft(np.array([ends[0], *rings, ends[1]]))


def ring(major: float, minor: float) -> Shape:
    """A torus about the Z axis; ``along`` goes round the large circle."""
    turn = np.linspace(0, 2 * pi, ROUND + 1)[:, None]
    angle = np.arange(32) * (2 * pi / 32)
    reach = major + minor * np.cos(angle)
    return loft(np.stack([reach * np.cos(turn), reach * np.sin(turn), minor * np.sin(angle) + 0 * turn], axis=2))


def curve(*through: tuple[float, float, float], count: int = 40) -> Points:
    """A smooth path through points (a Catmull-Rom spline)."""
    knots = np.array([through[0], *through, through[-1]], np.float64)
    at = np.linspace(0, len(through) - 1, count)
    piece = np.minimum(at.astype(np.int64), len(through) - 2)
    t = (at - piece)[:, None]
    a, b, c, d = (knots[piece + k] for k in range(4))
    bend: Points = 2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3
    return bend / 2


def tube(path: Points, radius: float | Points, ribs: Callable[[Points], Points] | None = None) -> Shape:
    """A round bar along a path (n, 3), of one radius or of n, closed by half balls."""
    radii = np.broadcast_to(np.asarray(radius, np.float64), len(path))
    heading = np.gradient(path, axis=0)
    heading /= np.sqrt((heading**2).sum(axis=1))[:, None]
    turn = np.arange(48) / 48
    factor = ribs(turn) if ribs else np.ones(48)
    side = np.cross(heading[0], (0.31, 0.17, 0.93))
    rings = []
    for k, (centre, ahead, size) in enumerate(zip(path, heading, radii, strict=True)):
        side = side - ahead * (side * ahead).sum()
        side = side / np.sqrt((side**2).sum())
        across = np.cross(ahead, side)
        spokes = np.cos(2 * pi * turn)[:, None] * side + np.sin(2 * pi * turn)[:, None] * across
        first, last = k == 0, k == len(path) - 1
        lifts = np.linspace(0, pi / 2, 10)
        for lift in -lifts[::-1] if first else lifts if last else (0.0,):
            flat = size * max(float(np.cos(lift)), 0.0) if abs(lift) < 1.57 else 0.0
            rings.append(centre + ahead * size * np.sin(lift) + spokes * factor[:, None] * flat)
    return loft(np.array(rings))
