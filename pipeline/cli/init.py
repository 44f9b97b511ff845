"""``mvmesh init``: a manifest for a folder tree."""

from pathlib import Path

import anyio
import click

from pipeline.cli.command import Command, json_option
from pipeline.cli.exit_codes import ExitCode
from pipeline.cli.terminal import printable, say, say_json, shortest
from pipeline.domain.errors import UsageError
from pipeline.domain.proposal import Proposal
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
    best meshes.
    """
    proposal = anyio.run(_write, root, output, force)
    if as_json:
        said = {"manifest": str(output), "sets": proposal.set_count, "notes": list(proposal.notes)}
        say_json({"proposal": said})
    else:
        _show(proposal, output)
    return ExitCode.OK


async def _write(root: Path, output: Path, force: bool) -> Proposal:  # noqa: FBT001 - anyio.run takes no keywords
    if output.exists() and not force:
        raise UsageError(
            f"{output} is there already, and is not overwritten",
            mend="name another file with --output, or replace it with --force",
        )
    proposal = await propose(root, output)
    await LocalStorage().write(output, proposal.text.encode())
    return proposal


def _show(proposal: Proposal, output: Path) -> None:
    for note in proposal.notes:
        say(printable(note))
    count = proposal.set_count
    say(f"wrote {printable(shortest(output))} for {count} image {'set' if count == 1 else 'sets'}")
    say(f"next: mvmesh check {printable(shortest(output))}")
