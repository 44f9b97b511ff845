"""Depths for what the front and the top (or the bottom) show: how deep is each row of the front's outline?

The top tells how deep the object is at each x, but not at which height; the plain hull is as deep everywhere. Things
are deep where they are wide: at each x the widest row of the outline gets all of the depth, others less.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pipeline.domain.views import ORTHOGRAPHIC_WIDTH, View
from pipeline.geometry.cameras import Cameras
from pipeline.geometry.outlines import BOXY, steadiness
from pipeline.geometry.photoconsistency import Spans, spans
from pipeline.geometry.slices import FRONTS, place
from pipeline.geometry.visual_hull import Hull

_ENDS = View.TOP, View.BOTTOM
_SIZE = 256
"""Pixels along the plane of the depths."""
_SMOOTHING = 0.01
"""World units of height over which widths are made even (standard deviation)."""
_SLACK = 0.5
"""Spacings of the grid by which all is made too large, to be safe."""


def depths(hull: Hull, points: NDArray[np.float64], spacing: float) -> NDArray[np.float32] | None:
    """(V,) at (V, 3) points: about the distance from what is as deep as it is likely to be; negative inside.

    ``spacing`` is that of the grid on which the values are to be kept. None where the front or the back, or both top
    and bottom, are missing, or where both outlines are those of boxes.
    """
    views = hull.projections.views
    front, end = (next((view for view in of if view in views), None) for of in (FRONTS, _ENDS))
    if front is None or end is None:
        return None
    at, above = views.index(front), views.index(end)
    outlines = hull.distances[at], hull.distances[above].T
    if min(steadiness(one) for one in outlines) >= BOXY:
        return None
    stride = -(-hull.projections.size // _SIZE)
    parts = _parts(spans(hull.distances[at]), hull.distances[at] < 0, stride)
    upright = spans(np.ascontiguousarray(hull.distances[above].T))  # its columns
    cameras = hull.projections.cameras
    matrices = cameras.matrices.copy()
    matrices[above, :2] = matrices[above, 1::-1]
    return _values(cameras._replace(matrices=matrices), at, parts, stride, above, upright, points, spacing)


def _parts(rows: Spans, inside: NDArray[np.bool_], stride: int) -> NDArray[np.float32]:
    """(s, s) the part of its column's depth that each place of an outline has: the root of its part of the width."""
    start = stride // 2
    wide = _widths(rows, np.arange(start, len(inside), stride))
    reach = _SMOOTHING / ORTHOGRAPHIC_WIDTH * len(wide)
    steps = np.arange(-int(3 * reach) - 1, int(3 * reach) + 2)
    weights = np.exp(-0.5 * (steps / reach) ** 2)
    padded = np.pad(wide, ((len(steps) // 2,) * 2, (0, 0)), mode="edge")
    even = sum(weight * padded[k : k + len(wide)] for k, weight in enumerate(weights)) / weights.sum()
    shown = inside[start::stride, start::stride]
    widest = np.where(shown, even, 0).max(axis=0)
    parts: NDArray[np.float32] = np.sqrt(np.clip(even / np.where(widest > 0, widest, even.max()), 0, 1))
    return parts.astype(np.float32)


def _widths(rows: Spans, at: NDArray[np.intp]) -> NDArray[np.float64]:
    """(s, s) the width of the span that a place of these rows and columns lies in, or that is nearest in its row."""
    wide = np.zeros((len(at), len(at)))
    for k, row in enumerate(at):
        starts, stops = rows.starts[row, : rows.counts[row]], rows.stops[row, : rows.counts[row]]
        nearest = np.searchsorted((stops[:-1] + starts[1:]) / 2, at)
        wide[k] = (stops - starts)[nearest]
    return wide


@njit(cache=True, nogil=True, error_model="numpy")
def _values(
    cameras: Cameras,
    front: int,
    parts: NDArray[np.float32],
    stride: int,
    end: int,
    upright: Spans,
    points: NDArray[np.float64],
    spacing: float,
) -> NDArray[np.float32]:
    found = np.empty(len(points), np.float32)
    m = cameras.matrices[front]
    for p in range(len(points)):
        x, y, z = points[p, 0], points[p, 1], points[p, 2]
        weight = m[2, 0] * x + m[2, 1] * y + m[2, 2] * z + m[2, 3]
        column = int((m[0, 0] * x + m[0, 1] * y + m[0, 2] * z + m[0, 3]) / weight / stride)
        row = int((m[1, 0] * x + m[1, 1] * y + m[1, 2] * z + m[1, 3]) / weight / stride)
        part = parts[min(max(row, 0), len(parts) - 1), min(max(column, 0), len(parts) - 1)]
        off, deep, _, _, _ = place(cameras, end, upright, x, y, z)
        found[p] = (abs(off) - part) * deep - _SLACK * spacing
    return found
