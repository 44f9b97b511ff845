"""From checked sets to work items, and what each of them still needs: decided here, without I/O."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from pipeline.domain.items import Alias, CheckedSet, Finding, ItemRecord, WorkItem, content_key
from pipeline.domain.lifecycle import State, is_paid
from pipeline.domain.model import ModelSchema

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
    """A person has to decide first (held, failed too often), or has decided (dropped)."""
    SKIP = "skip"
    """Outside the selection of this run: it stays as the ledger has it."""


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
        return self.having(Action.GENERATE, Action.RESUME, Action.FETCH, Action.PLACE)

    @property
    def done(self) -> int:
        """How many items need nothing more."""
        return len(self.items) - len(self.to_do) - len(self.having(Action.SKIP))

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


def work_items(
    sets: Sequence[CheckedSet],
    variants: Sequence[Variant],
    *,
    defaults: Mapping[str, Any],
    service: str,
    project: str,
    model: str,
    schema: ModelSchema,
) -> tuple[list[WorkItem], list[RefusedSet]]:
    """Every set times variant times copy. Equal content becomes one work item with several aliases."""
    found: dict[str, WorkItem] = {}
    refused: list[RefusedSet] = []
    for checked in sets:
        for variant in variants:
            aliases = _aliases(checked, variant)
            if checked.is_refused:
                refused.append(RefusedSet(aliases=aliases, findings=checked.findings))
                continue
            params = schema.complete({**defaults, **checked.image_set.params, **variant.params})
            for alias in aliases:
                key = content_key(
                    service=service,
                    project=project,
                    model=model,
                    params=params,
                    pictures={view: one.sha256 for view, one in checked.pictures.items()},
                    copy=alias.copy,
                )
                work = found.get(key) or WorkItem(
                    key=key, model=model, params=params, pictures=checked.pictures, copy=alias.copy
                )
                found[key] = work.also(alias)
    return list(found.values()), refused


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
    action = _action(record, unplaced, has_source=has_source)
    if action is Action.FETCH and not results_last:
        action = Action.GENERATE
    return PlannedItem(work=work, action=action, record=record, unplaced=unplaced)


def _action(record: ItemRecord | None, unplaced: Sequence[Alias], *, has_source: bool) -> Action:
    if record is None:
        return Action.GENERATE
    if record.state in {State.DELIVERED, State.HELD} and unplaced:
        return Action.PLACE if has_source else Action.FETCH
    if record.state is State.DELIVERED:
        return Action.NOTHING
    if record.state in {State.HELD, State.DROPPED} or needs_a_word(record):
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
