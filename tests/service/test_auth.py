"""Who may ask."""

import base64

import pytest


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer key",
        "Basic",
        "Basic !!!",
        basic("key"),
        basic("key:"),
        basic("key:s3cret"),
        basic("key:s3cret:with-colon "),
        basic("Key:s3cret:with-colon"),
        basic("ü:ü"),
    ],
)
def test_others_get_a_401_in_json(service, header, web) -> None:
    headers = {} if header is None else {"Authorization": header}
    for path in ("jobs", "assets/asset_x", "nowhere"):
        answer = web.get(f"{service.url}/{path}", headers=headers)
        assert answer.status_code == 401
        assert answer.json()["error"] == "Unauthorized"
        assert answer.headers["www-authenticate"].startswith("Basic")
        assert answer.headers["x-request-id"]
        assert "s3cret" not in answer.text


def test_key_and_secret_open_the_door(service, web) -> None:
    assert web.get(f"{service.url}/jobs", headers={"Authorization": basic("key:s3cret:with-colon")}).is_success


def test_health_is_open_and_tells_nothing(service, web) -> None:
    answer = web.get(service.url.removesuffix("/v1") + "/health")
    assert answer.json() == {"status": "ok"}
