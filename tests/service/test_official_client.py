"""The official SDK as a client of our service: it cannot tell it from the real one."""

import base64
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import scenario_sdk
from scenario_sdk import AsyncScenario, Scenario

MODEL = "model_hunyuan-3d-pro-3-1-multiview"


@pytest.fixture(scope="module")
def client(service) -> Iterator[Scenario]:
    with connected(service) as client:
        yield client


@pytest.fixture
def upload(picture):
    """A function that uploads a picture and tells its asset's id."""

    def send(client: Scenario, data: bytes | None = None) -> str:
        image = base64.b64encode(data or picture()).decode()
        return client.assets.upload(name="front.png", image=image, hide=True, collection_ids=["c1"]).asset.id

    return send


def connected(service, *, kind=Scenario, **options):
    """A client that takes an answer for an error when it lacks a field of the SDK's types."""
    options = {"max_retries": 0, "_strict_response_validation": True, **options}
    return kind(api_key=service.key, api_secret=service.secret, base_url=service.url, **options)


def finished(client: Scenario, job_id: str):
    deadline = time.monotonic() + 120  # in a fresh clone the engine's kernels are compiled first
    while (job := client.jobs.retrieve(job_id).job).status not in {"success", "failure"}:
        assert time.monotonic() < deadline
    return job


def test_a_picture_becomes_a_mesh_that_can_be_downloaded(client: Scenario, upload, web) -> None:
    front = upload(client)
    launched = client.generate.run_model(MODEL, body={"frontImage": front, "faceCount": 50000}, project_id="proj_x")
    assert launched.job.job_id.startswith("job_")
    assert launched.job.status == "queued"

    job = finished(client, launched.job.job_id)
    assert job.status == "success"
    assert job.progress == 1
    assert job.job_type == "custom"
    assert job.metadata.input == {
        "frontImage": front,
        "faceCount": 50000,
        "generateType": "Normal",
        "enablePbr": False,
    }
    assert [entry.status for entry in job.status_history] == ["queued", "in-progress", "finalizing", "success"]
    assert job.updated_at == job.status_history[-1].date

    (asset_id,) = job.metadata.asset_ids
    mesh = client.assets.retrieve(asset_id).asset
    assert (mesh.kind, mesh.mime_type, mesh.source) == ("3d", "model/gltf-binary", "img23d")
    assert mesh.properties.face_count == 50000
    answer = web.get(mesh.url)  # no credentials
    assert answer.content[:4] == b"glTF"
    assert len(answer.content) == mesh.properties.size
    assert answer.headers["content-type"] == "model/gltf-binary"

    download = client.assets.download.request(asset_id)
    assert web.get(download.url).content == answer.content
    assert client.assets.download.request(asset_id, target_format="glb").mime_type == "model/gltf-binary"


def test_an_uploaded_picture_is_kept_as_it_is(client: Scenario, upload, picture, web) -> None:
    data = picture("blue", (200, 130))
    asset = client.assets.retrieve(upload(client, data)).asset
    assert (asset.kind, asset.mime_type, asset.source, asset.is_hidden) == ("image", "image/png", "uploaded", True)
    assert (asset.properties.size, asset.properties.width, asset.properties.height) == (len(data), 200, 130)
    assert asset.collection_ids == ["c1"]
    assert web.get(asset.url).content == data


def test_a_large_picture_arrives_in_parts(client: Scenario, picture, web) -> None:
    data = picture(size=(1300, 1300), compress_level=0)
    size = 5 * 1024 * 1024
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    upload = client.uploads.create(
        file_name="large.png", file_size=len(data), content_type="image/png", kind="image", parts=len(pieces)
    ).upload
    assert upload.status == "pending"
    assert [part.number for part in upload.parts] == [1, 2]
    for part, piece in zip(upload.parts, pieces, strict=True):
        assert web.put(part.url, content=piece).status_code == 200
    client.uploads.trigger_action(upload.id, action="complete")
    done = client.uploads.retrieve(upload.id).upload
    assert done.status == "imported"
    assert web.get(client.assets.retrieve(done.entity_id).asset.url).content == data
    again = client.uploads.trigger_action(upload.id, action="complete").upload
    assert again.entity_id == done.entity_id


def test_an_upload_that_is_not_what_was_announced_fails(client: Scenario) -> None:
    upload = client.uploads.create(
        file_name="x.png", file_size=10, content_type="image/png", kind="image", parts=1
    ).upload
    failed = client.uploads.trigger_action(upload.id, action="complete").upload
    assert failed.status == "failed"
    assert failed.error_message == "part 1 of 1 has not arrived"


def test_a_dry_run_quotes_and_creates_nothing(service, upload) -> None:
    with connected(service, _strict_response_validation=False) as client:  # the answer has no job
        front = upload(client)
        before = client.jobs.list().jobs
        for tier in ("true", "api"):
            raw = client.generate.with_raw_response.run_model(MODEL, body={"frontImage": front}, dry_run=tier)
            assert raw.status_code == 269
            assert raw.parse().creative_units_cost == 0
            assert "job" not in raw.http_response.json()
        assert client.jobs.list().jobs == before


def test_the_list_pages_through_all_jobs_newest_first(client: Scenario, upload) -> None:
    front = upload(client)
    made = [client.generate.run_model(MODEL, body={"frontImage": front}).job.job_id for _ in range(5)]
    for job_id in made:
        finished(client, job_id)
    by_creation = [job.job_id for job in client.jobs.list(page_size=2)]
    assert set(made) <= set(by_creation)
    assert len(by_creation) == len(set(by_creation))
    created = [job.created_at for job in client.jobs.list(page_size=3)]
    assert created == sorted(created, reverse=True)
    updated = [job.updated_at for job in client.jobs.list(types=["custom", "inference"], page_size=2)]
    assert updated == sorted(updated, reverse=True)
    assert len(updated) == len(by_creation)
    assert not client.jobs.list(types=["inference"]).jobs
    assert not client.jobs.list(status="failure").jobs
    since = client.jobs.retrieve(made[1]).job.updated_at
    assert {job.job_id for job in client.jobs.list(types=["custom"], updated_after=since)} == set(made[2:])


def test_times_go_with_the_order_of_the_list(client: Scenario) -> None:
    with pytest.raises(scenario_sdk.BadRequestError, match="createdAfter is not allowed with"):
        client.jobs.list(types=["custom"], created_after="2026-01-01T00:00:00.000Z")
    with pytest.raises(scenario_sdk.BadRequestError, match="updatedAfter is not allowed without"):
        client.jobs.list(updated_after="2026-01-01T00:00:00.000Z")
    with pytest.raises(scenario_sdk.BadRequestError, match="pageSize: '101' is no whole number from 1 to 100"):
        client.jobs.list(page_size=101)


def test_assets_are_looked_up_and_deleted_in_bulk(client: Scenario, upload, web) -> None:
    known = [upload(client), upload(client)]
    found = client.assets.get_bulk(asset_ids=[*known, "asset_unknown"]).assets
    assert [asset.id for asset in found] == known
    client.assets.delete_multiple(asset_ids=[known[0], "asset_unknown"])
    assert [asset.id for asset in client.assets.get_bulk(asset_ids=known).assets] == known[1:]
    assert web.get(found[0].url).status_code == 404
    with pytest.raises(scenario_sdk.BadRequestError, match="assetIds"):
        client.assets.get_bulk(asset_ids=["asset_x"] * 201)


def test_model_team_and_limits_are_told(client: Scenario) -> None:
    model = client.models.retrieve(MODEL).model
    inputs = {one.name: one for one in model.inputs}
    assert len(inputs) == 11
    assert inputs["frontImage"].required.always is True
    assert inputs["backImage"].required.always is False
    assert (inputs["frontImage"].type, inputs["frontImage"].max_size) == ("file", 8 * 1024 * 1024)
    faces = inputs["faceCount"]
    assert (faces.min, faces.max, faces.default, faces.cost_impact) == (40_000, 1_500_000, 500_000, True)
    assert inputs["generateType"].allowed_values == ["Normal", "Geometry"]
    assert [one.id for one in client.models.list()] == [MODEL]
    (team,) = client.teams.list().teams
    assert client.teams.retrieve_limits(team.id).limits.parallel_custom_jobs == 50


def test_errors_come_as_the_sdk_knows_them(service, client: Scenario) -> None:
    with (
        Scenario(api_key="key", api_secret="wrong", base_url=service.url, max_retries=0) as stranger,
        pytest.raises(scenario_sdk.AuthenticationError, match="API key or its secret is wrong"),
    ):
        stranger.jobs.list()
    for call in (client.jobs.retrieve, client.assets.retrieve, client.models.retrieve, client.uploads.retrieve):
        with pytest.raises(scenario_sdk.NotFoundError, match=r"there is no .* x_unknown") as caught:
            call("x_unknown")
        assert caught.value.response.headers["x-request-id"]
        assert caught.value.body["error"] == "Not Found"
    with pytest.raises(scenario_sdk.NotFoundError, match="frontImage: asset_gone") as caught:
        client.generate.run_model(MODEL, body={"frontImage": "asset_gone"})
    assert caught.value.body["details"] == {"assetIds": ["asset_gone"]}


def test_wrong_inputs_are_refused_all_at_once(client: Scenario, upload, picture) -> None:
    front = upload(client)
    body = {"leftImage": 7, "faceCount": 10, "generateType": "Geometri", "enablePbr": "yes", "colour": "red"}
    with pytest.raises(scenario_sdk.BadRequestError) as caught:
        client.generate.run_model(MODEL, body=body)
    reason = caught.value.body["reason"]
    for words in (
        "frontImage is required",
        "leftImage: 7 is no asset id",
        "faceCount: 10 is below 40,000",
        "generateType: 'Geometri' is none of Normal, Geometry (nearest: Geometry)",
        "enablePbr: 'yes' is no boolean",
        "no parameter 'colour'",
    ):
        assert words in reason
    small = upload(client, picture(size=(300, 100)))
    with pytest.raises(scenario_sdk.BadRequestError, match=rf"leftImage: {small} is 300 x 100 px"):
        client.generate.run_model(MODEL, body={"frontImage": front, "leftImage": small})
    with pytest.raises(scenario_sdk.BadRequestError, match="fbx"):
        client.assets.download.request(front, target_format="fbx")
    with pytest.raises(scenario_sdk.BadRequestError, match="not a picture"):
        upload(client, b"MZ no picture at all")
    job = client.generate.run_model(MODEL, body={"frontImage": front}).job
    with pytest.raises(scenario_sdk.BadRequestError, match="cannot be canceled"):
        client.jobs.trigger_action(job.job_id, action="cancel")


def test_the_ceiling_is_a_429_that_names_itself(started, tmp_path: Path, monkeypatch, upload) -> None:
    monkeypatch.setenv("MVMESH_TEST_GATE", str(tmp_path))
    with connected(started(engine="engines:gated", ceiling=2)) as client:
        front = upload(client)
        jobs = [client.generate.run_model(MODEL, body={"frontImage": front}).job for _ in range(2)]
        with pytest.raises(scenario_sdk.RateLimitError) as caught:
            client.generate.run_model(MODEL, body={"frontImage": front})
        assert caught.value.body["details"] == {"actionName": "custom-generation", "actionLimit": 2}
        assert caught.value.response.headers["retry-after"] == "5"
        assert len(client.jobs.list().jobs) == 2
        (tmp_path / "go").touch()
        assert [finished(client, job.job_id).status for job in jobs] == ["success", "success"]
        client.generate.run_model(MODEL, body={"frontImage": front})


@pytest.mark.anyio
async def test_the_async_client_finds_the_same(service, picture) -> None:
    async with connected(service, kind=AsyncScenario) as client:
        image = base64.b64encode(picture()).decode()
        front = (await client.assets.upload(name="front.png", image=f"data:image/png;base64,{image}")).asset
        job = (await client.generate.run_model(MODEL, body={"frontImage": front.id})).job
        while job.status not in {"success", "failure"}:
            job = (await client.jobs.retrieve(job.job_id)).job
        bulk = await client.assets.get_bulk(asset_ids=job.metadata.asset_ids)
        async with httpx.AsyncClient(verify=False) as plain:
            assert (await plain.get(bulk.assets[0].url)).content[:4] == b"glTF"
        assert job.job_id in [one.job_id async for one in client.jobs.list(types=["custom"], page_size=1)]
        with pytest.raises(scenario_sdk.NotFoundError):
            await client.jobs.retrieve("job_unknown")


def test_the_real_engine_makes_a_mesh(real_service, upload, picture, web) -> None:
    with connected(real_service) as client:
        body = {"frontImage": upload(client), "rightImage": upload(client, picture("green")), "faceCount": 40000}
        job = finished(client, client.generate.run_model(MODEL, body=body | {"enablePbr": True}).job.job_id)
        assert job.status == "success", job.metadata
        assets = client.assets.get_bulk(asset_ids=job.metadata.asset_ids).assets
        assert [asset.source for asset in assets] == [
            "img23d",
            "3d:texture:albedo",
            "3d:texture:metallic",
            "3d:texture:roughness",
            "3d:texture:normal",
        ]
        assert 20_000 <= assets[0].properties.face_count <= 40_000
        assert assets[0].properties.has_u_vs
        glb = web.get(assets[0].url).content
        assert glb[:4] == b"glTF"
        assert int.from_bytes(glb[8:12], "little") == len(glb) == assets[0].properties.size
