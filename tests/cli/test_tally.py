import pytest

from pipeline.cli.tally import STAGES, Tally
from pipeline.domain.events import ItemMoved, JobProgressed, Noted, RunEnded, RunStarted
from pipeline.domain.items import Alias
from pipeline.domain.lifecycle import State


def moved(key: str, after: State, *, charged: float | None = None, aliases: int = 1) -> ItemMoved:
    names = [Alias(set_id=f"{key}{at or ''}") for at in range(aliases)]
    return ItemMoved(key=key, aliases=names, before=State.PLANNED, after=after, charged_cu=charged)


def started(total: int, quoted: float | None = 0.0) -> RunStarted:
    return RunStarted(total=total, already_done=1, quoted_cu=quoted)


def test_every_state_is_shown_in_exactly_one_stage() -> None:
    assert sorted(state for states in STAGES.values() for state in states) == sorted(State)


def test_items_are_counted_where_they_stand() -> None:
    tally = Tally()
    tally.take(started(5, 100))
    for state in (State.UPLOADING, State.READY, State.SUBMITTING, State.SUBMITTED):
        tally.take(moved("a", state))
    tally.take(moved("b", State.UPLOADING))
    tally.take(moved("c", State.DELIVERED, charged=20))
    tally.take(moved("d", State.FAILED))
    counts = {name: count for name, count in tally.stage_counts().items() if count}
    assert counts == {"waiting": 1, "uploading": 1, "generating": 1, "delivered": 1, "failed": 1}
    assert (tally.made, tally.done, tally.charged_cu, tally.quoted_cu) == (1, 2, 20, 100)


def test_a_charge_is_the_sum_of_an_item_so_far_and_counts_once() -> None:
    tally = Tally()
    tally.take(moved("a", State.FINISHED, charged=20))
    tally.take(moved("a", State.DELIVERED, charged=20))
    tally.take(moved("b", State.FINISHED, charged=5))
    assert tally.charged_cu == 25


def test_progress_only_grows_along_the_way_and_ends_whole() -> None:
    tally, seen = Tally(), []
    tally.take(started(1))
    way = [moved("a", state) for state in (State.PLANNED, State.UPLOADING, State.READY, State.SUBMITTED)]
    jobs = [JobProgressed(key="a", aliases=(), progress=share) for share in (0.2, 0.9, 7.0)]
    for event in (*way, *jobs, moved("a", State.FINISHED), moved("a", State.DOWNLOADED), moved("a", State.DELIVERED)):
        tally.take(event)
        seen.append(tally.fraction)
    assert seen == sorted(seen)
    assert seen[-1] == 1.0


def test_time_left_follows_the_pace() -> None:
    tally = Tally()
    tally.take(started(4))
    assert tally.left_s(10) is None
    tally.take(moved("a", State.DELIVERED))
    assert tally.left_s(10) == pytest.approx(30)
    for key in "bcd":
        tally.take(moved(key, State.FAILED))
    assert tally.left_s(40) is None


def test_what_is_worth_a_line_gets_one() -> None:
    tally = Tally()
    lines = [
        tally.take(event)
        for event in (
            started(3, None),
            moved("props/lamp", State.SUBMITTED),
            moved("props/chair", State.DELIVERED, aliases=3),
            JobProgressed(key="a", aliases=(), progress=0.5),
            Noted(message="ceiling is 4", level="warning"),
            RunEnded(delivered=2, failed=0, uncertain=0, deferred=1),
        )
    ]
    assert [(one.label, one.word, one.detail) for one in lines if one] == [
        ("", "start", "3 to do, 1 done before, price not known"),
        ("props/chair (and 2 more)", "delivered", ""),
        ("", "warning", "ceiling is 4"),
        ("", "end", "2 delivered, 0 failed, 1 deferred"),
    ]
    assert len(tally.recent) == 3
