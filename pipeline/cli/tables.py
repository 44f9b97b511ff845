"""Tables: fitted to a terminal's width; in a file or pipe plain columns that shorten nothing."""

import sys
from typing import Literal, TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipeline.cli.terminal import is_terminal, printable, wants_no_colour

_UNBOUNDED = 10_000


def new_table() -> Table:
    """A table without lines around it."""
    return Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim", show_edge=False)


def fixed(table: Table, title: str, *, justify: Literal["left", "right"] = "left") -> None:
    """Add a column of short words or numbers: never shortened."""
    table.add_column(title, justify=justify, no_wrap=True)


def elastic(table: Table, title: str) -> None:
    """Add a column of names and remarks: shortened where the line would not fit.

    To rich a column that may not wrap is one that may not shrink first, so its cells say that they do not wrap.
    """
    table.add_column(title)


def cell(text: str, style: str = "") -> Text:
    """One line of text, escaped; never markup, for names may hold brackets."""
    return Text(printable(text), style=style, no_wrap=True, overflow="ellipsis")


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
