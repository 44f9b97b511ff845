"""Reads GLB files of any origin; the only importer of trimesh."""

import io
from dataclasses import dataclass
from typing import Any

import numpy as np
import trimesh
from numpy.typing import NDArray
from trimesh.visual import ColorVisuals, TextureVisuals

from pipeline.domain.errors import MeshDamaged
from pipeline.geometry.mesh import Mesh
from pipeline.geometry.rendering import Colours, Part, from_linear, linear

_PBR_MAPS = ("metallicRoughnessTexture", "normalTexture")


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedMesh:
    """All triangles of a GLB in the frame of its scene; one part for each primitive that a node shows."""

    parts: tuple[Part, ...]
    """At least one, each with at least one face; indices and positions are safe to use."""
    pbr: bool
    """Whether a material has a metallic-roughness or a normal map."""

    @property
    def face_count(self) -> int:
        return sum(len(part.mesh.faces) for part in self.parts)

    @property
    def textured(self) -> bool:
        return any(part.texture is not None and part.mesh.uvs is not None for part in self.parts)


def read_glb(data: bytes) -> LoadedMesh:
    """Everything in the file that has a surface. Lines, points, cameras, rigs are passed over, so are textures in
    formats that Pillow cannot read; base colour factors come out multiplied into texture or vertex colours.

    Raises:
        MeshDamaged: the bytes are no readable GLB, or hold no triangles.
    """
    try:
        scene = trimesh.load_scene(io.BytesIO(data), file_type="glb", process=False)
        shown = [scene.graph[node] for node in scene.graph.nodes_geometry]
        placed = [(scene.geometry[name], np.asarray(matrix)) for matrix, name in shown]
        surfaces = [(one, matrix) for one, matrix in placed if isinstance(one, trimesh.Trimesh) and len(one.faces)]
        parts = tuple(_part(surface, matrix) for surface, matrix in surfaces)
        pbr = any(_has_pbr_maps(surface) for surface, _ in surfaces)
    except MeshDamaged:
        raise
    except Exception as error:  # trimesh raises whatever damaged bytes lead it to
        raise MeshDamaged(
            f"The file cannot be read as a GLB mesh ({type(error).__name__}: {error}).",
            mend="Generate or download it again; if it opens in other programs, report the file.",
        ) from error
    if not parts:
        raise MeshDamaged("The GLB is readable but holds no triangles.", mend="Generate the mesh again.")
    return LoadedMesh(parts=parts, pbr=pbr)


def _part(surface: trimesh.Trimesh, matrix: NDArray[np.float64]) -> Part:
    mesh = _mesh(surface, matrix)
    texture = _texture(surface)
    colours = _vertex_colours(surface)
    factor = _factor(surface)
    if texture is not None and mesh.uvs is not None:
        if (factor < 1).any():
            texture = from_linear(linear(texture) * factor)
    elif (factor < 1).any():
        plain = np.ones((len(mesh.positions), 3)) if colours is None else linear(colours)
        colours = from_linear(plain * factor)
    return Part(mesh=mesh, texture=texture, colours=colours)


def _mesh(surface: trimesh.Trimesh, matrix: NDArray[np.float64]) -> Mesh:
    """The geometry where its node puts it (a 4 x 4 matrix). Not trimesh's own copy, which loses vertex colours."""
    turn, shift = matrix[:3, :3], matrix[:3, 3]
    positions = (np.asarray(surface.vertices) @ turn.T + shift).astype(np.float32)
    faces = np.asarray(surface.faces)
    if not np.isfinite(positions).all():
        raise MeshDamaged("The GLB has vertices that are not finite numbers.", mend="Generate the mesh again.")
    if faces.min() < 0 or faces.max() >= len(positions):
        raise MeshDamaged("The GLB has faces that name vertices which do not exist.", mend="Generate the mesh again.")
    mirrored = np.linalg.det(turn) < 0
    normals = np.asarray(surface.vertex_normals) @ np.linalg.pinv(turn)
    lengths = np.linalg.norm(normals, axis=1, keepdims=True)
    uvs = getattr(surface.visual, "uv", None)
    return Mesh(
        positions=positions,
        faces=(faces[:, ::-1] if mirrored else faces).astype(np.uint32),
        normals=(normals / np.where(lengths > 0, lengths, 1)).astype(np.float32),
        uvs=None if uvs is None else np.asarray(uvs * (1, -1) + (0, 1), np.float32),  # trimesh has the origin below
    )


def _material(surface: trimesh.Trimesh) -> Any:
    return getattr(surface.visual, "material", None)


def _texture(surface: trimesh.Trimesh) -> Colours | None:
    image = getattr(_material(surface), "baseColorTexture", None)
    return None if image is None else np.asarray(image.convert("RGB"))


def _factor(surface: trimesh.Trimesh) -> NDArray[np.float64]:
    """(3,) linear; trimesh keeps it in 8 bits."""
    factor = getattr(_material(surface), "baseColorFactor", None)
    return np.ones(3) if factor is None else np.asarray(factor, np.float64)[:3] / 255


def _vertex_colours(surface: trimesh.Trimesh) -> Colours | None:
    """(V, 3). COLOR_0 is linear; trimesh keeps it as it is beside a material, and else in 8 bits."""
    visual = surface.visual
    if isinstance(visual, ColorVisuals) and visual.kind == "vertex":
        values = np.asarray(visual.vertex_colors)
    elif isinstance(visual, TextureVisuals) and "color" in visual.vertex_attributes:
        values = np.asarray(visual.vertex_attributes["color"])
    else:
        return None
    whole = np.iinfo(values.dtype).max if values.dtype.kind == "u" else 1
    return from_linear(values[:, :3] / whole)


def _has_pbr_maps(surface: trimesh.Trimesh) -> bool:
    return any(getattr(_material(surface), name, None) is not None for name in _PBR_MAPS)
