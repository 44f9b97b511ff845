"""A service with hundreds of jobs in flight, and what a watcher of them costs: in virtual time."""

import heapq
import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Any, Protocol

import anyio
from simulated_ports import virtual_now
from simulation.clock import BEGIN

from pipeline.domain.errors import RequestRefused
from pipeline.domain.jobs import Job, JobPage, JobStatus


def lognormal_s(mean_s: float, count: int, *, seed: int = 1, sigma: float = 0.35) -> list[float]:
    """Durations of jobs: their logarithms are normal, with this deviation."""
    chance = Random(seed)
    centre = math.log(mean_s) - sigma**2 / 2
    return [chance.lognormvariate(centre, sigma) for _ in range(count)]


def ideal_s(durations_s: Iterable[float], slots: int) -> float:
    """The makespan of the list schedule: each job begins the moment that a slot is free."""
    free = [0.0] * slots
    for one in durations_s:
        heapq.heapreplace(free, free[0] + one)
    return max(free)


@dataclass(slots=True, kw_only=True)
class Running:
    """One job there."""

    job_id: str
    began: float
    ends: float
    fails: bool = False
    hidden: bool = False
    """No list shows it."""
    kept_back: bool = False
    """The list shows its beginning alone."""
    late_s: float = 0.0
    """The list shows its end so long after it."""

    def listed(self, at: float, bump_s: float) -> Job:
        return self.seen(min(at, self.began) if self.ends <= at < self.ends + self.late_s else at, bump_s)

    def seen(self, at: float, bump_s: float) -> Job:
        status, updated = JobStatus.IN_PROGRESS, self.began
        if at >= self.ends:
            status, updated = (JobStatus.FAILURE if self.fails else JobStatus.SUCCESS), self.ends
        elif bump_s:
            updated = self.began + (at - self.began) // bump_s * bump_s
        return Job(
            job_id=self.job_id,
            status=status,
            progress=min((updated - self.began) / (self.ends - self.began), 1.0),
            created_at=BEGIN + timedelta(seconds=self.began),
            updated_at=BEGIN + timedelta(seconds=updated),
            asset_ids=(f"mesh_of_{self.job_id}",) if status is JobStatus.SUCCESS else (),
        )


@dataclass(kw_only=True)
class BusyService:
    """Answers as the service's job list does; whatever a test does not say is as in a good one."""

    latency_s: float = 0.05
    page_size: int = 100
    lag_s: float = 0.0
    """Its list shows how all was so long ago."""
    bump_s: float = 0.0
    """How often the progress of a job moves its date; 0: never."""
    hides: Callable[[int], bool] = lambda _: False
    keeps_back: Callable[[int], bool] = lambda _: False
    fails: Callable[[int], bool] = lambda _: False
    late_s: Callable[[int], float] = lambda _: 0.0
    strangers_per_s: float = 0.0
    """So many jobs of other people end (and as many begin)."""
    has_feed: bool = True
    feed_requests: list[float] = field(default_factory=list)
    look_ups: list[float] = field(default_factory=list)
    in_flight: dict[str, Running] = field(default_factory=dict)
    over: list[Running] = field(default_factory=list)
    """In the order of their ends."""
    _made: dict[str, Running] = field(default_factory=dict)
    _ends: list[tuple[float, str]] = field(default_factory=list)

    def submit(self, lasts_s: float) -> str:
        number, at = len(self._made) + 1, anyio.current_time()
        one = Running(
            job_id=f"job_{number}",
            began=at,
            ends=at + lasts_s,
            hidden=self.hides(number),
            kept_back=self.keeps_back(number),
            fails=self.fails(number),
            late_s=self.late_s(number),
        )
        self._made[one.job_id] = self.in_flight[one.job_id] = one
        heapq.heappush(self._ends, (one.ends, one.job_id))
        return one.job_id

    def ended_at(self, job_id: str) -> float:
        return self._made[job_id].ends

    def job_of(self, job_id: str) -> Job:
        """As it looks now."""
        return self._made[job_id].seen(anyio.current_time(), self.bump_s)

    def running(self) -> int:
        self._catch_up(anyio.current_time())
        return len(self.in_flight)

    @property
    def asked(self) -> list[float]:
        """When it was asked for the status of jobs."""
        return sorted(self.feed_requests + self.look_ups)

    @property
    def asked_in_a_second(self) -> int:
        """At most, in any second."""
        asked = self.asked
        return max((bisect_right(asked, at + 0.999) - number for number, at in enumerate(asked)), default=0)

    def _catch_up(self, now: float) -> None:
        while self._ends and self._ends[0][0] <= now:
            self.over.append(self.in_flight.pop(heapq.heappop(self._ends)[1]))

    async def job(self, job_id: str) -> Job:
        self.look_ups.append(anyio.current_time())
        await anyio.sleep(self.latency_s)
        return self.job_of(job_id)

    async def jobs(self, *, updated_after: datetime, page: str | None = None) -> JobPage:
        self.feed_requests.append(anyio.current_time())
        await anyio.sleep(self.latency_s)
        if not self.has_feed:
            raise RequestRefused("400: unknown filter")
        now = anyio.current_time()
        shown_at = now - self.lag_s
        listed = sorted(
            self._listed(shown_at, updated_after), key=lambda job: (job.updated_at, job.job_id), reverse=True
        )
        start = int(page or 0)
        end = start + self.page_size
        return JobPage(
            jobs=tuple(listed[start:end]),
            next_page=str(end) if end < len(listed) else None,
            told_at=virtual_now().replace(microsecond=0),
        )

    def _listed(self, at: float, after: datetime) -> Iterable[Job]:
        self._catch_up(anyio.current_time())
        since = (after - BEGIN).total_seconds()
        first = bisect_right(self.over, since, key=lambda one: one.ends)
        for one in [*self.over[first:], *self.in_flight.values()]:
            if one.hidden or one.began > at or (one.kept_back and one.ends <= at):
                continue
            job = one.listed(at, self.bump_s)
            if job.updated_at > after:
                yield job
        if self.strangers_per_s:
            for number in range(math.ceil(max(since, 0) * self.strangers_per_s), int(at * self.strangers_per_s)):
                moment = BEGIN + timedelta(seconds=number / self.strangers_per_s)
                yield Job(
                    job_id=f"stranger_{number}", status=JobStatus.SUCCESS, updated_at=moment, asset_ids=("another's",)
                )


class Watches(Protocol):
    async def wait(self, job_id: str, *, tell: Callable[[Job], None]) -> Job: ...


@dataclass(frozen=True, kw_only=True)
class Measured:
    makespan_s: float
    ideal_s: float
    lags_s: Sequence[float]
    requests: int

    @property
    def ratio(self) -> float:
        return self.makespan_s / self.ideal_s

    @property
    def mean_lag_s(self) -> float:
        return sum(self.lags_s) / len(self.lags_s)

    @property
    def requests_a_job(self) -> float:
        return self.requests / len(self.lags_s)


async def keep_busy(
    watcher: Any, service: BusyService, durations_s: Sequence[float], *, slots: int, submit_s: float = 0.0
) -> Measured:
    """As many jobs in flight as there are slots, one after the other; each is told by ``watcher.wait``."""
    began, asked, todo, lags = anyio.current_time(), len(service.asked), iter(durations_s), []

    async def one_slot() -> None:
        for lasts_s in todo:
            await anyio.sleep(submit_s)
            job_id = service.submit(lasts_s)
            await watcher.wait(job_id, tell=lambda _: None)
            lags.append(anyio.current_time() - service.ended_at(job_id))

    async with anyio.create_task_group() as tasks:
        for _ in range(slots):
            tasks.start_soon(one_slot)
    return Measured(
        makespan_s=anyio.current_time() - began,
        ideal_s=ideal_s(durations_s, slots),
        lags_s=lags,
        requests=len(service.asked) - asked,
    )
