import json
import struct
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.geometry.gltf import EncodedImage, pack_glb
from pipeline.geometry.mesh import Mesh

PNG = EncodedImage(data=b"\x89PNG not really", media_type="image/png")
WEBP = EncodedImage(data=b"RIFF", media_type="image/webp")


def tetrahedron(*, vertex_count: int = 4, textured: bool = True) -> Mesh:
    positions = np.random.default_rng(0).random((vertex_count, 3), np.float32)
    return Mesh(
        positions=positions,
        faces=np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [2, 0, vertex_count - 1]], np.uint32),
        normals=positions / np.linalg.norm(positions, axis=1, keepdims=True),
        uvs=positions[:, :2] if textured else None,
    )


def unpack(glb: bytes) -> tuple[dict[str, Any], bytes]:
    magic, version, length = struct.unpack_from("<4sII", glb)
    assert (magic, version, length) == (b"glTF", 2, len(glb))
    size, kind = struct.unpack_from("<I4s", glb, 12)
    assert (kind, size % 4) == (b"JSON", 0)
    binary_size, binary_kind = struct.unpack_from("<I4s", glb, 20 + size)
    assert (binary_kind, binary_size % 4) == (b"BIN\0", 0)
    assert len(glb) == 28 + size + binary_size
    return json.loads(glb[20 : 20 + size]), glb[28 + size :]


def values(document: dict[str, Any], binary: bytes, accessor: int) -> NDArray[Any]:
    described = document["accessors"][accessor]
    view = document["bufferViews"][described["bufferView"]]
    assert view["byteOffset"] % 4 == 0
    kind = {5126: "<f4", 5123: "<u2", 5125: "<u4"}[described["componentType"]]
    data = binary[view["byteOffset"] : view["byteOffset"] + view["byteLength"]]
    width = {"SCALAR": 1, "VEC2": 2, "VEC3": 3}[described["type"]]
    found = np.frombuffer(data, kind).reshape(-1, width)
    assert len(found) == described["count"]
    return found


def test_what_goes_in_can_be_read_back() -> None:
    mesh = tetrahedron()
    document, binary = unpack(pack_glb(mesh, base_color=PNG, metallic_roughness=None, generator="mvmesh test"))
    (primitive,) = document["meshes"][0]["primitives"]
    attributes = primitive["attributes"]
    assert np.array_equal(values(document, binary, attributes["POSITION"]), mesh.positions)
    assert np.array_equal(values(document, binary, attributes["NORMAL"]), mesh.normals)  # type: ignore[arg-type]
    assert np.array_equal(values(document, binary, attributes["TEXCOORD_0"]), mesh.uvs)  # type: ignore[arg-type]
    assert np.array_equal(values(document, binary, primitive["indices"]).reshape(-1, 3), mesh.faces)
    position = document["accessors"][attributes["POSITION"]]
    assert position["min"] == mesh.positions.min(axis=0).tolist()
    assert position["max"] == mesh.positions.max(axis=0).tolist()
    assert document["asset"] == {"version": "2.0", "generator": "mvmesh test"}
    (image,) = document["images"]
    view = document["bufferViews"][image["bufferView"]]
    assert binary[view["byteOffset"] : view["byteOffset"] + view["byteLength"]] == PNG.data
    assert image["mimeType"] == "image/png"
    assert document["buffers"] == [{"byteLength": len(binary)}]


@pytest.mark.parametrize(("vertex_count", "code"), [(65_535, 5123), (65_536, 5125)])
def test_indices_are_short_as_long_as_the_restart_value_is_not_needed(vertex_count: int, code: int) -> None:
    mesh = tetrahedron(vertex_count=vertex_count)
    document, binary = unpack(pack_glb(mesh, base_color=PNG, metallic_roughness=None, generator="t"))
    indices = document["meshes"][0]["primitives"][0]["indices"]
    assert document["accessors"][indices]["componentType"] == code
    assert np.array_equal(values(document, binary, indices).reshape(-1, 3), mesh.faces)


def test_a_mesh_without_textures_has_a_matt_material_and_no_texture_coordinates() -> None:
    document, _ = unpack(pack_glb(tetrahedron(), base_color=None, metallic_roughness=None, generator="t"))
    (material,) = document["materials"]
    assert not material.get("doubleSided")
    assert material["pbrMetallicRoughness"]["metallicFactor"] == 0
    assert 0.5 < material["pbrMetallicRoughness"]["roughnessFactor"] <= 1
    assert not {"TEXCOORD_0", "TANGENT"} & set(document["meshes"][0]["primitives"][0]["attributes"])
    assert not {"images", "textures", "samplers"} & set(document)


def test_a_metallic_roughness_texture_is_taken_at_its_word() -> None:
    document, _ = unpack(pack_glb(tetrahedron(), base_color=PNG, metallic_roughness=PNG, generator="t"))
    surface = document["materials"][0]["pbrMetallicRoughness"]
    assert surface.get("metallicFactor", 1) == surface.get("roughnessFactor", 1) == 1
    assert surface["baseColorTexture"] == {"index": 0}
    assert surface["metallicRoughnessTexture"] == {"index": 1}
    assert [texture["source"] for texture in document["textures"]] == [0, 1]


def test_a_normal_map_is_the_materials() -> None:
    document, _ = unpack(pack_glb(tetrahedron(), base_color=PNG, metallic_roughness=PNG, normal=PNG, generator="t"))
    (material,) = document["materials"]
    assert material["normalTexture"] == {"index": 2}
    assert document["accessors"][document["meshes"][0]["primitives"][0]["attributes"]["TANGENT"]]["type"] == "VEC4"
    assert [texture["source"] for texture in document["textures"]] == [0, 1, 2]


def test_textures_are_left_out_of_a_mesh_that_has_no_place_for_them() -> None:
    document, _ = unpack(pack_glb(tetrahedron(textured=False), base_color=PNG, generator="t"))
    assert not {"images", "textures", "samplers"} & set(document)
    assert "baseColorFactor" in document["materials"][0]["pbrMetallicRoughness"]


def test_webp_is_declared_as_the_extension_that_it_is() -> None:
    document, _ = unpack(pack_glb(tetrahedron(), base_color=WEBP, metallic_roughness=PNG, generator="t"))
    assert document["extensionsRequired"] == document["extensionsUsed"] == ["EXT_texture_webp"]
    assert document["textures"][0]["extensions"] == {"EXT_texture_webp": {"source": 0}}
    assert document["textures"][1]["source"] == 1


def test_equal_input_gives_equal_bytes() -> None:
    one, two = (pack_glb(tetrahedron(), base_color=PNG, metallic_roughness=PNG, generator="t") for _ in range(2))
    assert one == two
