"""Real servers on port 0, in the test's own loop: bare sockets, and a small double of the generation service."""

import json
import re
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import anyio
import pytest
from aiohttp import web
from anyio.abc import SocketAttribute, SocketStream

from pipeline.ports.credentials import Credentials
from pipeline.ports.http import Timeouts
from pipeline.ports.retrying import Tries
from pipeline.ports.scenario import ScenarioClient
from pipeline.ports.scenario_uploads import ImportWait

CREDENTIALS = Credentials(key="api_key_1", secret="s3cret-of-mine")
JOB = {"jobId": "job_1", "status": "queued", "newField": {"deep": 1}}

Talk = Callable[[SocketStream], Awaitable[None]]


@pytest.fixture(autouse=True)
def no_proxies_or_certificates(monkeypatch):
    """This machine's proxies and certificates are no part of a test."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


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


class Service:
    """The routes of the real one, and all that it was asked. ``say`` scripts the next answers to matching requests."""

    credentials = CREDENTIALS

    def __init__(self):
        self.asked = []
        self.scripted = []
        self.uploads = {}
        self.assets = {f"asset_{n}": self._asset(f"asset_{n}") for n in range(450)}
        self.app = web.Application(client_max_size=2**26, middlewares=[self._record])
        self.app.add_routes(
            [
                web.post("/v1/assets", self._create_asset),
                web.post("/v1/assets/get-bulk", self._get_bulk),
                web.post("/v1/uploads", self._create_upload),
                web.get("/v1/uploads/{id}", self._upload),
                web.post("/v1/uploads/{id}/action", self._complete),
                web.put("/parts/{id}/{number}", self._part),
                web.post("/v1/generate/custom/{model}", self._generate),
                web.get("/v1/jobs/{id}", self._job),
                web.get("/v1/jobs", self._jobs),
                web.get("/v1/models/{id}", self._model),
                web.get("/v1/teams", self._teams),
                web.get("/v1/teams/{id}/limits", self._limits),
            ]
        )

    def say(self, where, *answers):
        self.scripted += [(where, answer) for answer in answers]

    def count(self, where):
        return sum(re.search(where, line) is not None for line, _, _ in self.asked)

    def body(self, where):
        return next(json.loads(body) for line, body, _ in self.asked if re.search(where, line))

    @web.middleware
    async def _record(self, request, handler):
        body, line = await request.read(), f"{request.method} {request.path_qs}"
        self.asked.append((line, body, dict(request.headers)))
        for n, (where, answer) in enumerate(self.scripted):
            if re.search(where, line):
                del self.scripted[n]
                return await answer(request) if callable(answer) else answer
        if request.path.startswith("/v1/") and request.headers.get("Authorization") != CREDENTIALS.authorization:
            return web.json_response({"reason": "who are you?"}, status=401)
        return await handler(request)

    @staticmethod
    def _asset(asset_id):
        return {
            "id": asset_id,
            "url": f"https://cdn.example.com/{asset_id}?sig=1",
            "kind": "3d",
            "mimeType": "model/gltf-binary",
            "source": "img23d",
            "properties": {"size": 1234, "faceCount": 40000.0, "new": None},
            "metadata": {"kind": "3d", "name": f"{asset_id}.glb"},
            "status": "success",
        }

    async def _create_asset(self, _):
        return web.json_response({"asset": self._asset("asset_new"), "job": None})

    async def _get_bulk(self, request):
        wanted = (await request.json())["assetIds"]
        assert len(wanted) <= 200
        return web.json_response({"assets": [self.assets[one] for one in reversed(wanted) if one in self.assets]})

    async def _create_upload(self, request):
        asked = await request.json()
        base = f"http://{request.host}/parts/upload_1"
        parts = [{"number": n + 1, "url": f"{base}/{n + 1}?sig=x", "expires": "z"} for n in range(asked["parts"])]
        self.uploads["upload_1"] = {"id": "upload_1", "status": "pending", "parts": parts[::-1], "got": {}, "looks": 0}
        return web.json_response({"upload": self._shown("upload_1")})

    def _shown(self, upload_id):
        return {name: value for name, value in self.uploads[upload_id].items() if name not in {"got", "looks"}}

    async def _part(self, request):
        self.uploads[request.match_info["id"]]["got"][int(request.match_info["number"])] = await request.read()
        return web.Response(headers={"ETag": '"1"'})

    async def _complete(self, request):
        self.uploads[request.match_info["id"]]["status"] = "validating"
        return web.json_response({"upload": self._shown(request.match_info["id"])})

    async def _upload(self, request):
        upload = self.uploads[request.match_info["id"]]
        upload["looks"] += 1
        if upload["status"] == "validating" and upload["looks"] > 2:
            upload |= {"status": "imported", "entityId": "asset_multipart"}
        return web.json_response({"upload": self._shown(upload["id"])})

    async def _generate(self, request):
        match request.query.get("dryRun"):
            case None:
                return web.json_response({"job": JOB, "creativeUnitsCost": 40})
            case tier:
                return web.json_response({"creativeUnitsCost": 40 if tier == "true" else 55.5}, status=269)

    async def _job(self, request):
        return web.json_response({"job": {**JOB, "jobId": request.match_info["id"]}})

    async def _jobs(self, request):
        second = "paginationToken" in request.query
        page = {"jobs": [{**JOB, "jobId": "job_2" if second else "job_1"}], "nextPaginationToken": "t/2"}
        return web.json_response(page | ({"nextPaginationToken": None} if second else {}))

    async def _model(self, request):
        inputs = [
            {"name": "frontImage", "type": "file", "required": {"always": True}, "kind": "image"},
            {"name": "moreImages", "type": "file_array"},
            {
                "name": "faceCount",
                "type": "number",
                "default": 500000.0,
                "min": 40000,
                "max": 1.5e6,
                "costImpact": True,
            },
            {"name": "generateType", "type": "string", "default": "Normal", "allowedValues": ["Normal", "Geometry"]},
            {"name": "enablePbr", "type": "boolean", "default": False, "costImpact": False},
            {"name": "weights", "type": "number_array"},
        ]
        return web.json_response({"model": {"id": request.match_info["id"], "inputs": inputs}})

    async def _teams(self, _):
        return web.json_response(
            {"teams": [{"id": "team_a", "projects": []}, {"id": "team_b", "projects": [{"id": "proj_b"}]}]}
        )

    async def _limits(self, request):
        return web.json_response({"limits": {"parallelCustomJobs": 5 if request.match_info["id"] == "team_a" else 9}})


@pytest.fixture
async def service(serving):
    one = Service()
    async with serving(one.app) as url:
        one.url = url
        yield one


def _connect(url, **more):
    usual = {
        "timeouts": Timeouts(connect_s=5, read_s=1, total_s=5),
        "tries": Tries(attempts=3, total_s=5, first_wait_s=0.001, longest_wait_s=0.01),
        "import_wait": ImportWait(total_s=2, first_pause_s=0.001, longest_pause_s=0.01),
    }
    return ScenarioClient.connect(f"{url}/v1", CREDENTIALS, **usual | more)


@pytest.fixture
def connect():
    """Connect our client to a service: short pauses, few tries."""
    return _connect


def _refusal(status, *, headers=None, **body):
    return web.json_response(body or {"reason": "no"}, status=status, headers=headers)


@pytest.fixture
def refusal():
    return _refusal
