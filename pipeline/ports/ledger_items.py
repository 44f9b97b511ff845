"""The ledger's work items: records as text in their rows, moved from state to state within a transaction."""

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from pydantic import TypeAdapter, ValidationError

from pipeline.domain.items import ItemRecord
from pipeline.domain.lifecycle import Event, IllegalTransition, State, advance
from pipeline.ports.sqlite import Connection, DatabaseDamaged, Row

REBUILD = (
    "`mvmesh reconcile MANIFEST --rebuild` makes it anew, from the delivered files and the service's job list; "
    "what is damaged is kept"
)

RESTORED = "restored"
"""In an item's history, where no event of the life cycle led to a state but a rebuild."""

RECORD_FIELDS = frozenset(one.name for one in fields(ItemRecord))

_RECORD = TypeAdapter(ItemRecord)
_KEYS_A_QUERY = 500
_NEW_HISTORY = "INSERT INTO history (key, before, event, after, detail, at) VALUES (?, ?, ?, ?, ?, ?)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Latest:
    """A record, and the text that stands for it in its row."""

    record: ItemRecord
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """One event in the life of an item, and what it changes in its record."""

    key: str
    event: Event
    detail: str
    at: datetime
    changes: Mapping[str, Any]

    def of(self, record: ItemRecord) -> Latest:
        state = advance(record.state, self.event)
        after = changed(record, {**self.changes, "state": state, "updated_at": self.at})
        return Latest(record=after, text=dump(after))


def move(connection: Connection, made: Move, known: Latest | None) -> Latest:
    """Move an item, and append to its history. ``known`` is what was committed last, as far as we know: where it stands
    in the row, the row need not be read.

    Raises:
        IllegalTransition: the life cycle does not know the move, or another item has the job.
    """
    before, latest = _moved_on(connection, made, known) or _moved(connection, made)
    after = latest.record
    values = (made.key, before.state, made.event, after.state, made.detail, made.at.isoformat())
    connection.execute(_NEW_HISTORY, values)
    if after.job_id and after.job_id != before.job_id:
        _check_is_free(connection, after.job_id, made.key)
        connection.execute("INSERT INTO jobs VALUES (?, ?) ON CONFLICT DO NOTHING", (after.job_id, made.key))
    return latest


def _moved_on(connection: Connection, made: Move, known: Latest | None) -> tuple[ItemRecord, Latest] | None:
    """The record before and after; None where the row is not what is known of it."""
    if known is None:
        return None
    try:
        latest = made.of(known.record)
    except IllegalTransition:
        return None
    values = (latest.record.state, latest.text, made.key, known.text)
    done = connection.execute("UPDATE items SET state = ?, record = ? WHERE key = ? AND record = ?", values)
    return (known.record, latest) if done.rowcount else None


def _moved(connection: Connection, made: Move) -> tuple[ItemRecord, Latest]:
    before = standing(connection, made.key).record
    latest = made.of(before)
    values = (latest.record.state, latest.text, made.key)
    connection.execute("UPDATE items SET state = ?, record = ? WHERE key = ?", values)
    return before, latest


def _check_is_free(connection: Connection, job_id: str, key: str) -> None:
    with closing(connection.execute("SELECT key FROM jobs WHERE job_id = ? AND key != ?", (job_id, key))) as rows:
        if rows.fetchone() is not None:
            raise IllegalTransition(f"job {job_id} belongs to another work item already")


def replace_item(connection: Connection, record: ItemRecord, detail: str) -> None:
    """Put a record in the place of what stands under its key."""
    found = by_keys(connection, [record.key])
    before = found[0].state if found else State.PLANNED
    connection.execute(
        "INSERT INTO items VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET state = excluded.state, record = excluded.record",
        (record.key, record.state, dump(record)),
    )
    connection.execute(_NEW_HISTORY, (record.key, before, RESTORED, record.state, detail, str(record.updated_at)))
    if record.job_id:
        connection.execute("INSERT OR IGNORE INTO jobs (job_id, key) VALUES (?, ?)", (record.job_id, record.key))


def dump(record: ItemRecord) -> str:
    return _RECORD.dump_json(record).decode()


def load(row: Row) -> ItemRecord:
    try:
        return _RECORD.validate_json(row["record"])
    except ValidationError as error:
        raise DatabaseDamaged(
            f"the ledger is damaged: a record in it cannot be read ({error.errors()[0]['msg']}: {row['record'][:80]})",
            mend=REBUILD,
        ) from error


def changed(record: ItemRecord, changes: Mapping[str, Any]) -> ItemRecord:
    return ItemRecord(**{name: changes[name] if name in changes else getattr(record, name) for name in RECORD_FIELDS})


def standing(connection: Connection, key: str) -> Latest:
    """What stands in an item's row."""
    with closing(connection.execute("SELECT record FROM items WHERE key = ?", (key,))) as rows:
        row: Row = rows.fetchone()
    return Latest(record=load(row), text=row["record"])


def by_keys(connection: Connection, keys: Sequence[str]) -> list[ItemRecord]:
    found = []
    for start in range(0, len(keys), _KEYS_A_QUERY):
        some = keys[start : start + _KEYS_A_QUERY]
        marks = ", ".join("?" * len(some))
        query = f"SELECT record FROM items WHERE key IN ({marks})"  # noqa: S608 - only question marks are put in
        found += [load(row) for row in all_rows(connection, query, some)]
    return found


def all_rows(connection: Connection, query: str, values: Sequence[Any] = ()) -> list[Row]:
    """All rows at once: a query that an unreadable row breaks off would hold the file open."""
    with closing(connection.execute(query, tuple(values))) as rows:
        return rows.fetchall()
