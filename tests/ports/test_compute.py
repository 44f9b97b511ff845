"""Real worker processes. What they call are builtins: a worker cannot import a test module."""

import os
import pickle
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest

import pipeline
from pipeline.domain import errors
from pipeline.domain.errors import CeilingReached, MvmeshError, PictureRefused, ServiceAnswer, UsageError, WorkerDied
from pipeline.ports.compute import WorkerProcesses, read_progress, write_progress

pytestmark = pytest.mark.anyio

BUSY = "while True: pass"
RAISE_CEILING = """
from pipeline.domain.errors import CeilingReached, ServiceAnswer
raise CeilingReached("no more jobs", ceiling=3, retry_after_s=2.5, answer=ServiceAnswer(status=429, hint="wait"))
"""


@pytest.fixture
async def compute() -> AsyncIterator[WorkerProcesses]:
    async with WorkerProcesses(1) as workers:
        yield workers


async def test_a_result_comes_back_and_the_process_is_used_again(compute):
    assert await compute.run(pow, 7, 3, timeout_s=30) == 343
    first = await compute.run(os.getpid, timeout_s=30)
    assert first != os.getpid()
    assert await compute.run(os.getpid, timeout_s=30) == first


async def test_large_arguments_and_results_travel_whole(compute):
    data = bytes(range(256)) * 40_000
    assert await compute.run(bytes.upper, data, timeout_s=30) == data.upper()


async def test_an_exception_comes_back_as_itself_with_the_workers_traceback(compute):
    with pytest.raises(ValueError, match="invalid literal") as caught:
        await compute.run(int, "eight", timeout_s=30)
    assert "In the worker process" in caught.value.__notes__[0]
    assert await compute.run(int, "8", timeout_s=30) == 8


async def test_our_errors_come_back_with_all_they_say(compute):
    with pytest.raises(CeilingReached) as caught:
        await compute.run(exec, RAISE_CEILING, timeout_s=30)
    assert (str(caught.value), caught.value.ceiling, caught.value.retry_after_s) == ("no more jobs", 3, 2.5)
    assert caught.value.answer == ServiceAnswer(status=429, hint="wait")


async def test_an_exception_that_cannot_be_pickled_is_told(compute):
    source = "class Local(Exception): pass\nraise Local('lost')"
    with pytest.raises(RuntimeError, match=r"Local, which cannot be pickled.*(\n.*)*lost"):
        await compute.run(exec, source, timeout_s=30)


async def test_a_result_that_cannot_be_pickled_is_an_error_of_that_call(compute):
    with pytest.raises(TypeError, match="pickle"):
        await compute.run(eval, "(n for n in [])", timeout_s=30)
    assert await compute.run(abs, -2, timeout_s=30) == 2


async def test_a_process_that_exits_fails_its_call_alone(compute):
    with pytest.raises(WorkerDied, match="exit code 7") as caught:
        await compute.run(os._exit, 7, timeout_s=30)
    assert caught.value.mend
    assert await compute.run(abs, -2, timeout_s=30) == 2


async def test_a_native_crash_leaves_its_stack_in_a_note(compute):
    with pytest.raises(WorkerDied) as caught:
        await compute.run(exec, "import faulthandler; faulthandler._sigsegv()", timeout_s=30)
    assert "Segmentation fault" in caught.value.__notes__[0] or "access violation" in caught.value.__notes__[0]


async def test_a_hang_is_killed_in_time_and_its_process_is_gone(compute, tmp_path):
    note = tmp_path / "pid"
    source = f"import os, pathlib; pathlib.Path({str(note)!r}).write_text(str(os.getpid()))\n{BUSY}"
    with anyio.fail_after(20), pytest.raises(WorkerDied, match=r"time limit of 1\.5 s"):
        await compute.run(exec, source, timeout_s=1.5)
    assert not _is_running(int(note.read_text()))
    assert await compute.run(abs, -2, timeout_s=30) == 2


async def test_a_cancelled_call_leaves_no_process(compute):
    pid = await compute.run(os.getpid, timeout_s=30)
    with anyio.move_on_after(0.2) as scope:
        await compute.run(exec, BUSY, timeout_s=600)
    assert scope.cancelled_caught
    assert not _is_running(pid)


async def test_cancelling_while_the_process_starts_leaves_none():
    async with WorkerProcesses(2) as workers:
        for delay_s in (0, 0.001, 0.01, 0.03):
            with anyio.move_on_after(delay_s):
                await workers.run(exec, BUSY, timeout_s=600)
        assert await workers.run(abs, -2, timeout_s=30) == 2


async def test_a_timeout_error_of_the_function_is_its_own(compute):
    with pytest.raises(TimeoutError, match="of my own"):
        await compute.run(exec, "raise TimeoutError('of my own')", timeout_s=30)


async def test_leaving_the_context_ends_the_processes():
    async with WorkerProcesses(2) as workers:
        pid = await workers.run(os.getpid, timeout_s=30)
        assert _is_running(pid)
    assert not _is_running(pid)


async def test_an_idle_process_that_died_is_replaced(compute):
    pid = await compute.run(os.getpid, timeout_s=30)
    os.kill(pid, signal.SIGTERM)
    with anyio.fail_after(20):
        while compute._idle[0].is_alive:
            await anyio.lowlevel.checkpoint()
    assert await compute.run(abs, -2, timeout_s=30) == 2


async def test_no_more_processes_than_allowed_work_at_once():
    pids = []
    async with WorkerProcesses(2) as workers, anyio.create_task_group() as calls:

        async def call() -> None:
            pids.append(await workers.run(os.getpid, timeout_s=30))

        for _ in range(12):
            calls.start_soon(call)
    assert len(pids) == 12
    assert len(set(pids)) <= 2


@pytest.mark.skipif(sys.platform == "win32", reason="os.kill sends no Ctrl-C there")
async def test_an_interrupt_reaches_no_worker_and_mixes_no_answers(compute):
    pid = await compute.run(os.getpid, timeout_s=30)
    os.kill(pid, signal.SIGINT)
    assert [await compute.run(abs, n, timeout_s=30) for n in range(5)] == [0, 1, 2, 3, 4]
    assert await compute.run(os.getpid, timeout_s=30) == pid
    assert await compute.run(os.getpgid, 0, timeout_s=30) != os.getpgid(0)


async def test_printing_and_reading_stdin_harm_no_answer(compute):
    assert (
        await compute.run(exec, "import os; print('x' * 9000, flush=True); os.write(1, b'y' * 9000)", timeout_s=30)
        is None
    )
    assert await compute.run(eval, "__import__('sys').stdin.read()", timeout_s=30) == ""
    assert await compute.run(abs, -2, timeout_s=30) == 2


@pytest.mark.parametrize("anyio_backend", ["trio"])
async def test_it_is_the_same_on_trio(anyio_backend, compute):
    assert await compute.run(abs, -2, timeout_s=30) == 2
    with pytest.raises(WorkerDied):
        await compute.run(os._exit, 1, timeout_s=30)
    with pytest.raises(WorkerDied):
        await compute.run(exec, BUSY, timeout_s=0.5)


async def test_progress_travels_by_a_file(compute, tmp_path):
    path = tmp_path / "progress"
    assert read_progress(path) == 0
    await compute.run(write_progress, path, 0.25, timeout_s=30)
    assert read_progress(path) == 0.25
    write_progress(path, 1.5)
    assert read_progress(path) == 1
    path.write_text("rubbish")
    assert read_progress(path) == 0


def test_a_worker_whose_parent_is_gone_ends():
    source = (
        "import anyio, os\n"
        "from pipeline.ports.compute import WorkerProcesses\n"
        "async def main():\n"
        "    workers = WorkerProcesses(1)\n"
        "    print(await workers.run(os.getpid, timeout_s=30), flush=True)\n"
        "    os._exit(9)\n"
        "anyio.run(main)\n"
    )
    path = str(Path(pipeline.__file__).parents[1])
    told = subprocess.run(
        [sys.executable, "-c", source],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert told.returncode == 9

    async def until_gone() -> None:
        with anyio.fail_after(20):
            while _is_running(int(told.stdout)):
                await anyio.lowlevel.checkpoint()

    anyio.run(until_gone)


def _all_errors() -> list[type[MvmeshError]]:
    found = [one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, MvmeshError)]
    assert len(found) > 15
    return found


@pytest.mark.parametrize("cls", _all_errors())
def test_every_error_pickles(cls):
    extra = {"ceiling": 5} if issubclass(cls, CeilingReached) else {}
    travelled = pickle.loads(pickle.dumps(cls("what was found", **extra)))
    assert type(travelled) is cls
    assert str(travelled) == "what was found"


def test_attributes_travel_too():
    refused = pickle.loads(pickle.dumps(PictureRefused("a", mend="b", kind="truncated")))
    assert (refused.mend, refused.kind) == ("b", "truncated")
    assert pickle.loads(pickle.dumps(UsageError("a", problems=["x", "y"]))).problems == ("x", "y")


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:  # gone just now, or no Linux
        return not Path("/proc/self").exists()
