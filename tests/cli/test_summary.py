import json
from pathlib import Path

import pytest

from pipeline.batch import Outcome
from pipeline.batch.outcome import Reckoning
from pipeline.cli.summary import published, say_run, show_summary
from pipeline.domain.items import Alias
from pipeline.domain.lifecycle import State
from pipeline.domain.planning import Plan
from pipeline.domain.results import ResultError, ResultRow, as_jsonl


def row(name: str, state: State, message: str = "", mend: str = "", **known) -> ResultRow:
    error = ResultError(kind="x", message=message, mend=mend) if message else None
    return ResultRow(set=name, state=state, error=error, **known)


ROWS = [
    row("chair", State.DELIVERED),
    row("lamp", State.FAILED, "the job failed", "look at the pictures"),
    row("stool", State.HELD, reasons=("few faces",)),
    row("desk", State.DEFERRED, "over the budget"),
    row("\x1b[2J", State.UNCERTAIN),
]


def test_the_summary_counts_names_reasons_and_places(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("meshes", "held"):
        (tmp_path / "out" / name).mkdir(parents=True)
    for name in ("results.jsonl", "report.html"):
        (tmp_path / "out" / name).touch()
    wanting = tuple(one for one in ROWS if one.state in {State.FAILED, State.HELD, State.UNCERTAIN})
    show_summary(
        Outcome(delivered=1, failed=1, held=1, over_budget=1, uncertain=1, charged_cu=40, wanting=wanting),
        tmp_path / "out",
    )
    assert capsys.readouterr().out.splitlines() == [
        "failed  lamp",
        "  the job failed",
        "  mend: look at the pictures",
        "held  stool",
        "  few faces",
        "uncertain  \\x1b[2J",
        "  the answer to its submission was lost; whether it was paid is not known yet",
        "",
        "1 delivered, 1 held, 1 failed, 1 uncertain, 1 over budget; 40 CU charged",
        "  meshes   out/meshes",
        "  held     out/held",
        "  results  out/results.jsonl",
        "  report   out/report.html",
        "`mvmesh reconcile` tells what became of the uncertain submissions, and takes your word for them",
    ]


def test_what_the_service_noted_is_told_once_for_all_its_meshes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    reckoning = Reckoning(Plan(items=(), refused=()))
    guessed = "the depth is guessed"
    reckoning.add(
        [
            row("chair", State.DELIVERED, notes=(guessed,)),
            row("lamp", State.HELD, notes=(guessed, "\x1b[2J")),
            row("stool", State.FAILED, notes=("of a mesh that is gone",)),
            *(row(f"set {at}", State.DELIVERED, notes=(f"camera at {at}",)) for at in range(1, 200)),
        ]
    )
    outcome = reckoning.outcome(interrupted=False, charged_cu=0)
    assert len(outcome.remarks) == 100
    show_summary(outcome, tmp_path)
    said = capsys.readouterr().out.splitlines()
    assert said[said.index("note  lamp") + 1] == "  \\x1b[2J"
    assert said[said.index("note  set 4") + 1] == "  camera at 4"
    assert "note  set 5" not in said
    assert "... and other notes (95): see the report" in said
    assert not any("gone" in line for line in said)


def test_what_few_sets_are_told_comes_before_what_most_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reckoning = Reckoning(Plan(items=(), refused=()))
    usual = [f"usual {at}" for at in range(5)]
    reckoning.add([row("chair", State.DELIVERED, notes=(*usual,)), row("lamp", State.DELIVERED, notes=(*usual, "odd"))])
    show_summary(reckoning.outcome(interrupted=False, charged_cu=0), tmp_path)
    said = capsys.readouterr().out.splitlines()
    assert said.index("note  lamp") < said.index("note  chair and 1 more")
    assert said[said.index("note  chair and 1 more") + 1] == "  usual 0"


def test_the_notes_of_one_set_stand_below_its_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reckoning = Reckoning(Plan(items=(), refused=()))
    reckoning.add([row("chair", State.DELIVERED, notes=("one", "two")), row("lamp", State.DELIVERED, notes=("three",))])
    show_summary(reckoning.outcome(interrupted=False, charged_cu=0), tmp_path)
    said = capsys.readouterr().out.splitlines()
    assert said[:5] == ["note  chair", "  one", "  two", "note  lamp", "  three"]


def test_many_failures_are_cut(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wanting = tuple(row(f"set {at}", State.FAILED, "no") for at in range(100))
    show_summary(Outcome(failed=500, wanting=wanting), tmp_path)
    shown = capsys.readouterr().out
    assert "... and 480 more: see the report" in shown
    assert len(shown.splitlines()) < 50


def test_the_document_holds_every_row_that_was_published(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "results.jsonl").write_text(as_jsonl(ROWS))
    say_run(Outcome(delivered=1, interrupted=True), published(tmp_path, outside=()), tmp_path)
    said = capsys.readouterr().out
    assert said.isascii()
    document = json.loads(said)
    assert (document["schema"], document["output"]) == (1, str(tmp_path))
    assert document["outcome"]["delivered"] == 1
    assert document["outcome"]["interrupted"] is True
    assert [one["set"] for one in document["results"]] == [one.set for one in ROWS]
    assert document["results"][0]["schema"] == 1


def test_rows_outside_the_selection_are_left_out_of_the_document(tmp_path: Path) -> None:
    (tmp_path / "results.jsonl").write_text(as_jsonl(ROWS))
    inside = published(tmp_path, outside={Alias(set_id="lamp"), Alias(set_id="desk")})
    assert [one["set"] for one in inside] == ["chair", "stool", "\x1b[2J"]
