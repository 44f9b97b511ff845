"""Jobs that take a while in 32 slots: is the service ever idle, and how often is it asked? python tests/bench/slots.py

The ways take turns within each round, on the same durations; a table of medians. The makespan goes from the first job's
submission to the last byte of the last mesh; ideal is a list schedule of the same jobs in the same order, in which each
begins the moment a slot is free. The lag goes from a job's end to the answer that tells it. In real time: a round takes minutes.
"""

import argparse
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from rig import QuickService, Truth, baseline, draw_sets, middle, mvmesh, print_table, quick_service, write_manifest

TARGET = ("target", "1.06", "0.30 s", "0.60", "", "")


def run(folder: Path, service: QuickService, name: str) -> float:
    """CPU seconds."""
    ran = mvmesh("run", str(write_manifest(folder, name, service, "sets/*")), "--yes")
    assert ran.code == 0, ran.code
    return ran.cpu_s


def script(way: str, slots: int, folder: Path, service: QuickService, name: str) -> float:
    told = baseline(way, service, folder / "sets", folder / name, at_once=slots, poll_s=3.0)
    return float(told["cpu_s"])


def main() -> None:
    asked = _arguments()
    ways: dict[str, Callable[[Path, QuickService, str], float]] = {
        "run": run,
        **{way: partial(script, way, asked.slots) for way in asked.scripts},
    }
    found: dict[str, list[tuple[Truth, float]]] = {way: [] for way in ways}
    with tempfile.TemporaryDirectory() as place, quick_service() as service:
        folder = Path(place)
        draw_sets(folder / "sets", asked.sets)
        for at in range(asked.rounds):
            for way, measure in ways.items():
                service.reset(mean_s=asked.mean, sigma=asked.sigma, seed=at, ceiling=asked.slots)
                cpu_s = measure(folder, service, f"{way}-{at}")
                found[way].append((service.truth(), cpu_s))
    print(f"{asked.sets} jobs, lognormal, {asked.mean:g} s on average (sigma {asked.sigma:g}), {asked.slots} slots")
    print(f"medians of {asked.rounds} rounds\n")
    head = ("", "makespan / ideal", "mean lag", "status requests a job", "429s", "CPU a set")
    print_table(head, [*(_row(way, measures, asked.slots) for way, measures in found.items()), TARGET])


def _row(way: str, measures: list[tuple[Truth, float]], slots: int) -> tuple[str, ...]:
    return (
        way,
        f"{middle(one.makespan_s / one.ideal_s(slots) for one, _ in measures):.3f}",
        f"{middle(one.lag_s for one, _ in measures):.2f} s",
        f"{middle(one.looks for one, _ in measures):.2f}",
        f"{middle(len(one.refused) for one, _ in measures):.0f}",
        f"{middle(cpu_s / len(one.created) * 1000 for one, cpu_s in measures):.1f} ms",
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--sets", type=int, default=320)
    parser.add_argument("--slots", type=int, default=32)
    parser.add_argument("--mean", type=float, default=5.0, help="seconds")
    parser.add_argument("--sigma", type=float, default=0.5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--scripts", nargs="*", default=["threads", "gather", "aiohttp"])
    return parser.parse_args()


if __name__ == "__main__":
    main()
