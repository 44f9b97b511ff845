"""The reconstruction engine: view images of one object become a closed, textured mesh."""

import operator
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.domain.views import View
from pipeline.geometry.carving import carved
from pipeline.geometry.contradictions import contradiction
from pipeline.geometry.framing import Frames, framings, refusal, remarks
from pipeline.geometry.mesh import Mesh
from pipeline.geometry.progress import Progress, Stages, unheard
from pipeline.geometry.rounding import rounded
from pipeline.geometry.silhouettes import (
    ReconstructionError,
    Silhouette,
    completed,
    doubts,
    pure_colours,
    silhouettes,
)
from pipeline.geometry.surface import surface
from pipeline.geometry.texture import bare, textured
from pipeline.geometry.threads import shared_out
from pipeline.geometry.visual_hull import Hull, visual_hull

SIZE_MAX_PX = 2048
"""Larger pictures are worked on at this size: eight of them fill the largest texture long before."""
_SIZE_MIN_PX = 16
_FACES_MIN = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What is asked of a reconstruction."""

    face_count: int = 500_000
    """Rounded down to even; at least 4. Fewer or more come out where the surface has no such number, and are noted."""
    textured: bool = True
    """False: shape alone, with normals."""
    pbr: bool = False
    """Also the maps of a physically based material; without effect where ``textured`` is False."""

    def __post_init__(self) -> None:
        if operator.index(self.face_count) < _FACES_MIN:
            raise ValueError(f"face_count: {self.face_count:,}; expected at least {_FACES_MIN}, a tetrahedron's")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconstruction:
    """What the pictures gave. Textures are square-cornered atlases that ``mesh.uvs`` refer to."""

    mesh: Mesh
    """In the frame and the units of the views: glTF axes, the pictures' middle is the origin."""
    base_color: NDArray[np.uint8] | None
    """(H, W, 3) sRGB."""
    metallic_roughness: NDArray[np.uint8] | None
    """(h, w, 3) as glTF packs it: green is roughness, blue is metallic."""
    normal_map: NDArray[np.uint8] | None = None
    """(h, w, 3) in tangent space as glTF has it: red towards growing u, green towards falling v, blue outwards."""
    notes: tuple[str, ...]
    """What a person should know, such as that the depth is guessed."""


def reconstruct(
    pictures: Mapping[View, NDArray[np.uint8]],
    options: Options = Options(),
    progress: Progress = unheard,
) -> Reconstruction:
    """Turn (H, W, 4) straight-alpha sRGB view images into a mesh; H and W may differ from view to view.

    ``front`` must be among them. If their silhouettes agree so, all are orthographic and share one frame:
    ``ORTHOGRAPHIC_WIDTH`` world units across the longer side, the object's origin in the middle. Else each view's own
    framing, or the distance of the cameras, is looked for: see ``framing.Framings``. Opaque pictures need a plain
    background. ``progress`` hears fractions from 0 to 1. Equal input gives equal output.

    Raises TypeError for arrays that are no such pictures, and ReconstructionError, which names the view and the mend,
    when the front view is missing, when a picture shows no object or nothing but the object, when the silhouettes
    have nothing in common, or when a view is known to be wrong and would cut much of the object away.
    """
    pictures = _checked(pictures)
    size = _working_size(pictures)
    stages = Stages(progress, _expected_s(len(pictures), size, options))
    seen = silhouettes(pictures, size, stages.within("silhouettes"))
    given = all(one.given for one in seen.values())
    framed = framings({view: one.coverage for view, one in seen.items()}, given=given)
    if framed.ruined:
        raise ReconstructionError(*refusal(framed))
    if framed.frames is Frames.SHARED and framed.distance is None:
        seen = completed(seen)
    stages.within("framings")(1)
    hull = visual_hull({view: one.coverage for view, one in seen.items()}, framed.of)
    hull, guesses = rounded(hull, seen)
    hull = carved(hull, seen)
    stages.within("hull")(1)
    vertices, faces = surface(hull, options.face_count, stages.within("surface"))
    if not len(faces):
        raise ReconstructionError(*contradiction(hull))
    stages.within("surface")(1)
    notes = (*remarks(framed), *doubts(seen), *guesses, *_notes(hull, options, len(faces)))
    if options.textured:
        projections, colours = hull.projections, _colours(hull, seen)
        del hull, seen  # a tenth of the memory at the peak, which lies in the texture
        stages.within("colours")(1)
        told = stages.within("texture")
        made = textured(vertices, faces, projections, colours, pbr=options.pbr, progress=told)
    else:
        made = bare(vertices, faces)
    stages.within("texture")(1)
    return Reconstruction(
        mesh=made.mesh,
        base_color=made.base_color,
        metallic_roughness=made.metallic_roughness,
        normal_map=made.normal_map,
        notes=(*notes, *made.notes),
    )


def _checked(pictures: Mapping[View, NDArray[np.uint8]]) -> dict[View, NDArray[np.uint8]]:
    """In memory as the compiled kernels know them: rows one after the other, and writable."""
    for view, picture in pictures.items():
        if view not in set(View):
            raise TypeError(f"{view!r}: no view; expected of {', '.join(View)}")
        if not isinstance(picture, np.ndarray):
            raise TypeError(f"{view} view: {type(picture).__name__}; expected a numpy array of shape (H, W, 4)")
        if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 4 or not picture.size:
            found = f"{picture.dtype} of shape {picture.shape}"
            raise TypeError(f"{view} view: {found}; expected uint8 of shape (H, W, 4): sRGB with straight alpha")
    if View.FRONT not in pictures:
        raise ReconstructionError("front view: missing", "give it: it is the one view that a reconstruction needs")
    return {View(view): np.require(picture, requirements=["C", "W"]) for view, picture in pictures.items()}


def _working_size(pictures: Mapping[View, NDArray[np.uint8]]) -> int:
    """The side of the squares that all pictures are worked on: that of the largest one, within bounds."""
    largest: int = max(max(picture.shape[:2]) for picture in pictures.values())
    return min(max(largest, _SIZE_MIN_PX), SIZE_MAX_PX)


def _expected_s(view_count: int, size: int, options: Options) -> dict[str, float]:
    """How long each stage takes on one core, roughly: they grow with the pixels, the last two also with the faces."""
    views, faces = view_count * size * size / 2**20, options.face_count / 100_000
    pbr = 0.1 * views if options.pbr else 0
    return {
        "silhouettes": 0.005 * views,
        "framings": 0.05,
        "hull": 0.025 * views,
        "surface": 0.1 + 0.2 * faces,
        "colours": 0.006 * views if options.textured else 0,
        "texture": 0.04 * views + 0.2 * faces + pbr if options.textured else 0.02 * faces,
    }


def _colours(hull: Hull, seen: Mapping[View, Silhouette]) -> NDArray[np.uint8]:
    """(N, S, S, 3) the object's colours in the order of the hull's views, carried on over its outlines."""
    shown = zip(hull.projections.views, hull.distances, hull.projections.cameras.pixels, strict=True)
    return np.stack(shared_out(lambda of: pure_colours(seen[of[0]], of[1] / of[2]), list(shown)))


def _notes(hull: Hull, options: Options, face_count: int) -> tuple[str, ...]:
    notes = []
    if hull.inflation:
        guessed = "No view bounds the depth: it is guessed by inflating the silhouette, symmetric front and back."
        notes.append(f"{guessed} To show it, give the left or the right view, too.")
    asked = f"{options.face_count:,}"
    if face_count < options.face_count - 1:
        notes.append(f"The finest grid gives {face_count:,} faces, not the {asked} asked for; ask for no more.")
    if face_count > options.face_count:
        told = f"The surface keeps {face_count:,} faces: with {asked} it would fold or tear"
        notes.append(f"{told}; ask for no fewer.")
    return tuple(notes)
