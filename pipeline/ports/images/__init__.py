"""View images: read and judged, converted where a service would not take them as they are.

``files`` knows bytes and formats; ``headers``, ``decoding`` and ``encoding`` are the only importers of Pillow. Pillow
is loaded with the first picture, not with this module: the command line must answer before that.
"""

import hashlib
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
from anyio import to_thread

from pipeline.domain.errors import PictureRefused
from pipeline.domain.items import Picture
from pipeline.ports.hops import Hops
from pipeline.ports.images.files import read_picture_file
from pipeline.ports.images.png import png_pixel_count, size_of_plain_png
from pipeline.ports.images.room import Room

if TYPE_CHECKING:
    from pipeline.ports.images.decoding import read_rgba
    from pipeline.ports.images.encoding import encode_jpeg, encode_png, encode_webp

__all__ = ["PillowImages", "encode_jpeg", "encode_png", "encode_webp", "read_rgba"]

PIXELS_AT_ONCE = 200_000_000

SMALL_PIXELS = 1 << 20
"""Pictures of at most so many pixels are probed several in one way to a thread and back, which costs as much as one."""

SMALL_AT_A_TIME = 64


class PillowImages:
    """The port ``Images``. Threads do the work, a few files at a time, and no more pixels at a time than the largest
    picture may have: while it is decoded, a pixel takes up to 18 bytes.
    """

    def __init__(self, *, pixels_at_once: int = PIXELS_AT_ONCE) -> None:
        self._files = anyio.CapacityLimiter(min(4, os.cpu_count() or 1))
        self._hops = Hops(min(4, os.cpu_count() or 1))
        self._pixels = Room(pixels_at_once)
        self._small_pixels = min(SMALL_PIXELS, pixels_at_once)

    async def probe(self, path: Path) -> Picture:
        """Read and decode one picture wholly; what would have to be done to send it is done once, to know its outcome.

        Raises:
            PictureRefused: with the ``kind`` of the fault.
        """
        async with self._read(path) as data:
            return await to_thread.run_sync(_probed, path, data)

    async def probe_all(self, paths: Sequence[Path]) -> list[Picture | PictureRefused]:
        """``probe`` for many pictures, in their order; a refusal is handed back, not raised."""
        found: dict[int, Picture | PictureRefused] = {}

        async def small(begin: int) -> None:
            async with self._files, self._pixels.of(self._small_pixels):
                part = paths[begin : begin + SMALL_AT_A_TIME]
                outcomes = await to_thread.run_sync(_probed_if_small, part, self._small_pixels)
            for at, outcome in enumerate(outcomes, begin):
                found[at] = outcome or await self._outcome(paths[at])

        async with anyio.create_task_group() as tasks:
            for begin in range(0, len(paths), SMALL_AT_A_TIME):
                tasks.start_soon(small, begin)
        return [found[at] for at in range(len(paths))]

    async def _outcome(self, path: Path) -> Picture | PictureRefused:
        try:
            return await self.probe(path)
        except PictureRefused as refusal:
            return refusal

    async def prepare(self, picture: Picture) -> tuple[bytes, str]:
        """The bytes to send and their media type; equal files give equal bytes.

        Raises:
            PictureRefused: gone, unreadable, or (``changed``) no longer the file that was probed.
        """
        if not picture.changes:
            return await self._hops.run(_unchanged, picture), picture.media_type
        async with self._read(picture.path) as data:
            return await to_thread.run_sync(_converted, picture, data)

    @asynccontextmanager
    async def _read(self, path: Path) -> AsyncIterator[bytes]:
        """A file's bytes, with room for its pixels."""
        async with self._files:
            data, pixels = await to_thread.run_sync(_measured, path)
            async with self._pixels.of(pixels):
                yield data


def _measured(path: Path) -> tuple[bytes, int]:
    data = read_picture_file(path)
    return data, _pixel_count(data)


def _pixel_count(data: bytes) -> int:
    count = png_pixel_count(data)
    if count is not None:
        return count
    from pipeline.ports.images.headers import pixel_count  # noqa: PLC0415 - see the module's docstring

    return pixel_count(data)


def _probed_if_small(paths: Sequence[Path], at_most: int) -> list[Picture | PictureRefused | None]:
    """One after the other; None for those with more than ``at_most`` pixels."""
    found: list[Picture | PictureRefused | None] = []
    for path in paths:
        try:
            data, pixels = _measured(path)
            found.append(_probed(path, data) if pixels <= at_most else None)
        except PictureRefused as refusal:
            found.append(refusal)
    return found


def _probed(path: Path, data: bytes) -> Picture:
    media_type, size, changes = _sent_as(path, data)
    return Picture(
        path=path,
        sha256=hashlib.sha256(data).hexdigest(),
        size_bytes=len(data),
        media_type=media_type,
        width=size[0],
        height=size[1],
        changes=changes,
    )


def _sent_as(path: Path, data: bytes) -> tuple[str, tuple[int, int], tuple[str, ...]]:
    """The media type and the size in pixels of what will be sent, and what has to be done for it."""
    if size := size_of_plain_png(data):
        return "image/png", size, ()
    from pipeline.ports.images.encoding import prepared  # noqa: PLC0415 - see the module's docstring

    ready = prepared(data, str(path))
    return ready.media_type, (ready.width, ready.height), ready.changes


def _unchanged(picture: Picture) -> bytes:
    data = read_picture_file(picture.path)
    _refuse_changed(picture, data)
    return data


def _converted(picture: Picture, data: bytes) -> tuple[bytes, str]:
    from pipeline.ports.images.encoding import prepared  # noqa: PLC0415 - see the module's docstring

    _refuse_changed(picture, data)
    ready = prepared(data, str(picture.path))
    return ready.data, ready.media_type


def _refuse_changed(picture: Picture, data: bytes) -> None:
    if hashlib.sha256(data).hexdigest() != picture.sha256:
        raise PictureRefused(
            f"{picture.path}: the file has changed since it was checked; expected the same bytes",
            mend="let the pictures rest while a run is going, then run again",
            kind="changed",
        )


def __getattr__(name: str) -> Any:
    """The functions over pixels, without loading Pillow before one of them is asked for."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from pipeline.ports.images import decoding, encoding  # noqa: PLC0415 - see the module's docstring

    return getattr(decoding if name == "read_rgba" else encoding, name)
