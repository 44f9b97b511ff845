"""Gathering: what is asked while others are served is served together, in the next round.

A commit, the way to a thread and a request to the service cost hardly more for fifty than for one.
"""

import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import anyio
from anyio import CancelScope
from anyio.lowlevel import checkpoint_if_cancelled

A = TypeVar("A")
R = TypeVar("R")

LONGEST_REST_S = 0.02


@dataclass(slots=True, eq=False)
class Asked(Generic[A, R]):
    """One question, and in the end its answer or its error."""

    what: A
    result: R | None = None
    error: BaseException | None = None
    done: bool = False
    told: anyio.Event | None = field(default=None, repr=False)
    """Set when it is done, or when its asker is to serve the next round."""
    leads: bool = False

    def answer(self, result: R) -> None:
        self.result, self.done = result, True

    def fail(self, error: BaseException) -> None:
        self.error, self.done = error, True


Serve = Callable[[Sequence[Asked[A, R]]], Awaitable[None]]
"""Answers or fails all that was asked. What it leaves open when it raises is asked again in another round."""


class Gathering(Generic[A, R]):
    """Rounds of questions, so many of them at one time. Each round is served by one of those who ask."""

    def __init__(self, serve: Serve[A, R], *, rounds: int = 1, most: int | None = None, rest_s: float = 0.0) -> None:
        """``most``: how many questions a round may have; None: any number. ``rest_s``: so much later than usual the
        next round begins for each further question that one had, up to ``LONGEST_REST_S``: where many ask, still more
        come together, and who asks alone waits for nobody.
        """
        self._serve = serve
        self._free = rounds
        self._most = most
        self._rest_s = rest_s
        self._begins_at = -math.inf
        self._waiting: list[Asked[A, R]] = []

    async def ask(self, what: A) -> R:
        """The answer. Cancelled while it waits, the question is dropped; while it is served, it may be answered."""
        await checkpoint_if_cancelled()
        asked: Asked[A, R] = Asked(what)
        self._waiting.append(asked)
        if self._free:
            self._free -= 1
            asked.leads = True
        else:
            await self._turn_of(asked)
        while not asked.done:
            await (self._round(asked) if asked.leads else self._turn_of(asked))
        if asked.error is not None:
            raise asked.error
        return asked.result  # type: ignore[return-value]  # done without error: R

    async def _turn_of(self, asked: Asked[A, R]) -> None:
        """Wait until somebody has served it, or until it is its asker who serves next."""
        asked.told = anyio.Event()
        try:
            await asked.told.wait()
        except BaseException:
            asked.done = True  # nobody waits for it: a round that breaks off does not put it back
            if asked in self._waiting:
                self._waiting.remove(asked)
            if asked.leads:
                self._hand_over()
            raise

    async def _round(self, leader: Asked[A, R]) -> None:
        """Whatever ends it, be it a cancellation of the task by other means than a scope: somebody else goes on."""
        self._waiting.remove(leader)
        leader.leads, batch = False, [leader]
        try:
            with CancelScope(shield=True):  # who is woken by the same event as the leader comes along, at the least
                await anyio.sleep_until(self._begins_at)
            batch = [leader, *(one for one in self._waiting if not one.leads)][: self._most]
            taken = set(map(id, batch))
            self._waiting = [one for one in self._waiting if id(one) not in taken]
            self._begins_at = anyio.current_time() + min(self._rest_s * (len(batch) - 1), LONGEST_REST_S)
            await self._serve(batch)
        finally:
            self._waiting[:0] = [one for one in batch if not (one.done or one is leader)]
            for one in batch:
                if one.done and one.told is not None:
                    one.told.set()
            self._hand_over()

    def _hand_over(self) -> None:
        """Whoever has waited longest serves the next round."""
        first = next((one for one in self._waiting if not one.leads), None)
        if first is None:
            self._free += 1
        else:
            assert first.told is not None  # there was no round free when it came
            first.leads = True
            first.told.set()
