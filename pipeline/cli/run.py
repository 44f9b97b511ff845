"""``mvmesh run``: image sets in, meshes out."""

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import anyio
import click

from pipeline.batch import Outcome
from pipeline.cli.command import Command, json_option, manifest_argument
from pipeline.cli.composition import read_manifest, run_batch
from pipeline.cli.exit_codes import ExitCode, exit_code_of
from pipeline.cli.interruption import interruption
from pipeline.cli.plan_table import plan_table, plan_totals, price_of
from pipeline.cli.progress import Display, progress
from pipeline.cli.summary import run_document, show_summary
from pipeline.cli.tables import show
from pipeline.cli.terminal import is_terminal, say_json, tell
from pipeline.domain.errors import UsageError
from pipeline.domain.events import RunEvent, RunStarted
from pipeline.domain.planning import Plan
from pipeline.domain.results import ResultRow


@click.command(
    cls=Command,
    examples=(
        ("shows the plan and its cost, and asks before it spends", "mvmesh run mvmesh.yaml"),
        ("for scripts and schedulers: nobody is asked", "mvmesh run mvmesh.yaml --yes"),
        ("every result as JSON, the progress in a log", "mvmesh run mvmesh.yaml --yes --json > run.json 2> run.log"),
    ),
)
@manifest_argument
@click.option("--yes", is_flag=True, help="Spend what the plan says without asking.")
@json_option
def command(manifest: Path, *, yes: bool, as_json: bool) -> ExitCode:
    """Turn the image sets of MANIFEST into meshes.

    Running again carries on where the last run ended: what is delivered is not done again, what is paid is not paid
    again. Ctrl-C stops within seconds with everything recorded; a second one stops at once.
    """
    loaded = read_manifest(manifest)
    with progress(loaded.name) as display:
        ask = None if yes else partial(_asked, max_cu=loaded.budget.max_cu)
        outcome, rows = anyio.run(_run, manifest, display, ask)
    if as_json:
        say_json(run_document(outcome, rows, loaded.output_folder))
    else:
        show_summary(outcome, rows, loaded.output_folder)
    return exit_code_of(outcome)


async def _run(manifest: Path, display: Display, ask: Callable[[Plan], bool] | None) -> tuple[Outcome, list[ResultRow]]:
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

        return await run_batch(manifest, confirm=confirm, observe=observe, stop=signals.stop)


def _check_somebody_is_there(plan: Plan) -> None:
    if not (is_terminal(sys.stdin) and is_terminal(sys.stderr)):
        raise UsageError(
            f"this run would spend and there is nobody to ask; its cost: {price_of(plan)}",
            mend="look at it with `mvmesh plan`, then say so with --yes",
        )


def _asked(plan: Plan, *, max_cu: float | None) -> bool:
    show(plan_table(plan), stream=sys.stderr)
    tell()
    for line in plan_totals(plan, max_cu=max_cu):
        tell(line)
    try:
        return click.confirm("Go on?", err=True)
    except click.Abort:
        raise KeyboardInterrupt from None
