"""What the Khronos validator would complain of in a GLB of ours, and whether it is compact: for where there is no
validator.
"""

import io
import json
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_DTYPES = {5120: "i1", 5121: "u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
_WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4}
_VERTICES, _INDICES = 34962, 34963


class Glb:
    """A GLB of one primitive, taken apart."""

    def __init__(self, data: bytes) -> None:
        magic, version, length = struct.unpack_from("<4sII", data)
        json_length, json_kind = struct.unpack_from("<I4s", data, 12)
        binary_length, binary_kind = struct.unpack_from("<I4s", data, 20 + json_length)
        assert (magic, version, length) == (b"glTF", 2, len(data))
        assert (json_kind, binary_kind) == (b"JSON", b"BIN\0")
        assert json_length % 4 == binary_length % 4 == 0
        assert len(data) == 28 + json_length + binary_length
        self.document: dict[str, Any] = json.loads(data[20 : 20 + json_length])
        self.binary = data[28 + json_length :]
        ((self.primitive,),) = (mesh["primitives"] for mesh in self.document["meshes"])

    def view(self, at: int) -> bytes:
        view = self.document["bufferViews"][at]
        return self.binary[view["byteOffset"] : view["byteOffset"] + view["byteLength"]]

    def accessor(self, at: int) -> NDArray[Any]:
        described = self.document["accessors"][at]
        values = np.frombuffer(self.view(described["bufferView"]), _DTYPES[described["componentType"]])
        found = values.reshape(-1, _WIDTHS[described["type"]])
        assert len(found) == described["count"]
        return found

    @property
    def attributes(self) -> Mapping[str, NDArray[Any]]:
        return {name: self.accessor(at) for name, at in self.primitive["attributes"].items()}

    @property
    def faces(self) -> NDArray[np.int64]:
        return self.accessor(self.primitive["indices"]).reshape(-1, 3).astype(np.int64)

    def images(self) -> list[Image.Image]:
        return [Image.open(io.BytesIO(self.view(one["bufferView"]))) for one in self.document.get("images", [])]


def check(data: bytes) -> Glb:
    """Raises AssertionError for what the specification forbids, and for what its validator warns of or remarks."""
    glb = Glb(data)
    _check_layout(glb)
    _check_geometry(glb)
    _check_material(glb)
    return glb


def _check_layout(glb: Glb) -> None:
    """Every byte of the buffer belongs to one view (or pads it), every view to one accessor or image."""
    views, end = glb.document["bufferViews"], 0
    for view in views:
        assert view["byteOffset"] == end
        end += view["byteLength"] + -view["byteLength"] % 4
    assert glb.document["buffers"] == [{"byteLength": end}]
    assert end == len(glb.binary)
    used = [one["bufferView"] for one in [*glb.document["accessors"], *glb.document.get("images", [])]]
    assert sorted(used) == list(range(len(views)))
    primitive = glb.primitive
    assert sorted([primitive["indices"], *primitive["attributes"].values()]) == list(
        range(len(glb.document["accessors"]))
    )
    for name, at in [("", primitive["indices"]), *primitive["attributes"].items()]:
        target = views[glb.document["accessors"][at]["bufferView"]]["target"]
        assert target == (_VERTICES if name else _INDICES)
    assert "extensionsUsed" not in glb.document


def _check_geometry(glb: Glb) -> None:
    attributes, faces = glb.attributes, glb.faces
    count = len(attributes["POSITION"])
    assert {len(values) for values in attributes.values()} == {count}
    assert np.array_equal(np.unique(faces), np.arange(count))  # each vertex is used
    assert (np.diff(np.sort(faces, axis=1), axis=1) > 0).all()
    assert glb.document["accessors"][glb.primitive["indices"]]["componentType"] == (5123 if count < 65_536 else 5125)
    positions = glb.document["accessors"][glb.primitive["attributes"]["POSITION"]]
    assert positions["min"] == attributes["POSITION"].min(axis=0).tolist()
    assert positions["max"] == attributes["POSITION"].max(axis=0).tolist()
    assert all(np.isfinite(values).all() for values in attributes.values())
    assert np.abs(np.linalg.norm(attributes["NORMAL"], axis=1) - 1).max() < 5e-4
    if "TANGENT" in attributes:
        assert np.abs(np.linalg.norm(attributes["TANGENT"][:, :3], axis=1) - 1).max() < 5e-4
        assert set(attributes["TANGENT"][:, 3]) <= {1.0, -1.0}


def _check_material(glb: Glb) -> None:
    (material,) = glb.document["materials"]
    used = [one for one in material.values() if "index" in one]
    used += [one for one in material["pbrMetallicRoughness"].values() if isinstance(one, dict)]
    textures = glb.document.get("textures", [])
    assert sorted(one["index"] for one in used) == list(range(len(textures)))
    assert [one["source"] for one in textures] == list(range(len(glb.images())))
    assert ("TEXCOORD_0" in glb.attributes) == bool(textures)
    assert ("TANGENT" in glb.attributes) == ("normalTexture" in material)
    for image, described in zip(glb.images(), glb.document.get("images", []), strict=True):
        assert Image.MIME[image.format or ""] == described["mimeType"]
        assert all(side & (side - 1) == 0 for side in image.size), image.size
        image.load()
    if textures:
        assert (glb.attributes["TEXCOORD_0"] >= 0).all()
        assert (glb.attributes["TEXCOORD_0"] <= 1).all()
