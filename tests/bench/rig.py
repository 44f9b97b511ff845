"""What the benchmarks share: the quick service as a process, pictures by the hundred thousand, processes that are measured,
what the service saw of them, and tables.
"""

import json
import os
import re
import struct
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from heapq import heapify, heapreplace
from pathlib import Path
from statistics import fmean, median
from typing import Any, Self
from urllib.request import Request, urlopen

import yaml

BENCH = Path(__file__).parent
MVMESH = str(Path(sys.executable).with_name("mvmesh"))
VIEWS = ("front", "left", "back", "right")
ENVIRON = {**os.environ, "SCENARIO_SDK_API_KEY": "key", "SCENARIO_SDK_API_SECRET": "s3cret"}
SIDE = 128
_SAMPLE_S = 0.02
_TOLD_BYTES = 2_000


@dataclass(frozen=True, slots=True)
class Truth:
    """What the quick service saw. Its lists have a value a job, in the order of submission; times are of the epoch, 0: never."""

    behaviour: dict[str, Any]
    counts: dict[str, int]
    first: dict[str, float]
    """When a request of a kind came first."""
    refused: list[tuple[float, int]]
    """Every 429: when, and a number that stands for the submission's body."""
    made_twice: int
    """Jobs beyond the first of the same inputs."""
    cpu_s: float
    mesh_bytes: int
    created: list[float]
    ended: list[float]
    told: list[float]
    """When a look-up, a page or the answer that made it first told the job's end."""
    asked: list[float]
    fetched: list[float]
    """When the last byte of its mesh had left."""

    @property
    def began(self) -> float:
        """When the first request came."""
        return min(self.first.values())

    @property
    def makespan_s(self) -> float:
        """From the first job's submission to the last mesh."""
        return max(self.fetched) - min(self.created)

    @property
    def lag_s(self) -> float:
        """From a job's end to the answer that told it, on average."""
        return fmean(told - ended for told, ended in zip(self.told, self.ended, strict=True) if told)

    @property
    def looks(self) -> float:
        """Status requests a job: look-ups and pages of the list."""
        return (self.counts.get("look_ups", 0) + self.counts.get("list_pages", 0)) / len(self.created)

    @property
    def fetched_count(self) -> int:
        return sum(1 for one in self.fetched if one)

    def ideal_s(self, slots: int) -> float:
        """The makespan of a list schedule: the jobs in their order, each into the slot that is free first."""
        free = [0.0] * slots
        heapify(free)
        for created, ended in zip(self.created, self.ended, strict=True):
            heapreplace(free, free[0] + ended - created)
        return max(free)

    def repeated_at_once(self, within_s: float = 1.0) -> int:
        """Submissions that were refused again within so short a time."""
        last: dict[int, float] = {}
        again = 0
        for at, body in self.refused:
            again += at - last.get(body, 0.0) < within_s
            last[body] = at
        return again


class QuickService:
    """``quick_service.py`` as a process. ``reset`` begins anew, with another behaviour."""

    def __init__(self, process: "subprocess.Popen[str]", url: str) -> None:
        self.process = process
        self.url = url
        self._origin = url.removesuffix("/v1")

    def reset(self, **behaviour: Any) -> None:
        with urlopen(Request(f"{self._origin}/reset", data=json.dumps(behaviour).encode()), timeout=60):
            pass

    def truth(self) -> Truth:
        with urlopen(f"{self._origin}/truth", timeout=60) as answer:
            return Truth(**json.load(answer))


@contextmanager
def quick_service(**behaviour: Any) -> Iterator[QuickService]:
    command = [sys.executable, str(BENCH / "quick_service.py"), json.dumps(behaviour)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield QuickService(process, process.stdout.readline().strip())
        finally:
            process.kill()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """A process from its start to its end."""

    code: int
    began: float
    wall_s: float
    cpu_s: float
    """User and system, its children's included."""
    peak_bytes: int
    """Of its memory (``VmHWM``), as last seen."""
    out: str


def measured(*command: str, longest_s: float = 3600.0) -> Ran:
    """Run a command to its end; the end of what it says on stderr goes to ours if it fails."""
    with tempfile.TemporaryFile() as said, tempfile.TemporaryFile() as log:
        began = time.time()
        process = subprocess.Popen(command, env=ENVIRON, stdin=subprocess.DEVNULL, stdout=said, stderr=log)
        limit = threading.Timer(longest_s, process.kill)
        limit.start()
        with Peak(process.pid) as peak:
            _, status, usage = os.wait4(process.pid, 0)
        ended = time.time()
        limit.cancel()
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            log.seek(max(log.seek(0, os.SEEK_END) - _TOLD_BYTES, 0))
            sys.stderr.write(log.read().decode(errors="replace"))
        said.seek(0)
        return Ran(
            code=process.returncode,
            began=began,
            wall_s=ended - began,
            cpu_s=usage.ru_utime + usage.ru_stime,
            peak_bytes=peak.bytes,
            out=said.read().decode(),
        )


class Peak:
    """The peak of a process's memory, looked at until the scope ends: Linux tells it while the process lives alone."""

    def __init__(self, pid: int) -> None:
        self.bytes = 0
        self._status = Path(f"/proc/{pid}/status")
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(_SAMPLE_S):
            try:
                told = re.search(r"VmHWM:\s+(\d+)", self._status.read_text())
            except OSError:
                return
            if told:
                self.bytes = max(self.bytes, int(told[1]) * 1024)


def mvmesh(*arguments: str) -> Ran:
    return measured(MVMESH, *arguments)


def baseline(
    way: str, service: QuickService, sets: Path, out: Path, *, at_once: int, poll_s: float = 3.0
) -> dict[str, Any]:
    """What ``baselines.py`` tells of itself."""
    script = str(BENCH / "baselines.py")
    ran = measured(sys.executable, script, way, service.url, str(at_once), str(poll_s), str(sets), str(out))
    return json.loads(ran.out)


def write_manifest(folder: Path, name: str, service: QuickService, sets: str, **sections: Any) -> Path:
    said = {
        "version": 1,
        "name": name,
        "backend": service.url,
        "output": f"out-{name}",
        "defaults": {"faceCount": 60_000},
        "sets": [{"path": sets}],
        "previews": False,
        "acceptance": {"on_low": "skip"},
        "preflight": {"consistency": "skip"},  # it is the flow that is measured
        **sections,
    }
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(said))
    return path


def draw_sets(folder: Path, count: int, *, first: int = 0) -> Path:
    """So many sets of four small pictures, no two alike."""
    for number in range(first, first + count):
        place = folder / f"set-{number:06d}"
        place.mkdir(parents=True)
        for at, view in enumerate(VIEWS):
            (place / f"{view}.png").write_bytes(png(number * len(VIEWS) + at))
    return folder


def png(number: int) -> bytes:
    """A grey square on white whose middle row spells the number."""
    pixels = bytearray(_PIXELS)
    at = SIDE // 2 * (SIDE + 1) + SIDE // 2
    pixels[at : at + 4] = number.to_bytes(4, "big")
    return b"\x89PNG\r\n\x1a\n" + _IHDR + _chunk(b"IDAT", zlib.compress(pixels, 1)) + _IEND


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


_IHDR = _chunk(b"IHDR", struct.pack(">IIBBBBB", SIDE, SIDE, 8, 0, 0, 0, 0))
_IEND = _chunk(b"IEND", b"")
_WHITE = bytes(1) + b"\xff" * SIDE
_GREY = bytes(1) + b"\xff" * (SIDE // 4) + b"\x5a" * (SIDE // 2) + b"\xff" * (SIDE // 4)
_PIXELS = _WHITE * (SIDE // 4) + _GREY * (SIDE // 2) + _WHITE * (SIDE // 4)


def middle(values: Iterable[float]) -> float:
    return float(median(values))


def print_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """In Markdown."""
    print(f"| {' | '.join(head)} |\n|{'---|' * len(head)}")
    for row in rows:
        print(f"| {' | '.join(row)} |", flush=True)
