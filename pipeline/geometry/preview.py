"""The picture that stands for a mesh in reports: its front view image beside a render of the mesh."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from pipeline.domain.views import ORTHOGRAPHIC_WIDTH, Camera
from pipeline.geometry.rendering import Colours, Light, Part, from_linear, linear, orbit, render
from pipeline.geometry.resampling import resampled

_TILE_PX = 384
_FILLED = 0.86
"""The share of a tile that its object spans."""
_CAMERA = orbit(35, 18)
"""Three-quarter: from the front, its left side, slightly above."""
_CARD_TOP, _CARD_BOTTOM = (222, 224, 228), (168, 172, 180)
"""sRGB of a card on which dark and light objects stand out, and which itself does on dark and light pages."""
_CORNER_PX = 20


def preview(parts: Sequence[Part], front: Colours | None) -> Colours:
    """A (384, 768, 4) picture: the front view image at the left, the mesh in three-quarter view at the right.

    ``front`` is (h, w, 3 or 4) with straight alpha; without it the picture is (384, 384, 4). The mesh may have any
    size and place. Both objects are fitted to the frame, so their scales differ.
    """
    tiles = [render(_framed(parts, _CAMERA), _CAMERA, width=_TILE_PX, height=_TILE_PX)]
    if front is not None:
        tiles.insert(0, _fitted(front))
    return _on_card(np.concatenate(tiles, axis=1))


def _framed(parts: Sequence[Part], camera: Camera) -> list[Part]:
    """The parts moved and scaled alike, so that together they fill the camera's frame."""
    axes = [np.array(axis) for axis in (camera.right, camera.up, camera.backward)]
    spans = [np.concatenate([(part.mesh.positions * axis).sum(axis=1) for part in parts]) for axis in axes]
    low, high = (np.array([pick(span) for span in spans]) for pick in (np.min, np.max))
    middle = sum(axis * value for axis, value in zip(axes, (low + high) / 2, strict=True))
    scale = _FILLED * ORTHOGRAPHIC_WIDTH / max(float((high - low)[:2].max()), 1e-12)
    return [
        replace(part, mesh=replace(part.mesh, positions=((part.mesh.positions - middle) * scale).astype(np.float32)))
        for part in parts
    ]


def _fitted(picture: Colours) -> Colours:
    """A (tile, tile, 4) picture: cut to what is not transparent, scaled to the tile, centred."""
    trimmed = _trimmed(picture)
    opaque = trimmed.shape[2] == 3 or bool((trimmed[..., 3] == 255).all())
    room = _TILE_PX if opaque else round(_TILE_PX * _FILLED)
    scale = room / max(trimmed.shape[:2])
    height, width = (max(1, round(side * scale)) for side in trimmed.shape[:2])
    tile = np.zeros((_TILE_PX, _TILE_PX, 4), np.uint8)
    top, left = (_TILE_PX - height) // 2, (_TILE_PX - width) // 2
    tile[top : top + height, left : left + width] = _scaled(trimmed, height, width)
    return tile


def _trimmed(picture: Colours) -> Colours:
    if picture.shape[2] == 3 or not picture[..., 3].any():
        return picture
    rows, columns = (np.flatnonzero(picture[..., 3].any(axis=axis)) for axis in (1, 0))
    return picture[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _scaled(picture: Colours, height: int, width: int) -> Colours:
    """In linear light, colours weighted by their alpha; very large pictures are thinned out first."""
    thinned = picture[:: max(1, picture.shape[0] // (8 * height)), :: max(1, picture.shape[1] // (8 * width))]
    alpha = thinned[..., 3:] / 255 if picture.shape[2] == 4 else np.ones((*thinned.shape[:2], 1))
    weighted: Light = np.concatenate([linear(thinned[..., :3]) * alpha, alpha], axis=2)
    means = resampled(weighted, height, width)
    colour = from_linear(means[..., :3] / np.maximum(means[..., 3:], 1e-6))
    return np.concatenate([colour, np.rint(means[..., 3:] * 255).astype(np.uint8)], axis=2)


def _on_card(objects: Colours) -> Colours:
    """The picture over a softly graded card with round corners, whose edge is one pixel soft."""
    height, width = objects.shape[:2]
    down = np.linspace(0, 1, height)[:, None, None]
    card = np.array(_CARD_TOP) * (1 - down) + np.array(_CARD_BOTTOM) * down
    alpha = objects[..., 3:] / 255
    picture = np.empty_like(objects)
    picture[..., :3] = np.rint(objects[..., :3] * alpha + card * (1 - alpha))
    beyond_y, beyond_x = (_beyond_straight_edge(side) for side in (height, width))
    distance = np.hypot(beyond_y[:, None], beyond_x[None, :]) - _CORNER_PX
    picture[..., 3] = np.rint(np.clip(0.5 - distance, 0, 1) * 255)
    return picture


def _beyond_straight_edge(side: int) -> NDArray[np.float64]:
    """How far each of ``side`` pixels lies within the zone of the round corners, at either end."""
    from_middle = np.abs(np.arange(side) + 0.5 - side / 2)
    beyond: NDArray[np.float64] = np.maximum(from_middle - (side / 2 - _CORNER_PX), 0)
    return beyond
