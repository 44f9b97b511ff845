"""One run at a time per state folder: a kernel lock, freed by the death of its holder."""

import errno
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, SoftFileLock, Timeout

from pipeline.domain.errors import LocalIoError, LockHeld

LOCK_FILE = "lock"

_NO_LOCKS = frozenset({errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP})
"""What a file system without locks answers."""


@contextmanager
def state_lock(folder: Path) -> Iterator[None]:
    """Hold the folder's lock for the scope.

    Raises:
        LockHeld: another run has it.
        LocalIoError: the folder cannot be made or written, or its file system keeps no locks.
    """
    lock = FileLock(folder / LOCK_FILE)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _acquire(lock, folder)
    except Timeout as error:
        raise LockHeld(
            f"another run works on {folder}", mend="wait for its end, or look at it with `mvmesh status`"
        ) from error
    except (OSError, NotImplementedError) as error:
        if isinstance(error, NotImplementedError) or error.errno in _NO_LOCKS:
            raise _no_locks(folder) from error
        raise LocalIoError(
            f"the state folder {folder} cannot be used: {error.strerror}",
            mend="make it writable, or name another one under `state:` in the manifest",
        ) from error
    try:
        yield
    finally:
        lock.release()


def _acquire(lock: FileLock, folder: Path) -> None:
    """Where the kernel has no locks for this folder, filelock turns to one that a killed run would never give back."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        lock.acquire(timeout=0)
    if isinstance(lock, SoftFileLock):
        lock.release()
        raise _no_locks(folder)


def _no_locks(folder: Path) -> LocalIoError:
    return LocalIoError(
        f"the file system of the state folder {folder} keeps no locks: two runs at once would pay twice",
        mend="name a folder on a local disk under `state:` in the manifest",
    )
