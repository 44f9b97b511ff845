"""A run as a whole: plan, price, carry out, tell."""

from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from typing import TypeVar

import anyio

from pipeline.batch.bringing import Bringing, unless_told
from pipeline.batch.comparing import Comparing
from pipeline.batch.outcome import Outcome
from pipeline.batch.placing import Placing
from pipeline.batch.pricing import Pricing
from pipeline.batch.publishing import NewReport, Publishing
from pipeline.batch.supply import GrowingSupply, KnownSupply, Supply
from pipeline.batch.survey import CHUNK, Survey, standing_deliveries
from pipeline.batch.terms import terms_of
from pipeline.batch.uploads import Uploads
from pipeline.domain.budget import Budget
from pipeline.domain.errors import RequestRefused
from pipeline.domain.events import Noted, Observer, RunEnded, RunStarted
from pipeline.domain.items import ItemRecord
from pipeline.domain.lifecycle import State
from pipeline.domain.manifest import Manifest
from pipeline.domain.model import ModelSchema, schema_known_of
from pipeline.domain.planning import Action, Plan, PlannedItem
from pipeline.domain.results import ResultRow
from pipeline.domain.run_options import AS_THE_MANIFEST_SAYS, RunOptions
from pipeline.domain.selection import EVERY_SET
from pipeline.domain.views import View
from pipeline.ports.interfaces import Compute, Downloads, Images, Ledger, Now, Scenario, Storage

T = TypeVar("T")


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
        comparing: Comparing | None = None,
        now: Now,
        observe: Observer,
        new_report: NewReport | None = None,
        options: RunOptions = AS_THE_MANIFEST_SAYS,
    ) -> None:
        """``service`` is the service's identity, a part of every content key: ``scenario``, ``local`` or its base URL.
        ``compute`` draws the previews; None: there are none. ``comparing`` compares views before they are sent;
        None: nobody does. ``new_report`` makes the page that is drawn whenever the results manifest is published.
        ``options`` stand over the manifest.
        """
        self._manifest = options.over(manifest)
        self._options = options
        self._images = images
        self._storage = storage
        self._ledger = ledger
        self._compute = compute
        self._comparing = comparing
        self._now = now
        self._observe = observe
        self._terms = terms_of(manifest, service=service, began=now())
        self._publishing = Publishing(
            self._terms,
            manifest,
            ledger=ledger,
            storage=storage,
            new_report=new_report,
        )

    def survey(self, *, chunk: int = CHUNK) -> Survey:
        """What there is, so many sets at a time; to be closed. No request leaves the machine."""
        return Survey(
            self._manifest,
            self._terms,
            images=self._images,
            storage=self._storage,
            ledger=self._ledger,
            chunk=chunk,
        )

    async def plan(self, looking: Survey | None = None) -> Plan:
        """What there is, what is done, what is left; prices as last known. No request leaves the machine.

        Args:
            looking: a survey that may have begun; None: a new one.
        """
        async with aclosing(looking or self.survey()) as found:
            while not found.is_whole:
                await found.go_on()
            plan = self._options.selection.of(found.plan)
        return await self._pricing(schema_known_of(self._manifest.model)).known(plan)

    async def price(self, plan: Plan, scenario: Scenario) -> Plan:
        """The plan with the service's own quotes: one dry run for each distinct choice of price-relevant parameters.

        Raises:
            UsageError: the live model does not take the manifest's parameters.
        """
        pricing = self._pricing(await self._live_schema(scenario))
        await pricing.ask(plan.items, scenario=scenario, uploads=self._uploads(scenario))
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
        if not plan.to_do and (standing := await self._publishing.standing(plan)):
            return self._end(standing.outcome(interrupted=stop.is_set(), charged_cu=0.0))
        try:
            await self._place_known(plan, stop)
            if plan.needs_service and scenario is not None and downloads is not None:
                supply = KnownSupply(plan)
                await self._bringing().all_of(
                    supply,
                    self._uploads(scenario),
                    scenario=scenario,
                    downloads=downloads,
                    budget=budget,
                    stop=stop,
                )
        finally:
            with anyio.CancelScope(shield=True):
                reckoning = await self._publishing.publish(plan)
        return self._end(reckoning.outcome(interrupted=stop.is_set(), charged_cu=budget.spent_cu))

    def can_begin_early(self) -> bool:
        """Whether nothing that this run is told needs all sets to be known first: a selection, a budget, a first
        refusal that ends it.
        """
        options = self._options
        return options.selection == EVERY_SET and not options.fail_fast and self._manifest.budget.max_cu is None

    async def carry_out_early(
        self,
        looking: Survey,
        first: Sequence[PlannedItem],
        *,
        scenario: Scenario,
        downloads: Downloads,
        stop: anyio.Event,
    ) -> tuple[Outcome, Plan]:
        """As ``carry_out``, while the survey goes on: what is ``first`` is begun at once, the rest as it is found. Also
        the plan: the whole one, unless the run was stopped before all sets were known.

        Raises:
            AbortRun: as ``carry_out``.
            UsageError: the manifest's folders are not as it says, or the model does not take their parameters. What was
                begun stays recorded.
        """
        budget, uploads = _budget(Plan(items=()), None), self._uploads(scenario)
        schema = await unless_told(stop, partial(self._live_schema, scenario))
        pricing = self._pricing(schema or schema_known_of(self._manifest.model))
        pricing.check_choices(self._manifest)
        supply = GrowingSupply(
            looking,
            first,
            pricing=pricing,
            scenario=scenario,
            uploads=uploads,
            place_known=partial(self._place_known, stop=stop),
            observe=self._observe,
        )
        try:
            await self._bringing().all_of(
                supply, uploads, scenario=scenario, downloads=downloads, budget=budget, stop=stop
            )
            if supply.plan is not None:
                await self._place_late(supply, supply.plan, stop)
        except BaseException:
            outcome, _ = await self._published_early(supply, budget, stop)
            self._observe(Noted(message=f"begun before it ended: {_told(outcome)}", level="warning"))
            raise
        outcome, plan = await self._published_early(supply, budget, stop)
        return self._end(outcome), plan

    async def _published_early(self, supply: Supply, budget: Budget, stop: anyio.Event) -> tuple[Outcome, Plan]:
        with anyio.CancelScope(shield=True):
            plan, is_whole = supply.plan or supply.so_far, supply.plan is not None
            reckoning = await self._publishing.publish(plan, is_whole=is_whole)
        outcome = reckoning.outcome(interrupted=stop.is_set(), charged_cu=budget.spent_cu)
        return replace(outcome, is_whole=is_whole), plan

    def _end(self, outcome: Outcome) -> Outcome:
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
        """The results manifest as the ledger has it now, sorted by set id, variant and copy: all of it in memory."""
        async with aclosing(self._publishing.rows(plan)) as found:
            return [row async for some in found for row in some]

    async def spent_assets(self, plan: Plan) -> list[str]:
        """The service's assets that no item of the plan needs any more: its mesh is delivered.

        For a service whose room is ours alone; see ``forget``.
        """
        spent: set[str] = set()
        needed: set[str] = set()
        keys = [one.work.key for one in plan.items]
        for at in range(0, len(keys), CHUNK):
            for record in await self._ledger.items(keys[at : at + CHUNK]):
                is_done = record.state in {State.DELIVERED, State.HELD}
                (spent if is_done else needed).update(_assets_of(record))
        return sorted(spent - needed)

    async def forget(self, asset_ids: Sequence[str]) -> None:
        """The service has deleted these: their pictures are uploaded again when they are needed."""
        await self._ledger.forget_uploads(service=self._terms.service, project=self._terms.project, asset_ids=asset_ids)

    async def _place_known(self, plan: Plan, stop: anyio.Event) -> None:
        if moving := plan.having(Action.PLACE):
            keys = [one.work.key for one in moving]
            standing = await standing_deliveries(self._terms, keys, ledger=self._ledger, storage=self._storage)
            await self._placing().place_known(plan, standing, is_stopping=stop.is_set)

    async def _place_late(self, supply: GrowingSupply, plan: Plan, stop: anyio.Event) -> None:
        """Sets with equal pictures that were found after their mesh was begun get it, too."""
        records = {one.key: one for one in await self._ledger.items(list(supply.late_names))}
        late = [
            replace(one, action=Action.PLACE, record=records[one.work.key], unplaced=supply.late_names[one.work.key])
            if one.work.key in records and records[one.work.key].state in {State.DELIVERED, State.HELD}
            else replace(one, action=Action.LEAVE)
            for one in plan.items
        ]
        await self._place_known(replace(plan, items=tuple(late)), stop)

    def _bringing(self) -> Bringing:
        return Bringing(
            self._manifest,
            self._terms,
            options=self._options,
            storage=self._storage,
            ledger=self._ledger,
            compute=self._compute,
            comparing=self._comparing,
            placing=self._placing(),
            publishing=self._publishing,
            now=self._now,
            observe=self._observe,
        )

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


def _told(outcome: Outcome) -> str:
    under_way = outcome.unfinished + outcome.uncertain
    return (
        f"{outcome.delivered:,} delivered, {under_way:,} to go on with, {outcome.charged_cu:g} CU charged; "
        "all of it is recorded, and the next run goes on from there"
    )


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
