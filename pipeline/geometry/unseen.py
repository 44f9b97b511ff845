"""Texels for the faces that no view sees: small tiles along the axes, painted with colours that the vertices carry."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.domain.views import ORTHOGRAPHIC_WIDTH
from pipeline.geometry.filling import spread
from pipeline.geometry.painting import Painted, interpolated
from pipeline.geometry.rasterising import rasterise
from pipeline.geometry.sight import Surface

_COARSER = 4
"""Invented colours are smooth: so many of the pictures' pixels to a texel."""
_MARGIN_PX = 2
_LAYERS_MAX = 4
"""Faces that hide behind others of their tile go to a further one; so many times, then they share texels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnseenTile:
    faces: NDArray[np.intp]
    """(K,) numbers of the faces."""
    points: NDArray[np.float64]
    """(K, 3, 2) texel x and y of their corners within the tile."""
    painted: Painted


def invented(colours: NDArray[np.float32], known: NDArray[np.bool_], faces: NDArray[np.int32]) -> NDArray[np.float32]:
    """(V, 3) colours with those of unknown vertices spread from their surroundings on the surface."""
    if known.all():
        return colours
    needy = faces[~known[faces].all(axis=1)]
    used, corners = np.unique(needy, return_inverse=True)
    filled = colours.copy()
    filled[used] = spread(colours[used], known[used], corners.reshape(-1, 3).astype(np.int32))
    return filled


def unseen_tiles(
    surface: Surface, unseen: NDArray[np.intp], colours: NDArray[np.float32], traits: NDArray[np.float32], size: int
) -> Iterator[UnseenTile]:
    """The faces numbered ``unseen``, each on the tile of the axis that it faces; coarser than pictures of ``size``.

    ``colours`` (V, 3) and ``traits`` (V, T) are what the vertices carry.
    """
    triangles = surface.vertices[surface.faces[unseen]].astype(np.float64)
    normals = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
    axis = np.abs(normals).argmax(axis=1)
    way = 2 * axis + (np.take_along_axis(normals, axis[:, None], axis=1)[:, 0] < 0)
    for side in range(6):
        left = unseen[way == side]
        for layer in range(_LAYERS_MAX):
            if not len(left):
                break
            tile, hidden = _tile(surface, left, side, (colours, traits), size, final=layer == _LAYERS_MAX - 1)
            yield tile
            left = hidden


def _tile(
    surface: Surface,
    faces: NDArray[np.intp],
    side: int,
    carried: tuple[NDArray[np.float32], NDArray[np.float32]],
    size: int,
    *,
    final: bool,
) -> tuple[UnseenTile, NDArray[np.intp]]:
    """The tile of faces that look along one axis, and those of them that it has no room for."""
    per_unit = max(size / _COARSER, 1) / ORTHOGRAPHIC_WIDTH
    axis, sign = side // 2, 1 - 2 * (side % 2)
    across, down = (axis + 1) % 3, (axis + 2) % 3
    used, corners = np.unique(surface.faces[faces], return_inverse=True)
    local = corners.reshape(-1, 3).astype(np.int32)
    vertices = surface.vertices[used].astype(np.float64)
    # Mirrored for one of the two ways, so that a texture's left stays left seen from outside.
    points = np.stack(
        [sign * vertices[:, across] * per_unit, -vertices[:, down] * per_unit, sign * vertices[:, axis]], 1
    )
    points[:, :2] -= np.floor(points[:, :2].min(axis=0)) - _MARGIN_PX
    width, height = (int(n) for n in np.ceil(points[:, :2].max(axis=0)) + _MARGIN_PX)
    fragments = rasterise(points, local, width, height)
    hidden = np.zeros(len(faces), np.bool_) if final else _hidden(points, local, fragments.face)
    planes = interpolated(fragments, local, np.hstack(carried)[used])
    made = Painted(
        texels=np.rint(np.clip(planes[..., :3], 0, 255)).astype(np.uint8),
        covered=fragments.face >= 0,
        traits=planes[..., 3:],
    )
    keep = ~hidden
    return UnseenTile(faces=faces[keep], points=points[local[keep], :2], painted=made), faces[hidden]


def _hidden(points: NDArray[np.float64], faces: NDArray[np.int32], face: NDArray[np.int32]) -> NDArray[np.bool_]:
    """(K,) the faces that are no pixel's nearest though their middle's pixel is another's."""
    own = np.bincount(face[face >= 0], minlength=len(faces)) > 0
    column, row = points[faces, :2].mean(axis=1).astype(np.intp).T
    over = face[row, column]
    depth = points[faces, 2].mean(axis=1)
    behind = (over >= 0) & (depth < depth[np.maximum(over, 0)] - 4 * _COARSER * ORTHOGRAPHIC_WIDTH / 1024)
    hidden: NDArray[np.bool_] = ~own & behind
    return hidden
