"""``mvmesh verify``: the files on disk against the results manifest."""

from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import asdict
from pathlib import Path

import anyio
import click

from pipeline.batch import shelf_name
from pipeline.cli.command import Command, json_option
from pipeline.cli.composition import read_manifest
from pipeline.cli.exit_codes import ExitCode
from pipeline.cli.terminal import printable, say, say_json, shortest
from pipeline.domain.errors import LocalIoError
from pipeline.ports.clock import utc_now
from pipeline.ports.ledger import LEDGER_FILE, SqliteLedger
from pipeline.ports.storage import LocalStorage
from pipeline.report.verification import Deviation, Fault, Verified, read_rows, verify

MENDS: Mapping[Fault, str] = {
    Fault.MISSING: "mvmesh run fetches it again, without paying",
    Fault.SIZE: "mvmesh run fetches it again, without paying",
    Fault.SHA256: "move it away if its change was meant, else remove it: mvmesh run then fetches the delivered one",
    Fault.UNEXPECTED: "move it out of the output folder if it is yours",
    Fault.OUTSIDE: "run again: the results manifest is made anew from the ledger",
}


STATE_FOLDER = ".mvmesh"
"""Below the output folder, unless a manifest says otherwise."""


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

    Tells what is missing, what has changed, and which meshes nobody delivered. Exit code 1 if there is any. Meshes of
    sets that the manifest no longer names stay where they are and are in order.
    """
    if where.is_dir():
        output = where.resolve()
        ledger, shelf = output / STATE_FOLDER / LEDGER_FILE, ".."
    else:
        manifest = read_manifest(where)
        output = manifest.output_folder
        ledger, shelf = manifest.state_folder / LEDGER_FILE, shelf_name(manifest)
    verified = anyio.run(_verified, output, ledger if ledger.exists() else None, shelf)
    files, deviations = verified.files, verified.deviations
    if as_json:
        said = [{**asdict(one), "mend": MENDS[one.fault]} for one in deviations]
        say_json({"output": str(output), "files": files, "deviations": said})
    else:
        _show(output, files, deviations)
    return ExitCode.INCOMPLETE if deviations else ExitCode.OK


async def _verified(output: Path, ledger: Path | None, shelf: str) -> Verified:
    storage = LocalStorage()
    async with aclosing(read_rows(output / "results.jsonl", storage=storage)) as rows:
        return await verify(output, rows, former=await _delivered(ledger, shelf), storage=storage)


async def _delivered(path: Path | None, shelf: str) -> list[str]:
    """All that was ever delivered here and not replaced, as far as a ledger is at hand."""
    if path is None:
        return []
    try:
        ledger = await SqliteLedger.open(path, now=utc_now)
    except LocalIoError:  # a disk that can only be read: the results alone have to do
        return []
    try:
        return [file.name for one in await ledger.deliveries(shelf) for file in one.files]
    finally:
        await ledger.close()


def _show(output: Path, files: int, deviations: Sequence[Deviation]) -> None:
    for one in deviations:
        say(f"{click.style(f'{one.fault:<10}', fg='red')}  {printable(one.path)} {one.message}")
    for fault in dict.fromkeys(one.fault for one in deviations):
        say(f"mend {fault}: {MENDS[fault]}")
    counted = f"{files:,} {'file' if files == 1 else 'files'} of {printable(shortest(output))}"
    say(f"{counted}: " + (f"{len(deviations)} not as delivered" if deviations else "all as delivered"))
