"""What a picture's header tells, without decoding it: for a service that receives pictures by the thousand."""

import io
from dataclasses import dataclass

from PIL import Image

from pipeline.ports.images.decoding import READABLE
from pipeline.ports.images.files import unidentified


def pixel_count(data: bytes) -> int:
    """How many pixels a picture file says that it has; 0 for what is no picture, and takes no room to be refused."""
    try:
        with Image.open(io.BytesIO(data), formats=READABLE) as image:
            return image.width * image.height
    except Exception:  # noqa: BLE001 - as below; the decoder says what is wrong
        return 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    media_type: str
    width: int
    """As stored: EXIF may turn the picture."""
    height: int


def read_header(data: bytes, name: str) -> Header:
    """The kind and size of a picture file; ``name`` is what messages call it.

    Raises:
        PictureRefused: not a picture. (Whether it is whole shows when it is decoded.)
    """
    try:
        with Image.open(io.BytesIO(data), formats=READABLE) as image:
            kind = "JPEG" if image.format == "MPO" else image.format or ""  # MPO: a JPEG with more behind it
            return Header(
                media_type=Image.MIME.get(kind, f"image/{kind.lower()}"), width=image.width, height=image.height
            )
    except Exception as error:  # decoders fed with rubbish raise whatever they stumble over
        raise unidentified(data, name) from error
