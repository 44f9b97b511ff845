"""Bodies and routes that are not what was agreed: answered in JSON, within bounds."""

import pytest

MODEL = "model_hunyuan-3d-pro-3-1-multiview"
GENERATE = f"generate/custom/{MODEL}"


def test_bodies_are_bounded(service, web) -> None:
    limit = 12 * 1024 * 1024
    for body in (b" " * (limit + 1), iter([b" " * limit, b" "])):  # with a length, and in chunks
        answer = service.api.post("assets", content=body)
        assert answer.status_code == 413
        assert f"{limit:,} bytes" in answer.json()["reason"]
    announced = {"fileName": "a.png", "fileSize": 100, "contentType": "image/png", "kind": "image", "parts": 1}
    upload = service.api.post("uploads", json=announced).json()["upload"]
    assert web.put(upload["parts"][0]["url"], content=b"x" * 101).status_code == 413


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'"text"', b'{"faceCount": NaN}', b"[" * 100_000, b"\xff\xfe", b'{"faceCount": 1e999}']
)
def test_bodies_that_are_no_json_object_are_refused(service, body) -> None:
    answer = service.api.post(GENERATE, content=body)
    assert answer.status_code == 400
    assert answer.json()["error"] == "Bad Request"


def test_missing_fields_are_named(service) -> None:
    assert "image: Field required" in service.api.post("assets", json={"name": "a"}).json()["reason"]
    assert "not base64" in service.api.post("assets", json={"name": "a", "image": "*"}).json()["reason"]
    upload = service.api.post("uploads", json={"kind": "model", "parts": 99}).json()["reason"]
    for field in ("kind", "fileName", "fileSize", "contentType", "parts"):
        assert f"{field}: " in upload


def test_unknown_routes_and_methods_are_told_in_json(service) -> None:
    missing = service.api.get("nowhere")
    assert (missing.status_code, missing.json()["reason"]) == (404, "there is no /v1/nowhere")
    wrong = service.api.put("jobs")
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "GET, HEAD")
    assert wrong.json()["error"] == "Method Not Allowed"


@pytest.mark.parametrize(
    "query",
    [
        "pageSize=0",
        "pageSize=ten",
        "status=done",
        "types=custom&updatedAfter=yesterday",
        "createdAfter=2026-01-01T00:00:00",
        "paginationToken=%7B%7D",
        "paginationToken=WzEsMl0=",
    ],
)
def test_wrong_list_queries_are_refused(service, query) -> None:
    answer = service.api.get(f"jobs?{query}")
    assert answer.status_code == 400
    name = query.split("&")[-1].split("=")[0]
    assert answer.json()["reason"].startswith(f"{name}: ")


def test_a_page_token_belongs_to_its_list(service) -> None:
    front = service.upload()["id"]
    for _ in range(2):
        service.generate(frontImage=front)
    token = service.api.get("jobs?pageSize=1").json()["nextPaginationToken"]
    assert service.api.get("jobs", params={"paginationToken": token}).is_success
    assert service.api.get("jobs", params={"paginationToken": token, "types": "custom"}).status_code == 400


def test_a_part_sent_too_late_is_refused(service, picture, web) -> None:
    data = picture()
    announced = {"fileName": "a.png", "fileSize": len(data), "contentType": "image/png", "kind": "image", "parts": 1}
    upload = service.api.post("uploads", json=announced).json()["upload"]
    url = upload["parts"][0]["url"]
    assert web.put(url, content=b"first try").is_success
    assert web.put(url, content=data).is_success
    assert service.api.post(f"uploads/{upload['id']}/action", json={"action": "complete"}).is_success
    assert service.api.get(f"uploads/{upload['id']}").json()["upload"]["status"] == "imported"
    assert web.put(url, content=data).status_code == 409
