"""What the ledger remembers of pictures, a short row each: there may be 400,000. Nothing is lost with it but time."""

import json
from collections.abc import Sequence
from contextlib import closing
from typing import Any

from pipeline.domain.items import Picture
from pipeline.ports.interfaces import Stamp
from pipeline.ports.sqlite import Connection, Migration, Row

PICTURES_IN_COLUMNS = Migration(
    name="0003 pictures in columns",  # what was known of them is found again
    script="""
DROP TABLE pictures;
CREATE TABLE pictures (
  path TEXT PRIMARY KEY,
  size_bytes INTEGER NOT NULL,
  mtime_ns INTEGER NOT NULL,
  inode INTEGER NOT NULL,
  sha256 BLOB NOT NULL,
  media_type TEXT NOT NULL,
  width INTEGER NOT NULL,
  height INTEGER NOT NULL,
  changes TEXT NOT NULL
) WITHOUT ROWID;
""",
)

_INTEGER_MAX = 2**63 - 1


def known_pictures(connection: Connection, stamps: Sequence[Stamp]) -> list[Picture | None]:
    """What an earlier probe found of each file; None where it is new or has changed since."""
    query = "SELECT * FROM pictures WHERE path IN (SELECT value FROM json_each(?))"
    with closing(connection.execute(query, (json.dumps([str(one.path) for one in stamps]),))) as rows:
        found = {row[0]: row for row in rows}
    return [_picture(one, found.get(str(one.path))) for one in stamps]


def remember_pictures(connection: Connection, probed: Sequence[tuple[Picture, Stamp]]) -> None:
    rows = [_columns(picture, stamp) for picture, stamp in probed]
    connection.executemany("INSERT OR REPLACE INTO pictures VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)


def _columns(picture: Picture, stamp: Stamp) -> tuple[Any, ...]:
    return (
        str(picture.path),
        *_stored(stamp),
        bytes.fromhex(picture.sha256),
        picture.media_type,
        picture.width,
        picture.height,
        json.dumps(picture.changes) if picture.changes else "",
    )


def _picture(stamp: Stamp, row: Row | None) -> Picture | None:
    if row is None:
        return None
    _, size_bytes, mtime_ns, inode, sha256, media_type, width, height, changes = row
    if (size_bytes, mtime_ns, inode) != _stored(stamp):
        return None
    return Picture(
        path=stamp.path,
        sha256=sha256.hex(),
        size_bytes=size_bytes,
        media_type=media_type,
        width=width,
        height=height,
        changes=tuple(json.loads(changes)) if changes else (),
    )


def _stored(stamp: Stamp) -> tuple[int, int, int]:
    """Some file systems number inodes with 64 bits; SQLite's integers have a sign."""
    return stamp.size_bytes, stamp.mtime_ns, stamp.inode & _INTEGER_MAX
