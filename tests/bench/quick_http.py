"""HTTP/1.1 with as little work as Python can do it with: what serves a benchmark must not be what is measured.

One request a connection at a time, in their order, so that pipelined ones are safe. Files go out by ``sendfile``.
"""

import asyncio
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import formatdate
from typing import BinaryIO

_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:[ \t]*chunked", re.IGNORECASE)
_CLOSE = re.compile(rb"\r\nconnection:[ \t]*close", re.IGNORECASE)
_REASONS = {200: b"OK", 206: b"Partial Content", 269: b"Dry Run", 404: b"Not Found", 429: b"Too Many Requests"}


@dataclass(slots=True)
class Request:
    method: bytes
    path: bytes
    query: bytes
    head: bytes
    body: bytes


@dataclass(slots=True)
class Answer:
    body: bytes
    """All of it, or what comes before a piece of ``file``."""
    status: int = 200
    headers: bytes = b"Content-Type: application/json\r\n"
    """Whole lines."""
    file: BinaryIO | None = None
    offset: int = 0
    count: int = 0
    """So many bytes of ``file``, from ``offset`` on."""
    sent: Callable[[], None] | None = None
    """Called when the last byte has left."""


class _Clock:
    """The ``Date`` line, made once a second."""

    def __init__(self) -> None:
        self._second = 0
        self._line = b""

    def line(self) -> bytes:
        second = int(time.time())
        if second != self._second:
            self._second, self._line = second, b"Date: " + formatdate(second, usegmt=True).encode() + b"\r\n"
        return self._line


_CLOCK = _Clock()


class Connection(asyncio.Protocol):
    """Answers the requests of one connection with what ``handle`` says, ``latency_s()`` later."""

    def __init__(self, handle: Callable[[Request], Answer], latency_s: Callable[[], float]) -> None:
        self._handle = handle
        self._latency_s = latency_s
        self._loop = asyncio.get_running_loop()
        self._buffer = bytearray()
        self._needs = 1
        self._is_busy = False
        self._closes = False
        self._sending: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._is_busy and len(self._buffer) >= self._needs:
            self._go_on()

    def connection_lost(self, _: Exception | None) -> None:
        self._closes = True

    def _go_on(self) -> None:
        while not (self._is_busy or self._closes) and (request := self._next()):
            self._closes = b"lose" in request.head and _CLOSE.search(request.head) is not None
            answer = self._handle(request)
            if latency_s := self._latency_s():
                self._is_busy = True
                self._loop.call_later(latency_s, self._send, answer)
            else:
                self._send(answer)

    def _next(self) -> Request | None:
        """The next request, if all of it is there."""
        buffer = self._buffer
        end = buffer.find(b"\r\n\r\n")
        if end < 0:
            self._needs = len(buffer) + 1
            return None
        head, start = bytes(buffer[:end]), end + 4
        length = _LENGTH.search(head)
        if length is None and b"hunked" in head and _CHUNKED.search(head):
            found = _unchunked(buffer, start)
            if found is None:
                self._needs = len(buffer) + 1
                return None
            body, after = found
        else:
            after = start + (int(length[1]) if length else 0)
            if len(buffer) < after:
                self._needs = after
                return None
            body = bytes(buffer[start:after])
        del buffer[:after]
        self._needs = 1
        method, target, _ = head.split(b" ", 2)
        path, _, query = target.partition(b"?")
        return Request(method, path, query, head, body)

    def _send(self, answer: Answer) -> None:
        if self._transport.is_closing():
            return
        length = len(answer.body) + answer.count
        reason = _REASONS.get(answer.status, b"Answer")
        head = b"HTTP/1.1 %d %b\r\nContent-Length: %d\r\n" % (answer.status, reason, length)
        self._transport.write(b"".join((head, _CLOCK.line(), answer.headers, b"\r\n", answer.body)))
        if answer.count:
            self._is_busy = True
            self._sending = self._loop.create_task(self._send_file(answer))
            return
        self._sent(answer)

    async def _send_file(self, answer: Answer) -> None:
        assert answer.file is not None
        try:
            await self._loop.sendfile(self._transport, answer.file, answer.offset, answer.count, fallback=False)
        except (ConnectionError, RuntimeError):  # the client has gone; asyncio says so in both ways
            self._transport.abort()
            return
        self._sent(answer)

    def _sent(self, answer: Answer) -> None:
        was_busy, self._is_busy = self._is_busy, False
        if answer.sent:
            answer.sent()
        if self._closes:
            self._transport.close()
        elif was_busy:
            self._go_on()


def _unchunked(buffer: bytearray, at: int) -> tuple[bytes, int] | None:
    """A body in chunks and where it ends; None while some of it is missing."""
    pieces = []
    while (line := buffer.find(b"\r\n", at)) >= 0:
        size, at = int(buffer[at:line].partition(b";")[0], 16), line + 2
        if len(buffer) < at + size + 2:
            return None
        if size == 0:
            return b"".join(pieces), at + 2
        pieces.append(bytes(buffer[at : at + size]))
        at += size + 2
    return None
