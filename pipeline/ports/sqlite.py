"""SQLite, once for the ledger and the service's job store: one connection, group commit, ordered migrations.

The only importer of sqlite3. Durability: WAL with synchronous=FULL, so a method that returned has its rows on the disk.

A file that stands at its path is a whole database: it is made under another name. While somebody may have committed to
the log beside it (``NAME-wal``), the file says so in its header (``_IN_USE``); one that says so without a log has lost
its last commits, and SQLite alone would not notice.
"""

import errno
import secrets
import shutil
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Self, TypeVar

import anyio
from anyio import CancelScope, to_thread

from pipeline.domain.errors import LocalIoError
from pipeline.ports.storage import sync_folder

T = TypeVar("T")
Connection = sqlite3.Connection
Row = sqlite3.Row

_LITTLE_ROOM_BYTES = 1 << 20

_IN_USE = 1
"""``PRAGMA user_version`` from the first write on, until the database is closed in peace; else 0."""


class DatabaseDamaged(LocalIoError):
    """The file is no database, or no whole one any more: opening it again will not help."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """One step of a schema's history. Applied once, in order, recorded in the transaction that makes it."""

    name: str
    script: str
    """Statements, each ended by a semicolon at the end of a line."""


@dataclass(slots=True, kw_only=True)
class _Request(Generic[T]):
    work: Callable[[Connection], T]
    taken: bool = False
    done: bool = False
    result: T | None = None
    error: BaseException | None = field(default=None)


class Database:
    """One SQLite file. Writes that arrive while another commits share the next transaction (group commit)."""

    def __init__(self, path: Path, connection: Connection, *, mend: str) -> None:
        self.path = path
        self._mend = mend
        self._connection = connection
        self._gate = anyio.Lock()
        self._waiting: list[_Request[Any]] = []

    @classmethod
    async def open(
        cls,
        path: Path,
        migrations: Sequence[Migration],
        *,
        mend: str = "restore it from a backup; move it away only knowingly",
    ) -> Self:
        """Open or create the file and bring its schema up to date. ``mend`` is what to do should it be damaged.

        Raises:
            DatabaseDamaged: no SQLite file, or not a whole one.
            LocalIoError: not to be opened or written, or written by a newer version.
        """
        return cls(path, await to_thread.run_sync(_open, path, tuple(migrations), mend), mend=mend)

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Run ``work`` in a transaction; returns when it is committed. An error in it undoes its own part alone."""
        request: _Request[T] = _Request(work=work)
        self._waiting.append(request)
        try:
            async with self._gate:
                if not request.done:
                    await self._commit_waiting()
        finally:
            if not request.taken:
                self._waiting.remove(request)
        if request.error is not None:
            raise request.error
        return request.result  # type: ignore[return-value]  # done without error: T

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run ``work``, which changes nothing, on what is committed."""
        async with self._gate:
            with CancelScope(shield=True):
                result = await to_thread.run_sync(self._translated, work)
        return result

    async def check(self) -> None:
        """Look at every page of the file.

        Raises:
            DatabaseDamaged: what SQLite has against it.
        """
        complaint = await self.read(_first_complaint)
        if complaint:
            raise DatabaseDamaged(f"{self.path} is damaged ({complaint})", mend=self._mend)

    async def close(self) -> None:
        with CancelScope(shield=True):
            async with self._gate:
                await to_thread.run_sync(_close, self._connection, self.path)

    async def _commit_waiting(self) -> None:
        batch, self._waiting = self._waiting, []
        for request in batch:
            request.taken = True
        with CancelScope(shield=True):
            await to_thread.run_sync(self._commit, batch)

    def _commit(self, batch: list[_Request[Any]]) -> None:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            is_first = _marked_in_use(self._connection)
            for request in batch:
                self._attempt(request)
            self._connection.execute("COMMIT")
            if is_first:
                _bring_to_file(self._connection)
        except Exception as error:  # noqa: BLE001 - handed to everyone whose work was in the transaction
            self._abandon(batch, error)
        finally:
            for request in batch:
                request.done = True

    def _attempt(self, request: _Request[Any]) -> None:
        self._connection.execute("SAVEPOINT one")
        try:
            request.result = request.work(self._connection)
        except Exception as error:  # handed to the caller who sent the work
            if not self._connection.in_transaction:  # the disk is full: SQLite has rolled back everything
                raise
            self._connection.execute("ROLLBACK TO one")
            request.error = _translate(error, self.path, self._mend) if isinstance(error, sqlite3.Error) else error
        self._connection.execute("RELEASE one")

    def _abandon(self, batch: list[_Request[Any]], error: Exception) -> None:
        for request in batch:
            request.error = _translate(error, self.path, self._mend) if isinstance(error, sqlite3.Error) else error
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    def _translated(self, work: Callable[[Connection], T]) -> T:
        try:
            return work(self._connection)
        except sqlite3.Error as error:
            raise _translate(error, self.path, self._mend) from error


def _open(path: Path, migrations: tuple[Migration, ...], mend: str) -> Connection:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            _create(path, migrations)
        if path.stat().st_size == 0:
            raise DatabaseDamaged(f"{path} is empty, expected a database", mend=mend)
        connection = _connected(path) or _connected(path)  # looked at twice: its user may just have come, or left
        if connection is None:
            raise DatabaseDamaged(
                f"{path} has lost {_log(path).name}: what was committed last may be missing "
                "(or a program other than mvmesh has opened it)",
                mend=mend,
            )
    except (OSError, sqlite3.Error) as error:
        raise _translate(error, path, mend) from error
    try:
        _migrate(connection, path, migrations)
    except sqlite3.Error as error:
        _close(connection, path)
        raise _translate(error, path, mend) from error
    except LocalIoError:
        _close(connection, path)
        raise
    return connection


def _create(path: Path, migrations: tuple[Migration, ...]) -> None:
    """Make the file, unless somebody else has made it meanwhile: theirs stands."""
    new = path.with_name(f"{path.name}.{secrets.token_hex(4)}.new")
    try:
        with closing(sqlite3.connect(new, isolation_level=None)) as connection:
            connection.row_factory = sqlite3.Row
            connection.execute("PRAGMA journal_mode=MEMORY")  # what a crash leaves here is never read
            _migrate(connection, new, migrations)
        _place(new, path)
    finally:
        new.unlink(missing_ok=True)
    sync_folder(path.parent)


def _place(new: Path, path: Path) -> None:
    """Give the file its name, never over another. Where there are no hard links (FAT), a look has to do."""
    try:
        path.hardlink_to(new)
    except OSError:
        if not path.exists():
            new.rename(path)


def _connected(path: Path) -> Connection | None:
    """A connection; None when the file's last commits are gone with its log."""
    has_log = _log(path).exists()
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10)
    try:
        connection.row_factory = sqlite3.Row
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")
        if has_log or not _is_in_use(connection):
            return connection
    except BaseException:
        _close(connection, path)
        raise
    connection.close()
    return None


def _log(path: Path) -> Path:
    return path.with_name(f"{path.name}-wal")


def _is_in_use(connection: Connection) -> bool:
    return bool(connection.execute("PRAGMA user_version").fetchone()[0] == _IN_USE)


def _marked_in_use(connection: Connection) -> bool:
    """Mark the database within the transaction; whether it was not marked before."""
    if _is_in_use(connection):
        return False
    connection.execute(f"PRAGMA user_version = {_IN_USE}")
    return True


def _bring_to_file(connection: Connection) -> None:
    """Bring the mark from the log to the file. What was committed is safe either way."""
    with suppress(sqlite3.Error):
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)")


def _close(connection: Connection, path: Path) -> None:
    """The last to close takes the log away, so it says before that the log will not be missed. Where that cannot be
    written (the disk is full), an empty log stays.
    """
    has_log, is_said = _log(path).exists(), False
    with suppress(sqlite3.Error):
        _take_back(connection)
        is_said = True
    connection.close()
    if has_log and not is_said:
        with suppress(OSError):
            _log(path).touch()


def _take_back(connection: Connection) -> None:
    if _is_in_use(connection):
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # a full disk has room again for what follows
        connection.execute("PRAGMA user_version = 0")


def _migrate(connection: Connection, path: Path, migrations: tuple[Migration, ...]) -> None:
    connection.execute("CREATE TABLE IF NOT EXISTS migrations (name TEXT PRIMARY KEY, applied_at TEXT NOT NULL)")
    with closing(connection.execute("SELECT name FROM migrations")) as rows:
        applied = {row["name"] for row in rows}
    if unknown := applied - {one.name for one in migrations}:
        raise LocalIoError(
            f"{path} was written by a newer version (it has {', '.join(sorted(unknown))})",
            mend="use that version, or another state folder",
        )
    for migration in migrations:
        if migration.name not in applied:
            _apply(connection, migration)


def _apply(connection: Connection, migration: Migration) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        for statement in migration.script.split(";\n"):
            if statement.strip():
                connection.execute(statement)
        connection.execute(
            "INSERT INTO migrations VALUES (?, strftime('%Y-%m-%dT%H:%M:%SZ', 'now'))", (migration.name,)
        )
        connection.execute("COMMIT")
    except sqlite3.Error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _first_complaint(connection: Connection) -> str:
    with closing(connection.execute("PRAGMA quick_check(1)")) as rows:
        said = str(rows.fetchone()[0])
    return "" if said == "ok" else " ".join(said.split())


_DAMAGES = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_FORMAT, sqlite3.SQLITE_NOTADB})
_CODE_MASK = 0xFF
"""The primary part of an extended result code (https://www.sqlite.org/rescode.html)."""


def _translate(error: OSError | sqlite3.Error, path: Path, mend: str) -> LocalIoError:
    code = getattr(error, "sqlite_errorcode", 0) & _CODE_MASK
    if code == sqlite3.SQLITE_NOTADB:
        return DatabaseDamaged(f"{path} is no SQLite file ({error})", mend=mend)
    if code in _DAMAGES or "unsupported file format" in str(error):
        return DatabaseDamaged(f"{path} is damaged ({error})", mend=mend)
    if "disk is full" in str(error) or getattr(error, "errno", None) == errno.ENOSPC or _has_no_room(code, path):
        return LocalIoError(f"the disk that holds {path} is full", mend="make room, then run the same command again")
    return LocalIoError(f"{path} cannot be used: {error}", mend="check that the folder exists and may be written")


def _has_no_room(code: int, path: Path) -> bool:
    """SQLite calls it an I/O error when there is no room for its side files."""
    if code != sqlite3.SQLITE_IOERR:
        return False
    with suppress(OSError):
        return shutil.disk_usage(path.parent).free < _LITTLE_ROOM_BYTES
    return False
