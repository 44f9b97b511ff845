"""Small jobs of every kind that the engine knows, on pictures of coloured balls that are computed here.

As a script: does all of them in worker's fashion, ``engine_jobs.py FOLDER THREADS``: a folder for each, with its files.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.domain.views import CAMERAS, ORTHOGRAPHIC_WIDTH, View
from pipeline.service.engine import EngineTask, make_mesh

Ball = tuple[tuple[float, float, float], float, tuple[int, int, int]]
"""Centre, radius, colour."""

FIGURE: Sequence[Ball] = (
    ((0.0, -0.15, 0.0), 0.3, (200, 90, 40)),
    ((0.05, 0.25, 0.05), 0.18, (60, 120, 190)),
    ((0.3, -0.1, 0.1), 0.14, (230, 200, 60)),
)
"""No two views of it are alike."""
APART: Sequence[Ball] = (
    ((0.0, -0.2, 0.0), 0.2, (200, 90, 40)),
    ((0.1, 0.3, 0.0), 0.1, (60, 120, 190)),
    ((-0.3, 0.3, 0.1), 0.04, (60, 190, 90)),
)
"""The last is so small that it could be a phantom."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mode:
    """One kind of job."""

    views: tuple[View, ...] = tuple(View)
    balls: Sequence[Ball] = FIGURE
    size: int = 144
    background: tuple[int, int, int] | None = None
    """None: transparent."""
    perspective: float = 0.0
    """One over the camera's distance."""
    scale: float = 1.0
    """Of the object in the front picture alone."""
    face_count: int = 3_000
    textured: bool = True
    pbr: bool = False


SIDES = (View.FRONT, View.LEFT, View.RIGHT, View.BACK)

MODES: Mapping[str, Mode] = {
    "textured": Mode(),
    "pbr": Mode(pbr=True),
    "bare": Mode(textured=False),
    "tiny": Mode(face_count=60),
    "fine": Mode(face_count=60_000, pbr=True),
    "front": Mode(views=(View.FRONT,)),
    "front-pbr": Mode(views=(View.FRONT,), pbr=True, background=(250, 250, 250)),
    "sides": Mode(views=SIDES),
    "opaque": Mode(background=(240, 240, 244)),
    "perspective": Mode(perspective=0.47),
    "framed": Mode(scale=0.8),
    "apart": Mode(balls=APART),
    "large": Mode(views=(View.FRONT, View.LEFT), size=520),
}


def pictures(mode: Mode) -> dict[View, NDArray[np.uint8]]:
    """(size, size, 4) straight-alpha sRGB for each view, anti-aliased, softly lit."""
    return {view: _picture(mode, view) for view in mode.views}


def _picture(mode: Mode, view: View) -> NDArray[np.uint8]:
    fine = 2 * mode.size
    shown = mode.scale if view is View.FRONT else 1.0
    at = ((np.arange(fine) + 0.5) / fine - 0.5) * ORTHOGRAPHIC_WIDTH / shown
    across, up = np.meshgrid(at, -at)
    rays = np.stack([-mode.perspective * across, -mode.perspective * up, np.ones_like(up)], axis=2)
    origins = np.stack([across, up, np.zeros_like(up)], axis=2)
    depth, colours = np.full(up.shape, -np.inf), np.zeros((*up.shape, 3))
    camera = CAMERAS[view]
    frame = np.array([camera.right, camera.up, camera.backward])
    for centre, radius, colour in mode.balls:
        away = origins - frame @ centre
        a, b, c = (rays**2).sum(-1), (rays * away).sum(-1), (away**2).sum(-1) - radius**2
        nearest = (np.sqrt(np.maximum(b * b - a * c, 0)) - b) / a
        seen = (b * b > a * c) & (nearest > depth)
        depth[seen] = nearest[seen]
        facing = ((away + nearest[..., None] * rays) / radius) @ (frame @ (0.35, 0.76, 0.55))
        colours[seen] = (np.array(colour) * (0.7 + 0.3 * facing[..., None]))[seen]
    return _shrunk(colours, np.isfinite(depth), mode.background)


def _shrunk(
    colours: NDArray[np.float64], hit: NDArray[np.bool_], background: tuple[int, int, int] | None
) -> NDArray[np.uint8]:
    size = len(hit) // 2
    weights = hit.reshape(size, 2, size, 2).astype(np.float64)
    alpha = weights.mean(axis=(1, 3))[..., None]
    rgb = (colours.reshape(size, 2, size, 2, 3) * weights[..., None]).mean(axis=(1, 3)) / np.maximum(alpha, 1e-9)
    if background is not None:
        rgb, alpha = rgb * alpha + np.array(background) * (1 - alpha), np.ones_like(alpha)
    return np.concatenate([rgb, 255 * alpha], axis=2).round().clip(0, 255).astype(np.uint8)


def make_all(folder: Path, threads: int) -> None:
    for name, mode in MODES.items():
        place = folder / name
        place.mkdir()
        paths = {view: place / f"{view}.png" for view in mode.views}
        for view, pixels in pictures(mode).items():
            Image.fromarray(pixels).save(paths[view])
        task = EngineTask(
            pictures=paths,
            face_count=mode.face_count,
            textured=mode.textured,
            pbr=mode.pbr,
            folder=place,
            progress=place / "progress",
            threads=threads,
        )
        made = make_mesh(task)
        (place / "notes.json").write_text(json.dumps(made.notes))


if __name__ == "__main__":
    make_all(Path(sys.argv[1]), int(sys.argv[2]))
