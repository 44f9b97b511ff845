"""The reconstruction engine as a library: view images of one object become a closed, textured mesh.

    from pipeline.geometry import Options, View, pack_glb, reconstruct

    made = reconstruct({View.FRONT: front, View.LEFT: left}, Options(face_count=100_000))
    glb = pack_glb(made.mesh, generator="mine")

Pictures and textures are numpy arrays of 8-bit sRGB, row 0 on top. Positions are in the frame of glTF (right-handed,
+Y up, the object's front faces +Z, so that its own left side is on +X) and in world units: an orthographic picture is
``ORTHOGRAPHIC_WIDTH`` (1.1) of them across its longer side, with the origin in its middle. Everything runs on the CPU
(in as many threads as ``NUMBA_NUM_THREADS`` allows), and gives equal output for equal input.

Nothing heavy is loaded before one of the names is asked for (PEP 562): numpy and numba are in the ``engine`` extra.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.domain.views import ORTHOGRAPHIC_WIDTH, View
    from pipeline.geometry.gltf import EncodedImage, pack_glb
    from pipeline.geometry.mesh import Mesh
    from pipeline.geometry.reconstruction import Options, Reconstruction, reconstruct
    from pipeline.geometry.silhouettes import ReconstructionError

__all__ = [
    "ORTHOGRAPHIC_WIDTH",
    "EncodedImage",
    "Mesh",
    "Options",
    "Reconstruction",
    "ReconstructionError",
    "View",
    "pack_glb",
    "reconstruct",
]

_HOMES = {
    "ORTHOGRAPHIC_WIDTH": "pipeline.domain.views",
    "EncodedImage": "pipeline.geometry.gltf",
    "Mesh": "pipeline.geometry.mesh",
    "Options": "pipeline.geometry.reconstruction",
    "Reconstruction": "pipeline.geometry.reconstruction",
    "ReconstructionError": "pipeline.geometry.silhouettes",
    "View": "pipeline.domain.views",
    "pack_glb": "pipeline.geometry.gltf",
    "reconstruct": "pipeline.geometry.reconstruction",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
