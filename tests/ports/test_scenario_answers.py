"""What the client makes of refusals, faults and answers that are not the agreed ones."""

import traceback
from datetime import timedelta
from email.utils import format_datetime

import anyio
import pytest
from aiohttp import web

from pipeline.domain.errors import CredentialsError, NeverSent, RequestRefused, ServiceFault, ServiceUnreachable
from pipeline.ports.clock import utc_now
from pipeline.ports.retrying import Tries

pytestmark = pytest.mark.anyio

JOB = {"jobId": "job_1", "status": "queued", "newField": {"deep": 1}}


async def test_a_refusal_carries_the_services_message_hint_and_request(service, connect, refusal):
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
async def test_denials_are_final_and_name_what_the_service_says(service, status, connect, refusal):
    service.say("GET /v1/jobs", refusal(status, reason="model x needs the plan pro"))
    async with connect(service.url) as client:
        with pytest.raises(CredentialsError, match="needs the plan pro"):
            await client.job("job_1")
    assert len(service.asked) == 1


async def test_credentials_that_a_service_repeats_reach_no_message(service, connect, refusal):
    said = f"{service.credentials.authorization} for {service.credentials.key} {service.credentials.secret} is wrong"
    service.say("GET /v1/jobs", refusal(401, reason=said))
    async with connect(service.url) as client:
        with pytest.raises(CredentialsError) as caught:
            await client.job("job_1")
    text = "".join(traceback.format_exception(caught.value))
    assert "is wrong" in text
    assert not any(
        hidden in text
        for hidden in (service.credentials.secret, service.credentials.key, service.credentials.authorization[6:])
    )


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503])
async def test_passing_faults_are_tried_again(service, status, connect):
    service.say("GET /v1/jobs", web.Response(status=status), web.Response(status=status))
    async with connect(service.url) as client:
        assert (await client.job("job_7")).job_id == "job_7"
    assert len(service.asked) == 3


async def test_after_all_tries_the_service_is_unreachable(service, connect, refusal):
    service.say("GET /v1/jobs", *(refusal(500, reason="down") for _ in range(9)))
    async with connect(service.url) as client:
        with pytest.raises(ServiceUnreachable, match=r"given up after 3 tries.*down") as caught:
            await client.job("job_1")
    assert isinstance(caught.value.__cause__, ServiceFault)
    assert len(service.asked) == 3


async def test_retries_are_told_and_leave_the_standard_output_alone(service, capsys, connect, refusal):
    heard = []
    service.say("GET /v1/jobs", refusal(500, reason="down"))
    async with connect(service.url, tries=Tries(first_wait_s=0.001, tell=heard.append)) as client:
        await client.job("job_1")
    assert capsys.readouterr().out == ""
    assert [str(error) for error in heard] == ["GET /jobs/job_1: HTTP 500; down"]


async def test_nobody_there_means_unreachable(connect):
    async with connect("http://127.0.0.1:1") as client:
        with pytest.raises(ServiceUnreachable) as caught:
            await client.job("job_1")
    assert isinstance(caught.value.__cause__, NeverSent)


@pytest.mark.parametrize(("word", "tries"), [("false", 1), ("true", 3)])
async def test_the_services_own_word_on_retrying_is_honoured(service, word, tries, connect):
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
async def test_the_wished_pause_is_kept(service, headers, connect):
    service.say("GET /v1/jobs", web.Response(status=429, headers=headers))
    async with connect(service.url) as client:
        began = anyio.current_time()
        await client.job("job_1")
    assert anyio.current_time() - began >= 0.2


@pytest.mark.parametrize("wish", ["7200", format_datetime(utc_now() + timedelta(hours=2), usegmt=True)])
async def test_a_pause_beyond_all_patience_ends_the_tries(service, wish, connect):
    service.say("GET /v1/jobs", web.Response(status=429, headers={"Retry-After": wish}))
    async with connect(service.url) as client:
        with pytest.raises(ServiceUnreachable, match=r"pause of [67],\d{3} s"):
            await client.job("job_1")
    assert len(service.asked) == 1


async def test_a_redirect_is_refused_and_not_followed(service, connect):
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
async def test_a_missing_field_is_named_with_the_call_and_the_request(service, answer, names, connect):
    service.say("GET /v1/jobs", answer)
    async with connect(service.url, tries=Tries(attempts=1)) as client:
        with pytest.raises(ServiceUnreachable, match=rf"GET /jobs/job_1.*{names}") as caught:
            await client.job("job_1")
    assert isinstance(caught.value.__cause__, ServiceFault)


async def test_waiting_for_the_next_try_can_be_cancelled(service, connect):
    service.say("GET /v1/jobs", web.Response(status=503, headers={"Retry-After": "60"}))
    async with connect(service.url, tries=Tries()) as client:
        with anyio.move_on_after(0.2) as scope:
            await client.job("job_1")
    assert scope.cancelled_caught
