"""How far a piece of work is, told stage by stage as fractions of the whole."""

from collections.abc import Callable, Mapping
from itertools import accumulate

Progress = Callable[[float], None]
"""Hears fractions from 0 to 1."""


def unheard(_fraction: float) -> None:
    """For callers who don't ask how far the work is."""


class Stages:
    """The stages of a piece of work, in their order; each has the share of the whole that it is expected to take.

    What is told never goes back, and ends with 1 once the last stage has told 1.
    """

    def __init__(self, tell: Progress, expected_s: Mapping[str, float]) -> None:
        """``expected_s``: how long each stage takes, as far as that can be known; any unit, at least one above 0."""
        self._tell = tell
        self._told = 0.0
        whole = sum(expected_s.values())
        ends = [end / whole for end in accumulate(expected_s.values())]
        self._spans = dict(zip(expected_s, zip([0.0, *ends], [*ends[:-1], 1.0], strict=False), strict=True))

    def within(self, stage: str) -> Progress:
        """The progress of one stage by itself: 0 to 1."""
        begin, end = self._spans[stage]

        def tell(fraction: float) -> None:
            whole = end if fraction >= 1 else begin + (end - begin) * fraction
            if whole > self._told:
                self._told = whole
                self._tell(whole)

        return tell
