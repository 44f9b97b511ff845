"""The files of a result: what each asset of a job is, and what it is called in the output folder."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from pipeline.domain.errors import MeshDamaged
from pipeline.domain.items import Alias
from pipeline.domain.jobs import Asset
from pipeline.domain.naming import mesh_name, portable_path
from pipeline.domain.texts import one_line

MESH = "mesh"
PREVIEW = "preview"
GLB_TYPE = "model/gltf-binary"

_SUFFIXES = {
    GLB_TYPE: ".glb",
    "model/obj": ".obj",
    "model/mtl": ".mtl",
    "image/png": ".png",
    "image/jpeg": ".jpg",
    "image/webp": ".webp",
}
_TEXTURE_SOURCE = "3d:texture:"
_KNOWN_TEXTURES = frozenset({"albedo", "normal", "metallic", "roughness", "metallic-roughness", "mtl", "occlusion"})


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedAsset:
    """One asset of a job that is downloaded: what it is, and the suffix of its file."""

    role: str
    asset: Asset
    suffix: str


def wanted(assets: Sequence[Asset]) -> list[WantedAsset]:
    """The mesh and the textures among a job's assets, each under a role of its own; pictures for the gallery are left.

    Raises:
        MeshDamaged: there is no GLB among them.
    """
    found: dict[str, WantedAsset] = {}
    for asset in assets:
        if role := _role(asset):
            found.setdefault(role, WantedAsset(role=role, asset=asset, suffix=_SUFFIXES.get(asset.media_type, ".bin")))
    if MESH not in found:
        kinds = ", ".join(sorted({one.media_type or one.kind or "unknown" for one in assets})) or "nothing"
        raise MeshDamaged(one_line(f"the job made no GLB mesh but {kinds}"), mend="look at the job at the service")
    return list(found.values())


def has_mesh(assets: Sequence[Asset]) -> bool:
    """Whether the mesh is among a job's assets."""
    return any(_role(one) == MESH for one in assets)


def _role(asset: Asset) -> str:
    if asset.kind == "3d" and asset.media_type == GLB_TYPE:
        return MESH
    texture = asset.source.removeprefix(_TEXTURE_SOURCE)
    return texture if texture != asset.source and texture in _KNOWN_TEXTURES else ""


def mesh_folder(alias: Alias, *, held: bool) -> PurePosixPath:
    """``meshes/<set id>[@variant]`` below the output folder, or ``held/...``."""
    return PurePosixPath("held" if held else "meshes") / portable_path(alias.set_id, alias.suffix)


def file_name(alias: Alias, role: str, suffix: str) -> str:
    """``chair.glb`` for the mesh of ``props/chair``; further files are named by what they are: ``albedo.png``."""
    return mesh_name(alias.set_id) if role == MESH else f"{role}{suffix}"


def preview_path(alias: Alias) -> PurePosixPath:
    """``previews/<set id>[@variant].webp`` below the output folder."""
    return PurePosixPath("previews") / portable_path(alias.set_id, f"{alias.suffix}.webp")
