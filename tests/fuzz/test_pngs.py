"""PNG files of every make and damage: what is taken for plain without a decoder is what the decoder takes for plain."""

import io
import struct
import zlib
from dataclasses import dataclass, field
from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import event, example, given
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from pipeline.domain.errors import PictureRefused
from pipeline.ports.images.encoding import prepared
from pipeline.ports.images.png import png_pixel_count, size_of_plain_png

SIGNATURE = b"\x89PNG\r\n\x1a\n"
CHANNELS = {0: 1, 2: 3, 4: 2, 6: 4}
SMALLEST = 128

ANCILLARY = [
    (b"gAMA", struct.pack(">I", 45455)),
    (b"gAMA", b""),
    (b"cHRM", bytes(32)),
    (b"cHRM", bytes(31)),
    (b"sRGB", b"\0"),
    (b"pHYs", struct.pack(">IIB", 2835, 2835, 1)),
    (b"pHYs", b"\0"),
    (b"tIME", bytes(7)),
    (b"bKGD", bytes(6)),
    (b"sBIT", b"\x08\x08\x08"),
    (b"tEXt", b"Software\0a program"),
    (b"tEXt", b"Comment"),
    (b"tEXt", b"transparency\0yes"),
    (b"tEXt", b"icc_profile\0none"),
    (b"tEXt", b"Raw profile type exif\0\n\nexif\n4\n4d4d002a"),
    (b"tEXt", b'XML:com.adobe.xmp\0<x tiff:Orientation="6">'),
    (b"iTXt", b'XML:com.adobe.xmp\0\0\0\0\0<x tiff:Orientation="6">'),
    (b"zTXt", b"Comment\0\0" + zlib.compress(b"more")),
    (b"zTXt", b"Comment\0\0rubbish"),
    (b"eXIf", b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"),
    (b"iCCP", b"sRGB\0\0" + zlib.compress(b"no profile")),
    (b"iCCP", b"sRGB\0\x01rubbish"),
    (b"tRNS", bytes(2)),
    (b"tRNS", bytes(6)),
    (b"PLTE", bytes(range(9))),
    (b"acTL", struct.pack(">II", 2, 0)),
    (b"acTL", struct.pack(">II", 1, 0)),
    (b"fcTL", bytes(26)),
    (b"vpAg", b"whatever"),
    (b"IHDR", struct.pack(">IIBBBBB", SMALLEST, SMALLEST, 8, 2, 0, 0, 0)),
    (b"IDAT", b""),
    (b"QQQQ", b"critical, and unknown"),
]
"""Chunks that programs write or forge, whole and broken."""


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def filtered(pixels: np.ndarray, types: np.ndarray) -> bytearray:
    """The lines of (H, W, C) uint8, each by its own filter type; one beyond 4 filters as none."""
    wide = pixels.astype(int)
    left, above = np.zeros_like(wide), np.zeros_like(wide)
    left[:, 1:], above[1:] = wide[:, :-1], wide[:-1]
    corner = np.zeros_like(wide)
    corner[1:, 1:] = wide[:-1, :-1]
    guess = left + above - corner
    near = np.stack([abs(guess - one) for one in (left, above, corner)]).argmin(axis=0)
    paeth = np.choose(near, [left, above, corner])
    predicted = [np.zeros_like(wide), left, above, (left + above) // 2, paeth]
    lines = bytearray()
    for y, kind in enumerate(types):
        lines += bytes([kind]) + ((wide[y] - predicted[kind if kind <= 4 else 0][y]) % 256).astype(np.uint8).tobytes()
    return lines


@dataclass(frozen=True, kw_only=True)
class Made:
    """How a PNG is put together."""

    pixels: np.ndarray
    colour: int
    types: np.ndarray
    header: dict[str, int] = field(default_factory=dict)
    before: tuple[tuple[bytes, bytes], ...] = ()
    between: tuple[tuple[bytes, bytes], ...] = ()
    after: tuple[tuple[bytes, bytes], ...] = ()
    parts: int = 1
    more_lines: bytes = b""
    more_stream: bytes = b""
    more_file: bytes = b""
    dots: tuple[tuple[float, int], ...] = ()
    """Bytes of the filtered lines that are put in the place of what was there."""

    def file(self) -> bytes:
        height, width = self.pixels.shape[:2]
        said = {"w": width, "h": height, "bits": 8, "colour": self.colour, "z": 0, "f": 0, "i": 0} | self.header
        lines = filtered(self.pixels, self.types)
        for at, value in self.dots:
            lines[int(at * (len(lines) - 1))] = value
        stream = zlib.compress(bytes(lines) + self.more_lines, 1) + self.more_stream
        cuts = [len(stream) * n // self.parts for n in range(self.parts + 1)]
        bodies = [(b"IDAT", stream[begin:end]) for begin, end in pairwise(cuts)]
        bodies[1:1] = self.between
        chunks = [
            (b"IHDR", struct.pack(">IIBBBBB", *said.values())),
            *self.before,
            *bodies,
            *self.after,
            (b"IEND", b""),
        ]
        return SIGNATURE + b"".join(chunk(*one) for one in chunks) + self.more_file


def drawn(colour: int, what: str, value: int, at: int) -> np.ndarray:
    """Pictures at the edge of being blank."""
    channels = CHANNELS[colour]
    pixels = np.full((SMALLEST, SMALLEST + 2, channels), value, np.uint8)
    has_alpha = channels in {2, 4}
    if has_alpha:
        pixels[..., -1] = 255
    spot = np.unravel_index(at % (SMALLEST * (SMALLEST + 2)), pixels.shape[:2])
    match what:
        case "clear":
            pixels[..., -1] = 0
        case "dot":
            pixels[spot] ^= 1
        case "colour dot":
            pixels[(*spot, 0)] ^= 1
        case "clear dot":
            pixels[..., -1] = 0
            pixels[(*spot, 0)] ^= 1
        case "alpha dot":
            pixels[(*spot, -1)] ^= 1
        case "half clear":
            pixels[..., -1] = 128
        case "noise":
            pixels = np.random.default_rng(at).integers(0, 256, pixels.shape, np.uint8)
        case "ramp":
            pixels[..., 0] = np.arange(SMALLEST)[:, None]
    return pixels


CONTENTS = ["even", "clear", "dot", "colour dot", "clear dot", "alpha dot", "half clear", "noise", "ramp"]

ODD_HEADERS = [
    {"bits": 16}, {"bits": 4}, {"colour": 3}, {"colour": 1}, {"i": 1}, {"z": 1}, {"f": 1},
    {"w": 127}, {"h": 129}, {"w": 0}, {"h": 2**31}, {"h": 64, "w": 2 * (SMALLEST + 2)},
]  # fmt: skip


@st.composite
def pngs(draw: st.DrawFn) -> bytes:
    colour = draw(st.sampled_from([0, 2, 4, 6]))
    pixels = drawn(colour, draw(st.sampled_from(CONTENTS)), draw(st.integers(0, 255)), draw(st.integers(0, 2**20)))
    kinds = draw(st.lists(st.integers(0, 4), min_size=1, max_size=7))
    said = st.sampled_from([{}, {}, {}, *ODD_HEADERS])
    some = st.lists(st.sampled_from(ANCILLARY), max_size=2).map(tuple)
    odd = draw(st.booleans())
    made = Made(
        pixels=pixels,
        colour=colour,
        types=np.resize(np.array(kinds), SMALLEST),
        header=draw(said) if odd else {},
        before=draw(some),
        between=draw(some) if odd else (),
        after=draw(some) if odd else (),
        parts=draw(st.integers(1, 4)),
        more_lines=draw(st.sampled_from([b"", b"", b"\0", bytes(700)])) if odd else b"",
        more_stream=draw(st.sampled_from([b"", b"", b"\0", b"rest"])) if odd else b"",
        more_file=draw(st.sampled_from([b"", b"", b"\0", b"rest", chunk(b"tEXt", b"a\0b")])) if odd else b"",
        dots=tuple(draw(st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=3))) if odd else (),
    )
    return made.file()


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """Cut off, or with bits flipped; half of the time with the checksums of the chunks mended."""
    data = bytearray(draw(pngs()))
    for _ in range(draw(st.integers(1, 2))):
        at = int(draw(st.floats(0, 1, exclude_max=True)) * len(data))
        if draw(st.booleans()):
            data[at] ^= 1 << draw(st.integers(0, 7))
        else:
            del data[at : at + draw(st.sampled_from([1, 2, 1 << 20]))]
        if not data:
            return b""
    return mended(bytes(data)) if draw(st.booleans()) else bytes(data)


def mended(data: bytes) -> bytes:
    found = bytearray(data)
    at = len(SIGNATURE)
    while at + 12 <= len(data):
        end = at + 12 + struct.unpack_from(">I", data, at)[0]
        if end > len(data):
            break
        struct.pack_into(">I", found, end - 4, zlib.crc32(data[at + 4 : end - 4]))
        at = end
    return bytes(found)


def same_verdict(data: bytes) -> str:
    """What is plain to the quick look is so to the decoder; what was found."""
    size = size_of_plain_png(data)
    try:
        whole = prepared(data, "x.png")
    except PictureRefused as refusal:
        assert size is None
        return refusal.kind
    if size is None:
        return "left to the decoder"
    assert (size, "image/png", ()) == ((whole.width, whole.height), whole.media_type, whole.changes)
    assert whole.data == data
    return "plain"


@given(pngs())
def test_a_quick_look_at_a_whole_png_says_nothing_that_the_decoder_does_not(data: bytes) -> None:
    event(same_verdict(data))


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@given(damaged())
@example(b"")
@example(SIGNATURE)
def test_nor_does_one_at_a_damaged_png(data: bytes) -> None:
    event(same_verdict(data))
    png_pixel_count(data)


@pytest.mark.parametrize("colour", CHANNELS)
@pytest.mark.parametrize("what", CONTENTS)
def test_a_blank_picture_is_seen_through_every_filter(colour: int, what: str) -> None:
    if colour in {0, 2} and what in {"clear", "clear dot", "half clear"}:
        pytest.skip("has no alpha")
    found = set()
    for value, kind, at in product((0, 127, 255), (0, 1, 2, 3, 4, None), (0, 131, 16639)):
        types = np.full(SMALLEST, kind) if kind is not None else np.arange(SMALLEST) % 5
        made = Made(pixels=drawn(colour, what, value, at), colour=colour, types=types)
        found.add(same_verdict(made.file()))
    assert ("plain" in found) == (what not in {"even", "clear", "clear dot", "half clear"})


def test_every_single_bit_of_a_small_header_and_every_cut_matters() -> None:
    made = Made(
        pixels=drawn(2, "ramp", 9, 0),
        colour=2,
        types=np.arange(SMALLEST) % 5,
        before=((b"gAMA", struct.pack(">I", 45455)), (b"tEXt", b"Software\0x")),
        parts=2,
    )
    data = made.file()
    assert same_verdict(data) == "plain"
    for at, bit in product((*range(120), *range(len(data) - 40, len(data))), range(8)):
        flipped = bytearray(data)
        flipped[at] ^= 1 << bit
        assert same_verdict(bytes(flipped)) != "plain"
        same_verdict(mended(bytes(flipped)))
    for end in range(0, len(data), 11):
        assert same_verdict(data[:end]) in {"truncated", "damaged", "not-a-picture"}


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
@pytest.mark.parametrize("is_cut_out", [False, True])
def test_the_pictures_that_programs_write_need_no_decoder(mode: str, *, is_cut_out: bool) -> None:
    image = Image.new("RGBA", (200, 160), (0, 0, 0, 0) if is_cut_out else (255, 255, 255, 255))
    image.paste((200, 30, 20, 255), (60, 40, 140, 120))
    told = PngImagePlugin.PngInfo()
    told.add_text("Software", "a renderer")
    told.add(b"sRGB", b"\0")
    for options in ({}, {"optimize": True}, {"compress_level": 0}, {"pnginfo": told}, {"dpi": (300, 300)}):
        file = io.BytesIO()
        image.convert(mode).save(file, "PNG", **options)
        assert size_of_plain_png(file.getvalue()) == (200, 160)
        assert same_verdict(file.getvalue()) == "plain"


def test_a_picture_that_inflates_without_end_is_left_before_it_does() -> None:
    made = Made(pixels=drawn(2, "ramp", 9, 0), colour=2, types=np.zeros(SMALLEST, int), more_lines=bytes(1 << 26))
    assert size_of_plain_png(made.file()) is None
