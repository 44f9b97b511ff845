"""A ledger that was lost in one way or another is rebuilt from the files and a real service; nothing is paid twice."""

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import toy_engine
import yaml
from nights import KEY, KILLED, SECRET, TESTS, Death, Night, serving

from pipeline.cli.exit_codes import ExitCode
from pipeline.cli.frame import run
from pipeline.domain.lifecycle import Event

LEDGER = Path(".mvmesh/ledger.sqlite3")


@dataclass(frozen=True, slots=True)
class Place:
    """An output folder as a bad night left it: sets 00 and 01 delivered, 02 in flight, the submission of 03 lost (its
    job is made), and 04 not begun.
    """

    night: Night
    output: Path
    manifest: Path

    @property
    def ledger(self) -> Path:
        return self.output / LEDGER

    def lose(self) -> None:
        for path in self.ledger.parent.glob("ledger*"):
            path.unlink()


@pytest.fixture(scope="module")
def bad_night(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Night]:
    folder = tmp_path_factory.mktemp("night")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv(toy_engine.GATE, str(folder / "gate"))
        with serving(folder / "service", engine="toy_engine:make_when_told") as service:
            night = Night(folder=folder, service=service)
            make_bad(night)
            yield night


def make_bad(night: Night) -> None:
    gate = night.folder / "gate"
    gate.touch()
    night.prepare(sets=2)
    assert night.run() == ExitCode.OK
    gate.unlink()
    night.add_set()
    assert night.run(Death(event=Event.ACCEPTED_BY_SERVICE, moment="after")) == KILLED
    night.add_set()
    assert night.run(Death(event=Event.ACCEPTED_BY_SERVICE, moment="before")) == KILLED
    night.add_set()
    gate.touch()
    shutil.copytree(night.output, night.folder / "kept")


@pytest.fixture
def place(bad_night: Night, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.setenv("SCENARIO_SDK_API_KEY", KEY)
    monkeypatch.setenv("SCENARIO_SDK_API_SECRET", SECRET)
    shutil.rmtree(bad_night.output)
    shutil.copytree(bad_night.folder / "kept", bad_night.output)
    return Place(bad_night, bad_night.output, bad_night.manifest)


def cut(path: Path, size: int) -> None:
    with path.open("r+b") as file:
        file.truncate(size)


def scribble(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\x5a" * (path.stat().st_size - 4096))


def swap_a_record(path: Path) -> None:
    data = path.read_bytes()
    assert b'"state":"' in data
    path.write_bytes(data.replace(b'"state":"', b'"stale":"'))


def delete(path: Path) -> None:
    path.unlink()


WAYS: dict[str, Callable[[Path], None]] = {
    "deleted": delete,
    "emptied": lambda path: cut(path, 0),
    "cut off": lambda path: cut(path, path.stat().st_size // 2),
    "scribbled over": scribble,
    "records that cannot be read": swap_a_record,
    "another file": lambda path: path.write_text("These are my notes, not yours. " * 100) and None,
}


def checkpointed(ledger: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What a killed run left beside the ledger goes into it, as with any opening: the whole of it is to be lost."""
    assert run(["status", str(ledger.parents[2] / "night.yaml")]) == 0
    capsys.readouterr()
    assert sorted(one.name for one in ledger.parent.glob("ledger*")) == ["ledger.sqlite3", "ledger.sqlite3-count"]


def rebuild(place: Place, capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, Any]]:
    capsys.readouterr()
    code = run(["reconcile", str(place.manifest), "--rebuild", "--json"])
    said = capsys.readouterr()
    assert code in {ExitCode.OK, ExitCode.UNCERTAIN}, said.err
    return code, json.loads(said.out)


def finish_and_check(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["run", str(place.manifest), "--yes"]) == ExitCode.OK, capsys.readouterr()
    capsys.readouterr()
    assert run(["verify", str(place.manifest)]) == ExitCode.OK
    capsys.readouterr()
    place.night.check()


@pytest.mark.parametrize("way", WAYS)
def test_after_a_rebuild_the_next_run_finishes_and_pays_nothing_twice(way: str, place: Place, capsys) -> None:
    checkpointed(place.ledger, capsys)
    WAYS[way](place.ledger)
    lost = place.ledger.read_bytes() if place.ledger.exists() else None
    before = len(place.night.service.jobs())
    for command in (["run", "--yes"], ["plan"], ["status"]):
        assert run([command[0], str(place.manifest), *command[1:]]) == ExitCode.LOCAL_IO
        assert "reconcile MANIFEST --rebuild" in capsys.readouterr().err
    assert len(place.night.service.jobs()) == before

    code, document = rebuild(place, capsys)
    assert code == ExitCode.OK
    states = {one["names"][0]: one["state"] for one in document["restored"]}
    assert [states[f"set 0{at}"] for at in range(2)] == ["delivered", "delivered"]
    assert {states[f"set 0{at}"] for at in (2, 3)} <= {"submitted", "finished"}
    assert len(states) + document["to_make"] == 5
    assert (document["spare_jobs"], document["unmatched_jobs"], document["unread_rows"]) == ([], [], 0)
    kept = [Path(one) for one in document["kept"]]
    assert [data for one in kept if (data := one.read_bytes()) and not one.match("*-count")] == ([lost] if lost else [])
    finish_and_check(place, capsys)


def test_a_ledger_whose_log_was_deleted_has_lost_its_last_commits(place: Place, capsys) -> None:
    place.ledger.with_name("ledger.sqlite3-wal").unlink()
    assert run(["run", str(place.manifest), "--yes"]) == ExitCode.LOCAL_IO
    assert "--rebuild" in capsys.readouterr().err
    _, document = rebuild(place, capsys)
    assert {one["state"] for one in document["restored"]} <= {"delivered", "submitted", "finished"}
    assert document["kept"] != []
    finish_and_check(place, capsys)


def test_a_second_rebuild_changes_nothing(place: Place, capsys) -> None:
    place.lose()
    rebuild(place, capsys)
    code, document = rebuild(place, capsys)
    assert (code, document["restored"], document["kept"]) == (0, [], [])
    finish_and_check(place, capsys)


def test_without_results_and_files_the_service_alone_tells(place: Place, capsys) -> None:
    shutil.rmtree(place.output)
    _, document = rebuild(place, capsys)
    assert len(document["restored"]) >= 4
    assert {one["state"] for one in document["restored"]} <= {"submitted", "finished"}
    finish_and_check(place, capsys)


def test_a_ledger_from_a_backup_gets_what_it_lacks(place: Place, capsys) -> None:
    """It is of the bad night; the results tell of what came after it."""
    checkpointed(place.ledger, capsys)
    backup = place.ledger.read_bytes()
    place.lose()
    rebuild(place, capsys)
    finish_and_check(place, capsys)
    place.ledger.write_bytes(backup)
    assert run(["run", str(place.manifest), "--yes"]) == ExitCode.LOCAL_IO
    assert "does not know" in capsys.readouterr().err
    _, document = rebuild(place, capsys)
    assert document["kept"] == []
    assert {one["state"] for one in document["restored"]} == {"delivered"}
    finish_and_check(place, capsys)


def test_a_file_that_is_gone_is_fetched_again_and_one_that_was_changed_is_not_taken_for_the_mesh(
    place: Place, capsys
) -> None:
    place.lose()
    gone, changed = (place.output / "meshes" / f"set 0{at}" / f"set 0{at}.glb" for at in range(2))
    gone.unlink()
    changed.write_bytes(changed.read_bytes()[:-1] + b"!")
    _, document = rebuild(place, capsys)
    states = {one["names"][0]: one["state"] for one in document["restored"]}
    assert (states["set 00"], states["set 01"]) == ("finished", "finished")
    finish_and_check(place, capsys)


def test_what_the_results_say_of_files_elsewhere_is_not_believed(place: Place, capsys) -> None:
    place.lose()
    victim = place.output.parent / "victim.glb"
    victim.write_bytes(b"mine")
    results = place.output / "results.jsonl"
    rows = [json.loads(line) for line in results.read_text().splitlines()]
    digest = hashlib.sha256(b"mine").hexdigest()
    rows[0]["outputs"][0] |= {"path": "../victim.glb", "bytes": 4, "sha256": digest}
    results.write_text("".join(json.dumps(row) + "\n" for row in rows) + "no row\n")
    _, document = rebuild(place, capsys)
    assert document["unread_rows"] == 1
    finish_and_check(place, capsys)
    assert victim.read_bytes() == b"mine"


def test_jobs_that_fit_no_set_and_jobs_that_are_too_many_are_told(place: Place, capsys) -> None:
    place.lose()
    said = yaml.safe_load(place.manifest.read_text())
    place.manifest.write_text(yaml.safe_dump({**said, "defaults": {"faceCount": 70_000}}))
    try:
        code, document = rebuild(place, capsys)
    finally:
        place.manifest.write_text(yaml.safe_dump(said))
    assert code == 0
    whys = [one["why"] for one in document["unmatched_jobs"]]
    assert any("with other views or parameters" in why for why in whys)


def test_a_rebuild_that_breaks_off_changes_nothing_and_runs_stay_blocked(place: Place, capsys, monkeypatch) -> None:
    scribble(place.ledger)
    before = place.ledger.read_bytes()
    monkeypatch.setenv("SCENARIO_SDK_API_SECRET", "wrong")
    assert run(["reconcile", str(place.manifest), "--rebuild"]) == ExitCode.CREDENTIALS
    assert place.ledger.read_bytes() == before
    monkeypatch.setenv("SCENARIO_SDK_API_SECRET", SECRET)
    assert run(["run", str(place.manifest), "--yes"]) == ExitCode.LOCAL_IO
    capsys.readouterr()
    rebuild(place, capsys)
    finish_and_check(place, capsys)


def test_a_ledger_that_was_set_aside_and_not_made_anew_blocks_runs(place: Place, capsys) -> None:
    """A rebuild died between its last two steps, before any results were published."""
    place.ledger.rename(place.ledger.with_name("ledger.sqlite3.damaged-2031-05-01T200000Z"))
    (place.output / "results.jsonl").unlink()
    assert run(["run", str(place.manifest), "--yes"]) == ExitCode.LOCAL_IO
    assert "set aside" in capsys.readouterr().err
    rebuild(place, capsys)
    finish_and_check(place, capsys)


def test_results_that_cannot_be_read_do_not_make_a_lost_ledger_a_new_one(place: Place, capsys) -> None:
    place.lose()
    (place.output / "results.jsonl").write_text("what a newer version tells\n")
    assert run(["run", str(place.manifest), "--yes"]) == ExitCode.LOCAL_IO
    assert "results.jsonl cannot be read" in capsys.readouterr().err
    rebuild(place, capsys)
    finish_and_check(place, capsys)


def test_manifests_that_share_a_state_folder_are_rebuilt_one_after_the_other(place: Place, capsys) -> None:
    place.lose()
    said = yaml.safe_load(place.manifest.read_text())
    other = place.manifest.with_name("other.yaml")
    shutil.copytree(place.output, place.output.with_name("other"), dirs_exist_ok=True)
    other.write_text(yaml.safe_dump({**said, "output": "other", "state": "out/.mvmesh"}))
    rebuild(place, capsys)
    finish_and_check(place, capsys)
    rebuild(replace(place, output=place.output.with_name("other"), manifest=other), capsys)
    assert run(["run", str(other), "--yes"]) == ExitCode.OK
    capsys.readouterr()
    finish_and_check(place, capsys)
    assert len(list(other.with_name("other").rglob("*.glb"))) == 5


@pytest.mark.parametrize("effect", [8, 23, 25, 26, 27])
def test_a_rebuild_that_is_killed_is_begun_anew(effect: int, place: Place, capsys) -> None:
    """It has some 27 effects on the disk, of which the last put the new ledger in the place of the damaged one; it never
    leaves one behind that a run takes for whole.
    """
    scribble(place.ledger)
    before = len(place.night.service.jobs())
    if killed(place, effect=effect):
        assert run(["run", str(place.manifest), "--yes"]) == ExitCode.LOCAL_IO
        assert len(place.night.service.jobs()) == before
        rebuild(place, capsys)
    finish_and_check(place, capsys)


def killed(place: Place, *, effect: int) -> bool:
    mvmesh = (sys.executable, "-W", "error", str(TESTS / "dying.py"), json.dumps({"effect": effect}))
    done = subprocess.run([*mvmesh, "reconcile", str(place.manifest), "--rebuild"], check=False, capture_output=True)
    assert done.returncode in {0, KILLED}, done.stderr
    return done.returncode == KILLED


def test_a_newer_ledger_is_no_damaged_one(place: Place, capsys) -> None:
    import sqlite3  # noqa: PLC0415 - as another version would

    checkpointed(place.ledger, capsys)
    with sqlite3.connect(place.ledger) as connection:
        connection.execute("INSERT INTO migrations VALUES ('9999 from the future', '2040-01-01')")
    connection.close()
    for command in ("run", "reconcile"):
        arguments = [command, str(place.manifest), *(["--rebuild"] if command == "reconcile" else ["--yes"])]
        assert run(arguments) == ExitCode.LOCAL_IO
        said = capsys.readouterr().err
        assert "9999 from the future" in said
        assert "use that version" in said


def test_results_of_the_embedded_service_block_nothing(draw_set, write_manifest, tmp_path: Path, capsys) -> None:
    draw_set("chair")
    (tmp_path / "out").mkdir()
    row = {"schema": 1, "set": "chair", "state": "submitted", "key": "a" * 64, "backend": "local", "job_id": "job_1"}
    (tmp_path / "out" / "results.jsonl").write_text(json.dumps(row) + "\n")
    assert run(["plan", str(write_manifest())]) == 0
    assert "chair" in capsys.readouterr().out
