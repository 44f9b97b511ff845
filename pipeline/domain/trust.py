"""How far a service's change feed is believed: what single look-ups find decides."""

import math

LEAST_DOUBT, MOST_DOUBT = 0.14, 0.98
"""A job is looked up by itself when the chance is this high that it has ended without being told of: where the feed
cannot be used, and where it was always right.
"""

_TOLD, _KEPT_BACK = 1.15, 0.6
"""What a final job that the feed tells makes of the trust in it, and what one does that it kept back: where one in five
is kept back they are even.
"""

_LEAST_PAUSE_S, _FIRST_PAUSE_S, _MOST_PAUSE_S = 0.5, 5.0, 60.0
_CALMED, _ALARMED = 2.0, 0.5
"""What a look-up that finds the feed right makes of the pause before the next one, and what one does that finds what
the feed kept back.
"""

_AGAIN_S, _AGAIN_MOST_S = 30.0, 600.0
"""After how long a feed that was refused is asked for again: at first, and at most (it doubles)."""


class Trust:
    """In one feed. Moments are seconds on any clock that nobody sets."""

    def __init__(self) -> None:
        self._chance = MOST_DOUBT
        self._pause_s = _FIRST_PAUSE_S
        self._refused_for_s = 0.0
        self.again_at = -math.inf
        """When a feed that was refused is worth a try."""

    def is_lost(self, now: float) -> bool:
        """Whether the feed is not to be had, or keeps back so much that it is read now and then alone."""
        return now < self.again_at or self._chance <= LEAST_DOUBT

    def doubt(self, now: float) -> float:
        """From which chance on that it has ended a job is looked up."""
        return LEAST_DOUBT if self.is_lost(now) else self._chance

    def pause_s(self, now: float) -> float:
        """Between look-ups."""
        return 0.0 if self.is_lost(now) else self._pause_s

    def told(self) -> None:
        """The feed has told of a job's end."""
        self._chance = min(self._chance * _TOLD, MOST_DOUBT)

    def kept_back(self) -> None:
        """A look-up has found what the feed should have told."""
        self._chance = max(self._chance * _KEPT_BACK, LEAST_DOUBT)
        self._pause_s = max(self._pause_s * _ALARMED, _LEAST_PAUSE_S)

    def was_right(self) -> None:
        """A look-up has found nothing that the feed should have told."""
        self._pause_s = min(self._pause_s * _CALMED, _MOST_PAUSE_S)

    def refused(self, now: float) -> None:
        """The service has no such feed, or not now."""
        self._refused_for_s = min(self._refused_for_s * 2, _AGAIN_MOST_S) or _AGAIN_S
        self.again_at = now + self._refused_for_s

    def answered(self) -> None:
        self._refused_for_s = 0.0
