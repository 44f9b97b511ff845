"""What the service answers when it does not do what it was asked: always JSON, in the shape of Scenario's API."""

import json
import logging
import uuid
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler

from pipeline.domain.errors import LocalIoError

_log = logging.getLogger(__name__)

_REQUEST_ID = "X-Request-Id"


class Refusal(Exception):
    """A request that is answered with a status of 400 or more; ``reason`` is a sentence for the person behind it."""

    def __init__(
        self,
        status: int,
        reason: str,
        *,
        hint: str = "",
        details: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.hint = hint
        self.details = details
        self.headers = headers

    def response(self) -> web.Response:
        body: dict[str, Any] = {"error": HTTPStatus(self.status).phrase, "reason": self.reason}
        if self.hint:
            body["hint"] = self.hint
        if self.details:
            body["details"] = dict(self.details)
        return web.Response(
            status=self.status, headers=self.headers, text=json.dumps(body), content_type="application/json"
        )


def bad_request(problems: Sequence[str]) -> Refusal:
    """All that is wrong with a request, at once."""
    return Refusal(400, "; ".join(problems))


@web.middleware
async def refusals_as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Every answer that is no success becomes JSON; what went wrong inside goes to the log, never into the body."""
    try:
        return await handler(request)
    except Refusal as refusal:
        return refusal.response()
    except web.HTTPException as error:
        return _of_framework(request, error).response()
    except ConnectionError:  # the client has gone: aiohttp closes the connection
        raise
    except LocalIoError:
        return _logged(request, 507, "the service cannot use its data folder").response()
    except Exception:  # noqa: BLE001 - logged
        return _logged(request, 500, "unexpected error").response()


async def name_request(_: web.Request, response: web.StreamResponse) -> None:
    """Give every answer an id that a person can quote."""
    response.headers.setdefault(_REQUEST_ID, uuid.uuid4().hex)


def _logged(request: web.Request, status: int, reason: str) -> Refusal:
    """The refusal for the error being handled; the log knows the error by the request's id."""
    request_id = uuid.uuid4().hex
    _log.exception("request %s: %s %s: %s", request_id, request.method, request.path, reason)
    return Refusal(
        status, f"{reason}; the service's log says more under {request_id}", headers={_REQUEST_ID: request_id}
    )


def _of_framework(request: web.Request, error: web.HTTPException) -> Refusal:
    match error:
        case web.HTTPNotFound():
            return Refusal(404, f"there is no {request.path}", hint="the API lies below /v1")
        case web.HTTPMethodNotAllowed():
            allowed = ", ".join(sorted(error.allowed_methods))
            return Refusal(
                405, f"{request.method} is not allowed on {request.path}", hint=allowed, headers={"Allow": allowed}
            )
        case web.HTTPRequestEntityTooLarge():
            return too_large(request.client_max_size)
        case _:
            return Refusal(error.status, error.reason)


def too_large(limit_bytes: int) -> Refusal:
    return Refusal(
        413,
        f"the body is larger than {limit_bytes:,} bytes",
        hint="send large pictures in parts through POST /uploads",
    )
