import base64
import inspect
import json
import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from pipeline.cli.frame import run
from pipeline.cli.serve import _read_prices, command

URL = re.compile(r"^serving (http://\S+)$", re.MULTILINE)
CREDENTIALS = re.compile(r"export (SCENARIO_SDK_API_\w+)=(\S+)")


@pytest.fixture
def serve(tmp_path: Path):
    """Starts ``mvmesh serve`` and waits until it serves: the process, and what it printed."""
    started = []

    def serve(*options: str, **environment: str) -> tuple[subprocess.Popen[str], str]:
        known = {name: value for name, value in os.environ.items() if not name.startswith("SCENARIO_")}
        process = subprocess.Popen(
            [sys.executable, "-m", "pipeline", "serve", "--port", "0", "--data", str(tmp_path / "data"), *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=known | environment,
        )
        started.append(process)
        shown = ""
        while "backend:" not in shown:
            line = process.stdout.readline()
            assert line, process.stderr.read()
            shown += line
        return process, shown

    yield serve
    for process in started:
        process.kill()
        process.communicate()


def status(url: str, key: str = "", secret: str = "") -> int:
    request = urllib.request.Request(f"{url}/jobs")
    if key:
        request.add_header("Authorization", "Basic " + base64.b64encode(f"{key}:{secret}".encode()).decode())
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


def test_it_serves_with_random_credentials_until_it_is_told_to_stop(serve) -> None:
    process, shown = serve("--workers", "1")
    url = URL.findall(shown)[0]
    shown_credentials = dict(CREDENTIALS.findall(shown))
    assert list(shown_credentials) == ["SCENARIO_SDK_API_KEY", "SCENARIO_SDK_API_SECRET"]
    assert f"backend: {url}" in shown
    assert status(url) == 401
    assert status(url, *shown_credentials.values()) == 200
    if os.name != "nt":
        process.send_signal(signal.SIGTERM)
        _, told = process.communicate(timeout=20)
        assert process.returncode == 0
        assert "stopping" in told
        assert "Traceback" not in told


def test_given_credentials_are_used_and_never_shown(serve, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret_from_a_file\n")
    process, shown = serve(
        "--workers", "1", SCENARIO_SDK_API_KEY="key_given", SCENARIO_SDK_API_SECRET_FILE=str(tmp_path / "secret")
    )
    assert status(URL.findall(shown)[0], "key_given", "secret_from_a_file") == 200
    process.terminate()
    out, err = process.communicate(timeout=20)
    assert "key_given" not in shown + out + err
    assert "secret_from_a_file" not in shown + out + err


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("base: -1\n", "base"),
        ("bas: 1\n", "bas"),
        ("base: 1\nbase: 2\n", "prices.yaml"),
        ("- 1\n", "price list"),
        ("{", "prices.yaml"),
    ],
)
def test_a_price_list_that_is_none_is_refused(text: str, told: str, tmp_path: Path, capsys) -> None:
    prices = tmp_path / "prices.yaml"
    prices.write_text(text)
    assert run(["serve", "--data", str(tmp_path / "data"), "--prices", str(prices)]) == 2
    assert told in capsys.readouterr().err
    assert not (tmp_path / "data").exists()


def test_a_port_that_is_taken_is_named(serve, tmp_path: Path, capsys) -> None:
    _, shown = serve("--workers", "1")
    port = URL.findall(shown)[0].split(":")[2].split("/")[0]
    assert run(["serve", "--data", str(tmp_path / "other"), "--port", port, "--workers", "1"]) == 2
    assert f"cannot listen on 127.0.0.1:{port}" in capsys.readouterr().err


def test_a_script_reads_address_and_credentials_as_json(serve, tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "pipeline", "serve", "--port", "0", "--data", str(tmp_path / "own"), "--json"],
        env={name: value for name, value in os.environ.items() if not name.startswith("SCENARIO_")},
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        lines = iter(process.stdout.readline, "}\n")
        said = json.loads("".join(lines) + "}")
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    assert said["baseUrl"].startswith("http://127.0.0.1:")
    assert said["key"]
    assert said["secret"]


def test_the_price_list_that_the_help_shows_is_one(tmp_path: Path) -> None:
    shown = (command.help or "").split("\b\n")[1]
    path = tmp_path / "prices.yaml"
    path.write_text(inspect.cleandoc(shown))
    prices = _read_prices(path)
    assert prices.cost({"faceCount": 600_000, "generateType": "Normal", "enablePbr": True}) == 42
