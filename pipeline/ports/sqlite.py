"""SQLite, once for the ledger and the service's job store: group commit, reads beside it, ordered migrations.

The only importer of sqlite3. Durability: WAL with synchronous=FULL, so a method that returned has its rows on the disk.
Reads have connections of their own: in WAL mode they see all that is committed and wait for no commit.

A file that stands at its path is a whole database: it is made under another name. Its commits are counted, in it and in
a file beside it (``NAME-count``): a database that knows of fewer has lost its last ones, with its log (``NAME-wal``) or
because an older copy took its place, and SQLite alone would not notice.
"""

import errno
import secrets
import shutil
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeVar

import anyio
from anyio import CancelScope, to_thread
from anyio.lowlevel import checkpoint_if_cancelled

from pipeline.domain.errors import LocalIoError
from pipeline.ports.commit_count import CountFile, count_file, forget_leaving, is_as_left, note_leaving, told_count
from pipeline.ports.durable import sync_folder
from pipeline.ports.gathering import Asked, Gathering

T = TypeVar("T")
Connection = sqlite3.Connection
Row = sqlite3.Row

REST_S = 0.002
"""Between two commits, for each write that shared the first one: a commit costs as much as some ten writes in it."""

_LITTLE_ROOM_BYTES = 1 << 20
_CACHE_KIB = 8 * 1024
"""Of pages in memory, for each connection: the inner pages of a hundred thousand items' indexes, and some more."""


_LOG_PAGES = 4096
"""So long may the log become before it is taken in: a page that changes often meanwhile is written once."""

_PRAGMAS = (
    "journal_mode=WAL",
    "synchronous=FULL",
    "foreign_keys=ON",
    f"cache_size=-{_CACHE_KIB}",
    f"wal_autocheckpoint={_LOG_PAGES}",
)


class DatabaseDamaged(LocalIoError):
    """The file is no database, or no whole one any more: opening it again will not help."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """One step of a schema's history. Applied once, in order, recorded in the transaction that makes it."""

    name: str
    script: str
    """Statements, each ended by a semicolon at the end of a line."""


_Request = Asked[Callable[[Connection], Any], Any]


class Database:
    """One SQLite file. Writes that arrive while another commits share the next transaction (group commit)."""

    def __init__(
        self,
        path: Path,
        connections: tuple[Connection, Connection, Connection],
        *,
        mend: str,
        is_as_it_was_left: bool = False,
    ) -> None:
        self.path = path
        self.is_as_it_was_left = is_as_it_was_left
        """By one that had found it whole, or had made it: nothing but SQLite has written to it since."""
        self._is_whole = is_as_it_was_left
        self._mend = mend
        self._connection, self._reader, self._glancer = connections
        self._count_file = CountFile(path)
        self._gate = anyio.Lock(fast_acquire=True)
        self._readings = anyio.Lock(fast_acquire=True)
        self._writes = Gathering(self._commit_together, rest_s=REST_S)

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
        is_as_it_was_left = await to_thread.run_sync(is_as_left, path)  # before it is touched
        connections = await to_thread.run_sync(_open_all, path, tuple(migrations), mend)
        return cls(path, connections, mend=mend, is_as_it_was_left=is_as_it_was_left)

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Run ``work`` in a transaction; returns when it is committed. An error in it undoes its own part alone.

        It may be run twice, the first time without effect: it does nothing but to the connection.
        """
        result: T = await self._writes.ask(work)
        return result

    async def write_alone(self, work: Callable[[Connection], T]) -> T:
        """As ``write``, in a commit that nothing else shares."""
        request: Asked[Callable[[Connection], T], T] = Asked(work)
        await self._commit_together([request])
        if request.error is not None:
            raise request.error
        return request.result  # type: ignore[return-value]  # done without error: T

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run ``work``, which changes nothing, on what is committed; in a thread, for it may take long."""
        async with self._readings:
            with CancelScope(shield=True):
                result = await to_thread.run_sync(self._translated, work, self._reader)
        return result

    async def glance(self, work: Callable[[Connection], T]) -> T:
        """As ``read``, for a few rows by their key: done at once, for the way to a thread costs ten times as much."""
        await checkpoint_if_cancelled()
        return self._translated(work, self._glancer)

    async def check(self) -> None:
        """Look at every page of the file.

        Raises:
            DatabaseDamaged: what SQLite has against it.
        """
        complaint = await self.read(_first_complaint)
        if complaint:
            self.found_damaged()
            raise DatabaseDamaged(f"{self.path} is damaged ({complaint})", mend=self._mend)

    def found_damaged(self) -> None:
        """It is looked at wholly before it is trusted again, however it looks from outside."""
        self._is_whole = False
        forget_leaving(self.path)

    def found_whole(self) -> None:
        """All of it was read: it need not be again, if it is closed in peace and nobody else touches it."""
        self._is_whole = True

    async def close(self) -> None:
        with CancelScope(shield=True):
            async with self._gate, self._readings:
                await to_thread.run_sync(self._close)

    def _close(self) -> None:
        for one in (self._glancer, self._reader, self._count_file, self._connection):
            one.close()  # who writes comes last: it takes in the log
        if self._is_whole:
            note_leaving(self.path)

    async def _commit_together(self, batch: Sequence[_Request]) -> None:
        with CancelScope(shield=True):
            async with self._gate:
                await to_thread.run_sync(self._commit, batch)

    def _commit(self, batch: Sequence[_Request]) -> None:
        try:
            count = self._carried_out(batch)
            self._connection.execute("COMMIT")
            self._count_file.tell(count)
        except Exception as error:  # noqa: BLE001 - handed to everyone whose work was in the transaction
            self._abandon(batch, error)
        for request in batch:
            request.done = True

    def _carried_out(self, batch: Sequence[_Request]) -> int:
        """The number of the commit that is to follow. Hardly any work fails: only if one does, all are done once more,
        each so that it can be undone by itself.
        """
        try:
            count = self._begun()
            for request in batch:
                request.result = request.what(self._connection)
        except Exception:  # noqa: BLE001 - it comes again, and is told to its caller then
            self._roll_back()
            count = self._begun()
            for request in batch:
                self._attempt(request)
        return count

    def _begun(self) -> int:
        self._connection.execute("BEGIN IMMEDIATE")
        return _counted(self._connection)

    def _attempt(self, request: _Request) -> None:
        self._connection.execute("SAVEPOINT one")
        try:
            request.result = request.what(self._connection)
        except Exception as error:  # handed to the caller who sent the work
            if not self._connection.in_transaction:  # the disk is full: SQLite has rolled back everything
                raise
            self._connection.execute("ROLLBACK TO one")
            request.error = self._ours(error)
        self._connection.execute("RELEASE one")

    def _roll_back(self) -> None:
        if self._connection.in_transaction:
            with suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")

    def _abandon(self, batch: Sequence[_Request], error: Exception) -> None:
        for request in batch:
            request.error = self._ours(error)
        self._roll_back()

    def _translated(self, work: Callable[[Connection], T], connection: Connection) -> T:
        try:
            return work(connection)
        except (sqlite3.Error, DatabaseDamaged) as error:
            raise self._ours(error) from error

    def _ours(self, error: Exception) -> Exception:
        """A foreign error made ours; what tells of damage is remembered."""
        ours = _translate(error, self.path, self._mend) if isinstance(error, sqlite3.Error) else error
        if isinstance(ours, DatabaseDamaged):
            self.found_damaged()
        return ours


def _open_all(path: Path, migrations: tuple[Migration, ...], mend: str) -> tuple[Connection, Connection, Connection]:
    """One connection to write, and two to read beside it."""
    connection = _open(path, migrations, mend)
    try:
        return connection, _reading(path), _reading(path)
    except sqlite3.Error as error:
        connection.close()
        raise _translate(error, path, mend) from error


def _open(path: Path, migrations: tuple[Migration, ...], mend: str) -> Connection:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            _create(path, migrations)
        if path.stat().st_size == 0:
            raise DatabaseDamaged(f"{path} is empty, expected a database", mend=mend)
        told = told_count(path)  # before the file: its user may just be committing
        connection = _connected(path)
    except (OSError, sqlite3.Error) as error:
        raise _translate(error, path, mend) from error
    try:
        if (lost := told - _count(connection)) > 0:
            raise DatabaseDamaged(
                f"{path} lacks the last {lost:,} commits: it is an older copy, or {path.name}-wal is gone", mend=mend
            )
        _migrate(connection, path, migrations)
    except sqlite3.Error as error:
        connection.close()
        raise _translate(error, path, mend) from error
    except LocalIoError:
        connection.close()
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
        count_file(path).unlink(missing_ok=True)  # of one that stood here before
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


def _connected(path: Path) -> Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10)
    try:
        connection.row_factory = sqlite3.Row
        for pragma in _PRAGMAS:
            connection.execute(f"PRAGMA {pragma}")
    except BaseException:
        connection.close()
        raise
    return connection


def _reading(path: Path) -> Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10)
    connection.row_factory = sqlite3.Row
    for pragma in ("query_only=ON", f"cache_size=-{_CACHE_KIB}"):
        connection.execute(f"PRAGMA {pragma}")
    return connection


def _count(connection: Connection) -> int:
    """The commits that the database knows of; it is free for applications (``PRAGMA user_version``)."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _counted(connection: Connection) -> int:
    """Count the transaction that is open, within itself."""
    count = _count(connection) + 1
    connection.execute(f"PRAGMA user_version = {count}")
    return count


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
