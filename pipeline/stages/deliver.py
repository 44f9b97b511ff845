"""Deliver: files come to their place under a person's name for them; then the results manifest is published."""

from collections.abc import AsyncGenerator, AsyncIterable, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pipeline.domain.errors import LocalIoError, MeshDamaged
from pipeline.domain.items import Alias, OutputFile
from pipeline.domain.outputs import PREVIEW, file_name, mesh_folder, preview_path
from pipeline.domain.results import ResultRow, as_csv, as_jsonl
from pipeline.ports.interfaces import Storage

PREVIEW_TYPE = "image/webp"
RESULTS_JSONL = "results.jsonl"
RESULTS_CSV = "results.csv"
REPORT = "report.html"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A whole file that is to stand in the output folder."""

    role: str
    path: Path
    suffix: str
    media_type: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf:
    """Where deliveries stand, and where what they replace is kept."""

    output: Path
    replaced: Path
    """``.mvmesh/replaced/<time>`` of this run."""


class SourceGone(MeshDamaged):
    """A file that was downloaded, or delivered before, is no longer there."""


async def deliver(
    sources: Sequence[Source], alias: Alias, *, shelf: Shelf, held: bool, keep_sources: bool, storage: Storage
) -> tuple[OutputFile, ...]:
    """Put the files of one result to their place under one alias. Repeating it changes nothing. What stands there, or
    under the other verdict (a run may have ended before it could say so), is kept in ``replaced/``.

    Args:
        sources: the files.
        alias: the name they were asked for under.
        shelf: the output folder.
        held: a person should look first: they go to ``held/``.
        keep_sources: copy instead of move.
        storage: does it atomically.

    Raises:
        SourceGone: a source is missing, and does not stand at its place already.
        LocalIoError: disk full, permission.
    """
    folder, other = mesh_folder(alias, held=held), mesh_folder(alias, held=not held)
    placed = []
    for source in sources:
        file = file_name(alias, source.role, source.suffix)
        name, beside = folder / file, other / file
        target = shelf.output / name
        if keep_sources or not await storage.publish_new(source.path, target, unless=shelf.output / beside):
            await _place(source, name, shelf=shelf, keep_source=keep_sources, storage=storage)
            await retire([beside], shelf=shelf, storage=storage)
        placed.append(
            OutputFile(
                role=source.role,
                name=str(name),
                size_bytes=source.size_bytes,
                sha256=source.sha256,
                media_type=source.media_type,
            )
        )
    return tuple(placed)


async def _place(source: Source, name: PurePosixPath, *, shelf: Shelf, keep_source: bool, storage: Storage) -> None:
    target = shelf.output / name
    there_bytes, source_bytes = await storage.sizes([target, source.path])
    if there_bytes == source.size_bytes and await storage.digest(target) == source.sha256:
        if not keep_source and source.path != target:
            await storage.remove([source.path])
        return
    if source_bytes is None:
        raise SourceGone(f"{source.path} is gone before it was delivered as {name}")
    if there_bytes is not None:
        await storage.retire(target, shelf.replaced / name.parent)
    await (storage.copy if keep_source else storage.publish)(source.path, target)


async def retire(names: Iterable[PurePosixPath], *, shelf: Shelf, storage: Storage) -> None:
    """Keep what stands under these names in the output folder: no seed brings a replaced mesh back."""
    for name in names:
        if (await storage.sizes([shelf.output / name]))[0] is not None:
            await storage.retire(shelf.output / name, shelf.replaced / name.parent)


async def deliver_preview(picture: bytes, sha256: str, alias: Alias, *, output: Path, storage: Storage) -> OutputFile:
    name = preview_path(alias)
    await storage.write(output / name, picture)
    return OutputFile(role=PREVIEW, name=str(name), size_bytes=len(picture), sha256=sha256, media_type=PREVIEW_TYPE)


async def publish(rows: AsyncGenerator[Sequence[ResultRow]], *, output: Path, storage: Storage) -> None:
    """Write ``results.jsonl`` and ``results.csv``, each atomically; the rows come some at a time."""
    lines, table = output / f".{RESULTS_JSONL}.part", output / f".{RESULTS_CSV}.part"
    try:
        async with aclosing(rows):
            await _write_parts(rows, lines, table, storage)
        await storage.publish(lines, output / RESULTS_JSONL)
        await storage.publish(table, output / RESULTS_CSV)
    except LocalIoError:
        await storage.remove([lines, table])
        raise


async def _write_parts(rows: AsyncIterable[Sequence[ResultRow]], lines: Path, table: Path, storage: Storage) -> None:
    is_first = True
    async for some in rows:
        await storage.append(lines, as_jsonl(some).encode(), anew=is_first)
        await storage.append(table, as_csv(some, has_head=is_first).encode(), anew=is_first)
        is_first = False
    if is_first:
        await storage.append(lines, b"", anew=True)
        await storage.append(table, as_csv([]).encode(), anew=True)


def draw_preview(mesh: str, front: str) -> bytes:
    """A picture of the mesh beside its front view, as WebP. Runs in a worker process; needs the engine extra."""
    from pipeline.geometry.preview import preview  # noqa: PLC0415 - numpy is not in the base install
    from pipeline.ports.images import encode_webp, read_rgba  # noqa: PLC0415
    from pipeline.ports.meshes import read_glb  # noqa: PLC0415

    picture = preview(read_glb(Path(mesh).read_bytes()).parts, read_rgba(Path(front).read_bytes()))
    return encode_webp(picture, quality=88)


def sources_of(files: Sequence[OutputFile], output: Path) -> list[Source]:
    """What already stands in the output folder, to be placed under another name too."""
    return [
        Source(
            role=one.role,
            path=output / one.name,
            suffix=PurePosixPath(one.name).suffix,
            media_type=one.media_type,
            size_bytes=one.size_bytes,
            sha256=one.sha256,
        )
        for one in files
        if one.role != PREVIEW
    ]
