"""How each view's picture frames the world, found from the silhouettes alone.

Most sets are orthographic and share one frame; then every silhouette is what the hull of all shows there, and nothing
is changed. Else the cameras may stand at a finite distance, or each picture may be framed on its own, or both: the
simplest that makes the silhouettes agree is taken, and nothing that doesn't.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from pipeline.domain.views import ORTHOGRAPHIC_WIDTH, View
from pipeline.geometry.cameras import Framing
from pipeline.geometry.coherence import (
    COARSE_PX,
    CONSISTENT,
    Outlines,
    Parameters,
    agreements,
    extents,
    outlines,
    shared,
)
from pipeline.geometry.contradictions import (
    MEND,
    MEND_CUT_OUT,
    MEND_LENS,
    Doubt,
    Fault,
    complaint,
    doubt,
    odd_views,
    swapped_views,
    unlike_views,
)
from pipeline.geometry.framing_fit import (
    SOLVED,
    Fit,
    as_shared,
    on_their_own,
    one_on_its_own,
    with_distance,
    with_perspective,
)
from pipeline.geometry.rays import PIXEL

_MOSTLY = 0.1
"""What a frame of one view's own must leave at most of the cost: views of something else keep three times as much."""
_CLEARER = 0.3
"""What a change must leave at most of the cost."""
_BETTER = 0.5
"""What it must leave at most of what the views lack of agreement, on average."""
_GOOD, _FAIR = 0.95, 0.8
"""The least agreement, on average and of the worst view, that makes a change worth believing."""
_OWN_BELOW, _BOTH_BELOW, _OWN_ENOUGH = 0.96, 0.9, 0.97
"""The worst view's agreement below which frames of their own, and these with perspective, are looked for: they have so
many unknowns that they also explain silhouettes cut out badly. Nor is perspective where those alone give that."""
_BLOTTED, _EXACT = 0.93, 0.995
"""Where silhouettes found before a background agree to more than the first, a shadow left at the feet passes for a
scale; frames of their own that are true make them agree to more than the second."""
_MODEST = 0.9
"""The most perspective, with frames of the views' own, that is believed of two views, where a pencil's length may pass
for nearness, or where all views but one share a frame."""
_FEW = 3
"""Of so many views, framed each on its own to one size, two may agree by chance: they speak against the third one only
where frames don't explain it."""
_RUINED, _HOPELESS = 0.9, 0.75
"""A view that is wrong and lets the silhouettes agree to less cuts much of the object away; and less than transparent
pictures of one object were seen to agree to, unless two look along one line; the same square in all views has .8."""
_ROOM = ORTHOGRAPHIC_WIDTH / 2 - PIXEL
"""How far from the origin the object may reach along each axis."""
_CORNER = 0.8
"""How far from the origin the shared frame's corners are towards a camera, at most, and a little more."""


class Frames(StrEnum):
    """What pictures have in common."""

    SHARED = "shared"
    OWN = "own"


@dataclass(frozen=True, slots=True, kw_only=True)
class Framings:
    """How the pictures of a set frame the world, and what speaks for it.

    The world is that of the shared frame. Where pictures are framed each on its own, it is that of the first view's
    picture (the front's, if there is one), the object's middle at depth 0; about its origin it is made smaller if the
    object would not fit into the shared frame.
    """

    of: Mapping[View, Framing]
    frames: Frames
    distance: float | None
    """World units from the cameras to the origin; None: orthographic."""
    agreement_before: float
    """Of the worst view, as if all were orthographic and shared a frame: see ``coherence.agreements``."""
    agreement: float
    """Of the worst view under these framings."""
    doubt: Doubt | None
    """What contradicts the rest, however it is framed."""
    given: bool
    """Whether all silhouettes are given; else some were found before a background."""

    @property
    def ruined(self) -> bool:
        """Whether a view is known to be wrong, and would spoil the shape."""
        if self.doubt is None:
            return False
        return self.agreement < (_HOPELESS if self.doubt.fault is Fault.UNLIKE else _RUINED)


def refusal(found: Framings) -> tuple[str, str]:
    """What is wrong with the views that are in doubt, and the mend; no full stops."""
    if found.doubt is None:
        raise ValueError("no view is in doubt")
    what, mend = complaint(found.doubt, found.agreement)
    return what, mend + MEND_CUT_OUT * (not found.given)


def findings(found: Framings) -> tuple[tuple[str, str], ...]:
    """For the person: what was found, each with what to do about it or an empty text; no full stops."""
    told, mend = [], MEND + MEND_LENS + MEND_CUT_OUT * (not found.given)
    if found.frames is Frames.OWN:
        own = [view for view, framing in found.of.items() if framing != Framing()]
        whose = f"The {own[0]} view" if len(own) == 1 else "Each view"
        told.append((f"{whose} is framed on its own: scale and offset were solved for", ""))
    if found.distance is not None:
        told.append(
            (f"The views have perspective: their cameras stand {found.distance:.2f} from the object's middle", "")
        )
    low = found.agreement < _GOOD
    if told:
        worth = f"agree to {found.agreement:.3f}, before to {found.agreement_before:.3f}"
        told.append((f"With what was solved for, the silhouettes {worth}", mend if low and not found.doubt else ""))
    if found.doubt:
        told.append(refusal(found))
    elif low and not told:
        told.append((f"The silhouettes agree to {found.agreement:.3f} only", mend))
    return tuple(told)


def remarks(found: Framings) -> tuple[str, ...]:
    """The findings as sentences."""
    return tuple(f"{what}; {mend}." if mend else f"{what}." for what, mend in findings(found))


def framings(coverages: Mapping[View, NDArray[np.float32]], *, given: bool = True) -> Framings:
    """Find the framings of (S, S) coverages in 0..1, one for each view; ``given`` as in ``Silhouette``, of all.

    Costs some hundredths of a second when all share one frame, and less than a second otherwise. Equal input gives
    equal output.
    """
    seen = outlines(coverages, given=given)
    before = agreements(seen, shared(seen))
    too_coarse_to_tell = min(len(plane) for plane in coverages.values()) <= COARSE_PX
    if before.min() >= seen.consistent or too_coarse_to_tell:
        return _found(seen, shared(seen), before, before)
    found = _understood(seen, before)
    is_explained = found.frames is Frames.OWN or found.distance is not None
    if found.doubt or not given or found.agreement >= (_HOPELESS if is_explained else _GOOD):
        return found
    parameters = np.array([[one.scale, one.right, one.up, one.perspective] for one in found.of.values()])
    wrong = unlike_views(seen, parameters)
    # From near by, opposite views of one object have unlike outlines, too.
    is_opposite = _depth_is_open(seen.only([seen.views.index(view) for view in wrong.views]))
    is_told = len(wrong.views) == 2 or found.agreement < _HOPELESS
    return replace(found, doubt=wrong) if is_told and not is_opposite else found


def _understood(seen: Outlines, before: NDArray[np.float64]) -> Framings:
    """What silhouettes that don't agree in a shared frame, ``before`` as ``agreements`` tells, have in common."""
    plain = as_shared(seen)
    pinhole = plain if _depth_is_open(seen) else with_perspective(seen)
    if pinhole.cost <= SOLVED and (found := _believed(seen, plain, pinhole, before)):
        return found
    odd = _odd(seen, plain, before)
    if odd and (not odd.doubt or (odd.doubt.fault is not Fault.ODD and len(seen.views) > _FEW)):
        return odd
    return _explained(seen, plain, pinhole, before, odd)


def _explained(seen: Outlines, plain: Fit, pinhole: Fit, before: NDArray[np.float64], odd: Framings | None) -> Framings:
    """What neither a shared frame nor perspective (``pinhole``) explains alone, nor one ``odd`` view for sure."""
    own = _on_their_own(seen, plain, before)
    fits = [pinhole, own]
    open_ = min(fit.cost for fit in fits) > SOLVED and agreements(seen, own.parameters).min() < _OWN_ENOUGH
    if open_ and before.min() < _BOTH_BELOW and not _depth_is_open(seen):
        distant = with_distance(seen, own.parameters)
        if len(seen.views) >= _FEW or distant.parameters[:, 3].max() < _MODEST:
            fits.append(distant)
    simplest = _simplest(fits)
    found = _believed(seen, plain, simplest, before)
    if odd and (len(seen.views) > _FEW or not found):
        # The others share a frame, so that one of its own for each would explain more than there is to explain.
        # From very near by, too: then opposite pictures may be as unlike as those of two objects.
        is_modest = simplest is not own and simplest.parameters[:, 3].max() < _MODEST
        return found if found and simplest.cost <= SOLVED and is_modest else odd
    if simplest is own and own.cost <= SOLVED and found:
        return found
    if wrong := swapped_views(seen):
        return _found(seen, shared(seen), before, before, wrong)
    return found or _found(seen, shared(seen), before, before)


def _on_their_own(seen: Outlines, plain: Fit, before: NDArray[np.float64]) -> Fit:
    """Frames of the views' own; the shared one where they are not worth looking for."""
    if before.min() >= _OWN_BELOW:
        return plain
    own = on_their_own(seen)
    may_be_blots = not _is_given(seen) and before.min() >= _BLOTTED
    return plain if may_be_blots and agreements(seen, own.parameters).min() < _EXACT else own


def _odd(seen: Outlines, plain: Fit, before: NDArray[np.float64]) -> Framings | None:
    """Where all views but one agree in a shared frame: that one is framed on its own, or wrong."""
    odd = odd_views(seen, shared(seen))
    if not odd:
        return None
    wrong = doubt(seen, odd)
    if wrong.fault is Fault.ODD:
        best = min((one_on_its_own(seen, view) for view in odd), key=lambda fit: fit.cost)
        if best.cost <= max(SOLVED, _MOSTLY * plain.cost) and (found := _believed(seen, plain, best, before)):
            return found
    return _found(seen, shared(seen), before, before, wrong)


def _simplest(fits: list[Fit]) -> Fit:
    """The first explanation, from the simplest on, that leaves nothing open or is much better than simpler ones."""
    chosen = fits[0]
    for fit in fits[1:]:
        if chosen.cost > SOLVED and fit.cost <= _BETTER * chosen.cost:
            chosen = fit
    return chosen


def _believed(seen: Outlines, plain: Fit, fit: Fit, before: NDArray[np.float64]) -> Framings | None:
    """The framings of a fit, if they explain well enough what doesn't agree without them."""
    if fit.cost > _CLEARER * plain.cost or fit.is_bounded:
        return None
    after = agreements(seen, fit.parameters)
    lacking = 1 - after.mean()
    if after.min() < _FAIR or lacking > 1 - _GOOD or lacking > _BETTER * (1 - before.mean()):
        return None
    return _found(seen, _fitted(seen, fit.parameters), before, after)


def _fitted(seen: Outlines, parameters: Parameters) -> Parameters:
    """The same pictures of a smaller world, if the object would not fit into the shared frame's; of a larger one, if
    cameras would stand within that.
    """
    if not _own(parameters):
        return parameters
    low, high = extents(seen, parameters)
    known = 1 - np.abs(seen.frames[0, 2]) * _depth_is_open(seen)
    largest = _ROOM / float((known * np.abs([low, high])).max())
    factor = min(max(1.0, _CORNER * float(parameters[:, 3].max())), largest)
    return parameters / [factor, 1, 1, factor]


def _depth_is_open(seen: Outlines) -> bool:
    """Whether all cameras look along one line: no picture shows how deep the object is."""
    return bool((np.abs(seen.frames[:, 2] @ seen.frames[0, 2]) > 0.99).all())


def _is_given(seen: Outlines) -> bool:
    return seen.consistent == CONSISTENT


def _own(parameters: Parameters) -> bool:
    return bool(np.ptp(parameters, axis=0).any() or parameters[:, 1:3].any())


def _found(
    seen: Outlines,
    parameters: Parameters,
    before: NDArray[np.float64],
    after: NDArray[np.float64],
    wrong: Doubt | None = None,
) -> Framings:
    perspective = float(parameters[:, 3].max())
    return Framings(
        of={view: Framing(**_named(row)) for view, row in zip(seen.views, parameters, strict=True)},
        frames=Frames.OWN if _own(parameters) else Frames.SHARED,
        distance=1 / perspective if perspective else None,
        agreement_before=float(before.min()),
        agreement=float(after.min()),
        doubt=wrong,
        given=_is_given(seen),
    )


def _named(row: NDArray[np.float64]) -> dict[str, float]:
    return dict(zip(("scale", "right", "up", "perspective"), map(float, row), strict=True))
