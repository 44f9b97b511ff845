"""The batch's own client against the service: what the batch relies on, end to end."""

import hashlib
from datetime import UTC, datetime

import pytest

from pipeline.domain.errors import AssetGone, CeilingReached, CredentialsError, RequestRefused, UrlExpired
from pipeline.domain.jobs import JobStatus
from pipeline.domain.model import MODEL_ID, PUBLISHED_SCHEMA
from pipeline.ports.credentials import Credentials
from pipeline.ports.downloads import Downloader
from pipeline.ports.interfaces import Gallery
from pipeline.ports.scenario import ScenarioClient

pytestmark = pytest.mark.anyio


def connected(service, **options):
    credentials = Credentials(key=service.key, secret=service.secret)
    return ScenarioClient.connect(service.url, credentials, **options)


async def sent(client: ScenarioClient, data: bytes) -> str:
    return await client.create_asset(
        name="front.png", data=data, media_type="image/png", gallery=Gallery(collections=["c"])
    )


async def test_a_mesh_is_made_found_and_fetched(service, picture, tmp_path) -> None:
    began = datetime.now(UTC)  # noqa: TID251 - what the service's own clock is compared with
    async with connected(service, project="proj_x") as client:
        inputs = {"frontImage": await sent(client, picture()), "faceCount": 60_000}
        assert (await client.quote(model=MODEL_ID, inputs=inputs)).cu == 0
        job = await client.generate(model=MODEL_ID, inputs=inputs)
        while not job.status.is_final:
            job = await client.job(job.job_id)
        assert job.status is JobStatus.SUCCESS
        assert job.cu_charged == 0
        assert job.echo.items() >= inputs.items()
        feed = await client.jobs(updated_after=began)
        assert job.job_id in {one.job_id for one in feed.jobs}
        (mesh,) = await client.assets([*job.asset_ids, "asset_unknown"])
        assert (mesh.media_type, mesh.source, mesh.face_count) == ("model/gltf-binary", "img23d", 60_000)

    async with Downloader.connect(service.url, max_bytes=10**6) as downloads:
        got = await downloads.fetch(mesh.url, tmp_path / "mesh", expected_bytes=mesh.size_bytes)
        data = (tmp_path / "mesh").read_bytes()
        assert (got.size_bytes, got.sha256) == (mesh.size_bytes, hashlib.sha256(data).hexdigest())
        assert got.media_type == "model/gltf-binary"
        with pytest.raises(UrlExpired):
            await downloads.fetch(mesh.url + "0", tmp_path / "forged", expected_bytes=None)


async def test_a_large_picture_goes_in_parts(service, picture) -> None:
    async with connected(service) as client:
        asset_id = await sent(client, large := picture(size=(1300, 1300), compress_level=0))
        (asset,) = await client.assets([asset_id])
    assert asset.size_bytes == len(large) > 5 * 1024 * 1024
    assert asset.name == "front.png"


async def test_schema_and_limits_are_those_that_are_held_to(service) -> None:
    async with connected(service) as client:
        schema = await client.model_schema(MODEL_ID)
        limits = await client.team_limits()
    assert schema.choices == PUBLISHED_SCHEMA.choices
    assert schema.parameters.keys() == PUBLISHED_SCHEMA.parameters.keys()
    assert limits.parallel_jobs == 50


async def test_refusals_are_understood(started, picture, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("MVMESH_TEST_GATE", str(tmp_path))
    service = started(engine="engines:gated", ceiling=1)
    async with connected(service) as client:
        front = await sent(client, picture())
        with pytest.raises(AssetGone) as gone:
            await client.generate(model=MODEL_ID, inputs={"frontImage": front, "backImage": "asset_gone"})
        assert gone.value.asset_ids == ("asset_gone",)
        with pytest.raises(RequestRefused, match="faceCount: 7 is below 40,000"):
            await client.generate(model=MODEL_ID, inputs={"frontImage": front, "faceCount": 7})
        with pytest.raises(RequestRefused, match="not a picture"):
            await sent(client, b"no picture")
        await client.generate(model=MODEL_ID, inputs={"frontImage": front})
        with pytest.raises(CeilingReached) as full:
            await client.generate(model=MODEL_ID, inputs={"frontImage": front})
        assert (full.value.ceiling, full.value.retry_after_s) == (1, 5)
    stranger = Credentials(key=service.key, secret="wrong")
    async with ScenarioClient.connect(service.url, stranger) as client:
        with pytest.raises(CredentialsError):
            await client.job("job_x")
    (tmp_path / "go").touch()
