from datetime import datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.domain.window import Window, window_of

MINUTES = st.integers(0, 24 * 60 - 1)


def at(text: str) -> datetime:
    return datetime.fromisoformat(f"2026-05-04T{text}")


def minute(number: int) -> time:
    return time(number // 60, number % 60)


@pytest.mark.parametrize(
    ("text", "opens", "shuts"),
    [
        ("22:00-06:00", ["22:00", "23:59:59.999999", "00:00", "05:59:59"], ["06:00", "12:00", "21:59:59"]),
        ("09:00-17:30", ["09:00", "17:29:59"], ["08:59:59", "17:30", "00:00"]),
        ("18:00-24:00", ["18:00", "23:59:59"], ["00:00", "17:59"]),
        ("00:00-06:00", ["00:00", "05:59"], ["06:00", "23:59"]),
        ("23:59-00:00", ["23:59", "23:59:59"], ["00:00", "23:58:59"]),
    ],
)
def test_a_window_is_open_from_its_beginning_up_to_its_end(text: str, opens: list[str], shuts: list[str]) -> None:
    window = window_of(text)
    assert all(window.is_open(at(one)) for one in opens)
    assert not any(window.is_open(at(one)) for one in shuts)


@given(MINUTES, MINUTES, MINUTES)
def test_a_window_and_its_reverse_share_the_day(begins: int, ends: int, now: int) -> None:
    if begins == ends:
        return
    window, rest = Window(begins=minute(begins), ends=minute(ends)), Window(begins=minute(ends), ends=minute(begins))
    moment = datetime.combine(at("00:00").date(), minute(now))
    assert window.is_open(moment) is not rest.is_open(moment)
    assert window.is_open(moment) is ((now - begins) % 1440 < (ends - begins) % 1440)


@given(MINUTES, MINUTES)
def test_what_a_window_is_shown_as_is_read_as_the_same(begins: int, ends: int) -> None:
    if begins != ends:
        window = Window(begins=minute(begins), ends=minute(ends))
        assert window_of(str(window)) == window


@pytest.mark.parametrize("text", ["", "22-6", "25:00-06:00", "22:60-06:00", "24:00-06:00", "06:00-24:01", "22:00"])
def test_what_is_no_window(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        window_of(text)


@pytest.mark.parametrize("text", ["06:00-06:00", "00:00-24:00"])
def test_a_window_without_an_inside_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="leave it out"):
        window_of(text)


def hours_open(text: str, night: list[datetime]) -> float:
    """How long a window is open over moments that lie a minute apart."""
    return sum(map(window_of(text).is_open, night)) / 60


def test_when_the_clocks_change_the_clock_on_the_wall_counts() -> None:
    """What the wall shows, minute by minute, in the nights of the change in Central Europe (02:00-03:00)."""
    spring = [at("20:00") + timedelta(minutes=it + (60 if it >= 6 * 60 else 0)) for it in range(12 * 60)]
    autumn = [at("20:00") + timedelta(minutes=it - (60 if it >= 7 * 60 else 0)) for it in range(14 * 60)]
    assert hours_open("22:00-06:00", spring) == 7
    assert hours_open("22:00-06:00", autumn) == 9
    assert hours_open("02:15-02:45", spring) == 0
    assert hours_open("02:15-02:45", autumn) == 1
