"""``python -m pipeline.geometry`` compiles the kernels and keeps them: the first mesh is made as fast as later ones."""

import numpy as np
from numpy.typing import NDArray

from pipeline.domain.views import View
from pipeline.geometry.gltf import EncodedImage, pack_glb
from pipeline.geometry.ordering import ordered
from pipeline.geometry.preview import preview
from pipeline.geometry.reconstruction import Options, reconstruct
from pipeline.geometry.rendering import Part

_SIDES = (View.FRONT, View.LEFT, View.RIGHT, View.BACK)
_BLANK = EncodedImage(data=b"", media_type="image/png")
"""Stands for a texture where nobody looks at it."""


def main() -> None:
    """Make small meshes with everything in them, of every choice of views, and draw them."""
    for picture in _pictures():
        for views in (tuple(View), _SIDES, (View.FRONT,)):
            made = reconstruct(dict.fromkeys(views, picture), Options(face_count=2_000, pbr=True))
            pack_glb(ordered(made.mesh), base_color=_BLANK, normal=_BLANK, generator="")
            preview([Part(mesh=made.mesh, texture=made.base_color)], picture)


def _pictures() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """A ball, transparent and on white."""
    across = np.linspace(-1, 1, 128)
    inside = across[:, None] ** 2 + across[None, :] ** 2 < 0.7
    ball = np.zeros((128, 128, 4), np.uint8)
    ball[inside] = (200, 120, 40, 255)
    return ball, np.where(inside[..., None], ball, np.uint8(255))


if __name__ == "__main__":
    main()
