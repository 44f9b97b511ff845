"""Colours for a surface: each face takes its texels straight from the view that shows it best.

Every view becomes a tile of the atlas at the resolution of its picture, so that a face's place on it is its projection.
Faces that no view sees lie on small tiles of their own, painted with colours that spread from their surroundings.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pipeline.geometry.atlas import LARGEST, Atlas, packed
from pipeline.geometry.cameras import Cameras, Projections
from pipeline.geometry.exposure import Exposure, evened, exposure
from pipeline.geometry.filling import at_vertices, extended
from pipeline.geometry.labelling import shares, vertex_areas
from pipeline.geometry.levelling import levels
from pipeline.geometry.materials import MATT, normal_map, roughness, shading, without_light
from pipeline.geometry.mesh import Mesh
from pipeline.geometry.normals import vertex_normals
from pipeline.geometry.painting import Carried, Painted, paint
from pipeline.geometry.patches import patched
from pipeline.geometry.progress import Progress, Stages, unheard
from pipeline.geometry.rasterising import rasterise
from pipeline.geometry.resampling import resampled
from pipeline.geometry.sight import GRAZING, Sight, Surface, look, points_of, sampled, squareness
from pipeline.geometry.threads import shared_out
from pipeline.geometry.unseen import invented, unseen_tiles

_PADDING_PX = 4
"""Texels between a tile's faces and its edge: with the neighbour's, three mip levels without a stranger's colour."""
_LEAST_SHOWN = 0.6
"""A view must show so much of a face, or texels of what covers it would be taken."""
_SHRINK = 0.9
"""How much smaller tiles are tried at a time, when they don't fit the largest texture."""

_EXPECTED = {"look": 0.3, "shares": 0.25, "paint": 0.3, "finish": 0.15}
_PBR_EXPECTED = {"look": 0.15, "shares": 0.13, "paint": 0.17, "finish": 0.55}
"""The parts of the time."""

_TOLD = 0.02
"""Gains nearer to 1 are not worth telling."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tile:
    """A rectangle of texels and the corners of the faces that lie on it."""

    faces: NDArray[np.intp]
    """(K,) numbers of the faces."""
    points: NDArray[np.float64]
    """(K, 3, 2) texel x and y of their corners within the tile."""
    painted: Painted


@dataclass(frozen=True, slots=True, kw_only=True)
class Textured:
    mesh: Mesh
    """Its vertices are split where tiles meet."""
    base_color: NDArray[np.uint8] | None
    """(H, W, 3) sRGB; H and W are powers of two."""
    metallic_roughness: NDArray[np.uint8] | None
    """(h, w, 3) as glTF packs it: green is roughness, blue is metallic."""
    normal_map: NDArray[np.uint8] | None
    """(H, W, 3) tangent space as glTF has it, +Y up; tangents follow from the uvs."""
    notes: tuple[str, ...]
    """What a person should know."""


def bare(vertices: NDArray[np.float32], faces: NDArray[np.int32]) -> Textured:
    """The surface as a mesh with normals and no texture."""
    mesh = Mesh(positions=vertices, faces=faces.astype(np.uint32), normals=vertex_normals(vertices, faces))
    return Textured(mesh=mesh, base_color=None, metallic_roughness=None, normal_map=None, notes=())


def textured(
    vertices: NDArray[np.float32],
    faces: NDArray[np.int32],
    projections: Projections,
    colours: NDArray[np.uint8],
    *,
    pbr: bool = False,
    largest: int = LARGEST,
    progress: Progress = unheard,
) -> Textured:
    """Give a surface the colours of N (N, S, S, 3) sRGB pictures on which no background is left.

    (V, 3) world positions and (F, 3) faces of a closed surface. With ``pbr`` the light is taken out of the colours as
    far as it can be told from them, and there are maps of roughness and relief. ``largest`` is how many texels along a
    side the texture may have, 64 at least: what doesn't fit is made smaller. ``progress`` hears fractions from 0 to 1.
    """
    stages = Stages(progress, _PBR_EXPECTED if pbr else _EXPECTED)
    surface = Surface(vertices=vertices, faces=faces, normals=vertex_normals(vertices, faces))
    sight = look(surface, projections, colours)
    seen = squareness(sight)
    samples = sampled(sight, seen)
    stages.within("look")(1)
    found = exposure(samples, seen)
    if found.differs:
        sight = replace(sight, colours=evened(colours, found))
        samples = sampled(sight, seen)
    words, patches = seen * sight.trust[:, None].astype(np.float32), patched(vertices, faces, surface.normals)
    share = shares(vertices, faces, patches, samples, words)
    level = levels(vertices, patches, share, samples, seen)
    stages.within("shares")(1)
    known = seen.max(axis=0) > 0
    vertex_colours = invented(at_vertices(samples, level, share), known, faces)
    traits, shiny = _traits(surface, vertex_colours, samples, seen) if pbr else (np.empty((len(vertices), 0)), False)
    chosen = _choose(projections.cameras, vertices, faces, seen, share, sight.shown)
    carried = Carried(shares=share, levels=level, colours=vertex_colours, traits=traits.astype(np.float32))
    used = [int(at) for at in np.unique(chosen[chosen >= 0])]
    painting = stages.within("paint")
    tiles = shared_out(lambda at: _view_tile(sight, at, np.flatnonzero(chosen == at), carried), used, painting)
    if (chosen < 0).any():
        unseen = unseen_tiles(surface, np.flatnonzero(chosen < 0), vertex_colours, carried.traits, projections.size)
        tiles += [_Tile(faces=tile.faces, points=tile.points, painted=tile.painted) for tile in unseen]
    mesh, painted = _assembled(surface, tiles, largest)
    finished = _finished(mesh, painted, _notes(projections, found, pbr=pbr, shiny=shiny), pbr=pbr, shiny=shiny)
    stages.within("finish")(1)
    return finished


def _traits(
    surface: Surface, colours: NDArray[np.float32], samples: NDArray[np.uint8], seen: NDArray[np.float32]
) -> tuple[NDArray[np.float32], bool]:
    """(V, 2) the baked light and the roughness at the vertices, and whether anything shines."""
    weights = np.where(seen.max(axis=0) > 0, vertex_areas(surface.vertices, surface.faces)[0], np.float32(0))
    rough, shiny = roughness(samples, seen, surface.faces)
    return np.stack([shading(colours, surface.normals, weights), rough], axis=1), shiny


def _notes(projections: Projections, found: Exposure, *, pbr: bool, shiny: bool) -> tuple[str, ...]:
    notes = []
    if found.differs:
        gains = found.gains.mean(axis=1)
        shown = zip(projections.views, gains, strict=True)
        told = ", ".join(f"{view} x{gain:.2f}" for view, gain in shown if abs(gain - 1) >= _TOLD) or "colours alone"
        what = f"The pictures' exposures differ; they were evened out to the first one's (linear light): {told}"
        notes.append(f"{what}; for truer colours give all views one exposure, white balance and light.")
    if pbr:
        rough = "estimated from highlights" if shiny else f"{MATT} everywhere, for the views show no highlights"
        light = "Light is taken out of the colours by estimate, relief is guessed from their shades"
        notes.append(f"{light}; for truer ones give views in even light without shadows.")
        notes.append(f"Roughness is {rough}; no metal: pictures alone don't tell it, set it in the material.")
    return tuple(notes)


def _finished(mesh: Mesh, painted: Painted, notes: tuple[str, ...], *, pbr: bool, shiny: bool) -> Textured:
    base_color = extended(painted.texels, painted.covered)
    if not pbr:
        return Textured(mesh=mesh, base_color=base_color, metallic_roughness=None, normal_map=None, notes=notes)
    plain = without_light(painted.texels, painted.traits[..., 0])
    return Textured(
        mesh=mesh,
        base_color=extended(plain, painted.covered),
        metallic_roughness=_packed_roughness(painted) if shiny else _matt(),
        normal_map=normal_map(base_color, painted.covered),
        notes=notes,
    )


def _matt() -> NDArray[np.uint8]:
    """Constant: no occlusion, the roughness of what doesn't shine, no metal."""
    return np.full((4, 4, 3), (255, round(255 * MATT), 0), np.uint8)


def _packed_roughness(painted: Painted) -> NDArray[np.uint8]:
    """At a quarter of the texture's resolution: roughness changes slowly."""
    rough = np.rint(painted.traits[..., 1] * 255).astype(np.uint8)
    grey = extended(np.repeat(rough[..., None], 3, axis=2), painted.covered)[..., 1]
    small = np.rint(resampled(grey, max(1, grey.shape[0] // 4), max(1, grey.shape[1] // 4))).astype(np.uint8)
    return np.stack([np.full_like(small, 255), small, np.zeros_like(small)], axis=2)


@njit(cache=True, nogil=True, error_model="numpy")
def _choose(
    cameras: Cameras,
    vertices: NDArray[np.float32],
    faces: NDArray[np.int32],
    seen: NDArray[np.float32],
    share: NDArray[np.float32],
    shown: NDArray[np.float32],
) -> NDArray[np.int8]:
    """(F,) the view that has the largest share in each face and sees it, -1 where none does."""
    chosen = np.full(len(faces), -1, np.int8)
    for f in range(len(faces)):
        i, j, k = faces[f, 0], faces[f, 1], faces[f, 2]
        a, b, c = vertices[i], vertices[j], vertices[k]
        ux, uy, uz, vx, vy, vz = b[0] - a[0], b[1] - a[1], b[2] - a[2], c[0] - a[0], c[1] - a[1], c[2] - a[2]
        nx, ny, nz = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        length = np.sqrt(nx * nx + ny * ny + nz * nz)
        best = 0.0
        for view in range(len(seen)):
            to, near = cameras.frames[view, 2], cameras.perspectives[view]
            x, y, z = to[0] - near * a[0], to[1] - near * a[1], to[2] - near * a[2]
            facing = (nx * x + ny * y + nz * z) / max(length * np.sqrt(x * x + y * y + z * z), 1e-30)
            if shown[view, f] < _LEAST_SHOWN or facing < GRAZING or seen[view, i] + seen[view, j] + seen[view, k] <= 0:
                continue
            worth = share[view, i] + share[view, j] + share[view, k] + 0.3 * facing * shown[view, f]
            if worth > best:
                best, chosen[f] = worth, view
    return chosen


def _view_tile(sight: Sight, at: int, chosen: NDArray[np.intp], carried: Carried) -> _Tile:
    """The part of a view's picture that its faces lie on; faces around them go on in their colours."""
    where = points_of(sight, at)
    drawn = _with_ring(sight.surface.faces, chosen, len(where))
    faces = sight.surface.faces[drawn]
    points = where[faces[: len(chosen)], :2]
    low = np.floor(points.min(axis=(0, 1))).astype(int) - _PADDING_PX
    width, height = (int(n) for n in np.ceil(points.max(axis=(0, 1))).astype(int) + _PADDING_PX - low)
    fragments = rasterise(where - np.array([*low, 0]), faces, width, height)
    corner = int(low[0]), int(low[1])
    made = paint(sight, at, corner, fragments, faces, carried)
    return _Tile(faces=chosen, points=points - low, painted=made)


@njit(cache=True, nogil=True)
def _with_ring(faces: NDArray[np.int32], chosen: NDArray[np.intp], vertex_count: int) -> NDArray[np.intp]:
    """The chosen faces, then those that touch them."""
    touched, inside = np.zeros(vertex_count, np.bool_), np.zeros(len(faces), np.bool_)
    for f in chosen:
        inside[f] = touched[faces[f, 0]] = touched[faces[f, 1]] = touched[faces[f, 2]] = True
    drawn, count = np.empty(len(faces), np.intp), len(chosen)
    drawn[:count] = chosen
    for f in range(len(faces)):
        if not inside[f] and (touched[faces[f, 0]] or touched[faces[f, 1]] or touched[faces[f, 2]]):
            drawn[count] = f
            count += 1
    return drawn[:count]


def _assembled(surface: Surface, tiles: Sequence[_Tile], largest: int) -> tuple[Mesh, Painted]:
    """The mesh with its vertices split where tiles meet, and the atlas of all tiles."""
    tiles, atlas = _fitted(tiles, largest)
    size = atlas.height, atlas.width
    whole = Painted(
        texels=np.zeros((*size, 3), np.uint8),
        covered=np.zeros(size, np.bool_),
        traits=np.zeros((*size, tiles[0].painted.traits.shape[2]), np.float32),
    )
    origins, uvs, count = [], [], 0
    corners = np.empty(surface.faces.shape, np.uint32)
    for tile, place in zip(tiles, atlas.corners, strict=True):
        height, width, _ = tile.painted.texels.shape
        there = np.s_[place[1] : place[1] + height, place[0] : place[0] + width]
        whole.texels[there], whole.covered[there] = tile.painted.texels, tile.painted.covered
        whole.traits[there] = tile.painted.traits
        origin, corner, points = _own_vertices(tile, surface.faces)
        corners[tile.faces] = corner + count
        origins.append(origin)
        uvs.append((points + place) / (atlas.width, atlas.height))
        count += len(origin)
    origin = np.concatenate(origins)
    mesh = Mesh(
        positions=surface.vertices[origin],
        faces=corners,
        normals=surface.normals[origin],
        uvs=np.concatenate(uvs).astype(np.float32),
    )
    return mesh, whole


def _own_vertices(
    tile: _Tile, faces: NDArray[np.int32]
) -> tuple[NDArray[np.int32], NDArray[np.intp], NDArray[np.float64]]:
    """A tile's own copies of its vertices: (n,) which vertex, (K, 3) the faces' corners, (n, 2) their texels."""
    origin, corner = np.unique(faces[tile.faces], return_inverse=True)
    points = np.empty((len(origin), 2))
    points[corner.ravel()] = tile.points.reshape(-1, 2)
    return origin, corner.reshape(-1, 3), points


def _fitted(tiles: Sequence[_Tile], largest: int) -> tuple[list[_Tile], Atlas]:
    """The tiles as large as one texture takes them, with their places on it."""
    scale = 1.0
    while not (atlas := packed([_size(tile, scale) for tile in tiles], largest)):
        scale *= _SHRINK
    return [tile if scale == 1 else _scaled(tile, scale) for tile in tiles], atlas


def _size(tile: _Tile, scale: float) -> tuple[int, int]:
    """Width and height of a tile at a scale."""
    height, width, _ = tile.painted.texels.shape
    return max(1, round(width * scale)), max(1, round(height * scale))


def _scaled(tile: _Tile, scale: float) -> _Tile:
    (width, height), painted = _size(tile, scale), tile.painted
    was_height, was_width = painted.covered.shape
    part = resampled(painted.covered.astype(np.float32), height, width)
    texels, traits = (
        resampled(np.where(painted.covered[..., None], planes, np.float32(0)), height, width)
        / np.maximum(part, 1e-6)[..., None]
        for planes in (painted.texels, painted.traits)
    )
    return _Tile(
        faces=tile.faces,
        points=tile.points * (width / was_width, height / was_height),
        painted=Painted(texels=np.rint(texels).astype(np.uint8), covered=part > 0, traits=traits.astype(np.float32)),
    )
