"""Runs a Python script and tells where its CPU time went: python tests/bench/profiled.py .venv/bin/mvmesh run M.yaml --yes

A timer of CPU time interrupts the main thread; what it runs then is counted, by the package whose code it is and by our module
on whose behalf it runs. When it waits at that moment, some other thread was at work: those are told apart by the kernel's own
count of every thread's time.
"""

import atexit
import os
import runpy
import signal
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import FrameType

EVERY_S = 0.001
SHOWN = 22
_THREADS_EVERY = 50
_WAITS = "selectors"


class Samples:
    def __init__(self) -> None:
        self.by_package = Counter[str]()
        self.by_module = Counter[str]()
        self.threads: dict[int, tuple[str, float]] = {}
        """Name and CPU seconds by the kernel's id; looked at now and then, as threads end before the process does."""

    def take(self, _: int, frame: FrameType | None) -> None:
        if self.by_package.total() % _THREADS_EVERY == 0:
            self.threads |= _thread_times_s()
        names = list(_modules(frame))
        package = names[0] if names[0].startswith("pipeline") else names[0].partition(".")[0]
        self.by_package[package] += 1
        self.by_module[next((name for name in names if name.startswith("pipeline.")), package)] += 1


def _modules(frame: FrameType | None) -> Iterator[str]:
    while frame is not None:
        yield frame.f_globals.get("__name__") or "?"
        frame = frame.f_back


def _thread_times_s() -> dict[int, tuple[str, float]]:
    tick = os.sysconf("SC_CLK_TCK")
    names = {one.native_id: one.name.rstrip("_-0123456789") for one in threading.enumerate()}
    times = {}
    for task in Path("/proc/self/task").iterdir():
        with suppress(FileNotFoundError):
            told = (task / "stat").read_text().rpartition(")")[2].split()
            times[int(task.name)] = (names.get(int(task.name), "not Python's"), (int(told[11]) + int(told[12])) / tick)
    return times


def report(samples: Samples) -> None:
    signal.setitimer(signal.ITIMER_PROF, 0)
    total = samples.by_package.total() or 1
    for title, counts in (("whose code", samples.by_package), ("on whose behalf", samples.by_module)):
        print(f"\n{title} ({total} samples of the main thread; {_WAITS}: it waited, another thread ran)")
        for name, count in counts.most_common(SHOWN):
            print(f"{count / total:8.1%}  {name}")
    print("\nCPU seconds by kind of thread")
    spent = Counter[str]()
    for name, seconds in (samples.threads | _thread_times_s()).values():
        spent[name] += seconds
    for name, seconds in spent.most_common():
        print(f"{seconds:8.2f}  {name}")


def main() -> None:
    sys.argv = sys.argv[1:]
    samples = Samples()
    atexit.register(report, samples)
    signal.signal(signal.SIGPROF, samples.take)
    signal.setitimer(signal.ITIMER_PROF, EVERY_S, EVERY_S)
    runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    main()
