"""Virtual time, and the wall clock that goes with it."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest import mock

import anyio
from anyio.lowlevel import checkpoint
from trio.testing import MockClock

BEGIN = datetime(2031, 5, 1, 20, 0, tzinfo=UTC)


def virtual_time() -> tuple[str, dict[str, Any]]:
    """An ``anyio_backend`` in which the clock jumps to what comes next whenever all tasks wait."""
    return "trio", {"clock": MockClock(autojump_threshold=0)}


def now_at(seconds: float) -> datetime:
    """The wall clock after so many virtual seconds."""
    return BEGIN + timedelta(seconds=seconds)


def virtual_now() -> datetime:
    return now_at(anyio.current_time())


@contextmanager
def without_threads() -> Iterator[None]:
    """Virtual time does not wait for threads: what would hop to one (reading folders) is done at once."""

    async def at_once(function: Any, *args: Any, **_: Any) -> Any:
        await checkpoint()
        return function(*args)

    with mock.patch.object(anyio.to_thread, "run_sync", at_once):
        yield
