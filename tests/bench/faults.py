"""What ordinary faults of a service cost, by the way one works: python tests/bench/faults.py --sets 200 --seed 1

Every way has a service of its own with the same faults, decided by the seed: ``mvmesh run`` (run again until all is done)
and two scripts on the official client (``sdk_script.py``). Prints a table in Markdown.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from fault_plan import ORDINARY, Kind
from fault_toll import Toll, toll_of

WAYS = {"run": "`mvmesh run`", "threads": "official client, threads", "gather": "official client, gather"}
ROWS: dict[str, Callable[[Toll], str]] = {
    "sets finished": lambda toll: f"{toll.finished} of {toll.sets}",
    "jobs charged": lambda toll: f"{toll.charged}",
    "  charged twice": lambda toll: f"{toll.extra}",
    "broken files left as meshes": lambda toll: f"{toll.broken}",
    "paid meshes never had": lambda toll: f"{toll.never_fetched}",
    "pictures uploaded again": lambda toll: f"{toll.uploads_twice}",
    "requests": lambda toll: f"{toll.requests:,}",
    "runs": lambda toll: f"{toll.runs}",
    "time": lambda toll: f"{toll.wall_s:,.0f} s",
}


def main() -> None:
    asked = _arguments()
    plan = replace(ORDINARY, seed=asked.seed)
    print(f"{asked.sets} sets of four views, seed {asked.seed}. The faults, in shares of the requests and of the jobs:")
    for kind in (Kind.GENERATE, Kind.FILE):
        shares = ", ".join(f"{fault} {share:.1%}" for fault, share in plan.requests[kind].items())
        print(f"  {'downloads' if kind is Kind.FILE else 'all other requests'}: {shares}")
    print(f"  jobs: {', '.join(f'{fate} {share:.0%}' for fate, share in plan.jobs.items())}")
    with tempfile.TemporaryDirectory() as folder:
        tolls = [toll_of(way, Path(folder, way), plan, sets=asked.sets, hurry=asked.hurry) for way in WAYS]
    print(f"\n| | {' | '.join(WAYS.values())} |\n|---|{'---|' * len(WAYS)}")
    for what, tell in ROWS.items():
        print(f"| {what} | {' | '.join(map(tell, tolls))} |")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--sets", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--hurry", type=float, default=1.0, help="how many times as fast time passes for all of them")
    return parser.parse_args()


if __name__ == "__main__":
    main()
