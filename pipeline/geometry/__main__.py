"""``python -m pipeline.geometry`` compiles the kernels and keeps them: the first mesh is made as fast as later ones."""

import numpy as np
from numpy.typing import NDArray

from pipeline.domain.views import CAMERAS, ORTHOGRAPHIC_WIDTH, View
from pipeline.geometry.cameras import Framing
from pipeline.geometry.carving import carry_on, common
from pipeline.geometry.distances import distance_from
from pipeline.geometry.gltf import EncodedImage, pack_glb
from pipeline.geometry.materials import roughness
from pipeline.geometry.ordering import ordered
from pipeline.geometry.pieces import pieces
from pipeline.geometry.preview import preview
from pipeline.geometry.reconstruction import Options, reconstruct
from pipeline.geometry.rendering import Part
from pipeline.geometry.rounding import ledges

_SIZE = 128
_BALLS = (((0.0, -0.15, 0.0), 0.3), ((0.25, 0.3, 0.0), 0.1), ((-0.3, 0.25, 0.1), 0.04))
"""Centres and radii: a body, a part of it, and one so small that it could be a phantom."""
_SIDES = (View.FRONT, View.LEFT, View.RIGHT, View.BACK)
_NEAR = Framing(perspective=0.47)
_SMALL = Framing(scale=0.8)
_BLANK = EncodedImage(data=b"", media_type="image/png")
"""Stands for a texture where nobody looks at it."""


def main() -> None:
    """Make small meshes with everything in them, of every kind of pictures that the engine knows, and draw one."""
    seen = {view: _picture(view, Framing()) for view in View}
    of_every_kind = (
        seen,
        {view: _shaded(picture) for view, picture in seen.items()},
        {view: seen[view] for view in _SIDES},
        *({view: seen[view] for view in (View.FRONT, *more)} for more in ((), (View.TOP,), (View.LEFT_FRONT,))),
        {view: _on_white(picture) for view, picture in seen.items()},
        {view: _on_floor(picture) for view, picture in seen.items()},
        {view: _picture(view, _NEAR) for view in View},
        {view: _picture(view, _SMALL if view is View.FRONT else Framing()) for view in View},
    )
    for pictures in of_every_kind:
        made = reconstruct(pictures, Options(face_count=2_000, pbr=True))
        pack_glb(ordered(made.mesh), base_color=_BLANK, normal=_BLANK, generator="")
        preview([Part(mesh=made.mesh, texture=made.base_color)], pictures[View.FRONT])
    solid, lattice = np.zeros((2, 2, 2), np.float32), np.ones(4)
    common(solid, lattice, solid, lattice)
    carry_on(solid, np.ones(solid.shape, np.uint8), np.zeros((1, 3), np.int32), 1)
    distance_from(np.eye(2, dtype=bool))
    pieces(np.ones((2, 2), bool)).moments(np.zeros((2, 2, 3), np.float32))
    ledges(np.zeros((2, 2), np.float32), 1)
    shiny = np.repeat(np.array([20, 200], np.uint8), 9).reshape(2, 3, 3)
    roughness(shiny, np.ones((2, 3), np.float32), np.arange(3, dtype=np.int32)[None])


def _picture(view: View, framing: Framing) -> NDArray[np.uint8]:
    """The balls as a view with this framing shows them, transparent around."""
    across = ((np.arange(_SIZE) + 0.5) / _SIZE - 0.5) * ORTHOGRAPHIC_WIDTH / framing.scale
    a, u = np.meshgrid(across, -across)
    camera, inside = CAMERAS[view], np.zeros(a.shape, bool)
    # A pixel sees the points (a * w, u * w, b) with w = 1 - perspective * b: does that line come near enough?
    ray = np.stack([-framing.perspective * a, -framing.perspective * u, np.ones_like(a)])
    for centre, radius in _BALLS:
        c = np.array([camera.right, camera.up, camera.backward]) @ centre
        away = np.stack([a - c[0], u - c[1], np.full_like(a, -c[2])])
        nearest = (away**2).sum(axis=0) - (ray * away).sum(axis=0) ** 2 / (ray**2).sum(axis=0)
        inside |= nearest < radius**2
    picture = np.zeros((_SIZE, _SIZE, 4), np.uint8)
    picture[inside] = (200, 120, 40, 255)
    return picture


def _shaded(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Of other colours from left to right: opposite views then disagree, and hollows are believed in."""
    steps = np.linspace(1, 0.2, _SIZE)[None, :, None] * (1, 1, 1, 0) + (0, 0, 0, 1)
    return (picture * steps).astype(np.uint8)


def _on_white(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.where(picture[..., 3:] > 0, picture, np.uint8(255))


def _on_floor(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """On white, with a soft shadow below."""
    across = np.linspace(-1, 1, _SIZE)
    light = 255 - 60 * np.exp(-8 * (across[:, None] - 0.6) ** 2 - 8 * across[None, :] ** 2)
    floor = np.dstack([light, light, light, np.full_like(light, 255)]).astype(np.uint8)
    return np.where(picture[..., 3:] > 0, picture, floor)


if __name__ == "__main__":
    main()
