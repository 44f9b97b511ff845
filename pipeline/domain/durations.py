"""How long jobs take: learned from those that have ended, by their parameters. Pure maths; nothing here has a clock.

Logarithms of durations are taken to be spread around a centre that differs from one choice of parameters to the next.
What is expected of a job is log-logistic: close to log-normal, with a heavier tail (there are always stragglers) and
closed forms for all that is asked here.
"""

import json
import math
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

SAMPLES = 200
"""Of so many jobs of one choice of parameters, the newest, it is remembered how long they took."""

KINDS = 100
"""So many choices of parameters are remembered, those of the newest jobs."""

SAMPLES_OF_ALL = 500
"""Of so many jobs of whatever parameters; what is not known of a choice of parameters is taken from these."""

_SHORTEST_S = 0.05
"""What ends at once: its logarithm has to be a number."""


def kind_of(params: Mapping[str, Any]) -> str:
    """The name of a choice of parameters: equal for equal ones, however they are ordered."""
    return json.dumps(params, sort_keys=True, separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class Expected:
    """When a job may have ended: a log-logistic distribution, named by the odds that it gives."""

    median_s: float
    shape: float

    def odds(self, age_s: float) -> float:
        """Of having ended at this age, to not having ended."""
        return (age_s / self.median_s) ** self.shape if age_s > 0 else 0.0

    def chance(self, told_s: float, age_s: float) -> float:
        """That a job which had not ended at the age ``told_s`` has ended at ``age_s``."""
        odds = self.odds(age_s)
        return max(odds - self.odds(told_s), 0.0) / (1.0 + odds)

    def age_s(self, told_s: float, chance: float) -> float:
        """At which age the chance is reached, for a job that had not ended at the age ``told_s``."""
        odds = (self.odds(told_s) + chance) / (1.0 - chance)
        return float(self.median_s * odds ** (1.0 / self.shape))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Belief:
    """About logarithms of durations in seconds."""

    centre: float
    doubt: float
    """Standard deviation of what the centre may be."""
    spread: float
    """Standard deviation of single jobs around the centre."""

    def after(self, logs: Sequence[float]) -> "_Belief":
        """With these seen (normal model, conjugate for the centre; the spread counts as ``_WEIGHT`` jobs seen)."""
        if not logs:
            return self
        mean = math.fsum(logs) / len(logs)
        squares = math.fsum((one - mean) ** 2 for one in logs)
        variance = max((_WEIGHT * self.spread**2 + squares) / (_WEIGHT + len(logs) - 1), _LEAST_SPREAD**2)
        precision = 1 / self.doubt**2 + len(logs) / variance
        centre = (self.centre / self.doubt**2 + mean * len(logs) / variance) / precision
        return _Belief(centre=centre, doubt=precision**-0.5, spread=variance**0.5)

    def expected(self) -> Expected:
        """Of one more job."""
        deviation = math.hypot(self.doubt, self.spread)
        return Expected(math.exp(self.centre), math.pi / (math.sqrt(3) * deviation))


_WEIGHT = 2.0
_LEAST_SPREAD = 0.08
_UNKNOWN = _Belief(centre=math.log(20.0), doubt=2.5, spread=0.6)
"""Of a service that nobody has seen yet: a tenth of jobs ends within a second, a tenth takes more than seven minutes.
Jobs of equal parameters differ by a factor of 1.8.
"""
_KINDS_DIFFER = 0.5
"""By which factor, as a logarithm, the median of one choice of parameters is off that of all."""


class Durations:
    """What is known of one model at one service."""

    def __init__(self, known: Iterable[tuple[Mapping[str, Any], float]] = ()) -> None:
        """``known``: parameters of earlier jobs, and how many seconds they took, the newest last."""
        self._logs: dict[str, deque[float]] = {}
        self._of_all: deque[float] = deque(maxlen=SAMPLES_OF_ALL)
        self._overall: _Belief | None = None
        self._longest: float | None = None
        self._expected: dict[str, Expected] = {}
        for params, took_s in known:
            self.learn(kind_of(params), took_s)

    @property
    def is_blank(self) -> bool:
        return not self._of_all

    def learn(self, kind: str, took_s: float) -> None:
        """One more job has ended well."""
        log = math.log(max(took_s, _SHORTEST_S))
        logs = self._logs.pop(kind, None) or deque(maxlen=SAMPLES)
        self._logs[kind] = logs  # the newest kind comes last
        logs.append(log)
        if len(self._logs) > KINDS:
            del self._logs[next(iter(self._logs))]
        self._of_all.append(log)
        self._overall, self._longest, self._expected = None, None, {}

    def expected(self, kind: str) -> Expected:
        """What is known of its kind, filled up with what is known of all."""
        known = kind if kind in self._logs else ""
        found = self._expected.get(known)
        if found is None:
            found = self._expected[known] = self._belief(known).expected()
        return found

    def _belief(self, kind: str) -> _Belief:
        overall = self._overall = self._overall or _UNKNOWN.after(self._of_all)
        if not kind:
            return overall
        around = _Belief(centre=overall.centre, doubt=_KINDS_DIFFER, spread=overall.spread)
        return around.after(self._logs[kind])

    def longest_s(self, *, of_at_least: int) -> float | None:
        """The longest of all remembered, once there are so many."""
        if len(self._of_all) < of_at_least:
            return None
        if self._longest is None:
            self._longest = math.exp(max(chain(self._of_all, *self._logs.values())))
        return self._longest


@dataclass(frozen=True, slots=True)
class InFlight:
    """One job that is waited for, as far as its end can be expected."""

    expected: Expected
    since: float
    """When it began, in seconds on the clock that the look is planned on."""


_A_SAMPLE = 64
"""Of more jobs in flight than these, evenly picked ones stand for all."""

_HALVINGS = 12
"""The moment of a look is found to a few thousandths of the time until the latest that it may have."""


class Outlook:
    """When how many of the jobs in flight will have ended."""

    def __init__(self, jobs: Sequence[InFlight], *, looked_at: float, weight: float) -> None:
        """``looked_at``: none of them had ended then. ``weight``: so many jobs they count as."""
        some = jobs[:: len(jobs) // _A_SAMPLE + 1]
        self._jobs = [(one, one.expected.odds(looked_at - one.since)) for one in some]
        self._weight = weight / max(len(some), 1)

    def ended(self, at: float) -> float:
        """How many are expected to have ended since the last look."""
        total = 0.0
        for one, before in self._jobs:
            odds = one.expected.odds(at - one.since)
            total += (odds - before) / (1.0 + odds)
        return total * self._weight

    def when(self, many: float, *, earliest: float, latest: float) -> float:
        """The moment at which so many are expected to have ended, within these bounds."""
        if self.ended(earliest) >= many:
            return earliest
        if self.ended(latest) < many:
            return latest
        for _ in range(_HALVINGS):
            middle = (earliest + latest) / 2
            earliest, latest = (earliest, middle) if self.ended(middle) >= many else (middle, latest)
        return latest
