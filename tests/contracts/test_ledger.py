"""The port ``Ledger`` on both databases, and what a database owes it."""

import sqlite3
from dataclasses import replace

import anyio
import pytest
from simulation.clock import BEGIN
from simulation.database import MortalDatabase, empty_ledger_file
from simulation.process import immortal

from pipeline.domain.items import Alias, ItemRecord, OutputFile
from pipeline.domain.jobs import Quote
from pipeline.domain.lifecycle import Event, IllegalTransition, State
from pipeline.domain.views import View
from pipeline.ports.interfaces import Delivery, UploadEntry
from pipeline.ports.ledger import MIGRATIONS, SqliteLedger
from pipeline.ports.sqlite import Database

pytestmark = pytest.mark.anyio

RECORD = ItemRecord(
    key="k",
    state=State.PLANNED,
    service="scenario",
    project="",
    model="m",
    params={"faceCount": 50_000},
    pictures={View.FRONT: "f" * 64},
)
CHAIR = Alias(set_id="chair", variant="pbr", copy=2)
MESH = OutputFile(role="mesh", name="meshes/a/a.glb", size_bytes=7, sha256="a" * 64, media_type="model/gltf-binary")


@pytest.fixture
async def reopened(kind, tmp_path):
    """The database of the next process, on what the one before has committed."""
    file, opened = empty_ledger_file(), []

    async def open_again():
        if kind == "real":
            opened.append(await Database.open(tmp_path / "ledger.sqlite3", MIGRATIONS))
        else:
            opened.append(MortalDatabase(file, immortal(), committed=lambda: None))
        return opened[-1]

    yield open_again
    for one in opened:
        await one.close()
    file.close()


@pytest.fixture
async def database(reopened):
    return await reopened()


@pytest.fixture
def ledger(database):
    return SqliteLedger(database, lambda: BEGIN)


def put(key):
    def work(connection):
        connection.execute("INSERT INTO items VALUES (?, 'planned', '{}')", (key,))
        return key

    return work


def keys(connection):
    return [row["key"] for row in connection.execute("SELECT key FROM items ORDER BY key")]


async def asset_of(ledger, *, sha256, copy, **where):
    return (await ledger.uploads(**where, pictures=[(sha256, copy)])).get((sha256, copy))


async def test_what_was_written_is_there_for_the_next_process(database, reopened):
    assert await database.write(put("a")) == "a"
    assert await (await reopened()).read(keys) == ["a"]


async def test_an_error_undoes_its_own_work_alone(database):
    def breaks(connection):
        put("b")(connection)
        raise LookupError("a bug")

    await database.write(put("a"))
    with pytest.raises(LookupError, match="a bug"):
        await database.write(breaks)
    assert await database.read(keys) == ["a"]


async def test_writes_at_one_time_are_all_committed(database):
    async with anyio.create_task_group() as tasks:
        for key in "abcdefgh":
            tasks.start_soon(database.write, put(key))
    assert await database.read(keys) == list("abcdefgh")


async def test_a_row_that_refers_to_nothing_is_refused(database):
    with pytest.raises(Exception, match="FOREIGN KEY"):
        await database.write(lambda it: it.execute("INSERT INTO jobs VALUES ('job', 'nobody')") and None)


async def test_a_write_that_was_cancelled_before_it_began_leaves_nothing(database):
    with anyio.CancelScope() as scope:
        scope.cancel()
        await database.write(put("a"))
    assert await database.read(keys) == []


async def test_an_item_is_opened_once(ledger):
    assert await ledger.open_item(RECORD) == RECORD
    await ledger.advance("k", Event.UPLOAD)
    assert (await ledger.open_item(RECORD)).state is State.UPLOADING
    assert [one.key for one in await ledger.items(["k", "unknown"])] == ["k"]


async def test_a_move_changes_the_record_and_its_history_in_one_commit(ledger):
    await ledger.open_item(RECORD)
    await ledger.advance("k", Event.UPLOAD)
    await ledger.advance("k", Event.UPLOADED, inputs={"frontImage": "asset_1"})
    await ledger.advance("k", Event.INTEND, attempts=1, submitting_at=BEGIN)
    moved = await ledger.advance("k", Event.ACCEPTED_BY_SERVICE, detail="at once", job_id="job_1")
    assert (moved.state, moved.attempts, moved.inputs) == (State.SUBMITTED, 1, {"frontImage": "asset_1"})
    assert await ledger.item("k") == moved
    assert (await ledger.history("k"))[-1] == (Event.ACCEPTED_BY_SERVICE, State.SUBMITTED, "at once")
    assert await ledger.known_jobs(["job_1", "job_2"]) == {"job_1": {"frontImage": "asset_1"}}


async def test_unsettled_are_those_whose_submission_was_not_answered(ledger):
    for key, further in {"k": [], "lost": [Event.ANSWER_LOST], "sent": [Event.ACCEPTED_BY_SERVICE]}.items():
        await ledger.open_item(replace(RECORD, key=key))
        for event in (Event.UPLOAD, Event.UPLOADED, Event.INTEND, *further):
            await ledger.advance(key, event)
    await ledger.open_item(replace(RECORD, key="ready"))
    where = {"service": RECORD.service, "project": RECORD.project}
    assert {one.key: one.state for one in await ledger.unsettled(**where)} == {
        "k": State.SUBMITTING,
        "lost": State.UNCERTAIN,
    }
    assert await ledger.unsettled(**{**where, "service": "another"}) == []
    assert await ledger.unsettled(**{**where, "project": "another"}) == []


async def test_a_move_that_the_life_cycle_does_not_know_changes_nothing(ledger):
    await ledger.open_item(RECORD)
    with pytest.raises(IllegalTransition):
        await ledger.advance("k", Event.ACCEPT, job_id="job_1")
    assert await ledger.item("k") == RECORD
    assert (await ledger.history("k"), await ledger.known_jobs(["job_1"])) == ([], {})


async def test_uploads_and_quotes_are_kept_by_what_they_are_of(ledger):
    where = {"service": "scenario", "project": ""}
    await ledger.record_uploads(**where, entries=[UploadEntry(sha256="f", copy=1, asset_id="asset_1")])
    assert await asset_of(ledger, **where, sha256="f", copy=1) == "asset_1"
    assert await asset_of(ledger, **where, sha256="f", copy=2) is None
    await ledger.forget_uploads(**where, asset_ids=["asset_1", "unknown"])
    assert await asset_of(ledger, **where, sha256="f", copy=1) is None
    await ledger.record_quote(**where, model="m", params={"a": 1, "b": 2}, quote=Quote(cu=3))
    assert await ledger.quote(**where, model="m", params={"b": 2, "a": 1}) == Quote(cu=3)
    assert await ledger.quote(**where, model="m", params={}) is None


async def test_a_delivery_replaces_the_one_under_its_name(ledger):
    await ledger.open_item(RECORD)
    for held in (True, False):
        delivery = Delivery(output="..", alias=CHAIR, key="k", held=held, files=(MESH,), delivered_at=BEGIN)
        await ledger.record_delivery(delivery)
    assert await ledger.deliveries("..") == [delivery]
    await ledger.forget_delivery("..", CHAIR)
    assert await ledger.delivery("..", CHAIR) is None


def test_both_databases_are_of_one_schema(tmp_path):
    def schema(connection):
        return {row[0] for row in connection.execute("SELECT sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'")}

    real = sqlite3.connect(":memory:")
    for migration in MIGRATIONS:
        real.executescript(migration.script)
    assert schema(real) == schema(empty_ledger_file())
    real.close()
