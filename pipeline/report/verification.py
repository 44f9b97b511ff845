"""The files on disk against the results manifest."""

import unicodedata
from collections.abc import AsyncGenerator, AsyncIterable, Collection, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path, PurePosixPath

import anyio
from anyio import to_thread
from pydantic import ValidationError

from pipeline.domain.errors import UsageError
from pipeline.domain.results import ResultFile, ResultRow
from pipeline.ports.interfaces import Storage
from pipeline.ports.lines import lines_of

DELIVERY_FOLDERS = ("meshes", "held")
_FILES_AT_ONCE = 64


class Fault(StrEnum):
    MISSING = "missing"
    SIZE = "size"
    SHA256 = "sha256"
    UNEXPECTED = "unexpected"
    """A mesh file that no row speaks of."""
    OUTSIDE = "outside"
    """A row that names a file outside the output folder, which is not read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deviation:
    """One file that is not as the results manifest says."""

    fault: Fault
    path: str
    """Below the output folder, with ``/``."""
    label: str
    """The row's set, variant and copy; empty for a file that no row speaks of."""
    message: str


@dataclass(slots=True, kw_only=True)
class Verified:
    files: int = 0
    """So many were compared."""
    deviations: list[Deviation] = field(default_factory=list)


async def read_rows(results: Path, *, storage: Storage) -> AsyncGenerator[ResultRow]:
    """The rows of a ``results.jsonl``, one by one.

    Raises:
        UsageError: there is none, or a line of it is no row that this version knows.
        LocalIoError: it cannot be read.
    """
    if (await storage.sizes([results]))[0] is None:
        raise UsageError(f"there is no results manifest {results}", mend="mvmesh run writes one")
    async with aclosing(lines_of(results, storage=storage)) as lines:
        number = 0
        async for line in lines:
            number += 1
            yield _row(line, results, number)


def _row(line: bytes, results: Path, number: int) -> ResultRow:
    try:
        return ResultRow.model_validate_json(line)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise UsageError(
            f"{results}:{number} is no row of results: {where}{': ' if where else ''}{first['msg']}",
            mend="run again: the results manifest is made anew from the ledger",
        ) from None


async def verify(
    output: Path, rows: AsyncIterable[ResultRow], *, former: Collection[str], storage: Storage
) -> Verified:
    """Every byte of every file that the rows speak of is read; mesh files that no row speaks of are looked for.

    Args:
        output: the output folder.
        rows: its results manifest.
        former: paths below it of earlier deliveries, of sets that the manifest no longer names: theirs stay.
        storage: reads the files.

    Raises:
        LocalIoError: a file is there and cannot be read.
    """
    verified, expected = Verified(), {_composed(path) for path in former}
    some: list[tuple[str, ResultFile]] = []
    async for row in rows:
        some += [(row.label, file) for file in row.outputs]
        expected.update(_composed(file.path) for file in row.outputs)
        if len(some) >= _FILES_AT_ONCE:
            await _verify_some(output, some, verified, storage)
            some = []
    await _verify_some(output, some, verified, storage)
    verified.deviations += await to_thread.run_sync(_unexpected, output, expected)
    return verified


async def _verify_some(
    output: Path, some: Sequence[tuple[str, ResultFile]], verified: Verified, storage: Storage
) -> None:
    found: list[Deviation | None] = [None] * len(some)

    async def check(at: int, label: str, file: ResultFile) -> None:
        found[at] = await _compared(output, label, file, storage)

    async with anyio.create_task_group() as tasks:
        for at, (label, file) in enumerate(some):
            tasks.start_soon(check, at, label, file)
    verified.files += len(some)
    verified.deviations += [one for one in found if one is not None]


async def _compared(output: Path, label: str, file: ResultFile, storage: Storage) -> Deviation | None:
    def deviates(fault: Fault, message: str) -> Deviation:
        return Deviation(fault=fault, path=file.path, label=label, message=message)

    if _leads_out(file.path):
        return deviates(Fault.OUTSIDE, "is named by a row, but lies outside the output folder")
    path = output / file.path
    size = (await storage.sizes([path]))[0]
    if size is None:
        return deviates(Fault.MISSING, "is not there")
    if size != file.bytes:
        return deviates(Fault.SIZE, f"holds {size:,} bytes, expected {file.bytes:,}")
    if await storage.digest(path) != file.sha256:
        return deviates(Fault.SHA256, "has other bytes than were delivered (SHA-256 differs)")
    return None


def _leads_out(path: str) -> bool:
    """Whether a row's path is no plain way down from the output folder, on any system."""
    return PurePosixPath(path).is_absolute() or ".." in path.split("/") or any(sign in path for sign in "\\:")


def _unexpected(output: Path, expected: Collection[str]) -> list[Deviation]:
    there = (
        path.relative_to(output).as_posix()
        for folder in DELIVERY_FOLDERS
        for path in sorted((output / folder).rglob("*.glb"))
    )
    return [
        Deviation(fault=Fault.UNEXPECTED, path=path, label="", message="is in no row of the results manifest")
        for path in there
        if _composed(path) not in expected
    ]


def _composed(path: str) -> str:
    """Some file systems hand names back in Unicode's other form."""
    return unicodedata.normalize("NFC", path)
