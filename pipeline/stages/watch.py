"""Watch: one watcher for all jobs in flight; the change feed first, single look-ups for those it does not mention."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import anyio

from pipeline.domain.errors import RequestRefused, StageTimedOut
from pipeline.domain.jobs import Job, JobStatus
from pipeline.ports.interfaces import Now, Scenario

_LAG = timedelta(seconds=30)
"""How far back each look into the feed reaches: a list may show a change late."""

_PAGES = 20
"""Feed pages read in one look, at most; what they do not show is looked up singly."""

_LOOKED_UP_FIRST = "run again later: it is looked up first, not submitted anew"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How often the service is asked. The interval is a share of the time that the youngest job has been waited for."""

    share: float = 0.1
    least_s: float = 0.5
    most_s: float = 5.0
    silence_s: float = 30.0
    """A job that the feed has not mentioned for so long is looked up by itself."""
    deadline_s: float = 4 * 3600.0
    """A job that is not final by then is given up (it stays at the service, and in the ledger)."""
    listing_s: float = 300.0
    """How long a job may be a success without telling what it made."""
    misses: int = 5
    """A job is gone when so many look-ups in a row, ``silence_s`` apart, did not find it: one may be a hiccup."""


@dataclass(slots=True, kw_only=True)
class _Watched:
    since: float
    due: float
    """When it is looked up by itself, unless it is heard of before."""
    tell: Callable[[Job], None]
    ended: anyio.Event = field(default_factory=anyio.Event)
    job: Job | None = None
    misses: int = 0
    succeeded_at: float | None = None


class Watcher:
    """Tells of every job in flight when it is final. ``run`` does the asking; any number of tasks ``wait``."""

    def __init__(self, scenario: Scenario, *, now: Now, pace: Pace | None = None) -> None:
        self._scenario = scenario
        self._now = now
        self._pace = pace or Pace()
        self._watched: dict[str, _Watched] = {}
        self._arrived = anyio.Event()
        self._seen_until: datetime | None = None

    async def wait(self, job_id: str, *, tell: Callable[[Job], None]) -> Job:
        """The job once it is final, a success once it tells what it made; ``tell`` hears of every change.

        Raises:
            StageTimedOut: not final within the deadline. The job may still end well: look again later.
            RequestRefused: the service no longer knows the job.
        """
        at = anyio.current_time()
        watched = self._watched[job_id] = _Watched(since=at, due=at + self._pace.silence_s, tell=tell)
        self._arrived.set()
        try:
            with anyio.fail_after(self._pace.deadline_s):
                await watched.ended.wait()
        except TimeoutError as error:
            raise StageTimedOut(
                f"job {job_id} is not final after {self._pace.deadline_s / 3600:g} h", mend=_LOOKED_UP_FIRST
            ) from error
        finally:
            del self._watched[job_id]
        if watched.misses or watched.job is None:
            raise RequestRefused(f"the service no longer knows job {job_id}", mend="run again: it is submitted anew")
        if _made_nothing_yet(watched.job):
            raise StageTimedOut(f"job {job_id} ended well, but tells nothing that it made", mend=_LOOKED_UP_FIRST)
        return watched.job

    async def run(self) -> None:
        """Ask for ever; cancel the scope to end it."""
        while True:
            if not self._watched:
                self._arrived = anyio.Event()
                await self._arrived.wait()
            await anyio.sleep(self._interval())
            await self._read_feed()
            await self._look_up_a_silent_one()

    def _interval(self) -> float:
        youngest = max((one.since for one in self._watched.values()), default=0.0)
        waited = anyio.current_time() - youngest
        return min(max(waited * self._pace.share, self._pace.least_s), self._pace.most_s)

    async def _read_feed(self) -> None:
        since = (self._seen_until or self._now() - timedelta(hours=1)) - _LAG
        page = None
        for _ in range(_PAGES):
            try:
                listed = await self._scenario.jobs(updated_after=since, page=page)
            except RequestRefused:  # a service without this feed: its jobs are looked up singly
                return
            for job in listed.jobs:
                self._hear(job)
                if job.updated_at and (self._seen_until is None or job.updated_at > self._seen_until):
                    self._seen_until = job.updated_at
            page = listed.next_page
            if page is None:
                return

    async def _look_up_a_silent_one(self) -> None:
        """One look-up a round at most: never a storm, however many jobs are silent."""
        waiting = [(one.due, job_id) for job_id, one in self._watched.items() if not one.ended.is_set()]
        due, job_id = min(waiting, default=(math.inf, ""))
        if anyio.current_time() < due:
            return
        try:
            self._hear(await self._scenario.job(job_id))
        except RequestRefused:
            self._miss(job_id)

    def _hear(self, job: Job) -> None:
        watched = self._watched.get(job.job_id)
        if watched is None or watched.ended.is_set():
            return
        now = anyio.current_time()
        watched.misses, watched.due = 0, now + self._pace.silence_s
        if watched.job != job:
            watched.job = job
            watched.tell(job)
        if _made_nothing_yet(job):
            watched.succeeded_at = watched.succeeded_at or now
            watched.due = now + self._pace.most_s
            if now - watched.succeeded_at < self._pace.listing_s:
                return
        if job.status.is_final:
            watched.ended.set()

    def _miss(self, job_id: str) -> None:
        watched = self._watched.get(job_id)
        if watched is None or watched.ended.is_set():
            return
        watched.misses += 1
        watched.due = anyio.current_time() + self._pace.silence_s
        if watched.misses >= self._pace.misses:
            watched.ended.set()


def _made_nothing_yet(job: Job) -> bool:
    """A success may be told before what it made: a job taken for final now would look as if it made nothing."""
    return job.status is JobStatus.SUCCESS and not job.asset_ids
