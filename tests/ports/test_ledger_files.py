import os
from contextlib import closing
from datetime import UTC, datetime

import pytest

from pipeline.domain.errors import LocalIoError
from pipeline.domain.jobs import Quote
from pipeline.ports.ledger import SqliteLedger
from pipeline.ports.ledger_files import damage, is_missing, last_change, set_aside_before, successor
from pipeline.ports.sqlite import sqlite3

pytestmark = pytest.mark.anyio

NOW = datetime(2031, 5, 1, 20, 0, tzinfo=UTC)
CHOICE = {"service": "s", "project": "", "model": "m", "params": {}}


def now():
    return NOW


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state" / "ledger.sqlite3"


async def priced(path, cu):
    """A ledger that can be known again by a price in it."""
    ledger = await SqliteLedger.open(path, now=now)
    await ledger.record_quote(**CHOICE, quote=Quote(cu=cu))
    await ledger.close()


async def price(path):
    ledger = await SqliteLedger.open(path, now=now)
    try:
        found = await ledger.quote(**CHOICE)
    finally:
        await ledger.close()
    assert found is not None
    return found.cu


async def test_a_file_that_is_not_there_or_empty_is_missing_and_a_ledger_is_not(path):
    assert await is_missing(path)
    path.parent.mkdir()
    path.touch()
    assert await is_missing(path)
    path.unlink()
    await priced(path, 1)
    assert not await is_missing(path)
    assert await damage(path, now=now) == ""


async def test_damage_is_said_and_leaves_the_file_as_it_is(path):
    path.parent.mkdir()
    path.write_bytes(b"my notes " * 1_000)
    assert "no SQLite file" in await damage(path, now=now)
    assert path.read_bytes() == b"my notes " * 1_000


async def test_a_newer_ledger_is_not_damaged(path):
    await priced(path, 1)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("INSERT INTO migrations VALUES ('9999 of tomorrow', '2040-01-01')")
    with pytest.raises(LocalIoError, match="newer version"):
        await damage(path, now=now)


async def test_a_successor_takes_its_place_and_all_that_stood_there_is_kept(path):
    path.parent.mkdir()
    for side in ("", "-wal", "-shm"):
        path.with_name(path.name + side).write_text(f"old{side}")
    for count in range(1, 3):
        async with successor(path, now=now) as (ledger, kept):
            await ledger.record_quote(**CHOICE, quote=Quote(cu=count))
            assert kept == []
            if count == 1:
                assert path.read_text() == "old"
        assert await price(path) == count
        if count == 1:
            assert [(one.name, one.read_text()) for one in kept] == [
                (f"ledger.sqlite3.damaged-2031-05-01T200000Z{side}", f"old{side}") for side in ("", "-wal", "-shm")
            ]
    first, second = await set_aside_before(path)
    assert await price(second) == 1
    assert sorted(one.name for one in path.parent.iterdir()) == sorted(
        [path.name, *(one.name for one in kept), first.name, f"{first.name}-wal", f"{first.name}-shm"]
    )


async def test_a_successor_that_fails_changes_nothing_and_the_next_begins_anew(path):
    await priced(path, 1)

    async def fail():
        async with successor(path, now=now) as (ledger, _):
            await ledger.record_quote(**CHOICE, quote=Quote(cu=2))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert await price(path) == 1
    assert await set_aside_before(path) == []
    async with successor(path, now=now) as (ledger, _):
        assert await ledger.quote(**CHOICE) is None


async def test_the_last_change_is_that_of_the_newest_file(path, tmp_path):
    assert await last_change(path) is None
    path.parent.mkdir()
    other = tmp_path / "results.jsonl"
    for at, one in enumerate((path, path.with_name(f"{path.name}-wal"), other)):
        one.touch()
        os.utime(one, (1_000 + at, 1_000 + at))
        assert await last_change(path, other) == datetime.fromtimestamp(1_000 + at, tz=UTC)
