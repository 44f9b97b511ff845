import sqlite3
import subprocess
import sys
import threading
from contextlib import asynccontextmanager, closing

import anyio
import pytest

from pipeline.domain.errors import LocalIoError
from pipeline.ports.commit_count import count_file
from pipeline.ports.sqlite import Database, DatabaseDamaged, Migration

pytestmark = pytest.mark.anyio

FIRST = Migration(name="0001 notes", script="CREATE TABLE notes (text TEXT PRIMARY KEY) WITHOUT ROWID;\n")
SECOND = Migration(
    name="0002 colours", script="ALTER TABLE notes ADD COLUMN colour TEXT;\nUPDATE notes SET colour = 'grey';\n"
)


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request):
    return request.param


@asynccontextmanager
async def opened(path, *migrations):
    database = await Database.open(path, migrations or (FIRST,))
    try:
        yield database
    finally:
        await database.close()


@pytest.fixture
async def database(tmp_path):
    async with opened(tmp_path / "state" / "notes.sqlite3") as database:
        yield database


def insert(text):
    return lambda connection: connection.execute("INSERT INTO notes (text) VALUES (?)", (text,)) and text


def texts(connection):
    return sorted(row["text"] for row in connection.execute("SELECT text FROM notes"))


async def test_what_was_written_is_there_in_the_next_life(tmp_path):
    async with opened(tmp_path / "x.sqlite3") as database:
        assert await database.write(insert("a")) == "a"
    async with opened(tmp_path / "x.sqlite3") as database:
        assert await database.read(texts) == ["a"]


async def test_a_commit_is_as_durable_as_sqlite_can_make_it(database):
    def pragmas(connection):
        return [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")]

    assert await database.read(pragmas) == ["wal", 2]


async def test_writes_that_arrive_during_a_commit_share_the_next_one(database):
    """A hundred writes, and all but the first few in one transaction."""
    begun = []
    database._connection.set_trace_callback(lambda statement: begun.append(statement) if "BEGIN" in statement else None)
    async with anyio.create_task_group() as tasks:
        for at in range(100):
            tasks.start_soon(database.write, insert(f"{at:03}"))
    assert len(await database.read(texts)) == 100
    assert len(begun) <= 3


async def test_a_failing_write_harms_none_of_its_siblings(database):
    await database.write(insert("taken"))
    caught = []

    async def write(text):
        try:
            await database.write(insert(text))
        except LocalIoError as error:
            caught.append(str(error))

    async with anyio.create_task_group() as tasks:
        for text in ("a", "taken", "b"):
            tasks.start_soon(write, text)
    assert await database.read(texts) == ["a", "b", "taken"]
    assert len(caught) == 1
    assert "UNIQUE" in caught[0]


async def test_a_failing_write_leaves_nothing_of_itself(database):
    def half(connection):
        connection.execute("INSERT INTO notes VALUES ('half')")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await database.write(half)
    assert await database.read(texts) == []


async def test_a_write_cancelled_while_it_waits_is_never_made(database):
    release = threading.Event()

    def slow(connection):
        release.wait(10)
        insert("slow")(connection)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(database.write, slow)
        await anyio.wait_all_tasks_blocked()
        with anyio.move_on_after(0) as scope:
            await database.write(insert("cancelled"))
        assert scope.cancelled_caught
        tasks.start_soon(database.write, insert("after"))
        release.set()
    assert await database.read(texts) == ["after", "slow"]


async def test_a_write_that_is_under_way_is_not_cut_off(database):
    entered, release = threading.Event(), threading.Event()

    def slow(connection):
        entered.set()
        release.wait(10)
        insert("whole")(connection)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(database.write, slow)
        await anyio.to_thread.run_sync(entered.wait)
        tasks.cancel_scope.cancel()
        release.set()
    assert await database.read(texts) == ["whole"]


async def test_when_the_disk_is_full_everyone_hears_and_nothing_is_half_written(database):
    def limit(connection):
        return connection.execute("PRAGMA max_page_count = 4").fetchone()

    await database.write(insert("before"))
    await database.write(limit)
    caught = []

    async def write(text):
        try:
            await database.write(insert(text))
        except LocalIoError as error:
            caught.append(error)

    async with anyio.create_task_group() as tasks:
        for at in range(20):
            tasks.start_soon(write, str(at) * 4_000)
    assert caught
    assert all("full" in str(error) and error.mend for error in caught)
    assert "before" in await database.read(texts)
    assert len(await database.read(texts)) == 21 - len(caught)


async def test_migrations_are_made_once_and_in_order(tmp_path):
    path = tmp_path / "x.sqlite3"
    async with opened(path, FIRST) as database:
        await database.write(insert("old"))
    for _ in range(2):
        async with opened(path, FIRST, SECOND) as database:
            rows = await database.read(lambda it: [tuple(row) for row in it.execute("SELECT * FROM notes")])
            assert rows == [("old", "grey")]


async def test_a_migration_that_fails_leaves_the_schema_before_it(tmp_path):
    path = tmp_path / "x.sqlite3"
    broken = Migration(name="0002 broken", script="CREATE TABLE more (x);\nINSERT INTO nowhere VALUES (1);\n")
    with pytest.raises(LocalIoError, match="nowhere"):
        await Database.open(path, (FIRST, broken))
    async with opened(path, FIRST) as database:  # the version before it goes on
        await database.write(insert("old"))
    async with opened(path, FIRST, SECOND) as database:
        tables = await database.read(lambda it: [row[0] for row in it.execute("SELECT name FROM sqlite_master")])
        assert "more" not in tables
        assert await database.read(texts) == ["old"]


async def test_a_file_of_a_newer_version_is_left_alone(tmp_path):
    path = tmp_path / "x.sqlite3"
    async with opened(path, FIRST, SECOND):
        pass
    with pytest.raises(LocalIoError, match=r"newer version.*0002 colours") as raised:
        await Database.open(path, (FIRST,))
    assert "use that version" in raised.value.mend


async def test_a_file_that_is_no_database_is_named_and_kept(tmp_path):
    path = tmp_path / "x.sqlite3"
    path.write_bytes(b"These are my notes, not yours. " * 100)
    before = path.read_bytes()
    with pytest.raises(DatabaseDamaged, match="no SQLite file") as raised:
        await Database.open(path, (FIRST,), mend="write your notes elsewhere")
    assert raised.value.mend == "write your notes elsewhere"
    assert path.read_bytes() == before


async def test_a_damaged_file_is_named_with_its_mend(tmp_path):
    path = tmp_path / "x.sqlite3"
    async with opened(path) as database:
        await database.write(lambda it: [insert(f"{at:05}" * 100)(it) for at in range(400)] and None)
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (path.stat().st_size - 4096))
    with pytest.raises(DatabaseDamaged, match="damaged") as raised:
        async with opened(path) as database:
            await database.read(texts)
    assert "backup" in raised.value.mend


async def test_an_empty_file_is_a_damaged_one(tmp_path):
    """Not a new one: all that was in it would be made, and paid, again."""
    path = tmp_path / "x.sqlite3"
    async with opened(path) as database:
        await database.write(insert("a"))
    path.write_bytes(b"")
    with pytest.raises(DatabaseDamaged, match="is empty"):
        await Database.open(path, (FIRST,))
    assert path.read_bytes() == b""


@pytest.mark.parametrize("keeps", [100, 4096, 5000, 3 * 4096])
async def test_a_file_that_was_cut_is_found_out_by_a_look_at_every_page(tmp_path, keeps):
    path = tmp_path / "x.sqlite3"
    async with opened(path) as database:
        await database.write(lambda it: [insert(f"{at:05}" * 100)(it) for at in range(400)] and None)
    with path.open("r+b") as file:
        file.truncate(keeps)
    with pytest.raises(DatabaseDamaged):
        async with opened(path) as database:
            await database.check()


async def test_a_page_of_rubbish_is_found_out_by_a_look_at_every_page(tmp_path):
    path = tmp_path / "x.sqlite3"
    async with opened(path) as database:
        await database.write(lambda it: [insert(f"{at:05}" * 100)(it) for at in range(400)] and None)
    with path.open("r+b") as file:
        file.seek(20 * 4096)
        file.write(b"\xff" * 4096)
    async with opened(path) as database:
        with pytest.raises(DatabaseDamaged, match="is damaged"):
            await database.check()


async def test_a_check_finds_the_damage_that_nobody_has_read_yet(tmp_path):
    path = tmp_path / "x.sqlite3"
    async with opened(path) as database:
        await database.write(lambda it: [insert(f"{at:05}" * 100)(it) for at in range(400)] and None)
        await database.check()
    with path.open("r+b") as file:
        file.seek(path.stat().st_size - 4096)
        file.write(b"\x5a" * 4096)
    async with opened(path) as database:
        with pytest.raises(DatabaseDamaged, match="is damaged"):
            await database.check()


def killed_while_open(path, count=3):
    """A process that wrote and was killed: what it committed last is in the log alone."""
    with subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True) as process:
        for _ in range(count):
            process.stdout.readline()
        process.kill()


async def test_a_file_whose_log_is_gone_is_damaged(tmp_path):
    path = tmp_path / "x.sqlite3"
    killed_while_open(path)
    log = path.with_name("x.sqlite3-wal")
    lost = log.read_bytes()
    log.unlink()
    for _ in range(2):  # and stays so
        with pytest.raises(DatabaseDamaged, match=r"lacks the last .* x\.sqlite3-wal is gone"):
            await Database.open(path, (FIRST,))
    log.write_bytes(lost)
    async with opened(path) as database:
        assert len(await database.read(texts)) >= 3


async def test_an_older_copy_in_its_place_is_damaged(tmp_path):
    path = tmp_path / "x.sqlite3"
    async with opened(path) as database:
        await database.write(insert("before"))
    older = path.read_bytes()
    async with opened(path) as database:
        await database.write(insert("after"))
    path.write_bytes(older)
    with pytest.raises(DatabaseDamaged, match="lacks the last 1 commits"):
        await Database.open(path, (FIRST,))


async def test_another_program_may_take_in_the_log(tmp_path):
    """As everybody does who looks at the file with SQLite's own tool after a crash."""
    path = tmp_path / "x.sqlite3"
    killed_while_open(path)
    with closing(sqlite3.connect(path)) as other:
        other.execute("SELECT * FROM notes").fetchall()
    assert not path.with_name("x.sqlite3-wal").exists()
    async with opened(path) as database:
        assert len(await database.read(texts)) >= 3
        await database.write(insert("more"))


async def test_a_copy_elsewhere_is_a_database_of_its_own(tmp_path):
    path = tmp_path / "x.sqlite3"
    killed_while_open(path)
    async with opened(path) as database:
        kept = await database.read(texts)
    (tmp_path / "copy.sqlite3").write_bytes(path.read_bytes())
    async with opened(tmp_path / "copy.sqlite3") as database:
        assert await database.read(texts) == kept
        await database.write(insert("more"))
    async with opened(tmp_path / "copy.sqlite3") as database:
        assert "more" in await database.read(texts)


async def test_a_count_that_cannot_be_read_says_nothing(tmp_path):
    path = tmp_path / "x.sqlite3"
    async with opened(path) as database:
        await database.write(insert("before"))
    count_file(path).write_bytes(b"\xff" * 40)
    async with opened(path) as database:
        await database.write(insert("after"))
        assert await database.read(texts) == ["after", "before"]


async def test_a_program_that_cannot_read_the_file_leaves_the_log_or_takes_it_in(tmp_path):
    path = tmp_path / "x.sqlite3"
    killed_while_open(path)
    with pytest.raises(LocalIoError, match="newer version"):
        await Database.open(path, ())
    async with opened(path) as database:
        assert len(await database.read(texts)) >= 3


async def test_who_reads_while_another_commits_sees_no_damage(tmp_path):
    path = tmp_path / "x.sqlite3"
    async with opened(path) as database, anyio.create_task_group() as tasks:

        async def commit():
            for at in range(50):
                await database.write(insert(f"{at}"))

        tasks.start_soon(commit)
        for _ in range(30):
            async with opened(path) as reader:
                await reader.read(texts)


async def test_the_file_appears_whole_and_is_never_made_over_another(tmp_path):
    path = tmp_path / "state" / "x.sqlite3"
    async with anyio.create_task_group() as tasks:

        async def use(text):
            async with opened(path) as database:
                await database.write(insert(text))

        for text in "abcd":
            tasks.start_soon(use, text)
    async with opened(path) as database:
        assert await database.read(texts) == list("abcd")
    assert {one.name for one in path.parent.iterdir()} == {"x.sqlite3", "x.sqlite3-count"}


async def test_a_place_that_cannot_be_used_is_a_local_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(LocalIoError, match="cannot be used"):
        await Database.open(tmp_path / "file" / "x.sqlite3", (FIRST,))


async def test_a_path_that_speaks_of_full_is_not_a_full_disk(tmp_path):
    (tmp_path / "full").write_text("")
    with pytest.raises(LocalIoError, match="cannot be used"):
        await Database.open(tmp_path / "full" / "x.sqlite3", (FIRST,))


WRITER = """
import sys
from pathlib import Path

import anyio

from pipeline.ports.sqlite import Database, Migration


async def main():
    migration = Migration(name="0001 notes", script="CREATE TABLE notes (text TEXT PRIMARY KEY) WITHOUT ROWID;\\n")
    database = await Database.open(Path(sys.argv[1]), (migration,))

    async def write(lane):
        at = 0
        while True:
            text = f"{lane}-{at}"
            await database.write(lambda it: it.execute("INSERT INTO notes VALUES (?)", (text,)) and None)
            print(text, flush=True)
            at += 1

    async with anyio.create_task_group() as tasks:
        for lane in range(8):
            tasks.start_soon(write, lane)


anyio.run(main)
"""


@pytest.mark.parametrize("count", [1, 57, 200])
def test_sigkill_loses_nothing_that_had_returned(tmp_path, count):
    path = tmp_path / "x.sqlite3"
    with subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True) as process:
        said = {process.stdout.readline().strip() for _ in range(count)}
        process.kill()
        rest = process.stdout.read().splitlines(keepends=True)
    said |= {line.strip() for line in rest if line.endswith("\n")}
    connection = sqlite3.connect(path)
    kept = {row[0] for row in connection.execute("SELECT text FROM notes")}
    connection.close()
    assert said
    assert said <= kept


@pytest.mark.parametrize("is_found_whole", [True, False])
async def test_a_database_that_was_found_whole_and_closed_in_peace_is_known_as_it_was_left(tmp_path, is_found_whole):
    path = tmp_path / "x.sqlite3"
    async with opened(path) as database:
        assert not database.is_as_it_was_left
        await database.write(insert("a"))
        if is_found_whole:
            database.found_whole()
    for _ in range(2):  # looking at it changes nothing
        async with opened(path) as database:
            assert database.is_as_it_was_left is is_found_whole
            assert await database.read(texts) == ["a"]


async def left_whole(path):
    async with opened(path) as database:
        await database.write(insert("a"))
        database.found_whole()


async def test_what_its_own_user_adds_keeps_it_as_it_was_left(tmp_path):
    path = tmp_path / "x.sqlite3"
    await left_whole(path)
    async with opened(path) as database:
        await database.write(insert("b"))
    async with opened(path) as database:
        assert database.is_as_it_was_left


def a_byte_changed(path):
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def another_program_at_it(path):
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("INSERT INTO notes VALUES ('c')")


def a_copy_put_back(path):
    copy = path.read_bytes()
    path.unlink()
    path.write_bytes(copy)


def a_log_beside_it(path):
    path.with_name(f"{path.name}-wal").touch()


def no_count_file(path):
    count_file(path).unlink()


def garbage_for_a_count_file(path):
    count_file(path).write_bytes(b"\xff\n\n\n")


@pytest.mark.parametrize(
    "touch",
    [
        a_byte_changed,
        another_program_at_it,
        a_copy_put_back,
        a_log_beside_it,
        no_count_file,
        garbage_for_a_count_file,
    ],
)
async def test_whatever_else_touched_it_it_is_not_as_it_was_left(tmp_path, touch):
    path = tmp_path / "x.sqlite3"
    await left_whole(path)
    touch(path)
    async with opened(path) as database:
        assert not database.is_as_it_was_left


async def test_a_user_that_was_killed_has_not_left_it_in_peace(tmp_path):
    path = tmp_path / "x.sqlite3"
    await left_whole(path)
    code = (
        "import sys, os, anyio\n"
        "from pathlib import Path\nfrom pipeline.ports.sqlite import Database, Migration\n"
        "async def main():\n"
        "    database = await Database.open(Path(sys.argv[1]), (Migration(name='0001 notes', script=''),))\n"
        "    assert database.is_as_it_was_left\n"
        "    await database.write(lambda it: it.execute(\"INSERT INTO notes VALUES ('b')\") and None)\n"
        "    os._exit(0)\n"
        "anyio.run(main)\n"
    )
    await anyio.run_process([sys.executable, "-c", code, str(path)])
    async with opened(path) as database:
        assert not database.is_as_it_was_left
        assert await database.read(texts) == ["a", "b"]


async def test_what_is_found_damaged_is_not_trusted_the_next_time(tmp_path):
    """However it looks from outside: a failing disk changes no time."""
    path = tmp_path / "x.sqlite3"
    await left_whole(path)
    async with opened(path) as database:
        assert database.is_as_it_was_left

        def stumble_over_a_page(connection):
            error = sqlite3.DatabaseError("database disk image is malformed")
            error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
            raise error

        with pytest.raises(DatabaseDamaged):
            await database.glance(stumble_over_a_page)
    async with opened(path) as database:
        assert not database.is_as_it_was_left


async def test_what_is_written_alone_shares_its_commit_with_nothing(database):
    def count(connection):
        return connection.execute("PRAGMA user_version").fetchone()[0]

    seen = {}

    async def write(text, how):
        def work(connection):
            insert(text)(connection)
            return count(connection)

        seen[text] = await how(work)

    async with anyio.create_task_group() as tasks:
        for at in range(6):
            tasks.start_soon(write, f"together {at}", database.write)
        tasks.start_soon(write, "alone", database.write_alone)
        for at in range(6, 12):
            tasks.start_soon(write, f"together {at}", database.write)
    assert list(seen.values()).count(seen["alone"]) == 1
    assert len(await database.read(texts)) == 13
    with pytest.raises(LocalIoError):
        await database.write_alone(insert("alone"))
    assert len(await database.read(texts)) == 13
