"""What a GLB file says of itself, read from its structure alone (glTF 2.0, section 4)."""

import json
import math
import struct
from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.domain.errors import MeshDamaged
from pipeline.domain.items import MeshFacts
from pipeline.domain.texts import one_line

PREFIX_BYTES = 20
"""The file header (magic, version, length) and the header of the first chunk (length, type)."""

JSON_MAX_BYTES = 16 * 1024 * 1024
"""Of the JSON chunk, which is read into memory whole, where it may take twenty times as much. Meshes of a million faces
have a few kilobytes of it.
"""

_MAGIC, _JSON, _BIN = 0x46546C67, 0x4E4F534A, 0x004E4942
_CHUNK_HEADER = struct.Struct("<2I")
_TRIANGLES = 4
_COMPONENT_BYTES = {5120: 1, 5121: 1, 5122: 2, 5123: 2, 5125: 4, 5126: 4}
_COMPONENTS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT2": 4, "MAT3": 9, "MAT4": 16}


def json_length(prefix: bytes, size_bytes: int) -> int:
    """The length of the JSON chunk that follows the prefix.

    Raises:
        MeshDamaged: no GLB of version 2, or cut: says what was found.
    """
    if len(prefix) < PREFIX_BYTES:
        raise MeshDamaged(f"the mesh file ends after {size_bytes} bytes: no GLB is that short")
    magic, version, length, chunk_length, chunk_type = struct.unpack("<5I", prefix[:PREFIX_BYTES])
    if magic != _MAGIC:
        raise MeshDamaged(f"the mesh file is no GLB: it begins with {prefix[:8]!r}")
    if version != 2:  # noqa: PLR2004 - the only version there is
        raise MeshDamaged(f"the mesh file is a GLB of version {version}, expected 2")
    if length != size_bytes:
        raise MeshDamaged(f"the mesh file holds {size_bytes:,} bytes, its header says {length:,}: it is cut or damaged")
    if chunk_type != _JSON or PREFIX_BYTES + chunk_length > size_bytes:
        raise MeshDamaged("the mesh file's first chunk is no JSON chunk that fits the file")
    if chunk_length > JSON_MAX_BYTES:
        raise MeshDamaged(f"the mesh file's JSON chunk of {chunk_length:,} bytes is larger than {JSON_MAX_BYTES:,}")
    return int(chunk_length)


def glb_facts(text: bytes, rest: bytes, size_bytes: int) -> MeshFacts:
    """Faces, vertices, textures and materials of a GLB.

    Args:
        text: the JSON chunk.
        rest: the eight bytes after it, the header of the binary chunk (empty when the file ends there).
        size_bytes: of the whole file.

    Raises:
        MeshDamaged: the structure contradicts itself, or there is no face in it.
    """
    try:
        document = json.loads(text, parse_constant=_refuse_constant)
        binary_bytes = _binary_length(text, rest, size_bytes)
        _check_views(document, binary_bytes)
        return _facts(document)
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError) as error:
        raise MeshDamaged(f"the mesh file's JSON chunk cannot be understood: {one_line(repr(error))}") from error


def _refuse_constant(name: str) -> None:
    """Python reads NaN and Infinity; JSON has no such numbers."""
    raise ValueError(f"{name} is no JSON")


def _binary_length(text: bytes, rest: bytes, size_bytes: int) -> int:
    if not rest:
        return 0
    if len(rest) < _CHUNK_HEADER.size:
        raise MeshDamaged(f"the mesh file ends within a chunk header, {len(rest)} bytes after its JSON chunk")
    length, kind = _CHUNK_HEADER.unpack(rest)
    end = PREFIX_BYTES + len(text) + len(rest) + length
    if kind != _BIN or end > size_bytes:
        raise MeshDamaged(f"the mesh file's binary chunk would end at byte {end:,} of {size_bytes:,}")
    return int(length)


def _check_views(document: Mapping[str, Any], binary_bytes: int) -> None:
    views = document.get("bufferViews", ())
    for at, view in enumerate(views):
        if "uri" in document["buffers"][view["buffer"]]:
            raise MeshDamaged(f"bufferView {at} lies in another file: a delivered mesh must stand alone")
        start, length = view.get("byteOffset", 0), view["byteLength"]
        if start < 0 or length < 0:
            raise MeshDamaged(f"bufferView {at} has {length} bytes from byte {start} on")
        if start + length > binary_bytes and not _is_compressed(view):
            raise MeshDamaged(f"bufferView {at} ends beyond the binary chunk of {binary_bytes:,} bytes")
    for at, accessor in enumerate(document.get("accessors", ())):
        if accessor["count"] < 1:
            raise MeshDamaged(f"accessor {at} has {accessor['count']} elements")
        if "bufferView" in accessor and not _is_compressed(views[accessor["bufferView"]]):
            _check_accessor(at, accessor, views[accessor["bufferView"]])


def _is_compressed(view: Mapping[str, Any]) -> bool:
    return any("meshopt" in name for name in view.get("extensions", ()))


def _check_accessor(at: int, accessor: Mapping[str, Any], view: Mapping[str, Any]) -> None:
    start = accessor.get("byteOffset", 0)
    if start < 0:
        raise MeshDamaged(f"accessor {at} begins at byte {start}")
    element = _COMPONENT_BYTES[accessor["componentType"]] * _COMPONENTS[accessor["type"]]
    stride = view.get("byteStride", element)
    end = start + stride * (accessor["count"] - 1) + element
    if end > view["byteLength"]:
        raise MeshDamaged(f"accessor {at} needs {end:,} bytes of a bufferView of {view['byteLength']:,}")


def _facts(document: Mapping[str, Any]) -> MeshFacts:
    accessors: Sequence[Mapping[str, Any]] = document.get("accessors", ())
    primitives = [one for mesh in document.get("meshes", ()) for one in mesh["primitives"]]
    faces = sum(_faces(one, accessors) for one in primitives)
    if faces < 1:
        raise MeshDamaged("the mesh file holds no face")
    positions = [accessors[one["attributes"]["POSITION"]] for one in primitives]
    materials = document.get("materials", ())
    return MeshFacts(
        face_count=faces,
        vertex_count=sum(one["count"] for one in {id(one): one for one in positions}.values()),
        texture_count=len(document.get("textures", ())),
        material_count=len(materials),
        has_uvs=any("TEXCOORD_0" in one["attributes"] for one in primitives),
        has_pbr=any("metallicRoughnessTexture" in one.get("pbrMetallicRoughness", {}) for one in materials),
        bounds=_bounds(positions),
    )


def _faces(primitive: Mapping[str, Any], accessors: Sequence[Mapping[str, Any]]) -> int:
    corners = accessors[primitive.get("indices", primitive["attributes"]["POSITION"])]["count"]
    match primitive.get("mode", _TRIANGLES):
        case 4:
            return int(corners) // 3
        case 5 | 6:
            return max(int(corners) - 2, 0)
        case _:
            return 0


def _bounds(
    positions: Sequence[Mapping[str, Any]],
) -> tuple[tuple[float, float, float], tuple[float, float, float]] | None:
    """The box around all primitives in their own coordinates; None where an accessor does not say."""
    if not all("min" in one and "max" in one for one in positions):
        return None
    low = tuple(min(float(one["min"][axis]) for one in positions) for axis in range(3))
    high = tuple(max(float(one["max"][axis]) for one in positions) for axis in range(3))
    if not all(map(math.isfinite, (*low, *high))):
        raise MeshDamaged(f"the mesh reaches from {low} to {high}: its bounds are no finite numbers")
    return (low[0], low[1], low[2]), (high[0], high[1], high[2])
