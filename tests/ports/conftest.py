"""Real servers on port 0, in the test's own loop."""

import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import anyio
import pytest
from aiohttp import web
from anyio.abc import SocketAttribute, SocketStream

Talk = Callable[[SocketStream], Awaitable[None]]


@asynccontextmanager
async def _serving(app: web.Application) -> AsyncIterator[str]:
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def _talking(talk: Talk) -> AsyncIterator[str]:
    """A bare socket server that says whatever ``talk`` says, connection by connection."""

    async def one(stream: SocketStream) -> None:
        async with stream:
            await talk(stream)

    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, one)
        yield f"http://127.0.0.1:{listener.extra(SocketAttribute.local_port)}"
        group.cancel_scope.cancel()


@pytest.fixture
def serving():
    return _serving


@pytest.fixture
def talking():
    return _talking


async def _request(stream: SocketStream) -> bytes:
    """One whole HTTP request off a bare socket."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += await stream.receive()
    head, _, body = data.partition(b"\r\n\r\n")
    length = next((int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0)
    while len(body) < length:
        body += await stream.receive()
    return head + b"\r\n\r\n" + body


@pytest.fixture
def read_request():
    return _request


async def _reset(stream: SocketStream) -> None:
    """Close with RST instead of FIN, as a dying server does."""
    raw = stream.extra(SocketAttribute.raw_socket)
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@pytest.fixture
def reset():
    return _reset
