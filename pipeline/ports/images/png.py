"""PNG files seen to be whole without a decoder: most pictures are plain ones, and there may be 400,000 of them.

Yes is said only where the decoder would find nothing either; whatever is rare or odd is left to it. Source of all that
is compared here: PNG specification (W3C), 5 datastream structure, 9 filtering, 11 chunks.
"""

import struct
import zlib
from collections.abc import Iterator

from pipeline.domain.model import PICTURE_MAX_BYTES, PICTURE_MAX_PX, PICTURE_MIN_PX
from pipeline.ports.images.files import PNG_SIGNATURE

_BEGINNING = PNG_SIGNATURE + b"\0\0\0\x0dIHDR"
_HEADER = struct.Struct(">IIBBBBB")
"""Width, height, bit depth, colour type, methods of compression, filter and interlace."""

_PLAIN = (8, 0, 0, 0)
"""Bits a channel, compression, filter, interlace."""

_CHANNELS = {0: 1, 2: 3, 4: 2, 6: 4}
"""By colour type; a palette is left to the decoder."""

_ALPHA = frozenset({2, 4})
"""Numbers of channels whose last one is alpha."""

_CHUNK = struct.Struct(">I4s")
_CRC = struct.Struct(">I")
_CHUNK_OVERHEAD_BYTES = 12

_HARMLESS = frozenset(
    {(b"gAMA", 4), (b"cHRM", 32), (b"sRGB", 1), (b"pHYs", 9), (b"tIME", 7), (b"bKGD", 2), (b"bKGD", 6)}
    | {(b"sBIT", size) for size in _CHANNELS.values()}
)
"""Chunks, with the size that they must have, which change nothing about what is sent. (eXIf turns a picture, iCCP and
tRNS colour it, acTL moves it: none of those is here.)
"""

_HARMLESS_TEXTS = frozenset(
    {b"Title", b"Author", b"Description", b"Copyright", b"Creation Time", b"Software", b"Source", b"Comment"}
    | {b"Camera", b"Date", b"File", b"Frame", b"RenderTime", b"Scene", b"Time"}
    | {b"date:create", b"date:modify", b"date:timestamp"}
)
"""Keywords of the specification, of Blender, of ImageMagick. Others may hold EXIF or XMP in the guise of text."""


def png_pixel_count(data: bytes) -> int | None:
    """By the header; None for what begins unlike a PNG."""
    if not data.startswith(_BEGINNING) or len(data) < len(_BEGINNING) + _HEADER.size:
        return None
    width, height, *_ = _HEADER.unpack_from(data, len(_BEGINNING))
    return int(width * height)


def size_of_plain_png(data: bytes) -> tuple[int, int] | None:
    """Width and height of a PNG that is whole, not blank and sent byte for byte; None: the decoder has to judge.

    Takes as much memory as its pixels, at most ``PICTURE_MAX_PX`` a side.
    """
    if not data.startswith(_BEGINNING) or not len(_BEGINNING) + _HEADER.size < len(data) <= PICTURE_MAX_BYTES:
        return None
    width, height, depth, colour, *methods = _HEADER.unpack_from(data, len(_BEGINNING))
    channels = _CHANNELS.get(colour, 0)
    is_fit = min(width, height) >= PICTURE_MIN_PX and max(width, height) <= PICTURE_MAX_PX
    if not channels or (depth, *methods) != _PLAIN or not is_fit:
        return None
    line_bytes = 1 + width * channels
    lines = _inflated(_compressed(data), line_bytes * height)
    if not lines or lines[::line_bytes].translate(None, b"\0\1\2\3\4"):  # filter types; there are no others
        return None
    return (width, height) if _shows_something(lines, line_bytes, channels) else None


def _compressed(data: bytes) -> list[memoryview]:
    """The bodies of the IDAT chunks; none if any checksum is wrong, or any chunk not one of the plainest."""
    view = memoryview(data)
    at = len(PNG_SIGNATURE)
    bodies: list[memoryview] = []
    while at + _CHUNK_OVERHEAD_BYTES <= len(data):
        size, chunk = _CHUNK.unpack_from(data, at)
        end = at + _CHUNK_OVERHEAD_BYTES + size
        if end > len(data) or zlib.crc32(view[at + 4 : end - 4]) != _CRC.unpack_from(data, end - 4)[0]:
            return []
        if chunk == b"IDAT" and size:
            bodies.append(view[at + 8 : end - 4])
        elif chunk == b"IEND":
            return bodies if size == 0 and end == len(data) else []
        elif at > len(PNG_SIGNATURE) and (bodies or not _is_harmless(chunk, view[at + 8 : end - 4])):
            return []
        at = end
    return []


def _is_harmless(chunk: bytes, body: memoryview) -> bool:
    if chunk == b"tEXt":
        return bytes(body).partition(b"\0")[0] in _HARMLESS_TEXTS
    return (chunk, len(body)) in _HARMLESS


def _inflated(bodies: list[memoryview], size_bytes: int) -> bytes:
    """The filtered lines; empty if they are not exactly so many bytes, their checksum included."""
    inflating = zlib.decompressobj()
    try:
        lines = inflating.decompress(bodies[0] if len(bodies) == 1 else b"".join(bodies), size_bytes + 1)
    except zlib.error:
        return b""
    return lines if inflating.eof and not inflating.unused_data and len(lines) == size_bytes else b""


def _shows_something(lines: bytes, line_bytes: int, channels: int) -> bool:
    """Whether it is certain that some pixel is not transparent, and that not all are alike.

    Seen without undoing the filters: in a channel of one value all over, every filter leaves zeros beyond the first
    line and the first pixel; in one of zeros everywhere.
    """
    if not any(_varies(line, channels) for line in _from_the_middle(lines, line_bytes, first=1)):
        return False
    return channels not in _ALPHA or any(
        line[channels::channels].strip(b"\0") for line in _from_the_middle(lines, line_bytes, first=0)
    )


def _from_the_middle(lines: bytes, line_bytes: int, *, first: int) -> Iterator[bytes]:
    """The middle line, where most pictures show what they show, then all from the first on."""
    middle = len(lines) // line_bytes // 2 * line_bytes
    yield lines[middle : middle + line_bytes]
    for at in range(first * line_bytes, len(lines), line_bytes):
        yield lines[at : at + line_bytes]


def _varies(line: bytes, channels: int) -> bool:
    """Whether some channel of this line (never the first) holds two values, or another than the line above."""
    if line[0] == 0:  # unfiltered
        return line[1 + channels :] != line[1:-channels]
    return bool(line[1 + channels :].strip(b"\0"))
