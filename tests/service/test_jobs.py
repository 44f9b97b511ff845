"""The life of jobs: through restarts, broken workers, deleted inputs."""

import statistics
import time
from urllib.parse import urlsplit

import pytest


@pytest.fixture
def gate(tmp_path, monkeypatch):
    """Jobs of the engine ``gated`` end when this file is there."""
    monkeypatch.setenv("MVMESH_TEST_GATE", str(tmp_path))
    return tmp_path / "go"


def in_work(job) -> bool:
    return job["progress"] > 0


def test_progress_shows_and_moves_the_job_in_the_change_feed(started, gate) -> None:
    service = started(engine="engines:gated")
    job = service.generate()
    seen = service.until(job["jobId"], in_work)
    assert (seen["status"], seen["progress"]) == ("in-progress", 0.4)
    feed = service.api.get("jobs", params={"types": "custom", "updatedAfter": job["updatedAt"]}).json()["jobs"]
    assert [one["progress"] for one in feed] == [0.4]
    gate.touch()
    assert service.finished(job["jobId"])["status"] == "success"


def test_jobs_survive_a_kill_in_the_middle(started, gate, web) -> None:
    service = started(engine="engines:gated")
    front = service.upload()
    running, waiting = (service.generate(frontImage=front["id"])["jobId"] for _ in range(2))
    service.until(running, in_work)
    service.kill()

    gate.touch()
    again = started(engine="engines:gated")
    for job_id in (running, waiting):
        assert again.finished(job_id)["status"] == "success"
    history = [entry["status"] for entry in again.job(running)["statusHistory"]]
    assert history == ["queued", "in-progress", "queued", "in-progress", "finalizing", "success"]
    old = urlsplit(front["url"])
    assert web.get(old._replace(netloc=urlsplit(again.url).netloc).geturl()).is_success


def test_a_stop_is_quick_and_loses_nothing(started, gate) -> None:
    service = started(engine="engines:gated")
    job_id = service.generate()["jobId"]
    service.until(job_id, in_work)
    began = time.monotonic()
    assert service.stop() == 0
    assert time.monotonic() - began < 5
    gate.touch()
    assert started(engine="engines:gated").finished(job_id)["status"] == "success"


CRASH, HANG, REFUSE, BUG, FULL = 41_000, 42_000, 43_000, 44_000, 45_000
"""Face counts by which the engine ``faulty`` goes wrong."""


def test_a_job_that_goes_wrong_goes_wrong_alone(started) -> None:
    service = started(engine="engines:faulty", job_timeout_s=2.0, prices={"base": 7}, ceiling=9)
    front = service.upload()["id"]
    asked = {
        count: service.generate(frontImage=front, faceCount=count)["jobId"]
        for count in (CRASH, HANG, REFUSE, BUG, FULL)
    }
    fine = service.finished(service.generate(frontImage=front)["jobId"])
    assert fine["status"] == "success"

    failed = {count: service.finished(job_id) for count, job_id in asked.items()}
    for job in failed.values():
        assert job["status"] == "failure"
        assert job["metadata"]["hint"]
        assert job["metadata"]["assetIds"] == []
        assert job["billing"] == {"cuCost": 7, "cuDiscount": 0}
    spent = service.api.get("teams/team_local/limits").json()["values"]["creativeUnits"]
    assert spent == 7  # of six jobs five were refunded

    assert "time limit" in failed[HANG]["metadata"]["error"]
    assert failed[REFUSE]["metadata"]["error"] == "frontImage shows no object"
    assert failed[REFUSE]["metadata"]["hint"] == "render it on a plain background"
    assert {count for count, job in failed.items() if job["metadata"].get("fault") == "pictures"} == {REFUSE}
    assert "secret detail" not in str(failed[BUG])
    assert failed[FULL]["metadata"]["error"] == "the service's disk has no room for the mesh"


def test_a_cut_picture_is_named_by_its_input(real_service, picture) -> None:
    cut = real_service.upload(picture()[:-30])["id"]
    job = real_service.finished(real_service.generate(backImage=cut)["jobId"])
    assert job["status"] == "failure"
    assert "backImage" in job["metadata"]["error"]


def test_a_picture_deleted_before_its_job_began_is_named(started, gate) -> None:
    service = started(engine="engines:gated")
    first = service.generate()["jobId"]
    service.until(first, in_work)
    front = service.upload()["id"]
    second = service.generate(frontImage=front)["jobId"]
    service.api.request("DELETE", "assets", json={"assetIds": [front]})
    gate.touch()
    assert service.finished(first)["status"] == "success"
    assert front in service.finished(second)["metadata"]["error"]


def test_the_service_answers_at_once_while_it_computes(started, gate) -> None:
    service = started(engine="engines:gated", workers=2)
    for job_id in [service.generate()["jobId"] for _ in range(2)]:
        service.until(job_id, in_work)
    took = []
    for _ in range(40):
        began = time.perf_counter()
        service.api.get("jobs?types=custom")
        took.append(time.perf_counter() - began)
    assert statistics.median(took) < 0.1
    gate.touch()
