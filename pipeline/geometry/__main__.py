"""``python -m pipeline.geometry`` compiles the kernels and keeps them: the first mesh is made as fast as later ones."""

import numpy as np

from pipeline.domain.views import View
from pipeline.geometry.preview import preview
from pipeline.geometry.reconstruct import Options, reconstruct
from pipeline.geometry.rendering import Part


def main() -> None:
    """Make one small mesh with everything in it, and draw it."""
    across = np.linspace(-1, 1, 128)
    inside = across[:, None] ** 2 + across[None, :] ** 2 < 0.7
    ball = np.zeros((128, 128, 4), np.uint8)
    ball[inside] = (200, 120, 40, 255)
    opaque = np.where(inside[..., None], ball, np.uint8(255))
    light = 255 - 60 * np.exp(-8 * (across[:, None] - 0.6) ** 2 - 8 * across[None, :] ** 2)
    floor = np.dstack([light, light, light, np.full_like(light, 255)]).astype(np.uint8)
    shaded = np.where(inside[..., None], ball, floor)
    for picture in (ball, opaque, shaded):
        made = reconstruct(dict.fromkeys(View, picture), Options(face_count=2_000, pbr=True))
        reconstruct({View.FRONT: picture}, Options(face_count=2_000))
        preview([Part(mesh=made.mesh, texture=made.base_color)], picture)


if __name__ == "__main__":
    main()
