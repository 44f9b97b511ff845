"""Signed URLs: what they give, and to whom."""

import httpx
import pytest


@pytest.fixture
def asset(service, picture):
    return service.upload(picture("teal"))


@pytest.fixture
def content(picture) -> bytes:
    return picture("teal")


def test_a_url_gives_the_file_and_its_description(asset, content, web) -> None:
    answer = web.get(asset["url"])
    assert answer.content == content
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["accept-ranges"] == "bytes"
    head = web.head(asset["url"])
    assert head.status_code == 200
    assert (head.headers["content-length"], head.content) == (str(len(content)), b"")
    assert head.headers["etag"] == answer.headers["etag"]


@pytest.mark.parametrize(
    ("asked", "span"), [("10-", slice(10, None)), ("10-19", slice(10, 20)), ("-7", slice(-7, None))]
)
def test_a_range_gives_a_part(asset, content, asked, span, web) -> None:
    answer = web.get(asset["url"], headers={"Range": f"bytes={asked}"})
    part = content[span]
    assert (answer.status_code, answer.content) == (206, part)
    first = content.index(part)
    assert answer.headers["content-range"] == f"bytes {first}-{first + len(part) - 1}/{len(content)}"


def test_a_resumed_download_gets_the_rest_only_of_the_same_file(service, asset, content, web) -> None:
    etag = web.head(asset["url"]).headers["etag"]
    rest = web.get(asset["url"], headers={"Range": "bytes=100-", "If-Range": etag})
    assert (rest.status_code, rest.content) == (206, content[100:])
    whole = web.get(asset["url"], headers={"Range": "bytes=100-", "If-Range": '"another"'})
    assert (whole.status_code, whole.content) == (200, content)
    assert web.head(service.upload(content)["url"]).headers["etag"] != etag


def test_ranges_beyond_the_end_are_refused_and_unreadable_ones_passed_over(asset, content, web) -> None:
    beyond = web.get(asset["url"], headers={"Range": f"bytes={len(content)}-"})
    assert beyond.status_code == 416
    assert beyond.headers["content-range"] == f"bytes */{len(content)}"
    for unreadable in ("bytes=9-3", "bytes=0-1,4-5", "lines=1-2"):
        assert web.get(asset["url"], headers={"Range": unreadable}).content == content


def test_a_signature_is_good_for_one_file_one_method_and_its_time(service, asset, web) -> None:
    url, other = httpx.URL(asset["url"]), httpx.URL(service.upload()["url"])
    later = url.copy_set_param("expires", "9999999999999")
    for forged in (
        url.copy_with(path=other.path),
        later,
        url.copy_set_param("signature", "0" * 64),
        url.copy_set_param("signature", "ü"),
        url.copy_set_param("expires", "soon"),
        url.copy_with(query=None),
    ):
        answer = web.get(forged)
        assert answer.status_code == 403
        assert answer.json()["error"] == "Forbidden"


def test_a_url_expires(started, web) -> None:
    service = started(url_ttl_s=0.0)
    asset = service.upload()
    answer = web.get(asset["url"])
    assert (answer.status_code, answer.json()["reason"]) == (403, "the URL has expired")


def test_no_name_leads_out_of_the_data_folder(service) -> None:
    for name in ("..%2Fservice.sqlite3", "%2e%2e%2flock", "..", "%00", "a/../../lock"):
        for path in (f"files/{name}", f"assets/{name}", f"uploads/{name}", f"jobs/{name}"):
            assert service.api.get(path).status_code in {403, 404}, path
