"""Square planes in another number of pixels, over the same frame."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def resampled(plane: NDArray[Any], height: int, width: int) -> NDArray[np.float32]:
    """(H, W, ...) to (height, width, ...): means of what each pixel covers when shrinking, linear when growing."""
    rows = _along(np.asarray(plane, np.float32), height)
    return np.ascontiguousarray(_along(rows.swapaxes(0, 1), width).swapaxes(0, 1))


def _along(plane: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """The same along the first axis only."""
    length = len(plane)
    if size == length:
        return plane
    if size > length:
        return _between(plane, (np.arange(size) + 0.5) * length / size - 0.5)
    sums = np.concatenate([np.zeros_like(plane[:1], np.float64), np.cumsum(plane, axis=0, dtype=np.float64)])
    at_edges = _between(sums, np.arange(size + 1) * length / size)
    return (np.diff(at_edges, axis=0) * (size / length)).astype(np.float32)


def _between(plane: NDArray[Any], at: NDArray[np.float64]) -> NDArray[Any]:
    """Linear between the rows of the plane, constant beyond the first and the last."""
    at = np.clip(at, 0, len(plane) - 1)
    below = np.minimum(at.astype(np.intp), len(plane) - 2) if len(plane) > 1 else np.zeros(len(at), np.intp)
    part = (at - below).astype(plane.dtype).reshape(-1, *[1] * (plane.ndim - 1))
    between: NDArray[Any] = plane[below] * (1 - part) + plane[np.minimum(below + 1, len(plane) - 1)] * part
    return between
