"""The port ``Storage``."""

from hashlib import sha256
from pathlib import Path

import pytest
from simulation.disk import Disk, DiskStorage
from simulation.process import immortal

from pipeline.domain.errors import LocalIoError
from pipeline.ports.storage import LocalStorage

pytestmark = pytest.mark.anyio


class RealFiles:
    def __init__(self) -> None:
        self.storage = LocalStorage()

    def put(self, path: Path, data: bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def get(self, path: Path) -> bytes | None:
        return path.read_bytes() if path.is_file() else None

    def names(self, below: Path) -> list[str]:
        return sorted(one.relative_to(below).as_posix() for one in below.rglob("*") if one.is_file())


class SimulatedFiles(Disk):
    def __init__(self) -> None:
        super().__init__(watch=lambda *_: None)
        self.storage = DiskStorage(self, immortal())


@pytest.fixture
def files(kind):
    return RealFiles() if kind == "real" else SimulatedFiles()


async def test_what_is_written_can_be_read_and_nothing_else_is_left(files, tmp_path):
    target = tmp_path / "a b" / "Ünïcode 视图" / "x.bin"
    await files.storage.write(target, b"one")
    await files.storage.write(target, b"two")
    assert await files.storage.read(target) == b"two"
    assert await files.storage.read_part(target, 1, 10) == b"wo"
    assert await files.storage.head(target, 2) == (b"tw", 3)
    assert await files.storage.head(target, 10) == (b"two", 3)
    assert files.names(tmp_path) == ["a b/Ünïcode 视图/x.bin"]


async def test_publishing_moves_a_file_over_the_old_one(files, tmp_path):
    source, target = tmp_path / "in" / "mesh.part", tmp_path / "out" / "deep" / "mesh.glb"
    files.put(source, b"new")
    files.put(target, b"old")
    await files.storage.publish(source, target)
    assert (files.get(target), files.names(tmp_path)) == (b"new", ["out/deep/mesh.glb"])


async def test_publishing_what_is_new_replaces_nothing(files, tmp_path):
    source, target = tmp_path / "in" / "mesh.part", tmp_path / "out" / "mesh.glb"
    assert not await files.storage.publish_new(source, target)
    files.put(source, b"mesh")
    assert await files.storage.publish_new(source, target)
    assert (files.get(target), files.names(tmp_path)) == (b"mesh", ["out/mesh.glb"])
    files.put(source, b"other")
    assert not await files.storage.publish_new(source, target)
    assert (files.get(source), files.get(target)) == (b"other", b"mesh")
    further = tmp_path / "out" / "further.glb"
    assert not await files.storage.publish_new(source, further, unless=target)
    assert await files.storage.publish_new(source, further, unless=tmp_path / "nothing.glb")
    assert (files.get(source), files.get(further)) == (None, b"other")


async def test_a_copy_leaves_the_source(files, tmp_path):
    files.put(tmp_path / "a.glb", b"mesh")
    await files.storage.copy(tmp_path / "a.glb", tmp_path / "b" / "b.glb")
    assert files.get(tmp_path / "a.glb") == files.get(tmp_path / "b" / "b.glb") == b"mesh"


async def test_digests_and_sizes_of_what_is_there_and_what_is_not(files, tmp_path):
    there, nowhere = tmp_path / "x", tmp_path / "nothing"
    files.put(there, b"some bytes")
    assert await files.storage.digest(there) == sha256(b"some bytes").hexdigest()
    assert await files.storage.digest(nowhere) is None
    assert await files.storage.digest(there / "below a file") is None
    assert await files.storage.sizes([there, nowhere, tmp_path]) == [10, None, None]


async def test_retired_files_never_take_one_anothers_place(files, tmp_path):
    for folder, data in (("a", b"1"), ("b", b"2"), ("c", b"3")):
        files.put(tmp_path / folder / "chair.glb", data)
        await files.storage.retire(tmp_path / folder / "chair.glb", tmp_path / "kept")
    await files.storage.retire(tmp_path / "a" / "chair.glb", tmp_path / "kept")
    kept = [f"kept/chair.glb{more}.replaced" for more in (".2", ".3", "")]
    assert files.names(tmp_path) == kept
    assert [files.get(tmp_path / name) for name in kept] == [b"2", b"3", b"1"]


async def test_removing_takes_files_and_minds_no_missing_ones(files, tmp_path):
    files.put(tmp_path / "set" / "mesh.glb", b"x")
    files.put(tmp_path / "set" / "albedo.png", b"x")
    await files.storage.remove([tmp_path / "set" / "mesh.glb"])
    assert files.names(tmp_path) == ["set/albedo.png"]
    await files.storage.remove([tmp_path / "set" / "mesh.glb", tmp_path / "set" / "albedo.png" / "below a file"])
    assert files.names(tmp_path) == ["set/albedo.png"]


async def test_a_folder_where_a_file_is_expected(files, tmp_path):
    files.put(tmp_path / "mesh.glb" / "inside", b"")
    with pytest.raises(LocalIoError, match=r"mesh\.glb: cannot be written") as caught:
        await files.storage.write(tmp_path / "mesh.glb", b"x")
    assert caught.value.mend
    with pytest.raises(LocalIoError, match="cannot be read"):
        await files.storage.digest(tmp_path / "mesh.glb")
    assert files.names(tmp_path) == ["mesh.glb/inside"]


async def test_a_file_where_a_folder_is_expected(files, tmp_path):
    files.put(tmp_path / "out", b"")
    with pytest.raises(LocalIoError, match="cannot be written"):
        await files.storage.write(tmp_path / "out" / "set" / "mesh.glb", b"x")
    assert files.names(tmp_path) == ["out"]


async def test_a_missing_source_is_an_error_that_names_it(files, tmp_path):
    for put in (files.storage.publish, files.storage.copy):
        with pytest.raises(LocalIoError, match=r"mesh\.glb: cannot be written .*gone\.part"):
            await put(tmp_path / "gone.part", tmp_path / "mesh.glb")
    with pytest.raises(LocalIoError, match="cannot be read"):
        await files.storage.read(tmp_path / "gone.part")
    assert files.names(tmp_path) == []


async def test_what_a_killed_run_left_goes_with_the_next_write(files, tmp_path):
    files.put(tmp_path / ".mesh.glb.part", b"half")
    await files.storage.write(tmp_path / "mesh.glb", b"whole")
    assert (files.get(tmp_path / "mesh.glb"), files.names(tmp_path)) == (b"whole", ["mesh.glb"])
