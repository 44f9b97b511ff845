"""What a service's faults cost a user: ``mvmesh run`` and scripts on the official client, on the same faults."""

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from fault_plan import Fate, FaultPlan
from nights import FACE_COUNT, KEY, SECRET, Night, serving

from pipeline.cli.exit_codes import ExitCode

SCRIPT = Path(__file__).parent / "bench" / "sdk_script.py"
VIEWS = ("front", "left", "back", "right")
IN_FLIGHT = 8
BELIEVE_AFTER_S = 600.0
MOST_RUNS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Toll:
    """Counts of one way of working over so many image sets."""

    sets: int
    finished: int
    """Sets whose mesh is there, byte for byte."""
    broken: int
    """Files that stand where a mesh should and are none, or not the one."""
    charged: int
    """Jobs that were paid: all but the refunded ones."""
    extra: int
    """Jobs that were paid for a set beyond its first."""
    never_fetched: int
    """Sets that were paid and have no whole mesh."""
    uploads_twice: int
    """Uploads of a picture that the service had already."""
    requests: int
    runs: int
    wall_s: float
    """Of the runs together, in seconds of the world that they lived in."""

    @classmethod
    def of(cls, night: Night, found: Callable[[str], Path], *, runs: int, wall_s: float) -> Self:
        """``found`` names the file that should be the mesh of a set."""
        truth = night.service.truth()
        paid = Counter(job["content"] for job in truth["jobs"] if job["fate"] != Fate.FAILS)
        files = {name: found(name) for name in night.labels}
        there = {name for name, file in files.items() if file.exists()}
        whole = {name for name in there if files[name].read_bytes() == night.ordered(name)}
        return cls(
            sets=night.items,
            finished=len(whole),
            broken=len(there - whole),
            charged=paid.total(),
            extra=paid.total() - len(paid),
            never_fetched=len(paid) - len(whole),
            uploads_twice=sum(truth["uploads"].values()) - len(truth["uploads"]),
            requests=sum(truth["requests"].values()),
            runs=runs,
            wall_s=wall_s,
        )


def toll_of(way: str, folder: Path, plan: FaultPlan, *, sets: int, hurry: float) -> Toll:
    """Of ``run`` (again until all is done), or of the script with ``threads`` or ``gather``, on a service of its own."""
    folder.mkdir()
    setup: dict[str, Any] = {"faults": plan, "hurry": hurry, "ceiling": IN_FLIGHT, "workers": 2}
    with serving(folder / "service", **setup) as service:
        night = Night(folder=folder, service=service, views=VIEWS, longest_run_s=3600.0)
        night.prepare(sets=sets, uncertain={"settle": "60s", "believe_after": f"{BELIEVE_AFTER_S:g}s"})
        took_s = _run_until_done(night) if way == "run" else [_run_script(way, night)]
        place = "out/meshes/{0}/{0}.glb" if way == "run" else "out/{0}.glb"
        wall_s = sum(took_s) * hurry
        return Toll.of(night, lambda name: folder / place.format(name), runs=len(took_s), wall_s=wall_s)


def _run_until_done(night: Night) -> list[float]:
    """Run after run, as a schedule would; how long each of them took."""
    took_s: list[float] = []
    for _ in range(MOST_RUNS):
        began = time.monotonic()
        code = night.run()
        took_s.append(time.monotonic() - began)
        if code == ExitCode.OK:
            break
        time.sleep(night.service.clock.real_s(BELIEVE_AFTER_S / 2))  # noqa: TID251 - until the next one is due
    return took_s


def _run_script(way: str, night: Night) -> float:
    night.output.mkdir()
    began = time.monotonic()
    said = [way, night.service.url, str(FACE_COUNT), str(IN_FLIGHT), str(night.output)]
    access = {"SCENARIO_SDK_API_KEY": KEY, "SCENARIO_SDK_API_SECRET": SECRET}
    with (night.folder / "script.log").open("wb") as log:
        subprocess.run(
            [sys.executable, str(SCRIPT), *said, *map(str, night.labels.values())],
            env={**os.environ, **access, "MVMESH_TEST_HURRY": str(night.service.clock.times)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            check=True,
        )
    return time.monotonic() - began
