"""How each view's picture frames the world, found from the silhouettes alone.

Most sets are orthographic and share one frame; then every silhouette is what the hull of all shows there, and nothing
is changed. Else the cameras may stand at a finite distance, or each picture may be framed on its own, or both: the
simplest that makes the silhouettes agree is taken, and nothing that doesn't.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from pipeline.domain.views import ORTHOGRAPHIC_WIDTH, View
from pipeline.geometry.cameras import Framing
from pipeline.geometry.coherence import Outlines, Parameters, agreements, extents, outlines, shared
from pipeline.geometry.framing_fit import Fit, as_shared, on_their_own, one_on_its_own, with_distance, with_perspective

_CONSISTENT = 0.99
"""Silhouettes of one object in one frame agree by so much at least; pictures that do are left as they are."""
_SOLVED = 0.1
"""The cost of a fit that leaves nothing to explain."""
_CLEARER, _BETTER = 0.4, 0.5
"""What a change must leave at most of the cost, and of what the worst view lacks of agreement."""
_SIMPLER, _SLACK = 1.5, 0.05
"""A simpler explanation is taken when its cost is at most so many times that of the best, and so much more."""
_ROOM = 0.54
"""How far from the origin the object may reach along each axis: a little less than the pictures of one frame show."""
_FLAT = frozenset({View.FRONT, View.BACK})
_NONE_DOUBTFUL: tuple[View, ...] = ()


class Frames(StrEnum):
    """What pictures have in common."""

    SHARED = "shared"
    OWN = "own"


@dataclass(frozen=True, slots=True, kw_only=True)
class Framings:
    """How the pictures of a set frame the world, and what speaks for it.

    The world is that of the shared frame. Where pictures are framed each on its own, it is that of the first view (the
    front, if there is one), its depth around 0; made smaller, about the origin, if the object would not fit.
    """

    of: Mapping[View, Framing]
    frames: Frames
    distance: float | None
    """World units from the cameras to the origin; None: orthographic."""
    agreement_before: float
    """Of the worst view, as if all were orthographic and shared a frame: see ``coherence.agreements``."""
    agreement: float
    """Of the worst view under these framings; without the doubtful ones."""
    doubtful: tuple[View, ...] = _NONE_DOUBTFUL
    """Views that contradict the others, however they are framed."""


def framings(coverages: Mapping[View, NDArray[np.float32]]) -> Framings:
    """Find the framings of (S, S) coverages in 0..1, one for each view.

    Costs some hundredths of a second when all share one frame. Equal input gives equal output.
    """
    seen = outlines(coverages)
    before = _worst(seen, shared(seen))
    if before >= _CONSISTENT:
        return _found(seen, shared(seen), before)
    plain = as_shared(seen)
    best = _simplest(seen, plain)
    if best.cost <= _CLEARER * plain.cost:
        after = _worst(seen, best.parameters)
        if 1 - after <= _BETTER * (1 - before):
            return _found(seen, _fitted(seen, best.parameters), before, after)
    return _found(seen, shared(seen), before)


def _simplest(seen: Outlines, plain: Fit) -> Fit:
    """The first explanation that leaves nothing open, else the first that is nearly as good as the best."""
    fits = [plain]
    if not _FLAT.issuperset(seen.views):
        fits.append(with_perspective(seen))
    if fits[-1].cost > _SOLVED:
        fits.append(on_their_own(seen))
    if fits[-1].cost > _SOLVED and not _FLAT.issuperset(seen.views):
        fits.append(with_distance(seen, fits[-1].parameters))
    enough = max(_SIMPLER * min(found.cost for found in fits) + _SLACK, _SOLVED)
    return next(found for found in fits if found.cost <= enough)


def _worst(seen: Outlines, parameters: Parameters) -> float:
    return float(agreements(seen, parameters).min())


def _fitted(seen: Outlines, parameters: Parameters) -> Parameters:
    """The same pictures of a world that is moved in depth and made smaller, so that it fits into the shared frame.

    Pictures with perspective can't be moved: their cameras look at the origin.
    """
    if not _own(parameters):
        return parameters
    low, high = extents(seen, parameters)
    moved = parameters.copy()
    if not parameters[:, 3].any():
        middle = (low + high) / 2 * _depth_axis(seen)
        moved[:, 1:3] += moved[:, :1] * (seen.frames[:, :2] @ middle)
        low, high = low - middle, high - middle
    smaller = min(1.0, _ROOM / float(np.abs([low, high]).max()))
    return moved / [smaller, 1, 1, smaller]


def _depth_axis(seen: Outlines) -> NDArray[np.float64]:
    """1 along the axis on which the first view looks, 0 along the others; all 0 where no view bounds it."""
    return np.abs(seen.frames[0, 2]).round() * (not _FLAT.issuperset(seen.views))


def _own(parameters: Parameters) -> bool:
    return bool(np.ptp(parameters, axis=0).any() or parameters[:, 1:3].any())


def _found(
    seen: Outlines,
    parameters: Parameters,
    before: float,
    after: float | None = None,
    doubtful: tuple[View, ...] = _NONE_DOUBTFUL,
) -> Framings:
    perspective = float(parameters[:, 3].max())
    return Framings(
        of={view: Framing(**_named(row)) for view, row in zip(seen.views, parameters, strict=True)},
        frames=Frames.OWN if _own(parameters) else Frames.SHARED,
        distance=1 / perspective if perspective else None,
        agreement_before=before,
        agreement=before if after is None else after,
        doubtful=doubtful,
    )


def _named(row: NDArray[np.float64]) -> dict[str, float]:
    return dict(zip(("scale", "right", "up", "perspective"), map(float, row), strict=True))
