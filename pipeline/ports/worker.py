"""What runs inside a worker process: calls functions, one at a time, for ``pipeline.ports.compute``.

Started as a file, before anything of ours can be imported, so it uses the standard library alone. A frame is 8 bytes of
length and a pickle. In come first the parent's ``sys.path``, then ``(function, args, give_up_s)``; out goes
``(True, result)`` or ``(False, exception)`` for each call. The end of the input ends the process.
"""

import faulthandler
import os
import pickle
import signal
import struct
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import Any, BinaryIO

FRAME = struct.Struct(">Q")


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent to decide about
    faulthandler.enable()
    calls, answers = _private_pipes()
    with suppress(EOFError, BrokenPipeError):
        sys.path[:] = pickle.loads(_read_frame(calls))  # noqa: S301 - the parent alone writes to this pipe
        while True:
            answers.write(_frame(_answer(_read_frame(calls))))
            answers.flush()


def _private_pipes() -> tuple[BinaryIO, BinaryIO]:
    """The pipes to the parent, out of reach of functions that read stdin or print: these get nothing, and stderr."""
    calls, answers = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return os.fdopen(calls, "rb"), os.fdopen(answers, "wb")


def _answer(body: bytes) -> bytes:
    try:
        function, args, give_up_s = pickle.loads(body)  # noqa: S301 - the parent alone writes to this pipe
        # The parent kills at the time limit; this bound is for a process whose parent is gone.
        faulthandler.dump_traceback_later(give_up_s, exit=True)
        return pickle.dumps((True, function(*args)), pickle.HIGHEST_PROTOCOL)
    except Exception as error:  # noqa: BLE001 - goes to the caller as it is
        return pickle.dumps((False, _portable(error)), pickle.HIGHEST_PROTOCOL)
    finally:
        faulthandler.cancel_dump_traceback_later()


def _portable(error: Exception) -> Exception:
    """The exception with its traceback as a note; one that does not survive pickling is told by a RuntimeError."""
    text = "".join(traceback.format_exception(error))
    error.add_note(f"In the worker process:\n{text}")
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    except Exception:  # noqa: BLE001 - classes may raise anything while they are pickled
        return RuntimeError(f"{type(error).__qualname__}, which cannot be pickled, in the worker process:\n{text}")
    return error


def _read_frame(calls: BinaryIO) -> bytes:
    (length,) = FRAME.unpack(_exactly(calls, FRAME.size))
    return _exactly(calls, length)


def _exactly(calls: BinaryIO, length: int) -> bytes:
    data = calls.read(length)
    if len(data) < length:
        raise EOFError
    return data


def _frame(body: bytes) -> bytes:
    return FRAME.pack(len(body)) + body


def call_frame(function: Callable[..., Any], args: tuple[Any, ...], give_up_s: float) -> bytes:
    return _frame(pickle.dumps((function, args, give_up_s), pickle.HIGHEST_PROTOCOL))


def path_frame() -> bytes:
    return _frame(pickle.dumps(sys.path))


if __name__ == "__main__":
    main()
