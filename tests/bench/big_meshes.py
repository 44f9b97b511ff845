"""Big meshes: memory, and throughput beside curl's. python tests/bench/big_meshes.py --mb 4 64

All jobs end at one moment, so that nothing but downloads is left to do; then curl fetches the same files from the same
service to the same file system, as many at once. What curl leaves out is named beside it: the bytes on the disk (fsync) and
their SHA-256. Between the two stands a bare aiohttp loop (``bare_downloads.py``): as curl does it, with the hash, and with hash
and fsync, which is what Python and the disk leave to be had. Memory is the peak of the one process that downloads. The official client's scripts hold whole meshes: their
peak stands below.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from rig import (
    BENCH,
    QuickService,
    Ran,
    Truth,
    baseline,
    draw_sets,
    measured,
    middle,
    mvmesh,
    print_table,
    quick_service,
    write_manifest,
)

MB = 1_000_000
BARE = {"bare aiohttp": (), "bare aiohttp, hash": ("hash",), "bare aiohttp, hash, fsync": ("hash", "sync")}
SETS_MIN = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetch:
    """One way of getting so many files, once."""

    mb_s: float
    cpu_s_gb: float
    peak_mb: float


class Bench:
    def __init__(self, folder: Path, service: QuickService, count: int) -> None:
        self.folder = folder
        self.service = service
        self.sets = draw_sets(folder / "sets", count)
        self.count = count

    def run(self, mesh_bytes: int, downloads: int) -> Fetch:
        """From the first request for a mesh to the last byte of the last; the CPU is the whole run's."""
        self.service.reset(mesh_bytes=mesh_bytes, all_end_with=self.count)
        limits = {"in_flight": self.count, "uploads": 32, "downloads": downloads}
        manifest = write_manifest(self.folder, "run", self.service, "sets/*", limits=limits)
        ran = mvmesh("run", str(manifest), "--yes")
        truth = self.service.truth()
        assert ran.code == 0, ran.code
        assert truth.fetched_count == self.count, truth.counts
        shutil.rmtree(self.folder / "out-run")
        return _fetch(truth, max(truth.fetched) - min(truth.asked), ran)

    def curl(self, at_once: int, *, is_synced: bool) -> Fetch:
        """What the last run has left at the service."""
        out = self.folder / "curl"
        out.mkdir()
        config = self.folder / "curl.txt"
        config.write_text("".join(f"url={url}\noutput={out}/{at}.glb\n" for at, url in enumerate(self.urls())))
        command = ("curl", "--silent", "--parallel", "--parallel-immediate", "--parallel-max", str(at_once))
        ran = measured(*command, "--config", str(config))
        took_s = ran.wall_s + (_sync(out) if is_synced else 0.0)
        shutil.rmtree(out)
        return _fetch(self.service.truth(), took_s, ran)

    def urls(self) -> list[str]:
        origin = self.service.url.removesuffix("/v1")
        return [f"{origin}/files/mesh_{at}" for at in range(self.count)]

    def bare(self, at_once: int, extras: tuple[str, ...]) -> Fetch:
        """The same files."""
        out, urls = self.folder / "bare", self.folder / "urls.txt"
        out.mkdir()
        urls.write_text("\n".join(self.urls()))
        ran = measured(sys.executable, str(BENCH / "bare_downloads.py"), str(urls), str(at_once), str(out), *extras)
        assert ran.code == 0, ran.code
        shutil.rmtree(out)
        return _told(self.service.truth(), json.loads(ran.out))

    def script(self, way: str, mesh_bytes: int) -> Fetch:
        """The whole script, its jobs end at once."""
        self.service.reset(mesh_bytes=mesh_bytes)
        out = self.folder / "script"
        told = baseline(way, self.service, self.sets, out, at_once=32, poll_s=0)
        shutil.rmtree(out)
        return _told(self.service.truth(), told)


def _sync(folder: Path) -> float:
    began = time.time()
    for path in folder.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())
    return time.time() - began


def _told(truth: Truth, told: dict[str, float]) -> Fetch:
    """What a script says of itself."""
    peak_bytes = int(told["peak_bytes"])
    ran = Ran(code=0, began=0, wall_s=told["wall_s"], cpu_s=told["cpu_s"], peak_bytes=peak_bytes, out="")
    return _fetch(truth, told["wall_s"], ran)


def _fetch(truth: Truth, took_s: float, ran: Ran) -> Fetch:
    total = truth.mesh_bytes * len(truth.created)
    return Fetch(mb_s=total / MB / took_s, cpu_s_gb=ran.cpu_s / total * 1e9, peak_mb=ran.peak_bytes / MB)


def main() -> None:
    asked = _arguments()
    rows = list[tuple[str, ...]]()
    with quick_service() as service:
        for mb in asked.mb:
            with tempfile.TemporaryDirectory(dir=asked.under) as place:
                count = max(asked.total_mb // mb, SETS_MIN)
                rows += _rows(Bench(Path(place), service, count), mb, asked)
    print(f"Medians of {asked.rounds} rounds\n")
    head = ("", "MB/s", "of curl's (target 0.8)", "of curl's with fsync", "CPU a GB", "peak RSS (target 150 MB)")
    print_table(head, rows)


def _rows(bench: Bench, mb: int, asked: argparse.Namespace) -> list[tuple[str, ...]]:
    rows = []
    for downloads in asked.downloads:
        runs, curls, synced = list[Fetch](), list[Fetch](), list[Fetch]()
        bare: dict[str, list[Fetch]] = {name: [] for name in BARE}
        for _ in range(asked.rounds):
            runs.append(bench.run(mb * MB, downloads))
            curls.append(bench.curl(downloads, is_synced=False))
            synced.append(bench.curl(downloads, is_synced=True))
            for name, extras in BARE.items():
                bare[name].append(bench.bare(downloads, extras))
        for name, fetches in {"run": runs, **bare, "curl": curls, "curl, fsync": synced}.items():
            rows.append(_row(f"{name}, {bench.count} of {mb} MB, {downloads} at once", fetches, curls, synced))
    for way in asked.scripts:
        whole = [bench.script(way, mb * MB) for _ in range(asked.rounds)]
        rows.append(_row(f"{way}, {mb} MB, whole script", whole))
    return rows


def _row(
    what: str, fetches: list[Fetch], curls: list[Fetch] | None = None, synced: list[Fetch] | None = None
) -> tuple[str, ...]:
    shares = []
    for others in (curls, synced):
        pairs = zip(fetches, others or (), strict=False)
        shares.append(f"{middle(one.mb_s / other.mb_s for one, other in pairs):.2f}" if others else "")
    return (
        what,
        f"{middle(one.mb_s for one in fetches):,.0f}",
        *shares,
        f"{middle(one.cpu_s_gb for one in fetches):.2f} s",
        f"{max(one.peak_mb for one in fetches):.0f} MB",
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--mb", type=int, nargs="+", default=[4, 64])
    parser.add_argument("--total-mb", type=int, default=1_000, help="of meshes of each size; 32 of them at least")
    parser.add_argument("--downloads", type=int, nargs="+", default=[4, 32], help="at once: limits.downloads")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--scripts", nargs="*", default=["threads", "gather", "aiohttp"])
    parser.add_argument(
        "--under", type=Path, help="the folder for pictures and meshes; else the system's temporary one"
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
