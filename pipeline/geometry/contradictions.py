"""Which views leave nothing of the hull."""

from dataclasses import replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from pipeline.geometry.visual_hull import Hull, coarse_values

_MEND = "check that they show the same object, each under its own name, in the same frame and scale"


def contradiction(hull: Hull) -> str:
    """A sentence for the person: the views that contradict one another, as few as can be blamed."""
    views = hull.projections.views
    if len(views) == 1:
        return f"{views[0]} view: the object is too thin or too small to have a volume; show it larger"
    alone = {view: coarse_values(_only(hull, at)) for at, view in enumerate(views)}
    for pair in combinations(alone, 2):
        if not _common([alone[view] for view in pair]):
            return f"{pair[0]} and {pair[1]} views contradict each other: nothing fits both silhouettes; {_MEND}"
    for odd in alone:
        if _common([values for view, values in alone.items() if view is not odd]):
            return f"{odd} view contradicts the other views: nothing fits all silhouettes; {_MEND}"
    return f"{', '.join(views)} views contradict one another: nothing fits all silhouettes; {_MEND}"


def _only(hull: Hull, at: int) -> Hull:
    return replace(hull, projections=hull.projections.only(at), distances=hull.distances[at : at + 1])


def _common(values: list[NDArray[np.float32]]) -> bool:
    return bool((np.maximum.reduce(values) < 0).any())
