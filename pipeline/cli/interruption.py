"""Ctrl-C and termination signals: the first asks a run to stop, the second ends the process at once."""

import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from types import FrameType

import anyio
from anyio import CancelScope

from pipeline.cli.exit_codes import ExitCode

_SHOW_CURSOR = "\x1b[?25h"
_LOOKS_EVERY_S = 0.1
_SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
"""Ctrl-C, the service manager, a terminal that is closed (not on Windows)."""


def _heeded() -> list[int]:
    """``nohup`` has a process not hear of its terminal's end: that is heeded."""
    ignored = [number for number in _SIGNALS if signal.getsignal(number) is signal.SIG_IGN]
    return [number for number in _SIGNALS if number not in ignored or number in {signal.SIGINT, signal.SIGTERM}]


class Interruption:
    """Plain signal handlers, and a task that looks whether they were called: it works on every system."""

    def __init__(self) -> None:
        self.stop = anyio.Event()
        """Set by the first signal, once the work may not be cut off any more."""
        self.was_cut_off = False
        self._signals = 0
        self._is_asking = False
        self._may_cut_off = True

    def let_finish(self) -> None:
        """From now on the first signal sets ``stop``. Before, it ends the block at once."""
        self._may_cut_off = False

    @contextmanager
    def asking(self) -> Iterator[None]:
        """While a person is asked, the first signal is their answer: it raises KeyboardInterrupt."""
        self._is_asking = True
        try:
            if self._signals:  # it came just before the question
                raise KeyboardInterrupt
            yield
        finally:
            self._is_asking = False

    def signalled(self, _number: int, _frame: FrameType | None) -> None:
        self._signals += 1
        if self._is_asking:
            raise KeyboardInterrupt
        if self._signals > 1:
            _leave_now()

    async def pass_on(self, block: CancelScope) -> None:
        while not self._signals:  # noqa: ASYNC110 - a signal handler cannot wake the event loop on every system
            await anyio.sleep(_LOOKS_EVERY_S)
        if self._may_cut_off:
            self.was_cut_off = True
            block.cancel()
        else:
            self.stop.set()


@asynccontextmanager
async def interruption() -> AsyncIterator[Interruption]:
    """Signals count within this block; before and after it they do what they did. Main thread only.

    Raises:
        KeyboardInterrupt: a signal came before ``let_finish``.
    """
    found = Interruption()
    before = {number: signal.signal(number, found.signalled) for number in _heeded()}
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(found.pass_on, tasks.cancel_scope)
            yield found
            tasks.cancel_scope.cancel()
    except BaseExceptionGroup as group:  # the block's own error, and no other: ``pass_on`` raises none
        error = group.exceptions[0]
        raise error from error.__cause__
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if found.was_cut_off:
        raise KeyboardInterrupt


def _leave_now() -> None:
    """Everything recorded is safe: what matters is on the disk before the next step begins."""
    if sys.stderr.isatty():
        sys.stderr.write(_SHOW_CURSOR)
        sys.stderr.flush()
    os._exit(ExitCode.INTERRUPTED)
