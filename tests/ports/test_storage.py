import errno
import hashlib
import os
import subprocess
import sys
from contextlib import aclosing
from functools import partial
from pathlib import Path
from threading import Event

import anyio
import pytest

from pipeline.domain.errors import LocalIoError
from pipeline.ports.durable import local_errors
from pipeline.ports.lines import lines_of
from pipeline.ports.storage import LocalStorage

pytestmark = pytest.mark.anyio

needs_rights = pytest.mark.skipif(
    sys.platform == "win32" or (hasattr(os, "geteuid") and os.geteuid() == 0), reason="needs a user whom rights bind"
)
SHM = Path("/dev/shm")  # another file system, on Linux
needs_other_disk = pytest.mark.skipif(not SHM.is_dir(), reason="no second file system at hand")


@pytest.fixture
def storage() -> LocalStorage:
    return LocalStorage()


def names(folder: Path) -> list[str]:
    return sorted(one.relative_to(folder).as_posix() for one in folder.rglob("*") if one.is_file())


async def test_what_is_written_can_be_read_and_nothing_else_is_left(storage, tmp_path):
    target = tmp_path / "a b" / "Ünïcode 视图" / "x.bin"
    await storage.write(target, b"one")
    await storage.write(target, b"two")
    assert await storage.read(target) == b"two"
    assert await storage.read_part(target, 1, 10) == b"wo"
    assert names(tmp_path) == [target.relative_to(tmp_path).as_posix()]


async def test_publishing_moves_the_file_over_the_old_one(storage, tmp_path):
    source, target = tmp_path / "in" / "download.part", tmp_path / "out" / "deep" / "mesh.glb"
    await storage.write(source, b"new mesh")
    await storage.write(target, b"old mesh")
    await storage.publish(source, target)
    assert target.read_bytes() == b"new mesh"
    assert names(tmp_path) == ["out/deep/mesh.glb"]


async def test_a_copy_leaves_the_source(storage, tmp_path):
    source, target = tmp_path / "a.glb", tmp_path / "b" / "b.glb"
    source.write_bytes(b"mesh")
    await storage.copy(source, target)
    assert (source.read_bytes(), target.read_bytes()) == (b"mesh", b"mesh")


@needs_other_disk
async def test_publishing_crosses_file_systems(storage, tmp_path):
    source = SHM / f"mvmesh-test-{os.getpid()}.part"
    source.write_bytes(b"mesh")
    try:
        if source.stat().st_dev == tmp_path.stat().st_dev:
            pytest.skip("no second file system at hand")
        await storage.publish(source, tmp_path / "out" / "mesh.glb")
        assert not source.exists()
    finally:
        source.unlink(missing_ok=True)
    assert names(tmp_path) == ["out/mesh.glb"]
    assert (tmp_path / "out" / "mesh.glb").read_bytes() == b"mesh"


async def test_published_files_have_the_rights_that_the_user_gives_new_files(storage, tmp_path):
    plain = tmp_path / "plain"
    plain.write_bytes(b"")
    await storage.write(tmp_path / "written", b"")
    assert (tmp_path / "written").stat().st_mode == plain.stat().st_mode


async def test_digest_and_sizes(storage, tmp_path):
    data = os.urandom(300_000)
    (tmp_path / "x").write_bytes(data)
    assert await storage.digest(tmp_path / "x") == hashlib.sha256(data).hexdigest()
    assert await storage.digest(tmp_path / "nothing") is None
    assert await storage.digest(tmp_path / "x" / "below a file") is None
    assert await storage.sizes([tmp_path / "x", tmp_path / "nothing", tmp_path]) == [300_000, None, None]


async def test_retired_files_never_take_one_anothers_place(storage, tmp_path):
    for folder, data in (("a", b"1"), ("b", b"2"), ("c", b"3")):
        await storage.write(tmp_path / folder / "chair.glb", data)
        await storage.retire(tmp_path / folder / "chair.glb", tmp_path / "kept")
    await storage.retire(tmp_path / "a" / "chair.glb", tmp_path / "kept")
    assert names(tmp_path) == ["kept/chair.glb.2.replaced", "kept/chair.glb.3.replaced", "kept/chair.glb.replaced"]
    assert {one.read_bytes() for one in (tmp_path / "kept").iterdir()} == {b"1", b"2", b"3"}


async def test_removing_takes_the_folders_that_become_empty(storage, tmp_path):
    (tmp_path / "stays").write_bytes(b"")
    mesh, more = tmp_path / "m" / "set" / "mesh.glb", tmp_path / "m" / "set" / "albedo.png"
    await storage.write(mesh, b"x")
    await storage.write(more, b"x")
    await storage.remove([mesh])
    assert names(tmp_path) == ["m/set/albedo.png", "stays"]
    await storage.remove([mesh, more, tmp_path / "never" / "was", tmp_path / "stays" / "below a file"])
    assert [one.name for one in tmp_path.iterdir()] == ["stays"]


async def test_a_folder_where_a_file_is_expected_is_named_with_the_mend(storage, tmp_path):
    (tmp_path / "mesh.glb").mkdir()
    (tmp_path / "mesh.glb" / "inside").write_bytes(b"")
    with pytest.raises(LocalIoError, match=r"mesh\.glb: cannot be written") as caught:
        await storage.write(tmp_path / "mesh.glb", b"x")
    assert caught.value.mend
    with pytest.raises(LocalIoError, match="cannot be read"):
        await storage.digest(tmp_path / "mesh.glb")
    assert names(tmp_path) == ["mesh.glb/inside"]


async def test_a_file_where_a_folder_is_expected(storage, tmp_path):
    (tmp_path / "out").write_bytes(b"")
    with pytest.raises(LocalIoError, match="cannot be written"):
        await storage.write(tmp_path / "out" / "set" / "mesh.glb", b"x")


async def test_a_missing_source_is_an_error_that_names_it(storage, tmp_path):
    with pytest.raises(LocalIoError, match=r"mesh\.glb: cannot be written .*gone\.part"):
        await storage.publish(tmp_path / "gone.part", tmp_path / "mesh.glb")
    with pytest.raises(LocalIoError, match="cannot be read"):
        await storage.read(tmp_path / "gone")


@needs_rights
async def test_no_right_to_write(storage, tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(LocalIoError, match="Permission denied") as caught:
        await storage.write(tmp_path / "x", b"x")
    tmp_path.chmod(0o700)
    assert "right to write" in caught.value.mend


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_full_disk_says_so():
    with (
        pytest.raises(LocalIoError) as caught,
        local_errors("written", Path("/out/x")),
        Path("/dev/full").open("wb", 0) as full,
    ):
        full.write(b"x")
    assert "space" in caught.value.mend


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.EACCES, "denied"), "right"),
        (OSError(errno.ENAMETOOLONG, "too long"), "shorter"),
        (OSError(errno.EIO, "i/o error"), "disk"),
    ],
)
def test_foreign_errors_are_translated_with_a_mend(error, words):
    with pytest.raises(LocalIoError, match=r"/out/x") as caught, local_errors("written", Path("/out/x")):
        raise error
    assert words in caught.value.mend
    assert caught.value.__cause__ is error


def test_a_locked_file_on_windows_says_close_it():
    error = PermissionError(errno.EACCES, "used by another process")
    error.winerror = 32  # type: ignore[attr-defined]
    with pytest.raises(LocalIoError) as caught, local_errors("written", Path("/out/x")):
        raise error
    assert "close it" in caught.value.mend


async def test_what_a_killed_run_left_goes_with_the_next_write(storage, tmp_path):
    (tmp_path / ".mesh.glb.part").write_bytes(b"half")
    await storage.write(tmp_path / "mesh.glb", b"whole")
    assert [one.name for one in tmp_path.iterdir()] == ["mesh.glb"]
    assert (tmp_path / "mesh.glb").read_bytes() == b"whole"


FAULTY_DISK = """
import errno, os, resource, stat, sys
from pathlib import Path
import anyio
from pipeline.domain.errors import LocalIoError
from pipeline.ports.storage import LocalStorage

folder, wanted = Path(sys.argv[1]), sys.argv[2]
sync = os.fsync

def fsync(handle):
    kind = "folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "file"
    if kind == wanted:
        raise OSError(errno.EIO, os.strerror(errno.EIO))
    sync(handle)

os.fsync = fsync
if wanted == "size":
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))

async def main():
    storage = LocalStorage()
    for call in (
        storage.write(folder / "a" / "mesh.glb", b"x" * 2000),
        storage.copy(folder / "source", folder / "b" / "mesh.glb"),
        storage.publish(folder / "source", folder / "c" / "mesh.glb"),
        storage.publish_new(folder / "other", folder / "d" / "mesh.glb"),
    ):
        try:
            await call
        except LocalIoError as error:
            print(error, "|", error.mend)

anyio.run(main)
"""


@pytest.mark.skipif(os.name == "nt", reason="folders are not synced there")
@pytest.mark.parametrize(
    ("what", "told", "visible"),
    [("file", 4, []), ("folder", 4, []), ("size", 2, ["c/mesh.glb", "d/mesh.glb"])],
    ids=["fsync of a file", "fsync of a folder", "a file that may not grow"],
)
def test_what_the_disk_did_not_take_is_never_a_success(tmp_path, what, told, visible):
    """An error of fsync or of the last flush; publishing moves a file that is there already."""
    for name in ("source", "other"):
        (tmp_path / name).write_bytes(b"x" * 2000)
    done = subprocess.run(
        [sys.executable, "-c", FAULTY_DISK, str(tmp_path), what], capture_output=True, text=True, check=True
    )
    assert len(done.stdout.splitlines()) == told, done.stdout
    assert all(line.partition(" | ")[2] for line in done.stdout.splitlines())
    if what != "folder":  # a rename that may not last is not undone: the caller does not count on it
        assert [one for one in names(tmp_path) if one.endswith(".glb")] == visible
    assert not [one for one in names(tmp_path) if one.endswith(".part")]


@pytest.mark.skipif(os.name == "nt", reason="folders are not synced there")
async def test_bytes_are_on_the_disk_before_their_name_and_all_names_before_it_is_told(storage, tmp_path, monkeypatch):
    source, target = tmp_path / "mesh.part", tmp_path / "out" / "set" / "mesh.glb"
    source.write_bytes(b"mesh")
    mesh, synced, fsync = source.stat().st_ino, [], os.fsync

    def watched(handle):
        fsync(handle)
        synced.append((os.fstat(handle).st_ino, target.exists()))

    monkeypatch.setattr(os, "fsync", watched)
    await storage.publish(source, target)
    folders = [one.stat().st_ino for one in (tmp_path, target.parent, target.parent.parent)]
    assert synced == [(mesh, False), (folders[0], False), (folders[1], True), (folders[2], True)]
    source.write_bytes(b"more")
    synced.clear()
    await storage.publish(source, target.with_name("more.glb"))
    assert [inode for inode, _ in synced] == [target.with_name("more.glb").stat().st_ino, folders[1]]


@pytest.mark.skipif(os.name == "nt", reason="folders are not synced there")
async def test_files_that_come_together_share_the_syncs_of_their_folders(storage, tmp_path, monkeypatch):
    moves = [(tmp_path / f"{at}.part", tmp_path / "out" / f"set {at}" / "mesh.glb") for at in range(20)]
    for source, _ in moves:
        source.write_bytes(source.name.encode())
    meshes, folders, fsync = {source.stat().st_ino for source, _ in moves}, [], os.fsync

    def watched(handle):
        fsync(handle)
        inode = os.fstat(handle).st_ino
        if inode not in meshes:
            folders.append(inode)
            assert sum(target.exists() for _, target in moves) > 1 or inode == tmp_path.stat().st_ino

    monkeypatch.setattr(os, "fsync", watched)
    told = await together([partial(storage.publish_new, *move) for move in moves])
    assert told == [True] * 20
    assert [target.read_bytes() for _, target in moves] == [source.name.encode() for source, _ in moves]
    assert {target.parent.stat().st_ino for _, target in moves} < set(folders), "each folder knows of its mesh"
    assert folders.count((tmp_path / "out").stat().st_ino) <= 4, "a hop has sixteen"


async def test_of_files_that_come_together_those_that_cannot_fail_alone(storage, tmp_path):
    (tmp_path / "file").write_bytes(b"in the way")
    wanted = {"a": True, "gone": False, "b": True, "file": LocalIoError, "c": True, "a again": False}
    for name in set(wanted) - {"gone"}:
        (tmp_path / f"{name}.part").write_bytes(name.encode())
    targets = {name: tmp_path / name.split()[0] / "mesh.glb" for name in wanted}
    told = await together([partial(storage.publish_new, tmp_path / f"{one}.part", targets[one]) for one in wanted])
    assert [one if isinstance(one, bool) else type(one) for one in told] == list(wanted.values())
    assert "folder" in told[3].mend
    assert (tmp_path / "a" / "mesh.glb").read_bytes() == b"a"
    assert (tmp_path / "a again.part").exists()


@pytest.mark.skipif(os.name == "nt", reason="folders are not synced there")
async def test_a_folder_that_cannot_be_synced_fails_those_files_alone_that_need_it(storage, tmp_path, monkeypatch):
    """``old`` stands already; what is above it need not be synced for what comes to it."""
    (tmp_path / "out" / "old").mkdir(parents=True)
    broken, fsync = {(tmp_path / "out").stat().st_ino}, os.fsync

    def failing(handle):
        if os.fstat(handle).st_ino in broken:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        fsync(handle)

    async def told(**places):
        for name in places:
            (tmp_path / f"{name}.part").write_bytes(name.encode())
        moves = [(tmp_path / f"{name}.part", tmp_path / place / f"{name}.glb") for name, place in places.items()]
        found = await together([partial(storage.publish_new, *move) for move in moves])
        return [one if isinstance(one, bool) else type(one) for one in found]

    monkeypatch.setattr(os, "fsync", failing)
    assert await told(a="out/old", b="out/new", c="out/old", d="out/old/new") == [True, LocalIoError, True, True]
    assert await told(e="out/new") == [LocalIoError], "nobody has made sure of its folder yet"
    broken.clear()
    assert await told(f="out/new") == [True]


WAYS = ("publish", "publish_new", "copy", "write")


@pytest.mark.skipif(os.name == "nt", reason="folders are not synced there")
@pytest.mark.parametrize("first", ["publish_new", "write"])
@pytest.mark.parametrize("second", WAYS)
async def test_a_file_is_not_told_of_before_its_folder_is_known_whoever_made_that(
    storage, tmp_path, monkeypatch, first, second
):
    """Another finds the folder that the first has just made, and that hangs before it makes it known."""
    hangs, go_on, synced, fsync, parent = Event(), Event(), [], os.fsync, tmp_path.stat().st_ino

    def watched(handle):
        if os.fstat(handle).st_ino == parent:
            synced.append(handle)
            if len(synced) == 1:
                hangs.set()
                go_on.wait(60)
        fsync(handle)

    async def bring(way, name):
        source, target = tmp_path / f"{name}.part", tmp_path / "set" / f"{name}.glb"
        source.write_bytes(b"mesh")
        await getattr(storage, way)(*((target, b"mesh") if way == "write" else (source, target)))
        assert target.read_bytes() == b"mesh"

    monkeypatch.setattr(os, "fsync", watched)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(bring, first, "a")
        await anyio.to_thread.run_sync(hangs.wait, 60)
        await bring(second, "b")
        told_after = len(synced)
        go_on.set()
    assert told_after == 2, "the second has made sure by itself"
    await bring(second, "c")
    assert len(synced) == 2, "by now it is known"


async def together(calls):
    """The results of all, or their errors."""
    told = [None] * len(calls)

    async def one(at, call):
        try:
            told[at] = await call()
        except LocalIoError as error:
            told[at] = error

    async with anyio.create_task_group() as tasks:
        for at, call in enumerate(calls):
            tasks.start_soon(one, at, call)
    return told


async def test_a_circle_of_links_is_told_with_its_mend(storage, tmp_path):
    (tmp_path / "circle").symlink_to("circle")
    with pytest.raises(LocalIoError, match="cannot be read") as caught:
        await storage.digest(tmp_path / "circle")
    assert "circle" in caught.value.mend
    assert await storage.sizes([tmp_path / "circle"]) == [None]


async def test_a_file_that_is_replaced_while_it_is_read_is_read_to_its_end(tmp_path, monkeypatch):
    """Results are published while others read them."""
    monkeypatch.setattr("pipeline.ports.lines._PIECE_BYTES", 7)
    storage, path = LocalStorage(), tmp_path / "results.jsonl"
    await storage.write(path, b"old\n" * 100)
    read = []
    async with aclosing(lines_of(path, storage=storage)) as lines:
        async for line in lines:
            if len(read) == 1:
                await storage.write(path, b"newer and longer\n" * 100)
            read.append(line)
    assert read == [b"old"] * 100
