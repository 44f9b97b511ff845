"""View images: read and judged, converted where a service would not take them as they are.

``files`` knows bytes and formats; ``headers``, ``decoding`` and ``encoding`` are the only importers of Pillow. Pillow
is loaded with the first picture, not with this module: the command line must answer before that.
"""

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
from anyio import to_thread

from pipeline.domain.errors import PictureRefused
from pipeline.domain.items import Picture
from pipeline.ports.images.files import read_picture_file

if TYPE_CHECKING:
    from pipeline.ports.images.decoding import read_rgba
    from pipeline.ports.images.encoding import encode_jpeg, encode_png, encode_webp

__all__ = ["PillowImages", "encode_jpeg", "encode_png", "encode_webp", "read_rgba"]


class PillowImages:
    """The port ``Images``. Threads do the work, a few at a time: one picture may take gigabytes while it is decoded."""

    def __init__(self) -> None:
        self._limiter = anyio.CapacityLimiter(min(4, os.cpu_count() or 1))

    async def probe(self, path: Path) -> Picture:
        """Read and decode one picture wholly; what would have to be done to send it is done once, to know its outcome.

        Raises:
            PictureRefused: with the ``kind`` of the fault.
        """
        return await to_thread.run_sync(_probe, path, limiter=self._limiter)

    async def prepare(self, picture: Picture) -> tuple[bytes, str]:
        """The bytes to send and their media type; equal files give equal bytes.

        Raises:
            PictureRefused: gone, unreadable, or (``changed``) no longer the file that was probed.
        """
        return await to_thread.run_sync(_prepare, picture, limiter=self._limiter)


def _probe(path: Path) -> Picture:
    from pipeline.ports.images.encoding import prepared  # noqa: PLC0415 - see the module's docstring

    data = read_picture_file(path)
    ready = prepared(data, str(path))
    return Picture(
        path=path,
        sha256=hashlib.sha256(data).hexdigest(),
        size_bytes=len(data),
        media_type=ready.media_type,
        width=ready.width,
        height=ready.height,
        changes=ready.changes,
    )


def _prepare(picture: Picture) -> tuple[bytes, str]:
    from pipeline.ports.images.encoding import prepared  # noqa: PLC0415 - see the module's docstring

    data = read_picture_file(picture.path)
    if hashlib.sha256(data).hexdigest() != picture.sha256:
        raise PictureRefused(
            f"{picture.path}: the file has changed since it was checked; expected the same bytes",
            mend="let the pictures rest while a run is going, then run again",
            kind="changed",
        )
    if not picture.changes:
        return data, picture.media_type
    ready = prepared(data, str(picture.path))
    return ready.data, ready.media_type


def __getattr__(name: str) -> Any:
    """The functions over pixels, without loading Pillow before one of them is asked for."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from pipeline.ports.images import decoding, encoding  # noqa: PLC0415 - see the module's docstring

    return getattr(decoding if name == "read_rgba" else encoding, name)
