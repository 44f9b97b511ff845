"""Where the next look into a service's change feed begins, and how far down it is read. Two clocks are told apart: the
service's and ours.
"""

from datetime import datetime, timedelta
from itertools import pairwise

from pipeline.domain.jobs import Job, JobPage

DEEP = timedelta(seconds=30)
"""How far back a deep look reaches beyond what was seen last: a list may show a change late."""

_SHALLOW = timedelta(seconds=2)
"""How far back any look reaches: HTTP dates have whole seconds, and a service's machines differ by some of them."""

_TOLERATED = timedelta(seconds=10)
"""A feed that is always late by less than this is waited for; looking up every job by itself would take longer."""

_FRESH = timedelta(seconds=15)
"""A job that was submitted within so long is taken to be of this run: nothing is known to have been missed."""

_FORGETS = 0.995
"""Of the lateness seen last, a look without any leaves so much."""

_UNSORTED = timedelta(seconds=0.25)
"""Two changes of one moment may be listed in either order, and one of them a little later: so far below what was seen
any look reads.
"""

_SORTED = 0.5 ** (1 / 100)
"""Of how far below what was seen something new may come, a change that comes in order leaves so much."""

_JOBS_KEPT = 2000
"""Final jobs of whom nobody has asked yet that are remembered."""


class Reading:
    """One look on its way down the list, newest change first."""

    def __init__(self, since: datetime, *, down_to: datetime | None, beyond: int = 0) -> None:
        """Asked for is all ``since`` then; read are the pages to ``down_to``, and so many ``beyond`` (None: all)."""
        self.since = since
        self._down_to = down_to
        self._beyond = beyond
        self.is_enough = False
        self.is_whole = False
        """Whether all was read that the feed gives."""

    def lost(self) -> None:
        """The feed does not give the next page."""
        self.is_whole = True

    def page_read(self, page: JobPage) -> None:
        """A list that is not in order, or does not date its changes, is read to its end: no page tells what follows."""
        self.is_whole = page.next_page is None
        oldest = _oldest(page)
        self._beyond -= oldest is not None and self._down_to is not None and oldest < self._down_to
        self.is_enough = self.is_whole or self._beyond < 0


def _oldest(page: JobPage) -> datetime | None:
    """The last change of a page; None where those that follow may be newer."""
    dates = [one.updated_at for one in page.jobs if one.updated_at is not None]
    is_sorted = len(dates) == len(page.jobs) and all(older <= newer for newer, older in pairwise(dates))
    return dates[-1] if dates and is_sorted else None


class ChangeFeed:
    """What has been read of the feed so far."""

    def __init__(self) -> None:
        self.ahead: timedelta | None = None
        """How far the service's clock is ahead of ours, once it has told."""
        self.told_at: datetime | None = None
        """When the last look began, by the service's clock."""
        self._seen_until: datetime | None = None
        self._seen_before: datetime | None = None
        """Until when changes were seen by the looks before the one that is on its way."""
        self._sure: tuple[datetime, datetime] | None = None
        """What changed between these moments should have been seen: looks that were read to their end went over it."""
        self._was_whole = False
        self._late, self._unsorted = timedelta(), _SHALLOW
        self._wanted: datetime | None = None
        self._read_from: datetime | None = None
        self._is_behind = False
        self._unclaimed: dict[str, Job] = {}

    @property
    def is_behind(self) -> bool:
        """Whether a job of an earlier run is waited for that may have ended before all that was read."""
        return self._is_behind

    def want(self, submitted_at: datetime, now: datetime) -> None:
        """From ``now`` on a job is waited for that was submitted then; both by our clock."""
        if self._read_from is None or submitted_at < self._read_from:
            self._wanted = min(submitted_at, self._wanted or submitted_at)
            self._is_behind = self._is_behind or now - submitted_at > _FRESH

    def since(self, now: datetime, *, deep: bool) -> datetime:
        """From when on the next look asks for changes, by the service's clock."""
        ahead = self.ahead or timedelta()
        seen_until = self._seen_until or now + ahead
        if deep or self.told_at is None:
            since = seen_until - DEEP
        else:  # where nothing has changed for long, what was seen last is not read again and again
            since = max(seen_until, self.told_at - DEEP - 2 * self._late) - min(_SHALLOW + 2 * self._late, DEEP)
        return since if self._wanted is None else min(since, self._wanted + ahead - DEEP)

    def reading(self, now: datetime, *, deep: bool, beyond: int) -> Reading:
        """A look that begins now. It reads on until it comes to what was seen before; how much of that it reads again
        is learned from what the list has shown out of order.

        Args:
            now: by our clock.
            deep: reach far back.
            beyond: so many pages more; for a deep one below what any look asks for.
        """
        since, self._seen_before = self.since(now, deep=deep), self._seen_until
        if self._seen_until is None or self.told_at is None or self._wanted is not None:
            return Reading(since, down_to=None)
        seen = self.since(now, deep=False) if deep else self._seen_until - max(_UNSORTED, self._unsorted)
        return Reading(since, down_to=seen, beyond=beyond)

    def page_read(self, page: JobPage, now: datetime) -> None:
        """One page, and our clock when it came."""
        if page.told_at is not None:
            self.ahead = page.told_at - now
        for job in page.jobs:
            at = job.updated_at
            if at is None or (page.told_at is not None and at > page.told_at + _SHALLOW):
                continue  # a date in the future would hide all that comes before it
            if self._seen_until is None or at > self._seen_until:
                self._seen_until = at

    def look_ended(self, began: datetime, reading: Reading, *, knew_ahead: bool) -> None:
        """A look that began then, by our clock, has been read; ``knew_ahead``: it began knowing how far the service's
        clock is ahead.
        """
        self._late *= _FORGETS
        self.told_at = None if self.ahead is None else began + self.ahead
        if reading.is_whole and self.told_at is not None:
            start = self._sure[0] if self._sure and self._was_whole else reading.since
            self._sure = start, self.told_at - _SHALLOW
        self._was_whole = reading.is_whole
        ahead = abs(self.ahead or timedelta())
        if self._wanted is not None and (knew_ahead or ahead < DEEP):
            self._read_from = min(self._wanted, self._read_from or self._wanted)
            self._wanted, self._is_behind = None, False

    def shown(self, job: Job) -> None:
        """A job that is waited for shows a change that the last look did not."""
        at = job.updated_at
        if at is None:
            return
        if self._seen_before is not None and at < self._seen_before:
            self._unsorted = max(self._unsorted, min(2 * (self._seen_before - at), _SHALLOW + 2 * self._late))
        else:
            self._unsorted *= _SORTED
        if self.told_at is not None and self._was_due(at, timedelta()):
            self._late = max(self._late, self.told_at - at)

    def looked_up(self, job: Job) -> None:
        """A look-up tells of an end that no look has come to: perhaps it was shown below what they read."""
        if job.updated_at is not None and self._seen_until is not None and job.updated_at < self._seen_until - _SHALLOW:
            self._unsorted = max(self._unsorted, _SHALLOW)

    def is_kept_back(self, job: Job) -> bool:
        """Whether a look should have shown this change, even by a feed that is as late as this one."""
        if job.updated_at is None or self.told_at is None:
            return True
        return self._was_due(job.updated_at, min(2 * self._late, _TOLERATED))

    def _was_due(self, at: datetime, late: timedelta) -> bool:
        """Whether looks went over a change of this moment once it had been there for so long."""
        return self._sure is not None and self._sure[0] <= at < self._sure[1] - late

    def keep(self, job: Job) -> None:
        """A final job of whom nobody has asked yet: one of ours, perhaps, that will be waited for in a moment."""
        self._unclaimed.pop(job.job_id, None)
        self._unclaimed[job.job_id] = job
        if len(self._unclaimed) > _JOBS_KEPT:
            del self._unclaimed[next(iter(self._unclaimed))]

    def claim(self, job_id: str) -> Job | None:
        return self._unclaimed.pop(job_id, None)
