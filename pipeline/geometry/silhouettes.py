"""What of a view image is the object: its coverage of each pixel, from transparency or against a plain background."""

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pipeline.domain.views import View
from pipeline.geometry.distances import nearest_marked
from pipeline.geometry.resampling import resampled

_OPAQUE = 250
"""Alpha from here up counts as opaque: below, somebody meant transparency."""
_LEAST_TRANSPARENT = 1e-3
"""The part of a picture that must be transparent for its alpha to be believed."""
_SPECK = 1e-3
"""Pieces smaller than this part of the largest are dirt on the background."""
_HOLE_PX = 64
"""Background enclosed by the object counts from this size on: smaller ones are the object's own spots."""
_LEAST_DIFFERENCE = 10.0
"""The colour difference (of 255, all channels together) that tells an object from a noiseless background."""
_NOISE = 5.0
"""How many standard deviations of its noise a background may differ from itself."""
_HALO_PX = 3
"""How far an anti-aliased or compressed edge reaches."""
_BORDER_HELD = 0.5
"""The part of the border that must be background for the background to be known."""


class ReconstructionError(ValueError):
    """The pictures give no object; the message names the view and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Silhouette:
    """A view image as the engine works with it: a square of S x S pixels around the picture's centre."""

    coverage: NDArray[np.float32]
    """(S, S) how much of each pixel the object covers, 0..1."""
    colours: NDArray[np.uint8]
    """(S, S, 3) sRGB; outside the object, and on edges that the background shines through, the nearest pure colour."""


def silhouette(view: View, picture: NDArray[np.uint8], size: int) -> Silhouette:
    """Cut the object out of a straight-alpha (H, W, 4) picture, on a square of ``size`` pixels.

    Raises ReconstructionError when there is nothing but background, or none of it.
    """
    transparent = float(np.mean(picture[..., 3] < _OPAQUE)) >= _LEAST_TRANSPARENT
    coverage = picture[..., 3].astype(np.float32) / 255 if transparent else _against_background(view, picture[..., :3])
    if not (coverage >= 0.5).any():
        raise ReconstructionError(
            f"{view} view: no object found, the picture is blank; give a picture of the object on a transparent or plain background"
        )
    if (coverage >= 0.5).all():
        raise ReconstructionError(
            f"{view} view: the object covers the whole picture; leave a margin of background around it"
        )
    return _squared(coverage, _pure(coverage, picture[..., :3], _HALO_PX if not transparent else 1), size)


def _against_background(view: View, colours: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(H, W) coverage of an object in front of a plain, softly shaded or noisy background."""
    difference, noise = _difference(colours.astype(np.float32))
    threshold = max(_LEAST_DIFFERENCE, _NOISE * noise)
    differs = difference > threshold
    border = np.concatenate([differs[0], differs[-1], differs[:, 0], differs[:, -1]])
    if border.mean() > 1 - _BORDER_HELD:
        raise ReconstructionError(
            f"{view} view: the object covers the whole picture or the background is not plain; "
            "leave a margin of plain background around the object, or make the background transparent"
        )
    mask = _without_specks(_without_spots(differs))
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


def _without_spots(differs: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The object with the small spots filled that only happen to look like background; holes stay."""
    labels = _labels(~differs)
    sizes = np.bincount(labels.ravel())
    holes = sizes >= _HOLE_PX
    holes[0] = False
    return ~holes[labels]


def _without_specks(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    labels = _labels(mask)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return (sizes > _SPECK * sizes.max())[labels] & mask


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
    rows, columns = nearest_marked(~mask)
    y, x = np.indices(mask.shape, sparse=True)
    depth = np.hypot(rows - y, columns - x)
    core = depth > _HALO_PX
    if not core.any():
        return mask.astype(np.float32)
    rows, columns = nearest_marked(core)
    full = difference[rows, columns]
    near = np.hypot(rows - y, columns - x) <= 2 * _HALO_PX
    soft = np.clip(difference / np.maximum(full, 1e-3), 0, 1)
    return np.where(core, 1, np.where(mask & near, soft, mask)).astype(np.float32)


def _pure(coverage: NDArray[np.float32], colours: NDArray[np.uint8], margin: int) -> NDArray[np.uint8]:
    """The (H, W, 3) colours, each pixel that may hold background replaced by the nearest one well inside the object.

    Parts too thin to have an inside keep the colours that they have.
    """
    inside = coverage >= 0.5
    rows, columns = nearest_marked(coverage < 0.99)
    y, x = np.indices(coverage.shape, sparse=True)
    pure = np.hypot(rows - y, columns - x) > margin
    if pure.any():
        rows, columns = nearest_marked(pure)
        pure |= inside & (np.hypot(rows - y, columns - x) > 2 * margin + 1)
    rows, columns = nearest_marked(pure if pure.any() else inside)
    return colours[rows, columns]


def _squared(coverage: NDArray[np.float32], colours: NDArray[np.uint8], size: int) -> Silhouette:
    """Centre on a square, then scale it to ``size``."""
    height, width = coverage.shape
    longer = max(height, width)
    top, left = (longer - height) // 2, (longer - width) // 2
    margins = ((top, longer - height - top), (left, longer - width - left))
    coverage = np.pad(coverage, margins)
    colours = np.pad(colours, (*margins, (0, 0)), mode="edge")
    if longer != size:
        coverage = resampled(coverage, size, size)
        colours = np.rint(resampled(colours, size, size)).astype(np.uint8)
    return Silhouette(coverage=coverage, colours=colours)
