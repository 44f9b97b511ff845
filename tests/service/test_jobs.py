"""The life of jobs: through restarts, broken workers, deleted inputs."""

import statistics
import time
from urllib.parse import urlsplit

import httpx
import pytest


@pytest.fixture
def gate(tmp_path, monkeypatch):
    """Jobs of the engine ``gated`` end when this file is there."""
    monkeypatch.setenv("MVMESH_TEST_GATE", str(tmp_path))
    return tmp_path / "go"


def in_work(job) -> bool:
    return job["progress"] > 0


def test_progress_shows_and_moves_the_job_in_the_change_feed(started, gate) -> None:
    service = started(engine="gated")
    job = service.generate()
    seen = service.until(job["jobId"], in_work)
    assert (seen["status"], seen["progress"]) == ("in-progress", 0.4)
    feed = service.api.get("jobs", params={"types": "custom", "updatedAfter": job["updatedAt"]}).json()["jobs"]
    assert [one["progress"] for one in feed] == [0.4]
    gate.touch()
    assert service.finished(job["jobId"])["status"] == "success"


def test_jobs_survive_a_kill_in_the_middle(started, gate) -> None:
    service = started(engine="gated")
    front = service.upload()
    running, waiting = (service.generate(frontImage=front["id"])["jobId"] for _ in range(2))
    service.until(running, in_work)
    service.kill()

    gate.touch()
    again = started(engine="gated")
    for job_id in (running, waiting):
        assert again.finished(job_id)["status"] == "success"
    history = [entry["status"] for entry in again.job(running)["statusHistory"]]
    assert history == ["queued", "in-progress", "queued", "in-progress", "finalizing", "success"]
    old = urlsplit(front["url"])
    assert httpx.get(old._replace(netloc=urlsplit(again.url).netloc).geturl()).is_success


def test_a_stop_is_quick_and_loses_nothing(started, gate) -> None:
    service = started(engine="gated")
    job_id = service.generate()["jobId"]
    service.until(job_id, in_work)
    began = time.monotonic()
    assert service.stop() == 0
    assert time.monotonic() - began < 5
    gate.touch()
    assert started(engine="gated").finished(job_id)["status"] == "success"


def test_a_crashed_worker_fails_its_job_alone(started) -> None:
    service = started(engine="crash", prices={"base": 7})
    front = service.upload()["id"]
    doomed = service.generate(frontImage=front)
    fine = service.generate(frontImage=front, faceCount=50_000)
    failed = service.finished(doomed["jobId"])
    assert failed["status"] == "failure"
    assert failed["metadata"]["error"]
    assert failed["metadata"]["hint"]
    assert failed["metadata"]["assetIds"] == []
    assert service.finished(fine["jobId"])["status"] == "success"
    assert failed["billing"] == {"cuCost": 7, "cuDiscount": 0}
    limits = service.api.get("teams/team_local/limits").json()
    assert limits["values"]["creativeUnits"] == 7  # of two jobs, one was refunded


def test_a_hung_worker_fails_its_job_alone(started) -> None:
    service = started(engine="hang", job_timeout_s=0.5)
    front = service.upload()["id"]
    doomed = service.generate(frontImage=front)
    fine = service.generate(frontImage=front, faceCount=50_000)
    assert "time limit" in service.finished(doomed["jobId"])["metadata"]["error"]
    assert service.finished(fine["jobId"])["status"] == "success"


def test_what_the_engine_has_against_pictures_is_told(started) -> None:
    service = started(engine="refuse")
    metadata = service.finished(service.generate()["jobId"])["metadata"]
    assert metadata["error"] == "frontImage shows no object"
    assert metadata["hint"] == "render it on a plain background"


def test_a_bug_of_the_engine_stays_in_the_log(started) -> None:
    service = started(engine="bug")
    job = service.finished(service.generate()["jobId"])
    assert job["status"] == "failure"
    assert "secret detail" not in str(job)


def test_a_cut_picture_is_named_by_its_input(started, picture) -> None:
    service = started(engine=None)
    cut = service.upload(picture()[:-30])["id"]
    job = service.finished(service.generate(frontImage=service.upload()["id"], backImage=cut)["jobId"])
    assert job["status"] == "failure"
    assert "backImage" in job["metadata"]["error"]


def test_a_picture_deleted_before_its_job_began_is_named(started, gate) -> None:
    service = started(engine="gated")
    first = service.generate()["jobId"]
    service.until(first, in_work)
    front = service.upload()["id"]
    second = service.generate(frontImage=front)["jobId"]
    service.api.request("DELETE", "assets", json={"assetIds": [front]})
    gate.touch()
    assert service.finished(first)["status"] == "success"
    assert front in service.finished(second)["metadata"]["error"]


def test_the_service_answers_at_once_while_it_computes(started, gate) -> None:
    service = started(engine="gated", workers=2)
    for job_id in [service.generate()["jobId"] for _ in range(2)]:
        service.until(job_id, in_work)
    took = []
    for _ in range(40):
        began = time.perf_counter()
        service.api.get("jobs?types=custom")
        took.append(time.perf_counter() - began)
    assert statistics.median(took) < 0.05
    gate.touch()
