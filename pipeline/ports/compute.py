"""Worker processes for what computes: the event loop stays free, and a crash or a hang costs one call.

Not ``anyio.to_process``: after a Ctrl-C its idle workers have an answer to spare, and the next call gets the result of
the one before; it loses the traceback and the exit code; and it runs the parent's ``__main__`` again in each worker.
Here a worker is in a session of its own (on Windows: a process group), deaf to Ctrl-C, and imports only what is called.
"""

import os
import pickle
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self, TypeVar, TypeVarTuple, cast

import anyio
from anyio.abc import ByteReceiveStream, ByteSendStream, Process
from anyio.streams.buffered import BufferedByteReceiveStream

from pipeline.domain.errors import WorkerDied
from pipeline.ports import worker

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_LAST_WORDS_BYTES = 2000
_LAST_BREATH_S = 5.0
_ORPHAN_GRACE_S = 60.0
_PIPE_ENDED = (anyio.EndOfStream, anyio.IncompleteRead, anyio.BrokenResourceError, anyio.ClosedResourceError)


class WorkerProcesses:
    """The port ``Compute``: at most ``count`` processes, started when needed and kept for the next call.

    An async context manager: no process outlives it. Further calls wait, which does not count towards their time limit.
    """

    def __init__(self, count: int) -> None:
        self._limiter = anyio.CapacityLimiter(count)
        self._idle: list[_Worker] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        while self._idle:
            await self._idle.pop().kill()

    async def run(self, function: Callable[[*Ts], T], *args: *Ts, timeout_s: float) -> T:
        """Call a module-level function in a worker process.

        Its exception comes back as itself, with the worker's traceback as a note. Cancelling kills the worker.

        Raises:
            WorkerDied: the process crashed or was killed by the time limit.
        """
        request = worker.call_frame(function, args, timeout_s + _ORPHAN_GRACE_S)
        what = getattr(function, "__name__", repr(function))
        async with self._limiter:
            hand = await self._free_worker()
            try:
                with anyio.fail_after(timeout_s):
                    answer = await hand.ask(request)
            except TimeoutError as error:
                await hand.kill()
                raise WorkerDied(
                    f"{what} was killed at its time limit of {timeout_s:g} s",
                    mend="allow more time, or ask for a smaller result",
                ) from error
            except _PIPE_ENDED as error:
                raise await hand.obituary(what) from error
            except BaseException:
                await hand.kill()
                raise
            self._idle.append(hand)
        return cast("T", _unpacked(answer))

    async def _free_worker(self) -> "_Worker":
        while self._idle:
            hand = self._idle.pop()
            if hand.is_alive:
                return hand
            await hand.kill()
        return await _Worker.start()


class _Worker:
    """One process and the pipes to it."""

    def __init__(self, process: Process, stderr: IO[bytes]) -> None:
        self._process = process
        self._stderr = stderr
        self._answers = BufferedByteReceiveStream(cast("ByteReceiveStream", process.stdout))
        self._unsent = worker.path_frame()

    @classmethod
    async def start(cls) -> "_Worker":
        stderr = tempfile.TemporaryFile("a+b")  # noqa: SIM115 - open for as long as the process lives
        try:
            command = [sys.executable, "-P", worker.__file__]
            with anyio.CancelScope(shield=True):  # cut off in the middle, nobody would wait for the process
                process = await anyio.open_process(
                    command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, **_isolation()
                )
        except BaseException:
            stderr.close()
            raise
        return cls(process, stderr)

    @property
    def is_alive(self) -> bool:
        return self._process.returncode is None

    async def ask(self, request: bytes) -> bytes:
        """Send one call and wait for its answer. After any exception the worker is of no more use: ``kill`` it."""
        self._stderr.truncate(0)
        await cast("ByteSendStream", self._process.stdin).send(self._unsent + request)
        self._unsent = b""
        (length,) = worker.FRAME.unpack(await self._answers.receive_exactly(worker.FRAME.size))
        return await self._answers.receive_exactly(length)

    async def kill(self) -> None:
        with anyio.CancelScope(shield=True):
            with suppress(ProcessLookupError):
                self._process.kill()
            await self._process.aclose()
            self._stderr.close()

    async def obituary(self, what: str) -> WorkerDied:
        """The error that tells how the process ended; its last words are a note."""
        with anyio.move_on_after(_LAST_BREATH_S):
            await self._process.wait()
        ended = _ending(self._process.returncode)
        last_words = _tail(self._stderr)
        await self.kill()
        error = WorkerDied(
            f"{what}: its worker process {ended}; expected an answer",
            mend="if memory ran out, run fewer at once or ask for fewer faces; else report it with what was logged",
        )
        if last_words:
            error.add_note(f"The last words of the worker process:\n{last_words}")
        return error


def _isolation() -> dict[str, Any]:
    """Ctrl-C on the terminal reaches the foreground process group: workers must not be in it."""
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    return {"start_new_session": True}


def _ending(returncode: int | None) -> str:
    if returncode is None:
        return "closed its pipe"
    if returncode >= 0:
        return f"ended with exit code {returncode}"
    try:
        name = signal.Signals(-returncode).name
    except ValueError:
        name = f"signal {-returncode}"
    return f"was killed by {name}" + (" (out of memory?)" if name == "SIGKILL" else "")


def _tail(file: IO[bytes]) -> str:
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _LAST_WORDS_BYTES))
    return file.read().decode(errors="replace").strip()


def _unpacked(answer: bytes) -> Any:
    is_result, value = pickle.loads(answer)  # noqa: S301 - our own worker wrote it
    if is_result:
        return value
    raise value


def write_progress(path: Path, done: float) -> None:
    """Tell how far a function in a worker process is (0 to 1): it is given the path among its arguments."""
    part = path.with_name(f"{path.name}.part")
    part.write_text(repr(done), encoding="ascii")
    with suppress(PermissionError):  # Windows: someone reads the file just now; the next beat will do
        part.replace(path)


def read_progress(path: Path) -> float:
    """What ``write_progress`` told last; 0 before that."""
    try:
        return min(1.0, max(0.0, float(path.read_text(encoding="ascii"))))
    except (OSError, ValueError):
        return 0.0
