"""Files that others wrote: meshes, results, records, names. Read, or refused as what they are."""

import csv
import io
import json
import struct
from contextlib import aclosing
from datetime import UTC
from pathlib import Path, PurePosixPath

import anyio
from hypothesis import assume, example, given
from hypothesis import strategies as st
from pydantic import TypeAdapter
from simulated_ports import SimulatedStorage, glb, simulated_ledger, virtual_time

from pipeline.domain.errors import MeshDamaged, UsageError
from pipeline.domain.glb import PREFIX_BYTES, glb_facts, json_length
from pipeline.domain.grouping import group_flat, group_folder, is_picture
from pipeline.domain.items import Alias, ItemRecord, MeshFacts, OutputFile, Verdict
from pipeline.domain.lifecycle import State
from pipeline.domain.naming import identity, is_portable
from pipeline.domain.outputs import file_name, mesh_folder, preview_path
from pipeline.domain.results import ResultRow, as_csv, as_jsonl
from pipeline.domain.views import View, recognise_all
from pipeline.report.verification import read_rows, verify

GLB = glb(
    {
        "asset": {"version": "2.0"},
        "buffers": [{"byteLength": 48}],
        "bufferViews": [{"buffer": 0, "byteLength": 36}, {"buffer": 0, "byteOffset": 36, "byteLength": 12}],
        "accessors": [
            {"bufferView": 0, "componentType": 5126, "type": "VEC3", "count": 3, "min": [0, 0, 0], "max": [1, 1, 1]},
            {"bufferView": 1, "componentType": 5125, "type": "SCALAR", "count": 3},
        ],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}, "indices": 1}]}],
        "materials": [{"pbrMetallicRoughness": {"metallicRoughnessTexture": {"index": 0}}}],
        "textures": [{"source": 0}],
    },
    bytes(48),
)


def facts(data: bytes) -> MeshFacts | None:
    """What acceptance makes of a file; None where it is damaged."""
    try:
        length = json_length(data[:PREFIX_BYTES], len(data))
        end = PREFIX_BYTES + length
        return glb_facts(data[PREFIX_BYTES:end], data[end : end + 8], len(data))
    except MeshDamaged as error:
        said = str(error)
    assert len(said) < 1000
    return None


def test_the_mesh_that_is_damaged_below_is_whole() -> None:
    assert facts(GLB) == MeshFacts(
        face_count=1, vertex_count=3, texture_count=1, material_count=1, has_uvs=False, has_pbr=True,
        bounds=((0, 0, 0), (1, 1, 1)),
    )  # fmt: skip


@given(st.integers(0, len(GLB) - 1), st.binary(min_size=1, max_size=4), st.booleans())
def test_a_mesh_with_other_bytes_anywhere_is_read_or_damaged(at, other, is_put_in) -> None:
    data = GLB[:at] + other + GLB[at if is_put_in else at + len(other) :]
    for whole in (data, data[:8] + struct.pack("<I", len(data)) + data[12:]):
        found = facts(whole)
        assert found is None or (found.face_count >= 1 and found.vertex_count >= 1)


@given(st.integers(0, len(GLB) - 1))
def test_a_cut_mesh_is_damaged(end) -> None:
    assert facts(GLB[:end]) is None


NUMBERS = st.integers() | st.floats() | st.sampled_from([2**31, 2**63, 10**400, -1, 0, 1e308])


@given(st.data(), NUMBERS)
def test_a_mesh_with_other_numbers_is_read_or_damaged(data, number) -> None:
    document = json.loads(GLB[PREFIX_BYTES : PREFIX_BYTES + json_length(GLB[:PREFIX_BYTES], len(GLB))])
    part = data.draw(
        st.sampled_from([*document["bufferViews"], *document["accessors"], document["meshes"][0]["primitives"][0]])
    )
    part[data.draw(st.sampled_from(sorted({*part, "byteOffset", "byteStride", "mode", "count"})))] = number
    found = facts(glb(document, bytes(48)))
    assert found is None or (found.face_count >= 1 and found.vertex_count >= 1)


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30) | st.sampled_from(["=1+1", "\r\n", "\u2028", "-", '"', "\x00", "@x", "\ufeff", "\x1b[31m"])  # fmt: skip
FINITE = st.floats(0, 1e12)
FILES = st.builds(
    OutputFile, role=TEXTS, name=TEXTS, size_bytes=st.integers(0, 2**62), sha256=st.just("a" * 64), media_type=TEXTS
)
RECORDS = st.builds(
    ItemRecord,
    key=st.text("0123456789abcdef", min_size=1, max_size=64),
    state=st.sampled_from(State),
    service=TEXTS,
    project=TEXTS,
    model=TEXTS,
    params=st.dictionaries(TEXTS, TEXTS | st.integers(-(2**60), 2**60) | FINITE | st.booleans(), max_size=3),
    pictures=st.dictionaries(st.sampled_from(View), TEXTS, max_size=3),
    inputs=st.dictionaries(TEXTS, TEXTS | st.booleans() | st.none(), max_size=3),
    job_id=TEXTS,
    asset_ids=st.lists(TEXTS, max_size=3).map(tuple),
    attempts=st.integers(0, 1000),
    submitting_at=st.none() | st.datetimes(timezones=st.just(UTC)),
    quoted_cu=st.none() | FINITE,
    charged_cu=st.none() | FINITE,
    outputs=st.lists(FILES, max_size=2).map(tuple),
    verdict=st.none() | st.builds(Verdict, outcome=TEXTS, reasons=st.lists(TEXTS, max_size=2).map(tuple)),
    error=TEXTS,
    mend=TEXTS,
    timings=st.dictionaries(TEXTS, FINITE, max_size=2),
)


@given(RECORDS)
def test_any_record_comes_back_from_the_ledger_as_it_was(record) -> None:
    async def opened() -> ItemRecord:
        return await simulated_ledger().open_item(record)

    backend, options = virtual_time()
    assert anyio.run(opened, backend=backend, backend_options=options) == record


ROWS = st.builds(
    ResultRow,
    set=TEXTS,
    variant=TEXTS,
    copy_number=st.integers(1, 9),
    key=TEXTS,
    state=st.sampled_from(State),
    reasons=st.lists(TEXTS, max_size=2).map(tuple),
    params=st.dictionaries(TEXTS | st.just("generateType"), TEXTS | st.integers(-9, 9), max_size=2),
    cu_charged=st.none() | FINITE,
    findings=st.lists(TEXTS, max_size=2).map(tuple),
    job_id=TEXTS,
)
RESULTS = Path("/out/results.jsonl")


def rows_of(data: bytes) -> list[ResultRow] | None:
    """What ``verify`` reads; None where it is refused, with the line."""
    storage = SimulatedStorage()
    storage.put(RESULTS, data)

    async def read() -> list[ResultRow]:
        async with aclosing(read_rows(RESULTS, storage=storage)) as rows:
            return [row async for row in rows]

    backend, options = virtual_time()
    try:
        return anyio.run(read, backend=backend, backend_options=options)
    except UsageError as error:
        said = str(error)
    assert said.startswith(f"{RESULTS}:")
    return None


@given(st.lists(ROWS, max_size=4))
def test_results_are_read_as_they_were_written(rows) -> None:
    assert rows_of(as_jsonl(rows).encode()) == rows
    table = list(csv.reader(io.StringIO(as_csv(rows), newline="")))
    assert len(table) == len(rows) + 1
    assert {len(line) for line in table} == {len(table[0])}
    for line in table[1:]:
        assert not any(cell.lstrip(" ")[:1] in set("=+@\t") for cell in line)


@given(
    st.binary(max_size=100) | st.tuples(st.lists(ROWS, min_size=1, max_size=2), st.floats(0, 1), st.binary(max_size=3))
)
def test_any_results_are_read_or_refused_by_line(what) -> None:
    if not isinstance(what, bytes):
        rows, where, noise = what
        text = as_jsonl(rows).encode()
        what = text[: int(where * len(text))] + noise + text[int(where * len(text)) :]
    rows_of(what)


ROOT = Path("/nowhere/out")
PATHS = TEXTS | st.sampled_from(
    ["../x", "/etc/passwd", "a/../../x", "C:x", "\\\\host\\x", "meshes/a/a.glb", ".", "..", ""]
)


@given(st.lists(PATHS, max_size=3))
def test_no_row_makes_verify_look_outside_its_folder(paths) -> None:
    looked_at = []

    class Watching(SimulatedStorage):
        async def sizes(self, paths):
            looked_at.extend(paths)
            return await super().sizes(paths)

    files = [{"role": "mesh", "path": path, "bytes": 1, "sha256": "a" * 64, "media_type": "x"} for path in paths]
    row = TypeAdapter(ResultRow).validate_python({"set": "a", "state": "delivered", "outputs": files})

    async def verified():
        return await verify(ROOT, rows(), former=(), storage=Watching())

    async def rows():
        yield row

    found = anyio.run(verified)
    assert found.files == len(found.deviations) == len(paths)
    assert all(PurePosixPath(one).is_relative_to(ROOT) and ".." not in one.parts for one in looked_at)


IDS = st.text(min_size=1, max_size=60).filter(lambda it: all(part.strip(" .") for part in it.split("/")))
ALIASES = st.builds(Alias, set_id=IDS, variant=st.sampled_from(["", "pbr", "normal"]), copy=st.integers(1, 3))


@given(ALIASES, ALIASES)
@example(Alias(set_id="a", variant="pbr"), Alias(set_id="a@pbr"))
@example(Alias(set_id="con"), Alias(set_id="con.glb"))
def test_two_different_meshes_never_share_a_place(one, other) -> None:
    assume((identity(one.set_id), one.suffix) != (identity(other.set_id), other.suffix))
    for place in (lambda it: mesh_folder(it, held=False), preview_path):
        path = place(one)
        assert identity(str(path)) != identity(str(place(other)))
        assert not path.is_absolute()
        assert all(is_portable(part) or len(part.encode()) > 120 for part in path.parts)
        assert all(len(part.encode()) <= 255 and part not in {".", ".."} for part in path.parts)
    assert is_portable(file_name(one, "mesh", ".glb").removesuffix(".glb"))


NAMES = st.lists(
    st.text(max_size=12)
    | st.lists(st.sampled_from(["front", "left", "Back", "chair", "045", "_", "-", " ", "view", "(2)", "image", "É", "top"]), max_size=6).map("".join),
    max_size=8,
    unique=True,
).map(lambda it: [f"{name}.png" for name in it])  # fmt: skip


@given(NAMES, st.text(max_size=12))
def test_any_names_make_a_set_that_uses_each_file_once(names, folder) -> None:
    assert recognise_all(names, folder).keys() == set(names)
    grouped = group_folder(names, folder)
    used = list(grouped.views.values())
    assert len(set(used)) == len(used)
    assert set(used) <= set(names)
    assert View.FRONT in grouped.views or any(one.verdict == "refuse" for one in grouped.findings)


@given(NAMES, st.sampled_from(["{set}_{view}", "{view}-{set}", "x{set}({view})y", "{set} {view}", "{set}.{view}"]))
def test_any_names_in_a_flat_folder_belong_to_one_set_or_to_none(names, pattern) -> None:
    flat = group_flat(names, pattern)
    used = [name for one in flat.sets.values() for name in one.views.values()]
    assert len(set(used)) == len(used)
    assert set(used) | set(flat.strays) <= set(names)
    assert not set(used) & set(flat.strays)
    assert all(flat.sets), "no set without a name"


@given(st.text())
def test_any_name_is_a_picture_or_none(name) -> None:
    assert is_picture(name) in {True, False}
