"""What the comparison of sets' views told, remembered in a file beside the ledger. It is no part of the ledger: `mvmesh
check` writes to it, too, it may be deleted at any time, and nothing is lost with it but time.
"""

from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import anyio
from anyio import to_thread
from pydantic import TypeAdapter, ValidationError

from pipeline.domain.consistency import Remark
from pipeline.ports.sqlite import Connection, Database, DatabaseDamaged, Migration

COMPARISONS_FILE = "comparisons.sqlite3"

MIGRATIONS = (
    Migration(
        name="0001 comparisons",
        script="CREATE TABLE comparisons (key TEXT PRIMARY KEY, remarks TEXT NOT NULL) WITHOUT ROWID;\n",
    ),
)

_REMARKS = TypeAdapter(tuple[Remark, ...])


class SqliteComparisons:
    """Protocol ``Comparisons`` on one SQLite file, which is opened, or made, when it is first asked. An async context
    manager.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._opening = anyio.Lock()
        self._database: Database | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._database is not None:
            await self._database.close()

    async def known(self, key: str) -> tuple[Remark, ...] | None:
        def work(connection: Connection) -> str | None:
            with closing(connection.execute("SELECT remarks FROM comparisons WHERE key = ?", (key,))) as rows:
                row = rows.fetchone()
            return str(row[0]) if row else None

        text = await (await self._opened()).glance(work)
        with suppress(ValidationError):  # another version wrote it
            return None if text is None else _REMARKS.validate_json(text)
        return None

    async def record(self, key: str, remarks: Sequence[Remark]) -> None:
        values = (key, _REMARKS.dump_json(tuple(remarks)).decode())
        statement = "INSERT OR REPLACE INTO comparisons VALUES (?, ?)"
        await (await self._opened()).write(lambda connection: connection.execute(statement, values) and None)

    async def _opened(self) -> Database:
        async with self._opening:
            if self._database is None:
                self._database = await _opened(self._path)
        return self._database


async def _opened(path: Path) -> Database:
    """A damaged file is begun anew."""
    try:
        return await Database.open(path, MIGRATIONS)
    except DatabaseDamaged:
        await to_thread.run_sync(_remove, path)
        return await Database.open(path, MIGRATIONS)


def _remove(path: Path) -> None:
    for file in path.parent.glob(f"{path.name}*"):
        file.unlink(missing_ok=True)
