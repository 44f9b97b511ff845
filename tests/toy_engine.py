"""A cheap engine for tests of the flow: a whole GLB of four faces, another one for other pictures or parameters.

Worker processes import this file by its name.
"""

import hashlib
import json
import os
import struct
from pathlib import Path
from threading import Event

from pipeline.service.engine import EngineFailure, EngineTask, Made, MadeFile

GATE = "MVMESH_TEST_GATE"


def tetrahedron(size: float, *, textured: bool) -> bytes:
    """A GLB with four faces; ``textured`` ones have texture coordinates and a one-pixel texture."""
    positions = struct.pack("<12f", 0, 0, 0, size, 0, 0, 0, size, 0, 0, 0, size)
    uvs = struct.pack("<8f", 0, 0, 1, 0, 0, 1, 1, 1)
    indices = struct.pack("<12H", 0, 2, 1, 0, 1, 3, 0, 3, 2, 1, 2, 3)
    views = [("positions", positions), ("uvs", uvs), ("indices", indices)]
    document = {
        "asset": {"version": "2.0"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0, "TEXCOORD_0": 1}, "indices": 2, "material": 0}]}],
        "materials": [{"pbrMetallicRoughness": {"baseColorTexture": {"index": 0}} if textured else {}}],
        "accessors": [
            {
                "bufferView": 0,
                "componentType": 5126,
                "count": 4,
                "type": "VEC3",
                "min": [0, 0, 0],
                "max": [size, size, size],
            },
            {"bufferView": 1, "componentType": 5126, "count": 4, "type": "VEC2"},
            {"bufferView": 2, "componentType": 5123, "count": 12, "type": "SCALAR"},
        ],
        "bufferViews": [],
        "buffers": [{"byteLength": sum(len(data) for _, data in views)}],
    }
    offset = 0
    for _, data in views:
        document["bufferViews"].append({"buffer": 0, "byteOffset": offset, "byteLength": len(data)})
        offset += len(data)
    if textured:
        document["textures"] = [{"source": 0}]
        document["images"] = [{"uri": "data:image/png;base64,"}]
    text = json.dumps(document).encode()
    text += b" " * (-len(text) % 4)
    binary = b"".join(data for _, data in views)
    total = 12 + 8 + len(text) + 8 + len(binary)
    return (
        struct.pack("<4sII", b"glTF", 2, total)
        + struct.pack("<I4s", len(text), b"JSON")
        + text
        + struct.pack("<I4s", len(binary), b"BIN\0")
        + binary
    )


def make(task: EngineTask) -> Made:
    """Its size depends on the pictures' bytes and the face count, so that equal meshes mean equal orders."""
    digest = hashlib.sha256(b"".join(Path(one).read_bytes() for _, one in sorted(task.pictures.items())))
    digest.update(str(task.face_count).encode())
    glb = tetrahedron(1 + int.from_bytes(digest.digest()[:2], "big") / 65536, textured=task.textured)
    path = task.folder / "mesh"
    path.write_bytes(glb)
    made = MadeFile(
        path=path,
        name="mesh.glb",
        kind="3d",
        source="img23d",
        media_type="model/gltf-binary",
        properties={"size": len(glb), "format": "glb", "faceCount": 4},
    )
    return Made(files=(made,))


def make_when_told(task: EngineTask) -> Made:
    """Waits for the file that the environment names."""
    gate = Path(os.environ[GATE])
    while not gate.exists():
        Event().wait(0.05)
    return make(task)


def make_untextured(task: EngineTask) -> Made:
    """Never a texture, whatever was asked for."""
    return make(
        EngineTask(
            pictures=task.pictures,
            face_count=task.face_count,
            textured=False,
            pbr=False,
            folder=task.folder,
            progress=task.progress,
            threads=task.threads,
        )
    )


def break_down(task: EngineTask) -> Made:
    raise RuntimeError("out of luck")


def refuse(task: EngineTask) -> Made:
    raise EngineFailure("frontImage shows no object", "render it on a plain background")
