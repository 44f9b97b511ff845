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
    shares: NDArray[np.float32],
    vertex_colours: NDArray[np.float32],
    traits: NDArray[np.float32],
) -> Painted:
    """Paint a rectangle of the picture of view number ``at`` as the surface would look from there.

    ``corner`` is its left and top in the picture, ``fragments`` where it shows which of the ``faces`` (K, 3);
    ``shares`` (N, V) how much of each vertex's colour comes from each view; ``vertex_colours`` (V, 3) are taken where
    no view has a share; ``traits`` (V, T) are interpolated.
    """
    texels = _paint(
        sight.projections.cameras,
        (sight.depths, sight.leaking, sight.colours),
        (at, *corner),
        (fragments.face, fragments.depth, fragments.barycentric),
        faces,
        sight.surface.vertices,
        shares,
        vertex_colours,
    )
    covered = fragments.face >= 0
    return Painted(texels=texels, covered=covered, traits=interpolated(fragments, faces, traits))


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
    faces: NDArray[np.int32],
    vertices: NDArray[np.float32],
    shares: NDArray[np.float32],
    vertex_colours: NDArray[np.float32],
) -> NDArray[np.uint8]:
    depths, leaking, colours = pictures
    (view, left, top), (face, depth, barycentric) = place, fragments
    height, width = face.shape
    texels = np.zeros((height, width, 3), np.uint8)
    right, up, backward = cameras.frames[view]
    middle_x, middle_y = cameras.matrices[view, 0, 3] - left, cameras.matrices[view, 1, 3] - top
    found, mixed = np.empty(3, np.float32), np.empty(3, np.float32)
    last, normal = -1, (0.0, 0.0, 0.0)
    for row in range(height):
        for column in range(width):
            f = face[row, column]
            if f < 0:
                continue
            if f != last:
                last, normal = f, _normal(vertices, faces, f)
            near = depth[row, column]
            pixel = cameras.pixels[view] * (1 - cameras.perspectives[view] * near)
            across, upward = (column + 0.5 - middle_x) * pixel, (middle_y - row - 0.5) * pixel
            at = (
                across * right[0] + upward * up[0] + near * backward[0],
                across * right[1] + upward * up[1] + near * backward[1],
                across * right[2] + upward * up[2] + near * backward[2],
            )
            a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
            s, t, u = barycentric[row, column, 0], barycentric[row, column, 1], barycentric[row, column, 2]
            total = _STRAY
            for channel in range(3):
                stray = s * vertex_colours[a, channel] + t * vertex_colours[b, channel] + u * vertex_colours[c, channel]
                mixed[channel] = _STRAY * stray
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
                    for channel in range(3):
                        mixed[channel] += share * found[channel]
            for channel in range(3):
                texels[row, column, channel] = np.uint8(mixed[channel] / total + np.float32(0.5))
    return texels


@njit(cache=True, nogil=True, error_model="numpy")
def _normal(vertices: NDArray[np.float32], faces: NDArray[np.int32], f: int) -> tuple[float, float, float]:
    """The unit normal of a face."""
    a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
    ux, uy, uz = vertices[b, 0] - vertices[a, 0], vertices[b, 1] - vertices[a, 1], vertices[b, 2] - vertices[a, 2]
    vx, vy, vz = vertices[c, 0] - vertices[a, 0], vertices[c, 1] - vertices[a, 1], vertices[c, 2] - vertices[a, 2]
    nx, ny, nz = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
    length = max(np.sqrt(nx * nx + ny * ny + nz * nz), np.float32(1e-30))
    return float(nx / length), float(ny / length), float(nz / length)
