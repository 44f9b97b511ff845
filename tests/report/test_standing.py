from datetime import UTC, datetime

from pipeline.domain.items import ItemRecord
from pipeline.domain.lifecycle import State
from pipeline.report.standing import standing


def record(key: str, state: State, **known) -> ItemRecord:
    return ItemRecord(key=key, state=state, service="local", project="", model="m", params={}, pictures={}, **known)


def test_everything_is_counted_once() -> None:
    noon, later = datetime(2026, 1, 1, 12, tzinfo=UTC), datetime(2026, 1, 1, 13, tzinfo=UTC)
    found = standing(
        [
            record("a", State.DELIVERED, charged_cu=20, quoted_cu=20, asset_ids=("x",), updated_at=noon),
            record("b", State.DELIVERED, charged_cu=10, asset_ids=("y",)),
            record("c", State.SUBMITTED, quoted_cu=30, updated_at=later),
            record("d", State.FINISHED, quoted_cu=7, charged_cu=7, asset_ids=("z",)),
            record("e", State.UNCERTAIN, quoted_cu=5),
            record("f", State.FAILED, error="no"),
            record("g", State.HELD),
            record("h", State.PLANNED, quoted_cu=100),
            record("i", State.FAILED, error="no", failed_jobs=99),
        ]
    )
    assert found.total == 9
    assert found.counts[State.DELIVERED] == 2
    assert State.REFUSED not in found.counts
    assert found.charged_cu == 37
    assert found.open_cu == 35
    assert (found.left, found.wanting) == (5, 1)
    assert [one.key for one in (*found.uncertain, *found.failed, *found.held)] == ["e", "f", "i", "g"]
    assert found.updated_at == later


def test_nothing_is_a_standing_too() -> None:
    found = standing([])
    assert (found.total, found.left, found.charged_cu, found.updated_at) == (0, 0, 0, None)
