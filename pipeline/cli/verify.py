"""``mvmesh verify``: the files on disk against the results manifest."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import anyio
import click

from pipeline.cli.command import Command, json_option
from pipeline.cli.composition import read_manifest
from pipeline.cli.exit_codes import ExitCode
from pipeline.cli.terminal import printable, say, say_json, shortest
from pipeline.domain.results import ResultRow
from pipeline.ports.storage import LocalStorage
from pipeline.report.verification import Deviation, Fault, read_rows, verify

MENDS: Mapping[Fault, str] = {
    Fault.MISSING: "mvmesh run fetches it again, without paying",
    Fault.SIZE: "mvmesh run fetches it again, without paying",
    Fault.SHA256: "move it away if its change was meant, else remove it: mvmesh run then fetches the delivered one",
    Fault.UNEXPECTED: "move it out of the output folder if it is yours",
    Fault.OUTSIDE: "run again: the results manifest is made anew from the ledger",
}


@click.command(
    cls=Command,
    examples=(
        ("read every delivered byte and compare", "mvmesh verify mvmesh.yaml"),
        ("an output folder alone, on another machine", "mvmesh verify out/props"),
        ("for a nightly check", "mvmesh verify out/props --json > verify.json"),
    ),
)
@click.argument("where", metavar="MANIFEST|FOLDER", type=click.Path(path_type=Path))
@json_option
def command(where: Path, *, as_json: bool) -> ExitCode:
    """Compare the files of an output folder with its results.jsonl, by size and by SHA-256.

    Tells what is missing, what has changed, and which meshes no result speaks of. Exit code 1 if there is any.
    """
    output = where.resolve() if where.is_dir() else read_manifest(where).output_folder
    rows, deviations = anyio.run(_verified, output)
    files = sum(len(row.outputs) for row in rows)
    if as_json:
        said = [{**asdict(one), "mend": MENDS[one.fault]} for one in deviations]
        say_json({"output": str(output), "files": files, "deviations": said})
    else:
        _show(output, files, deviations)
    return ExitCode.INCOMPLETE if deviations else ExitCode.OK


async def _verified(output: Path) -> tuple[list[ResultRow], list[Deviation]]:
    storage = LocalStorage()
    rows = await read_rows(output / "results.jsonl", storage=storage)
    return rows, await verify(output, rows, storage=storage)


def _show(output: Path, files: int, deviations: Sequence[Deviation]) -> None:
    for one in deviations:
        say(f"{click.style(f'{one.fault:<10}', fg='red')}  {printable(one.path)} {one.message}")
    for fault in dict.fromkeys(one.fault for one in deviations):
        say(f"mend {fault}: {MENDS[fault]}")
    counted = f"{files:,} {'file' if files == 1 else 'files'} of {printable(shortest(output))}"
    say(f"{counted}: " + (f"{len(deviations)} not as delivered" if deviations else "all as delivered"))
