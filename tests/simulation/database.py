"""The ledger's own code on SQLite in memory: what a process has committed is there for the next one, nothing else."""

import sqlite3
from collections.abc import Callable
from typing import TypeVar

from anyio.lowlevel import checkpoint

from pipeline.ports.ledger import MIGRATIONS
from simulation.process import Process

T = TypeVar("T")


def empty_ledger_file() -> sqlite3.Connection:
    """What outlives the processes."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA foreign_keys=ON")
    for migration in MIGRATIONS:
        connection.executescript(migration.script)
    return connection


class MortalDatabase:
    """``Database`` of one process, without its thread. The process may die before and after every commit;
    ``committed`` hears of each.
    """

    def __init__(self, connection: sqlite3.Connection, process: Process, *, committed: Callable[[], None]) -> None:
        self._connection = connection
        self._process = process
        self._committed = committed

    is_as_it_was_left = False

    async def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        await checkpoint()
        self._process.step("ledger", "ledger: commit")
        self._process.require_room()
        self._connection.execute("BEGIN")
        try:
            (count,) = self._connection.execute("PRAGMA user_version").fetchone()
            self._connection.execute(f"PRAGMA user_version = {count + 1}")
            result = work(self._connection)
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")
        self._committed()
        self._process.step("ledger", "ledger: committed")
        await checkpoint()  # as in the real one, a commit may have happened although its caller is cancelled
        return result

    async def write_alone(self, work: Callable[[sqlite3.Connection], T]) -> T:
        return await self.write(work)

    def found_damaged(self) -> None:
        """No memory is damaged."""

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        await checkpoint()
        self._process.check()
        return work(self._connection)

    async def glance(self, work: Callable[[sqlite3.Connection], T]) -> T:
        return await self.read(work)

    async def close(self) -> None:
        await checkpoint()
