"""An object in front of a plain background: what of each pixel it covers."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pipeline.geometry.distances import distance_from, nearest_marked

_SPECK = 1e-3
"""Pieces smaller than this part of the largest are dirt on the background."""
_LEAST_HOLE = 2e-4
"""The part of the picture from which on background that the object encloses may be a hole."""
_HOLE_NOISE = 2.5
"""How far a hole's middle pixel may differ from the background, in the background's own noise."""
_LEAST_DIFFERENCE = 10.0
"""The colour difference (of 255, all channels together) that tells an object from a noiseless background."""
_NOISE = 5.0
"""The same for a noisy one, in its noise."""
_NOISE_MAX = 20.0
"""A border that differs more than that from its own trend is no background."""
_BORDER_HELD = 0.5
"""The part of the border that must be background for the background to be known."""
EDGE_PX = 3
"""How far an anti-aliased and compressed edge reaches."""


def coverage_before_background(colours: NDArray[np.uint8]) -> NDArray[np.float32] | None:
    """(H, W) how much of each pixel of an (H, W, 3) sRGB picture is object, not plain, shaded or noisy background.

    None when most of the border does not look like one background.
    """
    difference, noise = _difference(colours.astype(np.float32))
    if noise > _NOISE_MAX:
        return None
    differs = difference > max(_LEAST_DIFFERENCE, _NOISE * noise)
    border = np.concatenate([differs[0], differs[-1], differs[:, 0], differs[:, -1]])
    if border.mean() > 1 - _BORDER_HELD:
        return None
    mask = _without_specks(_without_spots(differs, difference, noise))
    return _soft_edge(mask, difference)


def _difference(colours: NDArray[np.float32]) -> tuple[NDArray[np.float32], float]:
    """(H, W) how far each pixel is from the background that the border shows, and the noise of that difference."""
    height, width, _ = colours.shape
    y, x = np.indices((height, width), np.float32, sparse=True)
    y, x = 2 * y / height - 1, 2 * x / width - 1
    terms = [np.ones((height, width), np.float32), x + 0 * y, y + 0 * x, x * x + 0 * y, y * y + 0 * x, x * y]
    band = max(2, min(height, width) // 40)
    border = np.ones((height, width), bool)
    border[band:-band, band:-band] = False
    weights = _fitted(np.stack([term[border] for term in terms], axis=1), colours[border])
    smooth = _blurred(colours)
    for term, weight in zip(terms, weights, strict=True):
        smooth -= term[..., None] * weight
    difference = np.sqrt((smooth**2).sum(axis=2))
    return difference, float(np.median(difference[border]))


def _fitted(terms: NDArray[np.float32], colours: NDArray[np.float32]) -> NDArray[np.float32]:
    """(T, 3) weights of the (N, T) terms that explain most of the (N, 3) colours; what does not fit is left out."""
    step = max(1, len(terms) // 20_000)
    terms, colours = terms[::step], colours[::step]
    error = np.abs(colours - np.median(colours, axis=0)).sum(axis=1)
    weights = np.zeros((terms.shape[1], 3), np.float32)
    for _ in range(4):
        fits = error <= max(3 * float(np.median(error)), _LEAST_DIFFERENCE)
        weights = np.linalg.lstsq(terms[fits], colours[fits], rcond=None)[0]
        error = np.abs(colours - terms @ weights).sum(axis=1)
    return weights


def _blurred(colours: NDArray[np.float32]) -> NDArray[np.float32]:
    padded = np.pad(colours, ((1, 1), (1, 1), (0, 0)), mode="edge")
    across = padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:]
    blurred: NDArray[np.float32] = (across[:-2] + across[1:-1] + across[2:]) / 9
    return blurred


def _without_spots(differs: NDArray[np.bool_], difference: NDArray[np.float32], noise: float) -> NDArray[np.bool_]:
    """The object with the spots filled that only happen to look like background; true holes stay.

    What the border reaches is background; a piece that the object encloses must be large and just as plain.
    """
    labels = _labels(~differs)
    sizes = np.bincount(labels.ravel())
    background = np.zeros(len(sizes), bool)
    background[np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])] = True
    for label in np.flatnonzero(~background & (sizes >= _LEAST_HOLE * differs.size)):
        background[label] = np.median(difference[labels == label]) <= _HOLE_NOISE * noise + 1
    background[0] = False
    return ~background[labels]


def _without_specks(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    labels = _labels(mask)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    cleaned: NDArray[np.bool_] = (sizes > _SPECK * sizes.max())[labels] & mask
    return cleaned


@njit(cache=True, nogil=True)
def _labels(mask: NDArray[np.bool_]) -> NDArray[np.int32]:
    """(H, W) the number, from 1, of the connected piece that each pixel of the mask belongs to; 0 elsewhere."""
    height, width = mask.shape
    labels = np.zeros((height, width), np.int32)
    waiting = np.empty(height * width, np.int64)
    count = 0
    for start in range(height * width):
        if not mask[start // width, start % width] or labels[start // width, start % width]:
            continue
        count += 1
        labels[start // width, start % width] = count
        waiting[0], left = start, 1
        while left:
            left -= 1
            y, x = waiting[left] // width, waiting[left] % width
            for step_y, step_x in ((-1, 0), (1, 0), (0, -1), (0, 1)):
                to_y, to_x = y + step_y, x + step_x
                inside = 0 <= to_y < height and 0 <= to_x < width
                if inside and mask[to_y, to_x] and not labels[to_y, to_x]:
                    labels[to_y, to_x] = count
                    waiting[left] = to_y * width + to_x
                    left += 1
    return labels


def _soft_edge(mask: NDArray[np.bool_], difference: NDArray[np.float32]) -> NDArray[np.float32]:
    """Coverage whose edge lies where the difference from the background is half of what it is just inside."""
    if mask.all() or not mask.any():
        return mask.astype(np.float32)
    core = distance_from(~mask) > EDGE_PX
    if not core.any():
        return mask.astype(np.float32)
    rows, columns = nearest_marked(core)
    full = difference[rows, columns]
    near = distance_from(core) <= 2 * EDGE_PX
    soft = np.clip(difference / np.maximum(full, 1e-3), 0, 1)
    return np.where(core, 1, np.where(mask & near, soft, mask)).astype(np.float32)
