"""Cut-out pictures put in front of the backgrounds that people's pictures have, so that the true silhouette is known."""

from collections.abc import Callable
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from pipeline.domain.views import View

Light = NDArray[np.float64]
Picture = NDArray[np.uint8]
_FROM_ABOVE = (View.TOP, View.BOTTOM)


def plain(*colour: float) -> Callable[[int, int], Light]:
    return lambda height, width: np.broadcast_to(np.array(colour, float), (height, width, 3)).copy()


def gradient(height: int, width: int) -> Light:
    down = np.linspace(0, 1, height)[:, None, None]
    across = np.linspace(0, 12, width)[None, :, None]
    return np.array([225.0, 232, 240]) * (1 - down) + np.array([140.0, 150, 170]) * down + across


def vignette(height: int, width: int) -> Light:
    y, x = np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij")
    fall = 1 - 0.35 * np.clip((x * x + y * y) / 2, 0, 1) ** 2
    return np.array([214.0, 210, 205]) * fall[..., None]


def dimmed(grey: float) -> Callable[[int, int], Light]:
    """What image generators draw: grey, a little darker towards the corners."""
    return lambda height, width: vignette(height, width) * (grey / 212)


def checkered(side: float, darker: float, lighter: float) -> Callable[[int, int], Light]:
    """Transparency as programs show it, drawn into the picture; squares need not be whole pixels wide."""

    def squares(height: int, width: int) -> Light:
        y, x = (np.arange(4 * size) / 4 // side for size in (height, width))
        odd = ((y[:, None] + x[None, :]) % 2).reshape(height, 4, width, 4).mean(axis=(1, 3))
        return (darker + (lighter - darker) * odd)[..., None].repeat(3, axis=2)

    return squares


def studio(height: int, width: int) -> Light:
    """Grey paper with a lamp on it, and a sensor's noise."""
    y, x = np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij")
    lit = 168 - 22 * y - 14 * x * x - 10 * (y + 0.3) ** 2
    return lit[..., None] + np.random.default_rng(7).normal(0, 3.5, (height, width, 3))


def _blurred(plane: Light, sigma: float) -> Light:
    image = Image.fromarray(np.uint8(np.clip(plane, 0, 1) * 255))
    # Twice: eight bits are too coarse for a soft slope, and the second pass smooths what the first one rounds.
    half = image.filter(ImageFilter.GaussianBlur(sigma / 2**0.5)).filter(ImageFilter.GaussianBlur(sigma / 2**0.5))
    return np.asarray(half) / 255


def contact_shadow(alpha: Light, view: View, *, darkness: float, softness: float) -> Light:
    """(H, W) what is left of the light: an ellipse on the floor at the object's foot, a halo where seen from above."""
    height, width = alpha.shape
    size = max(height, width)
    rows, columns = np.nonzero(alpha > 0.5)
    y, x = np.indices((height, width))
    if view in _FROM_ABOVE:
        shape = Image.fromarray(np.uint8(alpha * 255)).filter(ImageFilter.MaxFilter(2 * int(0.008 * size) + 1))
        shade = np.asarray(shape) / 255
    else:
        middle, half = (columns.min() + columns.max()) / 2, 0.5 * (np.ptp(columns) + 1)
        flat = ((x - middle) / (1.08 * half)) ** 2 + ((y - rows.max()) / (0.035 * size)) ** 2
        shade = (flat < 1).astype(float)
    return 1 - darkness * _blurred(shade, softness * size)


def cast_shadow(alpha: Light, view: View, *, darkness: float = 0.4, softness: float = 0.02) -> Light:
    """The silhouette's own, down to the right of it, as drawing programs make it."""
    del view
    step = int(0.02 * max(alpha.shape))
    shifted = np.zeros_like(alpha)
    shifted[step:, step:] = alpha[:-step, :-step]
    return 1 - darkness * _blurred(shifted, softness * max(alpha.shape))


def before(
    cut_out: Picture,
    background: Callable[[int, int], Light],
    *,
    shade: Light | None = None,
    jpeg_quality: int | None = None,
) -> Picture:
    """An opaque (H, W, 4) picture of a cut-out (H, W, 4) object in front of a background, perhaps shaded."""
    height, width, _ = cut_out.shape
    alpha = cut_out[..., 3:] / 255
    behind = background(height, width) * (1 if shade is None else shade[..., None])
    mixed = np.uint8(np.clip(np.rint(cut_out[..., :3] * alpha + behind * (1 - alpha)), 0, 255))
    if jpeg_quality is not None:
        stream = BytesIO()
        Image.fromarray(mixed).save(stream, "JPEG", quality=jpeg_quality)
        mixed = np.asarray(Image.open(stream).convert("RGB"))
    return np.dstack([mixed, np.full((height, width), 255, np.uint8)])


WHITE, BLACK, BLUE, GREY = plain(255, 255, 255), plain(0, 0, 0), plain(90, 140, 200), plain(128, 128, 128)

KINDS: dict[str, Callable[[Picture, View], Picture]] = {
    "white": lambda p, _: before(p, WHITE),
    "white, JPEG 90": lambda p, _: before(p, WHITE, jpeg_quality=90),
    "white, JPEG 60": lambda p, _: before(p, WHITE, jpeg_quality=60),
    "black": lambda p, _: before(p, BLACK),
    "blue, JPEG 85": lambda p, _: before(p, BLUE, jpeg_quality=85),
    "grey": lambda p, _: before(p, GREY),
    "gradient": lambda p, _: before(p, gradient),
    "vignette, JPEG 90": lambda p, _: before(p, vignette, jpeg_quality=90),
    "dim grey, JPEG 75": lambda p, _: before(p, dimmed(128), jpeg_quality=75),
    "dim light grey, JPEG 85": lambda p, _: before(p, dimmed(240), jpeg_quality=85),
    "checkerboard": lambda p, _: before(p, checkered(16, 204, 255)),
    "pale checkerboard": lambda p, _: before(p, checkered(10.7, 239, 255)),
    "checkerboard, JPEG 85": lambda p, _: before(p, checkered(12, 153, 192), jpeg_quality=85),
    "studio": lambda p, _: before(p, studio),
    "studio, JPEG 85": lambda p, _: before(p, studio, jpeg_quality=85),
    "contact shadow": lambda p, v: before(
        p, WHITE, shade=contact_shadow(p[..., 3] / 255, v, darkness=0.45, softness=0.014)
    ),
    "deep shadow, JPEG 90": lambda p, v: before(
        p, plain(236, 236, 238), shade=contact_shadow(p[..., 3] / 255, v, darkness=0.7, softness=0.02), jpeg_quality=90
    ),
    "cast shadow": lambda p, v: before(p, WHITE, shade=cast_shadow(p[..., 3] / 255, v)),
    "shadow in studio, JPEG 90": lambda p, v: before(
        p, studio, shade=contact_shadow(p[..., 3] / 255, v, darkness=0.5, softness=0.016), jpeg_quality=90
    ),
}
"""Every kind of background, by what it is called."""


def cast_in_alpha(cut_out: Picture, view: View) -> Picture:
    """With the shadow that programs draw below what they cut out, as something black and half transparent."""
    shade = 1 - cast_shadow(cut_out[..., 3] / 255, view, darkness=0.65)
    alpha = cut_out[..., 3] / 255
    both = alpha + (1 - alpha) * shade
    colours = cut_out[..., :3] * (alpha / np.maximum(both, 1e-6))[..., None]
    return np.uint8(np.rint(np.dstack([colours, 255 * both])))


def fringed(cut_out: Picture, softness_px: float) -> Picture:
    """Cut out of white with a soft brush: at its edges white is left in the colours."""
    alpha = _blurred(cut_out[..., 3] / 255, softness_px) if softness_px else cut_out[..., 3] / 255
    return np.dstack([before(cut_out, WHITE)[..., :3], np.uint8(np.rint(255 * alpha))])


def traced(cut_out: Picture) -> Picture:
    """Alpha as some encoders leave it: nearly solid inside, a trace outside."""
    trace = np.random.default_rng(8).integers(0, 4, cut_out.shape[:2])
    return np.dstack([cut_out[..., :3], np.uint8(np.clip(cut_out[..., 3] + trace, 0, 254))])


CUT: dict[str, Callable[[Picture, View], Picture]] = {
    "shadow in alpha": cast_in_alpha,
    "white fringe": lambda p, _: fringed(p, 0),
    "soft white fringe": lambda p, _: fringed(p, 1.5),
    "trace of alpha": lambda p, _: traced(p),
}
"""Every way in which transparent pictures are badly cut out, by what it is called."""
