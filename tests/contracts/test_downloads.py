"""The port ``Downloads``, with hosts that behave badly."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path
from random import Random
from types import SimpleNamespace

import anyio
import pytest
from aiohttp import web
from simulation.calls import MeshDownloads, Weather
from simulation.disk import Disk
from simulation.process import immortal
from simulation.service import GenerationService, Temper

from pipeline.domain.errors import ConnectionLost, MeshDamaged, UrlExpired
from pipeline.ports.downloads import Downloader

pytestmark = pytest.mark.anyio

FAULTS = {"expired": UrlExpired, "html": MeshDamaged, "breaks off": ConnectionLost, "truncated": MeshDamaged}


class Host:
    """Serves one mesh, badly in one way at a time."""

    def __init__(self, mesh: bytes) -> None:
        self.mesh = mesh
        self.fault = ""

    async def serve(self, request: web.Request) -> web.StreamResponse:
        half = self.mesh[: len(self.mesh) // 2]
        match self.fault:
            case "expired":
                return web.Response(status=403)
            case "html":
                return web.Response(text="<html>busy</html>", content_type="text/html")
            case "truncated":
                return web.Response(body=half, content_type="model/gltf-binary")
        response = web.StreamResponse(headers={"Content-Type": "model/gltf-binary"})
        response.content_length = len(self.mesh)
        await response.prepare(request)
        await response.write(half if self.fault else self.mesh)
        if self.fault:
            request.transport.close()
        return response


@asynccontextmanager
async def _real(mesh: bytes) -> AsyncIterator[SimpleNamespace]:
    host = Host(mesh)
    app = web.Application()
    app.add_routes([web.get("/mesh", host.serve)])
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    async with Downloader.connect(f"{url}/v1") as downloads:
        yield SimpleNamespace(fetch=downloads.fetch, url=f"{url}/mesh", host=host, read=Path.read_bytes)
    await runner.cleanup()


class FaultOnDemand(MeshDownloads):
    fault = ""

    def _fault(self) -> str:
        return self._raised(self.fault)


@asynccontextmanager
async def _simulated(_: bytes) -> AsyncIterator[SimpleNamespace]:
    service = GenerationService(Temper(), Random(1), charged=lambda *_: None)
    service.send({"frontImage": "x"}, at=0, run=None)
    await anyio.sleep(100)
    (mesh,) = service.assets(["asset_m1"], anyio.current_time())
    disk = Disk(watch=lambda *_: None)
    host = FaultOnDemand(service, immortal(), Weather(), Random(1), disk)
    yield SimpleNamespace(fetch=host.fetch, url=mesh.url, host=host, read=disk.get)


@pytest.fixture
async def served(kind):
    mesh = GenerationService(Temper(), Random(1), charged=lambda *_: None)
    mesh.send({"frontImage": "x"}, at=0, run=None)
    mesh.catch_up(0)
    (data,) = mesh.meshes
    async with (_real if kind == "real" else _simulated)(data) as served:
        served.mesh = data
        yield served


async def test_a_file_is_whole_and_its_hash_is_told(served, tmp_path):
    target = tmp_path / "staging" / "mesh.part"
    got = await served.fetch(served.url, target, expected_bytes=len(served.mesh))
    assert served.read(target) == served.mesh
    assert (got.size_bytes, got.sha256) == (len(served.mesh), sha256(served.mesh).hexdigest())
    assert got.media_type == "model/gltf-binary"


@pytest.mark.parametrize("fault", FAULTS)
async def test_what_is_not_the_file_is_refused_and_the_next_try_brings_it(served, tmp_path, fault):
    target = tmp_path / "mesh.part"
    served.host.fault = fault
    with pytest.raises(FAULTS[fault]):
        await served.fetch(served.url, target, expected_bytes=len(served.mesh))
    served.host.fault = ""
    got = await served.fetch(served.url, target, expected_bytes=len(served.mesh))
    assert served.read(target) == served.mesh
    assert got.sha256 == sha256(served.mesh).hexdigest()


async def test_a_declared_size_that_is_not_met_is_damage(served, tmp_path):
    with pytest.raises(MeshDamaged):
        await served.fetch(served.url, tmp_path / "mesh.part", expected_bytes=len(served.mesh) + 1)


async def test_a_size_that_nobody_declared_is_taken_as_it_comes(served, tmp_path):
    got = await served.fetch(served.url, tmp_path / "mesh.part", expected_bytes=None)
    assert got.size_bytes == len(served.mesh)
