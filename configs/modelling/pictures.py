"""Takes the pictures of an object: brings it into the frame of the views, rasterises, paints, lights."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from modelling.paints import Paint, Place
from modelling.shapes import Points, Shape
from pipeline.domain.views import Camera
from pipeline.geometry.rasterising import project, rasterise
from pipeline.geometry.rendering import develop, lit

_SAMPLES = 3
_OFF_THE_GRID = (0.000137, -0.000211, 0.000173)
"""Keeps symmetric points off the borders of pixels and of the snapping grid, where the last bit would decide."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    shape: Shape
    paint: Paint


def picture(pieces: Sequence[Piece], camera: Camera, size_px: int) -> NDArray[np.uint8]:
    """(size, size, 4) RGBA of the whole object, its bounding sphere of radius 0.5 about the origin."""
    side = size_px * _SAMPLES
    starts = np.cumsum([0, *(len(piece.shape.faces) for piece in pieces)])
    firsts = np.cumsum([0, *(len(piece.shape.points) for piece in pieces)])
    faces = np.concatenate([piece.shape.faces + first for piece, first in zip(pieces, firsts, strict=False)])
    seen = rasterise(project(_normalised(pieces), camera, side, side), faces, side, side)
    light = np.zeros((side, side, 3))
    for piece, start, end in zip(pieces, starts, starts[1:], strict=False):
        here = (seen.face >= start) & (seen.face < end)
        place = _place(piece.shape, seen.face[here] - start, seen.barycentric[here])
        light[here] = lit(piece.paint(place), place.facing)
    return develop(light, seen.face >= 0, _SAMPLES)


def _normalised(pieces: Sequence[Piece]) -> Points:
    points = np.concatenate([piece.shape.points for piece in pieces])
    points = points - (points.min(axis=0) + points.max(axis=0)) / 2
    return points * (0.4995 / np.sqrt((points**2).sum(axis=1).max())) + _OFF_THE_GRID


def _place(shape: Shape, face: NDArray[np.int64], weights: NDArray[np.float32]) -> Place:
    corners = shape.faces[face]

    def at(values: Points) -> Points:
        return sum(values[corners[:, k]] * weights[:, k, None].astype(np.float64) for k in range(3))

    facing = at(_normals(shape))
    facing /= np.maximum(np.sqrt((facing**2).sum(axis=1)), 1e-12)[:, None]
    x, y, z = at(shape.rest).T
    around, along = at(shape.surface).T
    return Place(x=x, y=y, z=z, around=around, along=along, facing=facing)


def _normals(shape: Shape) -> Points:
    """The faces around each point, weighted by area, where points that lie together count as one; outwards."""
    a, b, c = (shape.points[shape.faces[:, k]] for k in range(3))
    of_faces = np.cross(b - a, c - a)
    _, same = np.unique(np.rint(shape.points * 1e6).astype(np.int64), axis=0, return_inverse=True)
    owners = same.ravel()[shape.faces].ravel()
    sums = [np.bincount(owners, np.repeat(of_faces[:, axis], 3)) for axis in range(3)]
    outwards = np.sign((a * of_faces).sum())
    return np.stack(sums, axis=1)[same.ravel()] * outwards
