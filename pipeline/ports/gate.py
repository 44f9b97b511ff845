"""One pause for all: whoever is turned away by a host that is busy (429, 503) closes the gate for everybody.

When the pause is over, one request goes first. Every answer lets two more go, until so many have been answered that the
gate stands open again. So a host that says "too many requests" is asked by one, never by a storm of workers that each
wait for themselves, and a host that takes few requests a second is not met by all of them with its first good answer.
"""

import random
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from types import TracebackType

import anyio

from pipeline.domain.errors import RequestRefused, Throttled


@dataclass(frozen=True, slots=True, kw_only=True)
class Pauses:
    """How long the gate stays closed where the host has no wish: full jitter over a bound that doubles each time."""

    first_s: float = 1.0
    longest_s: float = 60.0
    longest_wish_s: float = 900.0
    """The longest pause that is granted to a host which asks for one."""
    scout_s: float = 10.0
    """How long the others wait for the answer to one that went ahead."""
    open_from: int = 32
    """After so many answers in a row nobody waits for anybody."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Turn:
    """One request within the gate: known by itself."""

    closings: int
    """How often the gate had closed before it."""
    late_at: float = 0.0
    """From then on nobody waits for its answer."""


class Gate:
    """Open until a request within ``turn`` raises Throttled. Made for one host; any number of tasks pass through."""

    def __init__(self, pauses: Pauses | None = None) -> None:
        self._pauses = pauses or Pauses()
        self._opens_at = 0.0
        self._refusals = 0
        self._closings = 0
        self._answers = self._pauses.open_from
        self._ahead: set[_Turn] = set()
        self._changed: anyio.Event | None = None
        """What those who wait wait for; None: nobody waits."""

    @property
    def is_closed(self) -> bool:
        """Whether a refusal has not been followed by an answer yet."""
        return self._refusals > 0

    def turn(self) -> AbstractAsyncContextManager[None]:
        """Wait for the gate; what the block raises decides whether it closes."""
        return _Passage(self)

    async def enter(self) -> _Turn:
        while (until := self._shut_until()) is not None:
            self._changed = changed = self._changed or anyio.Event()
            with anyio.CancelScope(deadline=until):
                await changed.wait()
        if not self._is_careful:
            return _Turn(closings=self._closings)
        turn = _Turn(closings=self._closings, late_at=anyio.current_time() + self._pauses.scout_s)
        self._ahead.add(turn)
        return turn

    def leave(self, turn: _Turn, error: BaseException | None) -> None:
        """A connection that broke tells nothing of the host's load: the next one goes in its place."""
        if isinstance(error, Throttled):
            self._close(turn, error.retry_after_s)
        elif error is None or isinstance(error, RequestRefused):  # an answer, too
            self._answered(turn)
        self._ahead.discard(turn)
        if self._changed is not None:
            self._changed.set()
            self._changed = None

    @property
    def _is_careful(self) -> bool:
        return self._answers < self._pauses.open_from

    def _shut_until(self) -> float | None:
        """When to look again; None: one more may go. There is room for one more than have been answered."""
        if not (self._refusals or self._is_careful):
            return None
        now = anyio.current_time()
        if self._refusals and now < self._opens_at:
            return self._opens_at
        awaited = [one.late_at for one in self._ahead if now < one.late_at]
        return min(awaited) if self._is_careful and len(awaited) > self._answers else None

    def _answered(self, turn: _Turn) -> None:
        """An answer to what was sent before the last refusal says nothing about now, nor does one that came within a
        pause which somebody sent before has been told to make.
        """
        if turn.closings == self._closings and not (self._closings and anyio.current_time() < self._opens_at):
            self._refusals = 0
            self._answers += 1

    def _close(self, turn: _Turn, wish_s: float | None) -> None:
        """Refusals of what was sent together count once; the longest wish stands. What is heard of them after an answer
        is old news, unless it is a wish.
        """
        if turn.closings == self._closings or (wish_s and not self._refusals):
            self._refusals += 1
            self._closings += 1
            self._answers = 0
            self._ahead.clear()
        elif not self._refusals:
            return
        self._opens_at = max(self._opens_at, anyio.current_time() + self._pause_s(wish_s))

    def _pause_s(self, wish_s: float | None) -> float:
        """A wish for hardly any pause, made again and again, is no leave to ask without one."""
        own_s = full_jitter_s(self._refusals - 1, first_s=self._pauses.first_s, longest_s=self._pauses.longest_s)
        if wish_s is None:
            return own_s
        return min(max(wish_s, 0.0 if wish_s >= self._pauses.first_s else own_s), self._pauses.longest_wish_s)


class _Passage(AbstractAsyncContextManager[None]):
    """One block within the gate. A class, for every request goes through one: it costs a third of a generator's."""

    __slots__ = ("_gate", "_turn")

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    async def __aenter__(self) -> None:
        self._turn = await self._gate.enter()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._gate.leave(self._turn, error)


def full_jitter_s(tried: int, *, first_s: float, longest_s: float) -> float:
    """A pause after ``tried`` failures (0: the first), anywhere up to a bound that doubles each time (M. Brooker,
    "Exponential Backoff And Jitter", AWS Architecture Blog, 2015).
    """
    return random.uniform(0, min(first_s * 2 ** min(tried, 32), longest_s))  # noqa: S311 - spreads load, hides nothing
