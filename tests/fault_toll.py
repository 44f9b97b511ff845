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
MOST_RUNS = 30


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
    """In seconds of the world that all of them lived in."""

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
        night.prepare(sets=sets, uncertain={"settle": "60s", "believe_after": "10m"})
        began = time.monotonic()
        runs = _run_until_done(night) if way == "run" else _run_script(way, night)
        wall_s = (time.monotonic() - began) * hurry
        place = "out/meshes/{0}/{0}.glb" if way == "run" else "out/{0}.glb"
        return Toll.of(night, lambda name: folder / place.format(name), runs=runs, wall_s=wall_s)


def _run_until_done(night: Night) -> int:
    for at in range(MOST_RUNS):
        if night.run() == ExitCode.OK:
            return at + 1
    return MOST_RUNS


def _run_script(way: str, night: Night) -> int:
    night.output.mkdir()
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
    return 1
