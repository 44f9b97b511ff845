"""The client against a small service of our own making, and against servers that misbehave."""

import base64
import json
import re
import traceback
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import anyio
import pytest
from aiohttp import web

from pipeline.domain.errors import (
    AssetGone,
    CeilingReached,
    CredentialsError,
    NeverSent,
    RequestRefused,
    ServiceFault,
    ServiceUnreachable,
    StageTimedOut,
    SubmissionUncertain,
    Throttled,
)
from pipeline.domain.jobs import JobStatus
from pipeline.domain.model import MODEL_ID, ParameterType
from pipeline.ports.clock import utc_now
from pipeline.ports.credentials import Credentials
from pipeline.ports.http import Timeouts
from pipeline.ports.retrying import Tries
from pipeline.ports.scenario import ScenarioClient
from pipeline.ports.scenario_uploads import PART_BYTES, ImportWait

pytestmark = pytest.mark.anyio

CREDENTIALS = Credentials(key="api_key_1", secret="s3cret-of-mine")
INPUTS = {"frontImage": "asset_front", "leftImage": "asset_left", "faceCount": 40000, "generateType": "Normal"}
QUICK = Tries(attempts=3, total_s=5, first_wait_s=0.001, longest_wait_s=0.01)
JOB = {"jobId": "job_1", "status": "queued", "newField": {"deep": 1}}


class Service:
    """The routes of the real one, with what it was asked. ``say`` makes the next answers to a route other ones."""

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


def connect(url, **more):
    wait = ImportWait(total_s=2, first_pause_s=0.001, longest_pause_s=0.01)
    timeouts = Timeouts(connect_s=5, read_s=1, total_s=5)
    return ScenarioClient.connect(
        f"{url}/v1", CREDENTIALS, **{"tries": QUICK, "import_wait": wait, "timeouts": timeouts} | more
    )


def refusal(status, *, headers=None, **body):
    return web.json_response(body or {"reason": "no"}, status=status, headers=headers)


# Uploads


async def test_a_small_picture_goes_in_one_request(service):
    data = bytes(range(256)) * 15_000
    async with connect(service.url) as client:
        asset_id = await client.create_asset(
            name="front-1", data=data, media_type="image/png", hide=True, collections=["c1"]
        )
    assert asset_id == "asset_new"
    assert service.body("POST /v1/assets") == {
        "name": "front-1",
        "image": base64.b64encode(data).decode(),
        "hide": True,
        "collectionIds": ["c1"],
    }


@pytest.mark.parametrize(("size", "parts"), [(4_000_000, 1), (PART_BYTES, 1), (PART_BYTES + 1, 2)])
async def test_from_four_megabytes_a_picture_goes_in_parts_without_credentials(service, size, parts):
    data = bytes(range(256)) * (size // 256) + bytes(size % 256)
    async with connect(service.url) as client:
        asset_id = await client.create_asset(
            name="front-1", data=data, media_type="image/png", hide=True, collections=[]
        )
    assert asset_id == "asset_multipart"
    assert service.body("POST /v1/uploads$") == {
        "fileName": "front-1",
        "fileSize": size,
        "contentType": "image/png",
        "kind": "image",
        "parts": parts,
        "assetOptions": {"hide": True},
    }
    got = service.uploads["upload_1"]["got"]
    assert b"".join(got[n] for n in sorted(got)) == data
    assert len(got) == parts
    assert all(len(piece) >= PART_BYTES for n, piece in got.items() if n < parts)
    for line, _, headers in service.asked:
        assert ("Authorization" in headers) == line.split()[1].startswith("/v1/")


def big(client):
    return client.create_asset(name="f", data=bytes(4_000_000), media_type="image/png", hide=False, collections=[])


async def test_a_part_and_its_completion_are_tried_again(service):
    service.say("PUT /parts", web.Response(status=503), web.Response(status=500))
    service.say("POST /v1/uploads/upload_1/action", web.Response(status=500))
    async with connect(service.url) as client:
        assert await big(client) == "asset_multipart"
    assert service.count("PUT /parts") == 3


async def test_a_completion_whose_answer_was_lost_may_be_refused_the_second_time(service):
    async def complete_but_say_no(request):
        await service._complete(request)
        return web.Response(status=409)

    service.say("POST .*/action", complete_but_say_no)
    async with connect(service.url) as client:
        assert await big(client) == "asset_multipart"
    assert service.count("POST .*/action") == 1


async def test_a_refused_completion_is_final(service):
    service.say("POST .*/action", refusal(400, reason="part 1 is missing"))
    async with connect(service.url) as client:
        with pytest.raises(RequestRefused, match="part 1 is missing"):
            await big(client)


async def test_a_failed_import_tells_why(service):
    failed = {"upload": {"id": "upload_1", "status": "failed", "errorMessage": "not a picture"}}
    service.say("GET /v1/uploads", web.json_response(failed))
    async with connect(service.url) as client:
        with pytest.raises(RequestRefused, match="not a picture"):
            await big(client)


async def test_an_import_is_waited_for_within_bounds(service):
    waiting = {"upload": {"id": "upload_1", "status": "validating"}}
    service.say("GET /v1/uploads", *(web.json_response(waiting) for _ in range(500)))
    wait = ImportWait(total_s=0.05, first_pause_s=0.001, longest_pause_s=0.01)
    async with connect(service.url, import_wait=wait) as client:
        with pytest.raises(StageTimedOut, match="validating"):
            await big(client)


async def test_a_refused_signature_is_no_matter_of_our_credentials(service):
    service.say("PUT /parts", web.Response(status=403, text="<Error>AccessDenied</Error>"))
    async with connect(service.url) as client:
        with pytest.raises(RequestRefused, match="PUT part 1"):
            await big(client)


# Quotes


async def test_a_quote_is_the_larger_of_both_tiers(service):
    async with connect(service.url) as client:
        assert (await client.quote(model=MODEL_ID, inputs=INPUTS)).cu == 55.5
    assert service.count(rf"POST /v1/generate/custom/{MODEL_ID}\?dryRun=(true|api)") == 2
    assert service.body("dryRun") == INPUTS


async def test_a_service_without_an_api_tier_is_quoted_by_the_other(service):
    service.say("dryRun=api", refusal(400, reason="dryRun must be true"))
    async with connect(service.url) as client:
        assert (await client.quote(model=MODEL_ID, inputs=INPUTS)).cu == 40


async def test_a_dry_run_that_may_have_been_a_real_one_is_not_repeated(service):
    service.say("dryRun", web.json_response({"job": JOB, "creativeUnitsCost": 40}))
    async with connect(service.url) as client:
        with pytest.raises(RequestRefused, match="269"):
            await client.quote(model=MODEL_ID, inputs=INPUTS)
    assert service.count("dryRun") == 1


@pytest.mark.parametrize("call", ["quote", "generate"])
@pytest.mark.parametrize(
    ("status", "said", "named"),
    [
        (404, {"reason": "Asset asset_left not found"}, ("asset_left",)),
        (400, {"reason": "invalid input", "details": {"leftImage": "asset_left does not exist"}}, ("asset_left",)),
        (404, {"reason": "no such asset"}, ()),
    ],
)
async def test_assets_that_the_service_no_longer_knows_are_named(service, call, status, said, named):
    service.say("generate", web.json_response(said, status=status))
    async with connect(service.url) as client:
        with pytest.raises(AssetGone) as caught:
            await getattr(client, call)(model=MODEL_ID, inputs=INPUTS)
    assert caught.value.asset_ids == named
    assert service.count("generate") == 1


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (400, {"reason": "asset_left is too small: 100 px"}),
        (404, {"reason": "model not found"}),
        (400, {"reason": "asset_left2 not found"}),
        (404, {}),
    ],
)
async def test_other_refusals_are_no_missing_assets(service, status, said):
    service.say("generate", web.json_response(said, status=status))
    async with connect(service.url) as client:
        with pytest.raises(RequestRefused):
            await client.generate(model=MODEL_ID, inputs=INPUTS)


# Generate: the one paid request


async def test_a_job_is_submitted_with_one_post(service):
    async with connect(service.url, project="proj_b") as client:
        job = await client.generate(model=MODEL_ID, inputs=INPUTS)
    assert (job.job_id, job.status) == ("job_1", JobStatus.QUEUED)
    assert [line for line, _, _ in service.asked] == [f"POST /v1/generate/custom/{MODEL_ID}?projectId=proj_b"]
    assert service.body("generate") == INPUTS


@pytest.mark.parametrize(
    "answer",
    [
        web.json_response({"reason": "oops"}, status=500),
        web.json_response({"reason": "oops"}, status=500, headers={"x-should-retry": "true"}),
        web.Response(status=502, text="<html>Bad gateway</html>", content_type="text/html"),
        web.Response(status=503, headers={"Retry-After": "1"}),
        web.Response(status=504),
        web.Response(status=408),
        web.Response(status=409),
        web.Response(status=425),
        web.Response(status=307, headers={"Location": "/v1/generate/custom/again"}),
        web.Response(status=303, headers={"Location": "/v1/jobs"}),
        web.Response(status=200, text="<html>Sign in</html>", content_type="text/html"),
        web.Response(status=200, text='{"job": {"jobId": "job_', content_type="application/json"),
        web.json_response({"job": {"status": "queued"}}),
        web.json_response({"job": {"jobId": "", "status": "queued"}}),
        web.json_response([]),
        web.json_response({"job": JOB}, status=269),
        web.Response(status=204),
    ],
)
async def test_an_answer_that_proves_nothing_leaves_the_submission_uncertain(service, answer):
    service.say("generate", answer)
    async with connect(service.url) as client:
        with pytest.raises(SubmissionUncertain) as caught:
            await client.generate(model=MODEL_ID, inputs=INPUTS)
    assert len(service.asked) == 1
    assert caught.value.mend


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{", b"HTTP/1.1 ", None])
async def test_a_lost_answer_leaves_the_submission_uncertain_after_one_post(talking, read_request, reset, said):
    requests = []

    async def lose(stream):
        requests.append((await read_request(stream)).split(b" ")[0])
        await (reset(stream) if said is None else stream.send(said))

    async with talking(lose) as url, connect(url) as client:
        with pytest.raises(SubmissionUncertain):
            await client.generate(model=MODEL_ID, inputs=INPUTS)
    assert requests == [b"POST"]


async def test_a_server_that_closes_idle_connections_makes_no_submission_uncertain(talking, read_request):
    """The POST takes a connection of its own, never one that an earlier call left open."""
    connections = []

    async def close_after_one(stream):
        connections.append(await read_request(stream))
        body = json.dumps({"job": JOB}).encode()
        await stream.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))

    async with talking(close_after_one) as url, connect(url) as client:
        for _ in range(3):
            await client.job("job_1")
            await client.generate(model=MODEL_ID, inputs=INPUTS)
    posts = [one for one in connections if one.startswith(b"POST")]
    assert len(posts) == 3


async def test_a_request_that_could_not_leave_is_no_uncertainty():
    async with connect("http://127.0.0.1:1") as client:
        with pytest.raises(NeverSent):
            await client.generate(model=MODEL_ID, inputs=INPUTS)


async def test_the_teams_ceiling_is_told_by_number(service):
    said = {"reason": "limit", "details": {"actionName": "custom-jobs", "actionLimit": 5}}
    service.say("generate", web.json_response(said, status=429, headers={"retry-after-ms": "1500"}))
    async with connect(service.url) as client:
        with pytest.raises(CeilingReached) as caught:
            await client.generate(model=MODEL_ID, inputs=INPUTS)
    assert caught.value.ceiling == 5
    assert caught.value.retry_after_s == 1.5
    assert service.count("generate") == 1


@pytest.mark.parametrize("limit", [0, -1, None, True, "5"])
async def test_a_429_without_a_positive_limit_says_nothing_of_the_pool(service, limit):
    service.say("generate", refusal(429, reason="slow down", details={"actionLimit": limit}))
    async with connect(service.url) as client:
        with pytest.raises(Throttled):
            await client.generate(model=MODEL_ID, inputs=INPUTS)


@pytest.mark.parametrize("status", [400, 402, 404, 413, 422])
async def test_a_refused_submission_is_final(service, status):
    service.say("generate", refusal(status, reason="faceCount is too small"))
    async with connect(service.url) as client:
        with pytest.raises(RequestRefused, match="faceCount is too small") as caught:
            await client.generate(model=MODEL_ID, inputs=INPUTS)
    assert caught.value.answer.status == status


# Errors of all other calls


async def test_a_refusal_carries_the_services_message_hint_and_request(service):
    service.say(
        "GET /v1/jobs", refusal(422, reason="bad\x1b[31m id", hint="see the docs", headers={"x-request-id": "req_9"})
    )
    async with connect(service.url) as client:
        with pytest.raises(RequestRefused) as caught:
            await client.job("job_1")
    answer = caught.value.answer
    assert (answer.status, answer.hint, answer.request_id) == (422, "see the docs", "req_9")
    assert "\x1b" not in str(caught.value)
    assert "GET /jobs/job_1: HTTP 422; bad [31m id; hint: see the docs; request req_9" in str(caught.value)


@pytest.mark.parametrize("status", [401, 403])
async def test_denials_are_final_and_name_what_the_service_says(service, status):
    service.say("GET /v1/jobs", refusal(status, reason="model x needs the plan pro"))
    async with connect(service.url) as client:
        with pytest.raises(CredentialsError, match="needs the plan pro"):
            await client.job("job_1")
    assert len(service.asked) == 1


async def test_credentials_that_a_service_repeats_reach_no_message(service):
    said = f"{CREDENTIALS.authorization} for {CREDENTIALS.key} {CREDENTIALS.secret} is wrong"
    service.say("GET /v1/jobs", refusal(401, reason=said))
    async with connect(service.url) as client:
        with pytest.raises(CredentialsError) as caught:
            await client.job("job_1")
    text = "".join(traceback.format_exception(caught.value))
    assert "is wrong" in text
    assert not any(hidden in text for hidden in (CREDENTIALS.secret, CREDENTIALS.key, CREDENTIALS.authorization[6:]))


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503])
async def test_passing_faults_are_tried_again(service, status):
    service.say("GET /v1/jobs", web.Response(status=status), web.Response(status=status))
    async with connect(service.url) as client:
        assert (await client.job("job_7")).job_id == "job_7"
    assert len(service.asked) == 3


async def test_after_all_tries_the_service_is_unreachable(service):
    service.say("GET /v1/jobs", *(refusal(500, reason="down") for _ in range(9)))
    async with connect(service.url) as client:
        with pytest.raises(ServiceUnreachable, match=r"given up after 3 tries.*down") as caught:
            await client.job("job_1")
    assert isinstance(caught.value.__cause__, ServiceFault)
    assert len(service.asked) == 3


async def test_nobody_there_means_unreachable():
    async with connect("http://127.0.0.1:1") as client:
        with pytest.raises(ServiceUnreachable) as caught:
            await client.job("job_1")
    assert isinstance(caught.value.__cause__, NeverSent)


@pytest.mark.parametrize(("word", "tries"), [("false", 1), ("true", 3)])
async def test_the_services_own_word_on_retrying_is_honoured(service, word, tries):
    status = 503 if word == "false" else 400
    service.say("GET /v1/jobs", *(web.Response(status=status, headers={"x-should-retry": word}) for _ in range(9)))
    async with connect(service.url) as client:
        with pytest.raises(RequestRefused if word == "false" else ServiceUnreachable):
            await client.job("job_1")
    assert len(service.asked) == tries


@pytest.mark.parametrize(
    "headers",
    [
        {"Retry-After": "0.2"},
        {"retry-after-ms": "200"},
        {"Date": "Fri, 01 Jan 2100 00:00:00 GMT", "Retry-After": "Fri, 01 Jan 2100 00:00:01 GMT"},
    ],
)
async def test_the_wished_pause_is_kept(service, headers):
    service.say("GET /v1/jobs", web.Response(status=429, headers=headers))
    async with connect(service.url) as client:
        began = anyio.current_time()
        await client.job("job_1")
    assert anyio.current_time() - began >= 0.2


@pytest.mark.parametrize("wish", ["3600", format_datetime(utc_now() + timedelta(hours=1), usegmt=True)])
async def test_a_pause_beyond_all_patience_ends_the_tries(service, wish):
    service.say("GET /v1/jobs", web.Response(status=429, headers={"Retry-After": wish}))
    async with connect(service.url) as client:
        with pytest.raises(ServiceUnreachable, match=r"pause of 3,\d{3} s"):
            await client.job("job_1")
    assert len(service.asked) == 1


async def test_a_redirect_is_refused_and_not_followed(service):
    service.say("GET /v1/jobs", web.Response(status=301, headers={"Location": "https://evil.example/v1?a=b"}))
    async with connect(service.url) as client:
        with pytest.raises(RequestRefused, match=r"redirects to https://evil\.example/v1,"):
            await client.job("job_1")
    assert len(service.asked) == 1


@pytest.mark.parametrize(
    ("answer", "names"),
    [
        (web.json_response({"job": {"status": "success"}}, headers={"x-request-id": "r1"}), r"job\.jobId.*request r1"),
        (web.json_response({"job": {"jobId": "job_1"}}), r"job\.status"),
        (web.json_response({"job": {**JOB, "createdAt": "yesterday"}}), r"job\.createdAt"),
        (web.Response(text="<html>", content_type="text/html"), "JSON"),
    ],
)
async def test_a_missing_field_is_named_with_the_call_and_the_request(service, answer, names):
    service.say("GET /v1/jobs", answer)
    async with connect(service.url, tries=Tries(attempts=1)) as client:
        with pytest.raises(ServiceUnreachable, match=rf"GET /jobs/job_1.*{names}") as caught:
            await client.job("job_1")
    assert isinstance(caught.value.__cause__, ServiceFault)


async def test_waiting_for_the_next_try_can_be_cancelled(service):
    service.say("GET /v1/jobs", web.Response(status=503, headers={"Retry-After": "60"}))
    async with connect(service.url, tries=Tries()) as client:
        with anyio.move_on_after(0.2) as scope:
            await client.job("job_1")
    assert scope.cancelled_caught


# Reading


async def test_a_job_is_read_with_all_that_it_tells(service):
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


@pytest.mark.parametrize(("billing", "charged"), [({"cuCost": 40}, 0.0), ({"cuCost": 40, "disableRefund": True}, 40)])
async def test_a_failed_job_costs_nothing_unless_refunds_are_off(service, billing, charged):
    job = {"jobId": "job_1", "status": "failure", "metadata": {"error": "no", "hint": "try"}, "billing": billing}
    service.say("GET /v1/jobs", web.json_response({"job": job}))
    async with connect(service.url) as client:
        read = await client.job("job_1")
    assert (read.cu_charged, read.error, read.hint) == (charged, "no", "try")


async def test_an_unmet_status_is_in_progress(service):
    service.say("GET /v1/jobs", web.json_response({"job": {"jobId": "j", "status": "levitating"}}))
    async with connect(service.url) as client:
        job = await client.job("j")
    assert job.status is JobStatus.UNKNOWN
    assert not job.status.is_final


async def test_jobs_are_listed_page_by_page(service):
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


async def test_jobs_by_creation_go_without_the_filters_that_the_service_forbids_with_it(service):
    since = datetime(2026, 2, 3, tzinfo=UTC)
    async with connect(service.url) as client:
        await client.jobs(created_after=since)
        with pytest.raises(ValueError, match="not by both"):
            await client.jobs(created_after=since, updated_after=since)
    assert [line for line, _, _ in service.asked] == ["GET /v1/jobs?pageSize=100&createdAfter=2026-02-03T00:00:00.000Z"]


async def test_assets_come_in_bulk_in_the_order_of_asking(service):
    wanted = ["asset_3", "asset_unknown", "asset_1", "asset_3"]
    async with connect(service.url) as client:
        found = await client.assets(wanted)
        many = await client.assets([f"asset_{n}" for n in range(450)])
        assert await client.assets([]) == []
    assert [one.asset_id for one in found] == ["asset_3", "asset_1"]
    first = found[0]
    assert (first.kind, first.media_type, first.source) == ("3d", "model/gltf-binary", "img23d")
    assert (first.size_bytes, first.face_count) == (1234, 40000)
    assert len(many) == 450
    assert service.count("get-bulk") == 1 + 3


async def test_a_models_inputs_become_its_schema(service):
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
async def test_a_model_without_inputs_is_refused(service, answer):
    service.say("GET /v1/models", web.json_response(answer))
    async with connect(service.url) as client:
        with pytest.raises(RequestRefused, match="inputs"):
            await client.model_schema("m")


@pytest.mark.parametrize(("project", "ceiling"), [("", 5), ("proj_b", 9), ("proj_unknown", 5)])
async def test_the_limits_are_those_of_the_projects_team(service, project, ceiling):
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
async def test_limits_that_are_not_told_are_none(service, where, answer):
    service.say(where, web.json_response(answer))
    async with connect(service.url) as client:
        assert (await client.team_limits()).parallel_jobs is None


@pytest.mark.parametrize("where", ["teams$", "limits"])
@pytest.mark.parametrize("status", [403, 404])
async def test_limits_that_may_not_be_asked_for_are_none(service, where, status):
    service.say(where, web.Response(status=status))
    async with connect(service.url) as client:
        assert (await client.team_limits()).parallel_jobs is None


async def test_refused_credentials_are_no_matter_of_limits(service):
    service.say("teams$", web.Response(status=401))
    async with connect(service.url) as client:
        with pytest.raises(CredentialsError):
            await client.team_limits()


@pytest.mark.parametrize(("job_id", "path"), [("../teams", "/v1/jobs/..%2Fteams"), ("a?b#c", "/v1/jobs/a%3Fb%23c")])
async def test_an_id_stays_one_segment_of_the_path(service, job_id, path):
    async with connect(service.url) as client:
        assert (await client.job(job_id)).job_id == job_id
    assert service.asked[0][0] == f"GET {path}"


@pytest.mark.parametrize("job_id", ["", ".", ".."])
async def test_an_id_that_is_none_is_refused(service, job_id):
    async with connect(service.url) as client:
        with pytest.raises(RequestRefused, match="is no id"):
            await client.job(job_id)
    assert service.asked == []


async def test_credentials_are_not_sent_in_clear_text():
    with pytest.raises(CredentialsError):
        async with ScenarioClient.connect("http://api.example.com/v1", CREDENTIALS):
            pass
