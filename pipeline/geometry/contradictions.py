"""Which views contradict the others."""

from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from pipeline.domain.views import View
from pipeline.geometry.coherence import Outlines, Parameters, agree, agreements, shared
from pipeline.geometry.visual_hull import Hull, coarse_values

MEND = "check that they show the same object, each under its own name, in the same frame and scale"
MEND_LENS = ", and that they are orthographic, or taken from afar with a long lens"
"""What else to look at where nothing explains why silhouettes don't agree: a wide lens may be too wide to be solved."""
MEND_CUT_OUT = ", and make their backgrounds transparent: the object may be cut out badly"
"""What else to do where silhouettes were found before a background."""
_LARGER = "show it larger, or in more pixels"
_DEEP_PX = 1.0
"""What nowhere reaches so deep into its outline may fall between the points at which the solid is looked at."""


class Fault(StrEnum):
    """What speaks against views."""

    ODD = "odd"
    """The others agree without it. Of several views named: without any one of them."""
    MIRRORED = "mirrored"
    """All agree when it is mirrored. Of several views named: when any one of them is."""
    TURNED = "turned"
    """All agree when it is turned by a right angle, or by two. Of several views named: when any one of them is."""
    SWAPPED = "swapped"
    """All agree when the two change their names."""
    UNLIKE = "unlike"
    """They disagree most of all, and nothing tells which of them is wrong."""


_FAULTS = {
    Fault.ODD: " contradicts the others, which agree without it",
    Fault.MIRRORED: " seems to be mirrored, or to show the opposite side",
    Fault.TURNED: " seems to be turned by a right angle or two, or to show something else",
}
_MENDS = {Fault.MIRRORED: "replace it by the view that it is named after", Fault.TURNED: "turn it back, or replace it"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """Views that contradict the others, however they are framed."""

    views: tuple[View, ...]
    fault: Fault
    exchanged: tuple[View, ...] = ()
    """Beside those: two that explain as much when they change their names."""


def odd_views(seen: Outlines, parameters: Parameters) -> tuple[View, ...]:
    """The views without which all others agree under these parameters: each of them alone may be the wrong one.

    Two views may speak against a third one, but only where neither of them is odd itself.
    """
    if len(seen.views) < 3:
        return ()
    rest = {view: (seen.without(view), np.delete(parameters, at, axis=0)) for at, view in enumerate(seen.views)}
    odd = tuple(view for view, others in rest.items() if agree(*others))
    return odd if len(seen.views) > 3 or len(odd) == 1 else ()


def doubt(seen: Outlines, odd: tuple[View, ...]) -> Doubt:
    """What is wrong with views found by ``odd_views`` in pictures that share a frame."""
    swapped = swapped_views(seen)
    exchanged = swapped.views if swapped else ()
    mirrored = tuple(view for view in odd if agree(seen.mirrored(view), shared(seen), (view,)))
    turned = tuple(view for view in odd if _is_turned(seen, view))
    if bool(mirrored) == bool(turned):
        return Doubt(views=odd, fault=Fault.ODD, exchanged=exchanged)
    fault = Fault.MIRRORED if mirrored else Fault.TURNED
    return Doubt(views=mirrored or turned, fault=fault, exchanged=exchanged)


def _is_turned(seen: Outlines, view: View) -> bool:
    return any(agree(seen.turned(view, quarters), shared(seen), (view,)) for quarters in (1, 2, 3))


def swapped_views(seen: Outlines) -> Doubt | None:
    """Two views that agree with all others of a shared frame when they change their names."""
    pairs = combinations(seen.views, 2)
    found = [pair for pair in pairs if agree(seen.exchanged(*pair), shared(seen), pair)]
    return Doubt(views=found[0], fault=Fault.SWAPPED, exchanged=found[1] if found[1:] else ()) if found else None


def unlike_views(seen: Outlines, parameters: Parameters) -> Doubt:
    """The two views that, without the others, disagree most under these parameters; all where every two agree."""
    worst, views = seen.consistent, seen.views
    for pair in combinations(range(len(seen.views)), 2):
        agreement = float(agreements(seen.only(pair), parameters[list(pair)]).min())
        if agreement < worst:
            worst, views = agreement, tuple(seen.views[at] for at in pair)
    return Doubt(views=views, fault=Fault.UNLIKE)


def complaint(wrong: Doubt, agreement: float) -> tuple[str, str]:
    """What is wrong, and the mend; no full stops. ``agreement`` is that of the silhouettes as they are."""
    names = [str(view) for view in wrong.views]
    now = f"the silhouettes agree to {agreement:.3f} only"
    if wrong.fault is Fault.SWAPPED:
        both = ", or the ".join(" and ".join(pair) for pair in (wrong.views, wrong.exchanged) if pair)
        return f"The {both} views seem to have each other's names: {now}, else fully", "exchange the two"
    if wrong.fault is Fault.UNLIKE:
        *most, last = names
        return f"The {', '.join(most)} and {last} views don't show one object in one frame: {now}", MEND + MEND_LENS
    what = f"The {names[0]} view" if len(names) == 1 else f"One of the views {', '.join(names)}"
    what += _FAULTS[wrong.fault]
    mend = _MENDS.get(wrong.fault, MEND)
    if wrong.exchanged:
        what += f", or the {' and '.join(wrong.exchanged)} views have each other's names"
    return f"{what}: {now}{'' if wrong.fault is Fault.ODD else ', else fully'}", mend


def contradiction(hull: Hull) -> tuple[str, str]:
    """For the person: the views that contradict one another, as few as can be blamed; and the mend. No full stops."""
    views = hull.projections.views
    deep_px = -hull.distances.min(axis=(1, 2)) / hull.projections.cameras.pixels
    thinnest = int(deep_px.argmin())
    if len(views) == 1 or deep_px[thinnest] < _DEEP_PX:
        return f"{views[thinnest]} view: the object is too thin or too small to have a volume", _LARGER
    alone = {view: coarse_values(_only(hull, at)) for at, view in enumerate(views)}
    for pair in combinations(alone, 2):
        if not _common([alone[view] for view in pair]):
            return f"{pair[0]} and {pair[1]} views contradict each other: nothing fits both silhouettes", MEND
    for odd in alone:
        if _common([values for view, values in alone.items() if view is not odd]):
            return f"{odd} view contradicts the other views: nothing fits all silhouettes", MEND
    return f"{', '.join(views)} views contradict one another: nothing fits all silhouettes", MEND


def _only(hull: Hull, at: int) -> Hull:
    return replace(hull, projections=hull.projections.only(at), distances=hull.distances[at : at + 1])


def _common(values: list[NDArray[np.float32]]) -> bool:
    return bool((np.maximum.reduce(values) < 0).any())
