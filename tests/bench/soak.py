"""Ten thousand nights in virtual time: sets, service, network, disk and crashes as a seed brings them.

    python tests/bench/soak.py --seeds 10000                     all promises of all these nights
    python tests/bench/soak.py --first 1017 --seeds 1 --trace    one night again, every step of it

Ends with 1 if any night violated a promise. A seed means the same night on every machine, as long as code and
simulation are the same.
"""

import argparse
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from simulation.night import Night, spend
from simulation.script import Script

TOLD_EVERY_S = 10.0
LAST_WORDS = 25
"""Lines of a violated night's story that are printed without being asked for."""


def night_of(seed: int) -> tuple[Night, str]:
    """The night, and the promise that it violated, if any."""
    with tempfile.TemporaryDirectory(dir=_memory()) as folder:
        night, violation = spend(Script.of(seed), Path(folder))
    return night, str(violation or "")


def _memory() -> Path | None:
    """Pictures are real files: in memory, where the system has such a folder."""
    shm = Path("/dev/shm")
    return shm if shm.is_dir() else None


def told(seed: int) -> tuple[int, str]:
    """What to print of the night; nothing of one that kept all promises."""
    night, violated = night_of(seed)
    if not violated:
        return seed, ""
    lines = [f"seed {seed}: {violated}", f"  {unusual(night.script)}", *compact(night)[-LAST_WORDS:]]
    return seed, "\n  ".join([*lines, f"again: python tests/bench/soak.py --first {seed} --seeds 1 --trace"])


def unusual(value: Any) -> str:
    """What of a script is not as it usually is."""
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(unusual, value))}]"
    if not is_dataclass(value):
        return repr(value)
    said = {one.name: getattr(value, one.name) for one in fields(value) if getattr(value, one.name) != one.default}
    return f"{type(value).__name__}({', '.join(f'{name}={unusual(one)}' for name, one in said.items())})"


def compact(night: Night) -> list[str]:
    """The story without what every step repeats."""
    return [line for line in story(night) if not any(word in line for word in (" disk: ", " ledger: ", " list"))]


def story(night: Night) -> list[str]:
    return [f"{at:10.2f} run {run}  {what}" for at, run, what in night.story]


def main() -> int:
    asked = _arguments()
    if asked.trace:
        night, violated = night_of(asked.first)
        print(unusual(night.script), *story(night), violated or "all promises were kept", sep="\n")
        return 1 if violated else 0
    began, told_at, broken = time.monotonic(), 0.0, []
    for done, (seed, violation) in enumerate(_all_of(asked.first, asked.seeds, asked.processes), start=1):
        if violation:
            broken.append(seed)
            print(violation, flush=True)
        passed_s = time.monotonic() - began
        if passed_s - told_at > TOLD_EVERY_S:
            told_at = passed_s
            print(f"{done} nights, {len(broken)} with violated promises, {done / passed_s:.0f} a second", flush=True)
    print(
        f"{asked.seeds} nights in {time.monotonic() - began:.0f} s, {len(broken)} with violated promises {broken or ''}"
    )
    return 1 if broken else 0


def _all_of(first: int, count: int, processes: int) -> Iterator[tuple[int, str]]:
    seeds = range(first, first + count)
    if processes == 1:
        yield from map(told, seeds)
        return
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        yield from pool.imap_unordered(told, seeds, chunksize=8)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=1000, help="how many nights")
    parser.add_argument("--first", type=int, default=1, help="the first one's seed")
    parser.add_argument("--processes", type=int, default=1, help="how many nights at a time")
    parser.add_argument("--trace", action="store_true", help="print every step of the first night")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
