"""The service in a process of its own, and pictures to feed it."""

import base64
import io
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image, ImageDraw

MODEL = "model_hunyuan-3d-pro-3-1-multiview"
CREDENTIALS = ("key", "s3cret:with-colon")


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A service, and a plain client of it."""

    url: str
    key: str = CREDENTIALS[0]
    secret: str = CREDENTIALS[1]
    process: subprocess.Popen[str]
    api: httpx.Client

    def upload(self, data: bytes | None = None) -> dict[str, Any]:
        """The asset of a new picture."""
        body = {"name": "front.png", "image": base64.b64encode(data or drawn()).decode()}
        return self.api.post("assets", json=body).raise_for_status().json()["asset"]

    def generate(self, **inputs: Any) -> dict[str, Any]:
        """A new job, of a picture of its own unless one is named."""
        body = {"frontImage": inputs.get("frontImage") or self.upload()["id"], **inputs}
        return self.api.post(f"generate/custom/{MODEL}", json=body).raise_for_status().json()["job"]

    def job(self, job_id: str) -> dict[str, Any]:
        return self.api.get(f"jobs/{job_id}").raise_for_status().json()["job"]

    def until(self, job_id: str, reached: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The job, as soon as it has come so far."""
        deadline = time.monotonic() + 20
        while not reached(job := self.job(job_id)):
            assert time.monotonic() < deadline, job
        return job

    def finished(self, job_id: str) -> dict[str, Any]:
        return self.until(job_id, lambda job: job["status"] in {"success", "failure"})

    def kill(self) -> None:
        """As a power cut would: no time to tidy up."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        assert self.process.stdin is not None
        self.process.stdin.close()
        return self.process.wait(20)


def launch(data: Path, **options: Any) -> Running:
    setup = {"data": str(data), "credentials": CREDENTIALS, "engine": "engines:quick", "workers": 1, **options}
    process = subprocess.Popen(
        [sys.executable, "-W", "error", str(Path(__file__).with_name("launch.py")), json.dumps(setup)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    url = process.stdout.readline().strip()
    assert url, "the service did not start"
    return Running(url=url, process=process, api=httpx.Client(base_url=url, auth=CREDENTIALS, timeout=20, verify=False))


def end(service: Running) -> None:
    service.api.close()
    service.kill()
    for pipe in (service.process.stdin, service.process.stdout):
        assert pipe is not None
        pipe.close()


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Callable[..., Running]]:
    """Start services on one data folder, one after the other; all are ended with the test."""
    services: list[Running] = []

    def start(**options: Any) -> Running:
        services.append(launch(tmp_path / "data", **options))
        return services[-1]

    yield start
    for service in services:
        end(service)


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One service for all tests that leave it well, with a cheap engine."""
    running = launch(tmp_path_factory.mktemp("service"), ceiling=50)
    yield running
    end(running)


@pytest.fixture(scope="session")
def real_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One service with the engine that users have."""
    running = launch(tmp_path_factory.mktemp("real"), engine=None)
    yield running
    end(running)


@pytest.fixture(scope="session")
def web() -> Iterator[httpx.Client]:
    """A client without credentials. (Loading certificates, which it needs none of, takes longer than most tests.)"""
    with httpx.Client(verify=False, timeout=20) as client:
        yield client


@pytest.fixture
def picture() -> Callable[..., bytes]:
    return drawn


def drawn(colour: str = "red", size: tuple[int, int] = (128, 128), **saving: Any) -> bytes:
    """An object on transparent ground."""
    image = Image.new("RGBA", size)
    ImageDraw.Draw(image).rounded_rectangle((size[0] // 4, size[1] // 4, size[0] * 3 // 4, size[1] * 3 // 4), 9, colour)
    file = io.BytesIO()
    image.save(file, "PNG", **saving)
    return file.getvalue()
