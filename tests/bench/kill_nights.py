"""Nights with seeds: runs that die, a service with faults that dies, too, and what must hold in the morning.

    python tests/bench/kill_nights.py --seeds 20            20 nights, a line each
    python tests/bench/kill_nights.py --first 1017 --seeds 1 --keep FOLDER    one of them again; its files stay

Ends with 1 if any night violated a promise.
"""

import argparse
import math
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Self

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from fault_plan import UNLUCKY, FaultPlan, evenly
from nights import DISTURBED, KILLED, TROUBLED, Death, Night, Violation, serving

from pipeline.cli.exit_codes import ExitCode
from pipeline.domain.lifecycle import Event

EFFECTS = 60
"""A run over a few sets has about as many."""
HURRY = 60.0
"""Half an hour takes half a minute."""
SETTLE_S = 180.0
"""Within so long (three real seconds) a job is made, if it is ever, by a request that has arrived."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """What befalls one run."""

    death: Death | None
    service_dies_after_s: float | None

    @classmethod
    def of(cls, chance: Random) -> Self:
        delay_s = chance.choice([0.0, chance.uniform(0, 0.03), chance.uniform(0, 0.6)])
        at_move = Death(event=chance.choice(list(Event)), moment=chance.choice(["before", "after"]), delay_s=delay_s)
        at_effect = Death(effect=chance.randint(1, EFFECTS), delay_s=delay_s)
        death = chance.choices([at_move, at_effect, None], weights=[6, 6, 1])[0]
        service_too = death is None or chance.random() < 0.3
        return cls(death=death, service_dies_after_s=chance.uniform(0.1, 2.0) if service_too else None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """What a seed brings: the sets, and how run after run is disturbed until all is done."""

    sets: int
    twins: int
    doubled: int
    workers: int
    ceiling: int
    in_flight: int | str
    faults: FaultPlan
    troubles: tuple[Trouble, ...]

    @classmethod
    def of(cls, seed: int) -> Self:
        chance = Random(seed)
        return cls(
            sets=chance.randint(6, 16),
            twins=chance.randint(0, 2),
            doubled=chance.randint(0, 2),
            workers=chance.randint(1, 2),
            ceiling=chance.randint(1, 6),
            in_flight=chance.choice(["auto", 1, 3, 8]),
            faults=_faults(seed, chance),
            troubles=tuple(Trouble.of(chance) for _ in range(chance.randint(3, 10))),
        )


def _faults(seed: int, chance: Random) -> FaultPlan:
    """From none to a service that hardly works."""
    share = chance.choice([0.0, 0.05, 0.2, 0.35])
    return FaultPlan(
        seed=seed,
        requests=evenly(share),
        jobs=dict.fromkeys(UNLUCKY, share / 2),
        lag_s=chance.choice([0.0, 0.0, chance.uniform(0, 60), chance.uniform(0, 1800)]),
        skew_s=chance.choice([0.0, chance.uniform(-5, 5), chance.uniform(-600, 600), chance.uniform(-40_000, 40_000)]),
        hang_s=chance.uniform(10, 300),
        overdue_s=chance.uniform(0, 90),
        late_s=chance.uniform(0, 100),
    )


def spend(seed: int, folder: Path) -> str:
    """One night; what to say of it.

    Raises:
        Violation: a promise is broken.
    """
    script = Script.of(seed)
    setup = {"workers": script.workers, "ceiling": script.ceiling, "faults": script.faults, "hurry": HURRY}
    with serving(folder / "service", **setup) as service:
        night = Night(folder=folder, service=service)
        night.prepare(
            sets=script.sets,
            twins=script.twins,
            doubled=script.doubled,
            limits={"in_flight": script.in_flight},
            uncertain={
                "settle": f"{SETTLE_S:g}s",
                "believe_after": f"{math.ceil(script.faults.lag_s + SETTLE_S)}s",
            },
        )
        deaths = _disturbed_runs(night, script.troubles)
        night.finish()
        night.check()
        return f"{night.items:2} items, {deaths:2} runs and {service.deaths} services died, {night.runs:2} runs in all"


def _disturbed_runs(night: Night, troubles: Iterable[Trouble]) -> int:
    """How many runs died."""
    deaths = 0
    for trouble in troubles:
        code = night.run(trouble.death, service_dies_after_s=trouble.service_dies_after_s)
        if code not in DISTURBED | TROUBLED:
            raise Violation(f"run {night.runs} ended with {code}; {trouble}")
        if code == ExitCode.OK:
            break
        deaths += code == KILLED
    return deaths


def main() -> int:
    asked = _arguments()
    broken = []
    for seed in range(asked.first, asked.first + asked.seeds):
        began = time.monotonic()
        with _folder(asked.keep, seed) as folder:
            try:
                told = f"ok    {spend(seed, folder)}"
            except Violation as violation:
                broken.append(seed)
                told = f"WRONG {violation}"
        print(f"seed {seed}: {told}, {time.monotonic() - began:.0f} s", flush=True)
    print(f"{asked.seeds} nights, {len(broken)} with violated promises")
    for seed in broken:
        print(f"again: python tests/bench/kill_nights.py --first {seed} --seeds 1 --keep FOLDER")
    return 1 if broken else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=5, help="how many nights")
    parser.add_argument("--first", type=int, default=1, help="the first one's seed")
    parser.add_argument("--keep", type=Path, help="where the nights' files stay, a folder each")
    return parser.parse_args()


@contextmanager
def _folder(keep: Path | None, seed: int) -> Iterator[Path]:
    if keep is None:
        with tempfile.TemporaryDirectory() as folder:
            yield Path(folder)
    else:
        folder = keep / f"seed-{seed}"
        folder.mkdir(parents=True)
        yield folder


if __name__ == "__main__":
    sys.exit(main())
