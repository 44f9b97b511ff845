"""How good a texture on the engine's meshes can be: engine_texture.py [SET_FOLDER ...] [--modes clean exposure ...]

One texel can't have two colours: where views show one place of the mesh differently, every texture is wrong in one of them. The
bound is found by least squares: the texture of least square error over all pixels of the given views together, on the engine's
own mesh and atlas, by conjugate gradients from the engine's texture on. What is printed, a line for each set, dB in the mask:
  all     PSNR over all pixels of the given views together: the engine's texture, and the least-squares one, which no texture
          on this mesh and atlas beats here (up to rounding, and to blending texels in sRGB where the renderer does in linear light)
  given   median of the given views' own PSNRs, as engine_quality.py has it: the engine's, the least-squares texture's
  new     the same at 12 directions that were never given
  truth   given and new of the engine's texture on the true shape, its faces split small: what the shape alone costs (--truth)
What is compared with are the clean pictures, taken from where the mode's were; meshes are moved and scaled to the truth where
the pictures leave that open, and colours have one gain a channel where their exposures differ.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import engine_modes
import numpy as np
from engine_quality import NEW_PX, aligned, bare, seen_at
from engine_subjects import FURTHER, SYNTHETIC, Pixels, Shot, Source, Subject, photograph, sources
from numpy.typing import NDArray

from pipeline.domain.views import View
from pipeline.geometry.cameras import Framing, projections
from pipeline.geometry.rasterising import rasterise
from pipeline.geometry.reconstruction import Options, Reconstruction, reconstruct
from pipeline.geometry.rendering import from_linear, linear
from pipeline.geometry.silhouettes import silhouettes
from pipeline.geometry.texture import textured

_ITERATIONS = 30
_SPLIT = 0.015
"""World units: edges of the true shape are split until none is longer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """The n pixels of one picture that the mesh covers, as sums of texels."""

    texels: NDArray[np.int64]
    """(n, 4) numbers of the texels that a pixel is blended from."""
    weights: NDArray[np.float32]
    """(n, 4)"""
    wanted: NDArray[np.float32]
    """(n, 3) sRGB of the picture."""

    def shown(self, texture: NDArray[np.float32]) -> NDArray[np.float32]:
        """(n, 3) from a (T, 3) texture."""
        return np.einsum("nk,nkc->nc", self.weights, texture[self.texels])

    def spread(self, values: NDArray[np.float32], count: int) -> NDArray[np.float32]:
        """The transpose of ``shown``: (n, 3) to (T, 3)."""
        at = self.texels.ravel()
        channels = [np.bincount(at, (self.weights * values[:, c, None]).ravel(), count) for c in range(3)]
        return np.stack(channels, axis=1).astype(np.float32)


def seen_through(made: Reconstruction, picture: Pixels, shot: Shot) -> Seen:
    mesh, (height, width) = made.mesh, made.base_color.shape[:2]
    size = len(picture)
    points = shot.points(mesh.positions, size)
    fragments = rasterise(points, mesh.faces, size, size)
    both = (fragments.face >= 0) & (picture[..., 3] == 255)
    corners, places = mesh.faces[fragments.face[both]], fragments.barycentric[both]
    if shot.perspective:
        places = places * points[corners, 2]
        places /= places.sum(axis=1, keepdims=True)
    across, down = np.einsum("nk,nkd->dn", places, mesh.uvs[corners])
    across, down = across * width - 0.5, down * height - 0.5
    left, above = np.floor(across).astype(np.int64), np.floor(down).astype(np.int64)
    x, y = across - left, down - above
    numbers = [(above + j) % height * width + (left + i) % width for j in (0, 1) for i in (0, 1)]
    weights = [(1 - y) * (1 - x), (1 - y) * x, y * (1 - x), y * x]
    return Seen(
        texels=np.stack(numbers, axis=1),
        weights=np.stack(weights, axis=1).astype(np.float32),
        wanted=picture[both][:, :3].astype(np.float32),
    )


def least_squares(texture: Pixels, views: Sequence[Seen]) -> Pixels:
    """The (H, W, 3) texture that shows these views with the least square error, by conjugate gradients (CGLS)."""
    x = texture.reshape(-1, 3).astype(np.float32)
    left = [view.wanted - view.shown(x) for view in views]
    slope = sum(view.spread(one, len(x)) for view, one in zip(views, left, strict=True))
    way, steep = slope.copy(), float((slope**2).sum())
    for _ in range(_ITERATIONS):
        changes = [view.shown(way) for view in views]
        step = steep / max(sum(float((one**2).sum()) for one in changes), 1e-12)
        x += step * way
        left = [one - step * change for one, change in zip(left, changes, strict=True)]
        slope = sum(view.spread(one, len(x)) for view, one in zip(views, left, strict=True))
        steeper = float((slope**2).sum())
        way, steep = slope + steeper / steep * way, steeper
    return np.rint(np.clip(x, 0, 255)).astype(np.uint8).reshape(texture.shape)


def on_true_shape(source: Source) -> Reconstruction:
    """The engine's texture on the true surface."""
    positions, faces = _split(*_welded(source.subject))
    seen = silhouettes(engine_modes.pictures(source, "clean", View), engine_modes.SIZE)
    framed = projections(dict.fromkeys(seen, Framing()), engine_modes.SIZE)
    colours = np.stack([one.colours for one in seen.values()])
    made = textured(positions.astype(np.float32), faces.astype(np.int32), framed, colours)
    return Reconstruction(mesh=made.mesh, base_color=made.base_color, metallic_roughness=None, notes=())


def _welded(subject: Subject) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    _, first, inverse = np.unique(np.rint(subject.positions * 1e5), axis=0, return_index=True, return_inverse=True)
    faces = inverse.ravel()[subject.faces]
    whole = (faces != np.roll(faces, 1, axis=1)).all(axis=1)
    return subject.positions[first], faces[whole]


def _split(positions: NDArray[np.float64], faces: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Every face with a long edge is cut in two at the middle of its longest one, as are its neighbours there."""
    while True:
        ends = np.sort(np.stack([faces, np.roll(faces, -1, axis=1)], axis=2), axis=2)
        lengths = np.linalg.norm(positions[ends[..., 0]] - positions[ends[..., 1]], axis=2)
        if (lengths <= _SPLIT).all():
            return positions, faces
        keys = ends[..., 0] * len(positions) + ends[..., 1]
        longest = lengths.argmax(axis=1)
        rows = np.arange(len(faces))
        cut = np.unique(keys[rows, longest][lengths[rows, longest] > _SPLIT])
        positions = np.concatenate([positions, positions[np.stack(np.divmod(cut, len(positions)), 1)].mean(axis=1)])
        middle = np.where(np.isin(keys, cut), np.searchsorted(cut, keys) + len(positions) - len(cut), -1)
        one = np.where(middle >= 0, lengths, 0).argmax(axis=1)
        here = middle[rows, one]
        a, b, c = (faces[rows, (one + k) % 3] for k in range(3))
        halves = [np.stack(corners, 1)[here >= 0] for corners in ((a, here, c), (here, b, c))]
        faces = np.concatenate([faces[here < 0], *halves])


def decibels(source: Source, mode: str, made: Reconstruction) -> tuple[float, float, float]:
    """PSNR of all given pixels, median of the given views, median of the further ones."""
    subject = bare(made, made.mesh.positions.astype(np.float64))
    given = [_pair(source, subject, shot, engine_modes.SIZE) for shot in _shots(mode)]
    new = [_pair(source, subject, Shot(camera=camera), NEW_PX) for camera in FURTHER]
    gain = _gain(given) if "exposure" in mode else None
    at_given, at_new = ([_errors(*pair, gain) for pair in pairs] for pairs in (given, new))
    return _db(np.concatenate(at_given)), median(map(_db, at_given)), median(map(_db, at_new))


def _shots(mode: str) -> list[Shot]:
    return [engine_modes.judged_from(view, mode) for view in View]


def _pair(source: Source, subject: Subject, shot: Shot, size: int) -> tuple[Pixels, Pixels]:
    """(n, 3) colours of truth and mesh at the pixels that both cover."""
    real = seen_at(source, shot, size)
    ours = photograph(subject, shot, len(real), samples=NEW_PX * 2 // len(real))
    both = (real[..., 3] == 255) & (ours[..., 3] == 255)
    return real[both][:, :3], ours[both][:, :3]


def _gain(pairs: Sequence[tuple[Pixels, Pixels]]) -> NDArray[np.float64]:
    """(3,) by which the meshes' linear light comes nearest to the truth's, over all pairs."""
    real, ours = (np.concatenate([linear(pair[k]) for pair in pairs]).astype(np.float64) for k in (0, 1))
    return (real * ours).sum(axis=0) / (ours * ours).sum(axis=0)


def _errors(real: Pixels, ours: Pixels, gain: NDArray[np.float64] | None) -> NDArray[np.float64]:
    """(n,) mean square errors."""
    evened = ours if gain is None else from_linear(linear(ours) * gain)
    return np.square(real.astype(float) - evened).mean(axis=1)


def _db(errors: NDArray[np.float64]) -> float:
    return float(10 * np.log10(255**2 / max(errors.mean(), 1e-9)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", type=Path, nargs="*", metavar="SET_FOLDER")
    parser.add_argument("--synthetic", nargs="*", default=list(SYNTHETIC), choices=list(SYNTHETIC), metavar="NAME")
    parser.add_argument("--modes", nargs="*", default=["clean"], metavar="MODE", help="see engine_modes.py")
    parser.add_argument("--faces", type=int, default=100_000)
    parser.add_argument("--truth", action="store_true", help="the engine's texture on the true shape, too")
    asked = parser.parse_args()
    for mode in asked.modes:
        print(f"{mode:16} all: ours  bound  given: ours  bound  new: ours  bound" + "  truth: given  new" * asked.truth)
        found = []
        for source in sources(asked.sets, asked.synthetic):
            found.append(measured(source, mode, asked.faces))
            found[-1] += decibels(source, "clean", on_true_shape(source))[1:] if asked.truth else ()
            print(f"{source.name:16.16}" + "".join(f" {db:9.1f}" for db in found[-1]), flush=True)
            seen_at.cache_clear()
        print(f"{'median':16}" + "".join(f" {median(column):9.1f}" for column in zip(*found, strict=True)))


def measured(source: Source, mode: str, face_count: int) -> list[float]:
    """The engine's decibels and the bound's by turns."""
    made = reconstruct(engine_modes.pictures(source, mode, View), Options(face_count=face_count))
    if any(word in mode for word in engine_modes.GAUGE_FREE):
        positions = aligned(source, mode, made.mesh.positions.astype(np.float64), made.mesh.faces)
        made = replace(made, mesh=replace(made.mesh, positions=positions.astype(np.float32)))
    views = [seen_through(made, seen_at(source, shot, engine_modes.SIZE), shot) for shot in _shots(mode)]
    best = replace(made, base_color=least_squares(made.base_color, views))
    return [one for pair in zip(*(decibels(source, mode, one) for one in (made, best)), strict=True) for one in pair]


if __name__ == "__main__":
    main()
