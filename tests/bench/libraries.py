"""Whole libraries: python tests/bench/libraries.py --sets 1000 10000

For each size, so many new sets of four small pictures: planned by ``mvmesh plan``; until the service sees the first
submission of ``mvmesh run``; delivered; and then run again, when there is nothing to do. A hundred thousand take as many
minutes as it takes to deliver them.
"""

import argparse
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from rig import (
    ENVIRON,
    MVMESH,
    Peak,
    QuickService,
    Ran,
    draw_sets,
    middle,
    mvmesh,
    print_table,
    quick_service,
    write_manifest,
)

LIMITS = {"in_flight": 128, "uploads": 32, "downloads": 16}
HEAD = ("sets", "step", "time", "CPU", "CPU a set", "peak RSS", "target at 100,000 (10,000)")
_STILL_S = 1.0
"""A process that has used next to no CPU for so long has planned all."""

Row = tuple[str, ...]


def planned(manifest: Path, count: int) -> Row:
    ran = mvmesh("plan", str(manifest))
    assert ran.code == 0, ran.code
    return _ran(count, "mvmesh plan, all new", "60 s of CPU", ran)


def first_submission(manifest: Path, count: int, service: QuickService) -> list[Row]:
    """A run whose only job never ends: until its submission is seen, and until it has nothing more to reckon."""
    service.reset(all_end_with=count + 1, ceiling=1)
    began = time.time()
    process = subprocess.Popen(
        [MVMESH, "run", str(manifest), "--yes"], env=ENVIRON, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    with Peak(process.pid) as peak:
        spent = _cpu_when_still(process.pid, service)
        truth = service.truth()
        process.send_signal(signal.SIGKILL)
        process.wait()
    seen = truth.first["generates"] - began
    return [
        _row(count, "mvmesh run, all new: first request", "", wall_s=truth.began - began),
        _row(count, "  first submission", "3 s", wall_s=seen),
        _row(count, "  until all is planned", "60 s of CPU", cpu_s=spent, peak=peak.bytes),
    ]


def _cpu_when_still(pid: int, service: QuickService) -> float:
    spent = _cpu_s(pid)
    while True:
        time.sleep(_STILL_S)  # noqa: TID251
        before, spent = spent, _cpu_s(pid)
        if spent - before < 0.05 * _STILL_S and service.truth().created:
            return spent


def _cpu_s(pid: int) -> float:
    told = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(told[11]) + int(told[12])) / os.sysconf("SC_CLK_TCK")


def delivered(manifest: Path, count: int, service: QuickService) -> Row:
    service.reset()
    ran = mvmesh("run", str(manifest), "--yes")
    assert ran.code == 0, ran.code
    return _ran(count, f"mvmesh run: delivered, {count / ran.wall_s:.0f} sets/s", "", ran)


def nothing_to_do(manifest: Path, count: int, rounds: int) -> Row:
    runs = [mvmesh("run", str(manifest), "--yes") for _ in range(rounds)]
    wall_s, cpu_s = middle(one.wall_s for one in runs), middle(one.cpu_s for one in runs)
    peak = max(one.peak_bytes for one in runs)
    return _row(count, "mvmesh run: nothing to do", "15 s, 300 MB (2 s)", wall_s=wall_s, cpu_s=cpu_s, peak=peak)


def _row(count: int, step: str, target: str, *, wall_s: float = 0, cpu_s: float = 0, peak: int = 0) -> Row:
    return (
        f"{count:,}",
        step,
        f"{wall_s:.2f} s" if wall_s else "",
        f"{cpu_s:.2f} s" if cpu_s else "",
        f"{cpu_s / count * 1000:.3f} ms" if cpu_s else "",
        f"{peak / 1e6:.0f} MB" if peak else "",
        target,
    )


def _ran(count: int, step: str, target: str, ran: Ran) -> Row:
    return _row(count, step, target, wall_s=ran.wall_s, cpu_s=ran.cpu_s, peak=ran.peak_bytes)


def main() -> None:
    asked = _arguments()
    rows = list[Row]()
    with quick_service() as service:
        for count in asked.sets:
            with tempfile.TemporaryDirectory(dir=asked.under) as place:
                rows += _library(Path(place), count, service, asked)
    print_table(HEAD, rows)


def _library(folder: Path, count: int, service: QuickService, asked: argparse.Namespace) -> list[Row]:
    draw_sets(folder / "sets", count)
    manifest = write_manifest(folder, "library", service, "sets/*", limits=LIMITS)
    rows = [planned(manifest, count)]
    shutil.rmtree(folder / "out-library", ignore_errors=True)
    rows += first_submission(manifest, count, service)
    shutil.rmtree(folder / "out-library")
    if asked.plan_only:
        return rows
    return [*rows, delivered(manifest, count, service), nothing_to_do(manifest, count, asked.rounds)]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--sets", type=int, nargs="+", default=[1_000, 10_000])
    parser.add_argument("--rounds", type=int, default=3, help="of the runs that find nothing to do")
    parser.add_argument("--plan-only", action="store_true", help="deliver nothing")
    parser.add_argument(
        "--under", type=Path, help="the folder for pictures and meshes; else the system's temporary one"
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
