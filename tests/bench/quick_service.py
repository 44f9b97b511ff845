"""A service that costs next to nothing, so that it is the client that is measured: python tests/bench/quick_service.py

It speaks the API from memory, in a process of its own: several thousand small requests a second on one core. It checks
nothing, decodes no picture, and counts everything. Prints its base URL, serves until its input ends. ``GET /truth``
tells what happened, ``POST /reset`` begins anew with the ``Behaviour`` of its body.
"""

import asyncio
import contextlib
import gc
import json
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from math import inf
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from quick_http import Answer, Connection, Request
from quick_jobs import Behaviour, Job, Jobs
from quick_mesh import Mesh

from pipeline.domain.model import MODEL_ID
from pipeline.service.wire import TEAM_ID, limits_document, model_document, team_document

PAGE_MAX = 100
_JOB = (
    '{"jobId":"job_%09d","jobType":"custom","status":"%s","progress":%d,"statusHistory":[],"createdAt":"%s",'
    '"updatedAt":"%s","authorId":"user_quick","ownerId":"proj_quick","billing":{"cuCost":%g,"cuDiscount":0},'
    '"metadata":{"modelId":"%s","assetIds":[%s],"input":%s}}'
)
_ASSET = (
    '{"id":"%s","kind":"%s","mimeType":"%s","source":"%s","status":"success","privacy":"private","url":"%s",'
    '"properties":{"size":%d,"format":"%s"},"metadata":{"kind":"%s","type":"%s","name":"%s"},"isHidden":true,'
    '"collectionIds":[],"editCapabilities":[],"tags":[],"authorId":"user_quick","ownerId":"proj_quick",'
    '"createdAt":"2026-01-01T00:00:00.000Z","updatedAt":"2026-01-01T00:00:00.000Z"}'
)


class Service:
    """All state, and a method a route."""

    def __init__(self, behaviour: Behaviour) -> None:
        self.origin = ""
        self._mesh = Mesh(behaviour.mesh_bytes)
        self._routes: dict[tuple[bytes, bytes], Callable[[Request], Answer]] = {
            (b"GET", b"/v1/teams"): self._teams,
            (b"GET", f"/v1/teams/{TEAM_ID}/limits".encode()): self._limits,
            (b"GET", b"/v1/models/"): self._model,
            (b"POST", b"/v1/assets"): self._upload,
            (b"POST", b"/v1/generate/custom/"): self._generate,
            (b"GET", b"/v1/jobs/"): self._look_up,
            (b"GET", b"/v1/jobs"): self._list,
            (b"POST", b"/v1/assets/get-bulk"): self._get_bulk,
            (b"GET", b"/v1/assets/"): self._asset,
            (b"GET", b"/files/"): self._file,
            (b"GET", b"/truth"): self._truth,
            (b"POST", b"/reset"): self._reset,
        }
        self._begin(behaviour)

    def _begin(self, behaviour: Behaviour) -> None:
        if behaviour.mesh_bytes != getattr(self, "behaviour", behaviour).mesh_bytes:
            self._mesh = Mesh(behaviour.mesh_bytes)
        self.behaviour = behaviour
        self._cpu_s = time.process_time()
        self._counts = Counter[str]()
        self._first: dict[str, float] = {}
        self._refused: list[tuple[float, int]] = []
        self._bodies = Counter[int]()
        self._jobs = Jobs(behaviour)

    def latency_s(self) -> float:
        return self.behaviour.latency_s

    def handle(self, request: Request) -> Answer:
        handler = self._routes.get((request.method, request.path))
        if handler is None:
            prefix = request.path[: request.path.rfind(b"/") + 1]
            handler = self._routes.get((request.method, prefix), self._unknown)
        return handler(request)

    def _count(self, kind: str, *, bytes_in: int = 0) -> float:
        """Now; ``kind`` has happened."""
        now = time.time()
        if kind not in self._first:
            self._first[kind] = now
        self._counts[kind] += 1
        self._counts["bytes_in"] += bytes_in
        return now

    def _unknown(self, request: Request) -> Answer:
        self._count("unknown")
        return _refusal(404, f"no {request.method.decode()} {request.path.decode()}")

    def _teams(self, _: Request) -> Answer:
        self._count("teams")
        return _json({"teams": [team_document()]})

    def _limits(self, _: Request) -> Answer:
        self._count("limits")
        ceiling = self.behaviour.ceiling if self.behaviour.tells_ceiling and self.behaviour.ceiling else -1
        return _json(limits_document(ceiling=ceiling, cu_spent=0))

    def _model(self, _: Request) -> Answer:
        self._count("models")
        return _json({"model": model_document()})

    def _upload(self, request: Request) -> Answer:
        self._count("uploads", bytes_in=len(request.body))
        return Answer(f'{{"asset":{self._picture(self._counts["uploads"])}}}'.encode())

    def _generate(self, request: Request) -> Answer:
        if b"dryRun" in request.query:
            self._count("dry_runs")
            return Answer(b'{"creativeUnitsCost":%g,"creativeUnitsDiscount":0}' % self.behaviour.price_cu, 269)
        now = self._count("generates", bytes_in=len(request.body))
        self._jobs.settle(now)
        behaviour, body = self.behaviour, hash(request.body)
        if behaviour.ceiling and self._jobs.unfinished >= behaviour.ceiling:
            self._refused.append((now, body))
            details = {"actionName": "custom-generation", "actionLimit": behaviour.ceiling}
            return _refusal(429, "the ceiling is reached", details=details)
        self._bodies[body] += 1
        job = self._jobs.make(request.body.decode(), now)
        at = now - 1e-6 if behaviour.answers_queued else now
        cost = b',"creativeUnitsCost":%g}' % behaviour.price_cu
        return Answer(b'{"job":' + self._told(job, at, now).encode() + cost)

    def _told(self, job: Job, at: float, now: float) -> str:
        """The job as it was ``at``, told ``now``."""
        is_over = job.ends <= at
        if is_over and not job.told:
            job.told = now
        status, updated = ("success", job.ends) if is_over else ("in-progress", job.created)
        made = f'"mesh_{job.number}"' if is_over else ""
        price = self.behaviour.price_cu
        dates = (_iso(job.created), _iso(updated))
        return _JOB % (job.number, status, is_over, *dates, price, MODEL_ID, made, job.inputs)

    def _look_up(self, request: Request) -> Answer:
        now = self._count("look_ups")
        job = self._jobs.of(request.path, b"job_")
        if job is None:
            return _refusal(404, "no such job")
        return Answer(f'{{"job":{self._told(job, now, now)}}}'.encode())

    def _list(self, request: Request) -> Answer:
        now = self._count("list_pages")
        self._jobs.settle(now)
        asked = {name: values[0] for name, values in parse_qs(request.query.decode()).items()}
        if "custom" not in asked.get("types", asked.get("type", "custom")).split(","):
            return _json({"jobs": []})
        size = min(int(asked.get("pageSize", 50)), PAGE_MAX)
        by_update = not asked.keys().isdisjoint({"type", "types", "status"})
        seen = now - self.behaviour.listing_lag_s
        before = int(asked["paginationToken"]) if "paginationToken" in asked else None
        after_ms = _milliseconds(asked.get("updatedAfter" if by_update else "createdAfter"))
        listed = self._jobs.by_update if by_update else self._jobs.by_creation
        jobs, last = [], None
        for at, job in listed(before, after_ms, seen):
            text = self._told(job, seen, now)
            if "status" not in asked or f'"status":"{asked["status"]}"' in text:
                jobs.append(text)
                last = at
            if len(jobs) == size:
                break
        more = f',"nextPaginationToken":"{last}"' if len(jobs) == size else ""
        return Answer(f'{{"jobs":[{",".join(jobs)}]{more}}}'.encode())

    def _asset(self, request: Request) -> Answer:
        self._count("assets")
        found = self._asset_text(request.path.rpartition(b"/")[2].decode())
        return Answer(f'{{"asset":{found}}}'.encode()) if found else _refusal(404, "no such asset")

    def _get_bulk(self, request: Request) -> Answer:
        self._count("bulk_gets")
        found = [text for one in json.loads(request.body)["assetIds"] if (text := self._asset_text(one))]
        return Answer(f'{{"assets":[{",".join(found)}]}}'.encode())

    def _asset_text(self, asset_id: str) -> str:
        kind, _, number = asset_id.partition("_")
        return self._mesh_asset(int(number)) if kind == "mesh" else self._picture(int(number))

    def _picture(self, number: int) -> str:
        where = f"{self.origin}/pictures/{number}"
        texts = ("image/png", "upload", where, 1, "png", "image", "upload", "picture")
        return _ASSET % (f"asset_{number:09d}", "image", *texts)

    def _mesh_asset(self, number: int) -> str:
        until = int(time.time() + 900) * 1000
        where = f"{self.origin}/files/mesh_{number}?expires={until}&signature={number:064x}"
        texts = ("model/gltf-binary", "img23d", where, self._mesh.size_bytes, "glb", "3d", "img23d", "mesh.glb")
        return _ASSET % (f"mesh_{number}", "3d", *texts)

    def _file(self, request: Request) -> Answer:
        now = self._count("downloads")
        job = self._jobs.of(request.path, b"mesh_")
        if job is None:
            return _refusal(404, "no such file")
        job.asked = job.asked or now
        start = self._range_start(request)
        return self._mesh.piece(job.number, start, lambda: self._fetched(job, self._mesh.size_bytes - start))

    def _fetched(self, job: Job, count: int) -> None:
        job.fetched = time.time()
        self._counts["bytes_out"] += count

    def _range_start(self, request: Request) -> int:
        _, found, rest = request.head.lower().partition(b"\r\nrange: bytes=")
        start = int(rest.partition(b"-")[0]) if found else 0
        return start if start < self._mesh.size_bytes else 0

    def _truth(self, _: Request) -> Answer:
        """See ``rig.Truth``."""
        self._jobs.settle(time.time())
        jobs = self._jobs.all
        return _json(
            {
                "behaviour": asdict(self.behaviour),
                "counts": self._counts,
                "first": self._first,
                "refused": self._refused,
                "made_twice": sum(times - 1 for times in self._bodies.values()),
                "cpu_s": time.process_time() - self._cpu_s,
                "mesh_bytes": self._mesh.size_bytes,
                "created": [job.created for job in jobs],
                "ended": [job.ends if job.ends < inf else 0 for job in jobs],
                "told": [job.told for job in jobs],
                "asked": [job.asked for job in jobs],
                "fetched": [job.fetched for job in jobs],
            }
        )

    def _reset(self, request: Request) -> Answer:
        self._begin(Behaviour(**json.loads(request.body or b"{}")))
        gc.collect()
        return _json({})


def _json(document: Any) -> Answer:
    return Answer(json.dumps(document).encode())


def _refusal(status: int, message: str, **more: Any) -> Answer:
    return Answer(json.dumps({"error": message, "reason": message, **more}).encode(), status)


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _milliseconds(text: str | None) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000) if text else 0


async def serve(behaviour: Behaviour, port: int) -> None:
    loop = asyncio.get_running_loop()
    service = Service(behaviour)
    server = await loop.create_server(
        lambda: Connection(service.handle, service.latency_s), "127.0.0.1", port, backlog=4096
    )
    service.origin = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    print(f"{service.origin}/v1", flush=True)
    ended = asyncio.Event()
    with contextlib.suppress(PermissionError):  # an input that never ends, such as /dev/null
        loop.add_reader(sys.stdin.fileno(), lambda: sys.stdin.buffer.read1() or ended.set())
    await ended.wait()


def main() -> None:
    """Its arguments: a ``Behaviour`` as JSON, a port; both may be left out."""
    said, port = (*sys.argv[1:], *("{}", "0")[len(sys.argv) - 1 :])
    gc.disable()  # its records are many and in no cycles; a collection would stand between a client and its answer
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(Behaviour(**json.loads(said)), int(port)))


if __name__ == "__main__":
    main()
