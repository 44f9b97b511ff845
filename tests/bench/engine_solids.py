"""Volumes and surfaces compared with the truth.

Ground truths are triangle soups: parts run through one another, some are open. A point is solid where the generalised winding
number (Jacobson et al., 2013) is at least one half; the number is the mean over 13 lines through the point, along both senses
of each, of the signed crossings met. Voids that nothing outside reaches are filled: no picture could show them.
"""

from dataclasses import dataclass
from itertools import product

import numpy as np
from engine_subjects import Shot
from numba import njit
from numpy.typing import NDArray

from pipeline.domain.views import ORTHOGRAPHIC_WIDTH

GRID = 256
"""Voxels along the frame."""
SPACING = ORTHOGRAPHIC_WIDTH / GRID
TOLERANCE = 0.01
"""Of the F-score, world units: 1 % of the bounding sphere's diameter."""
_SUB = 256
_LINES = [d for d in product((-1, 0, 1), repeat=3) if d > (0, 0, 0)]
_AXIS = [(0, 0, 1)]
_SAMPLES = 400_000

Solid = NDArray[np.bool_]
"""(n, n, n), indexed x, y, z; voxel k's centre is at ((k + 0.5) / n - 0.5) * ORTHOGRAPHIC_WIDTH."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What is known of a surface: which voxels are inside, and points on it as they can be seen."""

    solid: Solid
    points: NDArray[np.float32]
    """(N, 3) about evenly spread over the surface, none of them buried in the solid."""
    unsure: float
    """Voxels whose lines disagree (number between 0.25 and 0.75), as a part of the solid ones."""


def truth(positions: NDArray[np.floating], faces: NDArray[np.integer], grid: int = GRID) -> Shape:
    number = winding(positions, faces, _LINES, grid)
    filled = _filled(number >= 0.5)
    unsure = ((number > 0.25) & (number < 0.75)).sum() / max(filled.sum(), 1)
    return Shape(solid=filled, points=_unburied(scattered(positions, faces), filled), unsure=float(unsure))


def closed(positions: NDArray[np.floating], faces: NDArray[np.integer], grid: int = GRID) -> Shape:
    """Of a mesh that is known to be closed: one line a point is enough."""
    solid = winding(positions, faces, _AXIS, grid) >= 0.5
    return Shape(solid=solid, points=scattered(positions, faces), unsure=0)


def plain_hull(coverages: dict[Shot, NDArray[np.floating]], grid: int = GRID) -> Shape:
    """The exact boolean hull: a voxel is inside where every silhouette covers its centre by half, bilinearly."""
    solid = np.ones((grid, grid, grid), np.bool_)
    for shot, one in coverages.items():
        axes = np.array([shot.camera.right, shot.camera.up, shot.camera.backward])
        frame = np.array([shot.scale, shot.right, shot.up, shot.perspective])
        _carve(solid, np.ascontiguousarray(one, np.float32), axes, frame)
    return Shape(solid=solid, points=_borders(solid), unsure=0)


def iou(a: Solid, b: Solid) -> float:
    return float((a & b).sum() / max((a | b).sum(), 1))


def f_score(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """The harmonic mean of the parts of either that lie within ``TOLERANCE`` of the other (Knapitsch et al., 2017)."""
    if not len(a) or not len(b):
        return 0.0
    precision, recall = _near(a, b, TOLERANCE), _near(b, a, TOLERANCE)
    return 2 * precision * recall / max(precision + recall, 1e-9)


def winding(
    positions: NDArray[np.floating], faces: NDArray[np.integer], lines: list[tuple[int, int, int]], grid: int = GRID
) -> NDArray[np.float32]:
    """(n, n, n) the mean of the signed crossings along lines; of overlapping closed surfaces it is their number."""
    voxels = (np.asarray(positions, np.float64) / ORTHOGRAPHIC_WIDTH + 0.5) * grid - 0.5
    faces = np.asarray(faces, np.int64)
    total = np.zeros((grid, grid, grid), np.float32)
    for line in lines:
        main = next(axis for axis in (0, 1, 2) if line[axis])
        order = [main, (main + 1) % 3, (main + 2) % 3]  # a rotation: keeps what is counter-clockwise
        step = [line[axis] * line[main] for axis in order]
        _add_line(np.transpose(total, order), voxels[:, order].copy(), faces, step[1], step[2])
    return total / len(lines)


def _add_line(total: NDArray[np.float32], at: NDArray[np.float64], faces: NDArray[np.int64], dv: int, dw: int) -> None:
    sheared = np.stack([at[:, 1] - dv * at[:, 0], at[:, 2] - dw * at[:, 0]], axis=1)
    snapped = np.rint(sheared * _SUB).astype(np.int64)
    crossings = np.zeros(total.shape, np.int16)
    _cross(crossings, snapped, at[:, 0].copy(), faces, dv, dw)
    behind, whole = _behind(crossings, dv, dw)
    total += behind - whole / 2


@njit(cache=True)
def _cross(crossings, at, depth, faces, dv, dw):  # noqa: PLR0917 - kernels take no keywords
    """Writes every crossing's sign to the first voxel beyond it. Edges belong to one face each: the top-left rule."""
    n = crossings.shape[0]
    for f in range(faces.shape[0]):
        a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
        ax, ay, bx, by, cx, cy = at[a, 0], at[a, 1], at[b, 0], at[b, 1], at[c, 0], at[c, 1]
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if area == 0:
            continue
        sign = -1 if area > 0 else 1
        if area < 0:
            b, c = c, b
            bx, by, cx, cy = cx, cy, bx, by
            area = -area
        least_a = 0 if (cy < by or (cy == by and cx > bx)) else 1
        least_b = 0 if (ay < cy or (ay == cy and ax > cx)) else 1
        least_c = 0 if (by < ay or (by == ay and bx > ax)) else 1
        for j in range(-((-min(ay, by, cy)) // _SUB), max(ay, by, cy) // _SUB + 1):
            for i in range(-((-min(ax, bx, cx)) // _SUB), max(ax, bx, cx) // _SUB + 1):
                x, y = i * _SUB, j * _SUB
                of_a = (cx - bx) * (y - by) - (cy - by) * (x - bx)
                of_b = (ax - cx) * (y - cy) - (ay - cy) * (x - cx)
                of_c = area - of_a - of_b
                if of_a < least_a or of_b < least_b or of_c < least_c:
                    continue
                near = (of_a * depth[a] + of_b * depth[b] + of_c * depth[c]) / area
                u = int(np.ceil(near))
                v, w = i + dv * u, j + dw * u
                if 0 <= u < n and 0 <= v < n and 0 <= w < n:
                    crossings[u, v, w] += sign


@njit(cache=True)
def _behind(crossings, dv, dw):
    """For every voxel the sum of the crossings before it on its line, and of all on its line."""
    n = crossings.shape[0]
    behind = np.zeros(crossings.shape, np.float32)
    whole = np.zeros(crossings.shape, np.float32)
    for u in range(n):
        for v in range(n):
            for w in range(n):
                pv, pw = v - dv, w - dw
                before = behind[u - 1, pv, pw] if u > 0 and 0 <= pv < n and 0 <= pw < n else np.float32(0)
                behind[u, v, w] = before + crossings[u, v, w]
    for u in range(n - 1, -1, -1):
        for v in range(n):
            for w in range(n):
                qv, qw = v + dv, w + dw
                inside = u + 1 < n and 0 <= qv < n and 0 <= qw < n
                whole[u, v, w] = whole[u + 1, qv, qw] if inside else behind[u, v, w]
    return behind, whole


@njit(cache=True)
def _filled(solid):
    """With all voids that six-connected empty voxels don't join to the corner of the grid."""
    n = solid.shape[0]
    outside = np.zeros(solid.shape, np.bool_)
    stack = np.empty((solid.size, 3), np.int16)
    outside[0, 0, 0], top = True, 1
    stack[0] = 0
    while top:
        top -= 1
        x, y, z = stack[top]
        for axis in range(3):
            for step in (-1, 1):
                i, j, k = x + step * (axis == 0), y + step * (axis == 1), z + step * (axis == 2)
                if 0 <= i < n and 0 <= j < n and 0 <= k < n and not (solid[i, j, k] or outside[i, j, k]):
                    outside[i, j, k] = True
                    stack[top, 0], stack[top, 1], stack[top, 2] = i, j, k
                    top += 1
    return ~outside


@njit(cache=True)
def _carve(solid, coverage, axes, frame):
    n, size = solid.shape[0], coverage.shape[0]
    spacing = ORTHOGRAPHIC_WIDTH / n
    for i in range(n):
        x = (i + 0.5) * spacing - ORTHOGRAPHIC_WIDTH / 2
        for j in range(n):
            y = (j + 0.5) * spacing - ORTHOGRAPHIC_WIDTH / 2
            for k in range(n):
                if not solid[i, j, k]:
                    continue
                z = (k + 0.5) * spacing - ORTHOGRAPHIC_WIDTH / 2
                a = axes[0, 0] * x + axes[0, 1] * y + axes[0, 2] * z
                u = axes[1, 0] * x + axes[1, 1] * y + axes[1, 2] * z
                b = axes[2, 0] * x + axes[2, 1] * y + axes[2, 2] * z
                grow, w = size / ORTHOGRAPHIC_WIDTH, 1 - frame[3] * b
                across = size / 2 - 0.5 + grow * (frame[0] * a / w + frame[1])
                down = size / 2 - 0.5 - grow * (frame[0] * u / w + frame[2])
                column, row = int(np.floor(across)), int(np.floor(down))
                if column < 0 or row < 0 or column >= size - 1 or row >= size - 1:
                    solid[i, j, k] = False
                    continue
                s, t = across - column, down - row
                above = coverage[row, column] * (1 - s) + coverage[row, column + 1] * s
                below = coverage[row + 1, column] * (1 - s) + coverage[row + 1, column + 1] * s
                solid[i, j, k] = above * (1 - t) + below * t >= 0.5


def scattered(
    positions: NDArray[np.floating], faces: NDArray[np.integer], count: int = _SAMPLES
) -> NDArray[np.float32]:
    """(count, 3) points on a surface, evenly by area; the same at every call."""
    random = np.random.default_rng(5)
    a, b, c = (np.asarray(positions, np.float64)[faces[:, k]] for k in range(3))
    areas = np.linalg.norm(np.cross(b - a, c - a), axis=1).cumsum()
    which = np.searchsorted(areas, (np.arange(count) + random.random(count)) / count * areas[-1])
    which = np.minimum(which, len(faces) - 1)
    root, t = np.sqrt(random.random(count))[:, None], random.random(count)[:, None]
    points = a[which] * (1 - root) + b[which] * (root * (1 - t)) + c[which] * (root * t)
    return points.astype(np.float32)


def _unburied(points: NDArray[np.float32], solid: Solid) -> NDArray[np.float32]:
    """Those with an empty voxel among the 27 around them: the rest is hidden inside."""
    deep = solid.copy()
    for axis in range(3):
        deep &= np.roll(deep, 1, axis) & np.roll(deep, -1, axis)
    at = np.clip(((points / ORTHOGRAPHIC_WIDTH + 0.5) * len(solid)).astype(int), 0, len(solid) - 1)
    return points[~deep[at[:, 0], at[:, 1], at[:, 2]]]


def _borders(solid: Solid) -> NDArray[np.float32]:
    """The middles of the voxel faces between inside and outside."""
    points = []
    for axis in range(3):
        at = np.argwhere(np.diff(solid.astype(np.int8), axis=axis) != 0) + 0.5
        at[:, axis] += 0.5
        points.append((at / len(solid) - 0.5) * ORTHOGRAPHIC_WIDTH)
    return np.concatenate(points).astype(np.float32)


def _near(points: NDArray[np.float32], others: NDArray[np.float32], reach: float) -> float:
    """The part of the points that have one of the others within reach."""
    cells = np.floor((others + 1) / reach).astype(np.int64)
    keys = (cells[:, 0] * 1024 + cells[:, 1]) * 1024 + cells[:, 2]
    order = np.argsort(keys, kind="stable")
    return _count_near(points, others[order], keys[order], reach) / len(points)


@njit(cache=True)
def _count_near(points, others, keys, reach):
    found = 0
    for p in range(len(points)):
        x, y, z = points[p]
        cx, cy, cz = int((x + 1) // reach), int((y + 1) // reach), int((z + 1) // reach)
        near = False
        for i in range(cx - 1, cx + 2):
            for j in range(cy - 1, cy + 2):
                first = (i * 1024 + j) * 1024 + cz - 1
                at = np.searchsorted(keys, first)
                while at < len(keys) and keys[at] <= first + 2 and not near:
                    dx, dy, dz = others[at, 0] - x, others[at, 1] - y, others[at, 2] - z
                    near = dx * dx + dy * dy + dz * dz <= reach * reach
                    at += 1
                if near:
                    break
            if near:
                break
        found += near
    return found
