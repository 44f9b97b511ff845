from datetime import UTC, datetime

import anyio
import pytest
from aiohttp import web

from pipeline.domain.errors import CredentialsError, RequestRefused
from pipeline.domain.jobs import JobStatus
from pipeline.domain.model import MODEL_ID, ParameterType
from pipeline.ports.credentials import Credentials
from pipeline.ports.scenario import ScenarioClient

pytestmark = pytest.mark.anyio


async def test_a_job_is_read_with_all_that_it_tells(service, connect):
    job = {
        "jobId": "job_1",
        "status": "success",
        "progress": 1.5,
        "createdAt": "2026-02-03T11:19:41.579Z",
        "updatedAt": "2026-02-03T13:19:41+02:00",
        "metadata": {"assetIds": ["asset_1", "asset_2"], "input": {"frontImage": "asset_f"}, "error": None},
        "billing": {"cuCost": 40, "cuDiscount": 10, "cuCostDetails": {"quality-gate": 2, "texture": None}},
    }
    service.say("GET /v1/jobs", web.json_response({"job": job}))
    async with connect(service.url) as client:
        read = await client.job("job_1")
    assert read.status is JobStatus.SUCCESS
    assert read.progress == 1.0
    assert read.created_at == datetime(2026, 2, 3, 11, 19, 41, 579000, tzinfo=UTC)
    assert read.updated_at == datetime(2026, 2, 3, 11, 19, 41, tzinfo=UTC)
    assert read.asset_ids == ("asset_1", "asset_2")
    assert read.echo == {"frontImage": "asset_f"}
    assert (read.error, read.hint) == ("", "")
    assert read.cu_charged == 42


@pytest.mark.parametrize(
    ("told", "notes"),
    [
        (["the depth is guessed", "\x1b[2Jb\nc", "", 7], ("the depth is guessed", "[2Jb c")),
        (None, ()),
        ("a text", ()),
        ({"a": 1}, ()),
        (["n"] * 1000, ("n",) * 20),
    ],
)
async def test_notes_are_our_own_services_and_spoil_nothing_where_they_are_another_ones(service, told, notes, connect):
    job = {"jobId": "job_1", "status": "success", "metadata": {"assetIds": ["a"], "notes": told}}
    service.say("GET /v1/jobs", web.json_response({"job": job}))
    async with connect(service.url) as client:
        read = await client.job("job_1")
    assert (read.notes, read.asset_ids) == (notes, ("a",))


@pytest.mark.parametrize(
    ("told", "blames"), [("pictures", True), (None, False), ("Pictures!", False), (["pictures"], False)]
)
async def test_only_our_own_word_blames_the_pictures(service, told, blames, connect):
    job = {"jobId": "job_1", "status": "failure", "metadata": {"error": "no", "fault": told}}
    service.say("GET /v1/jobs", web.json_response({"job": job}))
    async with connect(service.url) as client:
        assert (await client.job("job_1")).blames_pictures is blames


@pytest.mark.parametrize(("billing", "charged"), [({"cuCost": 40}, 0.0), ({"cuCost": 40, "disableRefund": True}, 40)])
async def test_a_failed_job_costs_nothing_unless_refunds_are_off(service, billing, charged, connect):
    job = {"jobId": "job_1", "status": "failure", "metadata": {"error": "no", "hint": "try"}, "billing": billing}
    service.say("GET /v1/jobs", web.json_response({"job": job}))
    async with connect(service.url) as client:
        read = await client.job("job_1")
    assert (read.cu_charged, read.error, read.hint) == (charged, "no", "try")


async def test_an_unmet_status_is_in_progress(service, connect):
    service.say("GET /v1/jobs", web.json_response({"job": {"jobId": "j", "status": "levitating"}}))
    async with connect(service.url) as client:
        job = await client.job("j")
    assert job.status is JobStatus.UNKNOWN
    assert not job.status.is_final


async def test_jobs_are_listed_page_by_page(service, connect):
    since = datetime(2026, 2, 3, 4, 5, 6, 789000, tzinfo=UTC)
    async with connect(service.url, project="proj_b") as client:
        first = await client.jobs(updated_after=since)
        second = await client.jobs(updated_after=since, page=first.next_page)
    assert [job.job_id for page in (first, second) for job in page.jobs] == ["job_1", "job_2"]
    assert second.next_page is None
    feed = "projectId=proj_b&pageSize=100&types=custom&updatedAfter=2026-02-03T04:05:06.789Z"
    assert [line for line, _, _ in service.asked] == [
        f"GET /v1/jobs?{feed}",
        f"GET /v1/jobs?{feed}&paginationToken=t/2",
    ]


async def test_jobs_by_creation_go_without_the_filters_that_the_service_forbids_with_it(service, connect):
    since = datetime(2026, 2, 3, tzinfo=UTC)
    async with connect(service.url) as client:
        await client.jobs(created_after=since)
        with pytest.raises(ValueError, match="not by both"):
            await client.jobs(created_after=since, updated_after=since)
    assert [line for line, _, _ in service.asked] == ["GET /v1/jobs?pageSize=100&createdAfter=2026-02-03T00:00:00.000Z"]


async def test_assets_come_in_bulk_in_the_order_of_asking(service, connect):
    wanted = ["asset_3", "asset_unknown", "asset_1", "asset_3"]
    async with connect(service.url) as client:
        found = await client.assets(wanted)
        many = await client.assets([f"asset_{n}" for n in range(450)])
        assert await client.assets([]) == []
    assert [one.asset_id for one in found] == ["asset_3", "asset_1"]
    first = found[0]
    assert (first.kind, first.media_type, first.source) == ("3d", "model/gltf-binary", "img23d")
    assert (first.name, first.size_bytes, first.face_count) == ("asset_3.glb", 1234, 40000)
    assert len(many) == 450
    assert service.count("get-bulk") == 1 + 3


async def _look_up(client, asset_ids, got):
    try:
        got[asset_ids] = [one.asset_id for one in await client.assets(asset_ids)]
    except RequestRefused as error:
        got[asset_ids] = error


async def _all_at_once(client, *asked):
    got = {}
    async with anyio.create_task_group() as tasks:
        for asset_ids in asked:
            tasks.start_soon(_look_up, client, asset_ids, got)
    return got


async def test_who_looks_assets_up_at_one_time_shares_requests(service, connect):
    asked = [(f"asset_{n}", f"asset_{n + 1}", "gone") for n in range(60)]
    async with connect(service.url) as client:
        got = await _all_at_once(client, *asked)
    assert got == {one: list(one[:2]) for one in asked}
    assert service.count("get-bulk") <= 4


async def test_an_asset_that_is_refused_harms_no_other(service, connect):
    async def refuse(request):
        wanted = (await request.json())["assetIds"]
        if "asset_7" in wanted:
            return web.json_response({"reason": "asset_7 is poison"}, status=400)
        return web.json_response({"assets": [service.assets[one] for one in wanted]})

    service.say("get-bulk", *[refuse] * 40)
    asked = [(f"asset_{n}",) for n in range(20)]
    async with connect(service.url) as client:
        got = await _all_at_once(client, *asked)
    assert "poison" in str(got.pop(("asset_7",)))
    assert got == {one: list(one) for one in asked if one != ("asset_7",)}


@pytest.mark.parametrize("size", [0, -1, None])
async def test_a_size_that_no_file_has_is_none_told(service, connect, size):
    service.assets["asset_1"]["properties"]["size"] = size
    async with connect(service.url) as client:
        (asset,) = await client.assets(["asset_1"])
    assert asset.size_bytes is None


async def test_a_models_inputs_become_its_schema(service, connect):
    async with connect(service.url) as client:
        schema = await client.model_schema(MODEL_ID)
    by_name = schema.parameters
    assert list(by_name) == ["frontImage", "moreImages", "faceCount", "generateType", "enablePbr"]
    assert by_name["frontImage"].type is ParameterType.FILE
    assert by_name["frontImage"].required
    assert not by_name["frontImage"].cost_impact
    count = by_name["faceCount"]
    assert (count.default, count.min, count.max, count.cost_impact) == (500000, 40000, 1500000, True)
    assert isinstance(count.default, int)
    assert by_name["generateType"].allowed == ("Normal", "Geometry")
    assert not by_name["enablePbr"].cost_impact


@pytest.mark.parametrize("answer", [{"model": {"id": "m", "inputs": None}}, {"model": {"id": "m"}}])
async def test_a_model_without_inputs_is_refused(service, answer, connect):
    service.say("GET /v1/models", web.json_response(answer))
    async with connect(service.url) as client:
        with pytest.raises(RequestRefused, match="inputs"):
            await client.model_schema("m")


@pytest.mark.parametrize(("project", "ceiling"), [("", 5), ("proj_b", 9), ("proj_unknown", 5)])
async def test_the_limits_are_those_of_the_projects_team(service, project, ceiling, connect):
    async with connect(service.url, project=project) as client:
        assert (await client.team_limits()).parallel_jobs == ceiling


@pytest.mark.parametrize(
    ("where", "answer"),
    [
        ("limits", {"limits": {}}),
        ("limits", {}),
        ("limits", {"limits": {"parallelCustomJobs": -1}}),
        ("limits", {"limits": {"parallelCustomJobs": None}}),
        ("teams$", {"teams": []}),
    ],
)
async def test_limits_that_are_not_told_are_none(service, where, answer, connect):
    service.say(where, web.json_response(answer))
    async with connect(service.url) as client:
        assert (await client.team_limits()).parallel_jobs is None


@pytest.mark.parametrize("where", ["teams$", "limits"])
@pytest.mark.parametrize("status", [403, 404])
async def test_limits_that_may_not_be_asked_for_are_none(service, where, status, connect):
    service.say(where, web.Response(status=status))
    async with connect(service.url) as client:
        assert (await client.team_limits()).parallel_jobs is None


async def test_refused_credentials_are_no_matter_of_limits(service, connect):
    service.say("teams$", web.Response(status=401))
    async with connect(service.url) as client:
        with pytest.raises(CredentialsError):
            await client.team_limits()


@pytest.mark.parametrize(("job_id", "path"), [("../teams", "/v1/jobs/..%2Fteams"), ("a?b#c", "/v1/jobs/a%3Fb%23c")])
async def test_an_id_stays_one_segment_of_the_path(service, job_id, path, connect):
    async with connect(service.url) as client:
        assert (await client.job(job_id)).job_id == job_id
    assert service.asked[0][0] == f"GET {path}"


@pytest.mark.parametrize("job_id", ["", ".", ".."])
async def test_an_id_that_is_none_is_refused(service, job_id, connect):
    async with connect(service.url) as client:
        with pytest.raises(RequestRefused, match="is no id"):
            await client.job(job_id)
    assert service.asked == []


async def test_credentials_are_not_sent_in_clear_text():
    with pytest.raises(CredentialsError):
        async with ScenarioClient.connect("http://api.example.com/v1", Credentials(key="k", secret="s")):
            pass


async def test_what_the_first_look_tells_of_the_team_is_not_asked_again(service, connect):
    async with connect(service.url) as client:
        await client.look_for(attempts=2)
        told = await client.team_limits()
        assert service.count("GET /v1/teams") == 2
        assert await client.team_limits() == told
    assert service.count("GET /v1/teams") == 4
