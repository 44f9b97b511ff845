"""``mvmesh run``: image sets in, meshes out."""

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import click

from pipeline.batch import Outcome
from pipeline.cli.command import Command, json_option, manifest_argument
from pipeline.cli.composition import read_manifest, run_batch
from pipeline.cli.exit_codes import ExitCode, exit_code_of, leaves
from pipeline.cli.interruption import interruption
from pipeline.cli.options import run_options, selection_options, stop_options
from pipeline.cli.plan_table import foreseen, plan_table, plan_totals, price_of
from pipeline.cli.progress import Display, progress
from pipeline.cli.summary import published, say_run, show_summary
from pipeline.cli.tables import show
from pipeline.cli.terminal import is_terminal, tell
from pipeline.domain.errors import AbortRun, UsageError
from pipeline.domain.events import RunEvent, RunStarted
from pipeline.domain.manifest import Manifest
from pipeline.domain.planning import Plan
from pipeline.domain.run_options import RunOptions
from pipeline.ports.clock import local_time, utc_now


@click.command(
    cls=Command,
    examples=(
        ("shows the plan and its cost, and asks before it spends", "mvmesh run mvmesh.yaml"),
        ("for scripts and schedulers: nobody is asked", "mvmesh run mvmesh.yaml --yes"),
        ("every result as JSON, the progress in a log", "mvmesh run mvmesh.yaml --yes --json > run.json 2> run.log"),
        (
            "two heroes to begin with, for 100 CU at most",
            "mvmesh run mvmesh.yaml --only 'hero/*' --limit 2 --max-cu 100",
        ),
    ),
)
@manifest_argument
@click.option("--yes", is_flag=True, help="Spend what the plan says without asking.")
@selection_options
@stop_options
@json_option
def command(manifest: Path, *, yes: bool, as_json: bool, **options: Any) -> ExitCode:
    """Turn the image sets of MANIFEST into meshes.

    Running again carries on where the last run ended: what is delivered is not done again, what is paid is not paid
    again. Ctrl-C stops within seconds with everything recorded; a second one stops at once.
    """
    chosen = run_options(**options)
    loaded = chosen.over(read_manifest(manifest))
    with progress(loaded.name) as display:
        ask = None if yes else partial(_asked, manifest=loaded, options=chosen)
        outcome, plan = anyio.run(_run, manifest, chosen, display, ask)
    if as_json:
        say_run(outcome, published(loaded.output_folder, outside=plan.outside), loaded.output_folder)
    else:
        show_summary(outcome, loaded.output_folder)
    return exit_code_of(outcome)


async def _run(
    manifest: Path, options: RunOptions, display: Display, ask: Callable[[Plan], bool] | None
) -> tuple[Outcome, Plan]:
    async with interruption() as signals:

        def observe(event: RunEvent) -> None:
            if isinstance(event, RunStarted):
                signals.let_finish()
            display(event)

        def confirm(plan: Plan) -> bool:
            if ask is None or plan.cu == 0:
                return True
            with display.paused():  # else rich stands in for stderr, and says before rich 15 that it is no terminal
                _check_somebody_is_there(plan)
                with signals.asking():
                    return ask(plan)

        try:
            asked = confirm if ask else None
            return await run_batch(manifest, options, confirm=asked, observe=observe, stop=signals.stop)
        except Exception as error:
            if signals.stop.is_set() and all(isinstance(one, AbortRun) for one in leaves(error)):
                raise BaseExceptionGroup("interrupted", [error, KeyboardInterrupt()]) from None
            raise


def _check_somebody_is_there(plan: Plan) -> None:
    if not (is_terminal(sys.stdin) and is_terminal(sys.stderr)):
        raise UsageError(
            f"this run would spend and there is nobody to ask; its cost: {price_of(plan)}",
            mend="look at it with `mvmesh plan`, then say so with --yes",
        )


def _asked(plan: Plan, *, manifest: Manifest, options: RunOptions) -> bool:
    show(plan_table(plan), stream=sys.stderr)
    tell()
    for line in plan_totals(plan, max_cu=manifest.budget.max_cu):
        tell(line)
    for line in foreseen(plan, manifest, options, local=local_time(utc_now())):
        tell(line)
    try:
        return click.confirm("Go on?", err=True)
    except click.Abort:
        raise KeyboardInterrupt from None
