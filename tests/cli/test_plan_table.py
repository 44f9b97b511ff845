from rich.cells import cell_len

from pipeline.cli.plan_table import ROWS_SHOWN, plan_document, plan_table, plan_totals, price_of
from pipeline.cli.tables import as_text
from pipeline.domain.items import Alias, Finding, WorkItem
from pipeline.domain.model import PUBLISHED_SCHEMA
from pipeline.domain.planning import Action, Plan, PlannedItem, RefusedSet


def planned(name: str, action: Action = Action.GENERATE, cu: float | None = 20, **params) -> PlannedItem:
    work = WorkItem(
        key=name, model="m", params=PUBLISHED_SCHEMA.complete(params), pictures={}, aliases=(Alias(set_id=name),)
    )
    return PlannedItem(work=work, action=action, cu=cu)


def refused(name: str) -> RefusedSet:
    finding = Finding(kind="no-front", verdict="refuse", message="no front view", mend="draw it")
    return RefusedSet(aliases=(Alias(set_id=name),), findings=(finding,))


def rows(plan: Plan, width: int = 80) -> list[str]:
    return as_text(plan_table(plan), width=width).splitlines()[1:]


def test_each_item_is_a_line_and_what_is_to_do_comes_first() -> None:
    plan = Plan(
        items=(
            planned("done", Action.NOTHING, None),
            planned("chair", enablePbr=True, faceCount=90000),
            planned("lamp", cu=None),
            planned("old", Action.PLACE, None),
        ),
        refused=(refused("stool"),),
    )
    assert [line.split() for line in rows(plan)] == [
        ["chair", "generate", "faceCount", "90000,", "enablePbr", "true", "20"],
        ["lamp", "generate", "?"],
        ["old", "place"],
        ["done", "nothing"],
        ["stool", "refused", "no-front"],
    ]


def test_lines_fit_80_columns_and_obey_no_name() -> None:
    names = ["x" * 300, "视图" * 60, "\x1b[2J", "[bold]not markup[/bold]"]
    lines = rows(Plan(items=tuple(planned(name, faceCount=1234567, enablePbr=True) for name in names)))
    assert len(lines) == 4
    assert max(map(cell_len, lines)) <= 80
    assert lines[2].startswith("\\x1b[2J")
    assert lines[3].startswith("[bold]not markup[/bold]")
    assert all(line.endswith(" 20") for line in lines)


def test_a_long_plan_is_cut_and_its_totals_are_not() -> None:
    plan = Plan(items=tuple(planned(f"set {at}") for at in range(5000)))
    lines = rows(plan)
    assert len(lines) == ROWS_SHOWN + 1
    assert lines[-1] == "... and 4,970 more"
    assert plan_totals(plan, max_cu=None) == ["  5,000 generate  upload, generate, download", "cost: 100000 CU"]


def test_the_price_says_what_is_known() -> None:
    free, paid, unknown = planned("a", cu=0), planned("b", cu=20.5), planned("c", cu=None)
    assert price_of(Plan(items=(planned("x", Action.NOTHING, None),))) == "nothing to pay"
    assert price_of(Plan(items=(free,))) == "free"
    assert price_of(Plan(items=(free, paid))) == "20.5 CU"
    assert price_of(Plan(items=(paid, unknown))).startswith("at least 20.5 CU; 1 of 2 prices are not known")


def test_a_budget_is_told_when_it_may_not_do() -> None:
    plan = Plan(items=(planned("a"), planned("b")))
    assert plan_totals(plan, max_cu=40)[-1] == "cost: 40 CU"
    assert plan_totals(plan, max_cu=39)[-1].startswith("budget: 39 CU")


def test_the_document_holds_the_whole_plan() -> None:
    document = plan_document(Plan(items=(planned("a"), planned("b", Action.NOTHING, None)), refused=(refused("c"),)))
    assert document["cu"] == 20
    assert document["totals"]["generate"] == document["totals"]["nothing"] == 1
    assert [(one["names"], one["action"], one["cu"]) for one in document["items"]] == [
        (["a"], "generate", 20),
        (["b"], "nothing", None),
    ]
    assert document["refused"][0]["findings"][0]["mend"] == "draw it"
