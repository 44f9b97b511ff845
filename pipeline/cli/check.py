"""``mvmesh check``: every set of a manifest, judged by its pictures alone."""

import os
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

import anyio
import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from pipeline.batch.survey import check
from pipeline.batch.terms import EMBEDDED
from pipeline.cli.command import Command, json_option, manifest_argument
from pipeline.cli.composition import compares_any, comparisons_file, read_manifest
from pipeline.cli.exit_codes import ExitCode
from pipeline.cli.tables import cell, elastic, fixed, new_table, show
from pipeline.cli.terminal import as_argument, folded, is_terminal, printable, say, say_json, wants_no_colour
from pipeline.domain.items import CheckedSet, Finding
from pipeline.domain.manifest import Manifest
from pipeline.ports import engine_extra
from pipeline.ports.comparisons import SqliteComparisons
from pipeline.ports.compute import WorkerProcesses
from pipeline.ports.images import PillowImages
from pipeline.stages.compare import compare
from pipeline.stages.discover import discover

VERDICTS = ("refuse", "hold", "warn", "ok")
"""Worst first."""

_COLOURS: Mapping[str, str] = {"refuse": "red", "hold": "magenta", "warn": "yellow", "ok": "green"}
_DETAILED_SETS = 50


@click.command(
    cls=Command,
    examples=(
        ("every set, one line each, then what is wrong and the mend", "mvmesh check mvmesh.yaml"),
        ("in a build: fail before anything is paid", "mvmesh check mvmesh.yaml && mvmesh run mvmesh.yaml --yes"),
        ("files alone: thousands of sets a minute", "mvmesh check mvmesh.yaml --quick"),
        ("all that was found, for a program", "mvmesh check mvmesh.yaml --json > check.json"),
    ),
)
@manifest_argument
@click.option("--quick", is_flag=True, help="Look at each picture by itself; compare no views.")
@json_option
def command(manifest: Path, *, quick: bool, as_json: bool) -> ExitCode:
    """Check every picture of MANIFEST before anything is paid. Needs no network.

    Lists all sets, also those that have no front view or cannot be used. Exit code 1 if any set is refused or held.

    With the engine extra, the views of each set are compared with one another, in some tenths of a second of one
    processor: a view that is mirrored, exchanged or of something else is told, as far as outlines show it. A set whose
    views cannot be of one object is held, and so is one that the local service, if it is for that, would make nothing
    of. For what is milder the manifest decides: preflight.consistency, or the set's own consistency: hold, warn (the
    default) or skip. A run on a service that costs judges alike, and submits nothing that is held.
    """
    loaded = read_manifest(manifest)
    why_not = _why_not_compared(loaded, quick=quick)
    checked = anyio.run(_check, loaded, not why_not)
    if as_json:
        say_json({"compared": not why_not, "sets": [_document(one) for one in checked]})
    else:
        _show(checked, manifest, why_not)
    return ExitCode.INCOMPLETE if any(verdict_of(one) in {"refuse", "hold"} for one in checked) else ExitCode.OK


def _why_not_compared(manifest: Manifest, *, quick: bool) -> str:
    """Empty where views are compared."""
    if quick:
        return "--quick"
    if not compares_any(manifest):
        return "preflight.consistency: skip"
    return f"that needs the engine extra: {engine_extra.MEND}" if engine_extra.missing() else ""


async def _check(manifest: Manifest, compares: bool) -> list[CheckedSet]:  # noqa: FBT001 - anyio.run takes no names
    checked = await check(await discover(manifest), images=PillowImages(), ledger=None)
    return await _compared(checked, manifest) if compares else checked


async def _compared(checked: Sequence[CheckedSet], manifest: Manifest) -> list[CheckedSet]:
    """The sets with what their views say of one another, in their order; one at a time for each processor."""
    found, waiting, usual = list(checked), iter(list(enumerate(checked))), manifest.preflight.consistency
    count = min(os.cpu_count() or 1, len(found))

    async def work(judge: Callable[..., Awaitable[tuple[Finding, ...]]]) -> None:
        for at, one in waiting:
            told = () if one.is_refused else await judge(one.pictures, policy=one.image_set.consistency or usual)
            found[at] = replace(one, findings=(*one.findings, *told))
            advance()

    with _counted(len(found)) as advance:
        async with (
            WorkerProcesses(count) as compute,
            SqliteComparisons(comparisons_file(manifest)) as memory,
            anyio.create_task_group() as tasks,
        ):
            judge = partial(compare, is_local=manifest.backend == EMBEDDED, compute=compute, memory=memory)
            for _ in range(count):
                tasks.start_soon(work, judge)
    return found


@contextmanager
def _counted(total: int) -> Iterator[Callable[[], None]]:
    """A bar on a terminal's stderr while it lasts; call what is yielded for each set."""
    if not is_terminal(sys.stderr):
        yield lambda: None
        return
    columns = (TextColumn("comparing views"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True, no_color=wants_no_colour(), highlight=False)
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=total)
        yield lambda: bar.advance(task)


def verdict_of(checked: CheckedSet) -> str:
    """The worst that any finding says of the set."""
    said = {one.verdict for one in checked.findings}
    return next((verdict for verdict in VERDICTS if verdict in said), "ok")


def _document(checked: CheckedSet) -> dict[str, Any]:
    return {
        "id": checked.image_set.set_id,
        "verdict": verdict_of(checked),
        "findings": [
            {
                "view": one.view,
                "file": str(one.file) if one.file else None,
                "kind": one.kind,
                "confidence": one.confidence,
                "message": one.message,
                "mend": one.mend,
            }
            for one in checked.findings
        ],
    }


def _show(checked: Sequence[CheckedSet], manifest: Path, why_not_compared: str) -> None:
    show(checks_table(checked))
    wanting = [one for one in checked if one.findings]
    for one in wanting[:_DETAILED_SETS]:
        _show_findings(one)
    if len(wanting) > _DETAILED_SETS:
        say(f"\n... and findings on {len(wanting) - _DETAILED_SETS} more sets: --json has them all")
    say(f"\n{_summary(checked)}")
    if why_not_compared:
        say(f"views were not compared with one another: {why_not_compared}")
    if all(verdict_of(one) in {"ok", "warn"} for one in checked):
        say(f"next: mvmesh plan {as_argument(manifest)}")


def checks_table(checked: Sequence[CheckedSet]) -> Table:
    """One line a set."""
    table = new_table()
    fixed(table, "VERDICT")
    elastic(table, "SET")
    fixed(table, "VIEWS", justify="right")
    elastic(table, "FINDINGS")
    for one in checked:
        verdict = verdict_of(one)
        views = str(len(one.image_set.views))
        table.add_row(cell(verdict, _COLOURS[verdict]), cell(one.image_set.set_id), views, cell(_kinds(one.findings)))
    return table


def _kinds(findings: Sequence[Finding]) -> str:
    """``too-small: top, back; converted: left``"""
    views: dict[str, list[str]] = {}
    for one in findings:
        views.setdefault(one.kind, []).extend([one.view.value] if one.view else [])
    return "; ".join(f"{kind}: {', '.join(where)}" if where else kind for kind, where in views.items())


def _show_findings(checked: CheckedSet) -> None:
    say(f"\n{click.style(printable(checked.image_set.set_id), bold=True)}")
    for mend, findings in groupby(checked.findings, key=lambda one: one.mend):
        for one in findings:
            label = click.style(f"{one.verdict:>8}", fg=_COLOURS[one.verdict])
            say(f"{label}  {folded(printable(one.message), indent=10, stream=sys.stdout)}")
        if mend:
            say(f"{'mend':>8}  {folded(printable(mend), indent=10, stream=sys.stdout)}")


def _summary(checked: Sequence[CheckedSet]) -> str:
    counts = Counter(verdict_of(one) for one in checked)
    said = ", ".join(f"{counts[verdict]} {verdict}" for verdict in reversed(VERDICTS) if counts[verdict])
    return f"{len(checked)} {'set' if len(checked) == 1 else 'sets'}: {said or 'nothing to check'}"
