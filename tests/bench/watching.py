"""The watcher alone, in virtual time, where many jobs end: python tests/bench/watching.py

Slots that are filled again at once; two requests a second; a page of the list has a hundred jobs, and jobs that have just begun
stand on it, too. Some lists show a seventh of all ends late.
"""

import sys
from pathlib import Path

import anyio

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from busy_service import BusyService, keep_busy, lognormal_s
from rig import print_table
from simulated_ports import virtual_now, virtual_time

from pipeline.domain.durations import Durations
from pipeline.stages.watch import Watcher

JOBS, KNOWN = 6_000, 300
CASES = ((32, 5.0, 0.0), (50, 1.0, 0.0), (100, 1.0, 0.0), (100, 1.0, 0.2), (100, 1.0, 1.5), (200, 1.0, 0.0))
"""Slots, mean of the durations, how late some ends are shown; seconds."""


async def measured(slots: int, mean_s: float, late_s: float) -> tuple[str, ...]:
    service = BusyService(late_s=lambda number: late_s if number % 7 == 0 else 0.0)
    durations = Durations(({}, one) for one in lognormal_s(mean_s, KNOWN, seed=9))
    watcher = Watcher(service, now=virtual_now, durations=durations)  # type: ignore[arg-type]  # all that it asks
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watcher.run)
        found = await keep_busy(watcher, service, lognormal_s(mean_s, JOBS), slots=slots)
        tasks.cancel_scope.cancel()
    return (
        f"{slots} slots, {mean_s:g} s jobs" + (f", one in seven shown {late_s:g} s late" if late_s else ""),
        f"{found.ratio:.2f}",
        f"{found.mean_lag_s:.2f} s",
        f"{max(found.lags_s):.1f} s",
        f"{found.requests_a_job:.3f}",
    )


def main() -> None:
    backend, options = virtual_time()
    rows = [anyio.run(measured, *case, backend=backend, backend_options=options) for case in CASES]
    print_table(("", "makespan / ideal", "mean lag", "longest", "status requests a job"), rows)


if __name__ == "__main__":
    main()
