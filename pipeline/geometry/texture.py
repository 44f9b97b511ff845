"""Colours for a surface: each face takes its texels straight from the view that sees it best.

Every view becomes a tile of the atlas at the resolution of its picture, so that a face's place on it is its projection.
Faces that no view sees get small triangles of their own, painted with colours that spread from their seen surroundings.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pipeline.geometry.atlas import Atlas, packed
from pipeline.geometry.cameras import Cameras, Projections
from pipeline.geometry.mesh import Mesh
from pipeline.geometry.normals import vertex_normals
from pipeline.geometry.resampling import resampled
from pipeline.geometry.sight import GRAZING, Sight, Surface, agreed_colours, look, points_of, repaint, squareness

_PADDING_PX = 8
"""Colours go on for so many texels around a tile's faces: three mip levels without a neighbour's colour."""
_LEAST_SHOWN = 0.6
"""A view must show so much of a face, or texels of what covers it would be taken."""
_SHRINK = 0.9
"""How much smaller tiles are tried at a time, when they don't fit the largest texture."""
_SMOOTHING = 40
"""Rounds of smoothing for colours that are invented."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tile:
    """A rectangle of texels and the corners of the faces that lie on it."""

    faces: NDArray[np.intp]
    """(K,) numbers of the faces."""
    points: NDArray[np.float64]
    """(K, 3, 2) texel x and y of their corners within the tile."""
    texels: NDArray[np.uint8]
    """(h, w, 3)"""
    exact: bool = False
    """Every face has texels of its own, which no scaling survives."""


def bare(vertices: NDArray[np.float32], faces: NDArray[np.int32]) -> Mesh:
    """The surface as a mesh with normals and no texture."""
    return Mesh(positions=vertices, faces=faces.astype(np.uint32), normals=vertex_normals(vertices, faces))


def textured(
    vertices: NDArray[np.float32], faces: NDArray[np.int32], projections: Projections, colours: NDArray[np.uint8]
) -> tuple[Mesh, NDArray[np.uint8]]:
    """Give a surface the colours of N (N, S, S, 3) sRGB pictures on which no background is left.

    Returns the mesh, its vertices split where tiles meet, and its (H, W, 3) sRGB texture; H and W are powers of two.
    """
    surface = Surface(vertices=vertices, faces=faces, normals=vertex_normals(vertices, faces))
    sight = look(surface, projections, colours)
    seen = squareness(sight)
    chosen = _choose(projections.cameras, sight.trust, vertices.astype(np.float64), faces, seen, sight.shown)
    tiles = [_view_tile(sight, at, np.flatnonzero(chosen == at)) for at in np.unique(chosen[chosen >= 0])]
    if (chosen < 0).any():
        tiles.append(_invented_tile(agreed_colours(sight, seen), seen.max(axis=0) > 0, faces, chosen < 0))
    return _assembled(surface, tiles)


@njit(cache=True, nogil=True)
def _choose(
    cameras: Cameras,
    trust: NDArray[np.float64],
    vertices: NDArray[np.float64],
    faces: NDArray[np.int32],
    seen: NDArray[np.float32],
    shown: NDArray[np.float32],
) -> NDArray[np.int8]:
    """(F,) the view that sees each face most squarely at all of its corners, -1 where none does."""
    chosen = np.full(len(faces), -1, np.int8)
    for f in range(len(faces)):
        i, j, k = faces[f, 0], faces[f, 1], faces[f, 2]
        a, b, c = vertices[i], vertices[j], vertices[k]
        ux, uy, uz, vx, vy, vz = b[0] - a[0], b[1] - a[1], b[2] - a[2], c[0] - a[0], c[1] - a[1], c[2] - a[2]
        nx, ny, nz = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        length = np.sqrt(nx * nx + ny * ny + nz * nz)
        best = 0.0
        for view in range(len(trust)):
            to, near = cameras.frames[view, 2], cameras.perspectives[view]
            x, y, z = to[0] - near * a[0], to[1] - near * a[1], to[2] - near * a[2]
            distance = np.sqrt(x * x + y * y + z * z)
            facing = trust[view] * (nx * x + ny * y + nz * z) / max(length * distance, 1e-30)
            least = min(seen[view, i], seen[view, j], seen[view, k])
            if shown[view, f] < _LEAST_SHOWN or facing < GRAZING or least <= 0:
                continue
            square = (facing + least) * shown[view, f]
            if square > best:
                best, chosen[f] = square, view
    return chosen


def _view_tile(sight: Sight, at: int, chosen: NDArray[np.intp]) -> _Tile:
    """The part of a view's picture that its faces lie on."""
    size = sight.projections.size
    points = points_of(sight, at)[sight.surface.faces[chosen], :2]
    low = np.maximum(np.floor(points.min(axis=(0, 1))).astype(int) - _PADDING_PX, 0)
    high = np.minimum(np.ceil(points.max(axis=(0, 1))).astype(int) + _PADDING_PX, size)
    texels = repaint(sight, at)[low[1] : high[1], low[0] : high[0]]
    return _Tile(faces=chosen, points=points - low, texels=texels)


def _invented_tile(
    colours: NDArray[np.float32], known: NDArray[np.bool_], faces: NDArray[np.int32], chosen: NDArray[np.bool_]
) -> _Tile:
    """Two by two texels for each unseen face: one at each corner, the fourth continues the plane of their colours."""
    unseen = np.flatnonzero(chosen)
    spread = _spread(colours, known, faces[unseen])
    columns = int(np.ceil(np.sqrt(len(unseen))))
    rows = -(-len(unseen) // columns)
    a, b, c = (spread[faces[unseen, corner]] for corner in range(3))
    cells = np.zeros((rows * columns, 2, 2, 3), np.float32)
    cells[: len(unseen)] = np.stack([np.stack([a, b], axis=1), np.stack([c, b + c - a], axis=1)], axis=1)
    texels = cells.reshape(rows, columns, 2, 2, 3).swapaxes(1, 2).reshape(2 * rows, 2 * columns, 3)
    number = np.arange(len(unseen))
    corner = 2 * np.stack([number % columns, number // columns], axis=1)
    points = corner[:, None] + np.array([[0.5, 0.5], [1.5, 0.5], [0.5, 1.5]])
    return _Tile(faces=unseen, points=points, texels=np.rint(np.clip(texels, 0, 255)).astype(np.uint8), exact=True)


@njit(cache=True, nogil=True)
def _spread(colours: NDArray[np.float32], known: NDArray[np.bool_], faces: NDArray[np.int32]) -> NDArray[np.float32]:
    """Colours for the vertices that have none: from their nearest known neighbours on the surface, then smoothed."""
    colours, reached = colours.copy(), known.copy()
    sums, counts = np.zeros_like(colours), np.zeros(len(colours), np.int32)
    left, growing = _SMOOTHING, True
    while left:
        sums[:], counts[:] = 0, 0
        for f in range(len(faces)):
            for corner in range(3):
                v = faces[f, corner]
                for step in range(1, 3):
                    w = faces[f, (corner + step) % 3]
                    if reached[w] and not known[v]:
                        sums[v] += colours[w]
                        counts[v] += 1
        growing = False
        for v in range(len(colours)):
            if counts[v] and not known[v]:
                growing |= not reached[v]
                colours[v], reached[v] = sums[v] / counts[v], True
        left -= not growing
    return colours


def _assembled(surface: Surface, tiles: Sequence[_Tile]) -> tuple[Mesh, NDArray[np.uint8]]:
    """The mesh with its vertices split where tiles meet, and the atlas of all tiles."""
    tiles, atlas = _fitted(tiles)
    base_color = np.empty((atlas.height, atlas.width, 3), np.uint8)
    base_color[:] = np.mean([tile.texels.mean(axis=(0, 1)) for tile in tiles], axis=0)
    origins, uvs, count = [], [], 0
    corners = np.empty(surface.faces.shape, np.uint32)
    for tile, place in zip(tiles, atlas.corners, strict=True):
        height, width, _ = tile.texels.shape
        base_color[place[1] : place[1] + height, place[0] : place[0] + width] = tile.texels
        origin, corner, points = _own_vertices(tile, surface.faces)
        corners[tile.faces] = corner + count
        origins.append(origin)
        uvs.append((points + place) / (atlas.width, atlas.height))
        count += len(origin)
    origin = np.concatenate(origins)
    mesh = Mesh(
        positions=surface.vertices[origin],
        faces=corners,
        normals=surface.normals[origin],
        uvs=np.concatenate(uvs).astype(np.float32),
    )
    return mesh, base_color


def _own_vertices(
    tile: _Tile, faces: NDArray[np.int32]
) -> tuple[NDArray[np.int32], NDArray[np.intp], NDArray[np.float64]]:
    """A tile's own copies of its vertices: (n,) which vertex, (K, 3) the faces' corners, (n, 2) their texels."""
    if tile.exact:
        count = 3 * len(tile.faces)
        return faces[tile.faces].ravel(), np.arange(count).reshape(-1, 3), tile.points.reshape(-1, 2)
    origin, corner = np.unique(faces[tile.faces], return_inverse=True)
    points = np.empty((len(origin), 2))
    points[corner.ravel()] = tile.points.reshape(-1, 2)
    return origin, corner.reshape(-1, 3), points


def _fitted(tiles: Sequence[_Tile]) -> tuple[list[_Tile], Atlas]:
    """The tiles as large as one texture takes them, with their places on it."""
    scale = 1.0
    while not (atlas := packed([_size(tile, scale) for tile in tiles])):
        scale *= _SHRINK
    return [tile if tile.exact or scale == 1 else _scaled(tile, scale) for tile in tiles], atlas


def _size(tile: _Tile, scale: float) -> tuple[int, int]:
    """Width and height of a tile at a scale."""
    height, width, _ = tile.texels.shape
    return (width, height) if tile.exact else (max(1, round(width * scale)), max(1, round(height * scale)))


def _scaled(tile: _Tile, scale: float) -> _Tile:
    (width, height), (was_height, was_width, _) = _size(tile, scale), tile.texels.shape
    return _Tile(
        faces=tile.faces,
        points=tile.points * (width / was_width, height / was_height),
        texels=np.rint(resampled(tile.texels, height, width)).astype(np.uint8),
    )
