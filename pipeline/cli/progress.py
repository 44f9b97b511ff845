"""Live progress on stderr: bars on a terminal, plain lines elsewhere, one for what is worth telling."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from datetime import datetime, timedelta
from queue import Empty, SimpleQueue
from typing import Protocol, TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from pipeline.cli.tally import STAGES, Line, Tally
from pipeline.cli.terminal import is_terminal, printable, wants_no_colour
from pipeline.domain.events import Noted, RunEvent
from pipeline.domain.lifecycle import State
from pipeline.ports.clock import utc_now

_PICTURES_A_SECOND = 4
_GATHERED_S = 0.1
_SILENCE = timedelta(minutes=1)
"""After so much of it a log tells where the run stands, with the next thing that happens."""

_STYLES = {
    State.DELIVERED: "green",
    State.HELD: "magenta",
    State.FAILED: "red",
    State.REFUSED: "red",
    State.UNCERTAIN: "yellow",
    State.DEFERRED: "yellow",
}


class Display(Protocol):
    """An observer that shows a run to a person on stderr until its block ends."""

    def __call__(self, event: RunEvent, /) -> None: ...

    def paused(self) -> AbstractContextManager[None]:
        """While the block lasts, stderr belongs to somebody else: a question, a table."""
        ...


@contextmanager
def progress(title: str) -> Iterator[Display]:
    if is_terminal(sys.stderr):
        display = LiveDisplay(title)
        with display.drawn():
            yield display
    else:
        with _written_soon(sys.stderr) as write:
            yield PlainDisplay(write, utc_now)


@contextmanager
def _written_soon(stream: TextIO) -> Iterator[Callable[[str], None]]:
    """Lines that come within a moment are written together, by a thread: each by itself would hold up the run."""
    lines: SimpleQueue[str | None] = SimpleQueue()
    ends = threading.Event()

    def write() -> None:
        while (line := lines.get()) is not None:
            ends.wait(_GATHERED_S)
            with suppress(OSError, ValueError):  # nobody listens any more
                stream.write(line + "".join(_waiting(lines)))
                stream.flush()

    writer = threading.Thread(target=write, name="log", daemon=True)
    writer.start()
    try:
        yield lambda line: lines.put(f"{line}\n")
    finally:
        lines.put(None)
        ends.set()
        writer.join()


def _waiting(lines: "SimpleQueue[str | None]") -> Iterator[str]:
    """What has come meanwhile, up to the end."""
    with suppress(Empty):
        while (line := lines.get_nowait()) is not None:
            yield line
        lines.put(None)


class PlainDisplay:
    """Writes one line for what ended, went wrong, or is to be known: time (UTC), set, state, detail. While nothing of
    that happens, now and then one line that tells where the run stands: a log that is silent looks like one that hangs.
    """

    def __init__(self, write: Callable[[str], None], now: Callable[[], datetime]) -> None:
        self._write = write
        self._now = now
        self._tally = Tally()
        self._told_at = now()

    def __call__(self, event: RunEvent, /) -> None:
        line, at = self._tally.take(event), self._now()
        if line is None and at - self._told_at >= _SILENCE and self._tally.has_started:
            line = self._tally.so_far()
        if line:
            self._told_at = at
            self._write(f"{at.isoformat(timespec='seconds').removesuffix('+00:00')}Z {_plain(line)}")

    def paused(self) -> AbstractContextManager[None]:
        return nullcontext()


def _plain(line: Line) -> str:
    return " ".join(printable(part) for part in (line.label, line.word, line.detail) if part)


class LiveDisplay:
    """A panel that a thread of its own draws in place; the lock keeps the tally whole while it looks."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._tally = Tally()
        self._lock = threading.Lock()
        self._began = time.monotonic()
        self._live = Live(
            get_renderable=self._picture,
            console=Console(stderr=True, no_color=wants_no_colour(), highlight=False),
            refresh_per_second=_PICTURES_A_SECOND,
            vertical_overflow="crop",
        )

    def _picture(self) -> RenderableType:
        with self._lock:
            return panel(self._tally, title=self._title, elapsed_s=time.monotonic() - self._began)

    def __call__(self, event: RunEvent, /) -> None:
        with self._lock:
            line = self._tally.take(event)
        if line and isinstance(event, Noted) and event.level != "info":
            self._live.console.print(_line_text(line))

    @contextmanager
    def drawn(self) -> Iterator[None]:
        """Nothing is left of it when the block ends before the run has started."""
        with self._live:
            try:
                yield
            finally:
                self._live.transient = not self._tally.has_started

    @contextmanager
    def paused(self) -> Iterator[None]:
        self._live.transient = True
        self._live.stop()
        self._live.transient = False
        yield
        self._live.start(refresh=True)


def panel(tally: Tally, *, title: str, elapsed_s: float) -> RenderableType:
    """What a terminal shows while a run is going; looks well at 80 columns."""
    if not tally.has_started:
        head = Text(f"{title}  looking: pictures, ledger, service ... {_clock(elapsed_s)}", overflow="ellipsis")
        return Group(head, *map(_line_text, tally.recent), "")
    sheet = Table.grid(expand=True)
    sheet.add_row(_head(tally, title, elapsed_s))
    sheet.add_row(ProgressBar(total=1.0, completed=tally.fraction, complete_style="cyan", finished_style="green"))
    sheet.add_row(_stages(tally))
    for line in tally.recent if tally.done < tally.total else ():
        sheet.add_row(_line_text(line))
    return Group(sheet, "")  # the cursor rests on an empty line: a ^C that is echoed there moves nothing


def _head(tally: Tally, title: str, elapsed_s: float) -> RenderableType:
    left = tally.left_s(elapsed_s)
    times = _clock(elapsed_s) + (f", about {_clock(left)} left" if left is not None else "")
    head = Table.grid(expand=True)
    head.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    head.add_column(justify="right", no_wrap=True)
    done = f"{tally.made} of {tally.total} meshes" if tally.total else "nothing to do"
    head.add_row(Text(f"{title}  {done}", style="bold"), f"{_price(tally)}  {times}")
    return head


def _price(tally: Tally) -> str:
    if tally.quoted_cu == 0 and not tally.charged_cu:
        return "free"
    quoted = "" if tally.quoted_cu is None else f" of {tally.quoted_cu:g}"
    return f"{tally.charged_cu:g}{quoted} CU"


def _stages(tally: Tally) -> Text:
    """``12 waiting  3 generating  5 delivered``"""
    counts = tally.stage_counts()
    parts = [
        Text.assemble((f"{counts[name]} ", "bold"), (name, _STYLES.get(states[-1], "")))
        for name, states in STAGES.items()
        if counts[name]
    ]
    return Text("  ").join(parts)


def _line_text(line: Line) -> Text:
    """The state first: the eye runs down one column."""
    style = _STYLES.get(line.state, "") if line.state else "yellow" if line.word == "warning" else "dim"
    text = Text(no_wrap=True, overflow="ellipsis")
    text.append(f"{line.word:<11}", style=style)
    text.append(printable(line.label))
    if line.detail:
        text.append(f"{'  ' if line.label else ''}{printable(line.detail)}", style="dim")
    return text


def _clock(seconds: float) -> str:
    """``1:05``, ``2:03:04``"""
    minutes, second = divmod(int(seconds), 60)
    hour, minute = divmod(minutes, 60)
    return f"{hour}:{minute:02}:{second:02}" if hour else f"{minute}:{second:02}"
