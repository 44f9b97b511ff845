"""The local service with faults in front: real sockets, real application, seeded trouble (``fault_plan.py``).

``inject`` is for ``service/launch.py``. The layer keeps a log, a JSON line a request, which also tells it after a restart
how many requests of a kind there were. Two paths are a test's own, no fault befalls them: ``GET /truth`` tells what
really happened, ``POST /arrange`` orders the faults of the next requests.
"""

import asyncio
import hashlib
import json
import socket
import struct
from base64 import b64decode
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from random import Random
from typing import Any

from aiohttp import web
from fault_plan import Fate, Fault, FaultPlan, Kind
from hurried_clock import HurriedClock
from told_jobs import ToldJobs

from pipeline.service import serve

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_PAGE = "<!DOCTYPE html><html><body>The portal of a hotel</body></html>"
_PIECES = 8


def inject(plan: FaultPlan, clock: HurriedClock, log: Path) -> None:
    """Put the layer in front of every service that ``serve`` starts from now on, and give it this clock."""
    make = serve.application

    def ahead() -> datetime:
        return clock.now() + timedelta(seconds=plan.skew_s)

    def faulty(*, store: Any, **parts: Any) -> web.Application:
        jobs = ToldJobs(store, plan, ahead)
        app = make(store=jobs, **parts)
        layer = FaultLayer(plan, clock, jobs, Log(log))
        app.middlewares.insert(0, layer.middleware())
        app.cleanup_ctx.append(layer.other_host)

        async def tell_time(_: web.Request, response: web.StreamResponse) -> None:
            response.headers["Date"] = format_datetime(ahead(), usegmt=True)

        app.on_response_prepare.append(tell_time)
        return app

    serve.utc_now = ahead
    serve.application = faulty


class Log:
    """What was asked, and what befell it. It outlives the service's process."""

    def __init__(self, path: Path) -> None:
        self.lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        self._seen = Counter((line["kind"], line["content"]) for line in self.lines if "kind" in line)
        self._file = path.open("a", buffering=1)

    def note(self, **line: Any) -> None:
        self.lines.append(line)
        self._file.write(json.dumps(line) + "\n")

    def count(self, kind: Kind, content: str) -> int:
        """How many like it came before; the next one counts this one, too."""
        self._seen[kind, content] += 1
        return self._seen[kind, content] - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request on its way."""

    request: web.Request
    handler: Handler
    kind: Kind
    chance: Random


class FaultLayer:
    """One method a fault, under its name."""

    def __init__(self, plan: FaultPlan, clock: HurriedClock, jobs: ToldJobs, log: Log) -> None:
        self._plan = plan
        self._clock = clock
        self._jobs = jobs
        self._log = log
        self._arranged: dict[Kind, deque[Fault | None]] = {}
        self._other_host = ""
        self._overdue_tasks = set[asyncio.Future[None]]()

    def middleware(self) -> Any:
        @web.middleware
        async def faults(request: web.Request, handler: Handler) -> web.StreamResponse:
            if request.path == "/truth":
                return web.json_response(await self._truth())
            if request.path == "/arrange":
                return await self._arrange(await request.json())
            return await self._befall(request, handler)

        return faults

    async def other_host(self, _: web.Application) -> Any:
        """A host beside the service: whoever comes, and with which headers, is noted."""

        async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with suppress(asyncio.IncompleteReadError, ConnectionError):
                head = (await reader.readuntil(b"\r\n\r\n")).decode(errors="replace")
                self._log.note(elsewhere=head.partition("\r\n")[0], authorization="authorization:" in head.lower())
            writer.close()

        server = await asyncio.start_server(meet, "127.0.0.1", 0)
        self._other_host = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield
        server.close()

    async def _befall(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        kind = _kind(request)
        content = await self._content(kind, request)
        fault, chance = self._plan.fault(kind, content, self._log.count(kind, content))
        if waiting := self._arranged.get(kind):
            fault = waiting.popleft()
        self._log.note(
            kind=kind, content=content, fault=fault, authorization="Authorization" in request.headers, path=request.path
        )
        asked = Asked(request=request, handler=handler, kind=kind, chance=chance)
        if fault is None:
            return await self._answered(asked)
        befall = getattr(self, f"_{fault.name.lower()}")
        return await befall(asked)

    async def _content(self, kind: Kind, request: web.Request) -> str:
        match kind:
            case Kind.GENERATE:
                return self._jobs.content(await request.json())
            case Kind.UPLOAD:
                return _picture_digest(await request.json())
            case Kind.FILE:
                return self._jobs.digest(request.path.rpartition("/")[2])
            case _:
                return ""

    async def _answered(self, asked: Asked) -> web.StreamResponse:
        """The application's own answer."""
        answer = await asked.handler(asked.request)
        if asked.kind is Kind.UPLOAD and answer.status == 200:
            self._log.note(uploaded=_picture_digest(await asked.request.json()))
        if asked.kind in {Kind.FEED, Kind.LIST, Kind.JOB} and isinstance(answer, web.Response):
            await self._keep_charges(answer)
        return answer

    async def _keep_charges(self, answer: web.Response) -> None:
        """Say of jobs that failed and were charged all the same that they were."""
        said = json.loads(answer.text or "{}")
        for told in [*said.get("jobs", ()), *([said["job"]] if "job" in said else ())]:
            job = await self._jobs.job(told["jobId"])
            if job is not None and await self._jobs.fate(job) is Fate.FAILS_KEPT:
                told["billing"]["disableRefund"] = True
        answer.text = json.dumps(said)

    async def _reset_before(self, asked: Asked) -> web.StreamResponse:
        return _reset(asked.request)

    async def _reset_after(self, asked: Asked) -> web.StreamResponse:
        await self._answered(asked)
        return _reset(asked.request)

    async def _error_before(self, asked: Asked) -> web.StreamResponse:
        return web.json_response({"error": "trouble"}, status=asked.chance.choice([500, 502, 503, 504]))

    async def _error_after(self, asked: Asked) -> web.StreamResponse:
        await self._answered(asked)
        return await self._error_before(asked)

    async def _error_early(self, asked: Asked) -> web.StreamResponse:
        await asked.request.read()
        overdue = asyncio.ensure_future(self._overdue(asked))
        self._overdue_tasks.add(overdue)
        overdue.add_done_callback(self._overdue_tasks.discard)
        return web.json_response({"error": "Gateway Timeout"}, status=504)

    async def _overdue(self, asked: Asked) -> None:
        await asyncio.sleep(self._clock.real_s(self._plan.overdue_s))
        await self._answered(asked)

    async def _conflict_before(self, asked: Asked) -> web.StreamResponse:
        return web.json_response({"error": "trouble"}, status=asked.chance.choice([408, 409]))

    async def _conflict_after(self, asked: Asked) -> web.StreamResponse:
        await self._answered(asked)
        return await self._conflict_before(asked)

    async def _hang_before(self, asked: Asked) -> web.StreamResponse:
        await asyncio.sleep(self._clock.real_s(self._plan.hang_s))
        return _reset(asked.request)

    async def _hang_after(self, asked: Asked) -> web.StreamResponse:
        await self._answered(asked)
        return await self._hang_before(asked)

    async def _html(self, asked: Asked) -> web.StreamResponse:
        if asked.kind is not Kind.FILE:
            await self._answered(asked)
        return web.Response(text=_PAGE, content_type="text/html")

    async def _cut_json(self, asked: Asked) -> web.StreamResponse:
        answer = await self._answered(asked)
        body = _body(answer)
        return web.Response(status=answer.status, body=body[: len(body) // 2], content_type="application/json")

    async def _cut_off(self, asked: Asked) -> web.StreamResponse:
        body, cut = await self._whole(asked)
        with suppress(ConnectionError):  # the client has gone
            await cut.prepare(asked.request)
            await cut.write(body[: max(1, len(body) // 2)])
        _reset(asked.request)
        return cut

    async def _drip(self, asked: Asked) -> web.StreamResponse:
        body, slow = await self._whole(asked)
        step = max(1, len(body) // _PIECES)
        with suppress(ConnectionError):  # the client has gone
            await slow.prepare(asked.request)
            for start in range(0, len(body), step):
                await slow.write(body[start : start + step])
                await asyncio.sleep(self._clock.real_s(self._plan.drip_s / _PIECES))
            await slow.write_eof()
        return slow

    async def _busy(self, asked: Asked) -> web.StreamResponse:
        wish = asked.chance.choice([{"Retry-After": "1"}, {"retry-after-ms": "300"}, {"x-should-retry": "true"}, {}])
        status = 429 if asked.kind is Kind.GENERATE else asked.chance.choice([429, 503])
        return web.json_response({"error": "Too Many Requests"}, status=status, headers=wish)

    async def _ceiling(self, asked: Asked) -> web.StreamResponse:
        details = {"actionName": "custom-generation", "actionLimit": asked.chance.randint(1, 3)}
        return web.json_response({"error": "Too Many Requests", "details": details}, status=429)

    async def _short(self, asked: Asked) -> web.StreamResponse:
        pages = asked.request.rel_url.update_query(pageSize=str(asked.chance.randint(1, 3)))
        return await self._answered(
            Asked(
                request=asked.request.clone(rel_url=pages), handler=asked.handler, kind=asked.kind, chance=asked.chance
            )
        )

    async def _expired(self, asked: Asked) -> web.StreamResponse:
        return web.json_response({"error": "Forbidden"}, status=asked.chance.choice([403, 403, 410]))

    async def _redirect(self, asked: Asked) -> web.StreamResponse:
        """To where the file really is, through a further hop."""
        there = asked.request.rel_url.update_query(hop=str(asked.chance.randint(1, 99)))
        return web.Response(status=302, headers={"Location": str(there)})

    async def _redirect_away(self, _: Asked) -> web.StreamResponse:
        return web.Response(status=302, headers={"Location": f"{self._other_host}/file"})

    async def _damaged(self, asked: Asked) -> web.StreamResponse:
        """Whole by its length; no GLB by its structure."""
        body, _ = await self._whole(asked)
        spoiled = bytearray(body)
        at = asked.chance.choice([0, 4, 8, 12, 16, 20, 21])  # magic, version, lengths, chunk type, the JSON's beginning
        spoiled[at] ^= 0x80
        return web.Response(body=bytes(spoiled), content_type="model/gltf-binary")

    async def _truncated(self, asked: Asked) -> web.StreamResponse:
        body, _ = await self._whole(asked)
        return web.Response(body=body[: asked.chance.randrange(len(body))], content_type="model/gltf-binary")

    async def _misnamed(self, _: Asked) -> web.StreamResponse:
        return web.Response(body=_PAGE.encode(), content_type="model/gltf-binary")

    async def _whole(self, asked: Asked) -> tuple[bytes, web.StreamResponse]:
        """The whole body of a right answer, and an answer of its size to send it with."""
        if asked.kind is Kind.FILE:
            asset_id = asked.request.path.rpartition("/")[2]
            body, headers = self._jobs.asset_path(asset_id).read_bytes(), {"ETag": f'"{asset_id}"'}
            answer = web.StreamResponse(headers={**headers, "Content-Type": "model/gltf-binary"})
        else:
            told = await self._answered(asked)
            body = _body(told)
            answer = web.StreamResponse(status=told.status, headers={"Content-Type": "application/json"})
        answer.content_length = len(body)
        return body, answer

    async def _arrange(self, said: dict[str, Any]) -> web.Response:
        await self._jobs.decide()
        self._arranged = {
            Kind(kind): deque(Fault(one) if one else None for one in faults)
            for kind, faults in said["requests"].items()
        }
        self._jobs.arranged = deque(Fate(one) for one in said["jobs"])
        return web.json_response({})

    async def _truth(self) -> dict[str, Any]:
        jobs = await self._jobs.all()
        return {
            "jobs": [
                {
                    "job_id": job.job_id,
                    "content": self._jobs.content(job.inputs),
                    "inputs": job.inputs,
                    "cu": job.cu_cost,
                    "fate": await self._jobs.fate(job),
                }
                for job in jobs
            ],
            "uploads": Counter(line["uploaded"] for line in self._log.lines if "uploaded" in line),
            "requests": Counter(line["kind"] for line in self._log.lines if "kind" in line),
            "faults": Counter(line["fault"] for line in self._log.lines if line.get("fault")),
            "files_with_credentials": sum(
                line["authorization"] for line in self._log.lines if line.get("kind") == Kind.FILE
            ),
            "elsewhere": [line for line in self._log.lines if "elsewhere" in line],
        }


def _kind(request: web.Request) -> Kind:
    match (request.method, *request.path.split("/")[2:]):
        case ("POST", "generate", *_):
            kind = Kind.QUOTE if "dryRun" in request.query else Kind.GENERATE
        case ("POST", "assets"):
            kind = Kind.UPLOAD
        case ("GET", "jobs"):
            kind = Kind.FEED if "updatedAfter" in request.query else Kind.LIST
        case ("GET", "jobs", _):
            kind = Kind.JOB
        case ("POST", "assets", "get-bulk") | ("GET", "assets", _):
            kind = Kind.ASSETS
        case ("GET", "files", _):
            kind = Kind.FILE
        case _:
            kind = Kind.OTHER
    return kind


def _reset(request: web.Request) -> web.Response:
    """Close with RST instead of FIN, as a dying server does; what is returned reaches nobody."""
    if request.transport is not None:
        connection = request.transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        request.transport.abort()
    return web.Response()


def _body(answer: web.StreamResponse) -> bytes:
    assert isinstance(answer, web.Response)
    assert isinstance(answer.body, bytes)
    return answer.body


def _picture_digest(body: dict[str, Any]) -> str:
    return hashlib.sha256(b64decode(body["image"].rpartition(",")[2])).hexdigest()
