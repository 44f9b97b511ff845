"""Picture files as bytes: read within bounds, told apart by content, checked for what decoders let pass."""

import stat
import struct
import zlib
from pathlib import Path

from pipeline.domain.errors import PictureRefused

PICTURE_FILE_MAX_BYTES = 256 * 1024 * 1024
"""Nothing larger is read into memory."""

TAKEN = "PNG, JPEG, WebP, TIFF, BMP, AVIF"
"""The formats that messages recommend; some more are read."""

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CHUNK_OVERHEAD_BYTES = 12

_READ_SIGNATURES = (
    (0, PNG_SIGNATURE, "PNG"),
    (0, b"\xff\xd8\xff", "JPEG"),
    (8, b"WEBP", "WebP"),
    (0, b"II*\0", "TIFF"),
    (0, b"MM\0*", "TIFF"),
    (0, b"BM", "BMP"),
    (0, b"GIF8", "GIF"),
    (4, b"ftypavi", "AVIF"),
    (4, b"jP  ", "JPEG 2000"),
    (0, b"qoif", "QOI"),
)
_FOREIGN_SIGNATURES = (
    (4, b"ftyphei", "HEIC picture"),
    (4, b"ftyphev", "HEIC picture"),
    (4, b"ftypmif1", "HEIF picture"),
    (0, b"8BPS", "Photoshop document"),
    (0, b"\x76\x2f\x31\x01", "OpenEXR picture"),
    (0, b"#?RADIANCE", "Radiance HDR picture"),
    (0, b"DDS ", "DDS texture"),
    (0, b"\0\0\1\0", "Windows icon"),
    (0, b"%PDF", "PDF document"),
    (0, b"%!PS", "PostScript document"),
    (0, b"<svg", "SVG drawing"),
    (0, b"glTF", "GLB mesh"),
)


def read_picture_file(path: Path) -> bytes:
    """All bytes of a regular file.

    Raises:
        PictureRefused: missing, a folder, not readable, empty, or above ``PICTURE_FILE_MAX_BYTES``.
    """
    try:
        facts = path.stat()
        _refuse_unlikely(path, facts.st_mode, facts.st_size)
        with path.open("rb") as file:
            data = file.read(facts.st_size)  # not the bound: so much memory would be asked for at once
    except FileNotFoundError as error:
        raise PictureRefused(
            f"{path}: there is no such file (or it is a link to nothing); expected a picture",
            mend="put the picture there, or take the view out of the manifest's mapping",
            kind="missing",
        ) from error
    except OSError as error:
        raise PictureRefused(
            f"{path}: cannot be read ({error.strerror or error}); expected a readable picture",
            mend="give yourself the right to read it; copy it again if the disk is at fault",
            kind="unreadable",
        ) from error
    _refuse_unlikely(path, facts.st_mode, len(data))
    return data


def _refuse_unlikely(path: Path, mode: int, size_bytes: int) -> None:
    if stat.S_ISDIR(mode):
        raise PictureRefused(
            f"{path}: is a folder; expected a picture", mend="put a picture of this name in its place", kind="folder"
        )
    if not stat.S_ISREG(mode):
        raise PictureRefused(
            f"{path}: is a device or pipe; expected a picture", mend="put a regular file there", kind="unreadable"
        )
    if size_bytes == 0:
        raise PictureRefused(
            f"{path}: is empty (0 bytes); expected a picture", mend="copy or export it again", kind="empty"
        )
    if size_bytes > PICTURE_FILE_MAX_BYTES:
        raise PictureRefused(
            f"{path}: is {size_bytes / 2**20:,.0f} MiB large; expected at most {PICTURE_FILE_MAX_BYTES // 2**20} MiB",
            mend="export it smaller; more than 5000 px a side are of no use",
            kind="too-large",
        )


def unidentified(data: bytes, name: str) -> PictureRefused:
    """The refusal of bytes that no decoder took for its own."""
    if read := _signature(data, _READ_SIGNATURES):
        return PictureRefused(
            f"{name}: begins like a {read} file but cannot be read as one ({len(data):,} bytes); "
            "expected a whole picture",
            mend="copy or export it again",
            kind="truncated",
        )
    if foreign := _signature(data, _FOREIGN_SIGNATURES):
        return PictureRefused(
            f"{name}: is a {foreign}, which cannot be read here; expected {TAKEN}",
            mend="export it as PNG (or JPEG)",
            kind="unsupported",
        )
    return PictureRefused(
        f"{name}: is not a picture that is known here (it begins with {data[:12]!r}); expected {TAKEN}",
        mend="put a picture in its place, or take the file out of the set",
        kind="not-a-picture",
    )


def _signature(data: bytes, known: tuple[tuple[int, bytes, str], ...]) -> str | None:
    return next((what for at, mark, what in known if data.startswith(mark, at)), None)


def refuse_broken_png(data: bytes, name: str) -> None:
    """Walk a PNG's chunks: decoders let pass a file without its end, and damaged pixels.

    Bytes that are no PNG pass. Source: PNG specification (W3C), 5.3 chunk layout.

    Raises:
        PictureRefused: ``truncated`` or ``damaged``.
    """
    if not data.startswith(PNG_SIGNATURE):
        return
    at = len(PNG_SIGNATURE)
    while at + _CHUNK_OVERHEAD_BYTES <= len(data):
        size, chunk = struct.unpack_from(">I4s", data, at)
        end = at + _CHUNK_OVERHEAD_BYTES + size
        if end > len(data):
            break
        if _is_critical(chunk) and zlib.crc32(memoryview(data)[at + 4 : end - 4]) != _crc_before(data, end):
            raise PictureRefused(
                f"{name}: the PNG is damaged (wrong checksum at byte {at:,}); expected a whole picture",
                mend="copy or export it again",
                kind="damaged",
            )
        if chunk == b"IEND":
            return
        at = end
    raise PictureRefused(
        f"{name}: the PNG is cut short after {len(data):,} bytes (its end marker is missing); expected a whole picture",
        mend="copy or export it again",
        kind="truncated",
    )


def _is_critical(chunk: bytes) -> bool:
    return chunk[:1].isupper()


def _crc_before(data: bytes, end: int) -> int:
    (crc,) = struct.unpack_from(">I", data, end - 4)
    return int(crc)
