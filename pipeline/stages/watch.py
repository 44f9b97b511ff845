"""Watch: one watcher for all jobs in flight; the change feed first, single look-ups for those it does not mention."""

import math
from collections import deque
from collections.abc import Callable, Iterable
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

LOOK_UP_S = 60.0
"""How long a single look-up may take, its repetitions included: all others wait for it."""

DURATIONS_MAX = 200
"""Of so many jobs it is remembered how long they took."""

_LOOKED_UP_FIRST = (
    "run again later: it is looked up, not submitted anew. Where it is gone for good, `mvmesh retry --anew NAME` has "
    "it made again, at its price"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How often the service is asked. The interval is a share of the time that the youngest job has been waited for."""

    share: float = 0.1
    shortest_interval_s: float = 0.5
    longest_interval_s: float = 5.0
    silence_s: float = 30.0
    """A job that the feed has not mentioned for so long is looked up by itself."""
    longest_s: float = 4 * 3600.0
    """A job that is not final by then is stuck: it is given up (it stays at the service, and in the ledger)."""
    patience: float = 5.0
    samples: int = 3
    least_s: float = 15 * 60.0
    """Once ``samples`` others have ended, a job is stuck when it takes ``patience`` times as long as the longest of
    them, but not before ``least_s``.
    """
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
    is_stuck: bool = False
    succeeded_at: float | None = None


class Watcher:
    """Tells of every job in flight when it is final. ``run`` does the asking; any number of tasks ``wait``."""

    def __init__(
        self, scenario: Scenario, *, now: Now, pace: Pace | None = None, durations_s: Iterable[float] = ()
    ) -> None:
        """``durations_s``: how long earlier jobs took."""
        self._durations_s = deque(durations_s, maxlen=DURATIONS_MAX)
        self._scenario = scenario
        self._now = now
        self._pace = pace or Pace()
        self._watched: dict[str, _Watched] = {}
        self._arrived = anyio.Event()
        self._seen_until: datetime | None = None
        self._ahead: timedelta | None = None
        """How far the service's clock is ahead of ours, once it has told."""

    async def wait(self, job_id: str, *, tell: Callable[[Job], None]) -> Job:
        """The job once it is final, a success once it tells what it made; ``tell`` hears of every change.

        Raises:
            StageTimedOut: stuck, see ``Pace``, or the service does not know it (now). It may still end well: look again
                later.
        """
        at = anyio.current_time()
        watched = self._watched[job_id] = _Watched(since=at, due=at + self._pace.silence_s, tell=tell)
        self._arrived.set()
        try:
            await watched.ended.wait()
        finally:
            self._watched.pop(job_id, None)
        if watched.is_stuck:
            raise StageTimedOut(
                f"job {job_id} is not final after {self._deadline_s() / 60:.0f} min", mend=_LOOKED_UP_FIRST
            )
        if watched.misses or watched.job is None:
            raise StageTimedOut(f"the service does not know job {job_id}", mend=_LOOKED_UP_FIRST)
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
        return min(max(waited * self._pace.share, self._pace.shortest_interval_s), self._pace.longest_interval_s)

    def _deadline_s(self) -> float:
        """How long a job may take, learned from the others."""
        if len(self._durations_s) < self._pace.samples:
            return self._pace.longest_s
        return min(max(max(self._durations_s) * self._pace.patience, self._pace.least_s), self._pace.longest_s)

    def _is_overdue(self, watched: _Watched) -> bool:
        """By how long it was waited for in this run, or by its age on the service's clock: earlier runs waited, too."""
        waited_s, job = anyio.current_time() - watched.since, watched.job
        if job is not None and job.created_at is not None and self._ahead is not None:
            waited_s = max(waited_s, (self._now() + self._ahead - job.created_at).total_seconds())
        return waited_s >= self._deadline_s()

    async def _read_feed(self) -> None:
        since = (self._seen_until or self._now() + (self._ahead or timedelta()) - timedelta(hours=1)) - _LAG
        page = None
        for _ in range(_PAGES):
            try:
                listed = await self._scenario.jobs(updated_after=since, page=page)
            except RequestRefused:  # a service without this feed: its jobs are looked up singly
                return
            if listed.told_at is not None:
                self._ahead = listed.told_at - self._now()
            for job in listed.jobs:
                self._hear(job)
                if job.updated_at and (self._seen_until is None or job.updated_at > self._seen_until):
                    self._seen_until = job.updated_at
            page = listed.next_page
            if page is None:
                return

    async def _look_up_a_silent_one(self) -> None:
        """One look-up a round at most: never a storm, however many jobs are silent. A job that is overdue is given up
        only when a look-up says that it is still not final.
        """
        waiting = [(self._due_at(one), job_id) for job_id, one in self._watched.items() if not one.ended.is_set()]
        due, job_id = min(waiting, default=(math.inf, ""))
        if anyio.current_time() < due:
            return
        try:
            with anyio.move_on_after(LOOK_UP_S) as looking:
                self._hear(await self._scenario.job(job_id))
        except RequestRefused:
            self._miss(job_id)
            return
        if looking.cancelled_caught and job_id in self._watched:
            self._watched[job_id].due = anyio.current_time() + self._pace.silence_s
        watched = self._watched.get(job_id)
        if watched is not None and not watched.ended.is_set() and self._is_overdue(watched):
            watched.is_stuck = True
            watched.ended.set()

    def _due_at(self, watched: _Watched) -> float:
        return anyio.current_time() if self._is_overdue(watched) else watched.due

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
            watched.due = now + self._pace.longest_interval_s
            if now - watched.succeeded_at < self._pace.listing_s:
                return
        if job.status.is_final:
            self._learn(watched, job)
            watched.ended.set()

    def _learn(self, watched: _Watched, job: Job) -> None:
        if job.status is not JobStatus.SUCCESS:
            return
        if job.created_at is not None and job.updated_at is not None:
            self._durations_s.append((job.updated_at - job.created_at).total_seconds())
        else:
            self._durations_s.append(anyio.current_time() - watched.since)

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
