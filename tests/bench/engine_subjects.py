"""Objects whose shape and colours are known: read from a set's ``ground_truth.glb``, or modelled by the project's own code.

They can be photographed from anywhere. The frame is that of the views: glTF axes, a sphere of radius 0.5 about the origin.
"""

import logging
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "configs"))
from engine_models import MODELS
from modelling.cactus import cactus
from modelling.mushroom_house import mushroom_house
from modelling.pictures import Piece, _normalised, _place
from modelling.robot import robot
from modelling.tugboat import tugboat

from pipeline.domain.views import CAMERAS, ORTHOGRAPHIC_WIDTH, Camera, View, recognise
from pipeline.geometry.rasterising import rasterise
from pipeline.geometry.rendering import Part, _albedo, _at, _facing, _normals, develop, lit, orbit
from pipeline.ports.meshes import read_glb

Pixels = NDArray[np.uint8]
Look = Callable[[NDArray[np.int32], NDArray[np.float32], Camera], NDArray[np.floating]]
"""(N,) faces, (N, 3) places on them, who looks: (N, 3) linear light."""

logging.getLogger("trimesh").setLevel(logging.CRITICAL)  # it is loud about normals that it has to make itself

SYNTHETIC = {
    "toy_robot": robot,
    "mushroom_house": mushroom_house,
    "potted_cactus": cactus,
    "tugboat": tugboat,
    **MODELS,
}

FURTHER = tuple(orbit(22.5 + 30 * k, (20, -15, 45)[k % 3]) for k in range(12))
"""Directions that are never given: the nearest view is 20 degrees away or more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A coloured surface of V points and F faces."""

    positions: NDArray[np.float64]
    """(V, 3)"""
    faces: NDArray[np.int64]
    """(F, 3)"""
    look: Look


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """How one picture frames the world: ``scale`` times larger, moved by world units, ``perspective`` is 1 over the
    camera's distance from the origin (0: orthographic).
    """

    camera: Camera
    scale: float = 1.0
    right: float = 0.0
    up: float = 0.0
    perspective: float = 0.0

    def points(self, positions: NDArray[np.floating], size: int) -> NDArray[np.float64]:
        """(V, 3) pixel x, pixel y and a nearness that is linear over the picture: depth, or 1 / w in perspective."""
        axes = np.array([self.camera.right, self.camera.up, self.camera.backward])
        a, u, b = np.asarray(positions, np.float64) @ axes.T[:, 0], positions @ axes[1], positions @ axes[2]
        w = 1 - self.perspective * b
        pixels = size / ORTHOGRAPHIC_WIDTH
        x = size / 2 + pixels * (self.scale * a / w + self.right)
        y = size / 2 - pixels * (self.scale * u / w + self.up)
        return np.stack([x, y, 1 / w if self.perspective else b], axis=1)


def photograph(subject: Subject, shot: Shot, size: int, samples: int = 3) -> Pixels:
    """(size, size, 4) sRGB with straight alpha; each pixel is the mean of ``samples`` x ``samples`` points."""
    side = size * samples
    points = shot.points(subject.positions, side)
    seen = rasterise(points, subject.faces, side, side)
    here = seen.face >= 0
    faces, weights = seen.face[here], seen.barycentric[here]
    if shot.perspective:
        weights = weights * points[subject.faces[faces], 2]
        weights = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
    light = np.zeros((side, side, 3), np.float32)
    light[here] = subject.look(faces, weights, shot.camera)
    return develop(light, here, samples)


def coverage(
    positions: NDArray[np.floating], faces: NDArray[np.integer], shot: Shot, size: int, samples: int = 3
) -> NDArray[np.float64]:
    """(size, size) how much of each pixel a surface covers, 0..1."""
    side = size * samples
    seen = rasterise(shot.points(positions, side), faces, side, side).face >= 0
    return seen.reshape(size, samples, size, samples).mean(axis=(1, 3))


def of_parts(parts: Sequence[Part], *, is_lit: bool) -> Subject:
    """What a GLB shows. Lit as the sets' README says: a soft half-Lambert light fixed to the object."""
    starts = np.cumsum([0, *(len(part.mesh.faces) for part in parts)])
    firsts = np.cumsum([0, *(len(part.mesh.positions) for part in parts)])

    def look(faces: NDArray[np.int32], weights: NDArray[np.float32], camera: Camera) -> NDArray[np.floating]:
        light = np.zeros((len(faces), 3), np.float32)
        for part, start, end in zip(parts, starts, starts[1:], strict=False):
            mine = (faces >= start) & (faces < end)
            corners, places = part.mesh.faces[faces[mine] - start], weights[mine]
            light[mine] = _albedo(part, corners, places)
            if is_lit:
                light[mine] = lit(light[mine], _facing(_at(_normals(part.mesh), corners, places), camera))
        return light

    return Subject(
        positions=np.concatenate([part.mesh.positions for part in parts]).astype(np.float64),
        faces=np.concatenate(
            [part.mesh.faces.astype(np.int64) + first for part, first in zip(parts, firsts, strict=False)]
        ),
        look=look,
    )


def of_pieces(pieces: Sequence[Piece]) -> Subject:
    starts = np.cumsum([0, *(len(piece.shape.faces) for piece in pieces)])
    firsts = np.cumsum([0, *(len(piece.shape.points) for piece in pieces)])

    def look(faces: NDArray[np.int32], weights: NDArray[np.float32], camera: Camera) -> NDArray[np.floating]:
        light = np.zeros((len(faces), 3))
        for piece, start, end in zip(pieces, starts, starts[1:], strict=False):
            mine = (faces >= start) & (faces < end)
            if mine.any():
                place = _place(piece.shape, faces[mine] - start, weights[mine])
                light[mine] = lit(piece.paint(place), place.facing)
        return light

    return Subject(
        positions=_normalised(pieces),
        faces=np.concatenate([_outwards(piece) + first for piece, first in zip(pieces, firsts, strict=False)]),
        look=look,
    )


def _outwards(piece: Piece) -> NDArray[np.int64]:
    """Counter-clockwise seen from outside: turned where the volume would be negative."""
    a, b, c = (piece.shape.points[piece.shape.faces[:, k]] for k in range(3))
    faces = piece.shape.faces
    return faces if np.einsum("ij,ij->", a, np.cross(b, c)) > 0 else faces[:, [0, 2, 1]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A set to be measured: a folder with a ground truth, or a name of ``SYNTHETIC``."""

    name: str
    folder: Path | None = None

    @property
    def samples(self) -> int:
        """Along a pixel's side, of its pictures: what is compared with them takes as many, at the same places."""
        return 2 if self.folder else 3

    @property
    def subject(self) -> Subject:
        return _subject(self)

    @property
    def variants(self) -> list[Path]:
        found = self.folder / "variants" if self.folder else None
        return sorted(path for path in found.iterdir() if path.is_dir()) if found and found.is_dir() else []

    def pictures(self, views: Iterable[View], size: int) -> dict[View, Pixels]:
        """As they were given; a synthetic one's are taken now."""
        if self.folder:
            given = read_pictures(self.folder)
            return {view: given[view] for view in views if view in given}
        return {view: photograph(self.subject, Shot(camera=CAMERAS[view]), size, self.samples) for view in views}


@cache
def _subject(source: Source) -> Subject:
    if source.folder is None:
        return of_pieces(SYNTHETIC[source.name]())
    return of_parts(read_glb((source.folder / "ground_truth.glb").read_bytes()).parts, is_lit=True)


def sources(given: Sequence[Path], synthetic: Sequence[str]) -> list[Source]:
    """Each given path is a set folder, or a folder of set folders."""
    folders = [
        one for path in given for one in ([path] if (path / "ground_truth.glb").is_file() else sorted(path.iterdir()))
    ]
    found = [Source(name=folder.name, folder=folder) for folder in folders if (folder / "ground_truth.glb").is_file()]
    return [*found, *(Source(name=name) for name in synthetic)]


def read_pictures(folder: Path) -> dict[View, Pixels]:
    found = {view: path for path in sorted(folder.iterdir()) if path.is_file() and (view := recognise(path.name))}
    return {view: np.asarray(Image.open(found[view]).convert("RGBA")) for view in View if view in found}
