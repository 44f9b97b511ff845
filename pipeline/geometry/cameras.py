"""How pictures show the world: each view's own scale, offset and perspective, as projections that kernels can read."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.domain.views import CAMERAS, ORTHOGRAPHIC_WIDTH, View


@dataclass(frozen=True, slots=True, kw_only=True)
class Framing:
    """How one view's picture frames the world; without arguments as a set's orthographic pictures share one frame.

    A world point at a to the camera's right, u up and b backward (towards the camera) of the origin has the weight
    ``w = 1 - perspective * b``. On a square of S pixels it is shown at
    ``x = S / 2 + S / ORTHOGRAPHIC_WIDTH * (scale * a / w + right)``,
    ``y = S / 2 - S / ORTHOGRAPHIC_WIDTH * (scale * u / w + up)``.
    """

    scale: float = 1.0
    """How much larger than in the shared frame the object appears."""
    right: float = 0.0
    """How far to the right of the picture's middle the origin appears, world units at scale 1."""
    up: float = 0.0
    perspective: float = 0.0
    """One over the camera's distance from the origin; 0 is orthographic."""


class Cameras(NamedTuple):
    """The projections of N views, for compiled kernels."""

    matrices: NDArray[np.float64]
    """(N, 3, 4) from (x, y, z, 1) to (pixel x * w, pixel y * w, w); the first pixel spans 0..1 both ways."""
    frames: NDArray[np.float64]
    """(N, 3, 3) unit vectors right, up, backward of each view."""
    pixels: NDArray[np.float64]
    """(N,) world units that a pixel spans where w is 1."""
    perspectives: NDArray[np.float64]
    """(N,) as in ``Framing``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Projections:
    """N views' projections onto squares of ``size`` pixels."""

    views: tuple[View, ...]
    framings: tuple[Framing, ...]
    size: int
    cameras: Cameras

    def points(self, at: int, positions: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """(V, 3) world positions to (V, 3) points of view number ``at``: pixel x, pixel y (down), depth.

        Depth is in world units, larger is nearer: how far backward of the origin.
        """
        x, y, z = np.asarray(positions, np.float64).T
        # Written out: the sums' order must not depend on the processor.
        column, row, weight = (m[0] * x + m[1] * y + m[2] * z + m[3] for m in self.cameras.matrices[at])
        backward = self.cameras.frames[at, 2]
        depth = x * backward[0] + y * backward[1] + z * backward[2]
        return np.stack([column / weight, row / weight, depth], axis=1)

    def resized(self, size: int) -> "Projections":
        """The same pictures in another number of pixels."""
        return projections(dict(zip(self.views, self.framings, strict=True)), size)

    def only(self, at: int) -> "Projections":
        """View number ``at`` alone."""
        one = slice(at, at + 1)
        cameras = Cameras(*(values[one] for values in self.cameras))
        return replace(self, views=self.views[one], framings=self.framings[one], cameras=cameras)


def projections(framings: Mapping[View, Framing], size: int) -> Projections:
    """How squares of ``size`` pixels show the world under these framings, in their order."""
    frames = np.array([[CAMERAS[view].right, CAMERAS[view].up, CAMERAS[view].backward] for view in framings])
    pixels = np.array([ORTHOGRAPHIC_WIDTH / (size * framing.scale) for framing in framings.values()])
    return Projections(
        views=tuple(framings),
        framings=tuple(framings.values()),
        size=size,
        cameras=Cameras(
            matrices=np.stack([_matrix(*pair, size) for pair in zip(frames, framings.values(), strict=True)]),
            frames=frames,
            pixels=pixels,
            perspectives=np.array([framing.perspective for framing in framings.values()]),
        ),
    )


def _matrix(frame: NDArray[np.float64], framing: Framing, size: int) -> NDArray[np.float64]:
    right, up, backward = frame
    per_unit = size / ORTHOGRAPHIC_WIDTH
    weight = np.array([*(-framing.perspective * backward), 1.0])
    across = np.array([*(framing.scale * per_unit * right), 0.0]) + (size / 2 + per_unit * framing.right) * weight
    down = np.array([*(-framing.scale * per_unit * up), 0.0]) + (size / 2 - per_unit * framing.up) * weight
    return np.stack([across, down, weight])
