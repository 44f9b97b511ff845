"""Files on the local disk. What is visible is whole: temporary name, fsync, rename, fsync of the folder.

Each operation is one hop to a thread and is not cut short by cancellation. New files that come while others are brought
to their places share a hop.
"""

import asyncio
import hashlib
import os
import shutil
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TypeVar, TypeVarTuple

import anyio
from anyio.lowlevel import checkpoint_if_cancelled

from pipeline.ports.durable import Folders, local_errors, make_folder, move, new_file, sync_file, sync_folder
from pipeline.ports.gathering import Asked, Gathering
from pipeline.ports.new_files import Move, NewFiles

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_PARALLEL = 8
_ROUNDS = 2
_NEW_TOGETHER = 16
"""New files to a hop, at most: who comes first waits for the last."""


class LocalStorage:
    """The port ``Storage``."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_PARALLEL, thread_name_prefix="storage")
        self._folders = Folders()
        self._new_files = NewFiles(self._folders)
        self._new = Gathering(self._publish_together, rounds=_ROUNDS, most=_NEW_TOGETHER)

    async def publish(self, source: Path, target: Path) -> None:
        """Move a finished temporary file to its place, over what stood there."""
        await self._call(_publish, self._folders, source, target)

    async def publish_new(self, source: Path, target: Path, *, unless: Path | None = None) -> bool:
        await checkpoint_if_cancelled()
        with anyio.CancelScope(shield=True):
            was_new = await self._new.ask(Move(source, target, unless))
        return was_new  # noqa: RET504 - what the scope might swallow, the type checker cannot tell

    async def _publish_together(self, asked: Sequence[Asked[Move, bool]]) -> None:
        await self._call(self._new_files.publish_all, asked)

    async def copy(self, source: Path, target: Path) -> None:
        await self._call(_copy, self._folders, source, target)

    async def write(self, target: Path, data: bytes) -> None:
        await self._call(_write, self._folders, target, data)

    async def append(self, path: Path, data: bytes, *, anew: bool) -> None:
        await self._call(_append, path, data, anew)

    async def stamps(self, paths: Sequence[Path]) -> list[str | None]:
        return await self._call(_stamps, paths)

    async def read(self, path: Path) -> bytes:
        return await self._call(_read, path)

    async def head(self, path: Path, length: int) -> tuple[bytes, int]:
        return await self._call(_head, path, length)

    async def read_part(self, path: Path, start: int, length: int) -> bytes:
        return await self._call(_read_part, path, start, length)

    async def sizes(self, paths: Sequence[Path]) -> list[int | None]:
        return await self._call(_sizes, paths)

    async def pieces(self, path: Path, length: int) -> AsyncGenerator[bytes]:
        with local_errors("read", path):
            file = await self._call(path.open, "rb")
        try:
            while True:
                with local_errors("read", path):
                    piece = await self._call(file.read, length)
                if not piece:
                    return
                yield piece
        finally:
            file.close()

    async def digest(self, path: Path) -> str | None:
        """SHA-256 of a file's bytes; None when there is no such file."""
        return await self._call(_digest, path)

    async def retire(self, path: Path, into: Path) -> None:
        """Move a file into the folder ``into`` as ``NAME.replaced`` (``NAME.2.replaced``, ... where that is taken).

        A file that is not there has been retired before.
        """
        await self._call(_retire, self._folders, path, into)

    async def remove(self, paths: Iterable[Path]) -> None:
        """Remove files, and the folders that become empty by it; missing ones are fine."""
        await self._call(_remove, tuple(paths))

    async def _call(self, function: Callable[[*Ts], T], *args: *Ts) -> T:
        """Half of what ``anyio.to_thread`` costs, and small files cost little else."""
        await checkpoint_if_cancelled()
        work = asyncio.get_running_loop().run_in_executor(self._threads, function, *args)
        with anyio.CancelScope(shield=True):
            await work
        return work.result()


def _publish(folders: Folders, source: Path, target: Path) -> None:
    with local_errors("written", target):
        sync_file(source)
        with folders.known(target.parent):
            move(source, target)


def _copy(folders: Folders, source: Path, target: Path) -> None:
    with (
        local_errors("written", target),
        folders.known(target.parent),
        source.open("rb") as original,
        new_file(target) as file,
    ):
        shutil.copyfileobj(original, file)


def _write(folders: Folders, target: Path, data: bytes) -> None:
    with local_errors("written", target), folders.known(target.parent), new_file(target) as file:
        file.write(data)


def _append(path: Path, data: bytes, anew: bool) -> None:  # noqa: FBT001 - handed on by position
    with local_errors("written", path):
        if anew:
            make_folder(path.parent)
        with path.open("wb" if anew else "ab") as file:
            file.write(data)


def _stamps(paths: Sequence[Path]) -> list[str | None]:
    return [_stamp(path) for path in paths]


def _stamp(path: Path) -> str | None:
    with local_errors("read", path), suppress(FileNotFoundError, NotADirectoryError):
        found = path.stat()
        return f"{found.st_size} {found.st_mtime_ns} {found.st_ino}"
    return None


def _read(path: Path) -> bytes:
    with local_errors("read", path):
        return path.read_bytes()


def _head(path: Path, length: int) -> tuple[bytes, int]:
    with local_errors("read", path), path.open("rb") as file:
        return file.read(length), os.fstat(file.fileno()).st_size


def _read_part(path: Path, start: int, length: int) -> bytes:
    with local_errors("read", path), path.open("rb") as file:
        file.seek(start)
        return file.read(length)


def _sizes(paths: Sequence[Path]) -> list[int | None]:
    return [_size(path) for path in paths]


def _size(path: Path) -> int | None:
    with local_errors("read", path), suppress(FileNotFoundError, NotADirectoryError):
        return path.stat().st_size if path.is_file() else None
    return None


def _digest(path: Path) -> str | None:
    with local_errors("read", path), suppress(FileNotFoundError, NotADirectoryError), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
    return None


def _retire(folders: Folders, path: Path, into: Path) -> None:
    if not path.exists():
        return
    with local_errors("moved away", path), folders.known(into):
        move(path, _reserved(into, path.name))
        sync_folder(path.parent)


def _reserved(folder: Path, name: str) -> Path:
    """A new, empty file: what was retired before keeps its place, whoever retires beside us."""
    count = 1
    while True:
        place = folder / (f"{name}.replaced" if count == 1 else f"{name}.{count}.replaced")
        try:
            place.touch(exist_ok=False)
        except FileExistsError:
            count += 1
        else:
            return place


def _remove(paths: tuple[Path, ...]) -> None:
    for path in paths:
        with local_errors("removed", path):
            with suppress(FileNotFoundError, NotADirectoryError):
                path.unlink()
                sync_folder(path.parent)  # what the ledger forgets next must not come back with a power cut
            _remove_empty(path.parent)


def _remove_empty(folder: Path) -> None:
    """This folder and those above it, up to the first that holds something (or may not be removed)."""
    for one in (folder, *folder.parents):
        try:
            one.rmdir()
        except FileNotFoundError:
            continue
        except OSError:
            return
