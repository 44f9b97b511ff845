"""Picture files decoded: wholly or refused, brought to 8 bits, turned upright.

Pillow's tolerance of truncated files stays off.
"""

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PIL import Image, ImageCms, ImageMath, UnidentifiedImageError

from pipeline.domain.errors import PictureRefused
from pipeline.domain.model import PICTURE_MAX_PX
from pipeline.domain.texts import one_line
from pipeline.ports.images.files import refuse_broken_png, unidentified

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PIXELS_MAX = 200_000_000
"""No picture with more pixels is decoded, however few bytes its file has."""

Image.MAX_IMAGE_PIXELS = PIXELS_MAX  # Pillow's own bound (a warning above it, an error above twice) must not come first

OPAQUE = 255

READABLE = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF", "AVIF", "JPEG2000", "PPM", "QOI", "TGA")
"""What Pillow may try. No format that runs a foreign program (EPS) or is none for pictures of objects."""

_LONGEST_NAME = 60
"""Of a colour profile. It is the picture's own word, and told to people."""

_NO_TEXTS = ("interlace", "transparency", "icc_profile")

_ORIENTATION_TAG = 0x0112
_BITS_PER_SAMPLE_TAG = 258
_PNG_BIT_DEPTH_AT = 24
_DEEP_BITS = 16

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF 2.3, tag Orientation: what makes the stored picture upright."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoded:
    image: Image.Image
    """L, LA, RGB or RGBA with 8 bits a channel, upright; colours as ``profile`` means them."""
    format: str
    profile: bytes | None
    """ICC profile of RGB colours, if there is one that may matter."""
    changes: tuple[str, ...]
    """What was done that the service could not be asked to do."""


def read_rgba(data: bytes, name: str = "the picture", *, longest_px: int | None = None) -> "NDArray[np.uint8]":
    """A picture file's pixels: (H, W, 4) uint8, sRGB with straight alpha, upright, row 0 at the top; made smaller where
    its longer side is more than ``longest_px``.

    Raises:
        PictureRefused: not a still picture, or not a whole one.
    """
    import numpy as np  # noqa: PLC0415 - the base install has none

    decoded = decode(data, name)
    image, _ = in_srgb(decoded.image, decoded.profile)
    image = image.convert("RGBA")
    if longest_px is not None and max(image.size) > longest_px:  # Pillow weighs colours by their alpha
        shrink = longest_px / max(image.size)
        image = image.resize(
            (max(1, round(image.width * shrink)), max(1, round(image.height * shrink))), Image.Resampling.BOX
        )
    return np.array(image, dtype=np.uint8)


def decode(data: bytes, name: str) -> Decoded:
    """The still picture in a file's bytes; ``name`` is what messages call it.

    Raises:
        PictureRefused: with the ``kind`` of the fault.
    """
    refuse_broken_png(data, name)
    try:
        image = Image.open(io.BytesIO(data), formats=READABLE)
        _refuse_misleading_text(image, name)
        _refuse_shape(image, name)
        orientation = _orientation(image)
        is_deep = _is_deep(image, data)
        image.load()
        _refuse_misleading_text(image, name)
        decoded = _normalised(image, orientation=orientation, is_deep=is_deep, name=name)
    except PictureRefused:
        raise
    except UnidentifiedImageError as error:
        raise unidentified(data, name) from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _too_many_pixels(name, "has too many pixels") from error
    except MemoryError as error:
        raise _too_many_pixels(name, "needs more memory than there is") from error
    except Exception as error:  # decoders fed with rubbish raise whatever they stumble over
        raise _undecodable(name, error) from error
    return decoded


def _undecodable(name: str, error: Exception) -> PictureRefused:
    is_cut = "truncated" in str(error).lower() or isinstance(error, EOFError)
    found = "is cut short" if is_cut else "is damaged"
    return PictureRefused(
        f"{name}: {found} ({one_line(str(error))}); expected a whole picture",
        mend="copy or export it again",
        kind="truncated" if is_cut else "damaged",
    )


def _too_many_pixels(name: str, found: str) -> PictureRefused:
    return PictureRefused(
        f"{name}: {found}; expected at most {PIXELS_MAX // 10**6} megapixels",
        mend=f"export it with at most {PICTURE_MAX_PX} px a side",
        kind="too-large",
    )


def _refuse_misleading_text(image: Image.Image, name: str) -> None:
    """Pillow keeps a PNG's texts where it keeps what it decodes by: one called ``interlace`` garbles the pixels."""
    for keyword in _NO_TEXTS:
        if isinstance(image.info.get(keyword), str):
            raise PictureRefused(
                f"{name}: holds a text by the name {keyword!r}, which cannot be told from the picture's own; "
                "expected none",
                mend="export it again, without its texts (metadata)",
                kind="unsupported",
            )


def _refuse_shape(image: Image.Image, name: str) -> None:
    """What the header alone tells, before memory is spent on pixels."""
    if image.width * image.height > PIXELS_MAX:
        raise _too_many_pixels(name, f"has {image.width} x {image.height} px")
    frames = getattr(image, "n_frames", 1)
    if frames > 1 and image.format != "MPO":
        what = "pages" if image.format == "TIFF" else "frames (an animation)"
        raise PictureRefused(
            f"{name}: holds {frames} {what}; expected one still picture",
            mend="export the one picture that shows the view",
            kind="animated",
        )


def _orientation(image: Image.Image) -> int:
    """EXIF orientation 1 to 8; a broken EXIF block says nothing."""
    try:
        return int(image.getexif().get(_ORIENTATION_TAG, 1))
    except Exception:  # noqa: BLE001 - metadata parsers raise whatever they stumble over; the pixels may be fine
        return 1


def _is_deep(image: Image.Image, data: bytes) -> bool:
    """Whether the file has 16 bits a channel: Pillow hands out 8 for colour without saying so."""
    if image.format == "PNG":
        return data[_PNG_BIT_DEPTH_AT] == _DEEP_BITS
    if image.format == "TIFF":
        bits = image.tag_v2.get(_BITS_PER_SAMPLE_TAG, (8,))  # type: ignore[attr-defined]  # TiffImageFile has it
        return bool(max(bits) == _DEEP_BITS)
    return image.mode == "I" or image.mode.startswith("I;16")


def _normalised(image: Image.Image, *, orientation: int, is_deep: bool, name: str) -> Decoded:
    if image.mode == "P" and image.palette is None:
        raise _undecodable(name, ValueError("it has no palette"))
    changes = []
    image_format = image.format or ""
    profile = image.info.get("icc_profile")
    if image_format == "MPO":
        changes.append("first picture of several (MPO) taken")
    if is_deep:
        changes.append("16 bits per channel reduced to 8")
        image = _eight_bits(image)
    if image.mode in {"I", "F"}:
        raise PictureRefused(
            f"{name}: has 32 bits per channel, which tell no white; expected 8 or 16 bits per channel",
            mend="export it with 8 bits per channel",
            kind="unsupported",
        )
    if image.mode in {"1", "CMYK", "LAB", "YCbCr"}:
        words = {"1": "1 bit per pixel widened to 8", "CMYK": f"CMYK converted to RGB{_by(profile)}"}
        changes.append(words.get(image.mode, f"{image.mode} converted to RGB"))
    image, profile = _plain(image, profile)
    if orientation in _TURNS:
        changes.append(f"turned as EXIF orientation {orientation} says")
        if image_format != "TIFF":  # Pillow has turned a TIFF while loading it
            image = image.transpose(_TURNS[orientation])
    return Decoded(image=image, format=image_format, profile=profile, changes=tuple(changes))


def _by(profile: bytes | None) -> str:
    return " by its ICC profile" if profile else ""


def _eight_bits(image: Image.Image) -> Image.Image:
    """16-bit grey scaled to 8 (Pillow's own conversion clips); of colour Pillow has read the upper bytes already."""
    key = image.info.get("transparency")
    if image.mode in {"L", "LA", "RGB", "RGBA", "CMYK"}:
        if isinstance(key, tuple):
            image.info["transparency"] = tuple(value >> 8 for value in key)
        return image
    deep = image.convert("I")
    grey = deep.point(lambda value: value * (1 / 257) + 0.5).convert("L")
    grey.info = {}
    if isinstance(key, int):
        grey.putalpha(ImageMath.lambda_eval(lambda at: at["convert"]((at["v"] != key) * OPAQUE, "L"), v=deep))
    return grey


def _plain(image: Image.Image, profile: bytes | None) -> tuple[Image.Image, bytes | None]:
    """L, LA, RGB or RGBA (every kind of transparency as alpha), and the profile if it still speaks of these colours."""
    has_alpha = image.has_transparency_data
    match image.mode:
        case "CMYK" | "LAB":
            return in_srgb(image, profile)[0], None
        case "1" | "L" | "LA" | "La":
            return image.convert("LA" if has_alpha else "L"), None
        case _:
            return image.convert("RGBA" if has_alpha else "RGB"), profile


def in_srgb(image: Image.Image, profile: bytes | None) -> tuple[Image.Image, str]:
    """Colours as sRGB, alpha kept.

    Args:
        image: L, LA, RGB, RGBA, CMYK or LAB; the last two come out as RGB even without a profile.
        profile: the ICC profile that says what the colours mean, if any.

    Returns:
        The picture, and the name of the profile that it was converted from (empty: none that matters).
    """
    target_mode = image.mode if image.mode == "RGBA" else "RGB"
    if profile:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            profile_name = one_line(ImageCms.getProfileDescription(source))[:_LONGEST_NAME]
            if "srgb" in profile_name.lower():
                return image, ""
            converted = ImageCms.profileToProfile(
                image,
                source,
                ImageCms.createProfile("sRGB"),
                renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
                outputMode=target_mode,
                flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
            )
        except (ImageCms.PyCMSError, OSError, ValueError):
            return _without_profile(image), ""  # a broken profile, or one for other channels: as if there were none
        assert converted is not None  # only inPlace conversions return None
        return converted, profile_name
    return _without_profile(image), ""


def _without_profile(image: Image.Image) -> Image.Image:
    return image.convert("RGB") if image.mode in {"CMYK", "LAB"} else image
