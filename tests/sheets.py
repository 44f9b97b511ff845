"""A flat sheet of a surface, for what is told from the views of its vertices alone."""

import numpy as np
from numpy.typing import NDArray

from pipeline.geometry.patches import Patches, patched

ACROSS = 41
WIDTH = 0.4


def sheet() -> tuple[NDArray[np.float32], NDArray[np.int32], Patches]:
    """A flat square seen from +Z, both sides of it, so that every edge comes once in each direction."""
    y, x = np.divmod(np.arange(ACROSS**2), ACROSS)
    vertices = np.stack([x, y, np.zeros_like(x)], axis=1).astype(np.float32) * np.float32(WIDTH / (ACROSS - 1))
    corner = (np.arange(ACROSS - 1)[:, None] * ACROSS + np.arange(ACROSS - 1)).ravel()
    front = np.concatenate(
        [
            np.stack([corner, corner + 1, corner + ACROSS], axis=1),
            np.stack([corner + 1, corner + ACROSS + 1, corner + ACROSS], axis=1),
        ]
    )
    faces = np.concatenate([front, front[:, ::-1]]).astype(np.int32)
    return vertices, faces, patched(vertices, faces, np.tile(np.array([0, 0, 1], np.float32), (len(vertices), 1)))


def alike(count: int, views: int) -> NDArray[np.uint8]:
    """(views, count, 3) one grey."""
    return np.full((views, count, 3), 120, np.uint8)
