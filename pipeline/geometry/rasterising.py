"""From triangles to pixels: which face is seen at every pixel, how near it is, and where on the face.

Points are snapped to a grid of 1/256 pixel and covered with integer arithmetic, so that faces which share an edge
cover each pixel exactly once and the answer is the same on every processor.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pipeline.domain.views import ORTHOGRAPHIC_WIDTH, Camera

_SUBPIXELS = 256
_FARTHEST_PX = 1 << 20
"""Points further out than this (or not finite) would overflow the kernel's integers: their faces are left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fragments:
    """What is seen at each pixel centre of a picture of H rows and W columns."""

    face: NDArray[np.int32]
    """(H, W) index of the nearest face, -1 where there is none."""
    depth: NDArray[np.float32]
    """(H, W) its depth, larger is nearer, -inf where there is none."""
    barycentric: NDArray[np.float32]
    """(H, W, 3) weights of the face's corners, zero where there is none."""


def project(positions: NDArray[np.floating[Any]], camera: Camera, width: int, height: int) -> NDArray[np.float64]:
    """Orthographic: (V, 3) world positions to (V, 3) points: pixel x, pixel y (down), depth (larger is nearer).

    The origin falls on the picture's centre; ``ORTHOGRAPHIC_WIDTH`` world units span its longer side. The centre of
    the pixel in column i, row j is at (i + 0.5, j + 0.5). Depth stays in world units.
    """
    x, y, z = np.asarray(positions, np.float64).T
    right, up, backward = (
        x * axis[0] + y * axis[1] + z * axis[2] for axis in (camera.right, camera.up, camera.backward)
    )
    pixels_per_unit = max(width, height) / ORTHOGRAPHIC_WIDTH
    return np.stack([width / 2 + pixels_per_unit * right, height / 2 - pixels_per_unit * up, backward], axis=1)


def rasterise(points: NDArray[np.floating[Any]], faces: NDArray[np.integer[Any]], width: int, height: int) -> Fragments:
    """The nearest face at every pixel centre; both sides of a face are seen; of equally near ones the first stays.

    ``points`` are (V, 3) as ``project`` makes them, ``faces`` (F, 3) indices into them.
    """
    pixels = np.asarray(points[:, :2], np.float64)
    drawable = (np.abs(pixels) < _FARTHEST_PX).all(axis=1) & np.isfinite(points[:, 2])
    snapped = np.rint(np.where(drawable[:, None], pixels, 0) * _SUBPIXELS).astype(np.int64)
    covering = np.where(drawable[faces].all(axis=1, keepdims=True), faces, 0).astype(np.int64)
    nearness = np.asarray(points[:, 2], np.float64)
    face, depth, barycentric = _cover(snapped, nearness, covering, width, height)
    return Fragments(face=face, depth=depth, barycentric=barycentric)


@njit(cache=True, nogil=True)
def _cover(
    at: NDArray[np.int64], nearness: NDArray[np.float64], faces: NDArray[np.int64], width: int, height: int
) -> tuple[NDArray[np.int32], NDArray[np.float32], NDArray[np.float32]]:
    """The arrays of ``Fragments``. Edge functions after Pineda (1988), ties given by the top-left rule.

    ``at`` are (V, 2) points in 1/256 pixel; a face without area is left out.
    """
    face = np.full((height, width), -1, np.int32)
    depth = np.full((height, width), -np.inf, np.float32)
    barycentric = np.zeros((height, width, 3), np.float32)
    half = _SUBPIXELS // 2
    for f in range(faces.shape[0]):
        a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
        ax, ay, bx, by, cx, cy = at[a, 0], at[a, 1], at[b, 0], at[b, 1], at[c, 0], at[c, 1]
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if area == 0:
            continue
        turned = area < 0
        if turned:
            b, c = c, b
            bx, by, cx, cy = cx, cy, bx, by
            area = -area
        # Pixels whose centre lies in the bounding box: ceil and floor of (edge - half) / _SUBPIXELS.
        first_x = max(0, (min(ax, bx, cx) + half - 1) // _SUBPIXELS)
        last_x = min(width - 1, (max(ax, bx, cx) - half) // _SUBPIXELS)
        first_y = max(0, (min(ay, by, cy) + half - 1) // _SUBPIXELS)
        last_y = min(height - 1, (max(ay, by, cy) - half) // _SUBPIXELS)
        if first_x > last_x or first_y > last_y:
            continue
        # A pixel exactly on an edge belongs to the face for which that edge is a top or a left one.
        least_a = 0 if (cy < by or (cy == by and cx > bx)) else 1
        least_b = 0 if (ay < cy or (ay == cy and ax > cx)) else 1
        least_c = 0 if (by < ay or (by == ay and bx > ax)) else 1
        for row in range(first_y, last_y + 1):
            y = row * _SUBPIXELS + half
            for column in range(first_x, last_x + 1):
                x = column * _SUBPIXELS + half
                of_a = (cx - bx) * (y - by) - (cy - by) * (x - bx)
                of_b = (ax - cx) * (y - cy) - (ay - cy) * (x - cx)
                of_c = area - of_a - of_b
                if of_a < least_a or of_b < least_b or of_c < least_c:
                    continue
                near = np.float32((of_a * nearness[a] + of_b * nearness[b] + of_c * nearness[c]) / area)
                if near > depth[row, column]:
                    depth[row, column] = near
                    face[row, column] = f
                    barycentric[row, column, 0] = of_a / area
                    barycentric[row, column, 2 if turned else 1] = of_b / area
                    barycentric[row, column, 1 if turned else 2] = of_c / area
    return face, depth, barycentric
