"""Watch: one watcher for all jobs in flight; the change feed first, single look-ups for those that it should have told.

When to ask follows from what is known of how long jobs take: nothing is asked while nothing can be ready.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import anyio

from pipeline.domain.change_feed import ChangeFeed, reaches
from pipeline.domain.durations import Durations, InFlight, Outlook, kind_of
from pipeline.domain.errors import RequestRefused, ServiceUnreachable, StageTimedOut
from pipeline.domain.jobs import Job, JobPage, JobStatus
from pipeline.domain.pace import Pace
from pipeline.domain.trust import LEAST_DOUBT, Trust
from pipeline.ports.interfaces import Now, Scenario

LOOK_UP_S = 60.0
"""How long one request may take, its repetitions included: all others wait for it."""

UNREACHABLE_S = 900.0
"""After so long without any answer the service counts as unreachable."""

_LOOKED_UP_FIRST = (
    "run again later: it is looked up, not submitted anew. Where it is gone for good, `mvmesh retry --anew NAME` has "
    "it made again, at its price"
)


@dataclass(slots=True, kw_only=True)
class _Watched:
    kind: str
    joined: float
    since: float
    """When it was submitted, as far as is known: a run that takes it up again waits for it later."""
    begun: float
    """When it was made by the service's word, or else joined: our clock may have been set since it was submitted."""
    told: float
    """When it was last known not to have ended."""
    tell: Callable[[Job], None]
    ended: anyio.Event = field(default_factory=anyio.Event)
    job: Job | None = None
    misses: int = 0
    is_listed: bool = False
    """Whether the feed has mentioned it."""
    is_stuck: bool = False
    succeeded_at: float | None = None

    @property
    def is_running(self) -> bool:
        return self.succeeded_at is None and not self.ended.is_set()


class Watcher:
    """Tells of every job in flight when it is final. ``run`` does the asking; any number of tasks ``wait``."""

    def __init__(
        self, scenario: Scenario, *, now: Now, pace: Pace | None = None, durations: Durations | None = None
    ) -> None:
        """``durations``: what is known from earlier runs; it learns from this one."""
        self._scenario = scenario
        self._now = now
        self._pace = pace or Pace()
        self._durations = durations or Durations()
        self._feed, self._trust = ChangeFeed(), Trust()
        self._watched: dict[str, _Watched] = {}
        self._joined = anyio.Event()
        self._planned_at = math.inf
        self._asked_at = self._looked_at = self._looked_up_at = -math.inf
        self._deep_at = -math.inf
        self._unheard_since: float | None = None

    async def wait(
        self,
        job_id: str,
        *,
        tell: Callable[[Job], None],
        params: Mapping[str, Any] | None = None,
        submitted_at: datetime | None = None,
    ) -> Job:
        """The job once it is final, a success once it tells what it made; ``tell`` hears of every change that shows.

        Args:
            job_id: its name at the service.
            tell: must not fail.
            params: what it is made with: jobs of equal parameters take about as long.
            submitted_at: by our clock; None: just now.

        Raises:
            StageTimedOut: stuck, see ``Pace``, or the service does not know it (now). It may still end well: look again
                later.
        """
        watched = self._join(job_id, tell, kind_of(params or {}), submitted_at or self._now())
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

    def _join(self, job_id: str, tell: Callable[[Job], None], kind: str, submitted_at: datetime) -> _Watched:
        at = anyio.current_time()
        if not self._watched:  # nothing of it can be ready yet
            self._asked_at = max(self._asked_at, at)
        since = at - max((self._now() - submitted_at).total_seconds(), 0.0)
        watched = _Watched(kind=kind, joined=at, since=since, begun=at, told=since, tell=tell)
        self._watched[job_id] = watched
        if known := self._feed.claim(job_id):
            self._hear(known)
            return watched
        self._feed.want(submitted_at, self._now())
        soonest = self._next_request()
        if not self._feed.is_behind:
            soonest = max(soonest, self._earliest(watched))
        if soonest < self._planned_at:
            self._joined.set()
        return watched

    async def run(self) -> None:
        """Ask for ever; cancel the scope to end it."""
        while True:
            job_id = await self._turn()
            if job_id is None:
                await self._look()
            else:
                await self._look_up(job_id)

    def expected_s(self, params: Mapping[str, Any]) -> float:
        """How long a job with these parameters takes, about."""
        return self._durations.expected(kind_of(params)).median_s

    # When to ask, and what.

    async def _turn(self) -> str | None:
        """Wait until something is worth a request: the job to look up; None: the feed."""
        while True:
            self._joined = anyio.Event()
            look_up_at, job_id = self._next_look_up()
            look_at = self._next_look()
            if max(look_at, look_up_at) <= self._next_request():  # both are due: by turns
                is_look_up = self._looked_at > self._looked_up_at
            else:
                is_look_up = look_up_at < look_at
            self._planned_at = max(min(look_at, look_up_at), self._next_request())
            with anyio.move_on_after(self._planned_at - anyio.current_time()):
                await self._joined.wait()
                continue
            return job_id if is_look_up else None

    def _next_request(self) -> float:
        return max(self._asked_at + 1 / self._pace.requests_per_s, anyio.current_time())

    async def _may_ask(self) -> None:
        await anyio.sleep_until(self._next_request())
        self._asked_at = anyio.current_time()

    def _next_look(self) -> float:
        """When the feed is worth a page."""
        now, pace = anyio.current_time(), self._pace
        running = [one for one in self._watched.values() if one.is_running]
        if not self._watched:
            return math.inf
        if self._trust.is_lost(now):
            return max(self._looked_at + pace.deep_every_s, self._trust.again_at)
        if self._feed.is_behind:
            return now
        job_s = min((self._durations.expected(kind).median_s for kind in {one.kind for one in running}), default=0.0)
        earliest = max(self._next_request(), self._looked_at + job_s * pace.shortest_share)
        longest_s = min(max(job_s * pace.longest_share, pace.longest_s[0]), pace.longest_s[1])
        latest = max(self._looked_at, max((one.since for one in running), default=now)) + longest_s
        if not running or latest <= earliest:
            return max(latest, earliest)
        outlook = Outlook(
            [InFlight(self._durations.expected(one.kind), one.since) for one in running],
            looked_at=self._looked_at,
            weight=pace.blank_weight if self._durations.is_blank else len(running),
        )
        return outlook.when(pace.ended, earliest=earliest, latest=latest)

    def _earliest(self, watched: _Watched) -> float:
        """When it may be the first to have ended of all that are waited for."""
        expected = self._durations.expected(watched.kind)
        return watched.since + expected.age_s(0.0, self._pace.ended / self._pace.blank_weight)

    def _next_look_up(self) -> tuple[float, str]:
        """The job that is the first to be looked up by itself, and when; one at a time, never a storm."""
        paused_until = self._looked_up_at + self._trust.pause_s(anyio.current_time())
        waiting = (
            (*self._due_at(one, paused_until), job_id)
            for job_id, one in self._watched.items()
            if not one.ended.is_set()
        )
        due_at, _, job_id = min(waiting, default=(math.inf, math.inf, ""))
        return due_at, job_id

    def _due_at(self, watched: _Watched, paused_until: float) -> tuple[float, float]:
        """When it may be looked up by itself, unless it is heard of before, and since when it is worth that."""
        if watched.misses:
            return (watched.told + self._pace.missed_s,) * 2
        if watched.succeeded_at is not None:
            return (watched.told + max(watched.told - watched.succeeded_at, 1.0),) * 2
        doubted_at = self._doubted_at(watched)
        return min(max(doubted_at, paused_until), watched.begun + self._deadline_s()), doubted_at

    def _doubted_at(self, watched: _Watched) -> float:
        """When it is likely enough to have ended although the feed has not said so."""
        least, most = LEAST_DOUBT, self._trust.doubt(anyio.current_time())
        if self._durations.is_blank:  # one look-up tells much of all others
            least *= min(len(self._watched) / self._pace.blank_weight, 1.0)
        expected, known_s = self._durations.expected(watched.kind), watched.told - watched.since
        if most <= LEAST_DOUBT:
            return watched.since + expected.age_s(known_s, least)
        listed_at = watched.since + expected.age_s(known_s, most)
        if watched.is_listed:
            return listed_at
        least_s, most_s = self._pace.silence_s
        silent_at = watched.joined + min(max(expected.median_s, least_s), most_s)
        return min(listed_at, max(silent_at, watched.since + expected.age_s(known_s, least)))

    def _deadline_s(self) -> float:
        """How long a job may take, learned from the others."""
        longest_s = self._durations.longest_s(of_at_least=self._pace.samples)
        if longest_s is None:
            return self._pace.stuck_s
        return min(max(longest_s * self._pace.patience, self._pace.least_s), self._pace.stuck_s)

    # What the service says.

    async def _look(self) -> None:
        """Into the feed, for all that has changed since the last look."""
        began_at, began = anyio.current_time(), self._now()
        deep, knew_ahead = began_at >= self._deep_at, self._feed.ahead is not None
        since, page = self._feed.since(began, deep=deep), None
        known_since = None if self._feed.is_behind else self._feed.since(began, deep=False)
        deep_pages = 0
        for _ in range(self._pace.pages):
            await self._may_ask()
            listed = await self._page(since, page)
            if listed is None and page is not None:  # it has lost its place in the list: what is not read is looked up
                break
            if listed is None:
                self._trust.refused(anyio.current_time())
                return
            for job in listed.jobs:
                self._hear_from_feed(job)
            self._feed.page_read(listed, self._now())
            page = listed.next_page
            deep_pages += known_since is not None and reaches(listed, known_since)
            if page is None or deep_pages > self._pace.deep_pages:
                break
        self._feed.look_ended(began, knew_ahead=knew_ahead)
        self._trust.answered()
        self._looked_at = began_at
        if deep:
            self._deep_at = began_at + self._pace.deep_every_s

    async def _page(self, since: datetime, page: str | None) -> JobPage | None:
        """None: the service refuses it, or does not bring itself to an answer."""
        try:
            with anyio.move_on_after(LOOK_UP_S) as asking:
                listed = await self._scenario.jobs(updated_after=since, page=page)
        except RequestRefused:
            listed = None
        self._heard(is_answer=not asking.cancelled_caught)
        return None if asking.cancelled_caught else listed

    def _heard(self, *, is_answer: bool) -> None:
        """Raises ServiceUnreachable once nothing was answered for too long, neither the feed nor a look-up."""
        now = anyio.current_time()
        self._unheard_since = None if is_answer else self._unheard_since or now - LOOK_UP_S
        if self._unheard_since is not None and now - self._unheard_since >= UNREACHABLE_S:
            raise ServiceUnreachable(
                f"the service has not answered for {UNREACHABLE_S / 60:.0f} min, neither its job list nor for one job",
                mend="run again later: what is done stays done",
            )

    async def _look_up(self, job_id: str) -> None:
        """One job by itself. One that is overdue is given up only after a look-up that does not call it final."""
        await self._may_ask()
        asked_at = self._looked_up_at = anyio.current_time()
        watched = self._watched.get(job_id)
        if watched is None:
            return
        try:
            with anyio.move_on_after(LOOK_UP_S) as asking:
                job = await self._scenario.job(job_id)
                if self._was_kept_back(watched, job):
                    self._trust.kept_back()
                elif not job.status.is_final:
                    self._trust.was_right()
                self._hear(job)
        except RequestRefused:
            self._heard(is_answer=True)
            self._miss(watched)
            return
        self._heard(is_answer=not asking.cancelled_caught)
        watched.told = max(watched.told, asked_at)
        if not watched.ended.is_set() and asked_at >= watched.begun + self._deadline_s():
            watched.is_stuck = True
            watched.ended.set()

    def _was_kept_back(self, watched: _Watched, job: Job) -> bool:
        """Whether the feed should have told what this look-up tells."""
        if watched.ended.is_set() or self._looked_at <= watched.joined:
            return False
        return (job.status.is_final or not watched.is_listed) and self._feed.is_kept_back(job)

    def _hear_from_feed(self, job: Job) -> None:
        watched = self._watched.get(job.job_id)
        if watched is None:
            if job.status.is_final and not _made_nothing_yet(job):
                self._feed.keep(replace(job, echo={}))
            return
        if watched.job != job and watched.joined < self._looked_at and self._feed.is_late(job):
            self._feed.shown_late(job)
        watched.is_listed = True
        if job.status.is_final and watched.is_running:
            self._trust.told()
        self._hear(job)

    def _hear(self, job: Job) -> None:
        watched = self._watched.get(job.job_id)
        if watched is None or watched.ended.is_set():
            return
        now = anyio.current_time()
        watched.misses = 0
        if watched.job != job:
            watched.told = now
            watched.job = job
            self._date(watched, job)
            watched.tell(job)
        if _made_nothing_yet(job):
            watched.succeeded_at = watched.succeeded_at or now
            if now - watched.succeeded_at < self._pace.listing_s:
                return
        if job.status.is_final:
            self._learn(watched, job)
            watched.ended.set()

    def _date(self, watched: _Watched, job: Job) -> None:
        """It is as old as the service says: earlier runs waited for it, too."""
        if job.created_at is not None and self._feed.ahead is not None:
            age_s = (self._now() + self._feed.ahead - job.created_at).total_seconds()
            watched.begun = min(watched.begun, anyio.current_time() - age_s)
            watched.since = min(watched.since, watched.begun)

    def _learn(self, watched: _Watched, job: Job) -> None:
        if job.status is JobStatus.SUCCESS:
            took_s = anyio.current_time() - watched.since if job.took_s is None else job.took_s
            self._durations.learn(watched.kind, took_s)

    def _miss(self, watched: _Watched) -> None:
        if watched.ended.is_set():
            return
        watched.misses += 1
        watched.told = anyio.current_time()
        if watched.misses >= self._pace.misses:
            watched.ended.set()


def _made_nothing_yet(job: Job) -> bool:
    """A success may be told before what it made: a job taken for final now would look as if it made nothing."""
    return job.status is JobStatus.SUCCESS and not job.asset_ids
