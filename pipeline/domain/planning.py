"""From checked sets to work items, and what each of them still needs: decided here, without I/O."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from typing import Any

from pipeline.domain.consistency import Policy, is_held
from pipeline.domain.items import Alias, CheckedSet, ContentKeys, Finding, ItemRecord, WorkItem
from pipeline.domain.lifecycle import State, is_paid
from pipeline.domain.model import ModelSchema
from pipeline.domain.packing import Packing

FAILED_JOBS_MAX = 4
"""Jobs of one work item that may fail one after the other, over all runs; then a person decides (``mvmesh retry``)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One parameter choice for every set; the empty name is the choice of a manifest without variants."""

    name: str = ""
    params: Mapping[str, Any]


class Action(StrEnum):
    """What a run does about a work item."""

    GENERATE = "generate"
    """Upload, submit, download: the only one that spends."""
    RESUME = "resume"
    """A job is, or may be, at the service already: carry on from where the ledger stands."""
    FETCH = "fetch"
    """The mesh was delivered, its file is gone: download it again, if the service still has it."""
    PLACE = "place"
    """The mesh is here under another name: copy it, or move it along with its renamed folder."""
    NOTHING = "nothing"
    LEAVE = "leave"
    """A person has to decide first (held, failed too often, views that contradict one another), or has (dropped)."""
    SKIP = "skip"
    """Outside the selection of this run: it stays as the ledger has it."""


TO_DO = (Action.GENERATE, Action.RESUME, Action.FETCH, Action.PLACE)
"""What a run does something about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedItem:
    work: WorkItem
    action: Action
    record: ItemRecord | None = None
    cu: float | None = None
    """The price if it is generated; None: not known."""

    unplaced: tuple[Alias, ...] = ()
    """The aliases under which it does not stand in the output folder yet."""

    @property
    def may_spend(self) -> bool:
        """Whether a run may submit it: also an uncertain submission, should the service prove not to have it."""
        unsettled = self.record is not None and self.record.state in {State.SUBMITTING, State.UNCERTAIN}
        return self.action is Action.GENERATE or (self.action is Action.RESUME and unsettled)


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedSet:
    """A set that is not sent, under every alias it would have had."""

    aliases: tuple[Alias, ...]
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    items: tuple[PlannedItem, ...]
    refused: tuple[RefusedSet, ...] = ()
    notes: tuple[tuple[Alias, Finding], ...] = ()
    """Warnings about sets that are sent all the same, and pictures that are re-encoded."""

    outside: frozenset[Alias] = frozenset()
    """Names outside the selection of this run: their rows are published as the ledger has them, and decide nothing."""

    def having(self, *actions: Action) -> list[PlannedItem]:
        return [one for one in self.items if one.action in actions]

    @property
    def to_do(self) -> list[PlannedItem]:
        return self.having(*TO_DO)

    @property
    def done(self) -> int:
        """How many items are as they should be: what is left to a person is not."""
        return len(self.having(Action.NOTHING))

    @property
    def refused_inside(self) -> list[RefusedSet]:
        """The refused sets that this run is about."""
        return [one for one in self.refused if not self.outside.issuperset(one.aliases)]

    @property
    def needs_service(self) -> bool:
        return bool(self.having(Action.GENERATE, Action.RESUME, Action.FETCH))

    @property
    def cu(self) -> float | None:
        """What carrying it out may cost; None when a price is not known."""
        prices = [one.cu for one in self.items if one.may_spend]
        return None if None in prices else sum(price for price in prices if price is not None)

    def priced(self, price: Callable[[PlannedItem], float | None]) -> "Plan":
        items = [replace(one, cu=price(one)) if one.may_spend else one for one in self.items]
        return replace(self, items=tuple(items))


class WorkList:
    """Every set times variant times copy, set by set. Equal content becomes one work item with several aliases."""

    def __init__(
        self,
        variants: Sequence[Variant],
        *,
        defaults: Mapping[str, Any],
        service: str,
        project: str,
        model: str,
        schema: ModelSchema,
        consistency: Policy = "warn",
    ) -> None:
        self.works: dict[str, WorkItem] = {}
        """By content key, in the order of their first names."""
        self.refused: list[RefusedSet] = []
        self._variants = variants
        self._defaults = defaults
        self._model = model
        self._schema = schema
        self._consistency = consistency
        self._keys = partial(ContentKeys, service=service, project=project, model=model)
        self._choices: dict[str, tuple[Mapping[str, Any], ContentKeys]] = {}
        self._packing = Packing()

    def add(self, checked: CheckedSet) -> list[str]:
        """The content keys of a set; none of a refused one."""
        if checked.is_refused:
            self.refused += [
                RefusedSet(aliases=_aliases(checked, variant), findings=checked.findings) for variant in self._variants
            ]
            return []
        pictures = self._packing.packed(checked.pictures, checked.image_set.folder)
        digests = pictures.digests()
        policy = checked.image_set.consistency or self._consistency
        found = []
        for variant in self._variants:
            params, keys = self._chosen(checked, variant)
            for alias in _aliases(checked, variant):
                key = keys.key(digests, alias.copy)
                known = self.works.get(key)
                self.works[key] = (
                    known.also(alias, policy)
                    if known
                    else WorkItem(
                        key=key,
                        model=self._model,
                        params=params,
                        pictures=pictures,
                        copy=alias.copy,
                        aliases=(alias,),
                        consistency=policy,
                    )
                )
                found.append(key)
        return found

    def _chosen(self, checked: CheckedSet, variant: Variant) -> tuple[Mapping[str, Any], ContentKeys]:
        """The parameters with the model's defaults filled in: one object for all sets that have the same."""
        params = {**self._defaults, **checked.image_set.params, **variant.params}
        said = repr(params)
        if said not in self._choices:
            complete = self._schema.complete(params)
            self._choices[said] = (complete, self._keys(params=complete))
        return self._choices[said]


def work_items(
    sets: Iterable[CheckedSet],
    variants: Sequence[Variant],
    *,
    defaults: Mapping[str, Any],
    service: str,
    project: str,
    model: str,
    schema: ModelSchema,
) -> tuple[list[WorkItem], list[RefusedSet]]:
    """The whole ``WorkList`` of these sets."""
    listed = WorkList(variants, defaults=defaults, service=service, project=project, model=model, schema=schema)
    for checked in sets:
        listed.add(checked)
    return list(listed.works.values()), listed.refused


def _aliases(checked: CheckedSet, variant: Variant) -> tuple[Alias, ...]:
    copies = range(1, checked.image_set.copies + 1)
    return tuple(Alias(set_id=checked.image_set.set_id, variant=variant.name, copy=copy) for copy in copies)


def decide(
    work: WorkItem, record: ItemRecord | None, *, intact: Sequence[Alias], has_source: bool, results_last: bool
) -> PlannedItem:
    """What a run does about one work item.

    Args:
        work: the item with all names it was asked for under.
        record: what the ledger knows of it.
        intact: the aliases under which its files stand whole in the output folder.
        has_source: whether the mesh stands whole in the output folder under any name, wanted or not.
        results_last: whether the service keeps what it made once it is delivered (the embedded one does not).
    """
    unplaced = tuple(alias for alias in work.aliases if alias not in intact)
    action = _action(record, unplaced, has_source=has_source, policy=work.consistency)
    if action is Action.FETCH and not results_last:
        action = Action.GENERATE
    return PlannedItem(work=work, action=action, record=record, unplaced=unplaced)


def _action(record: ItemRecord | None, unplaced: Sequence[Alias], *, has_source: bool, policy: Policy) -> Action:
    if record is None:
        return Action.GENERATE
    if record.state in {State.DELIVERED, State.HELD} and unplaced:
        return Action.PLACE if has_source else Action.FETCH
    if record.state is State.DELIVERED:
        return Action.NOTHING
    if record.state in {State.HELD, State.DROPPED} or needs_a_word(record):
        return Action.LEAVE
    if record.state is State.REFUSED and is_held(record.error_class, policy):
        return Action.LEAVE
    is_made = is_paid(record.state) or (record.state is State.FAILED and record.asset_ids)
    return Action.RESUME if is_made else Action.GENERATE


def needs_a_word(record: ItemRecord) -> bool:
    """Whether only a person's word lets it be submitted again: its jobs failed too often, or its job did not fail, and
    what it made is not known any more.
    """
    if record.state is not State.FAILED or record.asset_ids:
        return False
    return record.failed_jobs >= FAILED_JOBS_MAX or (bool(record.job_id) and not record.failed_jobs)
