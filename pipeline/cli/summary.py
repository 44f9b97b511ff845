"""What a run says at its end: how it went, where things are, what failed and why."""

import json
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

import click

from pipeline.batch import Outcome
from pipeline.cli.terminal import SCHEMA, folded, printable, say, shortest
from pipeline.domain.items import Alias
from pipeline.domain.lifecycle import State
from pipeline.domain.results import ResultRow

_SHOWN = 20
_REMARKS_SHOWN = 5

_COUNTS = (
    ("delivered", "green"),
    ("held", "magenta"),
    ("failed", "red"),
    ("refused", "red"),
    ("uncertain", "yellow"),
    ("over_budget", "yellow"),
    ("out_of_time", "yellow"),
    ("unfinished", "yellow"),
)
"""The counts of an outcome, and how they are coloured."""


def say_run(outcome: Outcome, rows: Iterable[Mapping[str, Any]], output: Path) -> None:
    """The result of a run for programs, on stdout: one document, a line a row, that nobody has to hold in memory."""
    head = {
        "schema": SCHEMA,
        "outcome": {
            **{name: getattr(outcome, name) for name, _ in _COUNTS},
            "interrupted": outcome.interrupted,
            "complete": outcome.is_whole,
            "charged_cu": outcome.charged_cu,
        },
        "output": str(output),
    }
    write = sys.stdout.write
    write(json.dumps(head, indent=2).removesuffix("\n}") + ',\n  "results": [')
    for number, row in enumerate(rows):
        write(f"{',' if number else ''}\n    {json.dumps(row)}")
    write("\n  ]\n}\n")
    sys.stdout.flush()


def published(output: Path, *, outside: Collection[Alias]) -> Iterator[dict[str, Any]]:
    """The rows of the results manifest that a run was about, one by one."""
    if not (output / "results.jsonl").exists():
        return
    with (output / "results.jsonl").open(encoding="utf-8", newline="\n") as lines:
        for line in lines:
            row = json.loads(line)
            if not outside or Alias(set_id=row["set"], variant=row["variant"], copy=row["copy"]) not in outside:
                yield row


def show_summary(outcome: Outcome, output: Path) -> None:
    """On stdout."""
    _show_wanting(outcome)
    _show_remarks(outcome)
    say(f"{_counted(outcome)}; {outcome.charged_cu:g} CU charged")
    _show_places(output)
    if hint := _next_step(outcome):
        say(hint)


def _counted(outcome: Outcome) -> str:
    said = [
        click.style(f"{getattr(outcome, name)} {name.replace('_', ' ')}", fg=colour)
        for name, colour in _COUNTS
        if getattr(outcome, name)
    ]
    found = "" if outcome.is_whole else " of the sets found so far"
    return ("interrupted: " if outcome.interrupted else "") + (", ".join(said) or "nothing to do") + found


def _show_wanting(outcome: Outcome) -> None:
    """Each row that a person should look at, with its mend. What is merely deferred is counted, not listed."""
    for row in outcome.wanting[:_SHOWN]:
        state = click.style(row.state, fg=dict(_COUNTS).get(row.state, "yellow"))
        say(f"{state}  {printable(row.label)}\n  {folded(printable(_why(row)), indent=2, stream=sys.stdout)}")
        if row.error and row.error.mend:
            say(f"  mend: {folded(printable(row.error.mend), indent=8, stream=sys.stdout)}")
    more = outcome.failed + outcome.refused + outcome.held + outcome.uncertain - _SHOWN
    if more > 0:
        say(f"... and {more:,} more: see the report")
    if outcome.wanting:
        say()


def _show_remarks(outcome: Outcome) -> None:
    """What the service noted of the meshes, each note once, under the set that it is about."""
    for (label, count), remarks in groupby(outcome.remarks[:_REMARKS_SHOWN], key=lambda one: (one.label, one.count)):
        say(f"note  {printable(label)}{f' and {count - 1:,} more' if count > 1 else ''}")
        for one in remarks:
            say(f"  {folded(printable(one.text), indent=2, stream=sys.stdout)}")
    if (more := len(outcome.remarks) - _REMARKS_SHOWN) > 0:
        say(f"... and other notes ({more:,}): see the report")
    if outcome.remarks:
        say()


def _why(row: ResultRow) -> str:
    if row.error:
        return row.error.message
    if row.state is State.UNCERTAIN:
        return "the answer to its submission was lost; whether it was paid is not known yet"
    return "; ".join(row.reasons)


def _show_places(output: Path) -> None:
    """Where things are; what a run did not make is passed over."""
    for name in ("meshes", "held", "results.jsonl", "report.html"):
        if (output / name).exists():
            say(f"  {name.partition('.')[0]:<8} {printable(shortest(output / name))}")


def _next_step(outcome: Outcome) -> str:
    if outcome.uncertain:
        return "`mvmesh reconcile` tells what became of the uncertain submissions, and takes your word for them"
    if outcome.over_budget and not outcome.charged_cu:
        return "the budget has no room for a single one: raise it"
    if outcome.over_budget:
        return "the same command carries on, with as much budget once more"
    if outcome.unfinished and outcome.refused and not outcome.interrupted:
        return "mend or exclude what is refused; then the same command carries on"
    if outcome.interrupted or outcome.unfinished or outcome.out_of_time:
        return "the same command carries on"
    return ""
