"""80 ms on every answer: what does it cost? python tests/bench/latency.py

The same sets and durations with and without, in turns; from the first request to the last byte of the last mesh. With
``--mean 0`` the jobs end at once, and the way of one set is all latency: so many answers, waited for in so many slots, take
so long whatever a client does. That bound stands beside what was measured (the widest of uploads, submissions, downloads, and
the way of the last set); it falls with ``--uploads``, ``--at-once``, ``--downloads``.
"""

import argparse
import tempfile
from pathlib import Path

from rig import Truth, baseline, draw_sets, middle, mvmesh, print_table, quick_service, write_manifest


def main() -> None:
    asked = _arguments()
    found: dict[tuple[str, float], list[Truth]] = {}
    with tempfile.TemporaryDirectory() as place, quick_service() as service:
        folder = Path(place)
        sets = draw_sets(folder / "sets", asked.sets)
        limits = {"in_flight": asked.at_once, "uploads": asked.uploads, "downloads": asked.downloads}
        for at in range(asked.rounds):
            for way in ("run", *asked.scripts):
                for latency_s in (0.0, asked.latency):
                    name = f"{way}-{at}-{latency_s:g}"
                    service.reset(mean_s=asked.mean, sigma=0.5, seed=at, latency_s=latency_s)
                    if way == "run":
                        mvmesh("run", str(write_manifest(folder, name, service, "sets/*", limits=limits)), "--yes")
                    else:
                        baseline(way, service, sets, folder / name, at_once=asked.at_once)
                    found.setdefault((way, latency_s), []).append(service.truth())
    print(
        f"{asked.sets} sets, {asked.at_once} at once, jobs of {asked.mean:g} s on average, {asked.uploads} uploads and "
    )
    print(f"{asked.downloads} downloads at once; medians of {asked.rounds} rounds\n")
    rows = []
    for way in ("run", *asked.scripts):
        without, with_it = ([_took_s(one) for one in found[way, latency]] for latency in (0.0, asked.latency))
        ratio = middle(slow / quick for quick, slow in zip(without, with_it, strict=True))
        least = middle(_least_s(one, asked) for one in found[way, asked.latency])
        bound = middle(max(least / quick, 1.0) for quick in without)
        rows.append(
            (
                way,
                f"{middle(without):.2f} s",
                f"{middle(with_it):.2f} s",
                f"{least:.2f} s",
                f"{ratio:.3f}",
                f"{bound:.3f}",
            )
        )
    head = ("", "without", f"{asked.latency * 1000:.0f} ms on every answer", "slots allow", "ratio", "slots allow")
    print_table(head, [*rows, ("target", "", "", "", "1.10", "")])


WAY = 6
"""Answers on the way of one set, one after the other: limits, picture, job, job's end, URL, mesh."""


def _least_s(truth: Truth, asked: argparse.Namespace) -> float:
    """What the answers take that are waited for in slots, jobs apart."""
    slots = {"uploads": asked.uploads, "generates": asked.at_once, "downloads": asked.downloads}
    widest = max(truth.counts.get(kind, 0) / count for kind, count in slots.items())
    return float(asked.latency * (widest + WAY))


def _took_s(truth: Truth) -> float:
    assert truth.fetched_count == len(truth.created), truth.counts
    return max(truth.fetched) - truth.began


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--sets", type=int, default=320)
    parser.add_argument("--at-once", type=int, default=32)
    parser.add_argument("--uploads", type=int, default=32)
    parser.add_argument("--downloads", type=int, default=32)
    parser.add_argument("--mean", type=float, default=2.0, help="of the jobs' durations, in seconds")
    parser.add_argument("--latency", type=float, default=0.08, help="seconds")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--scripts", nargs="*", default=[])
    return parser.parse_args()


if __name__ == "__main__":
    main()
