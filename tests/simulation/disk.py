"""A disk in memory that loses at a power cut what was not synced, and the port that a process has on it."""

import hashlib
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from anyio.lowlevel import checkpoint

from pipeline.domain.errors import LocalIoError
from simulation.process import Process


@dataclass(slots=True)
class File:
    data: bytes
    synced: bool
    """Its bytes outlast a power cut."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Change:
    """A change of names that no sync of its folder has made lasting yet."""

    folder: str
    path: str
    before: File | None
    after: File | None
    moved_from: str = ""


class Disk:
    """Files by path; ``folded``: of a file system that ignores case. ``watch`` hears of every file that comes to stand
    somewhere, before anything else happens.
    """

    def __init__(self, *, watch: Callable[[str, bytes], None], folded: bool = False) -> None:
        self._files: dict[str, File] = {}
        self._unsynced: list[_Change] = []
        self._watch = watch
        self._folded = folded

    def names(self, below: Path) -> list[str]:
        start = f"{self._key(below)}/"
        return sorted(name.removeprefix(start) for name in self._files if name.startswith(start))

    def get(self, path: Path | str) -> bytes | None:
        file = self.file(path)
        return None if file is None else file.data

    def file(self, path: Path | str) -> File | None:
        return self._files.get(self._key(path))

    def put(self, path: Path | str, data: bytes) -> None:
        """As somebody else would: at once and for good."""
        self._set(self._key(path), File(data, synced=True))

    def take(self, path: Path | str) -> None:
        """As somebody else would: at once and for good."""
        self._files.pop(self._key(path), None)

    def link(self, path: Path, file: File) -> None:
        self._change(self._key(path), file)

    def unlink(self, path: Path) -> None:
        key = self._key(path)
        if file := self._files.pop(key, None):
            self._unsynced.append(_Change(folder=_folder(key), path=key, before=file, after=None))

    def rename(self, source: Path, target: Path) -> None:
        key = self._key(source)
        self._change(self._key(target), self._files.pop(key), moved_from=key)

    def grow(self, path: Path, data: bytes) -> None:
        """More bytes of a file that is being written."""
        key = self._key(path)
        file = self._files[key]
        file.data, file.synced = data, False
        self._watch(key, data)

    def sync_folder(self, folder: Path) -> None:
        key = self._key(folder)
        self._unsynced = [one for one in self._unsynced if one.folder != key]

    def is_folder(self, path: Path) -> bool:
        start = f"{self._key(path)}/"
        return any(name.startswith(start) for name in self._files)

    def power_cut(self, chance: Random) -> None:
        """Names that were not synced may be as before; bytes that were not synced may be anything."""
        for change in reversed(self._unsynced):
            if chance.random() < 0.5:
                self._undo(change)
        self._unsynced = []
        for path, file in list(self._files.items()):
            if not file.synced:
                _damage(file, chance)
                self._watch(path, file.data)

    def _undo(self, change: _Change) -> None:
        if self._files.get(change.path) is not change.after or (change.moved_from and change.moved_from in self._files):
            return
        self._files.pop(change.path, None)
        if change.before is not None:
            self._set(change.path, change.before)
        if change.moved_from and change.after is not None:
            self._set(change.moved_from, change.after)

    def _change(self, path: str, file: File, moved_from: str = "") -> None:
        before = self._files.get(path)
        self._unsynced.append(
            _Change(folder=_folder(path), path=path, before=before, after=file, moved_from=moved_from)
        )
        self._set(path, file)

    def _key(self, path: Path | str) -> str:
        return str(path).lower() if self._folded else str(path)

    def _set(self, path: str, file: File) -> None:
        self._files[path] = file
        self._watch(path, file.data)


def _damage(file: File, chance: Random) -> None:
    length = len(file.data)
    match chance.randrange(4):
        case 0:
            file.data = b""
        case 1:
            file.data = file.data[: length // 2]
        case 2:
            file.data = file.data[: length // 2] + bytes(length - length // 2)
    file.synced = True


def _folder(path: str) -> str:
    return path.rpartition("/")[0]


class DiskStorage:
    """The port ``Storage`` of one process. Between any two effects the process may die."""

    def __init__(self, disk: Disk, process: Process) -> None:
        self._disk = disk
        self._process = process

    async def publish(self, source: Path, target: Path) -> None:
        await checkpoint()
        self._process.write(f"disk: publish {target.name}")
        self._require_place(target)
        self._there(source, f"{target}: cannot be written").synced = True
        self._move(source, target)

    async def publish_new(self, source: Path, target: Path, *, unless: Path | None = None) -> bool:
        there, beside, given = await self.sizes([target, unless or target, source])
        if there is not None or beside is not None or given is None:
            return False
        await self.publish(source, target)
        return True

    async def copy(self, source: Path, target: Path) -> None:
        await checkpoint()
        self._process.check()
        self._require_place(target)
        self._new_file(target, self._there(source, f"{target}: cannot be written").data)

    async def write(self, target: Path, data: bytes) -> None:
        await checkpoint()
        self._process.check()
        self._require_place(target)
        self._new_file(target, data)

    async def append(self, path: Path, data: bytes, *, anew: bool) -> None:
        await checkpoint()
        self._process.write(f"disk: more of {path.name}")
        if anew:
            self._require_place(path)
            self._disk.link(path, File(b"", synced=False))
        self._disk.grow(path, self._there(path, f"{path}: cannot be written").data + data)

    async def stamps(self, paths: Sequence[Path]) -> list[str | None]:
        return [await self.digest(path) for path in paths]

    async def read(self, path: Path) -> bytes:
        await checkpoint()
        self._process.check()
        return self._there(path, f"{path}: cannot be read").data

    async def head(self, path: Path, length: int) -> tuple[bytes, int]:
        data = await self.read(path)
        return data[:length], len(data)

    async def read_part(self, path: Path, start: int, length: int) -> bytes:
        return (await self.read(path))[start : start + length]

    async def pieces(self, path: Path, length: int) -> AsyncGenerator[bytes]:
        data = await self.read(path)
        for at in range(0, len(data), length):
            await checkpoint()
            yield data[at : at + length]

    async def sizes(self, paths: Sequence[Path]) -> list[int | None]:
        await checkpoint()
        self._process.check()
        found = [self._disk.get(path) for path in paths]
        return [None if data is None else len(data) for data in found]

    async def digest(self, path: Path) -> str | None:
        await checkpoint()
        self._process.check()
        if self._disk.is_folder(path):
            raise LocalIoError(f"{path}: cannot be read (Is a directory)", mend="move it away")
        data = self._disk.get(path)
        return None if data is None else hashlib.sha256(data).hexdigest()

    async def retire(self, path: Path, into: Path) -> None:
        await checkpoint()
        self._process.check()
        if self._disk.get(path) is None:
            return
        self._process.write(f"disk: retire {path.name}")
        self._move(path, self._reserved(into, path.name))

    async def remove(self, paths: Iterable[Path]) -> None:
        await checkpoint()
        for path in paths:
            self._process.check()
            if self._disk.get(path) is not None:
                self._process.step("disk", f"disk: remove {path.name}")
                self._disk.unlink(path)
                self._process.step("disk", "disk: it is gone")
                self._disk.sync_folder(path.parent)

    def _new_file(self, target: Path, data: bytes) -> None:
        """As the real one: what could not be written leaves nothing behind, unless the process dies of it."""
        part, file = target.with_name(f".{target.name}.part"), File(b"", synced=False)
        self._process.write(f"disk: write {target.name}")
        self._disk.link(part, file)
        try:
            self._disk.grow(part, data[: len(data) // 2])
            self._process.write("disk: half of it is written")
            self._disk.grow(part, data)
            file.synced = True
            self._move(part, target)
        except LocalIoError:
            self._disk.unlink(part)
            raise

    def _move(self, source: Path, target: Path) -> None:
        self._process.step("disk", "disk: it is whole")
        self._disk.rename(source, target)
        self._process.step("disk", "disk: it is in its place")
        self._disk.sync_folder(target.parent)
        self._disk.sync_folder(source.parent)

    def _reserved(self, folder: Path, name: str) -> Path:
        count = 1
        while True:
            place = folder / (f"{name}.replaced" if count == 1 else f"{name}.{count}.replaced")
            if self._disk.get(place) is None:
                return place
            count += 1

    def _there(self, path: Path, trouble: str) -> File:
        file = self._disk.file(path)
        if file is None:
            raise LocalIoError(f"{trouble} (No such file: {path})", mend="let no other program work there")
        return file

    def _require_place(self, path: Path) -> None:
        if self._disk.is_folder(path):
            raise LocalIoError(f"{path}: cannot be written (Is a directory)", mend="move it away")
        blocked = next((above for above in path.parents if self._disk.file(above) is not None), None)
        if blocked is not None:
            raise LocalIoError(f"{path}: cannot be written (Not a directory: {blocked})", mend="move it away")
