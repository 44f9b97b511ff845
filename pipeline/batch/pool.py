"""The worker pool's limits: how many jobs may be in flight and how many items at work, until when submissions begin,
and how a run is stopped.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import anyio
from anyio import CancelScope, CapacityLimiter

from pipeline.ports.gate import full_jitter_s

ANSWER_WITHIN_S = 180.0
"""How long a submission may take; then its answer counts as lost."""

LAST_WORDS_S = 4.0
"""How long a submission that is on its way may still wait for its answer once the run is told to stop."""

FIRST_HOLD_S = 60.0
LONGEST_HOLD_S = 600.0
"""How long the pool stays as small as a refusal made it before it grows by one slot; doubled by a refusal that follows
a growth, halved by a growth that none followed.
"""

FIRST_PAUSE_S = 5.0
LONGEST_PAUSE_S = 60.0
"""Between tries while the ceiling is taken up by jobs that are not ours."""

PROBES = 3
"""Slots beyond the jobs in flight while the ceiling is not known: so many refusals, at most, teach it."""

GROWS_TO = 256
"""Jobs in flight where no refusal has come until then."""

SHUT_AFTER_S = 3600.0
"""How long a ceiling may leave no room for us at all; then the rest is for a later run."""


class Pool:
    """Slots for jobs in flight and for downloads.

    A refusal for the team's ceiling (which others of the team may fill, too) makes the pool as small as what is in
    flight; it grows again one slot at a time. Never above what it was made with, nor above the ceiling told. Where
    nobody has told a ceiling, it grows with each job accepted, a few slots ahead, until the first refusal.
    """

    def __init__(
        self,
        *,
        in_flight: int,
        downloads: int,
        uploads: int = 1,
        grows: bool = False,
        until: float | None,
        stop: anyio.Event,
        in_window: Callable[[], bool] = lambda: True,
        fail_fast: bool = False,
    ) -> None:
        """Submissions begin before ``until`` (monotonic time; None: at any time), while ``in_window``, and with
        ``fail_fast`` as long as nothing has failed. With ``grows``, ``in_flight`` is a guess to begin with.
        """
        self.slots = CapacityLimiter(in_flight)
        self.downloads = CapacityLimiter(downloads)
        self.preparing = CapacityLimiter(2 * uploads)
        """Items whose pictures are uploaded: those begun first are ready first. While some wait for a commit, others
        upload.
        """
        self._besides = uploads + downloads
        self._is_probing = grows
        self._most = max(in_flight, GROWS_TO) if grows else in_flight
        self.workers = CapacityLimiter(self._workers_for(in_flight))
        """Items at work at one time: for each that is in flight another one is ready to follow, or on its way from its
        slot to the disk.
        """
        self._until = until
        self._in_window = in_window
        self._fail_fast = fail_fast
        self._stop = stop
        self._is_closed = False
        self._in_flight = 0
        self._submissions: set[CancelScope] = set()
        self._hold_s = FIRST_HOLD_S
        self._grows_at = 0.0
        self._has_grown = False
        self._tries_at = 0.0
        self._refusals = 0
        self._refused_since: float | None = None

    @property
    def is_stopping(self) -> bool:
        return self._stop.is_set()

    @property
    def is_closed(self) -> bool:
        """Whether nothing new is submitted any more: the run is being stopped, or one failure was enough."""
        return self._is_closed or self.is_stopping

    def failed(self) -> bool:
        """Something cannot be made. True: from now on nothing new is submitted, and what is paid is finished."""
        closes = self._fail_fast and not self.is_closed
        self._is_closed = self._is_closed or closes
        return closes

    @property
    def is_out_of_time(self) -> bool:
        """Whether this is no time for submissions: what is in flight is finished, what is not is deferred."""
        is_over = self._until is not None and anyio.current_time() >= self._until
        return is_over or not self._in_window()

    @property
    def is_shut(self) -> bool:
        """Whether the ceiling has left no room for so long that nothing more is tried in this run."""
        since = self._refused_since
        return since is not None and anyio.current_time() - since >= SHUT_AFTER_S

    async def turn(self) -> None:
        """Wait, with a slot in hand, until a submission may be tried: the pause after a refusal is everybody's."""
        await anyio.sleep_until(self._tries_at)

    @contextmanager
    def job(self) -> Iterator[None]:
        """A job of ours is in flight within the block: there is room for as many as there are."""
        self._in_flight += 1
        wanted = self._in_flight + (PROBES if self._is_probing else 0)
        self._resize(max(self.slots.total_tokens, min(wanted, self._most)))
        try:
            yield
        finally:
            self._in_flight -= 1

    def accepted(self) -> None:
        """The service took a submission: the pool may grow when it has been small for long enough."""
        self._refusals, self._refused_since = 0, None
        now = anyio.current_time()
        if self.slots.total_tokens < self._most and now >= self._grows_at:
            self._resize(self.slots.total_tokens + 1)
            if self._has_grown:
                self._hold_s = max(self._hold_s / 2, FIRST_HOLD_S)
            self._has_grown, self._grows_at = True, now + self._hold_s

    def refused(self, ceiling: int, wish_s: float | None) -> bool:
        """The service named the team's ceiling. The caller gives its slot back and comes again. True: the pool shrank.

        Args:
            ceiling: as the service named it.
            wish_s: the pause that it asks for; None: no wish.
        """
        now = anyio.current_time()
        before, self._is_probing = self.slots.total_tokens, False
        self._most = max(1, min(self._most, ceiling))
        self._resize(max(1, min(before, self._most, self._in_flight)))
        if self._has_grown:
            self._hold_s = min(self._hold_s * 2, LONGEST_HOLD_S)
        self._has_grown, self._grows_at = False, now + self._hold_s
        self._refusals += 1
        self._refused_since = None if self._in_flight else self._refused_since or now
        self._tries_at = max(self._tries_at, now + self._pause_s(wish_s))
        return self.slots.total_tokens < before

    def _resize(self, slots: float) -> None:
        self.slots.total_tokens = slots
        self.workers.total_tokens = max(self.workers.total_tokens, self._workers_for(slots))

    def _workers_for(self, slots: float) -> float:
        return 2 * slots + self._besides

    def _pause_s(self, wish_s: float | None) -> float:
        """None of our own is needed while jobs of ours are in flight: the end of one is what a slot waits for."""
        own_s = 0.0
        if not self._in_flight:
            own_s = FIRST_PAUSE_S
            own_s += full_jitter_s(self._refusals - 1, first_s=FIRST_PAUSE_S, longest_s=LONGEST_PAUSE_S)
        return max(own_s, min(wish_s or 0.0, LONGEST_PAUSE_S))

    @contextmanager
    def submission(self) -> Iterator[CancelScope]:
        """A submission is not cut off in the middle: it ends by itself, in time, or soon after the run is told to
        stop.
        """
        with CancelScope(shield=True, deadline=anyio.current_time() + ANSWER_WITHIN_S) as scope:
            self._submissions.add(scope)
            if self.is_stopping:
                scope.deadline = anyio.current_time() + LAST_WORDS_S
            try:
                yield scope
            finally:
                self._submissions.discard(scope)

    async def stop_when_told(self, scope: CancelScope) -> None:
        """Waits for the word, then cancels ``scope``. Submissions on their way get their last words, also when it is an
        error that ends the run and, with it, this wait.
        """
        try:
            await self._stop.wait()
        finally:
            for submission in self._submissions:
                submission.deadline = anyio.current_time() + LAST_WORDS_S
        scope.cancel()
