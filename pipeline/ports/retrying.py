"""Trying again: bounded tries and time, full jitter, the other side's wishes."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import TypeVar

import anyio

from pipeline.domain.errors import ConnectionLost, NeverSent, ServiceFault, ServiceUnreachable, Throttled, TryAgain
from pipeline.ports.clock import utc_now
from pipeline.ports.gate import full_jitter_s

T = TypeVar("T")

_REPEATED = (ConnectionLost, NeverSent, Throttled, ServiceFault)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tries:
    """How long one call is tried. No try begins after ``total_s`` or beyond ``attempts``."""

    attempts: int = 40
    total_s: float = 900.0
    first_wait_s: float = 0.5
    longest_wait_s: float = 30.0
    tell: Callable[[TryAgain], None] = lambda _: None
    """Hears of every failed try that another one follows."""

    def wait(self, error: TryAgain, tried: int, *, elapsed_s: float) -> float | None:
        """How many seconds to wait after ``error`` ended try number ``tried``; None: it is not tried again."""
        if tried >= self.attempts:
            return None
        pause_s = self._pause_s(error.retry_after_s, tried)
        if elapsed_s + pause_s > self.total_s:
            return None
        self.tell(error)
        return pause_s

    def _pause_s(self, wish_s: float | None, tried: int) -> float:
        """The other side's wish and a little more, for it told others the same."""
        jitter_s = full_jitter_s(0 if wish_s else tried - 1, first_s=self.first_wait_s, longest_s=self.longest_wait_s)
        return (wish_s or 0.0) + jitter_s


PATIENT = Tries()


async def persist(what: str, call: Callable[[], Awaitable[T]], tries: Tries) -> T:
    """The result of ``call``, which is tried again after ConnectionLost, NeverSent, Throttled and ServiceFault.

    Raises:
        ServiceUnreachable: the last try failed, too, or the other side wishes a longer pause than all tries may take.
    """
    began, tried = anyio.current_time(), 0
    while True:
        tried += 1
        try:
            return await call()
        except _REPEATED as error:
            pause_s = tries.wait(error, tried, elapsed_s=anyio.current_time() - began)
            if pause_s is None:
                raise _given_up(what, tried, error) from error
        await anyio.sleep(pause_s)


def _given_up(what: str, tried: int, error: TryAgain) -> ServiceUnreachable:
    wish = "" if error.retry_after_s is None else f"; it wishes a pause of {error.retry_after_s:,.0f} s"
    return ServiceUnreachable(
        f"{what}: given up after {tried} {'try' if tried == 1 else 'tries'}{wish}. The last one: {error}",
        mend=error.mend or "run again later: what is done stays done",
    )


def wished_pause_s(headers: Mapping[str, str]) -> float | None:
    """The pause that an answer asks for: ``retry-after-ms``, or ``Retry-After`` in seconds or as a date (RFC 9110,
    10.2.3), which is read against the answer's own ``Date``. Never negative; None without a readable wish.
    """
    milliseconds, wish = _number(headers.get("retry-after-ms")), headers.get("Retry-After")
    if milliseconds is not None:
        return max(0.0, milliseconds / 1000)
    seconds = _number(wish)
    if seconds is not None:
        return max(0.0, seconds)
    until = moment(wish)
    if until is None:
        return None
    return max(0.0, (until - (moment(headers.get("Date")) or utc_now())).total_seconds())


def _number(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if abs(number) < float("inf") else None


_YEARS = range(1990, 2200)
"""Dates of another age cannot be reckoned with: the next sum may leave what a datetime holds."""


def moment(text: str | None) -> datetime | None:
    """The time in an HTTP date (RFC 9110, 5.6.7); None where there is none."""
    try:
        found = parsedate_to_datetime(text or "")
    except (ArithmeticError, LookupError, TypeError, ValueError):  # the standard library raises what it runs into
        return None
    return found if found.tzinfo and found.year in _YEARS else None
