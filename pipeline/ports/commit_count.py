"""The file beside a database that tells how many commits it has had, and how it was left (``NAME-count``)."""

from contextlib import suppress
from io import FileIO
from pathlib import Path

_COUNT_DIGITS = 20


def count_file(path: Path) -> Path:
    """Where it is written how many commits the database of this path has had."""
    return path.with_name(f"{path.name}-count")


class CountFile:
    """Tells how many commits there were: after each, so that it never tells of one that was not made. Where it cannot,
    it tells of fewer.
    """

    def __init__(self, path: Path) -> None:
        self._path = count_file(path)
        self._file: FileIO | None = None

    def tell(self, count: int) -> None:
        with suppress(OSError):
            if self._file is None:
                self._file = self._path.open("r+b" if self._path.exists() else "xb", buffering=0)
            self._file.seek(0)
            self._file.write(f"{count:0{_COUNT_DIGITS}}\n".encode())

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


def told_count(path: Path) -> int:
    try:
        return int(count_file(path).read_bytes()[: _COUNT_DIGITS + 1])
    except (OSError, ValueError):
        return 0


def note_leaving(path: Path) -> None:
    """Beside the count: the state that the file was left in, by one who knows that it is whole."""
    with suppress(OSError), count_file(path).open("r+b") as file:
        file.seek(_COUNT_DIGITS + 1)
        file.write(f"{_state(path)}\n".encode())
        file.truncate()


def forget_leaving(path: Path) -> None:
    with suppress(OSError), count_file(path).open("r+b") as file:
        file.truncate(_COUNT_DIGITS + 1)


def is_as_left(path: Path) -> bool:
    """With a log beside it, it was not closed in peace (or is in use)."""
    try:
        _, left, _ = count_file(path).read_text().split("\n")
    except (OSError, ValueError):
        return False
    return left == _state(path) and not path.with_name(f"{path.name}-wal").exists()


def _state(path: Path) -> str:
    found = path.stat()
    return f"{found.st_size} {found.st_mtime_ns} {found.st_ino}"
