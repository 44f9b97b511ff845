"""Picture sets as people really have them, made from an object whose truth is known.

A mode is one or more words joined by ``+``: ``framed`` (each view with a scale and an offset of its own), ``persp`` (a pinhole
with a field of 30 degrees; ``persp60``: of 60), ``white`` ``gradient`` ``studio`` ``shadow`` (opaque backgrounds; the last one
has a soft contact shadow), ``jpeg``, ``sizes`` (views of different sizes, some not square), ``exposure`` (views lighter or darker, warmer
or colder); ``clean`` is none of them. ``framed+studio+jpeg`` is a bad day. Everything is seeded by the set's and the view's name.
"""

import io
import re
from collections.abc import Callable, Iterable, Mapping
from math import radians, sin, tan
from pathlib import Path
from zlib import crc32

import numpy as np
from engine_subjects import SYNTHETIC, Pixels, Shot, Source, photograph, read_pictures
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from pipeline.domain.views import CAMERAS, ORTHOGRAPHIC_WIDTH, View
from pipeline.geometry.rendering import from_linear, linear

ROOT = Path(__file__).resolve().parents[2]
SIZE = 1024
_FIELD_DEG = 30
_SIZES = (1024, 768, 900, 640, 512, 1024, 720, 600)
_SIDE_VIEWS = frozenset(view for view in View if not CAMERAS[view].elevation_deg)
_PERSP = re.compile(r"persp(\d*)")
GAUGE_FREE = frozenset({"framed", "persp"})
"""Modes whose pictures leave the object's scale and place open: meshes are aligned to the truth before they are judged."""


def pictures(source: Source, mode: str, views: Iterable[View]) -> dict[View, Pixels]:
    """(H, W, 4) sRGB, straight alpha, of a mode or of a set's own variant (``variants/white``)."""
    views = list(views)
    if mode.startswith("variants/"):
        assert source.folder is not None
        given = read_pictures(source.folder / mode)
        return {view: given[view] for view in views if view in given}
    words = mode.split("+")
    known = {"clean", "framed", *_AFTER}
    if unknown := {word for word in words if word not in known and not _PERSP.fullmatch(word)}:
        raise SystemExit(
            f"no such mode: {', '.join(sorted(unknown))}; there are clean, framed, persp, persp60, {', '.join(_AFTER)}"
        )
    taken = _taken(source, words, views)
    for word in _AFTER:
        if word in words:
            taken = {view: _AFTER[word](one, view, _random(source.name, view, word)) for view, one in taken.items()}
    return taken


def _taken(source: Source, words: list[str], views: list[View]) -> dict[View, Pixels]:
    """Transparent, the camera as the words say. What is modelled by code is kept on the disk: paints take seconds."""
    camera_words = sorted(word for word in words if word == "framed" or _PERSP.fullmatch(word))
    if source.folder and not camera_words:
        return source.pictures(views, SIZE)
    place = ROOT / "out" / "bench-sets" / _edition() / source.name / ("+".join(camera_words) or "clean")
    if source.folder is None and all((place / f"{view}.png").is_file() for view in views):
        return {view: one for view, one in read_pictures(place).items() if view in views}
    made = {view: photograph(source.subject, _shot(source, view, words), SIZE, source.samples) for view in views}
    if source.folder is None:
        place.mkdir(parents=True, exist_ok=True)
        for view, one in made.items():
            Image.fromarray(one).save(place / f"{view}.png", compress_level=1)
    return made


def distance(field_deg: float = _FIELD_DEG) -> float:
    """Of the pinhole, from the origin: the sphere that orthographic pictures hold touches the borders of its picture."""
    return ORTHOGRAPHIC_WIDTH / 2 / sin(radians(field_deg / 2))


def judged_from(view: View, mode: str) -> Shot:
    """Where a mesh is looked at to be compared with the truth at a given view: the mode's own camera, its framing undone."""
    return _whole(view, mode.removeprefix("variants/").split("+"))


def _edition() -> str:
    """Another one whenever the code that draws is another."""
    here = Path(__file__).parent
    files = [
        *sorted((ROOT / "configs" / "modelling").glob("*.py")),
        here / "engine_models.py",
        here / "engine_subjects.py",
        Path(__file__),
    ]
    return f"{crc32(b''.join(path.read_bytes() for path in files)):08x}"


def _shot(source: Source, view: View, words: list[str]) -> Shot:
    whole = _whole(view, words)
    return _framed(source, view, whole) if "framed" in words else whole


def _whole(view: View, words: list[str]) -> Shot:
    fields = [float(found[1] or _FIELD_DEG) for word in words if (found := _PERSP.fullmatch(word))]
    if not fields:
        return Shot(camera=CAMERAS[view])
    away = distance(fields[0])
    scale = ORTHOGRAPHIC_WIDTH / (2 * away * tan(radians(fields[0] / 2)))
    return Shot(camera=CAMERAS[view], scale=scale, perspective=1 / away)


def _framed(source: Source, view: View, whole: Shot) -> Shot:
    """The object takes 55 to 92 % of the picture's side and stands anywhere in it."""
    random = _random(source.name, view, "framed")
    points = whole.points(source.subject.positions, SIZE)[:, :2]
    low, high = points.min(axis=0), points.max(axis=0)
    grow = random.uniform(0.55, 0.92) * SIZE / (high - low).max()
    middle = ((low + high) / 2 - SIZE / 2) * grow
    room = (0.97 * SIZE - (high - low) * grow) / 2
    shift = (random.uniform(-1, 1, 2) * room - middle) * ORTHOGRAPHIC_WIDTH / SIZE
    return Shot(
        camera=whole.camera, scale=whole.scale * grow, right=shift[0], up=-shift[1], perspective=whole.perspective
    )


def _random(*of: object) -> np.random.Generator:
    return np.random.default_rng(crc32(repr([str(one) for one in of]).encode()))


def _exposure(picture: Pixels, _: View, random: np.random.Generator) -> Pixels:
    gain = 2 ** random.uniform(-0.45, 0.35) * np.array([1, 1, 1]) * (1 + random.uniform(-0.05, 0.05, 3))
    return np.dstack([from_linear(linear(picture[..., :3]) * gain), picture[..., 3]])


def _before(picture: Pixels, backdrop: NDArray[np.floating]) -> Pixels:
    alpha = picture[..., 3:] / 255
    mixed = picture[..., :3] * alpha + backdrop * (1 - alpha)
    return np.dstack([np.clip(np.rint(mixed), 0, 255).astype(np.uint8), np.full_like(picture[..., 3], 255)])


def _white(picture: Pixels, _: View, __: np.random.Generator) -> Pixels:
    return _before(picture, np.full((*picture.shape[:2], 3), 255.0))


def _gradient(picture: Pixels, _: View, random: np.random.Generator) -> Pixels:
    """Light above, darker below, lightest in the middle, a little tinted."""
    return _before(picture, _slope(picture, 236, 176) * (1 + random.uniform(-0.03, 0.03, 3)))


def _studio(picture: Pixels, _: View, random: np.random.Generator) -> Pixels:
    """A grey backdrop with blotches and the noise of a sensor."""
    height, width = picture.shape[:2]
    blotches = Image.fromarray(random.normal(0, 1, (12, 12)).astype(np.float32))
    uneven = np.asarray(blotches.resize((width, height), Image.Resampling.BICUBIC))
    backdrop = _slope(picture, 205, 165) + 2.5 * uneven[..., None]
    return _before(picture, backdrop + random.normal(0, 3, (height, width, 3)))


def _slope(picture: Pixels, above: float, below: float) -> NDArray[np.float64]:
    height, width = picture.shape[:2]
    y, x = np.mgrid[:height, :width] / (max(height, width) - 1)
    return (above + (below - above) * y + 14 * np.exp(-6 * ((x - 0.5) ** 2 + (y - 0.45) ** 2)))[..., None] * np.ones(3)


def _shadow(picture: Pixels, view: View, _: np.random.Generator) -> Pixels:
    """White, with a soft dark patch where the object stands: below it from the side, around it from above. A camera
    below sees no floor.
    """
    if view is View.BOTTOM:
        return _before(picture, np.full((*picture.shape[:2], 3), 250.0))
    solid = picture[..., 3] > 127
    height, width = solid.shape
    rows, columns = np.nonzero(solid)
    span = float(columns.max() - columns.min())
    if view in _SIDE_VIEWS:
        foot = columns[rows > rows.max() - 0.06 * (rows.max() - rows.min()) - 2]
        y, x = np.mgrid[:height, :width]
        half = (0.62 * (foot.max() - foot.min()) + 0.04 * span, 0.035 * span + 4)
        patch = ((x - (foot.min() + foot.max()) / 2) / half[0]) ** 2 + ((y - rows.max()) / half[1]) ** 2 < 1
    else:
        patch = solid
    blurred = Image.fromarray((patch * 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(0.018 * span + 2))
    dark = 0.55 if view in _SIDE_VIEWS else 0.4
    return _before(picture, 250 * (1 - dark * np.asarray(blurred)[..., None] / 255) * np.ones(3))


def _sizes(picture: Pixels, view: View, _: np.random.Generator) -> Pixels:
    at = list(View).index(view)
    side = _SIZES[at]
    image = Image.fromarray(picture).resize((side, side), Image.Resampling.BOX)
    columns = np.nonzero((picture[..., 3] > 0).any(axis=0))[0] if picture[..., 3].min() == 0 else np.arange(SIZE)
    spare = min(columns.min(), len(picture) - 1 - columns.max()) * side // len(picture) - 8
    if at % 3 == 1 and spare > 0:  # the longer side stays what it was
        image = image.crop((spare, 0, side - spare, side))
    return np.asarray(image)


def _jpeg(picture: Pixels, view: View, random: np.random.Generator) -> Pixels:
    opaque = picture if picture[..., 3].min() == 255 else _white(picture, view, random)
    file = io.BytesIO()
    Image.fromarray(opaque[..., :3]).save(file, "JPEG", quality=85)
    return np.asarray(Image.open(file).convert("RGBA"))


_AFTER: Mapping[str, Callable[[Pixels, View, np.random.Generator], Pixels]] = {
    "exposure": _exposure,
    "sizes": _sizes,
    "white": _white,
    "gradient": _gradient,
    "studio": _studio,
    "shadow": _shadow,
    "jpeg": _jpeg,
}
"""In this order, however they are said."""

MODES = ("clean", "framed", "persp", "white", "gradient", "studio", "shadow", "jpeg", "sizes", "exposure")
SETS = tuple(SYNTHETIC)
