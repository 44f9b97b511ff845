"""Work that processors share: compiled kernels leave Python's lock alone, so threads are enough."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from numba import config

Item = TypeVar("Item")
Result = TypeVar("Result")


def shared_out(function: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """``function`` of each item, in the items' order; at one time as many as ``NUMBA_NUM_THREADS`` allows.

    Whoever starts the process sets that variable; without it each processor is used. What comes back must not depend
    on which item is done first.
    """
    allowed: int = config.NUMBA_NUM_THREADS  # type: ignore[attr-defined]
    at_once = min(allowed, len(items))
    if at_once < 2:
        return [function(item) for item in items]
    with ThreadPoolExecutor(at_once) as pool:
        return list(pool.map(function, items))
