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
    pictures: tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.uint8]],
    place: tuple[int, int, int],
    fragments: tuple[NDArray[np.int32], NDArray[np.float32], NDArray[np.float32]],
    surface: tuple[NDArray[np.int32], NDArray[np.float32]],
    shares: NDArray[np.float32],
    levels: NDArray[np.int8],
    vertex_colours: NDArray[np.float32],
) -> NDArray[np.uint8]:
    (depths, leaking, colours), (faces, vertices), (face, depth, barycentric) = pictures, surface, fragments
    view, left, top = place
    texels = np.zeros((*face.shape, 3), np.uint8)
    frame, lens = cameras.frames[view], (cameras.pixels[view], cameras.perspectives[view])
    middle_x, middle_y = cameras.matrices[view, 0, 3] - left, cameras.matrices[view, 1, 3] - top
    found, mixed = np.empty(3, np.float32), np.empty(3, np.float32)
    last, normal = -1, (0.0, 0.0, 0.0)
    for row in range(face.shape[0]):
        for column in range(face.shape[1]):
            f = face[row, column]
            if f < 0:
                continue
            if f != last:
                last, normal = f, _normal(vertices, faces, f)
            at = _point(frame, lens, column + 0.5 - middle_x, middle_y - row - 0.5, depth[row, column])
            a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
            s, t, u = barycentric[row, column, 0], barycentric[row, column, 1], barycentric[row, column, 2]
            total = _STRAY
            for k in range(3):
                stray = s * vertex_colours[a, k] + t * vertex_colours[b, k] + u * vertex_colours[c, k]
                mixed[k] = _STRAY * stray
            for anyhow in (False, True):
                if anyhow and total > 2 * _STRAY:
                    break
                for other in range(len(shares)):
                    share = s * shares[other, a] + t * shares[other, b] + u * shares[other, c]
                    if share < _LEAST_SHARE and not anyhow:
                        continue
                    cosine = cosine_to(cameras, other, at, normal)
                    if cosine < GRAZING:
                        continue
                    share = cosine * (1.0 if anyhow else share)
                    share *= share * share * clear(cameras, other, depths, leaking, at, cosine)
                    if share <= 0:
                        continue
                    px, py, _ = pixel_of(cameras, other, at)
                    look_up(colours, other, px, py, found)
                    total += share
                    for k in range(3):
                        level = s * levels[other, a, k] + t * levels[other, b, k] + u * levels[other, c, k]
                        mixed[k] += share * (found[k] + level)
            for k in range(3):
                texels[row, column, k] = np.uint8(min(max(mixed[k] / total, 0), 255) + np.float32(0.5))
    return texels


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def _point(
    frame: NDArray[np.float64], lens: tuple[float, float], across_px: float, upward_px: float, near: float
) -> tuple[float, float, float]:
    """The point that a view shows so many pixels from its axis, at a depth; of ``lens`` see ``Cameras``."""
    pixel, perspective = lens
    pixel *= 1 - perspective * near
    across, upward = across_px * pixel, upward_px * pixel
    return (
        across * frame[0, 0] + upward * frame[1, 0] + near * frame[2, 0],
        across * frame[0, 1] + upward * frame[1, 1] + near * frame[2, 1],
        across * frame[0, 2] + upward * frame[1, 2] + near * frame[2, 2],
    )


@njit(cache=True, nogil=True, error_model="numpy")
def _normal(vertices: NDArray[np.float32], faces: NDArray[np.int32], f: int) -> tuple[float, float, float]:
    """The unit normal of a face."""
    a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
    ux, uy, uz = vertices[b, 0] - vertices[a, 0], vertices[b, 1] - vertices[a, 1], vertices[b, 2] - vertices[a, 2]
    vx, vy, vz = vertices[c, 0] - vertices[a, 0], vertices[c, 1] - vertices[a, 1], vertices[c, 2] - vertices[a, 2]
    nx, ny, nz = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
    length = max(np.sqrt(nx * nx + ny * ny + nz * nz), np.float32(1e-30))
    return float(nx / length), float(ny / length), float(nz / length)
