"""Jobs that end at once: how many sets a second, and what a set costs. python tests/bench/throughput.py --sets 500

The ways take turns within each round, on the same pictures and the same service; a table of medians. The scripts tell their
own time and CPU, from after their imports on; of ``mvmesh run`` it is the whole process, planning included, less one over a
single set. ``--profile`` shows where its time goes instead. The wall clock depends on whoever else uses the machine: the CPU
a set is the figure to go by.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from math import nan
from pathlib import Path
from typing import Any

from profiled import FILES, OUTSIDE, PAID, PARTS, READING, THREADS
from rig import (
    BENCH,
    MVMESH,
    QuickService,
    baseline,
    draw_sets,
    measured,
    middle,
    mvmesh,
    print_table,
    quick_service,
    write_manifest,
)

SCRIPTS = ("threads", "gather", "aiohttp")
TARGET = {"rate": 5.0, "cpu": 0.25}
"""Against the best script: so many times its sets a second, such a part of its CPU a set."""


@dataclass(frozen=True, slots=True)
class Measure:
    sets_s: float
    cpu_ms: float
    requests: float
    """A set."""
    peak_mb: float


def requests(counts: dict[str, int]) -> int:
    return sum(count for kind, count in counts.items() if not kind.startswith("bytes"))


class Bench:
    def __init__(self, folder: Path, service: QuickService, asked: argparse.Namespace) -> None:
        self.folder = folder
        self.service = service
        self.asked = asked
        self.behaviour = {"answers_queued": asked.queued}
        self.sets = draw_sets(folder / "sets", asked.sets)
        self.rounds = 0

    def script(self, way: str) -> Measure:
        self.service.reset(**self.behaviour)
        out = self.folder / f"{way}-{self.rounds}"
        told = baseline(way, self.service, self.sets, out, at_once=self.asked.at_once, poll_s=0)
        assert told["finished"] == self.asked.sets, f"{way}: {told}"
        return self.measure(told["wall_s"], told["cpu_s"], self.asked.sets, told["peak_bytes"])

    def ours(self) -> Measure:
        one, whole = self.run("set-000000"), self.run("*")
        return self.measure(
            whole["wall_s"] - one["wall_s"], whole["cpu_s"] - one["cpu_s"], self.asked.sets - 1, whole["peak_bytes"]
        )

    def manifest(self, chosen: str) -> Path:
        limits = {"in_flight": self.asked.at_once, "uploads": self.asked.uploads, "downloads": self.asked.downloads}
        name = f"run-{self.rounds}-{len(chosen)}"
        return write_manifest(self.folder, name, self.service, f"sets/{chosen}", limits=limits)

    def run(self, chosen: str) -> dict[str, Any]:
        self.service.reset(**self.behaviour)
        ran = mvmesh("run", str(self.manifest(chosen)), "--yes")
        assert ran.code == 0, ran.code
        return {"wall_s": ran.wall_s, "cpu_s": ran.cpu_s, "peak_bytes": ran.peak_bytes}

    def measure(self, wall_s: float, cpu_s: float, sets: int, peak_bytes: int) -> Measure:
        asked = requests(self.service.truth().counts) / self.asked.sets
        return Measure(sets / wall_s, cpu_s / sets * 1000, asked, peak_bytes / 1e6)

    def profile(self) -> None:
        """A table of CPU a set by what it is spent on, the whole less one over a single set; and the bare loop's."""
        plain, bare = self.ours(), self.script("bare")
        one, whole = self.profiled("set-000000"), self.profiled("*")
        sets = self.asked.sets - 1

        def a_set(what: str, part: str = "") -> float:
            of, less = (told[what][part] if part else told[what] for told in (whole, one))
            return float(of - less) / sets

        parts = {part: a_set("parts", part) * 1000 for part in whole["parts"]}
        rows = [(part, f"{ms:.2f} ms") for part, ms in sorted(parts.items(), key=lambda it: -it[1])]
        print_table(("CPU a set", ""), [*rows, ("all of it, while it is counted", f"{sum(parts.values()):.2f} ms")])
        print(
            f"\nof it in the kernel {a_set('system_s') * 1000:.2f} ms; {a_set('switches'):.0f} context switches a set"
        )
        print(f"not counted: {plain.cpu_ms:.2f} ms, {plain.sets_s:.0f} sets/s, {plain.requests:.2f} requests")
        print(f"a bare aiohttp loop that sends the same: {bare.cpu_ms:.2f} ms, {bare.sets_s:.0f} sets/s")

    def profiled(self, chosen: str) -> dict[str, Any]:
        self.service.reset(**self.behaviour)
        self.rounds += 1000
        script = str(BENCH / "profiled.py")
        ran = measured(sys.executable, script, MVMESH, "run", str(self.manifest(chosen)), "--yes")
        assert ran.code == 0, ran.code
        told = json.loads(ran.out.splitlines()[-1])
        told["parts"] = {
            part: told["parts"].get(part, 0.0) for part in (*PARTS, PAID, FILES, READING, THREADS, OUTSIDE)
        }
        return told


def compare(bench: Bench, scripts: Sequence[str], rounds: int) -> None:
    ways: dict[str, Callable[[], Measure]] = {way: partial(bench.script, way) for way in (*scripts, "bare")}
    ways["run"] = bench.ours
    found: dict[str, list[Measure]] = {way: [] for way in ways}
    for at in range(rounds):
        bench.rounds = at
        for way, measure in ways.items():
            found[way].append(measure())
    rate = {way: middle(one.sets_s for one in measures) for way, measures in found.items()}
    cpu = {way: middle(one.cpu_ms for one in measures) for way, measures in found.items()}
    best_rate = max((rate[way] for way in scripts), default=nan)
    best_cpu = min((cpu[way] for way in scripts), default=nan)
    head = (
        "",
        "sets/s",
        f"of the best (target {TARGET['rate']:g})",
        "CPU a set",
        f"of the best (target {TARGET['cpu']:g})",
    )
    rows = [
        (
            way,
            f"{rate[way]:.0f}",
            f"{rate[way] / best_rate:.2f}",
            f"{cpu[way]:.2f} ms",
            f"{cpu[way] / best_cpu:.2f}",
            f"{cpu[way] / cpu['bare']:.1f}",
            f"{middle(one.requests for one in measures):.2f}",
            f"{middle(one.peak_mb for one in measures):.0f} MB",
        )
        for way, measures in found.items()
    ]
    print_table((*head, "times the bare loop's", "requests a set", "peak RSS"), rows)


def main() -> None:
    asked = _arguments()
    with tempfile.TemporaryDirectory() as folder, quick_service() as service:
        bench = Bench(Path(folder), service, asked)
        if asked.profile:
            bench.profile()
        elif asked.only_ours:
            print(json.dumps([bench.run("set-000000"), bench.run("*"), service.truth().counts], indent=1))
        else:
            print(f"{asked.sets} sets of four views, {asked.at_once} at once, medians of {asked.rounds} rounds\n")
            compare(bench, asked.scripts, asked.rounds)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--sets", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--at-once", type=int, default=32)
    parser.add_argument("--uploads", type=int, default=8, help="of mvmesh, at once: limits.uploads")
    parser.add_argument("--downloads", type=int, default=4, help="of mvmesh, at once: limits.downloads")
    parser.add_argument("--scripts", nargs="*", default=SCRIPTS)
    parser.add_argument("--queued", action="store_true", help="the answer that makes a job tells it as not ended yet")
    parser.add_argument("--only-ours", action="store_true", help="mvmesh run alone, once")
    parser.add_argument("--profile", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
