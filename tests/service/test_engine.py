"""The engine as the service runs it: its files, in all modes, whoever runs it; its end by force; its errors."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from engine_jobs import MODES, pictures
from glb_checks import check
from PIL import Image

from pipeline.domain.views import View
from pipeline.service.engine import EngineFailure, EngineTask, make_mesh

SCRIPT = Path(__file__).parents[1] / "engine_jobs.py"
TEXTURES = {"albedo", "metallic", "roughness"}


def made_by(folder: Path, threads: int) -> Path:
    """All modes, made in a process of its own."""
    folder.mkdir()
    hashes = {**os.environ, "PYTHONHASHSEED": str(threads)}
    subprocess.run([sys.executable, "-W", "error", SCRIPT, folder, str(threads)], check=True, timeout=300, env=hashes)
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_by(tmp_path_factory.mktemp("modes") / "made", 1)


def files(folder: Path) -> Mapping[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_equal_pictures_give_equal_bytes_in_another_process_with_other_threads(made: Path, tmp_path: Path) -> None:
    again = files(made_by(tmp_path / "again", 2))
    first = files(made)
    assert first.keys() == again.keys()
    assert [name for name in first if first[name] != again[name]] == []


@pytest.mark.parametrize("name", MODES)
def test_every_mode_makes_a_glb_that_the_validator_has_nothing_to_say_of(made: Path, name: str) -> None:
    mode = MODES[name]
    glb = check((made / name / "mesh").read_bytes())
    assert len(glb.faces) % 2 == 0
    images = {one for one in glb.document["materials"][0]["pbrMetallicRoughness"] if one.endswith("Texture")}
    assert images == {
        *(["baseColorTexture"] if mode.textured else []),
        *(["metallicRoughnessTexture"] if mode.pbr else []),
    }


@pytest.mark.parametrize("name", MODES)
def test_textures_come_one_by_one_for_a_pbr_material_alone(made: Path, name: str) -> None:
    found = {path.name for path in (made / name).iterdir() if not path.suffix} - {"mesh", "progress", "normal"}
    assert found == (TEXTURES if MODES[name].pbr else set())
    for texture in found:
        with Image.open(made / name / texture) as image:
            assert image.mode == ("RGB" if texture == "albedo" else "L")


def test_what_was_found_or_guessed_is_noted_and_nothing_else_is(made: Path) -> None:
    for name, mode in MODES.items():
        notes = " ".join(json.loads((made / name / "notes.json").read_text()))
        assert ("depth" in notes and "guessed" in notes) == (mode.views == (View.FRONT,)), name
        assert ("have perspective" in notes) == (mode.perspective > 0), name
        assert ("framed on its own" in notes) == (mode.scale != 1), name


def task(folder: Path, given: Mapping[View, np.ndarray]) -> EngineTask:
    for view, pixels in given.items():
        Image.fromarray(pixels).save(folder / f"{view}.png")
    paths = {view: folder / f"{view}.png" for view in given}
    return EngineTask(
        pictures=paths,
        face_count=2_000,
        textured=True,
        pbr=False,
        folder=folder,
        progress=folder / "progress",
        threads=os.cpu_count() or 1,
    )


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({View.BACK: "blank"}, ("back view", "blank", "replace the picture")),
        ({View.LEFT: "full"}, ("left view", "covers the whole picture", "leave a margin")),
        ({View.TOP: "elsewhere"}, ("top", "contradict", "same object", "same frame")),
    ],
)
def test_what_cannot_be_made_says_which_view_and_what_to_do(
    tmp_path: Path, wrong: Mapping[View, str], said: tuple[str, ...]
) -> None:
    given = dict(pictures(MODES["textured"]))
    for view, how in wrong.items():
        given[view] = np.full_like(given[view], 255 if how == "full" else 0)
        if how == "full":
            given[view][:, ::2, 3] = 160
        if how == "elsewhere":
            given[view][2:8, 2:8] = 255
    with pytest.raises(EngineFailure) as failure:
        make_mesh(task(tmp_path, given))
    text = f"{failure.value.message} {failure.value.hint}"
    assert all(word in text for word in said), text


def worker_of(service: subprocess.Popen[str]) -> int:
    """The process id of the one worker process of a service."""
    children = Path(f"/proc/{service.pid}/task").glob("*/children")
    (worker,) = [int(child) for path in children for child in path.read_text().split()]
    return worker


def until(reached, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.02)  # noqa: TID251 - another process is waited for


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="the worker is found by /proc")
def test_a_worker_that_is_killed_with_all_its_files_written_leaves_no_asset(
    started, picture, tmp_path, monkeypatch
) -> None:
    monkeypatch.setenv("MVMESH_TEST_GATE", str(tmp_path))
    service = started(engine="engines:complete_but_gated")
    data = tmp_path / "data"
    front = service.upload(picture())["id"]
    job_id = service.generate(frontImage=front, faceCount=40_000, enablePbr=True)["jobId"]
    until((tmp_path / "made").exists)
    assert {path.name for path in data.glob("work/*/*")} >= {"mesh", "albedo"}
    os.kill(worker_of(service.process), signal.SIGKILL)

    job = service.finished(job_id)
    assert job["status"] == "failure"
    assert "SIGKILL" in job["metadata"]["error"]
    assert "memory" in job["metadata"]["hint"]
    assert job["metadata"]["assetIds"] == []
    assert [path.name for path in (data / "assets").iterdir()] == [front]
    until(lambda: not [*(data / "work").iterdir()])

    (tmp_path / "go").touch()
    again = service.finished(service.generate(frontImage=front, faceCount=40_000)["jobId"])
    assert again["status"] == "success"
    assert {path.name for path in (data / "assets").iterdir()} == {front, *again["metadata"]["assetIds"]}


def test_what_was_found_and_how_far_it_is_reach_the_client(real_service, picture) -> None:
    front = real_service.upload(picture(size=(700, 700)))["id"]
    job_id = real_service.generate(frontImage=front, faceCount=40_000)["jobId"]
    seen: list[float] = []

    def ended(job) -> bool:
        seen.append(job["progress"])
        return job["status"] in {"success", "failure"}

    job = real_service.until(job_id, ended)
    assert job["status"] == "success"
    assert "guessed" in job["metadata"]["notes"][0]
    assert seen == sorted(seen)
    assert seen[-1] == 1
