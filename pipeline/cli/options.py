"""The options that ``run`` and ``plan`` share: which sets, how many, how much and how long."""

import math
from collections.abc import Callable
from typing import Any, TypeVar

import click

from pipeline.cli.terminal import quoted
from pipeline.domain.manifest_values import clock_window, long_duration_s
from pipeline.domain.run_options import RunOptions
from pipeline.domain.selection import Selection

_MAX_CU = 1e9
T = TypeVar("T", bound=Callable[..., Any])


def _reading(read: Callable[[str], Any]) -> Callable[[click.Context, click.Parameter, str | None], Any]:
    """A click callback: the option's text as ``read`` takes it, whose ValueError becomes click's."""

    def callback(ctx: click.Context, param: click.Parameter, value: str | None) -> Any:
        try:
            return None if value is None else read(value)
        except ValueError as error:
            raise click.BadParameter(str(error), ctx=ctx, param=param) from None

    return callback


def _creative_units(text: str) -> float:
    expected = f"expected a number of creative units from 0 to {_MAX_CU:,.0f}"
    try:
        found = float(text)
    except ValueError:
        found = math.nan
    if not 0 <= found <= _MAX_CU:  # also what is no number
        raise ValueError(f"found {text!r}, {expected}")
    return found


def selection_options(command: T) -> T:
    """``--only``, ``--exclude``, ``--limit``."""
    for option in (
        click.option(
            "--limit", type=click.IntRange(min=1), metavar="N", help="At most N meshes that are still to be made."
        ),
        click.option(
            "--exclude", multiple=True, metavar="PATTERN", help="Leave these sets out; may be given several times."
        ),
        click.option(
            "--only",
            multiple=True,
            metavar="PATTERN",
            help="These sets alone: ids or labels such as chair@pbr, * and ? allowed; may be given several times.",
        ),
    ):
        command = option(command)
    return command


def stop_options(command: T) -> T:
    """``--max-cu``, ``--max-duration``, ``--window``, ``--fail-fast``."""
    for option in (
        click.option("--fail-fast", is_flag=True, help="After the first set that fails submit nothing more."),
        click.option(
            "--window",
            callback=_reading(clock_window),
            metavar="22:00-06:00",
            help="Submit within these hours alone; what is paid is fetched at any hour.",
        ),
        click.option(
            "--max-duration",
            callback=_reading(long_duration_s),
            metavar="2h",
            help="Submit nothing after this time; what is paid is fetched.",
        ),
        click.option(
            "--max-cu",
            callback=_reading(_creative_units),
            metavar="N",
            help="Spend at most N creative units in this run, whatever the manifest's budget says.",
        ),
    ):
        command = option(command)
    return command


def run_options(
    *,
    only: tuple[str, ...],
    exclude: tuple[str, ...],
    limit: int | None,
    max_cu: float | None = None,
    max_duration: float | None = None,
    window: Any = None,
    fail_fast: bool = False,
) -> RunOptions:
    """What the options come to, as the flow takes them."""
    return RunOptions(
        selection=Selection(only=only, exclude=exclude, limit=limit),
        max_cu=max_cu,
        max_duration_s=max_duration,
        window=window,
        fail_fast=fail_fast,
    )


def selection_arguments(selection: Selection) -> str:
    """The options that make this selection, to be put behind a command; empty where there are none."""
    said = [("--only", one) for one in selection.only] + [("--exclude", one) for one in selection.exclude]
    said += [] if selection.limit is None else [("--limit", str(selection.limit))]
    return "".join(f" {option} {quoted(value)}" for option, value in said)
