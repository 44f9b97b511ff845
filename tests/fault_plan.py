"""Which faults a test's service has, and what becomes of its jobs: decided by one seed, never by the clock.

A request is known by its kind, by its content (which picture, which inputs; empty for plain reads) and by how many like
it came before. So the third try to upload a picture has the same fate in every night with the same seed, whatever came
in between.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from random import Random
from typing import Any, Self, TypeVar

T = TypeVar("T", bound=StrEnum)


class Kind(StrEnum):
    """What a request asks for."""

    GENERATE = "generate"
    QUOTE = "quote"
    UPLOAD = "upload"
    FEED = "feed"
    """The job list by update."""
    LIST = "list"
    """The job list by creation."""
    JOB = "job"
    ASSETS = "assets"
    FILE = "file"
    OTHER = "other"


class Fault(StrEnum):
    """What befalls one request. *After*: the work was done, the answer is lost."""

    RESET_BEFORE = "reset before"
    RESET_AFTER = "reset after"
    ERROR_BEFORE = "5xx before"
    ERROR_AFTER = "5xx after"
    ERROR_EARLY = "5xx before the work is done all the same"
    """A gateway that loses patience with what stands behind it."""
    CONFLICT_BEFORE = "408 or 409 before"
    CONFLICT_AFTER = "408 or 409 after"
    HANG_BEFORE = "hang before"
    HANG_AFTER = "hang after"
    HTML = "HTML with 200, after"
    CUT_JSON = "cut JSON, after"
    CUT_OFF = "body cut off, after"
    DRIP = "slow drip"
    BUSY = "429 or 503"
    CEILING = "ceiling"
    SHORT = "short pages"
    EXPIRED = "expired URL"
    REDIRECT = "redirect"
    REDIRECT_AWAY = "redirect to another host"
    DAMAGED = "damaged file"
    TRUNCATED = "truncated file"
    MISNAMED = "HTML as a mesh"


class Fate(StrEnum):
    """What becomes of one job, as clients are told."""

    FINE = "fine"
    FAILS = "fails"
    FAILS_KEPT = "fails, not refunded"
    STICKS = "sticks for a while"
    LATE_IDS = "success before it tells its assets"
    LATE_ASSETS = "success before its assets are listed"
    UNLISTED = "never listed"


UNLUCKY = (Fate.FAILS, Fate.STICKS, Fate.LATE_IDS, Fate.LATE_ASSETS)
"""Fates after which an item can still be delivered, and is to be paid once."""

FAILURES_MAX = 2

ANY_API: tuple[Fault, ...] = (
    Fault.RESET_BEFORE,
    Fault.RESET_AFTER,
    Fault.ERROR_BEFORE,
    Fault.ERROR_AFTER,
    Fault.ERROR_EARLY,
    Fault.CONFLICT_BEFORE,
    Fault.CONFLICT_AFTER,
    Fault.HANG_BEFORE,
    Fault.HANG_AFTER,
    Fault.HTML,
    Fault.CUT_JSON,
    Fault.CUT_OFF,
    Fault.DRIP,
    Fault.BUSY,
)
ANY_FILE: tuple[Fault, ...] = (
    Fault.RESET_BEFORE,
    Fault.ERROR_BEFORE,
    Fault.HANG_BEFORE,
    Fault.HTML,
    Fault.CUT_OFF,
    Fault.DRIP,
    Fault.BUSY,
    Fault.EXPIRED,
    Fault.REDIRECT,
    Fault.REDIRECT_AWAY,
    Fault.DAMAGED,
    Fault.TRUNCATED,
    Fault.MISNAMED,
)


def possible(kind: Kind) -> tuple[Fault, ...]:
    match kind:
        case Kind.FILE:
            return ANY_FILE
        case Kind.GENERATE:
            return (Fault.CEILING, *ANY_API)
        case Kind.FEED | Kind.LIST:
            return (Fault.SHORT, *ANY_API)
        case _:
            return ANY_API


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultPlan:
    """Shares are of one; what they leave is no fault. Seconds are the world's (``hurried_clock.py``)."""

    seed: int = 0
    requests: Mapping[Kind, Mapping[Fault, float]] = field(default_factory=dict)
    jobs: Mapping[Fate, float] = field(default_factory=dict)
    lag_s: float = 0.0
    """The job list tells what was true so long ago."""
    skew_s: float = 0.0
    """How far the service's clock is ahead."""
    hang_s: float = 300.0
    """Longer than any client waits."""
    drip_s: float = 10.0
    overdue_s: float = 20.0
    """How long after an early 5xx the work is done."""
    late_s: float = 30.0
    """How long a job sticks, and its assets come late."""

    @classmethod
    def of_document(cls, said: Mapping[str, Any]) -> Self:
        requests = {
            Kind(kind): {Fault(name): share for name, share in shares.items()}
            for kind, shares in said.get("requests", {}).items()
        }
        jobs = {Fate(name): share for name, share in said.get("jobs", {}).items()}
        return cls(**{**said, "requests": requests, "jobs": jobs})

    def fault(self, kind: Kind, content: str, nth: int) -> tuple[Fault | None, Random]:
        """What befalls a request, and the chance that decides how."""
        chance = self._chance(kind, content, nth)
        return _drawn(self.requests.get(kind, {}), chance), chance

    def fate(self, content: str, nth: int) -> Fate:
        """What becomes of the ``nth`` job with these inputs. Two may fail, not more: the tries of an item are bounded."""
        fate = _drawn(self.jobs, self._chance("fate", content, nth)) or Fate.FINE
        return Fate.FINE if fate is Fate.FAILS and nth >= FAILURES_MAX else fate

    def _chance(self, *what: object) -> Random:
        return Random(" ".join(map(str, (self.seed, *what))))


def evenly(
    share: float, kinds: Iterable[Kind] = Kind, *, without: Iterable[Fault] = ()
) -> dict[Kind, dict[Fault, float]]:
    """Every fault that a kind of request can have, equally often, ``share`` of the requests in all."""
    left_out = frozenset(without)
    shares = {}
    for kind in kinds:
        faults = [one for one in possible(kind) if one not in left_out]
        shares[kind] = dict.fromkeys(faults, share / len(faults))
    return shares


_ORDINARY_API = {
    Fault.RESET_BEFORE: 0.01,
    Fault.RESET_AFTER: 0.015,
    Fault.ERROR_BEFORE: 0.015,
    Fault.ERROR_AFTER: 0.015,
    Fault.CONFLICT_BEFORE: 0.005,
    Fault.HANG_BEFORE: 0.005,
    Fault.HANG_AFTER: 0.005,
    Fault.HTML: 0.005,
    Fault.CUT_JSON: 0.005,
    Fault.CUT_OFF: 0.01,
    Fault.DRIP: 0.01,
    Fault.BUSY: 0.02,
}
_ORDINARY_FILE = {
    Fault.RESET_BEFORE: 0.01,
    Fault.ERROR_BEFORE: 0.02,
    Fault.HTML: 0.01,
    Fault.CUT_OFF: 0.02,
    Fault.DRIP: 0.01,
    Fault.BUSY: 0.01,
    Fault.EXPIRED: 0.02,
    Fault.REDIRECT: 0.02,
    Fault.DAMAGED: 0.01,
    Fault.TRUNCATED: 0.01,
    Fault.MISNAMED: 0.01,
}
ORDINARY = FaultPlan(
    requests={kind: _ORDINARY_FILE if kind is Kind.FILE else _ORDINARY_API for kind in Kind},
    jobs={Fate.FAILS: 0.03, Fate.STICKS: 0.02, Fate.LATE_IDS: 0.02, Fate.LATE_ASSETS: 0.02},
    lag_s=5.0,
)
"""The faults of a network and a service on an ordinary bad day."""


def _drawn(shares: Mapping[T, float], chance: Random) -> T | None:
    point = chance.random()
    for one, share in shares.items():
        point -= share
        if point < 0:
            return one
    return None
