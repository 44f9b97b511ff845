"""The jobs of the quick service: when they end, and how its list shows them. Times are seconds of the epoch."""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from math import inf, log
from random import Random


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """How the service is to be; times in seconds."""

    mean_s: float = 0.0
    """How long jobs take, lognormal; 0: they end at once. A job's duration depends on its number and the seed alone."""
    sigma: float = 0.0
    seed: int = 1
    all_end_with: int = 0
    """All jobs end when so many are made; 0: each by its own duration."""
    answers_queued: bool = False
    """A job is told as queued in the answer that makes it, even if it has ended at once."""
    ceiling: int = 0
    """Of unfinished jobs; 0: none."""
    tells_ceiling: bool = True
    latency_s: float = 0.0
    """Before every answer."""
    listing_lag_s: float = 0.0
    """What the job list shows is so old."""
    mesh_bytes: int = 0
    """0: as small as a mesh can be."""
    price_cu: float = 0.0

    def duration_s(self, number: int) -> float:
        if not self.mean_s:
            return 0.0
        return Random(f"{self.seed}/{number}").lognormvariate(log(self.mean_s) - self.sigma**2 / 2, self.sigma)


@dataclass(slots=True)
class Job:
    number: int
    inputs: str
    created: float
    ends: float
    told: float = 0.0
    """When a look-up or a page told first that it has ended."""
    fetched: float = 0.0
    """When the last byte of its mesh had left."""
    asked: float = 0.0
    """When its mesh was first asked for."""


class Jobs:
    """All jobs, in the order in which they were made. What has ended is found when somebody asks."""

    def __init__(self, behaviour: Behaviour) -> None:
        self._behaviour = behaviour
        self._due: list[tuple[float, int]] = []
        self._moves: list[tuple[float, int, bool]] = []
        """Every change of a job in the order of time: when, whose, whether it was its end."""
        self.all: list[Job] = []
        self.unfinished = 0

    def make(self, inputs: str, now: float) -> Job:
        """After ``settle``."""
        number, behaviour = len(self.all), self._behaviour
        ends = inf if behaviour.all_end_with else now + behaviour.duration_s(number)
        job = Job(number, inputs, now, ends)
        self.all.append(job)
        self._moves.append((now, number, False))
        self.unfinished += 1
        if ends < inf:
            heapq.heappush(self._due, (ends, number))
        elif len(self.all) == behaviour.all_end_with:
            for one in self.all:
                one.ends = now
            self._due = [(now, at) for at in range(number + 1)]
        return job

    def settle(self, now: float) -> None:
        """Note what has ended until now."""
        while self._due and self._due[0][0] <= now:
            ended, number = heapq.heappop(self._due)
            self._moves.append((ended, number, True))
            self.unfinished -= 1

    def of(self, path: bytes, kind: bytes) -> Job | None:
        """The one whose number ends the path, after ``kind``."""
        number = path.rpartition(kind)[2]
        return self.all[int(number)] if number.isdigit() and int(number) < len(self.all) else None

    def by_update(self, before: int | None, after_ms: int, seen: float) -> Iterator[tuple[int, Job]]:
        """Newest first, each once, at its last change until ``seen``; with the position that a page can go on from."""
        for at in range((len(self._moves) if before is None else before) - 1, -1, -1):
            moved, number, is_end = self._moves[at]
            if int(moved * 1000) <= after_ms:
                return
            job = self.all[number]
            if moved <= seen and (is_end or job.ends > seen):
                yield at, job

    def by_creation(self, before: int | None, after_ms: int, seen: float) -> Iterator[tuple[int, Job]]:
        for at in range((len(self.all) if before is None else before) - 1, -1, -1):
            job = self.all[at]
            if int(job.created * 1000) <= after_ms:
                return
            if job.created <= seen:
                yield at, job
