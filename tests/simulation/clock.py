"""Virtual time, and the wall clock that goes with it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
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
