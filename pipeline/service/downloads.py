"""Sending a file whole or in part. (aiohttp's FileResponse knows no ETags in If-Range; resuming clients send them.)"""

from contextlib import suppress
from pathlib import Path

import anyio
from aiohttp import web

from pipeline.service.refusals import Refusal
from pipeline.service.requests import BODY_S

_CHUNK_BYTES = 1024 * 1024


async def send_file(request: web.Request, path: Path, *, etag: str, media_type: str) -> web.StreamResponse:
    """Answer GET or HEAD with a file that never changes under its ``etag``.

    Raises:
        Refusal: 404 when the file has been deleted meanwhile, 416 when the range starts beyond its end.
    """
    try:
        file = await anyio.open_file(path, "rb")
    except FileNotFoundError:
        raise Refusal(404, "the asset has been deleted") from None
    async with file:
        size = await file.seek(0, 2)
        span = _span(request, etag, size)
        response = _response(span, etag, media_type, size)
        with suppress(ConnectionError):  # the client has gone: that is its right, and no error of the service
            await response.prepare(request)
            if request.method == "GET":
                await _stream(file, span or range(size), request, response)
            await response.write_eof()
    return response


async def _stream(
    file: anyio.AsyncFile[bytes], span: range, request: web.Request, response: web.StreamResponse
) -> None:
    await file.seek(span.start)
    left = len(span)
    while left > 0 and (chunk := await file.read(min(_CHUNK_BYTES, left))):
        try:
            with anyio.fail_after(request.app[BODY_S]):
                await response.write(chunk)
        except TimeoutError:
            raise _given_up(request) from None
        left -= len(chunk)


def _given_up(request: web.Request) -> ConnectionError:
    """The end of a connection whose client does not take what it has asked for."""
    if request.transport:
        request.transport.abort()
    return ConnectionAbortedError("the client takes nothing")


def _span(request: web.Request, etag: str, size: int) -> range | None:
    """The bytes asked for; None stands for the whole: no range, one that cannot be read, or of another file."""
    if request.headers.get("If-Range", f'"{etag}"') != f'"{etag}"':
        return None
    try:
        asked = request.http_range
    except ValueError:
        return None
    if asked.start is None:
        return None
    span = range(size)[asked.start : asked.stop]
    if not span:
        raise Refusal(416, f"the file has {size:,} bytes", headers={"Content-Range": f"bytes */{size}"})
    return span


def _response(span: range | None, etag: str, media_type: str, size: int) -> web.StreamResponse:
    headers = {"Content-Type": media_type, "ETag": f'"{etag}"', "Accept-Ranges": "bytes"}
    if span is not None:
        headers["Content-Range"] = f"bytes {span.start}-{span.stop - 1}/{size}"
    response = web.StreamResponse(status=200 if span is None else 206, headers=headers)
    response.content_length = size if span is None else len(span)
    return response
