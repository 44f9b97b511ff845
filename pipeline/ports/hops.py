"""Hops: short blocking calls in threads, many of them with one way there and back."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar, TypeVarTuple

from anyio import CapacityLimiter, to_thread

from pipeline.ports.gathering import Asked, Gathering

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

MOST = 16
"""Calls to one hop: it costs as much as reading a small file, and who comes first waits for the last."""


class Hops:
    """Runs calls in a few threads at one time; what is asked while all are at work shares the next hop."""

    def __init__(self, threads: int) -> None:
        self._limiter = CapacityLimiter(threads)
        self._calls: Gathering[Callable[[], Any], Any] = Gathering(self._hop, rounds=threads, most=MOST)

    async def run(self, function: Callable[[*Ts], T], *args: *Ts) -> T:
        """The result of ``function(*args)``, which is not cut short by cancellation once it has begun."""
        result: T = await self._calls.ask(partial(function, *args))
        return result

    async def _hop(self, calls: Sequence[Asked[Callable[[], Any], Any]]) -> None:
        await to_thread.run_sync(_run_all, calls, limiter=self._limiter)


def _run_all(calls: Sequence[Asked[Callable[[], Any], Any]]) -> None:
    for one in calls:
        try:
            one.answer(one.what())
        except Exception as error:  # noqa: BLE001 - for the one who asked
            one.fail(error)
