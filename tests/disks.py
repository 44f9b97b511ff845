"""Small and read-only disks, real ones: file systems in memory, mounted by a test that runs as root on Linux."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

needs_mounts = pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="only root may mount a file system, on Linux"
)


class Disk:
    """A file system of its own at ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"

    def fill(self, *, free_bytes: int) -> None:
        """Leave so much room, in whole pages."""
        stats = os.statvfs(self.folder)
        with self._ballast.open("ab") as file:
            os.posix_fallocate(file.fileno(), 0, file.tell() + max(0, stats.f_bavail * stats.f_frsize - free_bytes))

    def make_room(self) -> None:
        self._ballast.unlink()

    def lock(self) -> None:
        """Readable alone from now on."""
        _mount("-o", "remount,ro", str(self.folder))

    def unlock(self) -> None:
        _mount("-o", "remount,rw", str(self.folder))


@contextmanager
def disk(folder: Path, *, size_bytes: int) -> Iterator[Disk]:
    """A disk of this size for the scope; skips the test where this container may not mount."""
    folder.mkdir(parents=True, exist_ok=True)
    if _mount("-t", "tmpfs", "-o", f"size={size_bytes}", "mvmesh-test", str(folder)):
        pytest.skip("this container may not mount a file system")
    try:
        yield Disk(folder)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def _mount(*arguments: str) -> int:
    return subprocess.run(["mount", *arguments], check=False, capture_output=True).returncode
