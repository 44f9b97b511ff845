"""One job's work, done in a worker process: pictures in, a GLB (and textures) out as files.

Imports nothing heavy at the top: the service itself never loads numpy or compiled kernels.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.domain.errors import PictureRefused
from pipeline.domain.views import View
from pipeline.geometry.progress import Progress, Stages
from pipeline.ports.compute import write_progress
from pipeline.ports.heap import keep_heap

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pipeline.geometry.gltf import EncodedImage
    from pipeline.geometry.mesh import Mesh
    from pipeline.geometry.reconstruction import Reconstruction

_THREAD_VARIABLES = ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_JPEG_QUALITY = 92
_EXPECTED = {"read": 0.08, "reconstruct": 0.84, "write": 0.08}
"""The parts of a job's time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineTask:
    """Everything that a worker process is told of a job."""

    pictures: Mapping[View, Path]
    face_count: int
    textured: bool
    pbr: bool
    folder: Path
    """Where to write; empty, on the disk of the data folder."""
    progress: Path
    """A file to tell the progress in: one number from 0 to 1."""
    threads: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeFile:
    """One file that becomes an asset of the job."""

    path: Path
    name: str
    kind: str
    source: str
    media_type: str
    properties: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What a job came to."""

    files: tuple[MadeFile, ...]
    """The mesh comes first."""
    notes: tuple[str, ...] = ()
    """What a person should know of it: what was found in the pictures, and what was guessed."""


class EngineFailure(Exception):
    """The pictures make no mesh. Both texts are for the person who sent them."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message, hint)
        self.message = message
        self.hint = hint


Engine = Callable[[EngineTask], Made]


def make_mesh(task: EngineTask) -> Made:
    """Reconstruct, texture and pack one mesh. Equal tasks give equal bytes.

    Raises:
        EngineFailure: a picture cannot be read, or the views make no mesh.
    """
    for variable in _THREAD_VARIABLES:
        os.environ[variable] = str(task.threads)  # read when the libraries load, just below
    keep_heap()
    from pipeline.geometry.reconstruction import Options, reconstruct  # noqa: PLC0415
    from pipeline.geometry.silhouettes import ReconstructionError  # noqa: PLC0415

    stages = Stages(partial(write_progress, task.progress), _EXPECTED)
    options = Options(face_count=task.face_count, textured=task.textured, pbr=task.pbr)
    try:
        pictures = _read(task.pictures, stages.within("read"))
        made = reconstruct(pictures, options, stages.within("reconstruct"))
    except ReconstructionError as error:
        raise EngineFailure(error.found, error.mend) from error
    except PictureRefused as error:
        raise EngineFailure(str(error), error.mend) from error
    return Made(files=_written(task.folder, made, stages.within("write")), notes=made.notes)


def _read(paths: Mapping[View, Path], progress: Progress) -> "dict[View, NDArray[np.uint8]]":
    """No more than one picture is in memory in more pixels than the engine works on."""
    from pipeline.geometry.reconstruction import SIZE_MAX_PX  # noqa: PLC0415
    from pipeline.ports.images import read_rgba  # noqa: PLC0415

    pictures = {}
    for view, path in paths.items():
        pictures[view] = read_rgba(path.read_bytes(), view.field, longest_px=SIZE_MAX_PX)
        progress(len(pictures) / len(paths))
    return pictures


def _written(folder: Path, made: "Reconstruction", progress: Progress) -> tuple[MadeFile, ...]:
    """All files of the result, in the job's own folder: nothing of it is an asset yet."""
    maps = _maps(made)
    files = [_write_mesh(folder, made)]
    for name, pixels in maps.items():
        progress(len(files) / (1 + len(maps)))
        files.append(_write_map(folder, name, pixels))
    progress(1)
    return tuple(files)


def _write_mesh(folder: Path, made: "Reconstruction") -> MadeFile:
    from pipeline.geometry.gltf import pack_glb  # noqa: PLC0415
    from pipeline.geometry.ordering import ordered  # noqa: PLC0415

    mesh = ordered(made.mesh)
    glb = pack_glb(
        mesh,
        base_color=_jpeg(made.base_color),
        metallic_roughness=_png(made.metallic_roughness),
        normal=_png(made.normal_map),
        generator=f"mvmesh {version('mvmesh')}",
    )
    path = folder / "mesh"
    path.write_bytes(glb)
    return MadeFile(
        path=path,
        name="mesh.glb",
        kind="3d",
        source="img23d",
        media_type="model/gltf-binary",
        properties={"size": len(glb), **_mesh_properties(mesh)},
    )


def _mesh_properties(mesh: "Mesh") -> dict[str, Any]:
    extent = mesh.positions.max(axis=0) - mesh.positions.min(axis=0)
    return {
        "format": "glb",
        "faceCount": len(mesh.faces),
        "vertexCount": len(mesh.positions),
        "hasUVs": mesh.uvs is not None,
        "hasNormals": mesh.normals is not None,
        "hasAnimations": False,
        "hasSkeleton": False,
        "dimensions": [round(float(side), 6) for side in extent],
    }


def _maps(made: "Reconstruction") -> "dict[str, NDArray[np.uint8]]":
    """The textures of a PBR material one by one, as the real service delivers them beside the mesh."""
    if made.base_color is None or made.metallic_roughness is None:
        return {}
    maps = {
        "albedo": made.base_color,
        "metallic": made.metallic_roughness[..., 2].copy(),  # glTF keeps metalness in blue, roughness in green
        "roughness": made.metallic_roughness[..., 1].copy(),
    }
    return maps if made.normal_map is None else {**maps, "normal": made.normal_map}


def _write_map(folder: Path, name: str, pixels: "NDArray[np.uint8]") -> MadeFile:
    from pipeline.ports.images import encode_png  # noqa: PLC0415

    data = encode_png(pixels)
    path = folder / name
    path.write_bytes(data)
    return MadeFile(
        path=path,
        name=f"{name}.png",
        kind="image",
        source=f"3d:texture:{name}",
        media_type="image/png",
        properties={"size": len(data), "width": pixels.shape[1], "height": pixels.shape[0], "format": "png"},
    )


def _jpeg(pixels: "NDArray[np.uint8] | None") -> "EncodedImage | None":
    if pixels is None:
        return None
    from pipeline.geometry.gltf import EncodedImage  # noqa: PLC0415
    from pipeline.ports.images import encode_jpeg  # noqa: PLC0415

    return EncodedImage(data=encode_jpeg(pixels, quality=_JPEG_QUALITY), media_type="image/jpeg")


def _png(pixels: "NDArray[np.uint8] | None") -> "EncodedImage | None":
    """For maps that are numbers, not colours: not a bit may change."""
    if pixels is None:
        return None
    from pipeline.geometry.gltf import EncodedImage  # noqa: PLC0415
    from pipeline.ports.images import encode_png  # noqa: PLC0415

    return EncodedImage(data=encode_png(pixels), media_type="image/png")
