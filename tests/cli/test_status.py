import json
from datetime import UTC, datetime
from pathlib import Path

import anyio
import pytest

from pipeline.cli.frame import run
from pipeline.cli.terminal import as_argument
from pipeline.domain.items import Alias, ItemRecord
from pipeline.domain.lifecycle import Event, State
from pipeline.domain.results import ResultRow, as_jsonl
from pipeline.ports.interfaces import Delivery
from pipeline.ports.ledger import SqliteLedger

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
TO_SUBMITTING = (Event.UPLOAD, Event.UPLOADED, Event.INTEND)
TO_DELIVERED = (*TO_SUBMITTING, Event.ACCEPTED_BY_SERVICE, Event.JOB_SUCCEEDED, Event.DOWNLOADED, Event.ACCEPT)


async def fill(tmp_path: Path) -> SqliteLedger:
    """One item delivered, one uncertain, one failed, one planned. The ledger stays open, as in a run."""
    ledger = await SqliteLedger.open(tmp_path / "out" / ".mvmesh" / "ledger.sqlite3", now=lambda: NOON)
    ways = {
        "a" * 64: TO_DELIVERED,
        "b" * 64: (*TO_SUBMITTING, Event.ANSWER_LOST),
        "c" * 64: (Event.UPLOAD, Event.FAIL),
        "d" * 64: (),
    }
    for key, events in ways.items():
        state = State.PLANNED
        await ledger.open_item(
            ItemRecord(key=key, state=state, service="local", project="", model="m", params={}, pictures={})
        )
        for event in events:
            await ledger.advance(key, event, submitting_at=NOON, quoted_cu=20.0, error="broke\x1b[2J", mend="mend it")
    await ledger.advance("a" * 64, Event.MISSING, charged_cu=20.0, asset_ids=("x",))
    alias = Alias(set_id="props/chair")
    output = str(tmp_path / "out")
    await ledger.record_delivery(
        Delivery(output=output, alias=alias, key="a" * 64, held=False, files=(), delivered_at=NOON)
    )
    return ledger


@pytest.fixture
def manifest(tmp_path: Path, write_manifest) -> Path:
    return write_manifest()


def test_before_the_first_run_there_is_nothing_and_nothing_is_made(manifest: Path, capsys) -> None:
    assert run(["status", str(manifest)]) == 0
    assert "nothing has been done yet" in capsys.readouterr().out
    assert not (manifest.parent / "out").exists()


def test_the_ledger_is_told_while_a_run_has_it_open(manifest: Path, capsys) -> None:
    async def beside_a_run() -> None:
        ledger = await fill(manifest.parent)
        try:
            await anyio.to_thread.run_sync(run, ["status", str(manifest)])
        finally:
            await ledger.close()

    anyio.run(beside_a_run)
    shown = capsys.readouterr().out
    assert "0 of 4 done, 4 left; 20 CU charged, 20 CU open" in shown
    assert "submitted at 2026-01-01 12:00:00 UTC" in shown
    assert "broke\\x1b[2J" in shown
    assert "mend: mend it" in shown
    assert f"next: mvmesh reconcile {as_argument(manifest)}" in shown


def test_the_document_counts_and_lists(manifest: Path, capsys) -> None:
    async def filled() -> None:
        await (await fill(manifest.parent)).close()

    anyio.run(filled)
    assert run(["status", str(manifest), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == 1
    assert document["states"] == {"planned": 1, "finished": 1, "failed": 1, "uncertain": 1}
    assert (document["total"], document["left"], document["cu"]) == (4, 4, {"charged": 20.0, "open": 20.0})
    (uncertain,) = document["uncertain"]
    assert uncertain["key"] == "b" * 64
    assert uncertain["submitting_at"].startswith("2026-01-01T12:00:00")
    (failed,) = document["failed"]
    assert (failed["message"], failed["mend"]) == ("broke\x1b[2J", "mend it")


def test_refused_sets_are_counted_beside_the_ledgers_items(manifest: Path, capsys) -> None:
    async def filled() -> None:
        await (await fill(manifest.parent)).close()

    anyio.run(filled)
    rows = [ResultRow(set="bad", state=State.REFUSED), ResultRow(set="props/chair", key="a" * 64, state=State.FINISHED)]
    (manifest.parent / "out" / "results.jsonl").write_text(as_jsonl(rows))
    assert run(["status", str(manifest), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["states"] == {"finished": 1, "refused": 1}
    assert (document["total"], document["left"], document["wanting"]) == (2, 1, 1)


@pytest.mark.parametrize(
    ("others", "told", "command"),
    [
        ([State.REFUSED], "1 of 2 done, 0 left, 1 wants a person; 0 CU charged", "check"),
        ([State.REFUSED, State.PLANNED], "1 of 3 done, 1 left, 1 wants a person; 0 CU charged", "run"),
        ([], "1 of 1 done, 0 left; 0 CU charged", ""),
    ],
)
def test_what_a_run_does_nothing_about_is_not_sent_to_a_run(
    others: list[State], told: str, command: str, manifest: Path, capsys
) -> None:
    async def delivered() -> None:
        ledger = await SqliteLedger.open(manifest.parent / "out" / ".mvmesh" / "ledger.sqlite3", now=lambda: NOON)
        record = ItemRecord(
            key="a" * 64, state=State.PLANNED, service="local", project="", model="m", params={}, pictures={}
        )
        await ledger.open_item(record)
        for event in TO_DELIVERED:
            await ledger.advance(record.key, event)
        await ledger.close()

    anyio.run(delivered)
    rows = [ResultRow(set="good", key="a" * 64, state=State.DELIVERED)]
    rows += [ResultRow(set=f"other{at}", state=state) for at, state in enumerate(others)]
    (manifest.parent / "out" / "results.jsonl").write_text(as_jsonl(rows))
    assert run(["status", str(manifest)]) == 0
    shown = capsys.readouterr().out
    assert told in shown
    named = [line for line in shown.splitlines() if line.startswith("next:")]
    assert named == ([f"next: mvmesh {command} {as_argument(manifest)}"] if command else [])
