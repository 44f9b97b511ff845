import os
import time
from datetime import UTC, datetime, timedelta

import pytest

from pipeline.domain.window import window_of
from pipeline.ports.clock import local_time, utc_now

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the time zone of a process cannot be set there")


@pytest.fixture
def central_europe(monkeypatch: pytest.MonkeyPatch):
    with monkeypatch.context() as patched:
        patched.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
        time.tzset()
        yield
    time.tzset()


def night(*day: int) -> list[datetime]:
    """The minutes from 18:00 UTC on, for 14 hours, by the clock on the wall."""
    return [local_time(datetime(*day, 18, tzinfo=UTC) + timedelta(minutes=it)) for it in range(14 * 60)]


@pytest.mark.usefixtures("central_europe")
@pytest.mark.parametrize(
    ("day", "hours"), [((2026, 1, 10), 8), ((2026, 3, 28), 7), ((2026, 10, 24), 9)], ids=["usual", "spring", "autumn"]
)
def test_a_window_follows_the_machines_clock(day: tuple[int, int, int], hours: int) -> None:
    assert sum(map(window_of("22:00-06:00").is_open, night(*day))) == hours * 60


def test_the_local_time_is_the_same_moment() -> None:
    now = utc_now()
    assert local_time(now) == now
