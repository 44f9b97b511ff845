"""Real picture files of every kind, made with Pillow, or byte by byte where Pillow cannot."""

import hashlib
import io
import os
import struct
import subprocess
import sys
import tracemalloc
import zlib
from contextlib import suppress
from pathlib import Path

import anyio
import anyio.lowlevel
import numpy as np
import pytest
from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngInfo

from pipeline.domain.errors import PictureRefused
from pipeline.ports.images import PillowImages, encode_jpeg, encode_png, encode_webp, read_rgba
from pipeline.ports.images.room import Room

pytestmark = pytest.mark.anyio

RED, GREEN, BLUE, WHITE = (220, 30, 20), (20, 160, 40), (30, 40, 200), (255, 255, 255)
SIZE = (200, 160)


@pytest.fixture
def images() -> PillowImages:
    return PillowImages()


def picture(size=SIZE, mode="RGB") -> Image.Image:
    """White, with a red top left, a green top right and a blue bottom left corner: no turn of it is like another."""
    w, h = size
    image = Image.new("RGB", size, WHITE)
    image.paste(RED, (0, 0, w // 4, h // 4))
    image.paste(GREEN, (w - w // 4, 0, w, h // 4))
    image.paste(BLUE, (0, h - h // 4, w // 4, h))
    return image.convert(mode)


def cut_out(size=SIZE) -> Image.Image:
    """The same, with the white made transparent and a half-transparent middle."""
    image = picture(size, "RGBA")
    alpha = image.convert("L").point(lambda v: 0 if v == 255 else 255)
    alpha.paste(128, (size[0] // 2, size[1] // 2, size[0] // 2 + 20, size[1] // 2 + 20))
    image.putalpha(alpha)
    return image


def noise(size, mode="RGB") -> Image.Image:
    width, height = size
    channels = len(mode)
    return Image.frombytes(mode, size, np.random.default_rng(1).bytes(width * height * channels))


def saved(image: Image.Image, kind: str, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(pixels: np.ndarray, colour: int, bits: int, *extra: bytes) -> bytes:
    """(H, W, C) in the file's own depth, as PNG of any colour type."""
    height, width = pixels.shape[:2]
    rows = pixels.astype(">u2" if bits == 16 else "u1").reshape(height, -1)
    raw = b"".join(b"\0" + row.tobytes() for row in rows)
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    parts = (chunk(b"IHDR", header), *extra, chunk(b"IDAT", zlib.compress(raw)), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


async def probed(images: PillowImages, tmp_path: Path, data: bytes, name: str = "front.png"):
    """The picture, and its pixels as they would be sent."""
    path = tmp_path / name
    path.write_bytes(data)
    found = await images.probe(path)
    sent, media_type = await images.prepare(found)
    assert media_type == found.media_type
    assert (found.size_bytes, found.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    opened = Image.open(io.BytesIO(sent))
    assert opened.size == (found.width, found.height)
    assert Image.MIME[opened.format] == media_type
    assert bool(found.changes) == (sent != data)
    assert len(sent) <= 8 * 1024 * 1024
    return found, read_rgba(sent)


async def refused(images: PillowImages, tmp_path: Path, data: bytes, name: str = "left view.png") -> PictureRefused:
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(PictureRefused) as caught:
        await images.probe(path)
    assert str(path) in str(caught.value)
    assert "expected" in str(caught.value)
    assert caught.value.mend
    return caught.value


def assert_corners(rgba: np.ndarray, tolerance=12) -> None:
    """The corner colours stand where they should in an upright picture."""
    assert np.allclose(rgba[8, 8, :3], RED, atol=tolerance)
    assert np.allclose(rgba[8, -8, :3], GREEN, atol=tolerance)
    assert np.allclose(rgba[-8, 8, :3], BLUE, atol=tolerance)
    assert np.allclose(rgba[-8, -8, :3], WHITE, atol=tolerance)


@pytest.mark.parametrize(
    ("data", "media_type"),
    [
        (saved(picture(), "PNG"), "image/png"),
        (saved(cut_out(), "PNG"), "image/png"),
        (saved(picture(mode="L"), "PNG"), "image/png"),
        (saved(picture(mode="LA"), "PNG"), "image/png"),
        (saved(picture(mode="P"), "PNG"), "image/png"),
        (saved(cut_out().quantize(), "PNG"), "image/png"),
        (saved(picture(), "JPEG"), "image/jpeg"),
        (saved(picture(), "JPEG", progressive=True), "image/jpeg"),
        (saved(picture(mode="L"), "JPEG"), "image/jpeg"),
        (saved(picture(), "WEBP"), "image/webp"),
        (saved(cut_out(), "WEBP", lossless=True), "image/webp"),
        (saved(picture((128, 5000)), "PNG"), "image/png"),
    ],
)
async def test_what_the_service_takes_is_sent_byte_for_byte(images, tmp_path, data, media_type):
    found, _ = await probed(images, tmp_path, data, "any suffix.tga")
    assert (found.changes, found.media_type) == ((), media_type)


@pytest.mark.parametrize("orientation", range(2, 9))
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF"])
async def test_every_exif_orientation_comes_out_upright(images, tmp_path, kind, orientation):
    turn = Image.Transpose
    stored_as = {
        2: turn.FLIP_LEFT_RIGHT, 3: turn.ROTATE_180, 4: turn.FLIP_TOP_BOTTOM, 5: turn.TRANSPOSE,
        6: turn.ROTATE_90, 7: turn.TRANSVERSE, 8: turn.ROTATE_270,
    }  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    found, rgba = await probed(images, tmp_path, saved(picture().transpose(stored_as[orientation]), kind, exif=exif))
    assert (found.width, found.height) == SIZE
    assert_corners(rgba)
    assert f"turned as EXIF orientation {orientation} says" in found.changes
    assert_corners(read_rgba((tmp_path / "front.png").read_bytes()))


@pytest.mark.parametrize(
    ("kind", "options"),
    [("TIFF", {}), ("TIFF", {"compression": "tiff_lzw"}), ("BMP", {}), ("GIF", {}), ("AVIF", {"quality": 95}),
     ("JPEG2000", {}), ("PPM", {}), ("TGA", {}), ("QOI", {})],
)  # fmt: skip
async def test_other_formats_are_re_encoded_without_loss(images, tmp_path, kind, options):
    data = saved(picture(), kind, **options)
    found, rgba = await probed(images, tmp_path, data)
    assert found.changes == (f"re-encoded as PNG from {kind}",)
    assert_corners(rgba)
    assert np.array_equal(rgba, np.asarray(Image.open(io.BytesIO(data)).convert("RGBA")))


async def test_alpha_survives_every_conversion(images, tmp_path):
    for kind, options in (("TIFF", {}), ("TGA", {}), ("AVIF", {"quality": 100}), ("QOI", {})):
        _, rgba = await probed(images, tmp_path, saved(cut_out(), kind, **options))
        assert np.array_equal(rgba[..., 3], np.asarray(cut_out())[..., 3])


async def test_palette_transparency_and_colour_keys_are_alpha(images, tmp_path):
    palette = picture(mode="P")
    clear = palette.getpixel((SIZE[0] // 2, SIZE[1] // 2))
    keyed = {
        "palette": saved(palette, "PNG", transparency=clear),
        "colour": saved(picture(), "PNG", transparency=WHITE),
        "grey": saved(picture(mode="L"), "PNG", transparency=255),
        "gif": saved(palette, "GIF", transparency=clear),
    }
    for data in keyed.values():
        _, rgba = await probed(images, tmp_path, data)
        assert rgba[80, 100, 3] == 0
        assert rgba[8, 8, 3] == 255


async def test_an_opaque_alpha_channel_is_dropped_when_re_encoding(images, tmp_path):
    path = tmp_path / "x.tif"
    path.write_bytes(saved(picture(mode="RGBA"), "TIFF"))
    sent, _ = await images.prepare(await images.probe(path))
    assert Image.open(io.BytesIO(sent)).mode == "RGB"


async def test_cmyk_without_profile(images, tmp_path):
    data = saved(picture(mode="CMYK"), "JPEG", quality=95)
    found, rgba = await probed(images, tmp_path, data, "front.jpg")
    assert found.changes == ("CMYK converted to RGB", "re-encoded as PNG from JPEG")
    assert_corners(rgba)
    _, rgba = await probed(images, tmp_path, saved(picture(mode="CMYK"), "TIFF"))
    assert_corners(rgba, tolerance=2)


async def test_cmyk_with_a_profile_is_read_by_it(images, tmp_path):
    """The profile says that this press prints black where a naive reading sees red."""
    data = saved(picture(mode="CMYK"), "JPEG", quality=95, icc_profile=cmyk_profile())
    found, rgba = await probed(images, tmp_path, data, "front.jpg")
    assert found.changes[0] == "CMYK converted to RGB by its ICC profile"
    grey = rgba[8, 8, :3].astype(int)
    assert np.ptp(grey) < 12, "the profile knows greys alone"
    assert rgba[-8, -8, :3].min() > 245
    broken = saved(picture(mode="CMYK"), "JPEG", quality=95, icc_profile=b"no profile at all")
    assert_corners((await probed(images, tmp_path, broken))[1])


async def test_colour_profiles_are_honoured_when_re_encoding_and_left_alone_otherwise(images, tmp_path):
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    swapped = (
        srgb.replace(b"rXYZ", b"#XYZ")
        .replace(b"bXYZ", b"rXYZ")
        .replace(b"#XYZ", b"bXYZ")
        .replace(b"s\0R\0G\0B", b"s\0w\0a\0p")
    )
    wide = cut_out()
    found, rgba = await probed(images, tmp_path, saved(wide, "TIFF", icc_profile=swapped))
    assert "colours converted from swap built-in to sRGB" in found.changes
    assert rgba[8, 8, 2] > 180 > rgba[8, 8, 0], "red and blue are exchanged by the profile"
    assert np.array_equal(rgba[..., 3], np.asarray(wide)[..., 3])
    found, _ = await probed(images, tmp_path, saved(wide, "TIFF", icc_profile=srgb))
    assert found.changes == ("re-encoded as PNG from TIFF",)
    found, _ = await probed(images, tmp_path, saved(wide, "PNG", icc_profile=swapped))
    assert found.changes == ()


RAMP = np.linspace(0, 65535, SIZE[0] * SIZE[1]).reshape(SIZE[1], SIZE[0], 1).astype(np.uint16)


@pytest.mark.parametrize(("colour", "channels"), [(0, 1), (2, 3), (4, 2), (6, 4)])
async def test_16_bits_are_scaled_not_clipped(images, tmp_path, colour, channels):
    deep = np.repeat(RAMP, channels, axis=2)
    found, rgba = await probed(images, tmp_path, png(deep, colour, 16))
    assert found.changes == ("16 bits per channel reduced to 8", "re-encoded as PNG")
    assert np.abs(rgba[..., 0].astype(float) - RAMP[..., 0] / 257).max() <= 1
    if channels in {2, 4}:
        assert np.abs(rgba[..., 3].astype(float) - RAMP[..., 0] / 257).max() <= 1


async def test_16_bit_greys_of_other_formats_and_with_a_colour_key(images, tmp_path):
    tiff = saved(Image.frombytes("I;16", SIZE, RAMP.astype("<u2").tobytes()), "TIFF")
    pgm = b"P5 %d %d 65535\n" % SIZE + RAMP.astype(">u2").tobytes()
    for data in (tiff, pgm):
        found, rgba = await probed(images, tmp_path, data)
        assert found.changes[0] == "16 bits per channel reduced to 8"
        assert np.abs(rgba[..., 0].astype(float) - RAMP[..., 0] / 257).max() <= 1
    _, rgba = await probed(images, tmp_path, png(RAMP, 0, 16, chunk(b"tRNS", struct.pack(">H", int(RAMP[40, 50, 0])))))
    assert list(rgba[40, 49:52, 3]) == [255, 0, 255]


async def test_1_bit_pictures(images, tmp_path):
    bits = picture(mode="L").point(lambda v: 255 if v > 100 else 0).convert("1")
    found, rgba = await probed(images, tmp_path, saved(bits, "PNG"))
    assert found.changes == ("1 bit per pixel widened to 8", "re-encoded as PNG")
    assert (rgba[8, 8, 0], rgba[80, 100, 0]) == (0, 255)


async def test_32_bits_are_refused(images, tmp_path):
    error = await refused(images, tmp_path, saved(Image.effect_noise(SIZE, 5).convert("F"), "TIFF"))
    assert error.kind == "unsupported"


async def test_of_an_mpo_the_first_picture_is_taken(images, tmp_path):
    data = saved(picture(), "MPO", save_all=True, append_images=[Image.new("RGB", SIZE)], quality=95)
    found, rgba = await probed(images, tmp_path, data, "front.jpg")
    assert found.changes == ("first picture of several (MPO) taken", "re-encoded as PNG from MPO")
    assert_corners(rgba)


async def test_too_many_px_are_scaled_down(images, tmp_path):
    found, rgba = await probed(images, tmp_path, saved(picture((5200, 300)), "PNG"))
    assert (found.width, found.height) == (5000, 288)
    assert found.changes == ("5200 x 300 px scaled to 5000 x 288 px", "re-encoded as PNG")
    assert_corners(rgba)


async def test_too_many_bytes_become_jpeg_or_webp_without_visible_loss(images, tmp_path):
    grain = np.random.default_rng(1).normal(128, 30, (1900, 1900, 3))
    soft = Image.fromarray(grain.clip(0, 255).astype(np.uint8))
    found, rgba = await probed(images, tmp_path, saved(soft, "BMP"))
    assert (found.media_type, found.width) == ("image/jpeg", 1900)
    assert found.changes[0].startswith("10.8 MB re-encoded as JPEG quality 95 (")
    error = rgba[..., :3].astype(float) - np.asarray(soft)
    assert np.sqrt((error**2).mean()) < 6, "pure grain is the worst case"

    alpha = soft.convert("RGBA")
    alpha.putalpha(soft.getchannel("R"))
    found, rgba = await probed(images, tmp_path, saved(alpha, "TIFF"))
    assert found.media_type == "image/webp"
    assert np.array_equal(rgba[..., 3], np.asarray(alpha)[..., 3])


async def test_what_no_encoding_makes_small_enough_is_scaled(images, tmp_path):
    found, _ = await probed(images, tmp_path, saved(noise((2300, 2300)), "PNG", compress_level=0))
    assert found.media_type == "image/jpeg"
    assert 1500 < found.width < 2300
    assert any("2300 x 2300 px scaled to" in one for one in found.changes)


async def test_equal_files_give_equal_bytes(images, tmp_path):
    for name in ("a.tif", "b.tif"):
        (tmp_path / name).write_bytes(saved(cut_out(), "TIFF"))
    a, b = [await images.prepare(await images.probe(tmp_path / name)) for name in ("a.tif", "b.tif")]
    assert a == b


@pytest.mark.parametrize("kept", [0.02, 0.3, 0.6, 0.95, -12, -1])
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF", "BMP", "AVIF", "JPEG2000", "GIF"])
@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
async def test_a_file_that_is_cut_short_is_refused_wherever_it_is_cut(images, tmp_path, kind, kept):
    data = saved(noise((152, 150)), kind)
    if kind == "GIF" and kept == -1:
        pytest.skip("its last byte says nothing but that it is the last")
    cut = data[: int(len(data) * kept)] if kept > 0 else data[:kept]
    error = await refused(images, tmp_path, cut)
    assert error.kind in {"truncated", "damaged"}


async def test_a_png_with_a_flipped_bit_is_refused(images, tmp_path):
    data = bytearray(saved(noise((150, 150)), "PNG"))
    data[len(data) // 2] ^= 1
    assert (await refused(images, tmp_path, bytes(data))).kind == "damaged"


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF", "BMP", "AVIF", "GIF", "TGA", "QOI", "PPM", "JPEG2000"])
def test_rubbish_is_refused_or_read_but_never_crashes(kind):
    data = saved(cut_out((40, 30)) if kind in {"PNG", "WEBP", "TIFF", "AVIF", "TGA"} else picture((40, 30)), kind)
    random = np.random.default_rng(7)
    for _ in range(60):
        damaged = bytearray(data)
        for at in random.integers(0, min(len(data), 400), 4):
            damaged[at] = random.integers(0, 256)
        with suppress(PictureRefused):
            assert read_rgba(bytes(damaged)).dtype == np.uint8


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "GIF", "TIFF", "AVIF"])
async def test_animations_and_pages_are_refused(images, tmp_path, kind):
    data = saved(picture(), kind, save_all=True, append_images=[noise(SIZE), noise(SIZE).rotate(90)])
    error = await refused(images, tmp_path, data)
    assert error.kind == "animated"
    assert "3 " in str(error)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"", "empty"),
        (b"just some words, no picture\n" * 20, "not-a-picture"),
        (b"\0" * 3000, "not-a-picture"),
        (b"\0\0\0\x18ftypheic" + b"\0" * 200, "unsupported"),
        (b"8BPS\0\1" + b"\0" * 200, "unsupported"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 200 200\n", "unsupported"),
        (saved(picture((127, 300)), "PNG"), "too-small"),
        (saved(picture((100, 100)), "JPEG"), "too-small"),
        (saved(picture((6400, 140)), "PNG"), "too-small"),
        (saved(Image.new("RGBA", SIZE, (9, 9, 9, 0)), "PNG"), "blank"),
        (saved(Image.new("RGB", SIZE, WHITE), "JPEG"), "blank"),
        (saved(Image.new("RGBA", SIZE, WHITE), "PNG"), "blank"),
        (saved(Image.new("P", SIZE, 3), "PNG"), "blank"),
    ],
)
async def test_what_is_refused_says_its_kind(images, tmp_path, data, kind):
    assert (await refused(images, tmp_path, data)).kind == kind


async def test_a_decompression_bomb_is_refused_by_its_header(images, tmp_path):
    for side in (15_000, 60_000):
        header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
        data = b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")
        assert (await refused(images, tmp_path, data)).kind == "too-large"


@pytest.mark.parametrize("kind", [b"zTXt", b"iTXt", b"iCCP", b"many"])
async def test_a_bomb_in_what_is_no_pixel_stays_small(images, tmp_path, kind):
    """Texts and profiles that unpack to a gigabyte: refused or passed over, never unpacked."""
    bomb = zlib.compress(bytes(200_000_000), 9)
    text = {
        b"zTXt": b"Comment\0\0" + bomb,
        b"iTXt": b"Comment\0\1\0\0\0" + bomb,
        b"iCCP": b"profile\0\0" + bomb,
        b"many": b"Comment\0\0" + zlib.compress(bytes(900_000), 9),
    }[kind]
    chunks = chunk(b"zTXt" if kind == b"many" else kind, text) * (200 if kind == b"many" else 1)
    whole = saved(picture(), "PNG")
    (tmp_path / "x.png").write_bytes(whole[:33] + chunks + whole[33:])
    tracemalloc.start()
    with suppress(PictureRefused):
        await images.probe(tmp_path / "x.png")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100_000_000


@pytest.mark.parametrize("sign", ["\x1b[2J", "\u202e", "\n"])
async def test_words_in_a_picture_are_harmless_when_they_are_told(images, tmp_path, sign):
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    named = srgb.replace("sRGB built-in".encode("utf-16-be"), f"evil{sign}{'x' * 20}"[:13].encode("utf-16-be"))
    assert named != srgb
    found, _ = await probed(images, tmp_path, saved(picture(), "TIFF", icc_profile=named))
    assert all(change.isprintable() and len(change) < 200 for change in found.changes)
    assert "evil" in found.changes[0]


async def test_comments_and_tags_of_a_picture_name_nothing(images, tmp_path):
    """Text chunks, EXIF and file names inside are never read: only the folder and the file's own name count."""
    texts = PngInfo()
    for name in ("Title", "Software", "filename", "XML:com.adobe.xmp"):
        texts.add_text(name, "../../../etc/passwd\0")
    exif = picture().getexif()
    exif[0x010D] = "../../evil.glb"
    path = tmp_path / "front.png"
    path.write_bytes(saved(picture(), "PNG", pnginfo=texts, exif=exif))
    found = await images.probe(path)
    assert (found.path, found.media_type, found.changes) == (path, "image/png", ())
    assert "evil" not in repr(found)
    assert "passwd" not in repr(found)


@pytest.mark.parametrize("keyword", ["transparency", "icc_profile", "interlace"])
@pytest.mark.parametrize("is_at_the_end", [False, True])
async def test_a_text_that_the_decoder_takes_for_more_is_refused(images, tmp_path, keyword, is_at_the_end):
    data = saved(picture(), "PNG")
    at = len(data) - 12 if is_at_the_end else 33
    data = data[:at] + chunk(b"tEXt", keyword.encode() + b"\0yes") + data[at:]
    error = await refused(images, tmp_path, data)
    assert error.kind == "unsupported"
    assert keyword in str(error)


async def test_a_palette_picture_without_its_palette_is_refused(images, tmp_path):
    data = png(np.zeros((*SIZE, 1)), colour=3, bits=8)
    assert (await refused(images, tmp_path, data)).kind == "damaged"


async def test_pictures_of_any_size_are_probed_together(tmp_path, monkeypatch):
    """Small ones several at a time, each larger one by itself: the outcome is that of one alone."""
    monkeypatch.setattr("pipeline.ports.images.SMALL_PIXELS", SIZE[0] * SIZE[1])
    images = PillowImages()
    sizes = [SIZE, (300, 300), (20, 20), (SIZE[0] + 1, SIZE[1])] * 40
    for n, size in enumerate(sizes):
        (tmp_path / f"{n}.png").write_bytes(saved(picture(size), "JPEG" if n % 3 else "PNG"))
    paths = [tmp_path / f"{n}.png" for n in range(len(sizes))]
    found = await images.probe_all(paths)
    assert [one.kind if isinstance(one, PictureRefused) else (one.width, one.height) for one in found] == [
        "too-small" if size == (20, 20) else size for size in sizes
    ]
    assert [one.path for one in found if not isinstance(one, PictureRefused)] == [
        path for path, size in zip(paths, sizes, strict=True) if size != (20, 20)
    ]


async def test_many_workers_share_the_room_for_pixels(tmp_path):
    images = PillowImages(pixels_at_once=SIZE[0] * SIZE[1])
    for n in range(8):
        (tmp_path / f"{n}.png").write_bytes(saved(picture(), "PNG"))
    found = []

    async def probe(n):
        found.append(await images.probe(tmp_path / f"{n}.png"))

    async with anyio.create_task_group() as tasks:
        for n in range(8):
            tasks.start_soon(probe, n)
    assert len(found) == 8


async def test_the_room_for_pixels_is_never_exceeded_but_by_one_alone():
    room, inside, most = Room(100), [], []

    async def take(pixels):
        async with room.of(pixels):
            inside.append(pixels)
            most.append(sum(inside) if len(inside) > 1 else 0)
            await anyio.lowlevel.checkpoint()
            inside.remove(pixels)

    async with anyio.create_task_group() as tasks:
        for pixels in [60, 50, 40, 500, 10, 100, 0, 30] * 3:
            tasks.start_soon(take, pixels)
    assert max(most) <= 100
    assert len(most) == 24


async def test_who_gives_up_waiting_takes_no_room():
    room = Room(100)
    async with room.of(100):
        with anyio.move_on_after(0.01):
            async with room.of(1):
                pytest.fail("there was no room")
    async with room.of(100):
        pass


async def test_a_huge_file_is_refused_unread(images, tmp_path):
    with (tmp_path / "x.png").open("wb") as file:
        file.truncate(300 * 2**20)
    with pytest.raises(PictureRefused, match="300 MiB") as caught:
        await images.probe(tmp_path / "x.png")
    assert caught.value.kind == "too-large"


async def test_what_is_no_readable_file(images, tmp_path):
    (tmp_path / "x.png").mkdir()
    for name, kind in (("x.png", "folder"), ("nothing.png", "missing")):
        with pytest.raises(PictureRefused) as caught:
            await images.probe(tmp_path / name)
        assert caught.value.kind == kind
    if sys.platform != "win32":
        os.mkfifo(tmp_path / "pipe.png")
        with pytest.raises(PictureRefused, match="pipe"):
            await images.probe(tmp_path / "pipe.png")


async def test_names_may_hold_anything(images, tmp_path):
    folder = tmp_path / "ünïcødé 视图"
    folder.mkdir()
    found, _ = await probed(images, folder, saved(picture(), "PNG"), "front  (1) 前.png")
    assert found.path.name == "front  (1) 前.png"


async def test_symlinks_are_followed(images, tmp_path):
    (tmp_path / "real.png").write_bytes(saved(picture(), "PNG"))
    try:
        (tmp_path / "front.png").symlink_to("real.png")
    except OSError:
        pytest.skip("no right to make symlinks")
    assert (await images.probe(tmp_path / "front.png")).width == SIZE[0]


async def test_a_picture_that_changes_after_the_probe_is_not_sent(images, tmp_path):
    path = tmp_path / "front.png"
    path.write_bytes(saved(picture(), "PNG"))
    found = await images.probe(path)
    path.write_bytes(saved(picture().rotate(180), "PNG"))
    with pytest.raises(PictureRefused) as caught:
        await images.prepare(found)
    assert caught.value.kind == "changed"
    path.unlink()
    with pytest.raises(PictureRefused) as caught:
        await images.prepare(found)
    assert caught.value.kind == "missing"


def test_pixels_as_files_and_back():
    rgba = np.asarray(cut_out())
    assert np.array_equal(read_rgba(encode_png(rgba)), rgba)
    assert np.array_equal(read_rgba(encode_png(rgba[..., 0]))[..., 1], rgba[..., 0])
    assert np.array_equal(read_rgba(encode_webp(rgba, 80))[..., 3], rgba[..., 3])
    assert_corners(read_rgba(encode_jpeg(np.asarray(picture()), 92)))
    assert encode_webp(rgba, 80) == encode_webp(rgba, 80)
    assert len(encode_jpeg(np.asarray(noise(SIZE)), 30)) < len(encode_jpeg(np.asarray(noise(SIZE)), 90))


def test_importing_the_port_loads_neither_pillow_nor_numpy():
    source = "import sys, pipeline.ports.images; print([m for m in ('PIL', 'numpy') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", source], check=True, capture_output=True, text=True, cwd=Path.cwd())
    assert done.stdout.strip() == "[]"


def cmyk_profile() -> bytes:
    """A CMYK input profile (ICC.1:2001-04, 6.3 and 6.5.7 lut8Type) of two grid points: all inks are black, white is paper."""
    grid = bytearray()
    for inks in range(16):
        lightness = 255 if inks == 0 else max(0, 160 - 40 * inks.bit_count())
        grid += bytes((lightness, 128, 128))  # Lab, 8 bits
    ramp = bytes(range(256))
    identity = b"".join(struct.pack(">i", 65536 if i % 4 == 0 else 0) for i in range(9))
    lut = b"mft1\0\0\0\0" + bytes((4, 3, 2, 0)) + identity + ramp * 4 + bytes(grid) + ramp * 3
    text = b"press"
    desc = b"desc\0\0\0\0" + struct.pack(">I", len(text) + 1) + text + b"\0" + b"\0" * 78
    white = b"XYZ \0\0\0\0" + struct.pack(">iii", 63190, 65536, 54061)
    tags = [(b"desc", desc), (b"wtpt", white), (b"A2B0", lut)]
    at = 128 + 4 + 12 * len(tags)
    table, bodies = struct.pack(">I", len(tags)), b""
    for name, body in tags:
        padded = body + b"\0" * (-len(body) % 4)
        table += name + struct.pack(">II", at, len(body))
        at += len(padded)
        bodies += padded
    header = struct.pack(">I4sI4s4s4s", at, b"lcms", 0x02100000, b"prtr", b"CMYK", b"Lab ") + struct.pack(
        ">6H", 2024, 1, 1, 0, 0, 0
    )
    header += b"acsp" + b"\0" * 28 + struct.pack(">iii", 63190, 65536, 54061)
    return header.ljust(128, b"\0") + table + bodies


def test_a_picture_that_is_too_large_is_made_smaller_without_its_hidden_colours():
    rgba = np.zeros((40, 60, 4), np.uint8)
    rgba[:, :, 0] = 255  # red where nobody sees it
    rgba[:, 33:, :] = (0, 200, 0, 255)
    small = read_rgba(encode_png(rgba), longest_px=30)
    assert small.shape == (20, 30, 4)
    assert read_rgba(encode_png(rgba), longest_px=60).shape == rgba.shape
    assert np.abs(small[0, 16].astype(int) - (0, 200, 0, 128)).max() <= 1
    assert set(small[0, :, 3].tolist()) == {0, 128, 255}
