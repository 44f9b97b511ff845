"""Downloads: files from signed URLs to the disk, hashed on the way, resumed after a break."""

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiofiles
import aiofiles.os
import anyio

from pipeline.domain.errors import MeshDamaged, MvmeshError, ServiceFault, Throttled, UrlExpired
from pipeline.ports.addresses import Origin
from pipeline.ports.http import Incoming, Timeouts, TransferSession
from pipeline.ports.interfaces import Downloaded
from pipeline.ports.retrying import wished_pause_s
from pipeline.ports.storage import local_errors

DOWNLOAD_MAX_BYTES = 4 * 1024**3
DOWNLOAD_TIMEOUTS = Timeouts(total_s=3600.0)

_EXPIRED = frozenset({401, 403, 404, 410})
"""404 too: a fresh look-up tells whether the file is there."""

_BEGUN = frozenset({200, 206, 416})
"""A body follows, or the range that was asked for does not exist: either way, what came earlier is settled."""

_HTML = (b"<!doctype html", b"<html")


@dataclass(slots=True, kw_only=True)
class _Received:
    """What has come of one file, and the validator under which the host gave it (empty: not to be resumed).

    Kept in memory alone: after a crash of the machine, bytes on the disk may be other than those that were hashed.
    """

    validator: str = ""
    size_bytes: int = 0
    digest: "hashlib._Hash" = field(default_factory=hashlib.sha256)


class Downloader:
    """The port ``Downloads``. A break is resumed as long as this object lives; after a
    restart a file begins anew.
    """

    def __init__(self, transfers: TransferSession, *, max_bytes: int) -> None:
        self._transfers = transfers
        self._max_bytes = max_bytes
        self._broken_off: dict[Path, _Received] = {}

    @classmethod
    @asynccontextmanager
    async def connect(
        cls, base_url: str, *, timeouts: Timeouts = DOWNLOAD_TIMEOUTS, max_bytes: int = DOWNLOAD_MAX_BYTES
    ) -> AsyncIterator["Downloader"]:
        """Downloads for the scope. ``base_url`` is the service's: only its own origin may be plain http or private."""
        async with TransferSession.connect(Origin.of(base_url), timeouts=timeouts) as transfers:
            yield cls(transfers, max_bytes=max_bytes)

    async def fetch(self, url: str, target: Path, *, expected_bytes: int | None) -> Downloaded:
        """See ``Downloads.fetch``. What is not ours to resume in ``target`` is overwritten."""
        earlier = await self._resumable(target)
        async with self._transfers.get(url, headers=_range(earlier)) as incoming:
            if incoming.status in _BEGUN:
                self._broken_off.pop(target, None)
            if error := _problem(incoming):
                raise error
            received = _continued(incoming, earlier)
            self._check_declared(incoming, received.size_bytes, expected_bytes)
            await self._receive(incoming, target, received)
        if expected_bytes is not None and received.size_bytes != expected_bytes:
            raise _wrong_size(incoming, received.size_bytes, expected_bytes)
        return Downloaded(
            size_bytes=received.size_bytes, sha256=received.digest.hexdigest(), media_type=_media_type(incoming)
        )

    def _check_declared(self, incoming: Incoming, start: int, expected_bytes: int | None) -> None:
        """Refuse before anything is written what cannot become the right file."""
        if _media_type(incoming) == "text/html":
            raise MeshDamaged(f"{incoming.what}: it sent an HTML page instead of the file")
        length = incoming.headers.get("Content-Length", "")
        if not length.isdecimal():
            return
        declared = start + int(length)
        if expected_bytes is not None and declared != expected_bytes:
            raise _wrong_size(incoming, declared, expected_bytes)
        self._check_bound(incoming, declared)

    def _check_bound(self, incoming: Incoming, size_bytes: int) -> None:
        if size_bytes > self._max_bytes:
            raise MeshDamaged(f"{incoming.what}: the file is larger than {self._max_bytes:,} bytes")

    async def _resumable(self, target: Path) -> _Received | None:
        """What an earlier try received, if the file still has it."""
        earlier = self._broken_off.get(target)
        if earlier is None:
            return None
        try:
            is_there = (await aiofiles.os.stat(target)).st_size >= earlier.size_bytes
        except OSError:
            is_there = False
        return earlier if is_there else None

    async def _receive(self, incoming: Incoming, target: Path, received: _Received) -> None:
        """Write to the end of the body. When it breaks off, what came is remembered for the next try."""
        with local_errors("written", target):
            await aiofiles.os.makedirs(target.parent, exist_ok=True)
            file = await aiofiles.open(target, "r+b" if received.size_bytes else "wb")
        try:
            if received.size_bytes:
                with local_errors("written", target):
                    await file.truncate(await file.seek(received.size_bytes))
            await self._copy(incoming, file.write, target, received)
        except MeshDamaged:
            raise
        except BaseException:
            if received.validator:
                self._broken_off[target] = received
            raise
        finally:
            with anyio.CancelScope(shield=True), local_errors("written", target):
                await file.close()

    async def _copy(
        self, incoming: Incoming, write: Callable[[bytes], Awaitable[int]], target: Path, received: _Received
    ) -> None:
        while chunk := await incoming.read():
            if received.size_bytes == 0 and chunk.lstrip().lower().startswith(_HTML):
                raise MeshDamaged(f"{incoming.what}: it sent an HTML page instead of the file")
            self._check_bound(incoming, received.size_bytes + len(chunk))
            with local_errors("written", target):
                await write(chunk)
            received.digest.update(chunk)
            received.size_bytes += len(chunk)


def _range(earlier: _Received | None) -> Mapping[str, str]:
    """Ask for the rest, if the file is still the one of which we have the beginning (RFC 9110, 13.1.5)."""
    if earlier is None or earlier.size_bytes == 0:
        return {}
    return {"Range": f"bytes={earlier.size_bytes}-", "If-Range": earlier.validator}


def _continued(incoming: Incoming, earlier: _Received | None) -> _Received:
    """What came earlier when the host sends the rest of it; else a new beginning."""
    if incoming.status != 206:  # noqa: PLR2004 - Partial Content
        return _Received(validator=_validator(incoming))
    if earlier and incoming.headers.get("Content-Range", "").startswith(f"bytes {earlier.size_bytes}-"):
        return earlier
    raise ServiceFault(f"{incoming.what}: it sent another part of the file than was asked for")


def _validator(incoming: Incoming) -> str:
    """A strong ETag or the time of the last change; a weak ETag promises nothing about bytes."""
    etag = incoming.headers.get("ETag", "")
    return etag if etag.startswith('"') else incoming.headers.get("Last-Modified", "")


def _problem(incoming: Incoming) -> MvmeshError | None:
    if incoming.status in {200, 206}:
        return None
    said = f"{incoming.what}: HTTP {incoming.status}"
    pause_s = wished_pause_s(incoming.headers)
    if incoming.status in _EXPIRED:
        return UrlExpired(f"{said}: the signed URL is not taken (any more)")
    if incoming.status in {429, 503}:
        return Throttled(said, retry_after_s=pause_s)
    return ServiceFault(said, retry_after_s=pause_s)


def _media_type(incoming: Incoming) -> str:
    return incoming.headers.get("Content-Type", "").partition(";")[0].strip().lower()


def _wrong_size(incoming: Incoming, found: int, expected: int) -> MeshDamaged:
    return MeshDamaged(f"{incoming.what}: the file has {found:,} bytes, the service told {expected:,}")
