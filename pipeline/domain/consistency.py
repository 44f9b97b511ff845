"""What the comparison of a set's views told, and what becomes of the set, for `mvmesh check` and for a run alike."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from pipeline.domain.views import View

Policy = Literal["hold", "warn", "skip"]
"""What the manifest says of views that contradict one another."""

FRAMING = "framing"
"""How the pictures frame the object: no fault."""
DISAGREEMENT = "disagreement"
"""Outlines that fit one another badly: perhaps a wrong view, perhaps a background that was cut out badly."""
CONTRADICTION = "contradiction"
"""Outlines that cannot be of one object under these views' names."""
NO_SILHOUETTE = "no-silhouette"
"""No outline is found in a picture: a service that sees more than outlines may do better."""
NOT_COMPARED = "not-compared"
"""The comparison itself failed."""

_LENIENT_FIRST: tuple[Policy, ...] = ("skip", "warn", "hold")


@dataclass(frozen=True, slots=True, kw_only=True)
class Remark:
    """One thing that the silhouettes of a set tell."""

    kind: str
    """One of the words above, or that of a ``PictureRefused``."""
    message: str
    mend: str = ""
    views: tuple[View, ...] = ()
    """Those that it is about; empty: all of them."""


def verdict_on(kind: str, *, policy: Policy, is_local: bool) -> str:
    """The verdict on a remark of this kind: ``hold`` keeps its set from being submitted.

    Args:
        kind: of the remark.
        policy: what the manifest says of the set.
        is_local: whether it is for the local service, which makes nothing of pictures without outlines.
    """
    if kind == FRAMING:
        return "ok"
    if kind == NOT_COMPARED:
        return "warn"
    if kind == CONTRADICTION or (is_local and kind != DISAGREEMENT):
        return "hold"
    return policy


def is_held(kind: str, policy: Policy) -> bool:
    """Whether what a run refused for this reason, at a service that is not the local one, is refused still."""
    return policy != "skip" and verdict_on(kind, policy=policy, is_local=False) == "hold"


def override_of(kind: str, *, is_local: bool) -> str:
    """What else a person may do about a set that is held: its pictures may be right. Empty: nothing."""
    if is_local:
        return ""
    word = "skip" if kind == CONTRADICTION else "warn"
    return (
        f"if they are right as they are, give the set an entry of its own in the manifest, with `consistency: {word}`"
    )


def most_lenient(policies: Iterable[Policy]) -> Policy:
    """Of sets with the same pictures: what a person lets pass for one is let pass for all."""
    return min(policies, key=_LENIENT_FIRST.index)
