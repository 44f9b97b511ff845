"""Disks that are full, read-only or damaged: a clear error, nothing lost, nothing paid twice. Real file systems, real
processes, a real service.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from disks import Disk, disk, needs_mounts
from nights import KILLED, Death, Night, serving

from pipeline.cli.exit_codes import ExitCode
from pipeline.domain.lifecycle import Event

KIB = 1024
MIB = 1024 * KIB
SETS = 3


@pytest.fixture
def night(tmp_path: Path) -> Iterator[Night]:
    with serving(tmp_path / "service", hurry=20.0) as service:
        yield Night(folder=tmp_path, service=service)


@pytest.fixture
def output(night: Night) -> Iterator[Disk]:
    with disk(night.output, size_bytes=4 * MIB) as output:
        yield output


def told(night: Night) -> str:
    """What the last run said."""
    return (night.folder / f"run-{night.runs:02}.log").read_text(encoding="utf-8")


def finishes(night: Night) -> None:
    """The same command, undisturbed: all is done, and each mesh was paid once."""
    night.finish()
    night.check()


@needs_mounts
@pytest.mark.parametrize("free_kib", [0, 8, 64, 104, 120, 136, 160, 200, 256, 320])
def test_a_disk_that_fills_up_at_any_moment(night: Night, output: Disk, free_kib: int) -> None:
    """Ledger, downloads and results on one disk: each amount of room is used up by another of them."""
    night.prepare(sets=SETS)
    output.fill(free_bytes=free_kib * KIB)
    code = night.run()
    assert code in {ExitCode.LOCAL_IO, ExitCode.OK}, told(night)
    if code == ExitCode.LOCAL_IO:
        assert "full" in told(night) or "No space left" in told(night)
        assert "mend:" in told(night)
    output.make_room()
    finishes(night)


@needs_mounts
def test_a_disk_that_is_too_small_for_the_downloads(night: Night) -> None:
    night.prepare(sets=SETS, state="state")
    with disk(night.folder / "state" / "staging", size_bytes=8 * KIB) as staging:
        staging.fill(free_bytes=0)
        assert night.run() == ExitCode.LOCAL_IO
        assert "staging" in told(night)
        assert "free some space on that disk" in told(night)
    finishes(night)


@needs_mounts
def test_a_disk_that_is_too_small_for_the_results(night: Night, output: Disk) -> None:
    night.prepare(sets=SETS, state="state")
    output.fill(free_bytes=0)
    assert night.run() == ExitCode.LOCAL_IO
    assert "results" in told(night)
    output.make_room()
    finishes(night)


@needs_mounts
def test_a_read_only_output_folder_is_found_out_before_anything_is_paid(night: Night, output: Disk) -> None:
    night.prepare(sets=SETS, state="state")
    output.lock()
    assert night.run() == ExitCode.LOCAL_IO
    assert f"{night.output} may not be written" in told(night)
    assert not night.service.jobs()
    output.unlock()
    finishes(night)


@needs_mounts
def test_a_read_only_state_folder_is_found_out_before_anything_is_paid(night: Night) -> None:
    night.prepare(sets=SETS, state="state")
    with disk(night.folder / "state", size_bytes=MIB) as state:
        state.lock()
        assert night.run() == ExitCode.LOCAL_IO
        assert f"the state folder {state.folder} cannot be used" in told(night)
        assert not night.service.jobs()
        state.unlock()
        assert night.run() == ExitCode.OK
        night.check()


@needs_mounts
def test_a_disk_that_turns_read_only_within_a_run(night: Night, output: Disk) -> None:
    night.prepare(sets=SETS, state="state")
    assert night.run(Death(event=Event.ACCEPTED_BY_SERVICE, moment="after")) == KILLED
    (night.output / "meshes").mkdir()
    with disk(night.output / "meshes", size_bytes=MIB) as meshes:
        meshes.lock()
        assert night.run() == ExitCode.LOCAL_IO
        assert "the disk can only be read" in told(night)
    finishes(night)


@needs_mounts
def test_output_and_state_on_disks_of_their_own(night: Night, output: Disk) -> None:
    night.prepare(sets=SETS, twins=1, state="state")
    assert (night.folder / "sets").stat().st_dev != output.folder.stat().st_dev
    assert night.run(Death(event=Event.ACCEPT, moment="before")) == KILLED
    finishes(night)


def test_a_folder_in_the_place_of_a_mesh_stops_the_run_and_is_named(night: Night) -> None:
    night.prepare(sets=SETS)
    place = night.output / "meshes" / "set 01" / "set 01.glb"
    (place / "inside").mkdir(parents=True)
    assert night.run() == ExitCode.LOCAL_IO
    assert str(place) in told(night)
    assert "a folder stands where a file is expected; move it away" in told(night)
    shutil.rmtree(place)
    finishes(night)


@pytest.mark.skipif(os.name == "nt", reason="symbolic links need a right there")
@pytest.mark.parametrize(("key", "said"), [("output", "output folder"), ("state", "state folder")])
def test_a_folder_that_is_a_link_to_itself(night: Night, key: str, said: str) -> None:
    (night.folder / "circle").symlink_to("circle")
    night.prepare(sets=1, **{key: "circle"})
    assert night.run() == ExitCode.LOCAL_IO
    assert said in told(night)
    assert not night.service.jobs()


@pytest.mark.skipif(os.name == "nt", reason="symbolic links need a right there")
def test_meshes_and_held_that_are_one_folder_are_found_out_before_anything_is_paid(night: Night) -> None:
    night.prepare(sets=1, acceptance={"on_low": "hold"})
    night.output.mkdir()
    (night.output / "held").symlink_to("meshes")
    assert night.run() == ExitCode.LOCAL_IO
    assert "meshes and held" in told(night)
    assert not night.service.jobs()
    (night.output / "held").unlink()
    finishes(night)


@pytest.mark.skipif(os.name == "nt", reason="symbolic links need a right there")
def test_pictures_and_folders_that_lead_in_circles(night: Night) -> None:
    night.prepare(sets=1)
    broken = night.folder / "sets" / "broken"
    broken.mkdir()
    (broken / "front.png").symlink_to("front.png")
    (night.folder / "sets" / "set 00" / "around").symlink_to("..")
    assert night.run() == ExitCode.INCOMPLETE
    assert {row["set"]: row["state"] for row in night.rows()} == {"broken": "refused", "set 00": "delivered"}


def ledger_of(night: Night) -> Path:
    return night.output / ".mvmesh" / "ledger.sqlite3"


def emptied(ledger: Path) -> None:
    ledger.write_bytes(b"")


def cut(ledger: Path) -> None:
    with ledger.open("r+b") as file:
        file.truncate(ledger.stat().st_size // 2)


def scratched(ledger: Path) -> None:
    with ledger.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 4096)


def overwritten(ledger: Path) -> None:
    ledger.write_bytes(b"These are my notes. " * 1000)


@pytest.mark.parametrize("damage", [emptied, cut, scratched, overwritten], ids=lambda it: it.__name__)
def test_a_damaged_ledger_is_never_taken_for_a_new_one(night: Night, damage) -> None:
    night.prepare(sets=SETS)
    assert night.run() == ExitCode.OK
    ledger = ledger_of(night)
    damage(ledger)
    spoiled = ledger.read_bytes()
    assert night.run() == ExitCode.LOCAL_IO
    assert str(ledger) in told(night)
    assert "mvmesh reconcile MANIFEST --rebuild" in told(night)
    assert len(night.service.jobs()) == SETS
    assert ledger.read_bytes() == spoiled


def test_a_ledger_without_its_log_is_damaged(night: Night) -> None:
    night.prepare(sets=SETS)
    assert night.run(Death(event=Event.ACCEPTED_BY_SERVICE, moment="after")) == KILLED
    log = ledger_of(night).with_name("ledger.sqlite3-wal")
    kept = log.read_bytes()
    log.unlink()
    assert night.run() == ExitCode.LOCAL_IO
    assert "ledger.sqlite3-wal is gone" in " ".join(told(night).split())
    assert "--rebuild" in told(night)
    log.write_bytes(kept)
    finishes(night)
