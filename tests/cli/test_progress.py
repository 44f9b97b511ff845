from datetime import UTC, datetime, timedelta

import pytest
from rich.cells import cell_len
from rich.console import Console

from pipeline.cli.progress import PlainDisplay, panel, progress
from pipeline.cli.tally import Tally
from pipeline.domain.events import ItemMoved, JobProgressed, Noted, RunStarted
from pipeline.domain.items import Alias
from pipeline.domain.lifecycle import State


def moved(name: str, after: State, detail: str = "", charged: float | None = None) -> ItemMoved:
    alias = Alias(set_id=name)
    return ItemMoved(key=name, aliases=(alias,), before=State.PLANNED, after=after, detail=detail, charged_cu=charged)


def drawn(tally: Tally, elapsed_s: float = 65) -> list[str]:
    console = Console(width=80, color_system=None, legacy_windows=False)
    with console.capture() as captured:
        console.print(panel(tally, title="props", elapsed_s=elapsed_s))
    return captured.get().splitlines()


def test_the_panel_tells_counts_price_and_time_in_80_columns() -> None:
    tally = Tally()
    tally.take(RunStarted(total=8, already_done=2, quoted_cu=160))
    for name in ("a", "b"):
        tally.take(moved(name, State.DELIVERED, charged=20))
    tally.take(moved("视图" * 50, State.SUBMITTED, detail="x" * 200))
    tally.take(moved("\x1b[2J[red]", State.FAILED, "no\nmesh"))
    lines = drawn(tally)
    assert max(map(cell_len, lines)) <= 80
    assert "props  2 of 8 meshes" in lines[0]
    assert "40 of 160 CU" in lines[0]
    assert "1:05, about" in lines[0]
    assert lines[2].split() == ["4", "waiting", "1", "generating", "2", "delivered", "1", "failed"]
    assert any("\\x1b[2J[red]  no\\nmesh" in line for line in lines)
    assert len(lines) <= 12


def test_the_time_before_the_run_has_a_face_too() -> None:
    tally = Tally()
    tally.take(Noted(message="the service is slow", level="warning"))
    first, second, *_ = drawn(tally, 3)
    assert first.startswith("props")
    assert "0:03" in first
    assert "the service is slow" in second


def test_without_a_terminal_what_ends_is_one_line() -> None:
    lines: list[str] = []
    display = PlainDisplay(lines.append, lambda: datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
    display(RunStarted(total=1, already_done=0, quoted_cu=0))
    display(moved("a", State.SUBMITTED))
    display(JobProgressed(key="a", aliases=(), progress=0.5))
    display(moved("a\nb\x1b[1m", State.FAILED, "job 7\r\nforged line"))
    assert lines == [
        "2026-01-02T03:04:05Z start 1 to do, 0 done before, 0 CU quoted",
        "2026-01-02T03:04:05Z a\\nb\\x1b[1m failed job 7\\r\\nforged line",
    ]


def test_a_log_in_which_nothing_ends_tells_where_the_run_stands() -> None:
    lines: list[str] = []
    clock = [datetime(2026, 1, 2, tzinfo=UTC)]
    display = PlainDisplay(lines.append, lambda: clock[0])
    display(RunStarted(total=3, already_done=0, quoted_cu=0))
    display(moved("a", State.SUBMITTED))
    display(moved("b", State.DELIVERED))
    for _ in range(10):
        clock[0] += timedelta(seconds=20)
        display(JobProgressed(key="a", aliases=(), progress=0.5))
    assert lines[2:] == [
        "2026-01-02T00:01:00Z so far 1 of 3 meshes; 1 waiting, 1 generating",
        "2026-01-02T00:02:00Z so far 1 of 3 meshes; 1 waiting, 1 generating",
        "2026-01-02T00:03:00Z so far 1 of 3 meshes; 1 waiting, 1 generating",
    ]


def test_progress_goes_to_stderr_alone(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("props") as display, display.paused():
        display(moved("chair", State.DELIVERED))
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.endswith("chair delivered\n")
