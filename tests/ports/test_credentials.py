import json
from html import escape
from urllib.parse import quote, quote_plus

import pytest

from pipeline.domain.errors import CredentialsError
from pipeline.ports.credentials import Credentials, check_transport, from_environment

KEY, SECRET = "api_key_1", "s3cret-of-mine"


def test_the_sdks_variables_are_read_and_stripped():
    found = from_environment({"SCENARIO_SDK_API_KEY": f" {KEY}\n", "SCENARIO_SDK_API_SECRET": SECRET})
    assert found == Credentials(key=KEY, secret=SECRET)


def test_an_environment_without_any_has_none():
    assert from_environment({"SCENARIO_SDK_API_KEY": "", "HOME": "/"}) is None


def test_files_are_read_and_stripped(tmp_path):
    (tmp_path / "key").write_text(f"{KEY}\n")
    (tmp_path / "secret").write_text(f"  {SECRET}\r\n")
    found = from_environment(
        {"SCENARIO_SDK_API_KEY_FILE": str(tmp_path / "key"), "SCENARIO_SDK_API_SECRET_FILE": str(tmp_path / "secret")}
    )
    assert found == Credentials(key=KEY, secret=SECRET)


@pytest.mark.parametrize(
    ("environ", "says"),
    [
        ({"SCENARIO_SDK_API_KEY": KEY}, "SCENARIO_SDK_API_SECRET is not set"),
        ({"SCENARIO_SDK_API_SECRET": SECRET}, "SCENARIO_SDK_API_KEY is not set"),
        (
            {"SCENARIO_SDK_API_KEY": KEY, "SCENARIO_SDK_API_KEY_FILE": "/x", "SCENARIO_SDK_API_SECRET": SECRET},
            "both set",
        ),
        ({"SCENARIO_SDK_API_KEY": KEY, "SCENARIO_SDK_API_SECRET_FILE": "/no/such/file"}, "/no/such/file"),
        ({"SCENARIO_SDK_API_KEY": f"{KEY}:{SECRET}", "SCENARIO_SDK_API_SECRET": SECRET}, "colon"),
    ],
)
def test_half_or_doubled_credentials_are_refused(environ, says):
    with pytest.raises(CredentialsError, match=says) as caught:
        from_environment(environ)
    assert caught.value.mend
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b" \n", b"\xff\xfe\x00"])
def test_an_empty_or_binary_file_is_refused_by_name(tmp_path, content):
    file = tmp_path / "secret"
    file.write_bytes(content)
    with pytest.raises(CredentialsError, match="SCENARIO_SDK_API_SECRET_FILE"):
        from_environment({"SCENARIO_SDK_API_KEY": KEY, "SCENARIO_SDK_API_SECRET_FILE": str(file)})


def test_nothing_shows_them():
    credentials = Credentials(key=KEY, secret=SECRET)
    for shown in (repr(credentials), str(credentials), f"{[credentials]}"):
        assert KEY not in shown
        assert SECRET not in shown


def test_what_a_service_repeats_is_redacted():
    credentials = Credentials(key=KEY, secret=SECRET)
    said = credentials.redact(f"bad header {credentials.authorization} for {KEY} with {SECRET}".encode())
    assert said == b"bad header Basic [hidden] for [hidden] with [hidden]"


@pytest.mark.parametrize(
    "spell", [json.dumps, lambda text: json.dumps(text).replace("/", "\\/"), quote, quote_plus, escape]
)
def test_what_a_service_repeats_in_another_spelling_is_redacted(spell):
    credentials = Credentials(key="api/key ü", secret='s3cret&"of/mine')
    for hidden in (credentials.key, credentials.secret, credentials.authorization.removeprefix("Basic ")):
        said = credentials.redact(f"told: {spell(hidden)}".encode()).decode()
        assert said.strip('"') in {"told: [hidden]", 'told: "[hidden]'}


def test_short_credentials_stay_where_they_may_stand_by_chance():
    credentials = Credentials(key="local", secret="long-enough-to-tell")
    assert credentials.redact(b'{"id": "local_1", "x": "long-enough-to-tell"}', shortest=16) == (
        b'{"id": "local_1", "x": "[hidden]"}'
    )


@pytest.mark.parametrize(
    "url",
    ["https://api.cloud.scenario.com/v1", "http://127.0.0.1:8080/v1", "http://localhost/v1", "http://[::1]:9/v1"],
)
def test_https_and_loopback_may_carry_them(url):
    assert str(check_transport(url)) == url.removesuffix("/v1")


@pytest.mark.parametrize(
    "url",
    [
        "http://api.cloud.scenario.com/v1",
        "http://192.168.1.5/v1",
        "http://127.0.0.1.evil.example/v1",
        "http://localhost.evil.example/v1",
        "ftp://127.0.0.1/v1",
        "api.cloud.scenario.com/v1",
        "https:///v1",
        f"https://{KEY}:{SECRET}@api.cloud.scenario.com/v1",
        "https://host:99999/v1",
    ],
)
def test_anything_else_may_not(url):
    with pytest.raises(CredentialsError) as caught:
        check_transport(url)
    assert caught.value.mend
    assert SECRET not in str(caught.value)
