import json
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import anyio
import pytest

from pipeline.domain.errors import LocalIoError
from pipeline.domain.items import Alias, ItemRecord, MeshFacts, OutputFile, Picture, Verdict
from pipeline.domain.jobs import Quote
from pipeline.domain.lifecycle import Event, IllegalTransition, State
from pipeline.domain.views import View
from pipeline.ports.interfaces import Delivery, Restoration, Stamp, UploadEntry
from pipeline.ports.ledger import MIGRATIONS, SqliteLedger
from pipeline.ports.ledger_items import dump, load
from pipeline.ports.sqlite import Database, DatabaseDamaged

pytestmark = pytest.mark.anyio

NOW = datetime(2031, 5, 1, 20, 0, tzinfo=UTC)
MESH = OutputFile(role="mesh", name="meshes/a/a.glb", size_bytes=7, sha256="a" * 64, media_type="model/gltf-binary")
CHAIR = Alias(set_id="props/chair", variant="pbr", copy=2)
WHERE = {"service": "scenario", "project": "p"}


@asynccontextmanager
async def opened(path):
    ledger = await SqliteLedger.open(path, now=lambda: NOW)
    try:
        yield ledger
    finally:
        await ledger.close()


@pytest.fixture
async def ledger(tmp_path):
    async with opened(tmp_path / "ledger.sqlite3") as ledger:
        yield ledger


def record(key="k", state=State.PLANNED, model="m", **changes):
    usual = {
        "service": "scenario",
        "project": "p",
        "params": {"faceCount": 50_000, "enablePbr": True},
        "pictures": {View.FRONT: "f" * 64, View.LEFT_FRONT: "l" * 64},
    }
    return ItemRecord(key=key, state=state, model=model, **{**usual, **changes})


async def moved(ledger, *events, key="k", **changes):
    found = None
    for event in events:
        found = await ledger.advance(key, event, **(changes if event is events[-1] else {}))
    return found


async def asset_of(ledger, *, sha256, copy, **where):
    return (await ledger.uploads(**where, pictures=[(sha256, copy), ("unknown", 1)])).get((sha256, copy))


async def test_an_item_is_opened_once(ledger):
    first = await ledger.open_item(record())
    await ledger.advance("k", Event.UPLOAD)
    again = await ledger.open_item(record())
    assert first == record()
    assert again.state is State.UPLOADING


async def test_a_full_record_comes_back_as_it_was(tmp_path):
    facts = MeshFacts(
        face_count=1, vertex_count=2, texture_count=3, material_count=4, has_uvs=True, has_pbr=False,
        bounds=((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
    )  # fmt: skip
    changes = {
        "inputs": {"frontImage": "asset_1", "faceCount": 50_000},
        "job_id": "job_1",
        "asset_ids": ("a", "b"),
        "attempts": 2,
        "submitting_at": NOW,
        "quoted_cu": 12.5,
        "charged_cu": 12.0,
        "outputs": (MESH,),
        "verdict": Verdict(outcome="held", reasons=("dark",), facts=facts),
        "error_class": "JobFailed",
        "error": "no object — ✗",
        "mend": "look",
        "timings": {"upload": 1.25},
    }
    async with opened(tmp_path / "x") as ledger:
        await ledger.open_item(record())
        after = await ledger.advance("k", Event.UPLOAD, **changes)
    async with opened(tmp_path / "x") as ledger:
        assert await ledger.item("k") == after == record(state=State.UPLOADING, updated_at=NOW, **changes)


async def test_a_record_of_a_version_that_knew_no_notes_can_be_read():
    text = json.loads(dump(record(notes=("the depth is guessed",))))
    assert load({"record": json.dumps(text)}).notes == ("the depth is guessed",)
    del text["notes"]
    assert load({"record": json.dumps(text)}) == record()


async def test_a_move_and_what_it_changes_are_one(ledger):
    await ledger.open_item(record())
    with pytest.raises(IllegalTransition):
        await ledger.advance("k", Event.ACCEPT, job_id="job_1")
    assert await ledger.item("k") == record()
    assert await ledger.history("k") == []
    assert await ledger.known_jobs(["job_1"]) == {}


async def test_a_change_that_no_record_has_is_refused(ledger):
    await ledger.open_item(record())
    with pytest.raises(TypeError, match="jobid"):
        await ledger.advance("k", Event.UPLOAD, jobid="job_1")


async def test_history_tells_every_move_in_order(ledger):
    await ledger.open_item(record())
    await ledger.advance("k", Event.UPLOAD)
    await ledger.advance("k", Event.FAIL, detail="no disk")
    assert await ledger.history("k") == [("upload", "uploading", ""), ("fail", "failed", "no disk")]


async def test_every_job_id_is_known_for_ever(ledger):
    """Also one that the item has given up: it must never be taken for somebody else's lost submission."""
    await ledger.open_item(record())
    await moved(ledger, Event.UPLOAD, Event.UPLOADED, Event.INTEND)
    await ledger.advance("k", Event.ACCEPTED_BY_SERVICE, job_id="job_1")
    await ledger.advance("k", Event.FAIL)
    await moved(ledger, Event.PLAN, Event.UPLOAD, Event.UPLOADED, Event.INTEND, job_id="")
    await ledger.advance("k", Event.ACCEPTED_BY_SERVICE, job_id="job_2")
    assert (await ledger.known_jobs(["job_1", "job_2", "job_3"])).keys() == {"job_1", "job_2"}
    assert (await ledger.item("k")).job_id == "job_2"


async def test_a_known_job_comes_with_what_was_sent_for_it(ledger):
    await ledger.open_item(record(inputs={"frontImage": "asset_1"}))
    await moved(ledger, Event.UPLOAD, Event.UPLOADED, Event.INTEND)
    await ledger.advance("k", Event.ACCEPTED_BY_SERVICE, job_id="job_1")
    assert await ledger.known_jobs(["job_1"]) == {"job_1": {"frontImage": "asset_1"}}
    await ledger.advance("k", Event.FAIL)
    await moved(ledger, Event.PLAN, Event.UPLOAD, Event.UPLOADED, Event.INTEND, job_id="")
    assert await ledger.known_jobs(["job_1"]) == {"job_1": {}}, "that was another submission's"


async def succeeded(ledger, key, took_s, **changes):
    await ledger.open_item(record(key=key, **changes))
    await moved(ledger, Event.UPLOAD, Event.UPLOADED, Event.INTEND, key=key)
    await ledger.advance(key, Event.ACCEPTED_BY_SERVICE, job_id=f"job_{key}")
    await ledger.advance(key, Event.JOB_SUCCEEDED, job_s=took_s)


async def test_durations_are_those_of_the_newest_successes_of_the_model_at_the_service(ledger):
    for at in range(10):
        await succeeded(ledger, f"old {at}", float(at), model="m", params={"faceCount": at})
    await succeeded(ledger, "elsewhere", 60.0, model="m", service="local")
    await succeeded(ledger, "other", 70.0, model="other")
    await succeeded(ledger, "untold", None, model="m")
    asked = {"service": record().service, "model": "m"}
    assert [one.took_s for one in await ledger.job_durations(**asked, at_most=5)] == [5, 6, 7, 8, 9]
    assert [one.params for one in await ledger.job_durations(**asked, at_most=2)] == [
        {"faceCount": 8},
        {"faceCount": 9},
    ]
    assert len(await ledger.job_durations(**asked, at_most=100)) == 10
    assert await ledger.job_durations(service="nobody", model="m", at_most=5) == []


async def test_items_by_keys_and_all(ledger):
    for at in range(1_200):
        await ledger.open_item(record(key=f"{at:04}")) if at in {0, 1_199} else None
    asked = [f"{at:04}" for at in range(1_200)]
    assert sorted(one.key for one in await ledger.items(asked)) == ["0000", "1199"]
    assert len(await ledger.items()) == 2
    assert await ledger.items([]) == []
    assert await ledger.item("nobody") is None


async def test_uploads_belong_to_a_service_and_a_project(ledger):
    await ledger.record_uploads(**WHERE, entries=[UploadEntry(sha256="s", copy=1, asset_id="asset_1")])
    await ledger.record_uploads(**WHERE, entries=[UploadEntry(sha256="s", copy=2, asset_id="asset_2")])
    assert await asset_of(ledger, **WHERE, sha256="s", copy=1) == "asset_1"
    assert await asset_of(ledger, **WHERE, sha256="s", copy=2) == "asset_2"
    assert await asset_of(ledger, service="scenario", project="", sha256="s", copy=1) is None
    assert await asset_of(ledger, service="local", project="p", sha256="s", copy=1) is None


async def test_a_forgotten_upload_is_sent_again(ledger):
    await ledger.record_uploads(**WHERE, entries=[UploadEntry(sha256="s", copy=1, asset_id="asset_1")])
    await ledger.record_uploads(**WHERE, entries=[UploadEntry(sha256="t", copy=1, asset_id="asset_2")])
    await ledger.forget_uploads(**WHERE, asset_ids=["asset_1", "asset_9"])
    assert await asset_of(ledger, **WHERE, sha256="s", copy=1) is None
    assert await asset_of(ledger, **WHERE, sha256="t", copy=1) == "asset_2"


async def test_the_last_quote_stands_whatever_the_order_of_parameters(ledger):
    await ledger.record_quote(**WHERE, model="m", params={"a": 1, "b": 2}, quote=Quote(cu=10))
    await ledger.record_quote(**WHERE, model="m", params={"b": 2, "a": 1}, quote=Quote(cu=11))
    assert await ledger.quote(**WHERE, model="m", params={"a": 1, "b": 2}) == Quote(cu=11)
    assert await ledger.quote(**WHERE, model="m", params={"a": 1}) is None


def delivery(*, alias=CHAIR, key="k", held=False, output="/out"):
    return Delivery(output=output, alias=alias, key=key, held=held, files=(MESH,), delivered_at=NOW)


async def test_a_place_holds_one_delivery(ledger):
    await ledger.open_item(record())
    await ledger.open_item(record(key="other"))
    await ledger.record_delivery(delivery())
    await ledger.record_delivery(delivery(key="other", held=True))
    await ledger.record_delivery(delivery(alias=Alias(set_id="b")))
    await ledger.record_delivery(delivery(output="/elsewhere"))
    assert await ledger.delivery("/out", CHAIR) == delivery(key="other", held=True)
    assert [one.alias.set_id for one in await ledger.deliveries("/out")] == ["b", "props/chair"]
    await ledger.forget_delivery("/out", CHAIR)
    assert await ledger.delivery("/out", CHAIR) is None
    assert await ledger.delivery("/elsewhere", CHAIR) is not None


async def test_a_picture_is_known_as_long_as_its_file_is_the_same(ledger):
    front, back = (
        Picture(
            path=Path(f"/p/{name}.png"), sha256=name[0] * 64, size_bytes=9, media_type="image/png", width=200, height=300,
            changes=changes,
        )
        for name, changes in (("front", ("turned upright", "re-encoded as PNG")), ("back", ()))
    )  # fmt: skip
    stamp = Stamp(front.path, size_bytes=9, mtime_ns=1_900_000_000_123_456_789, inode=6)
    await ledger.record_pictures([(front, stamp), (back, stamp._replace(path=back.path))])
    new = stamp._replace(path=Path("/p/new.png"))
    assert await ledger.pictures([new, stamp._replace(path=back.path), stamp]) == [None, back, front]
    for other in ({"size_bytes": 8}, {"mtime_ns": 4}, {"inode": 7}):
        assert await ledger.pictures([stamp._replace(**other)]) == [None]
    changed = stamp._replace(mtime_ns=5)
    await ledger.record_pictures([(replace(front, changes=()), changed)])
    assert await ledger.pictures([stamp, changed]) == [None, replace(front, changes=())]
    far = stamp._replace(inode=2**64 - 5)
    await ledger.record_pictures([(front, far)])
    assert await ledger.pictures([far, stamp]) == [front, None]
    assert await ledger.pictures([]) == []


async def test_pictures_of_an_older_ledger_are_forgotten_and_nothing_else(tmp_path):
    database = await Database.open(tmp_path / "ledger.sqlite3", MIGRATIONS[:1])
    older = SqliteLedger(database, lambda: NOW)
    await older.open_item(record())
    row = ("/p/front.png", 9, 5, 6, '{"path": "/p/front.png"}')
    await database.write(lambda it: it.execute("INSERT INTO pictures VALUES (?, ?, ?, ?, ?)", row) and None)
    await older.close()
    async with opened(tmp_path / "ledger.sqlite3") as ledger:
        assert await ledger.pictures([Stamp(Path("/p/front.png"), 9, 5, 6)]) == [None]
        assert await ledger.item("k") == record()


async def test_a_record_that_cannot_be_read_is_a_damaged_ledger(ledger):
    await ledger.open_item(record())
    await ledger._database.write(lambda it: it.execute("UPDATE items SET record = '{\"key\": 1}'") and None)
    for read in (ledger.items, ledger.check):
        with pytest.raises(DatabaseDamaged, match="ledger is damaged") as raised:
            await read()
        assert "--rebuild" in raised.value.mend


async def test_a_delivery_that_cannot_be_read_is_a_damaged_ledger(ledger):
    await ledger.open_item(record())
    await ledger.record_delivery(delivery())
    await ledger.check()
    await ledger._database.write(lambda it: it.execute("UPDATE deliveries SET files = '{'") and None)
    with pytest.raises(DatabaseDamaged, match="damaged"):
        await ledger.check()


async def test_what_a_rebuild_found_goes_in_as_one_and_leaves_what_is_there(ledger):
    await ledger.open_item(record())
    await moved(ledger, Event.UPLOAD, Event.UPLOADED, Event.INTEND)
    await ledger.record_uploads(**WHERE, entries=[UploadEntry(sha256="s", copy=1, asset_id="asset_1")])
    found = Restoration(
        **WHERE,
        items=[record(state=State.SUBMITTED, job_id="job_1"), record(key="new", state=State.DELIVERED)],
        jobs={"job_1": "k", "job_0": "k"},
        deliveries=[delivery(key="new")],
        uploads=[
            UploadEntry(sha256="s", copy=1, asset_id="asset_9"),
            UploadEntry(sha256="s", copy=2, asset_id="asset_2"),
        ],
        detail="from the list",
    )
    for _ in range(2):
        await ledger.restore(found)
        assert (await ledger.item("k")).state is State.SUBMITTED
        assert await ledger.known_jobs(["job_0", "job_1", "job_2"]) == {"job_0": {}, "job_1": {}}
        assert [one.key for one in await ledger.deliveries("/out")] == ["new"]
        assert await asset_of(ledger, **WHERE, sha256="s", copy=1) == "asset_1"
        assert await asset_of(ledger, **WHERE, sha256="s", copy=2) == "asset_2"
    assert (await ledger.history("k"))[3] == ("restored", "submitted", "from the list")
    after = await ledger.advance("k", Event.JOB_SUCCEEDED)
    assert after.state is State.FINISHED


async def test_a_restoration_that_cannot_be_made_leaves_nothing_of_itself(ledger):
    found = Restoration(**WHERE, items=[record()], jobs={"job_1": "an item that is not there"})
    with pytest.raises(LocalIoError):
        await ledger.restore(found)
    assert await ledger.items() == []


async def test_an_asset_may_stand_for_one_copy_of_a_picture_alone(ledger):
    first, again, new = (UploadEntry(sha256=one, copy=2, asset_id=f"asset_{one}") for one in "stu")
    assert await ledger.record_uploads(**WHERE, entries=[replace(first, copy=1), again]) == {}
    assert await ledger.record_uploads(**WHERE, entries=[first, again, new]) == {first: 1}
    assert await asset_of(ledger, **WHERE, sha256="s", copy=1) == "asset_s"
    assert await asset_of(ledger, **WHERE, sha256="s", copy=2) is None
    assert await asset_of(ledger, **WHERE, sha256="u", copy=2) == "asset_u"
    both = [UploadEntry(sha256="v", copy=copy, asset_id="asset_v") for copy in (1, 2)]
    assert await ledger.record_uploads(**WHERE, entries=both) == {both[1]: 1}, "of two at one time"


async def test_many_items_move_at_once(ledger):
    async def bring(key):
        await ledger.open_item(record(key=key))
        await moved(ledger, Event.UPLOAD, Event.UPLOADED, Event.INTEND, key=key)
        await ledger.advance(key, Event.ACCEPTED_BY_SERVICE, job_id=f"job_{key}")

    async with anyio.create_task_group() as tasks:
        for at in range(50):
            tasks.start_soon(bring, str(at))
    assert {one.state for one in await ledger.items()} == {State.SUBMITTED}
    assert len(await ledger.known_jobs([f"job_{at}" for at in range(60)])) == 50
