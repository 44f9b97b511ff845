"""Room for pixels: how many may be decoded at one time, by all workers together."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio


class Room:
    """Space for ``at_most`` pixels. A picture that needs more than that gets in when it is alone."""

    def __init__(self, at_most: int) -> None:
        self._at_most = at_most
        self._taken = 0
        self._changed = anyio.Condition()

    @asynccontextmanager
    async def of(self, pixels: int) -> AsyncIterator[None]:
        async with self._changed:
            while self._taken and self._taken + pixels > self._at_most:
                await self._changed.wait()
            self._taken += pixels
        try:
            yield
        finally:
            with anyio.CancelScope(shield=True):
                async with self._changed:
                    self._taken -= pixels
                    self._changed.notify_all()
