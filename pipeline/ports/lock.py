"""One run at a time per state folder: a kernel lock, freed by the death of its holder."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from pipeline.domain.errors import LocalIoError, LockHeld

LOCK_FILE = "lock"


@contextmanager
def state_lock(folder: Path) -> Iterator[None]:
    """Hold the folder's lock for the scope.

    Raises:
        LockHeld: another run has it.
        LocalIoError: the folder cannot be made or written.
    """
    lock = FileLock(folder / LOCK_FILE)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout as error:
        raise LockHeld(
            f"another run works on {folder}", mend="wait for its end, or look at it with `mvmesh status`"
        ) from error
    except OSError as error:
        raise LocalIoError(
            f"the state folder {folder} cannot be used: {error.strerror}",
            mend="make it writable, or name another one under `state:` in the manifest",
        ) from error
    try:
        yield
    finally:
        lock.release()
