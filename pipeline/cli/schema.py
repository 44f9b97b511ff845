"""``mvmesh schema``: the JSON Schemas of what goes in and what comes out."""

import json

import click

from pipeline.cli.command import Command
from pipeline.cli.exit_codes import ExitCode


@click.command(
    cls=Command,
    examples=(
        ("for editors that complete and check YAML", "mvmesh schema > manifest.schema.json"),
        ("of one line of results.jsonl", "mvmesh schema --results > results.schema.json"),
    ),
)
@click.option("--results", is_flag=True, help="The schema of one row of results.jsonl.")
def command(*, results: bool) -> ExitCode:
    """Print the JSON Schema of manifests (draft 2020-12)."""
    click.echo(_results_schema() if results else _manifest_schema(), nl=False)
    return ExitCode.OK


def _manifest_schema() -> str:
    from pipeline.domain.manifest_schema import manifest_schema_text  # noqa: PLC0415 - one of two

    return manifest_schema_text()


def _results_schema() -> str:
    from pipeline.domain.results import results_schema  # noqa: PLC0415 - one of two

    return json.dumps(results_schema(), indent=2, ensure_ascii=False) + "\n"
