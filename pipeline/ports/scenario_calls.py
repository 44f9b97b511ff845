"""One call to the service: its place, its retries, and the reading of its answer."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any, TypeVar
from urllib.parse import quote

from pipeline.domain.errors import RequestRefused, ServiceUnreachable
from pipeline.ports.bodies import Streamed
from pipeline.ports.credentials import Credentials
from pipeline.ports.gate import Gate
from pipeline.ports.http import Answer, ApiSession
from pipeline.ports.retrying import Tries, moment, persist
from pipeline.ports.scenario_answers import Judge, problem, request_id
from pipeline.ports.scenario_wire import Wire, parse

W = TypeVar("W", bound=Wire)

_TELLING = 16
"""A credential of so many characters stands in no answer by chance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A request of the API, without what every request carries."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] | bytes | Streamed | None = None
    """All but a mapping is JSON already."""

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


_JSON = json.JSONEncoder(ensure_ascii=False)


def as_json(value: Mapping[str, Any]) -> bytes:
    return _JSON.encode(value).encode()


def segment(text: str) -> str:
    """An id as one segment of a path: it can neither leave its place nor bring a query.

    Raises:
        RequestRefused: empty, or dots that a server would read as a way up.
    """
    if text.strip(".") == "":
        raise RequestRefused(f"{text!r} is no id", mend="give the id as the service names it")
    return quote(text, safe="")


class Calls:
    """Sends calls in the name of one project, and repeats those that may be repeated. The only layer that does."""

    def __init__(self, session: ApiSession, credentials: Credentials, *, project: str, tries: Tries) -> None:
        self._session = session
        self._credentials = credentials
        self._project = {"projectId": project} if project else {}
        self.project = project
        self.tries = tries
        self.gate = Gate()
        self._answers = 0

    async def once(self, call: Call, *, fresh_connection: bool = False) -> Answer:
        """Exactly one request. The answer has lost our credentials, should it have repeated them; a success those alone
        that are too long to be part of an id by chance.

        Raises:
            NeverSent, ConnectionLost, ServiceFault: as ``ApiSession.send``.
        """
        answer = await self._session.send(
            call.method,
            call.path,
            query={**self._project, **call.query} if call.query else self._project,
            body=as_json(call.body) if isinstance(call.body, Mapping) else call.body,
            fresh_connection=fresh_connection,
        )
        is_success = 200 <= answer.status < 300  # noqa: PLR2004 - RFC 9110's classes
        return answer.rewritten(partial(self._credentials.redact, shortest=_TELLING if is_success else 1))

    async def ask(self, call: Call, wire: type[W], judge: Judge = problem, *, tries: Tries | None = None) -> W:
        """The answer to a call that may be repeated. ``judge`` says which answers are errors.

        Raises:
            CredentialsError, RequestRefused: final answers; RequestRefused, too, where all tries failed while the
                service answered others: then it is this request, and nobody else is harmed.
            ServiceUnreachable: all tries failed, and nobody was answered.
        """
        return (await self._answered(call, wire, judge, tries or self.tries))[0]

    async def ask_when(self, call: Call, wire: type[W], judge: Judge = problem) -> tuple[W, datetime | None]:
        """As ``ask``, with the service's clock when it answered (``Date``), if it says. An answer out of a cache
        (``Age``) does not say.
        """
        told, answer = await self._answered(call, wire, judge, self.tries)
        return told, None if "Age" in answer.headers else moment(answer.headers.get("Date"))

    async def _answered(self, call: Call, wire: type[W], judge: Judge, tries: Tries) -> tuple[W, Answer]:
        answers_before = self._answers

        async def attempt() -> tuple[W, Answer]:
            async with self.gate.turn():
                answer = await self.once(call)
                if error := judge(str(call), answer):
                    raise error
            told = parse(wire, answer.body, str(call), partial(request_id, answer))
            self._answers += 1
            return told, answer

        try:
            return await persist(str(call), attempt, tries)
        except ServiceUnreachable as error:
            if self._answers == answers_before:
                raise
            raise RequestRefused(f"{error}; it answers other requests", mend=error.mend) from error
