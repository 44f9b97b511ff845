"""The ledger's files as a whole: whether there is a sound ledger, when it last changed, how another takes its place."""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from anyio import to_thread

from pipeline.ports.durable import local_errors
from pipeline.ports.interfaces import Now
from pipeline.ports.ledger import SqliteLedger
from pipeline.ports.sqlite import DatabaseDamaged
from pipeline.ports.storage import LocalStorage

_SIDES = ("", "-wal", "-shm", "-count")
"""SQLite keeps what is not in the file yet beside it, and we the number of commits."""

_DAMAGED = "damaged"
_NEW = "new"


async def is_missing(path: Path) -> bool:
    """Whether there is nothing to lose: no file, or an empty one, as SQLite makes it before it first writes."""
    return not (await LocalStorage().sizes([path]))[0]


async def damage(path: Path, *, now: Now) -> str:
    """What is wrong with a ledger that is there; empty when it can be read whole.

    Raises:
        LocalIoError: it is not damaged, and cannot be used all the same: permission, a newer version.
    """
    try:
        ledger = await SqliteLedger.open(path, now=now)
        try:
            await ledger.check(thoroughly=True)
        finally:
            await ledger.close()
    except DatabaseDamaged as error:
        return str(error)
    return ""


async def set_aside_before(path: Path) -> list[Path]:
    """The ledgers of this name that were set aside, oldest first."""
    return await to_thread.run_sync(_set_aside_before, path)


async def last_change(*paths: Path) -> datetime | None:
    """When one of these ledgers, or other files, was last written; None when none is there."""
    return await to_thread.run_sync(_latest, _with_sides(paths))


@asynccontextmanager
async def successor(path: Path, *, now: Now) -> AsyncIterator[tuple[SqliteLedger, list[Path]]]:
    """A new, empty ledger, which stands at ``path`` once the block has ended well; until then nothing changes there.

    What stood there is kept beside it; the list is filled with its new names, those of SQLite's side files included.
    """
    storage, new = LocalStorage(), path.with_name(f"{path.name}.{_NEW}")
    await storage.remove(_with_sides([new]))  # what an interrupted rebuild left
    kept: list[Path] = []
    ledger = await SqliteLedger.open(new, now=now)
    try:
        yield ledger, kept
    finally:
        await ledger.close()
    aside = await to_thread.run_sync(_free_name, path, now())
    for side in _SIDES:
        old, place = _side(path, side), _side(aside, side)
        if (await storage.sizes([old]))[0] is not None:
            await storage.publish(old, place)
            kept.append(place)
    await storage.publish(new, path)
    await storage.remove(_with_sides([new]))


def _with_sides(paths: Iterable[Path]) -> list[Path]:
    return [_side(path, side) for path in paths for side in _SIDES]


def _side(path: Path, side: str) -> Path:
    return path.with_name(path.name + side)


def _free_name(path: Path, at: datetime) -> Path:
    stem, count = f"{path.name}.{_DAMAGED}-{at:%Y-%m-%dT%H%M%SZ}", 1
    while True:
        place = path.with_name(stem if count == 1 else f"{stem}.{count}")
        if not any(one.exists() for one in _with_sides([place])):
            return place
        count += 1


def _set_aside_before(path: Path) -> list[Path]:
    with local_errors("read", path.parent):
        found = sorted(path.parent.glob(f"{path.name}.{_DAMAGED}-*"))
    return [one for one in found if not one.name.endswith(_SIDES[1:])]


def _latest(paths: Sequence[Path]) -> datetime | None:
    changes = []
    for path in paths:
        with local_errors("read", path), suppress(FileNotFoundError, NotADirectoryError):
            changes.append(path.stat().st_mtime)
    return datetime.fromtimestamp(max(changes), tz=UTC) if changes else None
