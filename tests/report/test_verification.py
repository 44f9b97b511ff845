import hashlib
from contextlib import aclosing
from pathlib import Path

import pytest

from pipeline.domain.errors import UsageError
from pipeline.domain.lifecycle import State
from pipeline.domain.results import ResultFile, ResultRow, as_jsonl
from pipeline.ports.storage import LocalStorage
from pipeline.report.verification import Fault, read_rows, verify

pytestmark = pytest.mark.anyio


def put(output: Path, path: str, data: bytes = b"mesh") -> ResultFile:
    place = output / path
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(data)
    digest = hashlib.sha256(data).hexdigest()
    return ResultFile(role="mesh", path=path, bytes=len(data), sha256=digest, media_type="model/gltf-binary")


def row(set_id: str, *files: ResultFile) -> ResultRow:
    return ResultRow(set=set_id, key="k", state=State.DELIVERED, outputs=files)


async def faults(output: Path, *rows: ResultRow, former: tuple[str, ...] = ()) -> dict[str, Fault]:
    verified = await verify(output, each(rows), former=former, storage=LocalStorage())
    assert verified.files == sum(len(one.outputs) for one in rows)
    return {one.path: one.fault for one in verified.deviations}


async def each(rows):
    for one in rows:
        yield one


async def read(results: Path) -> list[ResultRow]:
    async with aclosing(read_rows(results, storage=LocalStorage())) as rows:
        return [one async for one in rows]


async def test_the_mesh_of_a_set_that_is_no_longer_named_may_stay(tmp_path: Path) -> None:
    kept = put(tmp_path, "meshes/old/old.glb")
    assert await faults(tmp_path, former=(kept.path,)) == {}
    assert await faults(tmp_path) == {kept.path: Fault.UNEXPECTED}


async def test_files_that_are_as_delivered_pass(tmp_path: Path) -> None:
    chair = row("chair", put(tmp_path, "meshes/chair/chair.glb"))
    lamp = row("lamp", put(tmp_path, "held/lamp/lamp.glb"), put(tmp_path, "previews/lamp.webp"))
    assert await faults(tmp_path, chair, lamp) == {}


async def test_many_rows_are_compared_some_at_a_time(tmp_path: Path) -> None:
    files = [put(tmp_path, f"meshes/{at:03}.glb", b"mesh %d" % at) for at in range(200)]
    (tmp_path / files[63].path).unlink()
    (tmp_path / files[64].path).write_bytes(b"another")
    (tmp_path / files[199].path).unlink()
    found = await faults(tmp_path, *(row(f"{at}", file) for at, file in enumerate(files)))
    assert list(found) == [files[63].path, files[64].path, files[199].path]


async def test_every_deviation_is_told_apart(tmp_path: Path) -> None:
    files = {name: put(tmp_path, f"meshes/{name}/{name}.glb") for name in ("gone", "cut", "flipped", "whole")}
    (tmp_path / files["gone"].path).unlink()
    (tmp_path / files["cut"].path).write_bytes(b"mes")
    (tmp_path / files["flipped"].path).write_bytes(b"mesH")
    put(tmp_path, "meshes/stray.glb")
    put(tmp_path, "held/deep/er/stray.glb")
    put(tmp_path, "meshes/notes.txt")
    put(tmp_path, "elsewhere/mine.glb")
    assert await faults(tmp_path, *(row(name, file) for name, file in files.items())) == {
        "meshes/gone/gone.glb": Fault.MISSING,
        "meshes/cut/cut.glb": Fault.SIZE,
        "meshes/flipped/flipped.glb": Fault.SHA256,
        "meshes/stray.glb": Fault.UNEXPECTED,
        "held/deep/er/stray.glb": Fault.UNEXPECTED,
    }


@pytest.mark.parametrize("path", ["../secret", "/etc/passwd", "meshes/../../x", "C:/x", "meshes\\..\\..\\x"])
async def test_a_row_cannot_have_files_read_from_elsewhere(tmp_path: Path, path: str) -> None:
    (tmp_path / "secret").write_bytes(b"x")
    file = ResultFile(role="mesh", path=path, bytes=1, sha256="0" * 64, media_type="x/y")
    assert await faults(tmp_path / "out", row("evil", file)) == {path: Fault.OUTSIDE}


async def test_rows_come_back_as_they_were_written(tmp_path: Path) -> None:
    rows = [row("chair", put(tmp_path, "meshes/chair.glb")), row("视图/\u2028lamp")]
    (tmp_path / "results.jsonl").write_bytes(as_jsonl(rows).encode())
    assert await read(tmp_path / "results.jsonl") == rows


async def test_a_missing_results_manifest_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no results manifest .*results\.jsonl"):
        await read(tmp_path / "results.jsonl")


@pytest.mark.parametrize(
    ("line", "why"), [("{", "Invalid JSON"), ('{"set": "x", "state": "lost"}', "state"), ("[1]", "object")]
)
async def test_a_line_that_is_no_row_is_named_with_its_number(tmp_path: Path, line: str, why: str) -> None:
    (tmp_path / "results.jsonl").write_text(f"{as_jsonl([row('chair')])}{line}\n")
    with pytest.raises(UsageError, match=rf"results\.jsonl:2 is no row of results: .*{why}"):
        await read(tmp_path / "results.jsonl")
