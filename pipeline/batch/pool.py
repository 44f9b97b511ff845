"""The worker pool's limits: how many jobs may be in flight, until when submissions begin, and how a run is stopped."""

from collections.abc import Iterator
from contextlib import contextmanager

import anyio
from anyio import CancelScope, CapacityLimiter

LAST_WORDS_S = 4.0
"""How long a submission that is on its way may still wait for its answer once the run is told to stop."""


class Pool:
    """Slots for jobs in flight and for downloads. The ceiling of jobs falls when the service says so, not below one."""

    def __init__(self, *, in_flight: int, downloads: int, until: float | None, stop: anyio.Event) -> None:
        self.slots = CapacityLimiter(in_flight)
        self.downloads = CapacityLimiter(downloads)
        self._until = until
        self._stop = stop
        self._submissions: set[CancelScope] = set()

    @property
    def is_stopping(self) -> bool:
        return self._stop.is_set()

    @property
    def is_out_of_time(self) -> bool:
        """Whether the run's window is over: what is in flight is finished, nothing new is submitted."""
        return self._until is not None and anyio.current_time() >= self._until

    def lower(self, ceiling: int) -> bool:
        """Hold no more than ``ceiling`` slots from now on; True when that is a change."""
        if ceiling >= self.slots.total_tokens:
            return False
        self.slots.total_tokens = max(1, ceiling)
        return True

    @contextmanager
    def submission(self) -> Iterator[CancelScope]:
        """A submission is not cut off in the middle: it ends by itself, or soon after the run is told to stop."""
        with CancelScope(shield=True) as scope:
            self._submissions.add(scope)
            if self.is_stopping:
                scope.deadline = anyio.current_time() + LAST_WORDS_S
            try:
                yield scope
            finally:
                self._submissions.discard(scope)

    async def stop_when_told(self, scope: CancelScope) -> None:
        """Waits for the word, then cancels ``scope``; submissions on their way get their last words."""
        await self._stop.wait()
        for submission in self._submissions:
            submission.deadline = anyio.current_time() + LAST_WORDS_S
        scope.cancel()
