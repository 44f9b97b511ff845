"""A plan to read: what would be done about which set, and what it costs."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.table import Table

from pipeline.cli.tables import cell, elastic, fixed, new_table
from pipeline.cli.tally import label_of
from pipeline.domain.manifest import Manifest
from pipeline.domain.model import PUBLISHED_SCHEMA
from pipeline.domain.planning import Action, Plan, PlannedItem
from pipeline.domain.run_options import RunOptions

ROWS_SHOWN = 30
"""Of a longer plan the rest is told as counts."""

MEANINGS: Mapping[Action, str] = {
    Action.GENERATE: "upload, generate, download",
    Action.RESUME: "carry on with a job that is, or may be, paid",
    Action.FETCH: "download again",
    Action.PLACE: "copy or move what is here",
    Action.LEAVE: "left to a person",
    Action.NOTHING: "done",
    Action.SKIP: "outside the selection",
}
"""Every action in the order of a plan's rows."""


def plan_table(plan: Plan) -> Table:
    """One line a work item, what is to be done first; refused sets last. Long plans are cut."""
    table = new_table()
    elastic(table, "SET")
    fixed(table, "ACTION")
    elastic(table, "PARAMETERS")
    fixed(table, "CU", justify="right")
    rows = _rows(plan)
    for label, action, params, cu in rows[:ROWS_SHOWN]:
        table.add_row(cell(label), cell(action, _STYLES.get(action, "")), cell(params), cu)
    if len(rows) > ROWS_SHOWN:
        table.add_row(cell(f"... and {len(rows) - ROWS_SHOWN:,} more", "dim"))
    return table


_STYLES = {"generate": "cyan", "refused": "red", "leave": "magenta", "nothing": "dim"}


def _rows(plan: Plan) -> list[tuple[str, str, str, str]]:
    order = list(MEANINGS)
    inside = [one for one in plan.items if one.action is not Action.SKIP]
    items = sorted(inside, key=lambda one: order.index(one.action))
    refused = [(label_of(one.aliases), "refused", one.findings[0].kind, "") for one in plan.refused_inside]
    return [(label_of(one.work.aliases), one.action.value, _params(one), _cu(one)) for one in items] + refused


def _params(item: PlannedItem) -> str:
    if item.action is Action.LEAVE and item.record is not None:  # why, instead
        return ": ".join(one for one in (item.record.state.value, item.record.error_class) if one)
    return ", ".join(f"{name} {_plain(value)}" for name, value in chosen(item.work.params).items())


def _plain(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def chosen(params: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters that are not the model's default."""
    choices = PUBLISHED_SCHEMA.choices
    return {name: value for name, value in params.items() if name not in choices or choices[name].default != value}


def _cu(item: PlannedItem) -> str:
    if not item.may_spend:
        return ""
    return "?" if item.cu is None else f"{item.cu:g}"


def plan_totals(plan: Plan, *, max_cu: float | None) -> list[str]:
    """The sums below the table: a line an action that occurs, then the price, then the budget if it may not do."""
    counts = Counter(one.action for one in plan.items)
    lines = [f"{counts[action]:>7,} {action:<9} {MEANINGS[action]}" for action in MEANINGS if counts[action]]
    if plan.refused_inside:
        lines.append(f"{len(plan.refused_inside):>7,} {'refused':<9} see mvmesh check")
    if not plan.items and not plan.refused:
        lines.append("no image set found")
    lines.append(f"cost: {price_of(plan)}")
    if max_cu is not None and (plan.cu is None or plan.cu > max_cu):
        lines.append(f"budget: {max_cu:g} CU; what is over it is left for a later run")
    return lines


def foreseen(plan: Plan, manifest: Manifest, options: RunOptions, *, local: datetime) -> Iterator[str]:
    """What a person who is asked to pay should know: the run would submit nothing, or not what the manifest says."""
    yield from options.told_over(manifest)
    window = manifest.limits.window
    if window is not None and not window.is_open(local):
        yield f"window: {window}, and it is {local:%H:%M}: nothing is submitted now, all of it is left for later"
    if options.fail_fast and plan.refused_inside:
        yield "a set is refused, and --fail-fast stands: nothing is submitted"


def price_of(plan: Plan) -> str:
    """``free``, ``nothing to pay``, ``120 CU``, ``at least 40 CU; 3 of 5 prices are not known ...``"""
    prices = [one.cu for one in plan.items if one.may_spend]
    known = sum(price for price in prices if price is not None)
    unknown = prices.count(None)
    if not prices:
        return "nothing to pay"
    if not unknown:
        return f"{known:g} CU" if known else "free"
    least = f"at least {known:g} CU; " if known else ""
    return f"{least}{unknown} of {len(prices)} prices are not known before a run asks the service"


def plan_document(plan: Plan) -> dict[str, Any]:
    """The plan for programs, without the schema's version."""
    return {
        "cu": plan.cu,
        "totals": {action.value: len(plan.having(action)) for action in Action},
        "items": [_item(one) for one in plan.items],
        "refused": [
            {
                "names": [alias.label for alias in one.aliases],
                "findings": [{"kind": it.kind, "message": it.message, "mend": it.mend} for it in one.findings],
            }
            for one in plan.refused_inside
        ],
        "notes": [
            {"set": alias.set_id, "kind": one.kind, "verdict": one.verdict, "message": one.message}
            for alias, one in plan.notes
        ],
    }


def _item(item: PlannedItem) -> dict[str, Any]:
    return {
        "names": [alias.label for alias in item.work.aliases],
        "key": item.work.key,
        "action": item.action.value,
        "state": item.record.state.value if item.record else None,
        "params": dict(item.work.params),
        "views": _views(item),
        "cu": item.cu,
    }


def _views(item: PlannedItem) -> Sequence[str]:
    return [view.value for view in item.work.pictures]
