"""The port ``Images`` over files whose text is the picture."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from anyio.lowlevel import checkpoint

from pipeline.domain.errors import PictureRefused
from pipeline.domain.items import Picture
from simulation.process import Process

TAKES_S = 7.0
"""How long pictures are looked at: a run may be told to stop, or die, meanwhile."""

BROKEN = b"broken"
"""How a file begins that is no picture."""


class TextPictures:
    def __init__(self, process: Process) -> None:
        self._process = process

    async def probe(self, path: Path) -> Picture:
        await checkpoint()
        self._process.check()
        data = _read(path)
        return Picture(
            path=path,
            sha256=hashlib.sha256(data).hexdigest(),
            size_bytes=len(data),
            media_type="image/png",
            width=200,
            height=200,
        )

    async def probe_all(self, paths: Sequence[Path]) -> list[Picture | PictureRefused]:
        await self._process.sleep(TAKES_S)
        return [await self._outcome(path) for path in paths]

    async def _outcome(self, path: Path) -> Picture | PictureRefused:
        try:
            return await self.probe(path)
        except PictureRefused as refusal:
            return refusal

    async def prepare(self, picture: Picture) -> tuple[bytes, str]:
        await checkpoint()
        self._process.check()
        data = _read(picture.path)
        if hashlib.sha256(data).hexdigest() != picture.sha256:
            raise PictureRefused(f"{picture.path}: has changed", mend="let the pictures rest", kind="changed")
        return data, picture.media_type


def _read(path: Path) -> bytes:
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise PictureRefused(f"{path}: there is no such file", mend="put it there", kind="missing") from error
    except IsADirectoryError as error:
        raise PictureRefused(f"{path}: is a folder", mend="put a picture there", kind="folder") from error
    except OSError as error:
        raise PictureRefused(f"{path}: cannot be read", mend="make it a file", kind="unreadable") from error
    if not data:
        raise PictureRefused(f"{path}: is empty", mend="copy it again", kind="empty")
    if data.startswith(BROKEN):
        raise PictureRefused(f"{path}: is not a picture", mend="put a picture there", kind="not-a-picture")
    return data
