"""A mesh and its encoded textures as one binary glTF 2.0 file (https://registry.khronos.org/glTF/specs/2.0)."""

import json
import struct
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.geometry.mesh import Mesh

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
        """An accessor of (V, 2) or (V, 3) floats."""
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
    mesh: Mesh, *, base_color: EncodedImage | None, metallic_roughness: EncodedImage | None, generator: str
) -> bytes:
    """The bytes of a GLB: equal for equal input. Textures need ``mesh.uvs``; the mesh must have a face."""
    buffer = _Buffer()
    attributes = {"POSITION": buffer.vectors(mesh.positions, bounds=True)}
    if mesh.normals is not None:
        attributes["NORMAL"] = buffer.vectors(mesh.normals)
    images = [image for image in (base_color, metallic_roughness) if image is not None]
    if mesh.uvs is not None and images:
        attributes["TEXCOORD_0"] = buffer.vectors(mesh.uvs)
    primitive = {"attributes": attributes, "indices": buffer.indices(mesh.faces, len(mesh.positions)), "material": 0}
    document = {
        "asset": {"version": "2.0", "generator": generator},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": [primitive]}],
        "materials": [_material(base_color, metallic_roughness)],
        **_textures(images, buffer),
        "accessors": buffer.accessors,
        "bufferViews": buffer.views,
        "buffers": [{"byteLength": len(buffer.data)}],
    }
    return _container(json.dumps(document, separators=(",", ":")).encode(), bytes(buffer.data))


def _material(base_color: EncodedImage | None, metallic_roughness: EncodedImage | None) -> dict[str, Any]:
    surface: dict[str, Any] = {"metallicFactor": 0.0, "roughnessFactor": _ROUGHNESS}
    if base_color is None:
        surface["baseColorFactor"] = _CLAY
    else:
        surface["baseColorTexture"] = {"index": 0}
    if metallic_roughness is not None:
        texture = {"index": 0 if base_color is None else 1}
        surface |= {"metallicFactor": 1.0, "roughnessFactor": 1.0, "metallicRoughnessTexture": texture}
    return {"pbrMetallicRoughness": surface, "doubleSided": False}


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
