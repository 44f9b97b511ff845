"""Bringing: what a supply gives goes through the flow side by side, watched, settled and published beside it."""

from collections.abc import Awaitable, Callable, Coroutine, Iterable
from functools import partial
from typing import Any, TypeVar

import anyio
from anyio.abc import TaskGroup

from pipeline.batch.agenda import Agenda
from pipeline.batch.comparing import Comparing
from pipeline.batch.flow import Flow
from pipeline.batch.journal import Journal
from pipeline.batch.placing import Placing
from pipeline.batch.pool import Pool
from pipeline.batch.publishing import Publishing
from pipeline.batch.settling import Settling
from pipeline.batch.submissions import Submissions
from pipeline.batch.supply import Supply
from pipeline.batch.terms import Terms
from pipeline.batch.uploads import Uploads
from pipeline.domain.budget import Budget
from pipeline.domain.durations import Durations
from pipeline.domain.events import Noted, Observer
from pipeline.domain.manifest import Manifest
from pipeline.domain.planning import Plan, PlannedItem
from pipeline.domain.run_options import RunOptions
from pipeline.ports.clock import local_time
from pipeline.ports.interfaces import Compute, Downloads, Ledger, Now, Scenario, Storage
from pipeline.stages.watch import Watcher

T = TypeVar("T")

UNKNOWN_CEILING = 4
"""Jobs in flight at first where neither the manifest nor the service names a number; the first 429 teaches it."""

JOBS_LEARNED_FROM = 300
"""How long so many of the newest jobs took tells when those of this run will be ready."""

PUBLISH_EVERY_S = 10.0
"""How often the results manifest is published while a run goes on; first as it begins, once more at its end."""

PUBLISHING_SHARE = 0.05
"""Of a run's time that may go into publishing: a hundred thousand rows take seconds, and are so made less often."""


class Bringing:
    """Of one run."""

    def __init__(
        self,
        manifest: Manifest,
        terms: Terms,
        *,
        options: RunOptions,
        storage: Storage,
        ledger: Ledger,
        compute: Compute | None,
        comparing: Comparing | None,
        placing: Placing,
        publishing: Publishing,
        now: Now,
        observe: Observer,
    ) -> None:
        self._manifest = manifest
        self._terms = terms
        self._options = options
        self._storage = storage
        self._ledger = ledger
        self._compute = compute
        self._comparing = comparing
        self._placing = placing
        self._publishing = publishing
        self._now = now
        self._observe = observe

    async def all_of(
        self,
        supply: Supply,
        uploads: Uploads,
        *,
        scenario: Scenario,
        downloads: Downloads,
        budget: Budget,
        stop: anyio.Event,
    ) -> None:
        """Every item of the supply, as far as it goes.

        Raises:
            AbortRun: the run cannot go on (in the task groups' ExceptionGroup).
        """
        pool = await self._pool(supply.plan, scenario, stop)
        watcher = await self._watcher(scenario)
        journal = Journal(self._ledger, self._observe)
        submissions = Submissions(
            self._terms,
            scenario=scenario,
            ledger=self._ledger,
            journal=journal,
            uploads=uploads,
            pool=pool,
            budget=budget,
            now=self._now,
            observe=self._observe,
        )
        flow = Flow(
            self._terms,
            scenario=scenario,
            downloads=downloads,
            storage=self._storage,
            ledger=self._ledger,
            compute=self._compute,
            comparing=self._comparing,
            uploads=uploads,
            submissions=submissions,
            placing=self._placing,
            watcher=watcher,
            pool=pool,
            budget=budget,
            journal=journal,
            now=self._now,
            observe=self._observe,
        )
        agenda = Agenda(
            open=True,
            expected_s=lambda one: watcher.expected_s(one.work.params),
            slots=lambda: pool.slots.total_tokens,
            fetches=2 * self._manifest.limits.downloads,
        )
        settling = Settling(agenda, submissions, patience=self._terms.patience)
        beside = (watcher.run, settling.run, partial(self._publish_now_and_then, supply, journal))
        await _carry_out(flow, agenda, pool, supply=supply, beside=beside)
        for one in agenda.uncertain:
            journal.warn(one.planned, f" stays uncertain: {submissions.why_uncertain(one.record.key)}")

    async def _watcher(self, scenario: Scenario) -> Watcher:
        """It knows from earlier runs how long jobs take."""
        earlier = await self._ledger.job_durations(
            service=self._terms.service, model=self._manifest.model, at_most=JOBS_LEARNED_FROM
        )
        return Watcher(scenario, now=self._now, durations=Durations((one.params, one.took_s) for one in earlier))

    async def _pool(self, plan: Plan | None, scenario: Scenario, stop: anyio.Event) -> Pool:
        limits = self._manifest.limits
        in_flight: int | None = None if limits.in_flight == "auto" else limits.in_flight
        if in_flight is None:
            in_flight = await self._ceiling(scenario, stop)
        until = None if limits.max_duration is None else anyio.current_time() + limits.max_duration
        pool = Pool(
            in_flight=in_flight or UNKNOWN_CEILING,
            grows=in_flight is None,
            uploads=limits.uploads,
            downloads=limits.downloads,
            until=until,
            stop=stop,
            in_window=self._is_in_window,
            fail_fast=self._options.fail_fast,
        )
        if plan is not None and plan.refused_inside and pool.failed():
            name = plan.refused_inside[0].aliases[0].label
            message = f"{name} is refused, and --fail-fast stands: nothing is submitted"
            self._observe(Noted(message=message, level="warning"))
        return pool

    async def _ceiling(self, scenario: Scenario, stop: anyio.Event) -> int | None:
        """As the service tells it, if it does. Who says stop is not kept waiting for it: nothing is submitted then."""
        limits = await unless_told(stop, scenario.team_limits)
        return limits.parallel_jobs if limits else None

    def _is_in_window(self) -> bool:
        window = self._manifest.limits.window
        return window is None or window.is_open(local_time(self._now()))

    async def _publish_now_and_then(self, supply: Supply, journal: Journal) -> None:
        published, pause_s = -1, PUBLISH_EVERY_S
        while True:
            if journal.moves != published:
                published, began = journal.moves, anyio.current_time()
                with anyio.CancelScope(shield=True):
                    await self._publishing.publish(supply.plan or supply.so_far, is_whole=supply.plan is not None)
                pause_s = max(PUBLISH_EVERY_S, (anyio.current_time() - began) / PUBLISHING_SHARE)
            await anyio.sleep(pause_s)


async def unless_told(stop: anyio.Event, ask: Callable[[], Awaitable[T]]) -> T | None:
    """What is asked for; None if the word to stop comes first."""
    answer = None
    async with anyio.create_task_group() as asking:
        asking.start_soon(_cancel_when_told, stop, asking.cancel_scope)
        answer = await ask()
        asking.cancel_scope.cancel()
    return answer


async def _cancel_when_told(stop: anyio.Event, scope: anyio.CancelScope) -> None:
    await stop.wait()
    scope.cancel()


async def _carry_out(
    flow: Flow, agenda: Agenda, pool: Pool, *, supply: Supply, beside: Iterable[Callable[[], Coroutine[Any, Any, None]]]
) -> None:
    """Bring all that the supply gives; what goes on ``beside`` ends with it, or with the word to stop."""
    async with anyio.create_task_group() as background:
        background.start_soon(pool.stop_when_told, background.cancel_scope)
        for work in beside:
            background.start_soon(work)
        async with anyio.create_task_group() as workers:
            workers.start_soon(supply.feed, agenda)
            await _bring_each(flow, agenda, pool, workers)
        background.cancel_scope.cancel()


async def _bring_each(flow: Flow, agenda: Agenda, pool: Pool, workers: TaskGroup) -> None:
    """Every item in a task of its own, so many at a time as the pool allows."""

    async def bring(planned: PlannedItem, worker: object) -> None:
        try:
            agenda.put_back(planned, await flow.bring(planned))
        finally:
            pool.workers.release_on_behalf_of(worker)

    while True:
        worker = object()
        await pool.workers.acquire_on_behalf_of(worker)
        planned = await agenda.take()
        if planned is None:
            return
        workers.start_soon(bring, planned, worker)
