"""Quotes, and the one paid request."""

import json

import pytest
from aiohttp import web

from pipeline.domain.errors import AssetGone, CeilingReached, NeverSent, RequestRefused, SubmissionUncertain, Throttled
from pipeline.domain.jobs import JobStatus
from pipeline.domain.model import MODEL_ID

pytestmark = pytest.mark.anyio

INPUTS = {"frontImage": "asset_front", "leftImage": "asset_left", "faceCount": 40000, "generateType": "Normal"}

JOB = {"jobId": "job_1", "status": "queued", "newField": {"deep": 1}}


async def test_a_quote_is_the_larger_of_both_tiers(service, connect):
    async with connect(service.url) as client:
        assert (await client.quote(model=MODEL_ID, inputs=INPUTS)).cu == 55.5
    assert service.count(rf"POST /v1/generate/custom/{MODEL_ID}\?dryRun=(true|api)") == 2
    assert service.body("dryRun") == INPUTS


async def test_a_service_without_an_api_tier_is_quoted_by_the_other(service, connect, refusal):
    service.say("dryRun=api", refusal(400, reason="dryRun must be true"))
    async with connect(service.url) as client:
        assert (await client.quote(model=MODEL_ID, inputs=INPUTS)).cu == 40


async def test_a_dry_run_that_may_have_been_a_real_one_is_not_repeated(service, connect):
    service.say("dryRun", web.json_response({"job": JOB, "creativeUnitsCost": 40}))
    async with connect(service.url) as client:
        with pytest.raises(SubmissionUncertain, match="269"):
            await client.quote(model=MODEL_ID, inputs=INPUTS)
    assert service.count("dryRun") == 1


async def test_a_portals_page_in_place_of_a_quote_is_asked_again(service, connect):
    service.say("POST /v1/generate", web.Response(text="<html>Log in to the hotel</html>", content_type="text/html"))
    async with connect(service.url) as client:
        assert (await client.quote(model=MODEL_ID, inputs=INPUTS)).cu > 0


@pytest.mark.parametrize("call", ["quote", "generate"])
@pytest.mark.parametrize(
    ("status", "said", "named"),
    [
        (404, {"reason": "Asset asset_left not found"}, ("asset_left",)),
        (400, {"reason": "invalid input", "details": {"leftImage": "asset_left does not exist"}}, ("asset_left",)),
        (404, {"reason": "no such asset"}, ()),
    ],
)
async def test_assets_that_the_service_no_longer_knows_are_named(service, connect, *, call, status, said, named):
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
async def test_other_refusals_are_no_missing_assets(service, status, said, connect):
    service.say("generate", web.json_response(said, status=status))
    async with connect(service.url) as client:
        with pytest.raises(RequestRefused):
            await client.generate(model=MODEL_ID, inputs=INPUTS)


async def test_a_job_is_submitted_with_one_post(service, connect):
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
async def test_an_answer_that_proves_nothing_leaves_the_submission_uncertain(service, answer, connect):
    service.say("generate", answer)
    async with connect(service.url) as client:
        with pytest.raises(SubmissionUncertain) as caught:
            await client.generate(model=MODEL_ID, inputs=INPUTS)
    assert len(service.asked) == 1
    assert caught.value.mend


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{", b"HTTP/1.1 ", None])
async def test_a_lost_answer_leaves_the_submission_uncertain_after_one_post(
    talking, read_request, reset, said, connect
):
    requests = []

    async def lose(stream):
        requests.append((await read_request(stream)).split(b" ")[0])
        await (reset(stream) if said is None else stream.send(said))

    async with talking(lose) as url, connect(url) as client:
        with pytest.raises(SubmissionUncertain):
            await client.generate(model=MODEL_ID, inputs=INPUTS)
    assert requests == [b"POST"]


async def test_a_server_that_closes_idle_connections_makes_no_submission_uncertain(talking, read_request, connect):
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


async def test_a_request_that_could_not_leave_is_no_uncertainty(connect):
    async with connect("http://127.0.0.1:1") as client:
        with pytest.raises(NeverSent):
            await client.generate(model=MODEL_ID, inputs=INPUTS)


async def test_the_teams_ceiling_is_told_by_number(service, connect):
    said = {"reason": "limit", "details": {"actionName": "custom-jobs", "actionLimit": 5}}
    service.say("generate", web.json_response(said, status=429, headers={"retry-after-ms": "1500"}))
    async with connect(service.url) as client:
        with pytest.raises(CeilingReached) as caught:
            await client.generate(model=MODEL_ID, inputs=INPUTS)
    assert caught.value.ceiling == 5
    assert caught.value.retry_after_s == 1.5
    assert service.count("generate") == 1


@pytest.mark.parametrize("limit", [0, -1, None, True, "5"])
async def test_a_429_without_a_positive_limit_says_nothing_of_the_pool(service, limit, connect, refusal):
    service.say("generate", refusal(429, reason="slow down", details={"actionLimit": limit}))
    async with connect(service.url) as client:
        with pytest.raises(Throttled):
            await client.generate(model=MODEL_ID, inputs=INPUTS)


@pytest.mark.parametrize("status", [400, 402, 404, 413, 422])
async def test_a_refused_submission_is_final(service, status, connect, refusal):
    service.say("generate", refusal(status, reason="faceCount is too small"))
    async with connect(service.url) as client:
        with pytest.raises(RequestRefused, match="faceCount is too small") as caught:
            await client.generate(model=MODEL_ID, inputs=INPUTS)
    assert caught.value.answer.status == status
