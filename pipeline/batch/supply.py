"""Supply: where the items of a run come from. A plan that is known, or a survey that still goes on."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from pipeline.batch.agenda import Agenda
from pipeline.batch.pricing import Pricing
from pipeline.batch.survey import Survey
from pipeline.batch.uploads import Uploads
from pipeline.domain.events import Observer, RunGrew, RunStarted
from pipeline.domain.items import Alias
from pipeline.domain.planning import Action, Plan, PlannedItem
from pipeline.ports.interfaces import Scenario


class Supply(Protocol):
    @property
    def plan(self) -> Plan | None:
        """What there is; None as long as that is not wholly known."""
        ...

    @property
    def so_far(self) -> Plan:
        """What is known of it."""
        ...

    async def feed(self, agenda: Agenda) -> None:
        """Put all items on the agenda, and say that no more will come."""
        ...


class KnownSupply:
    """A whole plan. What is to be placed was placed before."""

    def __init__(self, plan: Plan) -> None:
        self.plan: Plan | None = plan
        self.so_far = plan
        self._items = _by_turn(plan)

    async def feed(self, agenda: Agenda) -> None:
        agenda.add(self._items)
        agenda.no_more()


class GrowingSupply:
    """A survey that goes on: its items are priced and put on the agenda as they are found, as far as they are free.

    The others (see ``Survey.free``) follow when all sets are known, and what is placed by then.
    """

    def __init__(
        self,
        looking: Survey,
        first: Sequence[PlannedItem],
        *,
        pricing: Pricing,
        scenario: Scenario,
        uploads: Uploads,
        place_known: Callable[[Plan], Awaitable[None]],
        observe: Observer,
    ) -> None:
        self.plan: Plan | None = None
        self.late_names: dict[str, tuple[Alias, ...]] = {}
        """By content key: names that were found when the item was on the agenda already."""
        self._looking = looking
        self._first = first
        self._pricing = pricing
        self._scenario = scenario
        self._uploads = uploads
        self._place_known = place_known
        self._observe = observe
        self._known_names: dict[str, int] = {}
        """By content key of the items on the agenda: under how many names they went there."""

    @property
    def so_far(self) -> Plan:
        return self._looking.plan

    async def feed(self, agenda: Agenda) -> None:
        found, looking = self._first, self._looking
        is_first = True
        while True:
            agenda.add(await self._ready(found))
            grown = RunStarted if is_first else RunGrew
            self._observe(grown(total=looking.to_do, already_done=looking.done, quoted_cu=None, is_whole=False))
            is_first = False
            found = await looking.free(await looking.go_on())
            if looking.is_whole:
                break
        await self._complete(agenda)

    async def _ready(self, found: Sequence[PlannedItem]) -> list[PlannedItem]:
        """Priced, and not on the agenda yet; each once, with all names found so far."""
        new = {one.work.key: one for one in found if one.work.key not in self._known_names}.values()
        await self._pricing.ask(new, scenario=self._scenario, uploads=self._uploads)
        self._known_names |= {one.work.key: len(one.work.aliases) for one in new}
        return list((await self._pricing.known(Plan(items=tuple(new)))).items)

    async def _complete(self, agenda: Agenda) -> None:
        plan = self._looking.plan
        await self._pricing.ask(plan.items, scenario=self._scenario, uploads=self._uploads)
        self.plan = plan = await self._pricing.known(plan)
        self._observe(RunGrew(total=len(plan.to_do), already_done=plan.done, quoted_cu=plan.cu, is_whole=True))
        for one in plan.items:
            names = one.work.aliases[self._known_names.get(one.work.key, len(one.work.aliases)) :]
            if names:
                self.late_names[one.work.key] = names
        await self._place_known(plan)
        agenda.add(one for one in _by_turn(plan) if one.work.key not in self._known_names)
        agenda.no_more()


def _by_turn(plan: Plan) -> list[PlannedItem]:
    """What is paid already comes first."""
    return plan.having(Action.RESUME, Action.FETCH) + plan.having(Action.GENERATE)
