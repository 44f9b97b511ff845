"""The results manifest is made some rows at a time, and not again while nothing has changed."""

import json
from dataclasses import replace

import pytest
from simulated_ports import virtual_time
from simulated_run import SimulatedRuns

from pipeline.batch import publishing
from pipeline.domain.errors import LocalIoError
from pipeline.domain.results import as_csv, as_jsonl
from pipeline.ports.interfaces import UploadEntry

pytestmark = pytest.mark.anyio

RESULTS = ("results.jsonl", "results.csv")


@pytest.fixture
def anyio_backend():
    return virtual_time()


@pytest.fixture
def runs(tmp_path):
    runs = SimulatedRuns(tmp_path)
    for set_id in ("chair", "lamp", "stool"):
        runs.add(set_id)
    return runs


def written(runs, monkeypatch):
    """The names that are published from now on."""
    names = []

    async def noted(storage, source, target):
        names.append(target.name)
        await publish(storage, source, target)

    publish = type(runs.storage).publish
    monkeypatch.setattr(type(runs.storage), "publish", noted)
    return names


def is_whole(runs, rows):
    assert runs.storage.get(runs.output / "results.jsonl").decode() == as_jsonl(rows)
    assert runs.storage.get(runs.output / "results.csv").decode() == as_csv(rows)


@pytest.mark.parametrize("at_once", [1, 2, 3, 200])
async def test_rows_that_come_some_at_a_time_make_the_same_files(runs, monkeypatch, at_once):
    monkeypatch.setattr(publishing, "ROWS_AT_ONCE", at_once)
    runs.add("bad", back="no front")
    _, rows = await runs.run()
    assert [row.set for row in rows] == ["bad", "chair", "lamp", "stool"]
    is_whole(runs, rows)


async def test_a_manifest_without_sets_that_can_be_sent_has_a_whole_results_manifest(runs):
    for set_id in ("chair", "lamp", "stool"):
        runs.remove(set_id)
    runs.add("bad", back="no front")
    outcome, rows = await runs.run()
    assert outcome.refused == 1
    is_whole(runs, rows)


async def test_what_was_published_is_not_written_again_while_nothing_changes(runs, monkeypatch):
    first, _ = await runs.run()
    names = written(runs, monkeypatch)
    again, rows = await runs.run()
    assert names == []
    assert (again.delivered, first.delivered) == (3, 3)
    is_whole(runs, rows)


def results_tampered_with(runs):
    runs.storage.put(runs.output / "results.csv", b"not what was published")


def results_removed(runs):
    runs.storage.disk.take(runs.output / "results.jsonl")


def a_set_removed(runs):
    runs.remove("lamp")


def a_set_refused(runs):
    runs.add("bad", back="no front")


@pytest.mark.parametrize("change", [results_tampered_with, results_removed, a_set_removed, a_set_refused])
async def test_any_change_publishes_them_anew(runs, monkeypatch, change):
    await runs.run()
    change(runs)
    names = written(runs, monkeypatch)
    _, rows = await runs.run()
    assert sorted(names) == sorted(RESULTS)
    is_whole(runs, rows)


async def test_a_move_that_was_committed_while_they_were_published_publishes_them_anew(runs, monkeypatch):
    """The ledger tells by its commits: what was read before a commit may be old."""
    await runs.run()
    known = await runs.ledger.publication("..")
    assert known.is_latest
    x, y = (UploadEntry(sha256=one * 64, copy=1, asset_id=f"asset_{one}") for one in "01")
    await runs.ledger.record_uploads(service="scenario", project="", entries=[x])
    assert not (await runs.ledger.publication("..")).is_latest
    commits = await runs.ledger.commits()
    await runs.ledger.record_uploads(service="scenario", project="", entries=[y])
    await runs.ledger.record_publication("..", plan=known.plan, files=known.files, commits=commits)
    assert not (await runs.ledger.publication("..")).is_latest
    names = written(runs, monkeypatch)
    await runs.run()
    assert sorted(names) == sorted(RESULTS)


async def test_a_full_disk_leaves_the_old_results_and_nothing_half_written(runs, monkeypatch):
    await runs.run()
    before = [runs.storage.get(runs.output / name) for name in RESULTS]
    runs.add("new")
    append = type(runs.storage).append

    async def full(storage, path, data, *, anew):
        if path.name == ".results.csv.part":
            raise LocalIoError("the disk is full")
        await append(storage, path, data, anew=anew)

    monkeypatch.setattr(type(runs.storage), "append", full)
    with pytest.raises((LocalIoError, ExceptionGroup)):
        await runs.run()
    assert [runs.storage.get(runs.output / name) for name in RESULTS] == before
    assert [name for name in runs.storage.names(runs.output) if name.endswith(".part")] == []


async def test_rows_of_the_published_file_are_those_of_the_ledger(runs):
    _, rows = await runs.run()
    lines = runs.storage.get(runs.output / "results.jsonl").decode().splitlines()
    assert [json.loads(line)["key"] for line in lines] == [row.key for row in rows]


async def test_earlier_rows_are_kept_some_at_a_time_while_not_all_sets_are_known(runs, monkeypatch):
    monkeypatch.setattr(publishing, "ROWS_AT_ONCE", 3)
    for at in range(10):
        runs.add(f"m {at}")
        runs.add(f"z {at}")
    _, rows = await runs.run()
    plan = await runs.plan()
    part = replace(plan, items=tuple(one for one in plan.items if one.work.aliases[0].set_id == "m 5"))
    pieces = []
    append = type(runs.storage).append

    async def noted(storage, path, data, *, anew):
        pieces.append(data.count(b"\n"))
        await append(storage, path, data, anew=anew)

    monkeypatch.setattr(type(runs.storage), "append", noted)
    await runs.batch()._publishing.publish(part, is_whole=False)
    is_whole(runs, rows)
    assert max(pieces) <= 3 + 1  # the table has a head
    assert len(pieces) == 2 * -(-len(rows) // 3)
    assert not (await runs.ledger.publication("..")).plan  # it speaks of no whole plan


async def test_another_name_of_the_batch_draws_the_report_anew(runs, monkeypatch):
    await runs.run()
    runs.sections = {"name": "another"}
    names = written(runs, monkeypatch)
    await runs.run()
    assert sorted(names) == sorted(RESULTS)
