"""The service that benchmarks run on answers our client and the official one rightly, and tells the truth about them."""

import base64
import hashlib
import json
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from urllib.parse import urlsplit

import anyio
import httpx
import pytest
import scenario_sdk
from bench.rig import QuickService, draw_sets, mvmesh, png, quick_service, write_manifest

from pipeline.domain.errors import CeilingReached
from pipeline.domain.jobs import JobStatus
from pipeline.domain.model import MODEL_ID, PUBLISHED_SCHEMA
from pipeline.ports.clock import utc_now
from pipeline.ports.credentials import Credentials
from pipeline.ports.downloads import Downloader
from pipeline.ports.interfaces import Gallery
from pipeline.ports.scenario import ScenarioClient

MESH_BYTES = 300_000
AN_HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
def process() -> Iterator[QuickService]:
    with quick_service() as service:
        yield service


@pytest.fixture
def service(process: QuickService) -> QuickService:
    process.reset()
    return process


@asynccontextmanager
async def our_client(service: QuickService) -> AsyncIterator[ScenarioClient]:
    async with ScenarioClient.connect(service.url, Credentials(key="key", secret="s3cret")) as client:
        yield client


@pytest.mark.anyio
async def test_our_client_finds_all_that_it_needs(service, tmp_path):
    service.reset(mesh_bytes=MESH_BYTES, ceiling=2, price_cu=7)
    async with our_client(service) as client, Downloader.connect(service.url) as downloads:
        assert (await client.team_limits()).parallel_jobs == 2
        assert await client.model_schema(MODEL_ID) == PUBLISHED_SCHEMA
        asset_id = await client.create_asset(name="front.png", data=png(1), media_type="image/png", gallery=Gallery())
        inputs = {"frontImage": asset_id, "faceCount": 60_000}
        assert (await client.quote(model=MODEL_ID, inputs=inputs)).cu == 7
        jobs = [await client.generate(model=MODEL_ID, inputs=inputs) for _ in range(2)]
        listed = await client.jobs(updated_after=utc_now() - AN_HOUR)
        assert [(job.job_id, job.status) for job in listed.jobs] == [(one.job_id, "success") for one in reversed(jobs)]
        assert listed.jobs[0].echo == inputs
        assert await client.job(jobs[1].job_id) == listed.jobs[0]
        assets = await client.assets([one for job in listed.jobs for one in job.asset_ids])
        got = [await downloads.fetch(one.url, tmp_path / one.asset_id, expected_bytes=one.size_bytes) for one in assets]
    assert assets[0].size_bytes == pytest.approx(MESH_BYTES, rel=0.01)
    assert {one.sha256 for one in got} == {hashlib.sha256(path.read_bytes()).hexdigest() for path in tmp_path.iterdir()}
    assert len({one.sha256 for one in got}) == 2


@pytest.mark.anyio
async def test_a_ceiling_refuses_and_is_told_or_not(service):
    service.reset(all_end_with=9, ceiling=1, tells_ceiling=False)
    async with our_client(service) as client:
        assert (await client.team_limits()).parallel_jobs is None
        job = await client.generate(model=MODEL_ID, inputs={"frontImage": "asset_1"})
        with pytest.raises(CeilingReached) as refused:
            await client.generate(model=MODEL_ID, inputs={"frontImage": "asset_2"})
        assert refused.value.ceiling == 1
        assert (await client.job(job.job_id)).status is JobStatus.IN_PROGRESS
    assert len(service.truth().refused) == 1


@pytest.mark.anyio
async def test_pages_show_each_job_once_at_its_last_change(service):
    service.reset(mean_s=0.05, sigma=1.0)
    async with our_client(service) as client:
        made = [
            (await client.generate(model=MODEL_ID, inputs={"frontImage": f"asset_{at}"})).job_id for at in range(250)
        ]
        await anyio.sleep(max(service.truth().ended) - time.time())  # else some move to the front between the pages
        pages = [await client.jobs(updated_after=utc_now() - AN_HOUR)]
        while pages[-1].next_page:
            pages.append(await client.jobs(updated_after=utc_now() - AN_HOUR, page=pages[-1].next_page))
    jobs = [job for page in pages for job in page.jobs]
    assert [len(page.jobs) for page in pages] == [100, 100, 50]
    assert sorted(job.job_id for job in jobs) == sorted(made)
    assert [job.updated_at for job in jobs] == sorted((job.updated_at for job in jobs), reverse=True)


def test_the_official_client_finds_all_that_it_needs(service):
    service.reset(answers_queued=True)
    with scenario_sdk.Scenario(api_key="key", api_secret="s3cret", base_url=service.url) as client:
        image = base64.b64encode(png(1)).decode()
        uploaded = client.assets.upload(name="front.png", image=image, hide=True).asset
        job = client.generate.run_model(MODEL_ID, body={"frontImage": uploaded.id}).job
        assert job.status == "in-progress"
        done = client.jobs.retrieve(job.job_id).job
        assert done.status == "success"
        assert [one.job_id for one in client.jobs.list(types="custom", page_size=10).jobs] == [job.job_id]
        mesh = client.assets.retrieve(done.metadata.asset_ids[0]).asset
    whole = httpx.get(mesh.url)
    rest = httpx.get(mesh.url, headers={"Range": "bytes=100-"})
    assert (whole.status_code, len(whole.content)) == (200, mesh.properties.size)
    assert (rest.status_code, rest.content) == (206, whole.content[100:])
    assert rest.headers["ETag"] == whole.headers["ETag"]


def test_pipelined_requests_and_bodies_in_chunks_are_understood(service):
    body = b'{"name":"a","image":"AAAA"}'
    chunked = b"%x\r\n%b\r\n%x;x=1\r\n%b\r\n0\r\n\r\n" % (9, body[:9], len(body) - 9, body[9:])
    upload = b"POST /v1/assets HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked
    last = b"GET /v1/teams HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    where = urlsplit(service.url)
    with socket.create_connection((where.hostname, where.port), timeout=10) as connection:
        for piece in (upload + upload[:50], upload[50:] + last):
            connection.sendall(piece)
        told = b"".join(iter(lambda: connection.recv(65536), b""))
    answers = told.split(b"HTTP/1.1 200 OK\r\n")[1:]
    assert [json.loads(one.partition(b"\r\n\r\n")[2]).keys() for one in answers] == [{"asset"}, {"asset"}, {"teams"}]
    assert service.truth().counts == {"uploads": 2, "bytes_in": 2 * len(body), "teams": 1}


def test_what_a_run_did_is_told(service, tmp_path):
    service.reset(mean_s=0.3, ceiling=2)
    draw_sets(tmp_path / "sets", 4)
    assert mvmesh("run", str(write_manifest(tmp_path, "run", service, "sets/*")), "--yes").code == 0
    truth = service.truth()
    assert (truth.counts["uploads"], truth.counts["generates"], truth.counts["downloads"]) == (16, 4, 4)
    assert (truth.fetched_count, truth.made_twice, truth.refused) == (4, 0, [])
    assert truth.ideal_s(slots=2) == pytest.approx(0.6)
    assert truth.makespan_s > truth.ideal_s(slots=2)
    assert truth.lag_s > 0
