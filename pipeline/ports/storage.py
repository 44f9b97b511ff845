"""Files on the local disk. What is visible is whole: temporary name, fsync, rename, fsync of the folder.

Each operation is one hop to a thread and is not cut short by cancellation.
"""

import asyncio
import errno
import hashlib
import os
import shutil
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, TypeVar, TypeVarTuple

import anyio
from anyio.lowlevel import checkpoint_if_cancelled

from pipeline.domain.errors import LocalIoError

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_PARALLEL = 8
_WINDOWS_PATH_MAX = 259
_WINDOWS_LOCKED = (32, 33)
"""ERROR_SHARING_VIOLATION, ERROR_LOCK_VIOLATION."""

_NO_FOLDER_SYNC = frozenset({errno.EINVAL, errno.EBADF, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EACCES})
"""How some network file systems say that they do not sync folders."""

_MENDS = {
    errno.ENOSPC: "free some space on that disk, then run again: what is finished stays",
    errno.EDQUOT: "your quota on that disk is used up; free some space, then run again",
    errno.EACCES: "give yourself the right to write there, or choose another output folder",
    errno.EPERM: "give yourself the right to write there, or choose another output folder",
    errno.EROFS: "the disk can only be read; choose another output folder",
    errno.EISDIR: "a folder stands where a file is expected; move it away",
    errno.ENOTDIR: "a file stands where a folder is expected; move it away",
    errno.EEXIST: "something else stands where a folder is expected; move it away",
    errno.ELOOP: "symbolic links lead in a circle; remove them",
    errno.ENAMETOOLONG: "choose shorter folder names, or an `id` for the set",
    errno.ENOENT: "something else removed it; let no other program work in the output folder",
}


class LocalStorage:
    """The port ``Storage``."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_PARALLEL, thread_name_prefix="storage")

    async def publish(self, source: Path, target: Path) -> None:
        """Move a finished temporary file to its place, over what stood there."""
        await self._call(_publish, source, target)

    async def publish_new(self, source: Path, target: Path) -> bool:
        return await self._call(_publish_new, source, target)

    async def copy(self, source: Path, target: Path) -> None:
        await self._call(_copy, source, target)

    async def write(self, target: Path, data: bytes) -> None:
        await self._call(_write, target, data)

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
        await self._call(_retire, path, into)

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


@contextmanager
def local_errors(what: str, path: Path) -> Iterator[None]:
    """Turn an OSError into LocalIoError: the path, what could not be done with it (a participle), why, and the mend."""
    try:
        yield
    except OSError as error:
        cause = error.filename if error.filename not in {None, str(path)} else ""
        reason = f"{error.strerror or error}{f': {cause}' if cause else ''}"
        raise LocalIoError(f"{path}: cannot be {what} ({reason})", mend=_mend(error, path)) from error


def _mend(error: OSError, path: Path) -> str:
    if getattr(error, "winerror", None) in _WINDOWS_LOCKED:
        return "another program has it open; close it there, then run again"
    if os.name == "nt" and len(str(path)) > _WINDOWS_PATH_MAX:
        return "the path is too long for Windows: choose shorter folder names, or switch on long paths"
    return _MENDS.get(error.errno or 0, "see to the disk, then run again: what is finished stays")


def _publish(source: Path, target: Path) -> None:
    with local_errors("written", target):
        _sync_file(source)
        with _folder(target.parent):
            _move(source, target)


def _publish_new(source: Path, target: Path) -> bool:
    if os.path.lexists(target) or not source.exists():
        return False
    _publish(source, target)
    return True


def _copy(source: Path, target: Path) -> None:
    with (
        local_errors("written", target),
        _folder(target.parent),
        source.open("rb") as original,
        _new_file(target) as file,
    ):
        shutil.copyfileobj(original, file)


def _write(target: Path, data: bytes) -> None:
    with local_errors("written", target), _folder(target.parent), _new_file(target) as file:
        file.write(data)


def _append(path: Path, data: bytes, anew: bool) -> None:  # noqa: FBT001 - handed on by position
    with local_errors("written", path):
        if anew:
            _make_folder(path.parent)
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


def _retire(path: Path, into: Path) -> None:
    if not path.exists():
        return
    with local_errors("moved away", path), _folder(into):
        _move(path, _reserved(into, path.name))
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


def _move(source: Path, target: Path) -> None:
    """Rename; across file systems copy, then remove the source."""
    try:
        source.replace(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        with source.open("rb") as original, _new_file(target) as file:
            shutil.copyfileobj(original, file)
        source.unlink()
    else:
        sync_folder(target.parent)


@contextmanager
def _new_file(target: Path) -> Iterator[BinaryIO]:
    """A file to write into, which stands at ``target`` when the block ends well, and nowhere when it does not.

    Its temporary name follows from the target's, so that what a killed run left there goes with the next write.
    """
    part = target.with_name(f".{target.name}.part")
    part.unlink(missing_ok=True)
    try:
        with part.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(target)
    except BaseException:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise
    sync_folder(target.parent)


@contextmanager
def _folder(folder: Path) -> Iterator[None]:
    """Within the block the folder is there; at its end, the folder that it is in knows of it for good.

    One sync after the other, once all is done, is one round of the file system's journal: the second finds all written.
    """
    is_new = _new_folder(folder)
    yield
    if is_new:
        sync_folder(folder.parent)


def _make_folder(folder: Path) -> None:
    with _folder(folder):
        pass


def _new_folder(folder: Path) -> bool:
    """False: it is there already. What it lacks above it is made known at once, for others use that, too."""
    try:
        folder.mkdir()
    except FileNotFoundError:
        if folder == folder.parent:
            raise
        _make_folder(folder.parent)
        return _new_folder(folder)
    except OSError:  # what a disk says that may not be written to differs, even where the folder is there already
        if not folder.is_dir():
            raise
        return False
    return True


def _sync_file(path: Path) -> None:
    with path.open("rb+") as file:  # Windows flushes only what is open for writing
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Make a rename in this folder outlast a power cut, where the system can. That the disk failed is an error."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in _NO_FOLDER_SYNC:
            raise
    finally:
        os.close(handle)
