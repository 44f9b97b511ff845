"""Reading what a request brings: bounded bodies, checked shapes, query values. All raise Refusal."""

from datetime import datetime
from typing import Any, TypeVar

import anyio
from aiohttp import web
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel
from pydantic_core import from_json

from pipeline.service.refusals import Refusal, bad_request, too_large


class Body(BaseModel):
    """Base of request bodies: camelCase on the wire, unknown fields passed over as the real service does."""

    model_config = ConfigDict(alias_generator=to_camel, frozen=True)


B = TypeVar("B", bound=Body)

BODY_S = web.AppKey("BODY_S", float)
"""How long a body may take to arrive."""


async def read_bytes(request: web.Request, *, limit_bytes: int) -> bytes:
    """The whole body, refused before it is read where its declared length is over the limit."""
    if (request.content_length or 0) > limit_bytes:
        raise too_large(limit_bytes)
    try:
        with anyio.fail_after(request.app[BODY_S]):
            data = await request.read()
    except TimeoutError:
        raise Refusal(408, "the body did not arrive in time", headers={"Connection": "close"}) from None
    if len(data) > limit_bytes:
        raise too_large(limit_bytes)
    return data


async def read_body(request: web.Request, shape: type[B]) -> B:
    try:
        return shape.model_validate_json(await read_bytes(request, limit_bytes=request.client_max_size))
    except ValidationError as error:
        raise bad_request([_sentence(one) for one in error.errors(include_url=False, include_input=False)]) from None


async def read_object(request: web.Request) -> dict[str, Any]:
    """The body as a JSON object of any fields."""
    data = await read_bytes(request, limit_bytes=request.client_max_size)
    try:
        found = from_json(data, allow_inf_nan=False)
    except ValueError as error:
        raise Refusal(400, f"the body is no JSON: {error}") from None
    if not isinstance(found, dict):
        raise Refusal(400, f"the body must be a JSON object, not {type(found).__name__}")
    return found


def query_integer(request: web.Request, name: str, *, default: int, low: int, high: int) -> int:
    text = request.query.get(name, str(default))
    if not (text.isascii() and text.isdigit() and len(text) < 10 and low <= int(text) <= high):  # noqa: PLR2004 - digits
        raise Refusal(400, f"{name}: {text!r} is no whole number from {low} to {high}")
    return int(text)


def query_moment(request: web.Request, name: str) -> datetime | None:
    """A time in ISO 8601 with its offset."""
    text = request.query.get(name)
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise Refusal(400, f"{name}: {text!r} is no ISO 8601 time with an offset, such as 2026-01-31T12:00:00.000Z")
    return found


def _sentence(error: Any) -> str:
    where = ".".join(map(str, error["loc"])) or "body"
    return f"{where}: {error['msg']}"
