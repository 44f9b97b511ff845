"""From the visual hull to a closed surface of the asked number of faces."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pipeline.domain.views import ORTHOGRAPHIC_WIDTH
from pipeline.geometry.bodies import without_phantoms
from pipeline.geometry.decimation import decimate
from pipeline.geometry.isosurface import isosurface
from pipeline.geometry.progress import Progress, unheard
from pipeline.geometry.visual_hull import Hull, field_slices, grid_around, near_surface

_FINEST = ORTHOGRAPHIC_WIDTH / 2048
_FEWEST, _MOST = 160, 320
"""Cells along the frame of the first grid: ridges lose a part of a cell, whatever number of faces is asked for. In
between it has one for each pixel."""
_SURPLUS = 1.6
"""How many faces the grid should give for each that is asked for: decimation spends them where the surface bends."""
_ENOUGH = 1.1
"""With fewer than that the grid is made finer."""
_BELIEVED = 1 / 16
"""Where a grid sees fewer of the faces than that, it may have missed thin parts: it is taken to have seen so many."""
_ROUNDS = 2
_SHRINK, _SWELL = 0.5, -0.53
"""Steps of a round of smoothing that keeps the volume."""


def surface(hull: Hull, face_count: int, progress: Progress = unheard) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """(V, 3) world positions and (F, 3) faces, counter-clockwise seen from outside: closed and manifold.

    Exactly ``face_count`` faces rounded down to even; fewer where the finest grid has no more, more where a surface of
    many bodies and holes would fold. No faces where nothing is left of the hull.
    """
    vertices, faces = _fine_enough(hull, face_count)
    if not len(faces):
        return vertices.astype(np.float32), faces
    progress(0.5)
    for _ in range(_ROUNDS):
        vertices = _moved(_moved(vertices, faces, _SHRINK), faces, _SWELL)
    progress(0.6)
    vertices, faces = decimate(vertices, faces, face_count)
    return vertices.astype(np.float32), faces


def _fine_enough(hull: Hull, face_count: int) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """The surface without phantoms on about the coarsest grid that has faces to spare, else on the finest."""
    spacing = ORTHOGRAPHIC_WIDTH / min(max(hull.projections.size, _FEWEST), _MOST)
    vertices, faces = _on_grid(hull, spacing)
    while spacing > _FINEST and len(faces) < _ENOUGH * face_count:
        measured = max(len(faces), _BELIEVED * face_count)  # faces grow with the square of the fineness
        spacing = max(spacing * float(np.sqrt(measured / (_SURPLUS * face_count))), _FINEST)
        vertices, faces = _on_grid(hull, spacing)
    return vertices, faces


def _on_grid(hull: Hull, spacing: float) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """The hull's bodies on a grid of this spacing, world positions; no faces where the grid meets none of it."""
    grid = grid_around(hull, spacing)
    if grid is None:
        return np.empty((0, 3)), np.empty((0, 3), np.int32)
    blocks = near_surface(hull, grid)
    vertices, faces = isosurface(lambda *layers: field_slices(hull, grid, blocks, *layers), blocks.active, grid.shape)
    vertices = vertices * spacing + np.array(grid.origin)
    return vertices, without_phantoms(vertices, faces, hull.projections)


@njit(cache=True, nogil=True, error_model="numpy")
def _moved(vertices: NDArray[np.float64], faces: NDArray[np.int32], step: float) -> NDArray[np.float64]:
    """Each vertex moved by this part of the way to the middle of its neighbours (Taubin, 1995)."""
    sums, counts = np.zeros_like(vertices), np.zeros(len(vertices))
    for f in range(len(faces)):
        for corner in range(3):
            # On a closed surface every neighbour comes once as the next corner.
            v, w = faces[f, corner], faces[f, (corner + 1) % 3]
            counts[v] += 1
            for axis in range(3):
                sums[v, axis] += vertices[w, axis]
    for v in range(len(vertices)):
        if counts[v]:
            for axis in range(3):
                sums[v, axis] = vertices[v, axis] + step * (sums[v, axis] / counts[v] - vertices[v, axis])
    return sums
