"""What one would use instead of ``mvmesh run``, and the least that any client must do, as processes of their own:

    python tests/bench/baselines.py threads|gather|aiohttp|bare BASE_URL AT_ONCE POLL_S SETS_FOLDER OUT_FOLDER

The first three are ``sdk_script.py``, a look every POLL_S seconds. ``bare`` is no client that one could use: an aiohttp loop
that sends what ``mvmesh run`` has to send and writes the meshes to files, without a ledger, a retry or a check: the limit.
Prints a JSON line: time and CPU (user and system) from after the imports to the end, and the peak of its memory.
"""

import asyncio
import json
import resource
import sys
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from sdk_script import MODEL, Order, base64_of, view_images, with_aiohttp, with_gather, with_threads

ACCESS = ("key", "s3cret")
FACE_COUNT = 60_000
BULK_MAX = 200
DOWNLOADS = 32
_GLANCE_S = 0.01


@dataclass(slots=True)
class Bare:
    """The least that a client must do: pictures up, one POST a set, the change feed, assets in bulk, meshes down."""

    session: aiohttp.ClientSession
    order: Order
    waiting: dict[str, asyncio.Future[str]] = field(default_factory=dict)
    """Whose end is waited for, by the job's id."""
    wanted: deque[tuple[str, asyncio.Future[str]]] = field(default_factory=deque)
    """Assets whose URL is waited for."""

    async def call(self, method: str, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        async with self.session.request(
            method, f"{self.order.access['base_url']}{path}", data=data, headers=headers
        ) as it:
            return json.loads(await it.read())

    async def make(self, folder: Path) -> None:
        inputs: dict[str, Any] = {"faceCount": self.order.face_count, "generateType": "Normal", "enablePbr": False}
        for name, path in view_images(folder).items():
            body = {"name": path.name, "image": base64_of(path), "hide": True}
            inputs[name] = (await self.call("POST", "/assets", body))["asset"]["id"]
        job = (await self.call("POST", f"/generate/custom/{MODEL}", inputs))["job"]
        asset_id = job["metadata"]["assetIds"][0] if job["status"] == "success" else await self._end_of(job["jobId"])
        url = asyncio.get_running_loop().create_future()
        self.wanted.append((asset_id, url))
        async with self.session.get(await url) as answer:
            with (self.order.out / f"{folder.name}.glb").open("wb") as file:
                async for chunk in answer.content.iter_chunked(1 << 18):
                    file.write(chunk)

    async def _end_of(self, job_id: str) -> str:
        self.waiting[job_id] = asyncio.get_running_loop().create_future()
        return await self.waiting[job_id]

    async def watch(self) -> None:
        since = newest = "2000-01-01T00:00:00.000Z"
        while True:
            await asyncio.sleep(self.order.poll_s or _GLANCE_S)
            asked, since = f"/jobs?types=custom&status=success&pageSize=100&updatedAfter={since}", newest
            page = ""
            while self.waiting:
                answer = await self.call("GET", asked + page)
                for job in answer["jobs"]:
                    newest = max(newest, job["updatedAt"])
                    if ended := self.waiting.pop(job["jobId"], None):
                        ended.set_result(job["metadata"]["assetIds"][0])
                if "nextPaginationToken" not in answer:
                    break
                page = f"&paginationToken={answer['nextPaginationToken']}"

    async def look_up(self) -> None:
        while True:
            await asyncio.sleep(_GLANCE_S)
            while self.wanted:
                asked = dict(self.wanted.popleft() for _ in range(min(len(self.wanted), BULK_MAX)))
                for asset in (await self.call("POST", "/assets/get-bulk", {"assetIds": list(asked)}))["assets"]:
                    asked[asset["id"]].set_result(asset["url"])


async def with_bare(order: Order) -> None:
    left = iter(order.folders)
    basic = aiohttp.BasicAuth(*ACCESS)
    async with aiohttp.ClientSession(auth=basic, connector=aiohttp.TCPConnector(limit=0)) as session:
        bare = Bare(session, order)

        async def work() -> None:
            for folder in left:
                await bare.make(folder)

        async with asyncio.TaskGroup() as helpers:
            asked = [helpers.create_task(bare.watch()), helpers.create_task(bare.look_up())]
            async with asyncio.TaskGroup() as workers:
                for _ in range(order.at_once):
                    workers.create_task(work())
            for one in asked:
                one.cancel()


def in_a_loop(way: Callable[[Order], Awaitable[None]]) -> Callable[[Order], None]:
    async def run(order: Order) -> None:
        await way(order)

    return lambda order: asyncio.run(run(order))


WAYS: dict[str, Callable[[Order], None]] = {
    "threads": with_threads,
    "gather": in_a_loop(with_gather),
    "aiohttp": in_a_loop(with_aiohttp),
    "bare": in_a_loop(with_bare),
}


def main(way: str, base_url: str, *rest: str) -> None:
    at_once, poll_s, sets, out = rest
    access: dict[str, Any] = dict(zip(("api_key", "api_secret"), ACCESS, strict=True)) | {"base_url": base_url}
    began, cpu_s = time.time(), time.process_time()
    Path(out).mkdir(parents=True)
    order = Order(
        access=access,
        face_count=FACE_COUNT,
        at_once=int(at_once),
        out=Path(out),
        folders=tuple(sorted(Path(sets).iterdir())),
        poll_s=float(poll_s),
    )
    WAYS[way](order)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    took = {"wall_s": time.time() - began, "cpu_s": time.process_time() - cpu_s, "peak_bytes": peak}
    print(json.dumps({**took, "finished": len(list(Path(out).glob("*.glb")))}))


if __name__ == "__main__":
    main(*sys.argv[1:])
