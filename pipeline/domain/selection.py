"""The selection of a run: which sets it is about, and how many of them. Decided before anything is done."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches

from pipeline.domain.errors import UsageError
from pipeline.domain.items import Alias
from pipeline.domain.patterns import matcher
from pipeline.domain.planning import Action, Plan, PlannedItem

_BY_TURN = (Action.RESUME, Action.FETCH, Action.GENERATE)
"""What needs the service; what is paid already comes first, as in the run itself."""

_SHOWN = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Patterns of set ids (``hero/*``) and labels (``chair@pbr``); without any, every set."""

    only: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    limit: int | None = None
    """At most so many work items that need the service."""

    def of(self, plan: Plan) -> Plan:
        """The plan with what it passes over marked so (``Action.SKIP``, ``Plan.outside``); nothing is taken out of it.

        An item is in when one of its names is in: sets with equal pictures share one mesh. Meshes that are here already
        are brought to their names whatever is selected, for names may have been exchanged.

        Raises:
            UsageError: a pattern that fits no set, or patterns that leave none.
        """
        if self == EVERY_SET:
            return plan
        names = _names(plan)
        self._check(names)
        inside = self._inside(names)
        if names and not inside:
            raise UsageError("--exclude leaves out every set that --only names", mend="give one of them alone")
        asked = [one for one in plan.items if not inside.isdisjoint(one.work.aliases)]
        taken = self._limited(asked)
        items = tuple(_passed_over(one, taken=one.work.key in taken) for one in plan.items)
        within = {alias for one in asked if one.work.key in taken for alias in one.work.aliases}
        refused = {alias for one in plan.refused for alias in one.aliases} & inside
        return replace(plan, items=items, outside=frozenset(names) - within - refused)

    def _inside(self, names: Sequence[Alias]) -> frozenset[Alias]:
        wanted, unwanted = _fitting(self.only or ("*",), names), _fitting(self.exclude, names)
        return frozenset(one for one in names if wanted(one) and not unwanted(one))

    def _limited(self, asked: Sequence[PlannedItem]) -> set[str]:
        """The keys of those that the limit lets through; what needs no service does not count."""
        needy = sorted((one for one in asked if one.action in _BY_TURN), key=lambda one: _BY_TURN.index(one.action))
        over = set() if self.limit is None else {one.work.key for one in needy[self.limit :]}
        return {one.work.key for one in asked} - over

    def _check(self, names: Sequence[Alias]) -> None:
        """A mistyped pattern never lets a run do more, or less, than was meant."""
        problems = [
            f"{option} {pattern!r} fits no set; {_nearest(pattern, names)}"
            for option, patterns in (("--only", self.only), ("--exclude", self.exclude))
            for pattern in patterns
            if not any(map(_fitting([pattern], names), names))
        ]
        if problems:
            raise UsageError(
                "the selection names sets that are not there",
                mend="give set ids, or labels such as chair@pbr; * and ? stand for any letters and for one",
                problems=problems,
            )


EVERY_SET = Selection()


def _names(plan: Plan) -> list[Alias]:
    aliases = [alias for one in plan.items for alias in one.work.aliases]
    return sorted({*aliases, *(alias for one in plan.refused for alias in one.aliases)})


def _fitting(patterns: Sequence[str], names: Sequence[Alias]) -> Callable[[Alias], bool]:
    """Whether a name fits one of the patterns. One that is itself a name (``chair [old]``) is no pattern."""
    known = {text for alias in names for text in (alias.set_id, alias.label)}
    literal = known.intersection(patterns)
    fits = matcher([one for one in patterns if one not in literal])

    def fitting(alias: Alias) -> bool:
        return any(text in literal or fits(text) for text in (alias.set_id, alias.label))

    return fitting


def _passed_over(item: PlannedItem, *, taken: bool) -> PlannedItem:
    return item if taken or item.action not in _BY_TURN else replace(item, action=Action.SKIP)


def _nearest(pattern: str, names: Sequence[Alias]) -> str:
    """Up to three names that look most like the pattern, case ignored; the first three where none does."""
    labels = {alias.label: None for alias in names} if "@" in pattern else {alias.set_id: None for alias in names}
    by_fold = {name.casefold(): name for name in labels}
    by_fold |= {name.casefold().rpartition("/")[2]: name for name in labels if "/" not in pattern}
    near = [by_fold[fold] for fold in get_close_matches(pattern.casefold(), by_fold, n=_SHOWN)]
    if near:
        return f"did you mean {' or '.join(map(repr, dict.fromkeys(near)))}?"
    first = ", ".join(map(repr, list(labels)[:_SHOWN]))
    return f"there are {first}" + (f" and {len(labels) - _SHOWN:,} more" if len(labels) > _SHOWN else "")
