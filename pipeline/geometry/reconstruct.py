"""The reconstruction engine: view images of one object become a closed, textured mesh."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.domain.views import ORTHOGRAPHIC_WIDTH, View
from pipeline.geometry.contradictions import contradiction
from pipeline.geometry.mesh import Mesh
from pipeline.geometry.silhouettes import ReconstructionError, Silhouette, pure_colours, silhouettes
from pipeline.geometry.surface import surface
from pipeline.geometry.texture import bare, textured
from pipeline.geometry.visual_hull import Hull, visual_hull

_SIZE_MAX_PX = 2048
"""Larger pictures are worked on at this size: eight of them fill the largest texture long before."""
_SIZE_MIN_PX = 16
_ROUGHNESS = 0.9
"""Pictures in a soft light show no highlights to tell roughness by: every surface is said to be matt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What is asked of a reconstruction."""

    face_count: int = 500_000
    textured: bool = True
    pbr: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconstruction:
    """What the pictures gave. Textures are square-cornered atlases that ``mesh.uvs`` refer to."""

    mesh: Mesh
    """In the frame and the units of the views: glTF axes, the pictures' middle is the origin."""
    base_color: NDArray[np.uint8] | None
    """(H, W, 3) sRGB."""
    metallic_roughness: NDArray[np.uint8] | None
    """(h, w, 3) as glTF packs it: green is roughness, blue is metallic."""
    notes: tuple[str, ...]
    """What a person should know, such as that the depth is guessed."""


def _unheard(fraction: float) -> None:
    """For callers who don't ask how far the work is."""


def reconstruct(
    pictures: Mapping[View, NDArray[np.uint8]], options: Options, progress: Callable[[float], None] = _unheard
) -> Reconstruction:
    """Turn (H, W, 4) straight-alpha sRGB view images into a mesh.

    ``front`` must be among them. All are orthographic and share one frame: ``ORTHOGRAPHIC_WIDTH`` world units across
    the longer side, the object's origin in the middle. Opaque pictures need a plain background. ``progress`` hears
    fractions from 0 to 1. Equal input gives equal output.

    Raises ReconstructionError, which names the view and the mend, when the front view is missing, when a picture shows
    no object or nothing but the object, or when the silhouettes have nothing in common.
    """
    seen = _silhouettes(pictures)
    progress(0.25)
    hull = visual_hull({view: one.coverage for view, one in seen.items()})
    progress(0.4)
    vertices, faces = surface(hull, options.face_count)
    if not len(faces):
        raise ReconstructionError(contradiction(hull))
    progress(0.65)
    if options.textured:
        mesh, base_color = textured(vertices, faces, _colours(hull, seen))
    else:
        mesh, base_color = bare(vertices, faces), None
    progress(1)
    return Reconstruction(
        mesh=mesh,
        base_color=base_color,
        metallic_roughness=_matt() if options.pbr and options.textured else None,
        notes=_notes(hull, options, len(faces)),
    )


def _silhouettes(pictures: Mapping[View, NDArray[np.uint8]]) -> dict[View, Silhouette]:
    """All on squares of one size: that of the largest picture, within bounds; in the order of ``View``."""
    if View.FRONT not in pictures:
        raise ReconstructionError("front view: missing; it is the one view that a reconstruction needs")
    largest = max(max(picture.shape[:2]) for picture in pictures.values())
    size = min(max(largest, _SIZE_MIN_PX), _SIZE_MAX_PX)
    return silhouettes(pictures, size)


def _colours(hull: Hull, seen: Mapping[View, Silhouette]) -> dict[View, NDArray[np.uint8]]:
    pixel = ORTHOGRAPHIC_WIDTH / hull.distances.shape[1]
    return {
        view: pure_colours(seen[view], distance / pixel)
        for view, distance in zip(hull.views, hull.distances, strict=True)
    }


def _matt() -> NDArray[np.uint8]:
    """Constant: no occlusion, the stated roughness, no metal."""
    return np.full((4, 4, 3), (255, round(255 * _ROUGHNESS), 0), np.uint8)


def _notes(hull: Hull, options: Options, face_count: int) -> tuple[str, ...]:
    notes = []
    if hull.inflation:
        notes.append("No view bounds the depth: it is guessed by inflating the silhouette, symmetric front and back.")
    if face_count < options.face_count - 1:
        notes.append(f"The finest grid gives {face_count:,} faces, not the {options.face_count:,} asked for.")
    if face_count > options.face_count:
        notes.append(f"The surface keeps {face_count:,} faces: with {options.face_count:,} it would fold or tear.")
    if options.pbr and options.textured:
        notes.append(f"Roughness {_ROUGHNESS} and no metal everywhere: soft light shows neither.")
    return tuple(notes)
