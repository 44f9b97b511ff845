"""``mvmesh plan``: what a run would do, and what it costs."""

from pathlib import Path
from typing import Any

import anyio
import click

from pipeline.cli.command import Command, json_option, manifest_argument
from pipeline.cli.composition import plan_batch, read_manifest, why_not_compared
from pipeline.cli.exit_codes import ExitCode
from pipeline.cli.options import run_options, selection_arguments, selection_options
from pipeline.cli.plan_table import plan_document, plan_table, plan_totals
from pipeline.cli.progress import progress
from pipeline.cli.tables import show
from pipeline.cli.terminal import as_argument, say, say_json
from pipeline.domain.events import Observer
from pipeline.domain.manifest import Manifest
from pipeline.domain.planning import Plan


@click.command(
    cls=Command,
    examples=(
        ("what is to be done, what is done, what it costs", "mvmesh plan mvmesh.yaml"),
        ("the price alone (null: not known before a run asks)", "mvmesh plan mvmesh.yaml --json | jq .cu"),
        ("some sets alone, with the options of a run", "mvmesh plan mvmesh.yaml --only 'hero/*' --exclude '*@pbr'"),
    ),
)
@manifest_argument
@selection_options
@json_option
def command(manifest: Path, *, as_json: bool, **options: Any) -> ExitCode:
    """Show what a run of MANIFEST would do, and what it costs. Sends nothing.

    Prices are those the service quoted last; a run asks for the rest before it spends anything.
    """
    chosen = run_options(**options)

    async def planned(observe: Observer) -> Plan:
        return await plan_batch(manifest, chosen, observe=observe)

    with progress(manifest.stem) as observe:
        plan = anyio.run(planned, observe)
    if as_json:
        say_json(plan_document(plan))
    else:
        _show(plan, read_manifest(manifest))
        if plan.to_do:
            say(f"next: mvmesh run {as_argument(manifest)}{selection_arguments(chosen.selection)}")
    return ExitCode.OK


def _show(plan: Plan, manifest: Manifest) -> None:
    if plan.items or plan.refused:
        show(plan_table(plan))
        say()
    for line in plan_totals(plan, max_cu=manifest.budget.max_cu):
        say(line)
    if why := why_not_compared(manifest):
        say(why)
