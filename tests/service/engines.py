"""Engines for tests: cheap, or broken on purpose. Worker processes import this file by its name."""

import errno
import os
import struct
import time
from pathlib import Path

from pipeline.service.engine import EngineFailure, EngineTask, Made, MadeFile, make_mesh

GLB = struct.pack("<4sIIII", b"glTF", 2, 12 + 8 + 28, 28, 0x4E4F534A) + b'{"asset":{"version":"2.0"}}  '


def quick(task: EngineTask) -> Made:
    """The smallest GLB there is, at once."""
    task.progress.write_text("0.5")
    path = task.folder / "mesh"
    path.write_bytes(GLB)
    mesh = MadeFile(
        path=path,
        name="mesh.glb",
        kind="3d",
        source="img23d",
        media_type="model/gltf-binary",
        properties={"size": len(GLB), "format": "glb", "faceCount": task.face_count},
    )
    return Made(files=(mesh,))


def gated(task: EngineTask) -> Made:
    """Waits, computing all the while, until a file named ``go`` lies in the folder named by the environment."""
    gate = Path(os.environ["MVMESH_TEST_GATE"], "go")
    task.progress.write_text("0.4")
    while not gate.exists():
        sum(range(10_000))
    return quick(task)


def complete_but_gated(task: EngineTask) -> Made:
    """The real engine, which does not say that it is done before the file ``go`` is there."""
    made = make_mesh(task)
    Path(os.environ["MVMESH_TEST_GATE"], "made").touch()
    gate = Path(os.environ["MVMESH_TEST_GATE"], "go")
    while not gate.exists():
        sum(range(10_000))
    return made


def faulty(task: EngineTask) -> Made:
    """Goes wrong in the way that the face count chooses."""
    match task.face_count:
        case 41_000:
            os._exit(17)
        case 42_000:
            time.sleep(3600)  # noqa: TID251 - it is to hang
        case 43_000:
            raise EngineFailure("frontImage shows no object", "render it on a plain background")
        case 44_000:
            raise ZeroDivisionError("secret detail")
        case 45_000:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    return quick(task)
