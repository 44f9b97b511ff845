"""The ledger: the durable record of every intent and outcome, in SQLite."""

import json
from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from contextlib import closing
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any, Self

from pydantic import TypeAdapter

from pipeline.domain.items import Alias, ItemRecord, OutputFile, Picture
from pipeline.domain.jobs import Quote
from pipeline.domain.lifecycle import Event, State
from pipeline.ports.interfaces import Delivery, JobDuration, Now, Publication, Restoration, Stamp, UploadEntry
from pipeline.ports.ledger_items import (
    REBUILD,
    RECORD_FIELDS,
    Latest,
    Move,
    all_rows,
    by_keys,
    changed,
    dump,
    load,
    move,
    replace_item,
    standing,
)
from pipeline.ports.ledger_pictures import PICTURES_IN_COLUMNS, known_pictures, remember_pictures
from pipeline.ports.sqlite import Connection, Database, DatabaseDamaged, Migration, Row

LEDGER_FILE = "ledger.sqlite3"

MIGRATIONS = (
    Migration(
        name="0001 items, jobs, uploads, quotes, deliveries, pictures",
        script="""
CREATE TABLE items (
  key TEXT PRIMARY KEY,
  state TEXT NOT NULL,
  record TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX items_by_state ON items (state);
CREATE TABLE history (
  seq INTEGER PRIMARY KEY,
  key TEXT NOT NULL REFERENCES items (key),
  before TEXT NOT NULL,
  event TEXT NOT NULL,
  after TEXT NOT NULL,
  detail TEXT NOT NULL,
  at TEXT NOT NULL
);
CREATE INDEX history_by_key ON history (key);
CREATE TABLE jobs (
  job_id TEXT PRIMARY KEY,
  key TEXT NOT NULL REFERENCES items (key)
) WITHOUT ROWID;
CREATE TABLE uploads (
  service TEXT NOT NULL,
  project TEXT NOT NULL,
  sha256 TEXT NOT NULL,
  copy INTEGER NOT NULL,
  asset_id TEXT NOT NULL,
  PRIMARY KEY (service, project, sha256, copy)
) WITHOUT ROWID;
CREATE INDEX uploads_by_asset ON uploads (asset_id);
CREATE TABLE quotes (
  service TEXT NOT NULL,
  project TEXT NOT NULL,
  model TEXT NOT NULL,
  params TEXT NOT NULL,
  cu REAL NOT NULL,
  at TEXT NOT NULL,
  PRIMARY KEY (service, project, model, params)
) WITHOUT ROWID;
CREATE TABLE deliveries (
  output TEXT NOT NULL,
  set_id TEXT NOT NULL,
  variant TEXT NOT NULL,
  copy INTEGER NOT NULL,
  key TEXT NOT NULL REFERENCES items (key),
  held INTEGER NOT NULL,
  files TEXT NOT NULL,
  delivered_at TEXT NOT NULL,
  PRIMARY KEY (output, set_id, variant, copy)
) WITHOUT ROWID;
CREATE INDEX deliveries_by_key ON deliveries (key);
CREATE TABLE pictures (
  path TEXT PRIMARY KEY,
  size_bytes INTEGER NOT NULL,
  mtime_ns INTEGER NOT NULL,
  inode INTEGER NOT NULL,
  picture TEXT NOT NULL
) WITHOUT ROWID;
""",
    ),
    PICTURES_IN_COLUMNS,
    Migration(
        name="0004 publications, states beside keys",
        script="""
CREATE INDEX items_key_state ON items (key, state);
CREATE TABLE publications (
  output TEXT PRIMARY KEY,
  plan TEXT NOT NULL,
  files TEXT NOT NULL,
  commits INTEGER NOT NULL
) WITHOUT ROWID;
""",
    ),
)

_SUCCESSES = """
SELECT record FROM history CROSS JOIN items USING (key)
WHERE seq > (SELECT max(seq) FROM history) - 20000 AND event = ? ORDER BY seq DESC
"""
"""The newest first. Without an index of its own: an item has some ten moves, so that the newest 20,000 moves tell of
far more successes than are asked for, unless most are another model's.
"""

_FILES = TypeAdapter(tuple[OutputFile, ...])


_LATEST_MAX = 1024


class SqliteLedger:
    """Protocol ``Ledger`` on one SQLite file. A method returns when its row is committed to the disk."""

    def __init__(self, database: Database, now: Now) -> None:
        self._database = database
        self._now = now
        self._latest: OrderedDict[str, Latest] = OrderedDict()
        """By key: what we committed last. It need not be read again, unless the row is another by now."""

    @classmethod
    async def open(cls, path: Path, *, now: Now) -> Self:
        """Open or create the ledger file.

        Raises:
            DatabaseDamaged: no SQLite file, or not a whole one.
            LocalIoError: not to be opened, or written by a newer version.
        """
        return cls(await Database.open(path, MIGRATIONS, mend=REBUILD), now)

    async def close(self) -> None:
        await self._database.close()

    async def open_item(self, record: ItemRecord) -> ItemRecord:
        opened = Latest(record=record, text=dump(record))
        values = (record.key, record.state, opened.text)

        def work(connection: Connection) -> Latest:
            done = connection.execute("INSERT INTO items VALUES (?, ?, ?) ON CONFLICT DO NOTHING", values)
            return opened if done.rowcount else standing(connection, record.key)

        return self._remembered(await self._database.write(work))

    async def item(self, key: str) -> ItemRecord | None:
        found = await self._database.glance(lambda connection: by_keys(connection, [key]))
        return found[0] if found else None

    async def items(self, keys: Sequence[str] | None = None) -> list[ItemRecord]:
        if keys is None:
            return await self._database.read(lambda it: [load(row) for row in all_rows(it, "SELECT record FROM items")])
        return await self._database.read(lambda connection: by_keys(connection, keys))

    async def keys(self) -> list[str]:
        return await self._database.read(lambda it: [row["key"] for row in all_rows(it, "SELECT key FROM items")])

    async def states(self, keys: Sequence[str]) -> Mapping[str, State]:
        query = (
            "SELECT items.key, state FROM json_each(?) AS wanted "
            "CROSS JOIN items INDEXED BY items_key_state ON items.key = wanted.value"
        )
        return await self._database.read(
            lambda it: {row["key"]: State(row["state"]) for row in all_rows(it, query, (json.dumps(list(keys)),))}
        )

    async def advance(self, key: str, event: Event, *, detail: str = "", **changes: Any) -> ItemRecord:
        if unknown := changes.keys() - RECORD_FIELDS:
            raise TypeError(f"a record has no {', '.join(sorted(unknown))}")
        made = Move(key=key, event=event, detail=detail, at=self._now(), changes=changes)
        known = self._latest.pop(key, None)
        return self._remembered(await self._database.write(lambda connection: move(connection, made, known)))

    def _remembered(self, latest: Latest) -> ItemRecord:
        self._latest[latest.record.key] = latest
        if len(self._latest) > _LATEST_MAX:
            self._latest.popitem(last=False)
        return latest.record

    async def history(self, key: str) -> list[tuple[str, str, str]]:
        """The item's moves in order: event, state after it, detail."""
        query = "SELECT event, after, detail FROM history WHERE key = ? ORDER BY seq"
        return await self._database.read(
            lambda it: [(row["event"], row["after"], row["detail"]) for row in it.execute(query, (key,))]
        )

    async def unsettled(self, *, service: str, project: str) -> list[ItemRecord]:
        query = "SELECT record FROM items INDEXED BY items_by_state WHERE state IN (?, ?)"
        states = (State.SUBMITTING, State.UNCERTAIN)
        found = await self._database.read(lambda it: [load(row) for row in all_rows(it, query, states)])
        return [one for one in found if (one.service, one.project) == (service, project)]

    async def known_jobs(self, job_ids: Sequence[str]) -> Mapping[str, Mapping[str, Any]]:
        query = (
            "SELECT job_id, record FROM jobs JOIN items USING (key) WHERE job_id IN (SELECT value FROM json_each(?))"
        )

        def work(connection: Connection) -> dict[str, Mapping[str, Any]]:
            found = {row["job_id"]: load(row) for row in all_rows(connection, query, (json.dumps(list(job_ids)),))}
            return {job_id: one.inputs if one.job_id == job_id else {} for job_id, one in found.items()}

        return await self._database.read(work)

    async def job_durations(self, *, service: str, model: str, at_most: int) -> list[JobDuration]:
        def work(connection: Connection) -> list[JobDuration]:
            with closing(connection.execute(_SUCCESSES, (Event.JOB_SUCCEEDED,))) as rows:
                ours = (one for one in map(load, rows) if (one.service, one.model) == (service, model))
                told = (JobDuration(params=one.params, took_s=one.job_s) for one in ours if one.job_s is not None)
                return list(islice(told, at_most))[::-1]

        return await self._database.read(work)

    async def uploads(
        self, *, service: str, project: str, pictures: Collection[tuple[str, int]]
    ) -> Mapping[tuple[str, int], str]:
        query = (
            "SELECT sha256, copy, asset_id FROM uploads WHERE service = ? AND project = ? "
            "AND sha256 IN (SELECT value FROM json_each(?))"
        )
        asked = (service, project, json.dumps([sha256 for sha256, _ in pictures]))
        rows = await self._database.glance(lambda connection: all_rows(connection, query, asked))
        return {(row[0], row[1]): row[2] for row in rows if (row[0], row[1]) in pictures}

    async def record_uploads(
        self, *, service: str, project: str, entries: Sequence[UploadEntry]
    ) -> Mapping[UploadEntry, int]:
        standing = (
            "SELECT sha256, asset_id, copy FROM uploads WHERE service = ? AND project = ? "
            "AND asset_id IN (SELECT value FROM json_each(?))"
        )
        asked = (service, project, json.dumps([one.asset_id for one in entries]))

        def work(connection: Connection) -> dict[UploadEntry, int]:
            copies = {(row[0], row[1]): int(row[2]) for row in all_rows(connection, standing, asked)}
            shared, rows = {}, []
            for one in entries:
                if (copy := copies.setdefault((one.sha256, one.asset_id), one.copy)) == one.copy:
                    rows.append((service, project, one.sha256, one.copy, one.asset_id))
                else:
                    shared[one] = copy
            connection.executemany("INSERT OR REPLACE INTO uploads VALUES (?, ?, ?, ?, ?)", rows)
            return shared

        return await self._database.write(work)

    async def forget_uploads(self, *, service: str, project: str, asset_ids: Sequence[str]) -> None:
        def work(connection: Connection) -> None:
            connection.executemany(
                "DELETE FROM uploads WHERE service = ? AND project = ? AND asset_id = ?",
                [(service, project, asset_id) for asset_id in asset_ids],
            )

        await self._database.write(work)

    async def quote(self, *, service: str, project: str, model: str, params: Mapping[str, Any]) -> Quote | None:
        query = "SELECT cu FROM quotes WHERE service = ? AND project = ? AND model = ? AND params = ?"
        row = await self._first(query, (service, project, model, _canonical(params)))
        return Quote(cu=row["cu"]) if row else None

    async def record_quote(
        self, *, service: str, project: str, model: str, params: Mapping[str, Any], quote: Quote
    ) -> None:
        await self._execute(
            "INSERT OR REPLACE INTO quotes VALUES (?, ?, ?, ?, ?, ?)",
            (service, project, model, _canonical(params), quote.cu, self._now().isoformat()),
        )

    async def deliveries(self, output: str) -> list[Delivery]:
        query = "SELECT * FROM deliveries WHERE output = ? ORDER BY set_id, variant, copy"
        return await self._database.read(lambda it: [_delivery(row) for row in all_rows(it, query, (output,))])

    async def deliveries_of(self, output: str, keys: Sequence[str]) -> list[Delivery]:
        query = (
            "SELECT deliveries.* FROM json_each(?) AS wanted "
            "CROSS JOIN deliveries INDEXED BY deliveries_by_key ON deliveries.key = wanted.value WHERE output = ?"
        )
        values = (json.dumps(list(keys)), output)
        return await self._database.read(lambda it: [_delivery(row) for row in all_rows(it, query, values)])

    async def delivered_names(self, output: str) -> list[Alias]:
        query = "SELECT set_id, variant, copy FROM deliveries WHERE output = ?"
        return await self._database.read(
            lambda it: [
                Alias(set_id=row["set_id"], variant=row["variant"], copy=row["copy"])
                for row in all_rows(it, query, (output,))
            ]
        )

    async def delivery(self, output: str, alias: Alias) -> Delivery | None:
        query = "SELECT * FROM deliveries WHERE output = ? AND set_id = ? AND variant = ? AND copy = ?"
        row = await self._first(query, (output, alias.set_id, alias.variant, alias.copy))
        return _delivery(row) if row else None

    async def record_delivery(self, delivery: Delivery) -> None:
        await self._execute("INSERT OR REPLACE INTO deliveries VALUES (?, ?, ?, ?, ?, ?, ?, ?)", _columns(delivery))

    async def forget_delivery(self, output: str, alias: Alias) -> None:
        await self._execute(
            "DELETE FROM deliveries WHERE output = ? AND set_id = ? AND variant = ? AND copy = ?",
            (output, alias.set_id, alias.variant, alias.copy),
        )

    async def restore(self, found: Restoration) -> None:
        at = self._now()

        def work(connection: Connection) -> None:
            for record in found.items:
                replace_item(connection, changed(record, {"updated_at": at}), found.detail)
            connection.executemany("INSERT OR IGNORE INTO jobs (job_id, key) VALUES (?, ?)", found.jobs.items())
            connection.executemany(
                "INSERT OR IGNORE INTO deliveries VALUES (?, ?, ?, ?, ?, ?, ?, ?)", map(_columns, found.deliveries)
            )
            connection.executemany(
                "INSERT OR IGNORE INTO uploads VALUES (?, ?, ?, ?, ?)",
                [(found.service, found.project, one.sha256, one.copy, one.asset_id) for one in found.uploads],
            )

        await self._database.write(work)

    async def publication(self, output: str) -> Publication | None:
        query = "SELECT plan, files, commits, (SELECT user_version FROM pragma_user_version) AS now FROM publications "
        row = await self._first(query + "WHERE output = ?", (output,))
        if row is None:
            return None
        return Publication(
            plan=row["plan"], files=tuple(json.loads(row["files"])), is_latest=row["commits"] == row["now"]
        )

    async def record_publication(self, output: str, *, plan: str, files: Sequence[str | None], commits: int) -> None:
        values = (output, plan, json.dumps(list(files)), commits + 1)
        statement = "INSERT OR REPLACE INTO publications VALUES (?, ?, ?, ?)"
        await self._database.write_alone(lambda connection: connection.execute(statement, values) and None)

    async def commits(self) -> int:
        row = await self._first("PRAGMA user_version", ())
        assert row is not None  # a pragma answers
        return int(row[0])

    async def check(self, *, thoroughly: bool = False) -> None:
        if self._database.is_as_it_was_left and not thoroughly:
            return
        await self._database.check()
        try:
            await self._database.read(_read_all)
        except ValueError as error:
            self._database.found_damaged()
            raise DatabaseDamaged(
                f"{self._database.path} is damaged: a row in it cannot be read", mend=REBUILD
            ) from error
        self._database.found_whole()

    async def pictures(self, stamps: Sequence[Stamp]) -> list[Picture | None]:
        return await self._database.read(lambda connection: known_pictures(connection, stamps))

    async def record_pictures(self, probed: Sequence[tuple[Picture, Stamp]]) -> None:
        await self._database.write(lambda connection: remember_pictures(connection, probed))

    async def _execute(self, statement: str, values: tuple[Any, ...]) -> None:
        await self._database.write(lambda connection: connection.execute(statement, values) and None)

    async def _first(self, query: str, values: tuple[Any, ...]) -> Row | None:
        def work(connection: Connection) -> Row | None:
            with closing(connection.execute(query, values)) as rows:
                row: Row | None = rows.fetchone()
            return row

        return await self._database.glance(work)


def _columns(delivery: Delivery) -> tuple[Any, ...]:
    alias = delivery.alias
    return (
        delivery.output,
        alias.set_id,
        alias.variant,
        alias.copy,
        delivery.key,
        delivery.held,
        _FILES.dump_json(tuple(delivery.files)).decode(),
        delivery.delivered_at.isoformat(),
    )


def _read_all(connection: Connection) -> None:
    """Every record and delivery, one at a time: there may be a hundred thousand."""
    for query, read in (("SELECT record FROM items", load), ("SELECT * FROM deliveries", _delivery)):
        with closing(connection.execute(query)) as rows:
            for row in rows:
                read(row)


def _delivery(row: Row) -> Delivery:
    return Delivery(
        output=row["output"],
        alias=Alias(set_id=row["set_id"], variant=row["variant"], copy=row["copy"]),
        key=row["key"],
        held=bool(row["held"]),
        files=_FILES.validate_json(row["files"]),
        delivered_at=datetime.fromisoformat(row["delivered_at"]),
    )


def _canonical(params: Mapping[str, Any]) -> str:
    return json.dumps(params, sort_keys=True, separators=(",", ":"))
