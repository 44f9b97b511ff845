"""Files that outlast a power cut: written, synced, named, and the folders that name them synced, in this order."""

import errno
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock
from typing import BinaryIO

from pipeline.domain.errors import LocalIoError

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


def move(source: Path, target: Path) -> None:
    """Rename; across file systems copy, then remove the source."""
    rename(source, target)
    sync_folder(target.parent)


def rename(source: Path, target: Path) -> None:
    """As ``move``; the folder is still to be synced."""
    try:
        source.replace(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        with source.open("rb") as original, new_file(target) as file:
            shutil.copyfileobj(original, file)
        source.unlink()


@contextmanager
def new_file(target: Path) -> Iterator[BinaryIO]:
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


class Folders:
    """Makes folders, for several threads at one time: who comes to one that another has just made, and that the folder
    which it is in may not know of for good yet, makes sure of that by himself.
    """

    def __init__(self) -> None:
        self._making = Lock()
        self._unknown: set[Path] = set()

    def make(self, folder: Path) -> None:
        """It is there; nothing in it is to be told of before it is known."""
        with self._making:  # who finds it made finds it noted, too
            if new_folder(folder):
                self._unknown.add(folder)

    def is_known(self, folder: Path) -> bool:
        """Whether the folder that it is in need not be synced any more."""
        return folder not in self._unknown

    def became_known(self, folders: Iterable[Path]) -> None:
        """The folders that these are in were synced."""
        self._unknown.difference_update(folders)

    @contextmanager
    def known(self, folder: Path) -> Iterator[None]:
        """Within the block it is there, at its end it is known.

        One sync after the other, once all is done, is one round of the file system's journal: the second finds all
        written.
        """
        self.make(folder)
        yield
        if not self.is_known(folder):
            sync_folder(folder.parent)
            self.became_known([folder])


def make_folder(folder: Path) -> None:
    """It is there, and the folder that it is in knows of it for good."""
    if new_folder(folder):
        sync_folder(folder.parent)


def new_folder(folder: Path) -> bool:
    """False: it is there already. What it lacks above it is made known at once, for others use that, too."""
    try:
        folder.mkdir()
    except FileNotFoundError:
        if folder == folder.parent:
            raise
        make_folder(folder.parent)
        return new_folder(folder)
    except OSError:  # what a disk says that may not be written to differs, even where the folder is there already
        if not folder.is_dir():
            raise
        return False
    return True


def sync_file(path: Path) -> None:
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
