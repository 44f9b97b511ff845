"""Downloads: files from signed URLs to the disk, hashed on the way, resumed after a break."""

import hashlib
import os
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import aiofiles.os
import anyio

from pipeline.domain.checksums import declared_checksums
from pipeline.domain.errors import LocalIoError, MeshDamaged, MvmeshError, ServiceFault, Throttled, UrlExpired
from pipeline.ports.addresses import Origin
from pipeline.ports.durable import local_errors
from pipeline.ports.gate import Gate
from pipeline.ports.http import Incoming, Timeouts, TransferSession
from pipeline.ports.interfaces import Downloaded
from pipeline.ports.retrying import moment, wished_pause_s
from pipeline.ports.wholeness import HEAD_OF_MESH_BYTES

DOWNLOAD_MAX_BYTES = 4 * 1024**3
DOWNLOAD_TIMEOUTS = Timeouts(total_s=3600.0)

_WRITE_BYTES = 512 * 1024
"""So much of a file is gathered, then written and hashed in one hop to a thread while its host sends on: a hop less for
each piece that comes, and a smaller file has but one. With what the connection holds back by itself, a download takes
two to three times as much memory, whatever the size of its file.
"""

_EXPIRED = frozenset({401, 403, 404, 410})
"""404 too: a fresh look-up tells whether the file is there."""

_BEGUN = frozenset({200, 206, 416})
"""A body follows, or the range that was asked for does not exist: either way, what came earlier is settled."""

_FOLDER_TRIES = 2

_HTML = (b"<!doctype html", b"<html")

_CONTENT_RANGE = re.compile(r"bytes ([0-9]+)-([0-9]+)/([0-9]+)")

_SETTLED_S = 1.0
"""A file whose last change is at least so much older than the answer has not changed twice within one tick of
``Last-Modified`` (RFC 9110, 8.8.2.2).
"""


@dataclass(slots=True, kw_only=True)
class _Received:
    """What has come of one file, and what its host said of the whole of it.

    Kept in memory alone: after a crash of the machine, bytes on the disk may be other than those that were hashed.
    """

    validator: str = ""
    """Under which the host gave it; empty: not to be resumed."""
    whole_bytes: int | None = None
    checksums: Mapping[str, bytes] = field(default_factory=dict)
    size_bytes: int = 0
    head: bytes = b""
    """The beginning of what has come; empty after a break: many that broke off would take much memory."""
    digests: Mapping[str, "hashlib._Hash"] = field(default_factory=dict)

    def add(self, chunk: bytes) -> None:
        for digest in self.digests.values():
            digest.update(chunk)
        if len(self.head) == self.size_bytes < HEAD_OF_MESH_BYTES:
            self.head += chunk[: HEAD_OF_MESH_BYTES - len(self.head)]
        self.size_bytes += len(chunk)

    def contradiction(self) -> str:
        """How what has come, when it is all, differs from what the host said; empty when it does not."""
        if self.whole_bytes not in {None, self.size_bytes}:
            return f"{self.size_bytes:,} bytes came of {self.whole_bytes:,}"
        wrong = [kind for kind, told in self.checksums.items() if self.digests[kind].digest() != told]
        return f"the file is not the one whose {wrong[0]} checksum the host tells" if wrong else ""


class Downloader:
    """The port ``Downloads``. A break is resumed as long as this object lives; after a
    restart a file begins anew.
    """

    def __init__(self, transfers: TransferSession, *, max_bytes: int) -> None:
        self._transfers = transfers
        self._max_bytes = max_bytes
        self._broken_off: dict[Path, _Received] = {}
        self._gates: dict[Origin, Gate] = {}

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
        async with self._answer(url, target, earlier) as incoming:
            received = _continued(incoming, earlier)
            self._check_declared(incoming, received, expected_bytes)
            await self._receive(incoming, target, received)
        if expected_bytes not in {None, received.size_bytes}:
            raise _wrong_size(incoming, received.size_bytes, expected_bytes)
        if wrong := received.contradiction():
            raise MeshDamaged(f"{incoming.what}: {wrong}")
        return Downloaded(
            size_bytes=received.size_bytes,
            sha256=received.digests["sha256"].hexdigest(),
            media_type=_media_type(incoming),
            head=received.head,
        )

    @asynccontextmanager
    async def _answer(self, url: str, target: Path, earlier: _Received | None) -> AsyncIterator[Incoming]:
        """The beginning of an answer that has a body for us. A host that is busy (429, 503) makes all wait that
        download from it, but none that is in the midst of it.
        """
        gate = self._gates.setdefault(self._transfers.admit("GET", url), Gate())
        async with AsyncExitStack() as stack:
            async with gate.turn():
                incoming = await stack.enter_async_context(self._transfers.get(url, headers=_range(earlier)))
                if incoming.status in _BEGUN:
                    self._broken_off.pop(target, None)
                if error := _problem(incoming):
                    raise error
            yield incoming

    def _check_declared(self, incoming: Incoming, received: _Received, expected_bytes: int | None) -> None:
        """Refuse before anything is written what cannot become the right file."""
        if _media_type(incoming) == "text/html":
            raise MeshDamaged(f"{incoming.what}: it sent an HTML page instead of the file")
        if received.whole_bytes is None:
            return
        if expected_bytes not in {None, received.whole_bytes}:
            raise _wrong_size(incoming, received.whole_bytes, expected_bytes)
        self._check_bound(incoming, received.whole_bytes)

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
        gathered: list[bytes] = []
        try:
            await self._copy(incoming, target, received, gathered)
        except (MeshDamaged, LocalIoError):
            raise
        except BaseException:
            if received.validator:
                await _write(target, received, gathered)
                received.head = b""
                self._broken_off[target] = received
            raise

    async def _copy(self, incoming: Incoming, target: Path, received: _Received, gathered: list[bytes]) -> None:
        waiting_bytes = 0
        while chunk := await incoming.read():
            if received.size_bytes + waiting_bytes == 0 and chunk.lstrip().lower().startswith(_HTML):
                raise MeshDamaged(f"{incoming.what}: it sent an HTML page instead of the file")
            gathered.append(chunk)
            waiting_bytes += len(chunk)
            self._check_bound(incoming, received.size_bytes + waiting_bytes)
            if waiting_bytes >= _WRITE_BYTES:
                await _write(target, received, gathered)
                waiting_bytes = 0
        if gathered or received.size_bytes == 0:
            await _write(target, received, gathered)


async def _write(target: Path, received: _Received, gathered: list[bytes]) -> None:
    """Add what was gathered to the file. Not cut short: what is counted and hashed is what the file has."""
    with anyio.CancelScope(shield=True):
        await _append(target, received, gathered)
    gathered.clear()


@aiofiles.os.wrap
def _append(target: Path, received: _Received, gathered: Sequence[bytes]) -> None:
    with local_errors("written", target), _opened(target, received.size_bytes) as file:
        file.writelines(gathered)
    for chunk in gathered:
        received.add(chunk)


def _opened(target: Path, size_bytes: int) -> BinaryIO:
    """The file, to be written from here on: what is not ours to resume goes."""
    if size_bytes == 0:
        return _new_file(target)
    file = target.open("r+b")
    if file.seek(0, os.SEEK_END) != size_bytes:
        file.truncate(file.seek(size_bytes))
    return file


def _new_file(target: Path) -> BinaryIO:
    """Its folder is made, too; and once more if somebody, just then, clears it away because it was empty."""
    for _ in range(_FOLDER_TRIES):
        with suppress(FileNotFoundError):
            return target.open("wb")
        target.parent.mkdir(parents=True, exist_ok=True)
    return target.open("wb")


def _range(earlier: _Received | None) -> Mapping[str, str]:
    """Ask for the rest, if the file is still the one of which we have the beginning (RFC 9110, 13.1.5)."""
    if earlier is None or earlier.size_bytes == 0:
        return {}
    return {"Range": f"bytes={earlier.size_bytes}-", "If-Range": earlier.validator}


def _continued(incoming: Incoming, earlier: _Received | None) -> _Received:
    """What came earlier when the host sends the rest of it; else a new beginning."""
    if incoming.status != 206:  # noqa: PLR2004 - Partial Content
        return _begun(incoming)
    if earlier is None or not _is_rest(incoming, earlier):
        raise ServiceFault(f"{incoming.what}: it sent another part of the file than was asked for")
    etag = incoming.headers.get("ETag", earlier.validator)
    if earlier.validator.startswith('"') and etag != earlier.validator:
        raise ServiceFault(f"{incoming.what}: it sent the rest of another file: the ETag has changed")
    return earlier


def _begun(incoming: Incoming) -> _Received:
    """A file from its first byte. One that comes encoded, though nobody asked for it, is unpacked on the way: what
    its host says is then of other bytes than those that we count.
    """
    if _is_encoded(incoming):
        return _Received(digests={"sha256": hashlib.sha256()})
    checksums = declared_checksums(incoming.headers.items(), is_part=False)
    length = incoming.headers.get("Content-Length", "")
    return _Received(
        validator=_validator(incoming),
        whole_bytes=int(length) if length.isdecimal() else None,
        checksums=checksums,
        digests={kind: hashlib.new(kind, usedforsecurity=False) for kind in {"sha256", *checksums}},
    )


def _is_rest(incoming: Incoming, earlier: _Received) -> bool:
    """Whether the part goes from where we are to the end of the file that we know."""
    told = _CONTENT_RANGE.fullmatch(incoming.headers.get("Content-Range", "").strip())
    if told is None or _is_encoded(incoming):
        return False
    start, last, whole = map(int, told.groups())
    return (start, last) == (earlier.size_bytes, whole - 1) and earlier.whole_bytes in {None, whole}


def _is_encoded(incoming: Incoming) -> bool:
    return incoming.headers.get("Content-Encoding", "").strip().lower() not in {"", "identity"}


def _validator(incoming: Incoming) -> str:
    """A strong ETag; where there is none at all, a time of the last change that lies well before the answer. A weak
    ETag promises nothing about bytes.
    """
    if etag := incoming.headers.get("ETag", ""):
        return etag if etag.startswith('"') else ""
    text = incoming.headers.get("Last-Modified", "")
    changed_at, answered_at = moment(text), moment(incoming.headers.get("Date"))
    if changed_at is None or answered_at is None:
        return ""
    return text if (answered_at - changed_at).total_seconds() >= _SETTLED_S else ""


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


def _wrong_size(incoming: Incoming, found: int, expected: int | None) -> MeshDamaged:
    return MeshDamaged(f"{incoming.what}: the file has {found:,} bytes, the service told {expected:,}")
