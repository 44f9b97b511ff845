import base64

import pytest
from aiohttp import web

from pipeline.domain.errors import RequestRefused, StageTimedOut
from pipeline.ports.interfaces import Gallery
from pipeline.ports.scenario_uploads import PART_BYTES, ImportWait

pytestmark = pytest.mark.anyio


async def test_a_small_picture_goes_in_one_request_of_a_told_length_as_often_as_it_must(service, connect):
    data = bytes(range(256)) * 15_000
    service.say("POST /v1/assets$", web.Response(status=503))
    async with connect(service.url) as client:
        asset_id = await client.create_asset(
            name="front-1", data=data, media_type="image/png", gallery=Gallery(collections=["c1"])
        )
    assert asset_id == "asset_new"
    assert service.body("POST /v1/assets") == {
        "name": "front-1",
        "image": base64.b64encode(data).decode(),
        "hide": True,
        "collectionIds": ["c1"],
    }
    assert service.count("POST /v1/assets$") == 2
    assert not any("Transfer-Encoding" in headers for _, _, headers in service.asked)


@pytest.mark.parametrize(("size", "parts"), [(4_000_000, 1), (PART_BYTES, 1), (PART_BYTES + 1, 2)])
async def test_from_four_megabytes_a_picture_goes_in_parts_without_credentials(service, size, parts, connect):
    data = bytes(range(256)) * (size // 256) + bytes(size % 256)
    async with connect(service.url) as client:
        asset_id = await client.create_asset(name="front-1", data=data, media_type="image/png", gallery=Gallery())
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
    return client.create_asset(name="f", data=bytes(4_000_000), media_type="image/png", gallery=Gallery(hide=False))


async def test_a_part_and_its_completion_are_tried_again(service, connect):
    service.say("PUT /parts", web.Response(status=503), web.Response(status=500))
    service.say("POST /v1/uploads/upload_1/action", web.Response(status=500))
    async with connect(service.url) as client:
        assert await big(client) == "asset_multipart"
    assert service.count("PUT /parts") == 3


async def test_a_completion_whose_answer_was_lost_may_be_refused_the_second_time(service, connect):
    async def complete_but_say_no(request):
        await service._complete(request)
        return web.Response(status=409)

    service.say("POST .*/action", complete_but_say_no)
    async with connect(service.url) as client:
        assert await big(client) == "asset_multipart"
    assert service.count("POST .*/action") == 1


async def test_a_refused_completion_is_final(service, connect, refusal):
    service.say("POST .*/action", refusal(400, reason="part 1 is missing"))
    async with connect(service.url) as client:
        with pytest.raises(RequestRefused, match="part 1 is missing"):
            await big(client)


async def test_a_failed_import_tells_why(service, connect):
    failed = {"upload": {"id": "upload_1", "status": "failed", "errorMessage": "not a picture"}}
    service.say("GET /v1/uploads", web.json_response(failed))
    async with connect(service.url) as client:
        with pytest.raises(RequestRefused, match="not a picture"):
            await big(client)


async def test_an_import_is_waited_for_within_bounds(service, connect):
    waiting = {"upload": {"id": "upload_1", "status": "validating"}}
    service.say("GET /v1/uploads", *(web.json_response(waiting) for _ in range(500)))
    wait = ImportWait(total_s=0.05, first_pause_s=0.001, longest_pause_s=0.01)
    async with connect(service.url, import_wait=wait) as client:
        with pytest.raises(StageTimedOut, match="validating"):
            await big(client)


async def test_a_refused_signature_is_no_matter_of_our_credentials(service, connect):
    service.say("PUT /parts", web.Response(status=403, text="<Error>AccessDenied</Error>"))
    async with connect(service.url) as client:
        with pytest.raises(RequestRefused, match="PUT part 1"):
            await big(client)
