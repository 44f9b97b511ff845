"""What is written where: results on stdout, all else on stderr, nothing that a terminal would obey."""

import json
import os
import shlex
import shutil
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

import click

from pipeline.domain.texts import visible

SCHEMA = 1
"""The version of every ``--json`` document."""


def printable(text: object) -> str:
    """The text with control characters escaped: names from disks and services cannot move the cursor."""
    return visible(str(text))


def as_argument(path: Path) -> str:
    """A path as a person may paste it into a shell."""
    return quoted(shortest(path))


def quoted(text: str) -> str:
    """A word as a person may paste it into a shell."""
    text = printable(text)
    return f'"{text}"' if os.name == "nt" else shlex.quote(text)


def say(text: str = "") -> None:
    """A line of the result, on stdout. Colours are dropped where they are not wanted."""
    click.echo(text, color=_colour_choice())


def tell(text: str = "") -> None:
    """A line beside the result, on stderr."""
    click.echo(text, err=True, color=_colour_choice())


def log(line: str) -> None:
    """A plain line beside the result, on stderr: one of thousands, where ``tell`` would look for colours in each."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def folded(text: str, *, indent: int, stream: TextIO) -> str:
    """A text that begins at column ``indent``, broken between words where the stream is a terminal."""
    if not is_terminal(stream):
        return text
    width = shutil.get_terminal_size().columns
    lines = textwrap.wrap(text, max(width - indent, 20), break_long_words=False, break_on_hyphens=False)
    return f"\n{' ' * indent}".join(lines)


def say_json(document: Mapping[str, Any]) -> None:
    """The one document of a ``--json`` call. ASCII alone, so that no console's encoding can break it."""
    click.echo(json.dumps({"schema": SCHEMA, **document}, indent=2))
    sys.stdout.flush()


def is_terminal(stream: TextIO) -> bool:
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def wants_no_colour() -> bool:
    """https://no-color.org: the variable is there and not empty."""
    return bool(os.environ.get("NO_COLOR"))


def _colour_choice() -> bool | None:
    """None leaves it to the stream."""
    return False if wants_no_colour() or os.environ.get("TERM") == "dumb" else None


def shortest(path: Path) -> str:
    """Relative to the current folder where that is no longer; absolute elsewhere, or on another drive."""
    try:
        relative = os.path.relpath(path)
    except ValueError:
        return str(path)
    return min(relative, str(path), key=len)


def never_fail_on_encoding() -> None:
    """A console that lacks a character shows its escape; a call never dies of that."""
    for stream in (sys.stdout, sys.stderr):
        if reconfigure := getattr(stream, "reconfigure", None):
            reconfigure(errors="backslashreplace")
