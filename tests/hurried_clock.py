"""A world in which time passes many times as fast, for all processes of a test alike.

The product's own pauses, timeouts and waits keep their lengths, in the world's seconds: none needs a test's mercy.
"""

import asyncio
import selectors
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class HurriedClock:
    times: float = 1.0
    since_s: float = field(default_factory=time.time)
    """When the world began to hurry, in seconds since 1970."""

    def now(self) -> datetime:
        passed_s = (time.time() - self.since_s) * self.times
        return datetime.fromtimestamp(self.since_s, tz=UTC) + timedelta(seconds=passed_s)

    def real_s(self, seconds: float) -> float:
        """How long so many of the world's seconds take."""
        return seconds / self.times

    def rule_event_loops(self) -> None:
        """Every event loop that is made from now on lives by this clock."""
        times = self.times

        class Selector(selectors.DefaultSelector):
            def select(self, timeout: float | None = None) -> Any:
                return super().select(timeout and timeout / times)

        class Loop(asyncio.SelectorEventLoop):
            def __init__(self) -> None:
                super().__init__(Selector())

            def time(self) -> float:
                return super().time() * times

        asyncio.new_event_loop = asyncio.events.new_event_loop = Loop
