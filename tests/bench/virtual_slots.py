"""Orchestration alone, in virtual time: whole runs (plan, uploads, submissions, watcher, downloads) beside a poller a job.

    python tests/bench/virtual_slots.py              the table, medians over five seeds (one with 1,000 slots)
    python tests/bench/virtual_slots.py --seeds 1    once

A request takes 10 ms where nothing else is said, an upload 100 ms more, a download a second; durations of jobs are log-normal (sigma 0.35). The ideal
is the list schedule: the same jobs in the same order, each begun the moment that a slot is free. Status requests are
look-ups and pages of the job list together. The poller submits as soon as a slot is free and looks each job up every
three seconds; uploads and downloads cost it nothing. Each run of mvmesh is a first one: nothing is known of durations.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any
from unittest import mock

import anyio

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from busy_service import BusyService, Measured, ideal_s, keep_busy, lognormal_s
from simulated_ports import SimulatedService, glb, virtual_time
from simulated_run import SimulatedRuns

from pipeline.batch import bringing
from pipeline.domain.errors import CeilingReached
from pipeline.domain.jobs import Job, TeamLimits

UPLOAD_S, POLL_S = 0.1, 3.0
POLLED_MOST = 2_000
"""Jobs that pollers look after: each of 180 s is asked for sixty times."""


@dataclass(frozen=True, kw_only=True)
class Case:
    name: str
    slots: int
    job_s: float
    jobs: int
    request_s: float = 0.01
    uploads: int = 8
    seeds_at_most: int = 99


CASES = (
    Case(name="32 slots, 5 s jobs", slots=32, job_s=5, jobs=640),
    Case(name="32 slots, 5 s jobs, 80 ms a request", slots=32, job_s=5, jobs=640, request_s=0.08),
    Case(name="32 slots, 180 s jobs", slots=32, job_s=180, jobs=640),
    Case(name="1,000 slots, 180 s jobs", slots=1_000, job_s=180, jobs=10_000, uploads=32, seeds_at_most=1),
)


class TimedService(SimulatedService):
    """The simulated service with jobs of given durations and a list that is as quick with ten thousand of them."""

    def __init__(self, case: Case, durations_s: Sequence[float], *, tells: bool) -> None:
        super().__init__()
        self.busy = BusyService(latency_s=case.request_s)
        self.ceiling = case.slots
        self._request_s = case.request_s
        self.refusals: list[float] = []
        self.began: list[float] = []
        self._tells = tells
        self._durations = iter(durations_s)

    async def create_asset(self, **_: Any) -> str:
        await anyio.sleep(self._request_s + UPLOAD_S)
        self.uploads.append("picture")
        return f"asset_{len(self.uploads)}"

    async def generate(self, *, model: str, inputs: Any) -> Job:  # noqa: ARG002
        await anyio.sleep(self._request_s)
        if self.busy.running() >= self.ceiling:
            self.refusals.append(anyio.current_time())
            raise CeilingReached("429", ceiling=self.ceiling)
        self.began.append(anyio.current_time())
        job = self.busy.job_of(self.busy.submit(next(self._durations)))
        self.add_mesh(f"mesh_of_{job.job_id}", glb())
        return job

    async def job(self, job_id: str) -> Job:
        return await self.busy.job(job_id)

    async def jobs(self, **asked: Any) -> Any:
        return await self.busy.jobs(**asked)

    async def team_limits(self) -> TeamLimits:
        return TeamLimits(parallel_jobs=self.ceiling if self._tells else None)


@dataclass(frozen=True, kw_only=True)
class Row:
    measured: Measured
    in_a_second: int
    refusals: int = 0


def of_mvmesh(case: Case, seed: int, *, tells: bool = True) -> Row:
    """One whole run; the durations of earlier jobs are not known to it."""
    durations = lognormal_s(case.job_s, case.jobs, seed=seed)
    service = TimedService(case, durations, tells=tells)
    lags: list[float] = []

    async def run() -> None:
        with tempfile.TemporaryDirectory(dir=_memory()) as folder:
            runs = SimulatedRuns(Path(folder), service=service)
            runs.sections = {
                "limits": {"in_flight": "auto", "uploads": case.uploads, "downloads": 8},
                "previews": False,
            }
            for at in range(case.jobs):
                runs.add(f"set {at:05}")
            with mock.patch.object(bringing, "PUBLISH_EVERY_S", 1e9):  # it takes no virtual time, but real one
                outcome, _ = await runs.run()
            assert outcome.delivered == case.jobs, outcome

    with _told_lags(service, lags):
        _in_virtual_time(run)
    ended = max(one.ends for one in service.busy.over)
    measured = Measured(
        makespan_s=ended + lags[-1] - min(service.began),
        ideal_s=ideal_s(durations, case.slots),
        lags_s=lags,
        requests=len(service.busy.asked),
    )
    return Row(measured=measured, in_a_second=service.busy.asked_in_a_second, refusals=len(service.refusals))


def of_poller(case: Case, seed: int) -> Row:
    """A task a job, as the documentation's script and its kin do it."""
    service = BusyService(latency_s=case.request_s)
    found: list[Measured] = []

    class Poller:
        async def wait(self, job_id: str, *, tell: Callable[[Job], None]) -> Job:  # noqa: ARG002
            while not (job := await service.job(job_id)).status.is_final:  # noqa: ASYNC110 - it is one that polls
                await anyio.sleep(POLL_S)
            return job

    async def run() -> None:
        durations = lognormal_s(case.job_s, min(case.jobs, POLLED_MOST), seed=seed)
        found.append(await keep_busy(Poller(), service, durations, slots=case.slots, submit_s=case.request_s))

    _in_virtual_time(run)
    return Row(measured=found[0], in_a_second=service.asked_in_a_second)


def _told_lags(service: TimedService, lags: list[float]) -> Any:
    """While the run goes on: how long after the end of each job its watcher tells."""
    from pipeline.stages.watch import Watcher  # noqa: PLC0415 - patched here, and nowhere else

    wait = Watcher.wait

    async def timed(self: Watcher, job_id: str, **more: Any) -> Job:
        job = await wait(self, job_id, **more)
        lags.append(anyio.current_time() - service.busy.ended_at(job_id))
        return job

    return mock.patch.object(Watcher, "wait", timed)


def _in_virtual_time(run: Callable[[], Any]) -> None:
    backend, options = virtual_time()
    anyio.run(run, backend=backend, backend_options=options)


def _memory() -> Path | None:
    shm = Path("/dev/shm")
    return shm if shm.is_dir() else None


def line(name: str, rows: Sequence[Row]) -> str:
    def middle(value: Callable[[Row], float]) -> float:
        return median(map(value, rows))

    return (
        f"| {name} | {middle(lambda one: one.measured.ratio):.3f} | {middle(lambda one: one.measured.mean_lag_s):.2f} "
        f"| {middle(lambda one: one.measured.requests_a_job):.3f} | {middle(lambda one: one.in_a_second):.0f} "
        f"| {middle(lambda one: one.refusals):.0f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=5, help="runs of each case")
    asked = parser.parse_args().seeds
    print("| | makespan / ideal | mean lag, s | status requests a job | in a second, at most | 429s |")
    print("|---|---|---|---|---|---|")
    for case in CASES:
        seeds = range(1, min(asked, case.seeds_at_most) + 1)
        print(line(f"{case.name}: mvmesh", [of_mvmesh(case, seed) for seed in seeds]), flush=True)
        print(line(f"{case.name}: a poller a job", [of_poller(case, seed) for seed in seeds]), flush=True)
    untold = CASES[0]
    rows = [of_mvmesh(untold, seed, tells=False) for seed in range(1, asked + 1)]
    print(line(f"{untold.name}, ceiling not told: mvmesh", rows))


if __name__ == "__main__":
    main()
