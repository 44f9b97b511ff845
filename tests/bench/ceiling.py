"""A ceiling that the service does not tell: who finishes, and how often is refused? python tests/bench/ceiling.py

Three hundred sets, 20 jobs at the service at most; ``mvmesh run`` has to learn that, the scripts hold 32 in flight. A 429 is
repeated at once if the same submission was refused less than a second before.
"""

import argparse
import tempfile
from pathlib import Path

from rig import Truth, baseline, draw_sets, middle, mvmesh, print_table, quick_service, write_manifest

TARGET = ("target", "all", "a handful", "0", "", "", "0")


def main() -> None:
    asked = _arguments()
    found: dict[str, list[Truth]] = {way: [] for way in ("run", *asked.scripts)}
    with tempfile.TemporaryDirectory() as place, quick_service() as service:
        folder = Path(place)
        sets = draw_sets(folder / "sets", asked.sets)
        for at in range(asked.rounds):
            for way, truths in found.items():
                service.reset(mean_s=asked.mean, sigma=0.5, seed=at, ceiling=asked.ceiling, tells_ceiling=False)
                if way == "run":
                    mvmesh("run", str(write_manifest(folder, f"run-{at}", service, "sets/*")), "--yes")
                else:
                    baseline(way, service, sets, folder / f"{way}-{at}", at_once=asked.at_once)
                truths.append(service.truth())
    print(f"{asked.sets} sets, jobs of {asked.mean:g} s on average, a ceiling of {asked.ceiling} that is not told")
    print(f"medians of {asked.rounds} rounds\n")
    head = ("", "meshes fetched", "429s", "repeated at once", "makespan / ideal", "status requests a job", "made twice")
    print_table(head, [*(_row(way, truths) for way, truths in found.items()), TARGET])


def _row(way: str, truths: list[Truth]) -> tuple[str, ...]:
    ceiling = truths[0].behaviour["ceiling"]
    return (
        way,
        f"{middle(one.fetched_count for one in truths):.0f}",
        f"{middle(len(one.refused) for one in truths):.0f}",
        f"{middle(one.repeated_at_once() for one in truths):.0f}",
        f"{middle(one.makespan_s / one.ideal_s(ceiling) for one in truths):.2f}",
        f"{middle(one.looks for one in truths):.2f}",
        f"{max(one.made_twice for one in truths)}",
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--sets", type=int, default=300)
    parser.add_argument("--ceiling", type=int, default=20)
    parser.add_argument("--at-once", type=int, default=32, help="of the scripts")
    parser.add_argument("--mean", type=float, default=5.0, help="of the jobs' durations, in seconds")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--scripts", nargs="*", default=["threads", "gather", "aiohttp"])
    return parser.parse_args()


if __name__ == "__main__":
    main()
