"""Prices: what the service quotes for each distinct choice of price-relevant parameters, and what was quoted last."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pipeline.batch.survey import variants_of
from pipeline.batch.terms import EMBEDDED, Terms
from pipeline.batch.uploads import Uploads
from pipeline.domain.errors import AssetGone, FailItem, UsageError
from pipeline.domain.items import WorkItem
from pipeline.domain.jobs import Quote
from pipeline.domain.manifest import Manifest
from pipeline.domain.model import ModelSchema, schema_known_of
from pipeline.domain.planning import Plan, PlannedItem
from pipeline.domain.views import View
from pipeline.ports.interfaces import Ledger, Scenario
from pipeline.stages.upload import submission

CANDIDATES = 5
"""How many items with the same price-relevant parameters are asked about before their price counts as unknown."""

PROBLEMS_SHOWN = 50


class Pricing:
    """The prices of a plan, as the ledger keeps them."""

    def __init__(self, terms: Terms, schema: ModelSchema, *, ledger: Ledger) -> None:
        self._terms = terms
        self._schema = schema
        self._ledger = ledger
        self._asked: set[str] = set()
        self._choices: dict[int, tuple[Mapping[str, Any], str]] = {}

    async def known(self, plan: Plan) -> Plan:
        """The plan with the prices last quoted; None where none ever was. The embedded service is free."""
        prices: dict[str, float | None] = {}
        for choice, candidates in self._candidates(plan.items).items():
            quote = await self._last_quote(candidates[0].work)
            prices[choice] = quote.cu if quote else 0.0 if self._terms.service == EMBEDDED else None
        return plan.priced(lambda one: prices[self._choice(one)])

    async def ask(self, items: Iterable[PlannedItem], *, scenario: Scenario, uploads: Uploads) -> None:
        """One dry run for each choice that was not asked about before; the ledger keeps the answers. It wants to see
        one picture: a free upload.

        Raises:
            UsageError: the model does not take the items' parameters.
        """
        found = self._candidates(items)
        self._check(found)
        for choice, candidates in found.items():
            if choice not in self._asked:
                self._asked.add(choice)
                await self._ask_one_of(candidates, scenario, uploads)

    def check_choices(self, manifest: Manifest) -> None:
        """All parameters that the manifest can lead to, before any of its sets is looked at.

        Raises:
            UsageError: the model does not take some of them.
        """
        self._refuse(
            f"{manifest.where('sets', at, 'path')}{f', variant {variant.name}' if variant.name else ''}: {problem}"
            for at, entry in enumerate(manifest.sets)
            for variant in variants_of(manifest)
            for problem in self._problems({**manifest.defaults, **entry.params, **variant.params})
        )

    def _problems(self, params: Mapping[str, Any]) -> Sequence[str]:
        """None where nobody knows what the model takes."""
        known = schema_known_of(self._schema.model_id)
        return self._schema.problems(known.complete(params)) if self._schema.parameters else ()

    async def _ask_one_of(self, candidates: Sequence[PlannedItem], scenario: Scenario, uploads: Uploads) -> None:
        """Another item will do where one cannot be quoted (it fails by itself, later); else the price stays unknown."""
        for planned in candidates[:CANDIDATES]:
            try:
                quote = await _quote(planned.work, scenario, uploads)
            except (FailItem, AssetGone):
                continue
            await self._ledger.record_quote(
                service=self._terms.service,
                project=self._terms.project,
                model=planned.work.model,
                params=self._schema.price_relevant(planned.work.params),
                quote=quote,
            )
            return

    async def _last_quote(self, work: WorkItem) -> Quote | None:
        return await self._ledger.quote(
            service=self._terms.service,
            project=self._terms.project,
            model=work.model,
            params=self._schema.price_relevant(work.params),
        )

    def _candidates(self, items: Iterable[PlannedItem]) -> dict[str, list[PlannedItem]]:
        """The items that may be paid, by what their price depends on."""
        found: dict[str, list[PlannedItem]] = {}
        for planned in items:
            if planned.may_spend:
                found.setdefault(self._choice(planned), []).append(planned)
        return found

    def _choice(self, planned: PlannedItem) -> str:
        """What its price depends on. Items of one choice usually share one object with their parameters."""
        params = planned.work.params
        if (known := self._choices.get(id(params))) is None:
            known = self._choices[id(params)] = (params, str(self._schema.price_relevant(params)))
        return known[1]

    def _check(self, found: Mapping[str, Sequence[PlannedItem]]) -> None:
        taken: set[int] = set()
        problems: list[str] = []
        for planned in (one for some in found.values() for one in some):
            if id(planned.work.params) not in taken:
                said = self._problems(planned.work.params)
                problems += [f"{planned.work.aliases[0].label}: {problem}" for problem in said]
                taken |= set() if said else {id(planned.work.params)}
        self._refuse(problems)

    def _refuse(self, said: Iterable[str]) -> None:
        if problems := list(said):
            more = len(problems) - PROBLEMS_SHOWN
            raise UsageError(
                "the service's model does not take these parameters",
                mend="change them in the manifest's defaults, sets or variants",
                problems=[*problems[:PROBLEMS_SHOWN], f"and {more:,} more"] if more > 0 else problems,
            )


async def _quote(work: WorkItem, scenario: Scenario, uploads: Uploads) -> Quote:
    try:
        return await _asked(work, scenario, uploads)
    except AssetGone as error:  # the service has forgotten the picture: once more, with a fresh upload
        await uploads.forget(error.asset_ids or (await uploads.asset(work, View.FRONT),))
        return await _asked(work, scenario, uploads)


async def _asked(work: WorkItem, scenario: Scenario, uploads: Uploads) -> Quote:
    front = await uploads.asset(work, View.FRONT)
    return await scenario.quote(model=work.model, inputs=submission(work.params, {View.FRONT: front}))
