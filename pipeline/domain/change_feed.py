"""Where the next look into a service's change feed begins. Two clocks are told apart: the service's and ours."""

from datetime import datetime, timedelta

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

_JOBS_KEPT = 2000
"""Final jobs of whom nobody has asked yet that are remembered."""


class ChangeFeed:
    """What has been read of the feed so far."""

    def __init__(self) -> None:
        self.ahead: timedelta | None = None
        """How far the service's clock is ahead of ours, once it has told."""
        self.told_at: datetime | None = None
        """When the last look began, by the service's clock."""
        self._seen_until: datetime | None = None
        self._late = timedelta()
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

    def look_ended(self, began: datetime, *, knew_ahead: bool) -> None:
        """All pages of a look that began then, by our clock, have been read; ``knew_ahead``: it began knowing how far
        the service's clock is ahead.
        """
        self._late *= _FORGETS
        self.told_at = None if self.ahead is None else began + self.ahead
        ahead = abs(self.ahead or timedelta())
        if self._wanted is not None and (knew_ahead or ahead < DEEP):
            self._read_from = min(self._wanted, self._read_from or self._wanted)
            self._wanted, self._is_behind = None, False

    def is_late(self, job: Job) -> bool:
        """Whether the last look should have shown this change."""
        if job.updated_at is None or self.told_at is None:
            return False
        return job.updated_at < self.told_at - _SHALLOW

    def is_kept_back(self, job: Job) -> bool:
        """Whether the last look should have shown this change, even by a feed that is as late as this one."""
        if job.updated_at is None or self.told_at is None:
            return True
        return job.updated_at < self.told_at - _SHALLOW - min(2 * self._late, _TOLERATED)

    def shown_late(self, job: Job) -> None:
        """The last look could have shown this change and did not."""
        assert job.updated_at is not None  # it is late
        assert self.told_at is not None
        self._late = max(self._late, self.told_at - job.updated_at)

    def keep(self, job: Job) -> None:
        """A final job of whom nobody has asked yet: one of ours, perhaps, that will be waited for in a moment."""
        self._unclaimed.pop(job.job_id, None)
        self._unclaimed[job.job_id] = job
        if len(self._unclaimed) > _JOBS_KEPT:
            del self._unclaimed[next(iter(self._unclaimed))]

    def claim(self, job_id: str) -> Job | None:
        return self._unclaimed.pop(job_id, None)


def reaches(page: JobPage, moment: datetime) -> bool:
    """Whether the page, of a list with the newest change first, has come to changes before the moment."""
    return any(one.updated_at is not None and one.updated_at < moment for one in page.jobs)
