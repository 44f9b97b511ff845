"""What of a view image is the object: its coverage of each pixel, from transparency or against a plain background."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pipeline.domain.views import View
from pipeline.geometry.backgrounds import EDGE_PX, coverage_before_background
from pipeline.geometry.distances import distance_from, nearest_marked, softened
from pipeline.geometry.resampling import resampled

_OPAQUE = 250
"""Alpha from here up counts as opaque: below, somebody meant transparency."""
_LEAST_TRANSPARENT = 1e-3
"""The part of a picture that must be transparent for its alpha to be believed."""
_ALPHA_EDGE_PX = 1
"""How far an edge with straight alpha reaches."""
_ALIKE = 0.9
"""Opposite outlines that overlap by so much (intersection over union) show one object in one frame."""
_MARGIN = "leave a margin of plain background around the object, or make the background transparent"
_OPPOSITES = ((View.FRONT, View.BACK), (View.LEFT, View.RIGHT), (View.TOP, View.BOTTOM))


class ReconstructionError(ValueError):
    """The pictures give no object; the message names the view and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Silhouette:
    """A view image as the engine works with it: a square of S x S pixels around the picture's centre."""

    coverage: NDArray[np.float32]
    """(S, S) how much of each pixel the object covers, 0..1."""
    colours: NDArray[np.uint8]
    """(S, S, 3) sRGB; the object's own only inside it, and further than ``impure_px`` from its outline."""
    impure_px: float
    given: bool
    """Whether the picture was transparent; else the coverage was found against its background."""


def pure_colours(seen: Silhouette, distance_px: NDArray[np.float32]) -> NDArray[np.uint8]:
    """(S, S, 3) the object's colours, carried on over its outline: each impure pixel takes the nearest pure one's.

    ``distance_px`` is the signed distance from the outline. Parts too thin to have a pure inside keep their colours.
    """
    inside, pure = distance_px < 0, distance_px < -seen.impure_px
    if pure.any():
        off = distance_from(pure)
        pure |= inside & (off > 2 * seen.impure_px + 1)
    rows, columns = nearest_marked(pure if pure.any() else inside)
    return seen.colours[rows, columns]


def silhouette(view: View, picture: NDArray[np.uint8], size: int) -> Silhouette:
    """Cut the object out of a straight-alpha (H, W, 4) picture, on a square of ``size`` pixels.

    Raises ReconstructionError when there is nothing but background, or none of it.
    """
    transparent = float(np.mean(picture[..., 3] < _OPAQUE)) >= _LEAST_TRANSPARENT
    coverage = (picture[..., 3] / np.float32(255)) if transparent else coverage_before_background(picture[..., :3])
    if coverage is None:
        raise ReconstructionError(f"{view} view: the object fills the picture or the background isn't plain; {_MARGIN}")
    if (coverage >= 0.5).all():
        raise ReconstructionError(f"{view} view: the object covers the whole picture; {_MARGIN}")
    seen = _squared(coverage.astype(np.float32), picture[..., :3], size, given=transparent)
    if not (softened(seen.coverage) >= 0.5).any():
        raise ReconstructionError(f"{view} view: no object found, the picture is blank; replace the picture")
    return seen


def _squared(coverage: NDArray[np.float32], colours: NDArray[np.uint8], size: int, *, given: bool) -> Silhouette:
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
    impure_px = (_ALPHA_EDGE_PX if given else EDGE_PX) * max(1.0, size / longer)
    return Silhouette(coverage=coverage, colours=colours, impure_px=impure_px, given=given)


def completed(silhouettes: Mapping[View, Silhouette]) -> dict[View, Silhouette]:
    """Opposite views have mirrored outlines: what only one of them took for background is object in both.

    Given silhouettes, and pairs too unlike to be mirrored, stay as they are.
    """
    done = dict(silhouettes)
    for one, other in _OPPOSITES:
        if one in done and other in done and not (done[one].given or done[other].given):
            mirrored = _mirrored(other, done[other].coverage)
            if _overlap(done[one].coverage, mirrored) >= _ALIKE:
                both = np.maximum(done[one].coverage, mirrored)
                done[one] = replace(done[one], coverage=both)
                done[other] = replace(done[other], coverage=_mirrored(other, both))
    return done


def _mirrored(view: View, plane: NDArray[np.float32]) -> NDArray[np.float32]:
    """An outline as the opposite view shows it: top and bottom share their right, the others their up."""
    return plane[::-1] if view is View.BOTTOM else plane[:, ::-1]


def _overlap(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    return float(np.minimum(one, other).sum() / np.maximum(one, other).sum())
