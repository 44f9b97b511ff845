"""HTTP Basic authentication, compared in constant time. Signed URLs and the health check carry their own right."""

from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Collection
from hmac import compare_digest

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from pipeline.service.refusals import Refusal


def basic_auth(credentials: tuple[str, str], *, open_routes: Collection[str]) -> Middleware:
    """A middleware that lets only this key and secret pass, but for the routes of these names."""
    expected = ":".join(credentials).encode()

    @web.middleware
    async def authenticate(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.match_info.route.name not in open_routes:
            _check(request.headers.get("Authorization", ""), expected)
        return await handler(request)

    return authenticate


def _check(header: str, expected: bytes) -> None:
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "basic":
        raise _unauthorized("the request carries no Basic credentials")
    if not compare_digest(_decoded(token), expected):
        raise _unauthorized("the API key or its secret is wrong")


def _decoded(token: str) -> bytes:
    try:
        return b64decode(token.strip(), validate=True)
    except (NotBase64, ValueError):
        return b""


def _unauthorized(reason: str) -> Refusal:
    return Refusal(
        401,
        reason,
        hint="set SCENARIO_SDK_API_KEY and SCENARIO_SDK_API_SECRET to what the service was started with",
        headers={"WWW-Authenticate": 'Basic realm="mvmesh", charset="UTF-8"'},
    )
