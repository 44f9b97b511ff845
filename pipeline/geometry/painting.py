"""Texels of a surface as one view's picture shows it, painted from all views in their shares.

A texel's colour depends on its place on the surface, not on the tile that it lies on: where two tiles meet on the
surface they meet in one colour.
"""

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pipeline.geometry.cameras import Cameras
from pipeline.geometry.rasterising import Fragments
from pipeline.geometry.sight import GRAZING, Sight, clear, cosine_to, look_up, pixel_of

_LEAST_SHARE = 0.05
_STRAY = np.float32(0.002)
"""The weight of the colour that the vertices carry: it shows where no view sees a texel."""

_Pictures = tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.uint8]]
"""Depths, what leaks, and colours, as ``Sight`` has them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Carried:
    """What the V vertices of a surface that N views see carry."""

    shares: NDArray[np.float32]
    """(N, V) how much of their colour comes from each view."""
    levels: NDArray[np.int8]
    """(N, V, 3) what is added to the colours that each view shows there."""
    colours: NDArray[np.float32]
    """(V, 3) sRGB, taken where no view has a share."""
    traits: NDArray[np.float32]
    """(V, T) whatever is interpolated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Painted:
    """A rectangle of h x w texels."""

    texels: NDArray[np.uint8]
    """(h, w, 3) sRGB, black where there is no surface."""
    covered: NDArray[np.bool_]
    """(h, w) where there is some."""
    traits: NDArray[np.float32]
    """(h, w, T) what the vertices carry beside colours; zero where there is no surface."""


def paint(
    sight: Sight,
    at: int,
    corner: tuple[int, int],
    fragments: Fragments,
    faces: NDArray[np.int32],
    carried: Carried,
) -> Painted:
    """Paint a rectangle of the picture of view number ``at`` as the surface would look from there.

    ``corner`` is its left and top in the picture, ``fragments`` where it shows which of the ``faces`` (K, 3).
    """
    texels = _paint(
        sight.projections.cameras,
        (sight.depths, sight.leaking, sight.colours),
        (at, *corner),
        (fragments.face, fragments.depth, fragments.barycentric),
        (faces, sight.surface.vertices),
        carried.shares,
        carried.levels,
        carried.colours,
    )
    covered = fragments.face >= 0
    return Painted(texels=texels, covered=covered, traits=interpolated(fragments, faces, carried.traits))


def interpolated(fragments: Fragments, faces: NDArray[np.int32], values: NDArray[np.float32]) -> NDArray[np.float32]:
    """(h, w, T) the (V, T) values of the vertices at each pixel; zero where there is no face."""
    return _interpolated(fragments.face, fragments.barycentric, faces, values)


@njit(cache=True, nogil=True, error_model="numpy")
def _interpolated(
    face: NDArray[np.int32], barycentric: NDArray[np.float32], faces: NDArray[np.int32], values: NDArray[np.float32]
) -> NDArray[np.float32]:
    height, width = face.shape
    planes = np.zeros((height, width, values.shape[1]), np.float32)
    for row in range(height if values.shape[1] else 0):
        for column in range(width):
            f = face[row, column]
            if f >= 0:
                for corner in range(3):
                    for trait in range(values.shape[1]):
                        planes[row, column, trait] += barycentric[row, column, corner] * values[faces[f, corner], trait]
    return planes


@njit(cache=True, nogil=True, error_model="numpy")
def _paint(
    cameras: Cameras,
    pictures: _Pictures,
    place: tuple[int, int, int],
    fragments: tuple[NDArray[np.int32], NDArray[np.float32], NDArray[np.float32]],
    surface: tuple[NDArray[np.int32], NDArray[np.float32]],
    shares: NDArray[np.float32],
    levels: NDArray[np.int8],
    vertex_colours: NDArray[np.float32],
) -> NDArray[np.uint8]:
    (faces, vertices), (view, left, top), (face, depth, barycentric) = surface, place, fragments
    texels = np.zeros((*face.shape, 3), np.uint8)
    likely, found, mixed = np.empty(len(shares), np.bool_), np.empty(3, np.float32), np.empty(4, np.float32)
    last, normal = -1, (0.0, 0.0, 0.0)
    for row in range(face.shape[0]):
        for column in range(face.shape[1]):
            f = face[row, column]
            if f < 0:
                continue
            a, b, c = corners = faces[f, 0], faces[f, 1], faces[f, 2]
            if f != last:
                last, normal = f, _normal(vertices, corners)
                for other in range(len(shares)):
                    likely[other] = shares[other, a] + shares[other, b] + shares[other, c] > 0
            at = _point(cameras, view, column + 0.5 + left, row + 0.5 + top, depth[row, column])
            s, t, u = weights = barycentric[row, column, 0], barycentric[row, column, 1], barycentric[row, column, 2]
            mixed[3] = _STRAY
            for channel in range(3):
                stray = s * vertex_colours[a, channel] + t * vertex_colours[b, channel] + u * vertex_colours[c, channel]
                mixed[channel] = _STRAY * stray
            for other in range(len(shares)):
                if likely[other]:
                    share = s * shares[other, a] + t * shares[other, b] + u * shares[other, c]
                    if share >= _LEAST_SHARE:
                        _add(cameras, pictures, levels, other, share, (at, normal), (corners, weights), found, mixed)
            if mixed[3] <= 2 * _STRAY:
                for other in range(len(shares)):
                    _add(cameras, pictures, levels, other, 1.0, (at, normal), (corners, weights), found, mixed)
            for channel in range(3):
                texels[row, column, channel] = np.uint8(min(max(mixed[channel] / mixed[3], 0), 255) + np.float32(0.5))
    return texels


@njit(cache=True, nogil=True, error_model="numpy")
def _point(cameras: Cameras, view: int, column: float, row: float, near: float) -> tuple[float, float, float]:
    """The point that a view's picture shows at a pixel, at a depth."""
    frames, matrices = cameras.frames, cameras.matrices
    pixel = cameras.pixels[view] * (1 - cameras.perspectives[view] * near)
    across, upward = (column - matrices[view, 0, 3]) * pixel, (matrices[view, 1, 3] - row) * pixel
    return (
        across * frames[view, 0, 0] + upward * frames[view, 1, 0] + near * frames[view, 2, 0],
        across * frames[view, 0, 1] + upward * frames[view, 1, 1] + near * frames[view, 2, 1],
        across * frames[view, 0, 2] + upward * frames[view, 1, 2] + near * frames[view, 2, 2],
    )


@njit(cache=True, nogil=True, error_model="numpy")
def _add(
    cameras: Cameras,
    pictures: _Pictures,
    levels: NDArray[np.int8],
    view: int,
    share: float,
    where: tuple[tuple[float, float, float], tuple[float, float, float]],
    on_face: tuple[tuple[int, int, int], tuple[float, float, float]],
    found: NDArray[np.float32],
    mixed: NDArray[np.float32],
) -> None:
    """Add what a view shows of a point to the ``mixed`` colour (red, green, blue and weight), if it sees it.

    ``where`` are the point and the surface's normal, ``on_face`` its face's corners and their weights.
    """
    (at, normal), ((a, b, c), (s, t, u)), (depths, leaking, colours) = where, on_face, pictures
    cosine = cosine_to(cameras, view, at, normal)
    if cosine < GRAZING:
        return
    weight = (cosine * share) ** 3 * clear(cameras, view, depths, leaking, at, cosine)
    if weight <= 0:
        return
    column, row, _ = pixel_of(cameras, view, at)
    look_up(colours, view, column, row, found)
    mixed[3] += weight
    for channel in range(3):
        level = s * levels[view, a, channel] + t * levels[view, b, channel] + u * levels[view, c, channel]
        mixed[channel] += weight * (found[channel] + level)


@njit(cache=True, nogil=True, error_model="numpy")
def _normal(vertices: NDArray[np.float32], corners: tuple[int, int, int]) -> tuple[float, float, float]:
    """The unit normal of a face."""
    a, b, c = corners
    ux, uy, uz = vertices[b, 0] - vertices[a, 0], vertices[b, 1] - vertices[a, 1], vertices[b, 2] - vertices[a, 2]
    vx, vy, vz = vertices[c, 0] - vertices[a, 0], vertices[c, 1] - vertices[a, 1], vertices[c, 2] - vertices[a, 2]
    nx, ny, nz = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
    length = max(np.sqrt(nx * nx + ny * ny + nz * nz), np.float32(1e-30))
    return float(nx / length), float(ny / length), float(nz / length)
