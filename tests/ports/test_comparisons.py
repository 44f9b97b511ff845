"""What comparisons told is remembered in a file that nobody has to take care of."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from pipeline.domain.consistency import Remark
from pipeline.domain.errors import LocalIoError
from pipeline.domain.views import View
from pipeline.ports.comparisons import SqliteComparisons

pytestmark = pytest.mark.anyio
REMARKS = (Remark(kind="contradiction", message="The left view…", mend="replace it", views=(View.LEFT,)),)


async def test_what_was_told_is_known_later_and_beside_others(tmp_path: Path) -> None:
    path = tmp_path / "state" / "comparisons.sqlite3"
    async with SqliteComparisons(path):
        assert not path.parent.exists()  # nothing was asked
    async with SqliteComparisons(path) as one, SqliteComparisons(path) as other:
        assert await one.known("a") is None
        await one.record("a", REMARKS)
        await other.record("b", ())
    async with SqliteComparisons(path) as later:
        assert [await later.known(key) for key in "abc"] == [REMARKS, (), None]


async def test_a_damaged_file_is_begun_anew(tmp_path: Path) -> None:
    path = tmp_path / "comparisons.sqlite3"
    path.write_bytes(b"These are my notes. " * 500)
    async with SqliteComparisons(path) as memory:
        assert await memory.known("a") is None
        await memory.record("a", REMARKS)
        assert await memory.known("a") == REMARKS


async def test_what_another_version_wrote_is_not_known(tmp_path: Path) -> None:
    path = tmp_path / "comparisons.sqlite3"
    async with SqliteComparisons(path) as memory:
        await memory.record("a", REMARKS)
    with closing(sqlite3.connect(path)) as file:
        file.execute("""UPDATE comparisons SET remarks = '[{"kind": 3}]'""")
        file.commit()
    async with SqliteComparisons(path) as memory:
        assert await memory.known("a") is None


async def test_a_place_that_cannot_be_written_is_told_as_ours(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    async with SqliteComparisons(tmp_path / "file" / "comparisons.sqlite3") as memory:
        with pytest.raises(LocalIoError):
            await memory.known("a")
