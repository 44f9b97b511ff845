"""What the views see of a surface: which of its points, how squarely, and in which colours."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pipeline.domain.views import View
from pipeline.geometry.cameras import Cameras, Projections
from pipeline.geometry.rasterising import rasterise
from pipeline.geometry.rims import leaks
from pipeline.geometry.threads import shared_out

GRAZING = 0.12
"""Views that see a surface under a smaller cosine than this show nothing usable of it."""
_PREFERENCE: dict[View, float] = {
    View.FRONT: 1.2,
    View.BACK: 1.1,
    View.LEFT: 1.0,
    View.RIGHT: 1.0,
    View.TOP: 1.0,
    View.BOTTOM: 1.0,
    View.LEFT_FRONT: 0.8,
    View.RIGHT_FRONT: 0.8,
}
"""How much each view's word weighs: people look at the front first, and fewer views in play leave fewer seams."""
_FEW_PX = 12
"""Faces of fewer pixels are too small to count how many of them are hidden."""
_LEAKING = 0.08
"""What a picture's word still weighs where it shows what lies behind a rim."""
_TAP_PX = 1.5
"""How far around a point occluders are looked for: their edges fade over twice this width."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surface:
    vertices: NDArray[np.float32]
    """(V, 3) world positions."""
    faces: NDArray[np.int32]
    """(F, 3)"""
    normals: NDArray[np.float32]
    """(V, 3) unit vectors."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """N views of one surface, on squares of S pixels."""

    surface: Surface
    projections: Projections
    colours: NDArray[np.uint8]
    """(N, S, S, 3) sRGB."""
    depths: NDArray[np.float32]
    """(N, S, S) of the nearest surface, larger is nearer, -inf where there is none."""
    leaking: NDArray[np.bool_]
    """(N, S, S) where a picture shows what lies behind the surface's rim, not the surface."""
    shown: NDArray[np.float32]
    """(N, F) how much of each face is not hidden, 0..1; not measured, and 1, for faces of a few pixels."""
    trust: NDArray[np.float64]
    """(N,) how much each view's word weighs."""


def look(surface: Surface, projections: Projections, colours: NDArray[np.uint8]) -> Sight:
    """Find what each of the (N, S, S, 3) pictures shows of a surface."""
    views, size = projections.views, projections.size
    depths, leaking = np.empty(colours.shape[:3], np.float32), np.empty(colours.shape[:3], np.bool_)
    shown = np.empty((len(views), len(surface.faces)), np.float32)

    def look_from(at: int) -> None:
        points = projections.points(at, surface.vertices)
        fragments = rasterise(points, _turned_hither(surface.faces, points), size, size)
        depths[at] = fragments.depth
        shown[at] = _shown(fragments.face, surface.faces, points)
        leaking[at] = leaks(fragments.depth, colours[at], float(projections.cameras.pixels[at]))

    shared_out(look_from, range(len(views)))
    return Sight(
        surface=surface,
        projections=projections,
        colours=colours,
        depths=depths,
        leaking=leaking,
        shown=shown,
        trust=np.array([_PREFERENCE[view] for view in views]),
    )


def points_of(sight: Sight, at: int) -> NDArray[np.float64]:
    """(V, 3) where the picture of view number ``at`` shows the vertices."""
    return sight.projections.points(at, sight.surface.vertices)


@njit(cache=True, nogil=True)
def _turned_hither(faces: NDArray[np.int32], points: NDArray[np.float64]) -> NDArray[np.int32]:
    """(F, 3) the faces of a closed surface; those that show a view their inside are drawn together to one point."""
    turned = np.zeros_like(faces)
    for f in range(len(faces)):
        a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
        ux, uy = points[b, 0] - points[a, 0], points[b, 1] - points[a, 1]
        vx, vy = points[c, 0] - points[a, 0], points[c, 1] - points[a, 1]
        if ux * vy < uy * vx:  # pictures' rows count downwards
            turned[f, 0], turned[f, 1], turned[f, 2] = a, b, c
    return turned


@njit(cache=True, nogil=True, error_model="numpy")
def _shown(face: NDArray[np.int32], faces: NDArray[np.int32], points: NDArray[np.float64]) -> NDArray[np.float32]:
    owned_px, shown = np.zeros(len(faces), np.int32), np.ones(len(faces), np.float32)
    for row in range(face.shape[0]):
        for column in range(face.shape[1]):
            if face[row, column] >= 0:
                owned_px[face[row, column]] += 1
    for f in range(len(faces)):
        a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
        ux, uy = points[b, 0] - points[a, 0], points[b, 1] - points[a, 1]
        vx, vy = points[c, 0] - points[a, 0], points[c, 1] - points[a, 1]
        area_px = abs(ux * vy - uy * vx) / 2
        if area_px >= _FEW_PX:
            shown[f] = min(owned_px[f] / area_px, 1.0)
    return shown


def squareness(sight: Sight) -> NDArray[np.float32]:
    """(N, V) the cosine under which each view sees each vertex; 0 where it doesn't."""
    surface, cameras = sight.surface, sight.projections.cameras
    return _squareness(cameras, sight.depths, sight.leaking, surface.vertices, surface.normals)


def sampled(sight: Sight, seen: NDArray[np.float32]) -> NDArray[np.uint8]:
    """(N, V, 3) the colours in which the views show the vertices, given their squareness; black where they don't."""
    return _sampled(sight.projections.cameras, sight.colours, sight.surface.vertices, seen)


@njit(cache=True, nogil=True, error_model="numpy")
def pixel_of(cameras: Cameras, view: int, at: tuple[float, float, float]) -> tuple[float, float, float]:
    """Pixel x, pixel y and weight of a point."""
    m, (x, y, z) = cameras.matrices, at  # indexed whole: a slice of it costs more than all the rest
    weight = m[view, 2, 0] * x + m[view, 2, 1] * y + m[view, 2, 2] * z + m[view, 2, 3]
    column = (m[view, 0, 0] * x + m[view, 0, 1] * y + m[view, 0, 2] * z + m[view, 0, 3]) / weight
    row = (m[view, 1, 0] * x + m[view, 1, 1] * y + m[view, 1, 2] * z + m[view, 1, 3]) / weight
    return column, row, weight


@njit(cache=True, nogil=True, error_model="numpy")
def cosine_to(cameras: Cameras, view: int, at: tuple[float, float, float], normal: tuple[float, float, float]) -> float:
    """The cosine between a surface's normal at a point and the way from there to a view's camera."""
    perspective, frames = cameras.perspectives[view], cameras.frames
    x = frames[view, 2, 0] - perspective * at[0]
    y = frames[view, 2, 1] - perspective * at[1]
    z = frames[view, 2, 2] - perspective * at[2]
    return float((normal[0] * x + normal[1] * y + normal[2] * z) / np.sqrt(x * x + y * y + z * z))


@njit(cache=True, nogil=True, error_model="numpy")
def clear(
    cameras: Cameras,
    view: int,
    depths: NDArray[np.float32],
    leaking: NDArray[np.bool_],
    at: tuple[float, float, float],
    cosine: float,
) -> float:
    """How far a view's picture of a point of the surface is to be believed, 0..1.

    It fades to 0 where something nearer covers the point; where the picture leaks little is left, for want of others.
    """
    frames, size = cameras.frames, depths.shape[1]
    column, row, weight = pixel_of(cameras, view, at)
    near = at[0] * frames[view, 2, 0] + at[1] * frames[view, 2, 1] + at[2] * frames[view, 2, 2]
    slope = np.sqrt(max(1 - cosine * cosine, 0.0)) / cosine
    near += (1 + 2 * _TAP_PX * slope) * cameras.pixels[view] * weight
    open_ = 0
    for tap in range(4):
        i = min(max(int(column + (_TAP_PX if tap & 1 else -_TAP_PX)), 0), size - 1)
        j = min(max(int(row + (_TAP_PX if tap & 2 else -_TAP_PX)), 0), size - 1)
        open_ += depths[view, j, i] <= near
    leaks_there = leaking[view, min(max(int(row), 0), size - 1), min(max(int(column), 0), size - 1)]
    return open_ / 4 * (_LEAKING if leaks_there else 1.0)


@njit(cache=True, nogil=True, error_model="numpy")
def look_up(colours: NDArray[np.uint8], view: int, column: float, row: float, found: NDArray[np.float32]) -> None:
    """Put the colour that a view's picture has at a pixel into ``found``: linear between the pixels' centres."""
    size = colours.shape[1]
    column, row = min(max(column - 0.5, 0.0), size - 1.001), min(max(row - 0.5, 0.0), size - 1.001)
    i, j = int(column), int(row)
    x, y = column - i, row - j
    for channel in range(3):
        above = colours[view, j, i, channel] * (1 - x) + colours[view, j, i + 1, channel] * x
        below = colours[view, j + 1, i, channel] * (1 - x) + colours[view, j + 1, i + 1, channel] * x
        found[channel] = above * (1 - y) + below * y


@njit(cache=True, nogil=True, error_model="numpy")
def _squareness(
    cameras: Cameras,
    depths: NDArray[np.float32],
    leaking: NDArray[np.bool_],
    vertices: NDArray[Any],
    normals: NDArray[Any],
) -> NDArray[np.float32]:
    seen = np.zeros((len(cameras.frames), len(vertices)), np.float32)
    for view in range(len(cameras.frames)):
        for v in range(len(vertices)):
            at = (float(vertices[v, 0]), float(vertices[v, 1]), float(vertices[v, 2]))
            normal = (float(normals[v, 0]), float(normals[v, 1]), float(normals[v, 2]))
            cosine = cosine_to(cameras, view, at, normal)
            if cosine >= GRAZING:
                seen[view, v] = cosine * clear(cameras, view, depths, leaking, at, cosine)
    return seen


@njit(cache=True, nogil=True, error_model="numpy")
def _sampled(
    cameras: Cameras, colours: NDArray[np.uint8], vertices: NDArray[Any], seen: NDArray[np.float32]
) -> NDArray[np.uint8]:
    samples, found = np.zeros((*seen.shape, 3), np.uint8), np.empty(3, np.float32)
    for view in range(len(seen)):
        for v in range(len(vertices)):
            if seen[view, v] > 0:
                at = (float(vertices[v, 0]), float(vertices[v, 1]), float(vertices[v, 2]))
                column, row, _ = pixel_of(cameras, view, at)
                look_up(colours, view, column, row, found)
                for channel in range(3):
                    samples[view, v, channel] = np.uint8(found[channel] + 0.5)
    return samples
