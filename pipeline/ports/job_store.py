"""The local service's only store: jobs, assets, uploads and keys in SQLite, their contents as files beside it.

A data folder holds ``service.sqlite3``, ``assets/<asset id>`` (immutable once visible), ``uploads/<upload id>/<part>``,
``work/<job id>-.../`` (what a worker is writing) and ``lock``, which keeps a second service out. A row is committed
after its file is in place, so a file without a row is left over from a crash and is swept when the store opens; a row
without its file cannot be.
"""

import json
import secrets
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from typing import Any

from anyio import to_thread

from pipeline.domain.errors import LocalIoError, LockHeld
from pipeline.domain.jobs import JobStatus
from pipeline.ports.interfaces import Now
from pipeline.ports.job_records import (
    AssetRecord,
    JobRecord,
    UploadRecord,
    UploadStatus,
    milliseconds,
    to_asset,
    to_job,
    to_row,
    to_upload,
)
from pipeline.ports.lock import state_lock
from pipeline.ports.sqlite import Connection, Database, Migration
from pipeline.ports.storage import LocalStorage

_FINAL = tuple(status.value for status in JobStatus if status.is_final)
_UPLOAD_KEPT = timedelta(days=1)
"""How long an upload that was never completed is kept."""

MIGRATIONS = (
    Migration(
        name="0001-jobs-assets-uploads",
        script="""
CREATE TABLE keys (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE assets (
    asset_id TEXT PRIMARY KEY, name TEXT NOT NULL, kind TEXT NOT NULL, source TEXT NOT NULL, media_type TEXT NOT NULL,
    properties TEXT NOT NULL, hidden INTEGER NOT NULL, collection_ids TEXT NOT NULL, job_id TEXT, output_index INTEGER,
    created_at INTEGER NOT NULL);
CREATE TABLE uploads (
    upload_id TEXT PRIMARY KEY, file_name TEXT NOT NULL, media_type TEXT NOT NULL, size_bytes INTEGER NOT NULL,
    parts INTEGER NOT NULL, hidden INTEGER NOT NULL, collection_ids TEXT NOT NULL, status TEXT NOT NULL,
    asset_id TEXT, error TEXT NOT NULL, created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL);
CREATE TABLE jobs (
    job_id TEXT PRIMARY KEY, model_id TEXT NOT NULL, inputs TEXT NOT NULL, status TEXT NOT NULL, progress REAL NOT NULL,
    asset_ids TEXT NOT NULL, error TEXT NOT NULL, hint TEXT NOT NULL, cu_cost REAL NOT NULL, history TEXT NOT NULL,
    created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL);
CREATE INDEX jobs_by_update ON jobs (updated_at, job_id);
CREATE INDEX jobs_by_creation ON jobs (created_at, job_id);
CREATE INDEX jobs_by_status ON jobs (status, created_at);
""",
    ),
    Migration(name="0002-notes", script="ALTER TABLE jobs ADD COLUMN notes TEXT NOT NULL DEFAULT '[]';"),
    Migration(name="0003-fault", script="ALTER TABLE jobs ADD COLUMN fault TEXT NOT NULL DEFAULT '';"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobQuery:
    """One page of jobs, newest first, by update or by creation."""

    by_update: bool
    size: int
    after: datetime | None = None
    """Exclusive."""
    status: JobStatus | None = None
    beyond: tuple[int, str] | None = None
    """The position at which the page before ended."""

    def position(self, job: JobRecord) -> tuple[int, str]:
        return milliseconds(job.updated_at if self.by_update else job.created_at), job.job_id


class JobStore:
    """Every method returns when its rows and files are on the disk, and may raise LocalIoError."""

    def __init__(self, folder: Path, database: Database) -> None:
        self._folder = folder
        self._database = database
        self._files = LocalStorage()

    @classmethod
    @asynccontextmanager
    async def open(cls, folder: Path, *, now: Now) -> AsyncIterator["JobStore"]:
        """The store of one data folder, swept of what a crash left.

        Raises:
            LockHeld: another service works on it.
        """
        folder = await to_thread.run_sync(folder.resolve)
        with _held(folder):
            database = await Database.open(folder / "service.sqlite3", MIGRATIONS)
            try:
                store = cls(folder, database)
                await store._sweep(now())
                yield store
            finally:
                await database.close()

    async def key(self, name: str) -> bytes:
        """A random key, made at the first call and the same ever after."""
        made = secrets.token_hex(32)

        def work(connection: Connection) -> bytes:
            _run(connection, "INSERT OR IGNORE INTO keys VALUES (?, ?)", (name, made))
            (row,) = _rows(connection, "SELECT value FROM keys WHERE name = ?", (name,))
            return bytes.fromhex(row["value"])

        return await self._database.write(work)

    async def add_asset(self, record: AssetRecord, data: bytes) -> None:
        await self._files.write(self.asset_path(record.asset_id), data)
        await self._database.write(lambda connection: _put(connection, "assets", record))

    async def assets(self, asset_ids: Sequence[str]) -> list[AssetRecord]:
        """Those of the assets that exist, in the order asked for."""
        sql = "SELECT * FROM assets WHERE asset_id IN (SELECT value FROM json_each(?))"
        rows = await self._database.read(lambda connection: _rows(connection, sql, (json.dumps(asset_ids),)))
        found = {row["asset_id"]: to_asset(row) for row in rows}
        return [found[asset_id] for asset_id in asset_ids if asset_id in found]

    async def remove_assets(self, asset_ids: Sequence[str]) -> None:
        """Forget the assets and delete their files; those that are not there are fine."""
        known = [record.asset_id for record in await self.assets(asset_ids)]
        sql = "DELETE FROM assets WHERE asset_id IN (SELECT value FROM json_each(?))"
        await self._database.write(lambda connection: _run(connection, sql, (json.dumps(known),)))
        for asset_id in known:
            await to_thread.run_sync(_delete, self.asset_path(asset_id))

    def asset_path(self, asset_id: str) -> Path:
        """Where the contents of a known asset lie. The id is one of ``new_id`` or of a row, never a request's word."""
        return self._folder / "assets" / asset_id

    async def save_upload(self, record: UploadRecord) -> None:
        await self._database.write(lambda connection: _put(connection, "uploads", record))

    async def upload(self, upload_id: str) -> UploadRecord | None:
        sql = "SELECT * FROM uploads WHERE upload_id = ?"
        found = await self._database.read(lambda connection: _rows(connection, sql, (upload_id,)))
        return to_upload(found[0]) if found else None

    async def save_part(self, upload: UploadRecord, number: int, data: bytes) -> None:
        """Keep one part; sent again, it replaces the one before."""
        await self._files.write(self._part_path(upload, number), data)

    async def parts(self, upload: UploadRecord) -> list[bytes | None]:
        """The contents of all parts in order, None where one has not arrived."""
        paths = [self._part_path(upload, number) for number in range(1, upload.parts + 1)]
        return await to_thread.run_sync(_contents, paths)

    async def drop_parts(self, upload: UploadRecord) -> None:
        await to_thread.run_sync(_delete, self._folder / "uploads" / upload.upload_id)

    async def add_job(self, record: JobRecord, *, ceiling: int) -> bool:
        """Record a new job; when already ``ceiling`` jobs are not final, do nothing and return False."""
        sql = "SELECT count(*) AS unfinished FROM jobs WHERE status NOT IN (SELECT value FROM json_each(?))"

        def work(connection: Connection) -> bool:
            if _rows(connection, sql, (json.dumps(_FINAL),))[0]["unfinished"] >= ceiling:
                return False
            _put(connection, "jobs", record)
            return True

        return await self._database.write(work)

    async def job(self, job_id: str) -> JobRecord | None:
        sql = "SELECT * FROM jobs WHERE job_id = ?"
        found = await self._database.read(lambda connection: _rows(connection, sql, (job_id,)))
        return to_job(found[0]) if found else None

    async def jobs(self, query: JobQuery) -> list[JobRecord]:
        sql, values = _listing(query)
        return [to_job(row) for row in await self._database.read(lambda connection: _rows(connection, sql, values))]

    async def take_job(self, now: Now) -> JobRecord | None:
        """Take the oldest queued job into work; None when none waits."""
        sql = "SELECT * FROM jobs WHERE status = ? ORDER BY created_at, job_id LIMIT 1"

        def work(connection: Connection) -> JobRecord | None:
            waiting = _rows(connection, sql, (JobStatus.QUEUED,))
            if not waiting:
                return None
            taken = to_job(waiting[0]).moved(JobStatus.IN_PROGRESS, now())
            _put(connection, "jobs", taken)
            return taken

        return await self._database.write(work)

    async def save_job(self, record: JobRecord) -> None:
        """Replace a job's row; only the task that has the job in work may."""
        await self._database.write(lambda connection: _put(connection, "jobs", record))

    async def finish_job(self, record: JobRecord, outputs: Sequence[tuple[AssetRecord, Path]]) -> None:
        """Publish the files that a job made as assets and record its end, all or nothing."""
        for asset, made in outputs:
            await self._files.publish(made, self.asset_path(asset.asset_id))

        def work(connection: Connection) -> None:
            for asset, _ in outputs:
                _put(connection, "assets", asset)
            _put(connection, "jobs", record)

        await self._database.write(work)

    async def requeue_interrupted(self, now: Now) -> int:
        """Queue again every job that was in work when the service ended; how many."""
        settled = json.dumps([*_FINAL, JobStatus.QUEUED])
        sql = "SELECT * FROM jobs WHERE status NOT IN (SELECT value FROM json_each(?))"

        def work(connection: Connection) -> int:
            interrupted = [to_job(row) for row in _rows(connection, sql, (settled,))]
            for job in interrupted:
                _put(connection, "jobs", job.moved(JobStatus.QUEUED, now(), progress=0.0))
            return len(interrupted)

        return await self._database.write(work)

    async def cu_spent(self) -> float:
        """Creative units of all jobs but the failed ones, which were refunded."""
        sql = "SELECT total(cu_cost) AS cu FROM jobs WHERE status <> ?"
        (row,) = await self._database.read(lambda connection: _rows(connection, sql, (JobStatus.FAILURE,)))
        return float(row["cu"])

    async def work_folder(self, job_id: str) -> Path:
        """A new folder for what a worker writes for this job. A worker that outlived a killed service has another."""
        return await to_thread.run_sync(_new_folder, self._folder / "work", job_id)

    async def drop_work(self, folder: Path) -> None:
        await to_thread.run_sync(_delete, folder)

    def _part_path(self, upload: UploadRecord, number: int) -> Path:
        return self._folder / "uploads" / upload.upload_id / str(number)

    async def _sweep(self, now: datetime) -> None:
        stale = milliseconds(now - _UPLOAD_KEPT)

        def work(connection: Connection) -> tuple[set[str], set[str]]:
            _run(connection, "DELETE FROM uploads WHERE asset_id IS NULL AND updated_at < ?", (stale,))
            assets = _rows(connection, "SELECT asset_id FROM assets", ())
            pending = _rows(connection, "SELECT upload_id FROM uploads WHERE status = ?", (UploadStatus.PENDING,))
            return {row["asset_id"] for row in assets}, {row["upload_id"] for row in pending}

        assets, uploads = await self._database.write(work)
        for name, keep in (("assets", assets), ("uploads", uploads), ("work", set[str]())):
            await to_thread.run_sync(_keep_only, self._folder / name, keep)


def _listing(query: JobQuery) -> tuple[str, list[Any]]:
    column = "updated_at" if query.by_update else "created_at"
    conditions, values = ["1"], list[Any]()
    if query.after is not None:
        conditions.append(f"{column} > ?")
        values.append(milliseconds(query.after))
    if query.status is not None:
        conditions.append("status = ?")
        values.append(query.status)
    if query.beyond is not None:
        conditions.append(f"({column}, job_id) < (?, ?)")
        values.extend(query.beyond)
    where = " AND ".join(conditions)
    sql = f"SELECT * FROM jobs WHERE {where} ORDER BY {column} DESC, job_id DESC LIMIT ?"  # noqa: S608 - our own words
    return sql, [*values, query.size]


def _rows(connection: Connection, sql: str, values: Sequence[Any]) -> list[dict[str, Any]]:
    with closing(connection.execute(sql, values)) as cursor:
        return [dict(row) for row in cursor]


def _run(connection: Connection, sql: str, values: Sequence[Any]) -> None:
    connection.execute(sql, values).close()


def _put(connection: Connection, table: str, record: AssetRecord | UploadRecord | JobRecord) -> None:
    row = to_row(record)
    columns, marks = ", ".join(row), ", ".join("?" * len(row))
    sql = f"INSERT OR REPLACE INTO {table} ({columns}) VALUES ({marks})"  # noqa: S608 - our own words
    _run(connection, sql, list(row.values()))


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    with ExitStack() as stack:
        try:
            stack.enter_context(state_lock(folder))
        except LockHeld as error:
            raise LockHeld(f"another service works on {folder}", mend="stop it, or name another data folder") from error
        yield


def _contents(paths: Sequence[Path]) -> list[bytes | None]:
    return [path.read_bytes() if path.exists() else None for path in paths]


def _new_folder(parent: Path, name: str) -> Path:
    try:
        return Path(mkdtemp(prefix=f"{name}-", dir=parent))
    except OSError as error:
        raise LocalIoError(
            f"{parent}: nothing can be made in it ({error.strerror})",
            mend="see to the disk, then start again: no job is lost",
        ) from error


def _keep_only(folder: Path, names: set[str]) -> None:
    folder.mkdir(exist_ok=True)
    for entry in folder.iterdir():
        if entry.name not in names:
            _delete(entry)


def _delete(path: Path) -> None:
    """Remove a file or folder if it is there. One that is still open (Windows) stays until the next start's sweep."""
    with suppress(OSError):
        rmtree(path) if path.is_dir() else path.unlink()
