"""What one would write with the official client: a worker for every job in flight, a look every three seconds.

    python tests/bench/sdk_script.py threads|gather|aiohttp BASE_URL FACE_COUNT AT_ONCE OUT_FOLDER SET_FOLDER ...

With ``threads`` it is the client with a pool of threads, with ``gather`` the asynchronous one with a semaphore, with
``aiohttp`` the same over its other transport. No ledger, no second try beyond the client's own: what ``mvmesh run`` is
measured against. MVMESH_TEST_HURRY says how many times as fast
time passes (``hurried_clock.py``); the client's timeouts are its own.
"""

import asyncio
import base64
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from time import sleep  # noqa: TID251 - scripts wait so
from typing import Any

import httpx
from scenario_sdk import AsyncScenario, DefaultAioHttpClient, Scenario

from pipeline.domain.views import recognise

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from hurried_clock import HurriedClock

MODEL = "model_hunyuan-3d-pro-3-1-multiview"
POLL_S = 3
HURRY = float(os.environ.get("MVMESH_TEST_HURRY", "1"))
FINAL = {"success", "failure", "canceled"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What the command line asks for."""

    access: dict[str, Any]
    face_count: int
    at_once: int
    out: Path
    folders: tuple[Path, ...]
    poll_s: float = POLL_S


def view_images(folder: Path) -> dict[str, Path]:
    return {view.field: path for path in sorted(folder.iterdir()) if (view := recognise(path.name))}


def base64_of(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()


def make(client: Scenario, web: httpx.Client, order: Order, folder: Path) -> None:
    inputs: dict[str, Any] = {"faceCount": order.face_count}
    for field, path in view_images(folder).items():
        inputs[field] = client.assets.upload(name=path.name, image=base64_of(path), hide=True).asset.id
    job = client.generate.run_model(MODEL, body=inputs).job
    while job.status not in FINAL:
        time.sleep(order.poll_s)  # noqa: TID251 - as such scripts do
        job = client.jobs.retrieve(job.job_id).job
    mesh = client.assets.retrieve(job.metadata.asset_ids[0]).asset
    (order.out / f"{folder.name}.glb").write_bytes(web.get(mesh.url).raise_for_status().content)


async def make_async(client: AsyncScenario, web: httpx.AsyncClient, order: Order, folder: Path) -> None:
    inputs: dict[str, Any] = {"faceCount": order.face_count}
    for field, path in view_images(folder).items():
        uploaded = await client.assets.upload(name=path.name, image=base64_of(path), hide=True)
        inputs[field] = uploaded.asset.id
    job = (await client.generate.run_model(MODEL, body=inputs)).job
    while job.status not in FINAL:
        await asyncio.sleep(order.poll_s)
        job = (await client.jobs.retrieve(job.job_id)).job
    mesh = (await client.assets.retrieve(job.metadata.asset_ids[0])).asset
    answer = (await web.get(mesh.url)).raise_for_status()
    (order.out / f"{folder.name}.glb").write_bytes(answer.content)


def tell_of(folder: Path, error: BaseException) -> None:
    print(f"{folder.name}: {type(error).__name__}: {error}", file=sys.stderr)


def with_threads(order: Order) -> None:
    """Threads have no loop that could hurry: what waits is told to wait less."""
    time.sleep = lambda seconds: sleep(seconds / HURRY)  # noqa: TID251 - the client's own pauses
    with (
        Scenario(**order.access, timeout=httpx.Timeout(60 / HURRY, connect=5)) as client,
        httpx.Client(follow_redirects=True, timeout=60 / HURRY) as web,
        ThreadPoolExecutor(order.at_once) as pool,
    ):
        made = [pool.submit(make, client, web, order, folder) for folder in order.folders]
        for folder, one in zip(order.folders, made, strict=True):
            if error := one.exception():
                tell_of(folder, error)


async def with_gather(order: Order) -> None:
    async with AsyncScenario(**order.access) as client, httpx.AsyncClient(follow_redirects=True, timeout=60) as web:
        await _gathered(client, web, order)


async def with_aiohttp(order: Order) -> None:
    async with (
        AsyncScenario(**order.access, http_client=DefaultAioHttpClient()) as client,
        DefaultAioHttpClient(timeout=60) as web,
    ):
        await _gathered(client, web, order)


async def _gathered(client: AsyncScenario, web: httpx.AsyncClient, order: Order) -> None:
    turns = asyncio.Semaphore(order.at_once)

    async def in_turn(folder: Path) -> None:
        async with turns:
            await make_async(client, web, order, folder)

    made = await asyncio.gather(*map(in_turn, order.folders), return_exceptions=True)  # noqa: TID251 - as they do
    for folder, error in zip(order.folders, made, strict=True):
        if error is not None:
            tell_of(folder, error)


def main(way: str, base_url: str, face_count: str, at_once: str, out: str, *folders: str) -> None:
    key, secret = os.environ["SCENARIO_SDK_API_KEY"], os.environ["SCENARIO_SDK_API_SECRET"]
    order = Order(
        access={"api_key": key, "api_secret": secret, "base_url": base_url},
        face_count=int(face_count),
        at_once=int(at_once),
        out=Path(out),
        folders=tuple(map(Path, folders)),
    )
    if way == "threads":
        with_threads(order)
    else:
        HurriedClock(times=HURRY).rule_event_loops()
        asyncio.run(with_aiohttp(order) if way == "aiohttp" else with_gather(order))


if __name__ == "__main__":
    main(*sys.argv[1:])
