"""One pause for all: whoever is turned away by a host that is busy (429, 503) closes the gate for everybody.

When the pause is over, one request goes first; the others follow when it was answered. So a host that says "too many
requests" is asked by one, never by a storm of workers that each wait for themselves.
"""

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import anyio

from pipeline.domain.errors import Throttled


@dataclass(frozen=True, slots=True, kw_only=True)
class Pauses:
    """How long the gate stays closed where the host has no wish: full jitter over a bound that doubles each time."""

    first_s: float = 1.0
    longest_s: float = 60.0
    longest_wish_s: float = 300.0
    """The longest pause that is granted to a host which asks for one."""
    scout_s: float = 10.0
    """How long the others wait for the answer to the one who goes first."""


class Gate:
    """Open until a request within ``turn`` raises Throttled. Made for one host; any number of tasks pass through."""

    def __init__(self, pauses: Pauses | None = None) -> None:
        self._pauses = pauses or Pauses()
        self._opens_at = 0.0
        self._refusals = 0
        self._closings = 0
        self._scouts = 0
        self._changed = anyio.Event()

    @property
    def is_closed(self) -> bool:
        """Whether a refusal has not been followed by an answer yet."""
        return self._refusals > 0

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for the gate; what the block raises decides whether it closes."""
        await self._passed()
        closings = self._closings
        try:
            yield
        except Throttled as error:
            self._close(error.retry_after_s, closings)
            raise
        except BaseException:  # a connection that broke tells nothing of the host's load: the next one goes first
            self._tell_others()
            raise
        else:
            self._open(closings)

    async def _passed(self) -> None:
        while self._refusals:
            now = anyio.current_time()
            if now < self._opens_at:
                await anyio.sleep(self._opens_at - now)
            elif not self._scouts:
                self._scouts += 1
                return
            else:
                changed = self._changed
                with anyio.move_on_after(self._pauses.scout_s) as waited:
                    await changed.wait()
                if waited.cancelled_caught:  # no answer: one more goes
                    self._scouts = 0

    def _open(self, closings: int) -> None:
        """Answers to what was sent before the last refusal say nothing about now."""
        if closings == self._closings:
            self._refusals = 0
        self._tell_others()

    def _close(self, wish_s: float | None, closings: int) -> None:
        """Refusals of what was sent together count once; the longest wish stands."""
        if closings == self._closings:
            self._refusals += 1
            self._closings += 1
        self._opens_at = max(self._opens_at, anyio.current_time() + self._pause_s(wish_s))
        self._tell_others()

    def _pause_s(self, wish_s: float | None) -> float:
        if wish_s is not None:
            return min(wish_s, self._pauses.longest_wish_s)
        return full_jitter_s(self._refusals - 1, first_s=self._pauses.first_s, longest_s=self._pauses.longest_s)

    def _tell_others(self) -> None:
        self._scouts = 0
        self._changed.set()
        self._changed = anyio.Event()


def full_jitter_s(tried: int, *, first_s: float, longest_s: float) -> float:
    """A pause after ``tried`` failures (0: the first), anywhere up to a bound that doubles each time (M. Brooker,
    "Exponential Backoff And Jitter", AWS Architecture Blog, 2015).
    """
    return random.uniform(0, min(first_s * 2 ** min(tried, 32), longest_s))  # noqa: S311 - spreads load, hides nothing
