"""A run as a whole: plan, price, carry out, tell."""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial

import anyio

from pipeline.batch.agenda import Agenda
from pipeline.batch.flow import Flow
from pipeline.batch.journal import Journal
from pipeline.batch.outcome import Outcome, outcome_of, rows_inside
from pipeline.batch.placing import Placing
from pipeline.batch.pool import Pool
from pipeline.batch.pricing import Pricing
from pipeline.batch.settling import Settling
from pipeline.batch.submissions import Submissions
from pipeline.batch.survey import standing_deliveries, survey
from pipeline.batch.terms import Terms, terms_of
from pipeline.batch.uploads import Uploads
from pipeline.domain.budget import Budget
from pipeline.domain.durations import Durations
from pipeline.domain.errors import RequestRefused
from pipeline.domain.events import Noted, Observer, RunEnded, RunStarted
from pipeline.domain.items import ItemRecord
from pipeline.domain.jobs import TeamLimits
from pipeline.domain.lifecycle import State
from pipeline.domain.manifest import Manifest
from pipeline.domain.model import ModelSchema, schema_known_of
from pipeline.domain.planning import Action, Plan, PlannedItem
from pipeline.domain.results import ResultRow, refused_rows, row_of
from pipeline.domain.run_options import AS_THE_MANIFEST_SAYS, RunOptions
from pipeline.domain.views import View
from pipeline.ports.clock import local_time
from pipeline.ports.interfaces import Compute, Downloads, Images, Ledger, Now, Scenario, Storage
from pipeline.stages.deliver import publish
from pipeline.stages.watch import Watcher

UNKNOWN_CEILING = 8
"""Jobs in flight at first where neither the manifest nor the service names a number; the first 429 teaches it."""

JOBS_LEARNED_FROM = 300
"""How long so many of the newest jobs took tells when those of this run will be ready."""

PUBLISH_EVERY_S = 10.0
"""How often the results manifest is published while a run goes on; first as it begins, once more at its end."""

AfterPublish = Callable[[Sequence[ResultRow]], Awaitable[None]]


class Batch:
    """One manifest, from its folders to its results manifest."""

    def __init__(
        self,
        manifest: Manifest,
        *,
        service: str,
        images: Images,
        storage: Storage,
        ledger: Ledger,
        compute: Compute | None,
        now: Now,
        observe: Observer,
        after_publish: AfterPublish | None = None,
        options: RunOptions = AS_THE_MANIFEST_SAYS,
    ) -> None:
        """``service`` is the service's identity, a part of every content key: ``scenario``, ``local`` or its base URL.
        ``compute`` draws the previews; None: there are none. ``after_publish`` hears the rows whenever the results
        manifest was published (the report is drawn there). ``options`` stand over the manifest.
        """
        self._manifest = options.over(manifest)
        self._options = options
        self._images = images
        self._storage = storage
        self._ledger = ledger
        self._compute = compute
        self._now = now
        self._observe = observe
        self._after_publish = after_publish
        self._terms = terms_of(manifest, service=service, began=now())

    async def plan(self) -> Plan:
        """What there is, what is done, what is left; prices as last known. No request leaves the machine."""
        plan = await survey(
            self._manifest, self._terms, images=self._images, storage=self._storage, ledger=self._ledger
        )
        plan = self._options.selection.of(plan)
        return await self._pricing(schema_known_of(self._manifest.model)).known(plan)

    async def price(self, plan: Plan, scenario: Scenario) -> Plan:
        """The plan with the service's own quotes: one dry run for each distinct choice of price-relevant parameters.

        Raises:
            UsageError: the live model does not take the manifest's parameters.
        """
        pricing = self._pricing(await self._live_schema(scenario))
        await pricing.ask(plan, scenario=scenario, uploads=self._uploads(scenario))
        return await pricing.known(plan)

    async def carry_out(
        self, plan: Plan, *, scenario: Scenario | None, downloads: Downloads | None, stop: anyio.Event
    ) -> Outcome:
        """Do what the plan says and publish the results.

        Args:
            plan: from ``price`` (or from ``plan``, when nothing in it needs the service).
            scenario: the service; may be None when ``plan.needs_service`` is False.
            downloads: likewise.
            stop: once set, nothing new is submitted and the run ends in seconds, with everything recorded.

        Raises:
            AbortRun: the run cannot go on (in the task groups' ExceptionGroup); what is recorded stays, and the
                results are published first.
        """
        budget = _budget(plan, self._manifest.budget.max_cu)
        self._observe(RunStarted(total=len(plan.to_do), already_done=plan.done, quoted_cu=plan.cu))
        try:
            await self._place_known(plan, stop)
            if scenario is not None and downloads is not None:
                await self._bring_all(plan, scenario, downloads, budget, stop)
            await self._sweep_staging(plan)
        finally:
            with anyio.CancelScope(shield=True):
                rows = await self._publish(plan)
        outcome = outcome_of(rows_inside(rows, plan), interrupted=stop.is_set(), charged_cu=budget.spent_cu)
        self._observe(
            RunEnded(
                delivered=outcome.delivered,
                held=outcome.held,
                refused=outcome.refused,
                failed=outcome.failed,
                uncertain=outcome.uncertain,
                deferred=outcome.over_budget + outcome.out_of_time,
            )
        )
        return outcome

    async def rows(self, plan: Plan) -> list[ResultRow]:
        """The results manifest as the ledger has it now, sorted by set id, variant and copy."""
        records = {one.key: one for one in await self._ledger.items([one.work.key for one in plan.items])}
        files = {(one.alias, one.key): one.files for one in await self._ledger.deliveries(self._terms.shelf_name)}
        notes: dict[str, list[str]] = {}
        for alias, finding in plan.notes:
            notes.setdefault(alias.set_id, []).append(finding.message)
        backend, model = self._manifest.backend, self._manifest.model
        rows = [row for one in plan.refused for row in refused_rows(one, backend=backend, model=model)]
        for planned in plan.items:
            record = records.get(planned.work.key) or _not_begun(planned, self._terms)
            rows += [
                row_of(
                    alias,
                    planned.work,
                    record,
                    backend=backend,
                    files=files.get((alias, planned.work.key), ()),
                    notes=notes.get(alias.set_id, ()),
                )
                for alias in planned.work.aliases
            ]
        return sorted(rows, key=lambda row: (row.set, row.variant, row.copy_number))

    async def spent_assets(self, plan: Plan) -> list[str]:
        """The service's assets that no item of the plan needs any more: its mesh is delivered.

        For a service whose room is ours alone; see ``forget``.
        """
        records = await self._ledger.items([one.work.key for one in plan.items])
        done = [one for one in records if one.state in {State.DELIVERED, State.HELD}]
        needed = {asset for one in records if one not in done for asset in _assets_of(one)}
        return sorted({asset for one in done for asset in _assets_of(one)} - needed)

    async def forget(self, asset_ids: Sequence[str]) -> None:
        """The service has deleted these: their pictures are uploaded again when they are needed."""
        await self._ledger.forget_uploads(service=self._terms.service, project=self._terms.project, asset_ids=asset_ids)

    async def _place_known(self, plan: Plan, stop: anyio.Event) -> None:
        if plan.having(Action.PLACE):
            standing = await standing_deliveries(self._terms, ledger=self._ledger, storage=self._storage)
            await self._placing().place_known(plan, standing, is_stopping=stop.is_set)

    async def _bring_all(
        self, plan: Plan, scenario: Scenario, downloads: Downloads, budget: Budget, stop: anyio.Event
    ) -> None:
        pool = await self._pool(plan, scenario, stop)
        watcher = await self._watcher(scenario)
        journal, uploads = Journal(self._ledger, self._observe), self._uploads(scenario)
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
            uploads=uploads,
            submissions=submissions,
            placing=self._placing(),
            watcher=watcher,
            pool=pool,
            budget=budget,
            journal=journal,
            now=self._now,
            observe=self._observe,
        )
        # What is paid already comes first; PLACE was done before.
        agenda = Agenda(
            plan.having(Action.RESUME, Action.FETCH) + plan.having(Action.GENERATE),
            expected_s=lambda one: watcher.expected_s(one.work.params),
            slots=lambda: pool.slots.total_tokens,
        )
        settling = Settling(agenda, submissions, patience=self._terms.patience)
        async with anyio.create_task_group() as background:
            background.start_soon(pool.stop_when_told, background.cancel_scope)
            for work in (watcher.run, settling.run, partial(self._publish_now_and_then, plan, journal)):
                background.start_soon(work)
            async with anyio.create_task_group() as workers:
                for _ in range(min(pool.workers_at_most, len(plan.to_do))):
                    workers.start_soon(_work, flow, agenda, pool)
            background.cancel_scope.cancel()
        for one in agenda.uncertain:
            journal.warn(one.planned, f" stays uncertain: {submissions.why_uncertain(one.record.key)}")

    async def _sweep_staging(self, plan: Plan) -> None:
        """The folders that deliveries left empty; at the end alone, when nobody makes new ones beside them."""
        await self._storage.remove_empty([self._terms.staging_of(one.work.key) for one in plan.to_do])

    async def _watcher(self, scenario: Scenario) -> Watcher:
        """It knows from earlier runs how long jobs take."""
        earlier = await self._ledger.job_durations(
            service=self._terms.service, model=self._manifest.model, at_most=JOBS_LEARNED_FROM
        )
        return Watcher(scenario, now=self._now, durations=Durations((one.params, one.took_s) for one in earlier))

    async def _pool(self, plan: Plan, scenario: Scenario, stop: anyio.Event) -> Pool:
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
        if plan.refused_inside and pool.failed():
            name = plan.refused_inside[0].aliases[0].label
            message = f"{name} is refused, and --fail-fast stands: nothing is submitted"
            self._observe(Noted(message=message, level="warning"))
        return pool

    async def _ceiling(self, scenario: Scenario, stop: anyio.Event) -> int | None:
        """As the service tells it, if it does. Who says stop is not kept waiting for it: nothing is submitted then."""
        limits = TeamLimits()
        async with anyio.create_task_group() as asking:
            asking.start_soon(_cancel_when_told, stop, asking.cancel_scope)
            limits = await scenario.team_limits()
            asking.cancel_scope.cancel()
        return limits.parallel_jobs

    def _is_in_window(self) -> bool:
        window = self._manifest.limits.window
        return window is None or window.is_open(local_time(self._now()))

    def _placing(self) -> Placing:
        return Placing(self._terms, storage=self._storage, ledger=self._ledger, now=self._now)

    def _uploads(self, scenario: Scenario) -> Uploads:
        at_once = self._manifest.limits.uploads
        return Uploads(self._terms, scenario=scenario, images=self._images, ledger=self._ledger, at_once=at_once)

    async def _live_schema(self, scenario: Scenario) -> ModelSchema:
        try:
            return await scenario.model_schema(self._manifest.model)
        except RequestRefused as error:
            self._observe(Noted(message=f"the service does not show its model, its published page is used: {error}"))
            return schema_known_of(self._manifest.model)

    def _pricing(self, schema: ModelSchema) -> Pricing:
        return Pricing(self._terms, schema, ledger=self._ledger)

    async def _publish_now_and_then(self, plan: Plan, journal: Journal) -> None:
        published = -1
        while True:
            if journal.moves != published:
                published = journal.moves
                with anyio.CancelScope(shield=True):
                    await self._publish(plan)
            await anyio.sleep(PUBLISH_EVERY_S)

    async def _publish(self, plan: Plan) -> list[ResultRow]:
        rows = await self.rows(plan)
        await publish(rows, output=self._terms.shelf.output, storage=self._storage)
        if self._after_publish is not None:
            await self._after_publish(rows)
        return rows


async def _cancel_when_told(stop: anyio.Event, scope: anyio.CancelScope) -> None:
    await stop.wait()
    scope.cancel()


async def _work(flow: Flow, agenda: Agenda, pool: Pool) -> None:
    async with pool.workers:
        while (planned := await agenda.take()) is not None:
            agenda.put_back(planned, await flow.bring(planned))


def _budget(plan: Plan, max_cu: float | None) -> Budget:
    """What earlier runs submitted is charged in this one, if it is: it counts before anything new does."""
    budget = Budget(max_cu=max_cu)
    for planned in plan.having(Action.RESUME):
        if planned.record is not None and planned.record.state in _MAY_BE_CHARGED:
            budget.owe(planned.work.key, planned.record.quoted_cu)
    return budget


_MAY_BE_CHARGED = frozenset({State.SUBMITTING, State.UNCERTAIN, State.SUBMITTED})


def _assets_of(record: ItemRecord) -> set[str]:
    """The pictures that a work item was made of, and what was made."""
    pictures = {str(record.inputs[view.field]) for view in View if view.field in record.inputs}
    return pictures | set(record.asset_ids)


def _not_begun(planned: PlannedItem, terms: Terms) -> ItemRecord:
    return ItemRecord(
        key=planned.work.key,
        state=State.PLANNED,
        service=terms.service,
        project=terms.project,
        model=planned.work.model,
        params=planned.work.params,
        pictures={},
    )
