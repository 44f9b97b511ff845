"""Tables: fitted to a terminal's width; in a file or pipe plain columns that shorten nothing."""

import sys
from typing import TextIO

from rich.console import Console
from rich.table import Table

from pipeline.cli.terminal import is_terminal, wants_no_colour

_UNBOUNDED = 10_000


def new_table() -> Table:
    """A table without lines around it. Cells are rich ``Text``, never markup: names may hold brackets."""
    return Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim", show_edge=False)


def show(table: Table, *, stream: TextIO | None = None) -> None:
    """Write a table to ``stream``: stdout, unless it accompanies a question."""
    stream = stream or sys.stdout
    if is_terminal(stream):
        Console(file=stream, no_color=wants_no_colour(), highlight=False).print(table)
    else:
        stream.write(as_text(table, width=_UNBOUNDED))


def as_text(table: Table, *, width: int) -> str:
    """The table as plain lines of at most ``width`` columns."""
    console = Console(width=width, color_system=None, force_terminal=False, highlight=False, legacy_windows=False)
    with console.capture() as captured:
        console.print(table)
    return "".join(f"{line.rstrip()}\n" for line in captured.get().splitlines())
