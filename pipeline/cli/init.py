"""``mvmesh init``: a manifest for a folder tree."""

import sys
from pathlib import Path

import anyio
import click

from pipeline.cli.command import Command, json_option
from pipeline.cli.exit_codes import ExitCode
from pipeline.cli.terminal import as_argument, folded, printable, say, say_json, shortest
from pipeline.domain.errors import UsageError
from pipeline.domain.manifest_schema import manifest_schema_text
from pipeline.domain.proposal import SCHEMA_FILE, Proposal
from pipeline.ports.storage import LocalStorage
from pipeline.stages.propose import propose


@click.command(
    cls=Command,
    examples=(
        ("a folder with a folder of views for each object", "mvmesh init pictures/"),
        ("under another name", "mvmesh init assets/props --output props.yaml"),
        ("anew, over the manifest that is there", "mvmesh init pictures/ --force"),
    ),
)
@click.argument("root", type=click.Path(path_type=Path))
@click.option(
    "--output", type=click.Path(path_type=Path), default="mvmesh.yaml", show_default=True, help="The manifest's file."
)
@click.option("--force", is_flag=True, help="Replace a manifest that is there.")
@json_option
def command(root: Path, *, output: Path, force: bool, as_json: bool) -> ExitCode:
    """Look at the folders below ROOT, recognise views by their names, and write a manifest for them.

    The manifest uses the local service, which needs no account. Change `backend: local` to `backend: scenario` for the
    best meshes. Beside it lies its JSON Schema, by which editors complete and explain it.
    """
    _check(root, output, force=force)
    proposal = propose(root, output)
    if not proposal.set_count:
        raise _nothing_found(root, proposal)
    schema = output.parent / SCHEMA_FILE
    is_new = force or not schema.exists()
    if is_new:
        anyio.run(LocalStorage().write, schema, manifest_schema_text().encode())
    anyio.run(LocalStorage().write, output, proposal.text.encode())
    if as_json:
        files = {"manifest": str(output), "manifest_schema": str(schema)}
        say_json({**files, "sets": proposal.set_count, "notes": list(proposal.notes)})
    else:
        _show(proposal, output, new_schema=schema if is_new else None)
    return ExitCode.OK


def _check(root: Path, output: Path, *, force: bool) -> None:
    if not root.is_dir():
        raise UsageError(f"{root} is no folder", mend="name the folder that your pictures lie in")
    if output.exists() and not force:
        raise UsageError(
            f"{output} is there already, and is not overwritten",
            mend="name another file with --output, or replace it with --force",
        )


def _nothing_found(root: Path, proposal: Proposal) -> UsageError:
    return UsageError(
        f"no image set was recognised below {root}",
        mend="put the views of each object into a folder of its own, named front.png, left.png, back.png, ...",
        problems=proposal.notes,
    )


def _show(proposal: Proposal, output: Path, *, new_schema: Path | None) -> None:
    for note in proposal.notes:
        say(folded(printable(note), indent=0, stream=sys.stdout))
    count = proposal.set_count
    say(f"wrote {printable(shortest(output))} for {count} image {'set' if count == 1 else 'sets'}")
    if new_schema:
        say(f"wrote {printable(shortest(new_schema))}, by which editors complete and explain it")
    say(f"next: mvmesh check {as_argument(output)}")
