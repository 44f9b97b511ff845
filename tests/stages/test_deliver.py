import csv
import json
from pathlib import Path

import pytest

from pipeline.domain.errors import LocalIoError
from pipeline.domain.items import Alias
from pipeline.domain.lifecycle import State
from pipeline.domain.results import ResultRow
from pipeline.ports.storage import LocalStorage
from pipeline.stages.deliver import (
    Shelf,
    Source,
    SourceGone,
    deliver,
    deliver_preview,
    publish,
    retire,
    sources_of,
)

from simulated_ports import sha256  # isort: skip

pytestmark = pytest.mark.anyio

CHAIR = Alias(set_id="props/chair")


@pytest.fixture
def shelf(tmp_path):
    return Shelf(output=tmp_path / "out", replaced=tmp_path / "out/.mvmesh/replaced/2031")


@pytest.fixture
def staging(tmp_path):
    return tmp_path / "staging"


def source(staging, data=b"mesh", role="mesh", suffix=".glb"):
    staging.mkdir(exist_ok=True)
    path = staging / f"{role}.part"
    path.write_bytes(data)
    return Source(
        role=role, path=path, suffix=suffix, media_type="model/gltf-binary", size_bytes=len(data), sha256=sha256(data)
    )


def tree(folder: Path):
    return {str(one.relative_to(folder)): one.read_bytes() for one in sorted(folder.rglob("*")) if one.is_file()}


async def placed(sources, shelf, *, alias=CHAIR, held=False, keep_sources=False):
    return await deliver(sources, alias, shelf=shelf, held=held, keep_sources=keep_sources, storage=LocalStorage())


async def test_files_come_to_their_place_under_our_names(shelf, staging):
    sources = [source(staging), source(staging, b"paint", "albedo", ".png")]
    files = await placed(sources, shelf)
    assert tree(shelf.output) == {"meshes/props/chair/chair.glb": b"mesh", "meshes/props/chair/albedo.png": b"paint"}
    assert [(one.role, one.name, one.size_bytes) for one in files] == [
        ("mesh", "meshes/props/chair/chair.glb", 4),
        ("albedo", "meshes/props/chair/albedo.png", 5),
    ]
    assert tree(staging) == {}


async def test_held_meshes_stand_apart(shelf, staging):
    await placed([source(staging)], shelf, held=True)
    assert list(tree(shelf.output)) == ["held/props/chair/chair.glb"]


async def test_under_several_names_a_mesh_is_copied(shelf, staging):
    made = source(staging)
    await placed([made], shelf, keep_sources=True)
    await placed([made], shelf, alias=Alias(set_id="b"))
    assert tree(shelf.output) == {"meshes/props/chair/chair.glb": b"mesh", "meshes/b/b.glb": b"mesh"}
    assert tree(staging) == {}


async def test_delivering_again_changes_nothing(shelf, staging):
    made = source(staging)
    first = await placed([made], shelf)
    assert await placed([made], shelf) == first
    assert await placed([source(staging)], shelf) == first
    assert tree(shelf.output) == {"meshes/props/chair/chair.glb": b"mesh"}
    assert tree(staging) == {}


async def test_what_is_replaced_is_kept(shelf, staging):
    for data in (b"first", b"second", b"third"):
        await placed([source(staging, data)], shelf)
    found = tree(shelf.output)
    assert found.pop("meshes/props/chair/chair.glb") == b"third"
    assert sorted(found.values()) == [b"first", b"second"]
    assert all(name.startswith(".mvmesh/replaced/") and name.endswith(".replaced") for name in found)


@pytest.mark.parametrize("keep_sources", [False, True])
async def test_what_stands_under_the_other_verdict_is_kept_with_what_is_replaced(shelf, staging, keep_sources):
    """A run placed it, and ended before it could say so; then the pictures were drawn anew."""
    await placed([source(staging, b"first")], shelf, held=True)
    await placed([source(staging, b"second")], shelf, keep_sources=keep_sources)
    assert tree(shelf.output) == {
        ".mvmesh/replaced/2031/held/props/chair/chair.glb.replaced": b"first",
        "meshes/props/chair/chair.glb": b"second",
    }


async def test_a_mesh_goes_over_to_the_other_verdict(shelf, staging):
    held = await placed([source(staging)], shelf, held=True)
    (standing,) = sources_of(held, shelf.output)
    await placed([standing], shelf)
    assert tree(shelf.output) == {"meshes/props/chair/chair.glb": b"mesh"}


async def test_a_source_that_is_gone_is_told_and_nothing_is_touched(shelf, staging):
    await placed([source(staging, b"old")], shelf)
    gone = source(staging, b"new")
    gone.path.unlink()
    with pytest.raises(SourceGone, match=r"chair\.glb"):
        await placed([gone], shelf)
    assert tree(shelf.output) == {"meshes/props/chair/chair.glb": b"old"}


async def test_a_folder_in_the_place_of_a_mesh_is_a_local_error(shelf, staging):
    (shelf.output / "meshes/props/chair/chair.glb").mkdir(parents=True)
    with pytest.raises(LocalIoError):
        await placed([source(staging)], shelf)
    assert tree(staging) == {"mesh.part": b"mesh"}


async def test_to_retire_what_is_not_there_is_nothing(shelf):
    await retire([Path("meshes/none.glb")], shelf=shelf, storage=LocalStorage())
    assert not shelf.replaced.exists()


async def test_a_delivered_mesh_is_the_source_of_its_next_place(shelf, staging):
    files = await placed([source(staging)], shelf)
    preview = await deliver_preview(b"picture", "p" * 64, CHAIR, output=shelf.output, storage=LocalStorage())
    await placed(sources_of([*files, preview], shelf.output), shelf, alias=Alias(set_id="b"), keep_sources=True)
    assert sorted(tree(shelf.output)) == [
        "meshes/b/b.glb",
        "meshes/props/chair/chair.glb",
        "previews/props/chair.webp",
    ]


async def one_by_one(rows):
    for row in rows:
        yield [row]


async def test_results_are_published_in_both_forms_and_replaced(shelf):
    for state in (State.PLANNED, State.DELIVERED):
        rows = [ResultRow(set="a", state=state), ResultRow(set='b, "c"\n', state=state)]
        await publish(one_by_one(rows), output=shelf.output, storage=LocalStorage())
    lines = (shelf.output / "results.jsonl").read_text().splitlines()
    assert [(json.loads(line)["set"], json.loads(line)["state"]) for line in lines] == [
        ("a", "delivered"),
        ('b, "c"\n', "delivered"),
    ]
    with (shelf.output / "results.csv").open(newline="") as file:
        assert [row["state"] for row in csv.DictReader(file)] == ["delivered", "delivered"]
    assert sorted(tree(shelf.output)) == ["results.csv", "results.jsonl"]
