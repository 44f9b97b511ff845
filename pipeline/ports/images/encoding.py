"""Pictures made ready to be sent, and pixels as files: equal input gives equal bytes, for one version of Pillow."""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING, Any, cast

from PIL import Image

from pipeline.domain.errors import PictureRefused
from pipeline.domain.model import PICTURE_MAX_BYTES, PICTURE_MAX_PX, PICTURE_MIN_PX
from pipeline.ports.images.decoding import OPAQUE, Decoded, decode, in_srgb

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_SENT_AS_IS = {"PNG": "image/png", "JPEG": "image/jpeg", "WEBP": "image/webp"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A picture as it is sent; ``changes`` is empty when ``data`` are the file's own bytes."""

    data: bytes
    media_type: str
    width: int
    height: int
    changes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Encoding:
    label: str
    format: str
    media_type: str
    options: Mapping[str, Any]


_PNG = _Encoding(label="PNG", format="PNG", media_type="image/png", options={"compress_level": 6})
_JPEG = _Encoding(
    label="JPEG quality 95", format="JPEG", media_type="image/jpeg", options={"quality": 95, "subsampling": 0}
)
_WEBP_LOSSLESS = _Encoding(
    label="lossless WebP",
    format="WEBP",
    media_type="image/webp",
    options={"lossless": True, "quality": 40, "method": 1},
)
_WEBP = _Encoding(
    label="WebP quality 95 (alpha lossless)",
    format="WEBP",
    media_type="image/webp",
    options={"quality": 95, "alpha_quality": 100, "method": 2},
)


def prepared(data: bytes, name: str) -> Prepared:
    """What is to be sent of a picture file.

    Args:
        data: the whole file.
        name: how messages call it.

    Raises:
        PictureRefused: with the ``kind`` of the fault.
    """
    decoded = decode(data, name)
    image = decoded.image
    _refuse_small(image.size, name)
    _refuse_blank(image, name)
    media_type = _SENT_AS_IS.get(decoded.format)
    fits = max(image.size) <= PICTURE_MAX_PX and len(data) <= PICTURE_MAX_BYTES
    if media_type and fits and not decoded.changes:
        return Prepared(data=data, media_type=media_type, width=image.width, height=image.height)
    return _converted(decoded, size_bytes=len(data), name=name)


def encode_png(pixels: "NDArray[np.uint8]") -> bytes:
    """(H, W), (H, W, 3) or (H, W, 4) uint8 as PNG."""
    return _saved(Image.fromarray(pixels), _PNG)


def encode_jpeg(pixels: "NDArray[np.uint8]", quality: int = 90) -> bytes:
    """(H, W) or (H, W, 3) uint8 as JPEG with full colour resolution."""
    image = io.BytesIO()
    Image.fromarray(pixels).save(image, "JPEG", quality=quality, subsampling=0)
    return image.getvalue()


def encode_webp(pixels: "NDArray[np.uint8]", quality: int = 85) -> bytes:
    """(H, W, 3) or (H, W, 4) uint8 as lossy WebP; alpha is kept lossless."""
    image = io.BytesIO()
    Image.fromarray(pixels).save(image, "WEBP", quality=quality, alpha_quality=100, method=4)
    return image.getvalue()


def _refuse_small(size: tuple[int, int], name: str) -> None:
    """Also what would be too small once its longer side is within the limit."""
    width, height = size
    sent_width, sent_height = _within(size, PICTURE_MAX_PX)
    if min(sent_width, sent_height) >= PICTURE_MIN_PX:
        return
    shown = f"{width} x {height} px"
    if (width, height) != (sent_width, sent_height):
        shown += f" ({sent_width} x {sent_height} px once the longer side is {PICTURE_MAX_PX} px)"
    raise PictureRefused(
        f"{name}: has {shown}; expected at least {PICTURE_MIN_PX} px a side",
        mend="render or scan the view larger; enlarging the small picture adds nothing to the mesh",
        kind="too-small",
    )


def _refuse_blank(image: Image.Image, name: str) -> None:
    if _alpha_range(image)[1] == 0:
        found = "is wholly transparent"
    elif _alpha_range(image)[0] == OPAQUE and all(low == high for low, high in _ranges(image)):
        found = "is of one colour all over"
    else:
        return
    raise PictureRefused(
        f"{name}: {found}; expected a view of the object",
        mend="render the view again, or take it out of the set",
        kind="blank",
    )


def _ranges(image: Image.Image) -> list[tuple[int, int]]:
    """The least and the greatest value of each band."""
    return [cast("tuple[int, int]", band.getextrema()) for band in image.split()]


def _alpha_range(image: Image.Image) -> tuple[int, int]:
    return _ranges(image.getchannel("A"))[0] if "A" in image.getbands() else (OPAQUE, OPAQUE)


def _converted(decoded: Decoded, *, size_bytes: int, name: str) -> Prepared:
    changes = list(decoded.changes)
    image, profile_name = in_srgb(decoded.image, decoded.profile)
    if profile_name:
        changes.append(f"colours converted from {profile_name} to sRGB")
    if "A" in image.getbands() and _alpha_range(image)[0] == OPAQUE:
        image = image.convert(image.mode.removesuffix("A"))
    image.info = {}
    data, encoding, sent = _fitted(_scaled(image, PICTURE_MAX_PX))
    _refuse_small(sent.size, name)
    if sent.size != image.size:
        changes.append(f"{image.width} x {image.height} px scaled to {sent.width} x {sent.height} px")
    changes.append(_re_encoding(decoded.format, encoding, before_bytes=size_bytes, after_bytes=len(data)))
    return Prepared(
        data=data, media_type=encoding.media_type, width=sent.width, height=sent.height, changes=tuple(changes)
    )


def _re_encoding(source: str, encoding: _Encoding, *, before_bytes: int, after_bytes: int) -> str:
    if before_bytes > PICTURE_MAX_BYTES:
        return f"{before_bytes / 1e6:.1f} MB re-encoded as {encoding.label} ({after_bytes / 1e6:.1f} MB)"
    origin = "" if source == encoding.format else f" from {source}"
    return f"re-encoded as {encoding.label}{origin}"


def _fitted(image: Image.Image) -> tuple[bytes, _Encoding, Image.Image]:
    """The first encoding, from lossless to less, that is small enough; when none is, the picture is scaled down."""
    while True:
        for encoding in _encodings(image):
            data = _saved(image, encoding)
            if len(data) <= PICTURE_MAX_BYTES:
                return data, encoding, image
        shrink = 0.95 * sqrt(PICTURE_MAX_BYTES / len(data))
        image = _scaled(image, int(max(image.size) * shrink))


def _encodings(image: Image.Image) -> tuple[_Encoding, ...]:
    has_alpha = "A" in image.getbands()
    lossless = (_PNG, _WEBP_LOSSLESS) if has_alpha else (_PNG,)
    lossy = _WEBP if has_alpha else _JPEG
    return (*lossless, lossy) if _lossless_may_fit(image) else (lossy,)


def _lossless_may_fit(image: Image.Image) -> bool:
    """Lossless is hardly ever under one and a half times such a JPEG, and takes fifty times as long to find out."""
    if image.width * image.height * len(image.getbands()) < PICTURE_MAX_BYTES:
        return True
    return 1.5 * len(_saved(image.convert("RGB"), _JPEG)) <= PICTURE_MAX_BYTES


def _within(size: tuple[int, int], longer_px: int) -> tuple[int, int]:
    width, height = size
    factor = min(1.0, longer_px / max(size))
    return max(1, round(width * factor)), max(1, round(height * factor))


def _scaled(image: Image.Image, longer_px: int) -> Image.Image:
    size = _within(image.size, longer_px)
    return image if size == image.size else image.resize(size, Image.Resampling.LANCZOS)


def _saved(image: Image.Image, encoding: _Encoding) -> bytes:
    file = io.BytesIO()
    image.save(file, encoding.format, **encoding.options)
    return file.getvalue()
