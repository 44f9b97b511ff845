"""Requests of any kind to a real service: answered well or refused in JSON, never an error of its own."""

import base64
import json
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

MODEL = "model_hunyuan-3d-pro-3-1-multiview"
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
ODD = st.sampled_from(
    ["", ".", "..", "../..", "%", "\x00", "\r\n", "\u2028", "١٢", "-1", "1e9", "9" * 400, "NaN", "2031-05-01", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "2031-05-01T20:00:00.000Z", "custom", "custom,", "success", "unknown", "true", "api"]
)  # fmt: skip
NAMES = (
    "pageSize",
    "paginationToken",
    "status",
    "type",
    "types",
    "workflowId",
    "createdAfter",
    "updatedAfter",
    "dryRun",
    "projectId",
)
QUERIES = st.lists(st.tuples(st.sampled_from(NAMES) | TEXTS, TEXTS | ODD), max_size=4)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS | ODD | st.sampled_from([2**63, -(2**63) - 1, 10**400]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
BODIES: dict[str, dict[str, Any]] = {
    f"generate/custom/{MODEL}": {"frontImage": "asset_1", "faceCount": 50_000, "generateType": "Normal", "enablePbr": True},
    f"generate/custom/{MODEL}?dryRun=true": {"frontImage": "asset_1"},
    "assets": {"name": "a", "image": "aGk=", "hide": True, "collectionIds": ["a"]},
    "assets/get-bulk": {"assetIds": ["asset_1"]},
    "assets/asset_1/download": {"targetFormat": "glb"},
    "uploads": {"kind": "image", "fileName": "a", "fileSize": 5, "contentType": "image/png", "parts": 1, "assetOptions": {"hide": True}},
    "uploads/upload_1/action": {"action": "complete"},
    "jobs/job_1/action": {"action": "cancel"},
}  # fmt: skip


@pytest.fixture(scope="session")
def signed(service) -> str:
    """The URL of a file, good for a while."""
    return service.upload()["url"]


def is_well(answer: httpx.Response) -> httpx.Response:
    """A success, or a refusal in the API's own form."""
    assert answer.status_code < 500, answer.text
    if answer.status_code >= 400:
        said = answer.json()
        assert said["error"]
        assert said["reason"]
        assert answer.headers["x-request-id"]
    return answer


@given(QUERIES)
@example([("createdAfter", "0001-01-01T00:00:00+23:59")])
@example([("types", "custom"), ("updatedAfter", "9999-12-31T23:59:59-23:59")])
def test_any_list_query(service, query) -> None:
    is_well(service.api.get("jobs", params=query))


@given(st.booleans(), JSON | st.tuples(st.booleans(), JSON, JSON), st.booleans())
@example(False, [False, 2**62, "x"], False)
@example(False, [False, True, "\x00"], False)
def test_any_place_in_the_list(service, by_update, said, is_text) -> None:
    token = said if is_text and isinstance(said, str) else base64.urlsafe_b64encode(json.dumps(said).encode()).decode()
    is_well(service.api.get("jobs", params={"paginationToken": token, **({"types": "custom"} if by_update else {})}))


@pytest.mark.parametrize("route", BODIES)
@given(data=st.data())
def test_any_body(service, route, data) -> None:
    body = dict(BODIES[route])
    for _ in range(data.draw(st.integers(0, 2))):
        body[data.draw(st.sampled_from([*BODIES[route], "other"]))] = data.draw(JSON)
    whole = data.draw(
        st.just(json.dumps(body).encode()) | JSON.map(lambda it: json.dumps(it).encode()) | st.binary(max_size=20)
    )
    is_well(service.api.post(route, content=whole))


@given(
    st.sampled_from(["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"]),
    st.lists(st.sampled_from(["jobs", "assets", "uploads", "models", "teams", "limits", "files", "generate", "custom", "parts", "1", MODEL]) | TEXTS | ODD, max_size=4),
)  # fmt: skip
def test_any_place(service, method, parts) -> None:
    answer = service.api.request(method, "/".join(quote(part, safe="") for part in parts))
    if method != "HEAD":
        is_well(answer)
    assert answer.status_code < 500


@given(st.sampled_from(["expires", "signature", "x"]), TEXTS | ODD, st.floats(0, 1, exclude_max=True))
def test_a_signed_place_with_anything_changed_is_closed(signed, web, name, value, where) -> None:
    begin = signed.index("v1/files/")
    at = begin + int(where * (len(signed) - begin))
    changed = signed[:at] + ("0" if signed[at] != "0" else "1") + signed[at + 1 :]
    assert is_well(web.get(changed)).status_code in {401, 403, 404}
    answer = is_well(web.get(httpx.URL(signed).copy_set_param(name, value)))
    assert answer.status_code == (200 if name == "x" else 403)


HEADERS = st.sampled_from(["Range", "If-Range", "If-None-Match", "Authorization", "Content-Type"])


@given(HEADERS, st.binary(max_size=20).filter(lambda it: min(it, default=32) >= 32 and 127 not in it).map(bytes.strip))
@example("Range", b"bytes=5-1")
@example("Range", b"bytes=0-" + b"9" * 5000)
@example("Range", b"bytes=-0")
@example("Range", b"bytes=99999-")
@example("Authorization", b"Basic " + b"=" * 100)
@example("Authorization", b"Basic \xff\xfe")
def test_any_header(service, signed, web, name, value) -> None:
    is_well(web.get(signed, headers=[(name.encode(), value)]))
    is_well(service.api.get("jobs", headers=[(name.encode(), value)]))


@pytest.mark.parametrize(
    "place",
    [
        "jobs/%ff",
        "assets/%ff",
        "jobs?paginationToken=%ff",
        "files/%ff?expires=1&signature=%ff",
        "jobs?types=%ff&status=%ff",
        "%ff",
        "models/%ed%a0%80",
    ],
)
def test_places_that_are_no_utf8(service, place) -> None:
    request = service.api.build_request("GET", "jobs")
    request.url = httpx.URL(f"{service.url}/{place}")
    is_well(service.api.send(request))
