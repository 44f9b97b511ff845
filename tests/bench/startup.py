"""How long one waits for ``mvmesh --help``, and from the start of ``mvmesh run`` to its first request:
python tests/bench/startup.py

Medians, and the shortest in brackets: the rest is whoever else uses the machine.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from rig import Ran, draw_sets, measured, middle, mvmesh, print_table, quick_service, write_manifest

SETS = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=10)
    asked = parser.parse_args()
    bare, helped, runs = list[Ran](), list[Ran](), list[Ran]()
    first, uploaded = list[float](), list[float]()
    with tempfile.TemporaryDirectory() as place, quick_service() as service:
        folder = Path(place)
        draw_sets(folder / "sets", SETS)
        for at in range(asked.rounds):
            bare.append(measured(sys.executable, "-c", "pass"))
            helped.append(mvmesh("--help"))
            service.reset()
            runs.append(ran := mvmesh("run", str(write_manifest(folder, f"run-{at}", service, "sets/*")), "--yes"))
            truth = service.truth()
            first.append(truth.began - ran.began)
            uploaded.append(truth.first["uploads"] - ran.began)
    rows = [
        ("python -c pass", _times([one.wall_s for one in bare]), _times([one.cpu_s for one in bare]), ""),
        ("mvmesh --help", _times([one.wall_s for one in helped]), _times([one.cpu_s for one in helped]), "0.2 s"),
        (f"mvmesh run, {SETS} sets: to its first request", _times(first), "", "0.6 s"),
        ("  to its first upload", _times(uploaded), "", ""),
        ("  to its end", _times([one.wall_s for one in runs]), _times([one.cpu_s for one in runs]), ""),
    ]
    print_table(("", "time", "CPU", "target"), rows)


def _times(seconds: list[float]) -> str:
    return f"{middle(seconds):.3f} s ({min(seconds):.3f})"


if __name__ == "__main__":
    main()
