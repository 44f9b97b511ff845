"""A mesh and its encoded textures as one binary glTF 2.0 file (https://registry.khronos.org/glTF/specs/2.0).

Core glTF alone: whatever reads glTF reads it. Indices are of the smallest type. Positions and normals have one type
without an extension, floats; texture coordinates could be 16-bit numbers in core glTF, a tenth of a file, but trimesh
(5.2) and older Assimp hand these on as they are, not divided by 65,535: scrambled textures, without a warning.
Many primitives with 16-bit indices each would save a seventh of a file, and no reader would find one closed mesh in it.
"""

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.geometry.mesh import Mesh
from pipeline.geometry.tangents import vertex_tangents

_FLOAT, _USHORT, _UINT = 5126, 5123, 5125
_VERTICES, _INDICES = 34962, 34963
_LINEAR, _TRILINEAR, _CLAMP = 9729, 9987, 33071
_RESTART = 65535
"""The largest 16-bit index would restart the primitive: meshes that need it take 32 bits."""
_ROUGHNESS = 0.9
_CLAY = [0.58, 0.55, 0.51, 1.0]
"""The linear colour of a mesh without a texture."""
_CORE_MEDIA = frozenset({"image/png", "image/jpeg"})


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedImage:
    data: bytes
    media_type: str
    """image/png, image/jpeg or image/webp."""


@dataclass(slots=True)
class _Buffer:
    """The binary chunk, as it grows."""

    data: bytearray = field(default_factory=bytearray)
    views: list[dict[str, Any]] = field(default_factory=list)
    accessors: list[dict[str, Any]] = field(default_factory=list)

    def view(self, data: bytes, **properties: int) -> int:
        self.views.append({"buffer": 0, "byteOffset": len(self.data), "byteLength": len(data), **properties})
        self.data += data + bytes(-len(data) % 4)
        return len(self.views) - 1

    def vectors(self, values: NDArray[np.float32], *, bounds: bool = False) -> int:
        """An accessor of (V, n) floats."""
        values = np.ascontiguousarray(values, "<f4")
        extent = {"min": values.min(axis=0).tolist(), "max": values.max(axis=0).tolist()} if bounds else {}
        at = self.view(values.tobytes(), target=_VERTICES)
        kind = f"VEC{values.shape[1]}"
        self.accessors.append({"bufferView": at, "componentType": _FLOAT, "count": len(values), "type": kind, **extent})
        return len(self.accessors) - 1

    def indices(self, faces: NDArray[np.uint32], vertex_count: int) -> int:
        kind, code = ("<u2", _USHORT) if vertex_count <= _RESTART else ("<u4", _UINT)
        at = self.view(faces.astype(kind).tobytes(), target=_INDICES)
        extent = {"min": [int(faces.min())], "max": [int(faces.max())]}
        self.accessors.append(
            {"bufferView": at, "componentType": code, "count": faces.size, "type": "SCALAR", **extent}
        )
        return len(self.accessors) - 1


def pack_glb(
    mesh: Mesh,
    *,
    base_color: EncodedImage | None = None,
    metallic_roughness: EncodedImage | None = None,
    normal: EncodedImage | None = None,
    generator: str,
) -> bytes:
    """The bytes of a GLB: equal for equal input.

    Args:
        mesh: with at least one face; textures need its ``uvs``.
        base_color: sRGB. Without it the mesh has the colour of clay.
        metallic_roughness: numbers, not colours: green is roughness, blue is metallic.
        normal: in the space of ``vertex_tangents``: red towards growing u, green towards falling v, blue outwards.
        generator: what made it, for the file's ``asset`` entry.
    """
    maps = {"base_color": base_color, "metallic_roughness": metallic_roughness, "normal": normal}
    images = {name: image for name, image in maps.items() if image is not None and mesh.uvs is not None}
    buffer = _Buffer()
    attributes = {"POSITION": buffer.vectors(mesh.positions, bounds=True)}
    if mesh.normals is not None:
        attributes["NORMAL"] = buffer.vectors(mesh.normals)
    if mesh.uvs is not None and images:
        attributes["TEXCOORD_0"] = buffer.vectors(mesh.uvs)
    if "normal" in images:  # without tangents every reader would make up its own
        attributes["TANGENT"] = buffer.vectors(vertex_tangents(mesh))
    primitive = {"attributes": attributes, "indices": buffer.indices(mesh.faces, len(mesh.positions)), "material": 0}
    document = {
        "asset": {"version": "2.0", "generator": generator},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": [primitive]}],
        "materials": [_material({name: {"index": at} for at, name in enumerate(images)})],
        **_textures(list(images.values()), buffer),
        "accessors": buffer.accessors,
        "bufferViews": buffer.views,
        "buffers": [{"byteLength": len(buffer.data)}],
    }
    return _container(json.dumps(document, separators=(",", ":")).encode(), bytes(buffer.data))


def _material(textures: Mapping[str, Mapping[str, int]]) -> dict[str, Any]:
    """Factors that are left out are 1: the textures count as they are."""
    surface: dict[str, Any] = {"metallicFactor": 0.0, "roughnessFactor": _ROUGHNESS}
    if "metallic_roughness" in textures:
        surface = {"metallicRoughnessTexture": textures["metallic_roughness"]}
    if "base_color" in textures:
        surface["baseColorTexture"] = textures["base_color"]
    else:
        surface["baseColorFactor"] = _CLAY
    bumps = {"normalTexture": textures["normal"]} if "normal" in textures else {}
    return {"pbrMetallicRoughness": surface, **bumps}


def _textures(images: list[EncodedImage], buffer: _Buffer) -> dict[str, Any]:
    """The sections that speak of images; none without images."""
    if not images:
        return {}
    webp = any(image.media_type not in _CORE_MEDIA for image in images)
    extension = {"extensionsUsed": ["EXT_texture_webp"], "extensionsRequired": ["EXT_texture_webp"]} if webp else {}
    return {
        **extension,
        "textures": [_texture(image, at) for at, image in enumerate(images)],
        "images": [{"bufferView": buffer.view(image.data), "mimeType": image.media_type} for image in images],
        "samplers": [{"magFilter": _LINEAR, "minFilter": _TRILINEAR, "wrapS": _CLAMP, "wrapT": _CLAMP}],
    }


def _texture(image: EncodedImage, at: int) -> dict[str, Any]:
    if image.media_type in _CORE_MEDIA:
        return {"sampler": 0, "source": at}
    return {"sampler": 0, "extensions": {"EXT_texture_webp": {"source": at}}}


def _container(document: bytes, binary: bytes) -> bytes:
    document += b" " * (-len(document) % 4)
    chunks = (
        struct.pack("<I4s", len(document), b"JSON") + document + struct.pack("<I4s", len(binary), b"BIN\0") + binary
    )
    return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks
