"""Work that processors share: compiled kernels leave Python's lock alone, so threads are enough."""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from numba import config

from pipeline.geometry.progress import Progress, unheard

Item = TypeVar("Item")
Result = TypeVar("Result")


def shared_out(function: Callable[[Item], Result], items: Sequence[Item], progress: Progress = unheard) -> list[Result]:
    """``function`` of each item, in the items' order; at one time as many as ``NUMBA_NUM_THREADS`` allows.

    Whoever starts the process sets that variable; without it each processor is used. What comes back must not depend
    on which item is done first. ``progress`` hears of it in the caller's own thread.
    """
    allowed: int = config.NUMBA_NUM_THREADS  # type: ignore[attr-defined]
    at_once = min(allowed, len(items))
    if at_once < 2:
        return _told(map(function, items), len(items), progress)
    with ThreadPoolExecutor(at_once) as pool:
        return _told(pool.map(function, items), len(items), progress)


def _told(results: Iterable[Result], count: int, progress: Progress) -> list[Result]:
    done = []
    for result in results:
        done.append(result)
        progress(len(done) / count)
    return done
