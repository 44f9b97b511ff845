"""Measures what the README claims of the main job, and what one would use instead: python tests/bench/main_job.py

``--many``: a thousand sets on our own service alone, with what it was asked.
Medians of several runs, on this machine, with whatever else it does. Compiled kernels are loaded before the clock starts.
"""

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from base_install import size_bytes
from nights import KEY, SECRET, Night, Service, serving

from pipeline.domain.views import recognise
from pipeline.service.engine import EngineTask, make_mesh

BENCH = Path(__file__).parent
SAMPLES = sorted(path for path in (BENCH.parents[1] / "configs" / "quickstart").iterdir() if path.is_dir())
MVMESH = str(Path(sys.executable).with_name("mvmesh"))
FACE_COUNTS = (60_000, 100_000, 500_000)
FACE_COUNT = 60_000
ROUNDS = 3
MANY_SETS = 1_000
ENVIRON = {**os.environ, "SCENARIO_SDK_API_KEY": KEY, "SCENARIO_SDK_API_SECRET": SECRET}


def row(what: str, *values: str) -> None:
    print(f"{what:<48}" + "".join(f"{value:>16}" for value in values), flush=True)


def seconds(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def quietly(*command: str) -> None:
    subprocess.run(command, env=ENVIRON, check=True, capture_output=True)


def run(manifest: Path) -> None:
    quietly(MVMESH, "run", str(manifest), "--yes")


def write_manifest(folder: Path, name: str, *, backend: str) -> Path:
    """A manifest over the sample sets, with an output folder of its own name."""
    said = {
        "version": 1,
        "name": name,
        "backend": backend,
        "output": name,
        "defaults": {"faceCount": FACE_COUNT},
        "preflight": {"consistency": "skip"},  # nor does the script compare views
        "sets": [{"path": str(SAMPLES[0].parent / "*")}],
    }
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(said))
    return path


def engine_in_this_process(folder: Path) -> None:
    """Prints, for every face count, seconds and the process's peak memory in bytes; the smallest count comes first."""
    for face_count in (2_000, *FACE_COUNTS):
        with tempfile.TemporaryDirectory() as work:
            task = EngineTask(
                pictures={view: path for path in folder.iterdir() if (view := recognise(path.name))},
                face_count=face_count,
                textured=True,
                pbr=False,
                folder=Path(work),
                progress=Path(work, "progress"),
                threads=os.cpu_count() or 1,
            )
            print(json.dumps([seconds(lambda task=task: make_mesh(task)), peak_bytes()]))


def peak_bytes() -> int:
    """Of this process so far; 0 where the system does not tell."""
    if sys.platform == "win32":
        return 0
    import resource  # noqa: PLC0415 - POSIX has it

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def measure_engine() -> None:
    told = []
    for folder in SAMPLES:
        command = [sys.executable, __file__, "--engine", str(folder)]
        lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
        told.append([json.loads(line) for line in lines[1:]])  # the first one loaded the kernels
    row(f"engine, one set ({len(SAMPLES)} sample sets)", "seconds", "peak memory")
    for at, face_count in enumerate(FACE_COUNTS):
        took, peak = median(one[at][0] for one in told), max(one[at][1] for one in told)
        row(f"  {face_count:,} faces, textured", f"{took:.1f} s", f"{peak / 1e6:,.0f} MB")


def measure_embedded(folder: Path) -> None:
    manifests = [write_manifest(folder, f"embedded-{at}", backend="local") for at in range(ROUNDS)]
    took = median(seconds(lambda one=one: run(one)) for one in manifests)
    again = median(seconds(lambda one=one: run(one)) for one in manifests)
    row(
        f"mvmesh run, {len(SAMPLES)} sample sets, embedded service",
        f"{took:.1f} s",
        f"{len(SAMPLES) / took * 60:.0f} sets/min",
    )
    row("  again: nothing to do", f"{again:.2f} s")


def measure_many(folder: Path) -> None:
    log = folder / "many.log"
    with serving(folder / "many-service", workers=2, ceiling=50, log=str(log)) as service:
        night = Night(folder=folder / "many", service=service)
        night.folder.mkdir()
        night.prepare(sets=MANY_SETS)
        took, requests, looks = _counted(log, lambda: run(night.manifest))
        again = median(seconds(lambda: run(night.manifest)) for _ in range(ROUNDS))
    row(
        f"mvmesh run, {MANY_SETS:,} sets, an engine that costs nothing",
        f"{took:.1f} s",
        f"{MANY_SETS / took * 60:,.0f} sets/min",
    )
    row("  requests; of them looks at jobs, a second", f"{requests:,}", f"{looks:,}", f"{looks / took:.2f}")
    row("  again: nothing to do", f"{again:.2f} s")


def measure_small_things() -> None:
    took = median(seconds(lambda: quietly(MVMESH, "--help")) for _ in range(5))
    row("mvmesh --help", f"{took:.2f} s")
    row("base install, without compiled byte code", f"{size_bytes() / 1e6:.0f} MB")


def measure_beside_sdk(folder: Path) -> None:
    """The same service, warm, and the same sets: a script on the official client, and ``mvmesh run``."""
    log = folder / "answers.log"
    setup = {"engine": None, "workers": None, "ceiling": None, "prices": {}, "log": str(log)}
    with serving(folder / "real-service", **setup) as service:
        _sdk_script(service, folder / "warm")
        log.unlink()
        scripted = [_counted(log, lambda at=at: _sdk_script(service, folder / f"sdk-{at}")) for at in range(ROUNDS)]
        manifests = [write_manifest(folder, f"ours-{at}", backend=service.url) for at in range(ROUNDS)]
        ours = [_counted(log, lambda one=one: run(one)) for one in manifests]
    row(f"{len(SAMPLES)} sample sets on one warm service", "mvmesh run", "SDK script")
    for what, at, unit in (("makespan", 0, " s"), ("requests", 1, ""), ("  of them looks at jobs", 2, "")):
        values = (median(one[at] for one in measured) for measured in (ours, scripted))
        row(f"  {what}", *(f"{value:.{1 if unit else 0}f}{unit}" for value in values))


def _sdk_script(service: Service, out: Path) -> None:
    out.mkdir()
    script, folders = str(BENCH / "sdk_script.py"), [str(folder) for folder in SAMPLES]
    quietly(sys.executable, script, "threads", service.url, str(FACE_COUNT), str(len(SAMPLES)), str(out), *folders)


def _counted(log: Path, call: Callable[[], None]) -> tuple[float, int, int]:
    """Seconds, requests, requests that look at jobs."""
    took = seconds(call)
    lines = log.read_text().splitlines()
    log.unlink()
    return took, len(lines), sum(" GET /v1/jobs" in line for line in lines)


def main(arguments: Sequence[str]) -> None:
    if arguments[:1] == ["--engine"]:
        engine_in_this_process(Path(arguments[1]))
        return
    print(f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors, Python {platform.python_version()}")
    with tempfile.TemporaryDirectory() as folder:
        if arguments == ["--many"]:
            measure_many(Path(folder))
            return
        measure_small_things()
        measure_engine()
        measure_embedded(Path(folder))
        measure_beside_sdk(Path(folder))
        measure_many(Path(folder))


if __name__ == "__main__":
    main(sys.argv[1:])
