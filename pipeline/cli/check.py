"""``mvmesh check``: every set of a manifest, judged by its pictures alone."""

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import anyio
import click
from rich.table import Table

from pipeline.batch.survey import check
from pipeline.cli.command import Command, json_option, manifest_argument
from pipeline.cli.composition import read_manifest
from pipeline.cli.exit_codes import ExitCode
from pipeline.cli.tables import cell, elastic, fixed, new_table, show
from pipeline.cli.terminal import as_argument, folded, printable, say, say_json
from pipeline.domain.items import CheckedSet, Finding
from pipeline.domain.manifest import Manifest
from pipeline.ports.images import PillowImages
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
        ("all that was found, for a program", "mvmesh check mvmesh.yaml --json > check.json"),
    ),
)
@manifest_argument
@json_option
def command(manifest: Path, *, as_json: bool) -> ExitCode:
    """Check every picture of MANIFEST before anything is paid. Needs no network.

    Lists all sets, also those that have no front view or cannot be used. Exit code 1 if any set is refused or held.
    """
    checked = anyio.run(_check, read_manifest(manifest))
    if as_json:
        say_json({"sets": [_document(one) for one in checked]})
    else:
        _show(checked, manifest)
    return ExitCode.INCOMPLETE if any(verdict_of(one) in {"refuse", "hold"} for one in checked) else ExitCode.OK


async def _check(manifest: Manifest) -> list[CheckedSet]:
    return await check(await discover(manifest), images=PillowImages(), ledger=None)


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


def _show(checked: Sequence[CheckedSet], manifest: Path) -> None:
    show(checks_table(checked))
    wanting = [one for one in checked if one.findings]
    for one in wanting[:_DETAILED_SETS]:
        _show_findings(one)
    if len(wanting) > _DETAILED_SETS:
        say(f"\n... and findings on {len(wanting) - _DETAILED_SETS} more sets: --json has them all")
    say(f"\n{_summary(checked)}")
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
    for one in checked.findings:
        label = click.style(f"{one.verdict:>8}", fg=_COLOURS[one.verdict])
        say(f"{label}  {folded(printable(one.message), indent=10, stream=sys.stdout)}")
        if one.mend:
            say(f"{'mend':>8}  {folded(printable(one.mend), indent=10, stream=sys.stdout)}")


def _summary(checked: Sequence[CheckedSet]) -> str:
    counts = Counter(verdict_of(one) for one in checked)
    said = ", ".join(f"{counts[verdict]} {verdict}" for verdict in reversed(VERDICTS) if counts[verdict])
    return f"{len(checked)} {'set' if len(checked) == 1 else 'sets'}: {said or 'nothing to check'}"
