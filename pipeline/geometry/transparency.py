"""What the transparency of a picture says of its object: how much of each pixel it covers, shadows taken off."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pipeline.geometry.distances import nearest_marked
from pipeline.geometry.shadows import grown

_OPAQUE = 250
"""Alpha from here up counts as opaque: below, somebody meant transparency."""
_LEAST_TRANSPARENT = 1e-3
"""The part of a picture that must be transparent for its alpha to be believed."""
_MANY, _TRACE, _NEARLY = 0.01, 24, 224
"""Alpha that a hundredth of the pixels have, up to this or from this, stands for none or all."""
_VEILED = (0.04, 0.95)
"""Coverage between these is neither nothing nor solid."""
_LEAST_VEILED = 0.01
"""No picture with less of it has a shadow: the edges alone are about half as much."""
_DARK = 64
"""No channel of a shadow is brighter."""
_SMOOTH, _EDGE_PX = 0.1, 3
"""The most that a shadow changes from pixel to pixel; and how far from its edges and the object's it is sure."""
_LEAST_BROAD, _LEAST_FADING, _FAINT = 1e-3, 0.1, 0.3
"""The least part of the picture that a shadow is sure of; and the part of it that must be fainter than this."""
_STEP_PX, _STEP = 2, 0.2
"""An object stands out from its shadow by a step: so much less is covered so far outside what is solid."""
_MOST = 0.5
"""What would leave less of the object than that part is no shadow, but the object."""


def opacity(picture: NDArray[np.uint8]) -> NDArray[np.float32] | None:
    """(256,) the coverage that each alpha of an (H, W, 4) picture means; None when the picture is opaque.

    The lowest and the highest alpha that many pixels have mean none and all: exports leave a trace of alpha in what is
    empty, and take a little from what is solid.
    """
    counts = _alphas(picture)
    many = np.flatnonzero(counts >= max(_MANY * counts.sum(), 1))
    low, high = (int(many[0]), int(many[-1])) if many.size else (0, 255)
    if low >= _OPAQUE or counts[:_OPAQUE].sum() < _LEAST_TRANSPARENT * counts.sum():
        return None
    empty = low if low <= _TRACE else 0
    solid = high if high >= _NEARLY else 255
    if solid - empty <= _TRACE:
        return None
    meant: NDArray[np.float32] = np.clip((np.arange(256, dtype=np.float32) - empty) / (solid - empty), 0, 1)
    return meant


@njit(cache=True, nogil=True)
def _alphas(picture: NDArray[np.uint8]) -> NDArray[np.int64]:
    """(256,) how many pixels have each alpha."""
    counts = np.zeros((2, 256), np.int64)  # two, so that equal neighbours need not wait for each other
    for row in range(picture.shape[0]):
        for column in range(picture.shape[1]):
            counts[column & 1, picture[row, column, 3]] += 1
    total: NDArray[np.int64] = counts[0] + counts[1]
    return total


def unshadowed(coverage: NDArray[np.float32], colours: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The (H, W) coverage without soft shadows, which programs draw as something dark and half transparent.

    An object before a shadow covers a = s + (1 - s) c of a pixel in all, where the shadow covers s of it: c is taken
    from that, with s from where the shadow is sure. What fades nowhere, as tinted glass does, is left as it is, and so
    is what solid parts go over into without a step: their own soft edge, as of hair, or smoke.
    """
    if _veiled(coverage) < _LEAST_VEILED * coverage.size:
        return coverage
    veil = (coverage > _VEILED[0]) & (coverage < _VEILED[1]) & (colours[..., :3].max(axis=2) <= _DARK)
    veil[1:] &= np.abs(np.diff(coverage, axis=0)) <= _SMOOTH
    veil[:, 1:] &= np.abs(np.diff(coverage, axis=1)) <= _SMOOTH
    broad = ~grown(~veil, _EDGE_PX)
    count = int(broad.sum())
    if count < _LEAST_BROAD * broad.size or (coverage[broad] < _FAINT).sum() < _LEAST_FADING * count:
        return coverage
    if not _stands_out(coverage, broad):
        return coverage
    rows, columns = nearest_marked(broad)
    y, x = np.indices(broad.shape, np.int32)
    near = (rows - y) ** 2 + (columns - x) ** 2 <= (2 * _EDGE_PX) ** 2
    shade = coverage[rows, columns]
    rest = np.where(near, np.maximum(coverage - shade, 0) / (1 - shade), coverage)
    return rest if (rest >= _MOST).sum() >= _MOST * (coverage >= _MOST).sum() else coverage


def _stands_out(coverage: NDArray[np.float32], veil: NDArray[np.bool_]) -> bool:
    """Whether what is solid goes over into a veil close to it by a step, along most of their border."""
    solid = coverage >= _VEILED[1]
    border = solid & grown(~solid, 1) & grown(veil, 2 * _EDGE_PX)
    padded = np.pad(coverage, _STEP_PX, mode="edge")
    height, width = coverage.shape
    outside = np.full(coverage.shape, np.inf, np.float32)
    for down, right in ((0, 1), (1, 0), (1, 2), (2, 1)):
        there = padded[_STEP_PX * down : _STEP_PX * down + height, _STEP_PX * right : _STEP_PX * right + width]
        outside = np.minimum(outside, there)
    return bool((outside[border] <= _VEILED[1] - _STEP).sum() >= border.sum() / 2)


@njit(cache=True, nogil=True)
def _veiled(coverage: NDArray[np.float32]) -> int:
    """How many pixels are neither empty nor solid."""
    count = 0
    for row in range(coverage.shape[0]):
        for column in range(coverage.shape[1]):
            count += _VEILED[0] < coverage[row, column] < _VEILED[1]
    return count
