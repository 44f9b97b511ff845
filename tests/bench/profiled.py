"""Runs a Python script and tells where its CPU time went: python tests/bench/profiled.py .venv/bin/mvmesh run M.yaml --yes

Every thread's own CPU clock is read where work of one kind begins and ends: steps of coroutines on the event loop, calls in
threads, system calls for files and sockets. What is begun within something else counts for itself alone. What is left is told,
too: so the parts make up what the kernel says of the whole process. Reading the clocks costs some per cent.
"""

import atexit
import functools
import importlib
import inspect
import json
import resource
import runpy
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Generator
from concurrent.futures import thread
from contextlib import contextmanager
from typing import Any

from anyio import to_thread

Place = tuple[str, str]
"""A module, and what in it: ``Class.method`` or ``function``."""

PLANNING = "planning: folders, pictures, records"
LEDGER = "ledger: records and questions, on the loop"
COMMITS = "ledger: statements and commits, in a thread"
PAID = "HTTP: the paid POST, each on a connection of its own"
HTTP = "HTTP: all other requests"
PARSED = "HTTP: answers taken apart"
SOCKETS = "sockets: connect, send, receive, close (kernel)"
SYNCS = "files: fsync (kernel)"
FILES = "files: open, write, rename, folders; hashing"
READING = "flow: pictures read to be sent, in threads"
THREADS = "planning: folders listed, pictures read, in threads"
WATCHING = "watching"
RESULTS = "results and report"
UPLOADS = "flow: pictures into requests, retries, gates"
SUBMISSION = "flow: submission"
DOWNLOAD = "flow: URLs asked for, downloads"
DELIVERY = "flow: acceptance, delivery"
FLOW = "flow: states, slots, all else"
POLLING = "event loop: epoll (kernel)"
LOOP = "event loop: tasks, timers, callbacks, hops to threads"
OUTSIDE = "starting and ending threads and the process, waking one another"

PARTS: dict[str, tuple[Place, ...]] = {
    PLANNING: tuple(
        ("pipeline.batch.survey", f"Survey.{one}") for one in ("go_on", "head", "_looked_at", "_decided", "free")
    ),
    LEDGER: tuple(
        ("pipeline.ports.ledger", f"SqliteLedger.{one}")
        for one in ("advance", "open_item", "item", "uploads", "record_uploads", "delivery", "record_delivery")
    ),
    COMMITS: (("pipeline.ports.sqlite", "Database._commit"),),
    HTTP: (
        ("pipeline.ports.http", "ApiSession.send"),
        ("pipeline.ports.http", "TransferSession._get"),
        ("pipeline.ports.http", "Incoming.read"),
    ),
    PARSED: (("aiohttp.client_proto", "ResponseHandler.data_received"), ("pipeline.ports.scenario_calls", "parse")),
    SOCKETS: tuple(("socket", f"socket.{one}") for one in ("__init__", "connect", "send", "sendmsg", "recv", "close")),
    SYNCS: (("os", "fsync"),),
    WATCHING: (("pipeline.stages.watch", "Watcher.run"),),
    RESULTS: (("pipeline.batch.publishing", "Publishing.publish"),),
    UPLOADS: (("pipeline.batch.uploads", "Uploads._send_one"), ("pipeline.batch.uploads", "Uploads.assets")),
    SUBMISSION: (("pipeline.batch.submissions", "Submissions.submit"),),
    DOWNLOAD: (("pipeline.batch.flow", "Flow._download"),),
    DELIVERY: (("pipeline.batch.flow", "Flow._deliver"),),
    FLOW: (("pipeline.batch.flow", "Flow.bring"),),
    POLLING: (("selectors", "EpollSelector.select"),),
    LOOP: (("asyncio", "Handle._run"),),
}
IN_THREADS = {
    "pipeline.ports.storage": FILES,
    "pipeline.ports.new_files": FILES,
    "pipeline.ports.downloads": FILES,
    "pipeline.ports.hops": READING,
}
"""By the module of what is called there; all else is ``THREADS``."""


class Account:
    """CPU nanoseconds by part. A part within another is not counted twice."""

    def __init__(self) -> None:
        self.spent = Counter[str]()
        self.calls = Counter[str]()
        self._of = threading.local()

    @contextmanager
    def within(self, part: str) -> Generator[None]:
        """The block's time on this thread is the part's, less what is another's within."""
        outer = getattr(self._of, "inner_ns", 0)
        self._of.inner_ns, began = 0, time.thread_time_ns()
        try:
            yield
        finally:
            took = time.thread_time_ns() - began
            self.spent[part] += took - self._of.inner_ns
            self._of.inner_ns = outer + took


ACCOUNT = Account()


class Steps:
    """A coroutine whose every step is counted."""

    def __init__(self, part: str, inner: Coroutine[Any, Any, Any]) -> None:
        self._part = part
        self._inner = inner

    def __await__(self) -> Generator[Any, Any, Any]:
        send, value = self._inner.send, None
        while True:
            try:
                with ACCOUNT.within(self._part):
                    asked = send(value)
            except StopIteration as ended:
                return ended.value
            try:
                value, send = (yield asked), self._inner.send
            except BaseException as error:  # noqa: BLE001 - handed on
                value, send = error, self._inner.throw


def counted(part: str, function: Callable[..., Any]) -> Callable[..., Any]:
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def awaited(*args: Any, **kwargs: Any) -> Any:
            of = PAID if kwargs.get("fresh_connection") else part
            ACCOUNT.calls[of] += 1
            return await Steps(of, function(*args, **kwargs))

        return awaited

    @functools.wraps(function)
    def called(*args: Any, **kwargs: Any) -> Any:
        ACCOUNT.calls[part] += 1
        with ACCOUNT.within(part):
            return function(*args, **kwargs)

    return called


def part_in_threads(function: Callable[..., Any]) -> str:
    return IN_THREADS.get(getattr(function, "__module__", ""), THREADS)


def watch() -> None:
    for part, places in PARTS.items():
        for module, name in places:
            *owners, last = name.split(".")
            owner = functools.reduce(getattr, owners, importlib.import_module(module))
            setattr(owner, last, counted(part, getattr(owner, last)))
    run = thread._WorkItem.run

    def in_a_thread(item: Any) -> None:
        function = item.task[0] if hasattr(item, "task") else item.fn
        while isinstance(function, functools.partial):
            function = function.func
        part = part_in_threads(function)
        ACCOUNT.calls[part] += 1
        with ACCOUNT.within(part):
            run(item)

    thread._WorkItem.run = in_a_thread  # type: ignore[method-assign]
    run_sync = to_thread.run_sync

    async def hop(function: Callable[..., Any], *args: Any, **options: Any) -> Any:
        return await run_sync(counted(part_in_threads(function), function), *args, **options)

    to_thread.run_sync = hop  # type: ignore[assignment]


def report() -> None:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    spent = {part: ns / 1e9 for part, ns in ACCOUNT.spent.items()}
    spent[OUTSIDE] = usage.ru_utime + usage.ru_stime - sum(spent.values())
    told = {
        "parts": spent,
        "calls": ACCOUNT.calls,
        "user_s": usage.ru_utime,
        "system_s": usage.ru_stime,
        "switches": usage.ru_nvcsw + usage.ru_nivcsw,
    }
    print(json.dumps(told))


def main() -> None:
    sys.argv = sys.argv[1:]
    watch()
    atexit.register(report)
    runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    main()
