import json
import struct

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from simulated_ports import glb

from pipeline.domain.errors import MeshDamaged
from pipeline.domain.glb import JSON_MAX_BYTES, PREFIX_BYTES, glb_facts, json_length
from pipeline.domain.items import MeshFacts

BINARY = bytes(9 * 12 + 3 * 2 + 2)


def document(**changes):
    """A triangle mesh of three faces and nine corners, textured."""
    found = {
        "asset": {"version": "2.0"},
        "buffers": [{"byteLength": len(BINARY)}],
        "bufferViews": [{"buffer": 0, "byteLength": 108}, {"buffer": 0, "byteOffset": 108, "byteLength": 6}],
        "accessors": [
            {"bufferView": 0, "componentType": 5126, "type": "VEC3", "count": 9, "min": [-1, 0, -2], "max": [1, 3, 2]},
            {"bufferView": 1, "componentType": 5123, "type": "SCALAR", "count": 3},
        ],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0, "TEXCOORD_0": 0}, "indices": 1}]}],
        "materials": [{"pbrMetallicRoughness": {"metallicRoughnessTexture": {"index": 0}}}],
        "textures": [{}, {}],
    }
    return {**found, **changes}


def read(data: bytes) -> MeshFacts:
    """As the accept stage reads it."""
    length = json_length(data[:PREFIX_BYTES], len(data))
    end = PREFIX_BYTES + length
    return glb_facts(data[PREFIX_BYTES:end], data[end : end + 8], len(data))


def test_facts_of_a_textured_mesh():
    assert read(glb(document(), BINARY)) == MeshFacts(
        face_count=1,
        vertex_count=9,
        texture_count=2,
        material_count=1,
        has_uvs=True,
        has_pbr=True,
        bounds=((-1.0, 0.0, -2.0), (1.0, 3.0, 2.0)),
    )


@pytest.mark.parametrize(("mode", "faces"), [(4, 3), (5, 7), (6, 7)])
def test_faces_by_the_kind_of_primitive(mode, faces):
    primitive = {"attributes": {"POSITION": 0}, "mode": mode}
    assert read(glb(document(meshes=[{"primitives": [primitive]}]), BINARY)).face_count == faces


def test_vertices_that_primitives_share_are_counted_once():
    primitives = [{"attributes": {"POSITION": 0}}, {"attributes": {"POSITION": 0}}]
    facts = read(glb(document(meshes=[{"primitives": primitives}]), BINARY))
    assert (facts.face_count, facts.vertex_count) == (6, 9)


def test_a_mesh_without_bounds_still_counts():
    accessors = [{"componentType": 5126, "type": "VEC3", "count": 9}]
    meshes = [{"primitives": [{"attributes": {"POSITION": 0}}]}]
    assert read(glb({"accessors": accessors, "meshes": meshes})).bounds is None


def _accessor(**changes):
    first, second = document()["accessors"]
    return document(accessors=[{**first, **changes}, second])


def _view(**changes):
    first, second = document()["bufferViews"]
    return document(bufferViews=[{**first, **changes}, second])


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "ends after 0 bytes"),
        (b"<!DOCTYPE html><html></html>", "no GLB: it begins with b'<!DOCTYP'"),
        (b"glTF" + struct.pack("<4I", 1, 20, 0, 0), "version 1, expected 2"),
        (glb(document(), BINARY)[:-1], "its header says"),
        (glb(document(), BINARY) + b"\0", "its header says"),
        (glb(document(), BINARY[:-8]), "ends beyond the binary chunk"),
        (glb(document()), "ends beyond the binary chunk of 0 bytes"),
        (glb(document(meshes=[])), "ends beyond|no face"),
        (glb({"asset": {}}), "no face"),
        (glb([]), "cannot be understood"),
        (glb(document(buffers=[{"uri": "https://elsewhere/x.bin"}]), BINARY), "lies in another file"),
        (glb(_accessor(count=10), BINARY), "accessor 0 needs 120 bytes of a bufferView of 108"),
        (glb(_accessor(count=-9), BINARY), "accessor|face"),
        (glb(_accessor(max=[float("inf"), 0, 0]), BINARY), "Infinity is no JSON"),
        (glb(_accessor(min=[float("nan"), 0, 0]), BINARY), "NaN is no JSON"),
        (glb(_accessor(componentType=1), BINARY), "cannot be understood"),
        (glb(_accessor(byteOffset=-50, count=12), BINARY), "accessor 0 begins at byte -50"),
        (glb(_view(byteOffset=-500), BINARY), "bufferView 0 has 108 bytes from byte -500 on"),
        (glb(_view(byteLength=-1), BINARY), "bufferView 0 has -1 bytes"),
        (glb(_accessor(count=10**400), BINARY), "cannot be understood|accessor 0 needs"),
        (glb(_accessor(type="\x1b[2J" * 10_000), BINARY), "cannot be understood: .{,600}$"),
    ],
)
def test_damage_is_named(data, says):
    with pytest.raises(MeshDamaged, match=says):
        read(data)


def test_numbers_beyond_all_bounds_are_damage():
    """JSON can write 1e999, which Python reads as infinity: a record with it could not be read from the ledger."""
    text = json.dumps(_accessor()).replace('"min": [-1,', '"min": [-1e999,').encode()
    with pytest.raises(MeshDamaged, match="no finite numbers"):
        glb_facts(text, struct.pack("<2I", len(BINARY), 0x004E4942), 10_000)


def test_the_json_chunk_is_bounded_before_it_is_read():
    size = JSON_MAX_BYTES + 1_000
    prefix = struct.pack("<5I", 0x46546C67, 2, size, JSON_MAX_BYTES + 1, 0x4E4F534A)
    with pytest.raises(MeshDamaged, match="larger than"):
        json_length(prefix, size)


def test_a_file_that_ends_within_a_chunk_header_is_damage():
    text = json.dumps(document(bufferViews=[], accessors=[])).encode()
    with pytest.raises(MeshDamaged, match="within a chunk header"):
        glb_facts(text, b"\0\0\0", PREFIX_BYTES + len(text) + 3)


@given(st.binary(max_size=200))
@example(b"glTF" + b"\xff" * 40)
def test_arbitrary_bytes_are_damage_and_nothing_worse(data):
    with pytest.raises(MeshDamaged):
        read(data)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from(sorted(document())), JSON, st.binary(max_size=12) | st.just(BINARY))
def test_a_document_with_anything_anywhere_is_read_or_damage(name, value, binary):
    _read_or_damaged(document(**{name: value}), binary)


PLACES = [
    (name, at, inner)
    for name in ("bufferViews", "accessors", "meshes", "materials")
    for at, one in enumerate(document()[name])
    for inner in one
]


@given(st.sampled_from(PLACES), JSON)
def test_an_entry_with_anything_in_it_is_read_or_damage(place, value):
    name, at, inner = place
    changed = document()
    changed[name][at][inner] = value
    _read_or_damaged(changed, BINARY)


def _read_or_damaged(changed, binary):
    try:
        facts = read(glb(changed, binary))
    except MeshDamaged:
        return
    assert facts.face_count > 0
