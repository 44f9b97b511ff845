import math
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.domain.durations import KINDS, SAMPLES, Durations, Expected, InFlight, Outlook, kind_of

ages = st.floats(0, 1e6)
expectations = st.builds(Expected, st.floats(0.05, 1e5), st.floats(0.5, 22.0))


def learned(*batches):
    durations = Durations()
    for params, seconds in batches:
        for one in seconds:
            durations.learn(kind_of(params), one)
    return durations


def lognormal(median_s, sigma, count, seed=1):
    chance = Random(seed)
    return [median_s * math.exp(chance.gauss(0, sigma)) for _ in range(count)]


@given(expectations, ages, st.floats(0.01, 0.99))
def test_the_age_of_a_chance_is_the_chance_of_that_age(expected, told_s, chance):
    age_s = expected.age_s(told_s, chance)
    assert age_s >= told_s * (1 - 1e-9)
    assert expected.chance(told_s, age_s) == pytest.approx(chance, abs=1e-6)


@given(expectations, ages, ages)
def test_a_chance_is_one(expected, told_s, age_s):
    assert 0 <= expected.chance(told_s, age_s) <= 1


def test_half_of_all_jobs_have_ended_at_the_median():
    assert Expected(60.0, 5.0).chance(0.0, 60.0) == pytest.approx(0.5)


def test_of_a_service_that_nobody_has_seen_anything_is_possible():
    expected = Durations().expected("any")
    assert expected.chance(0, 1) > 0.1
    assert expected.chance(0, 420) < 0.9


def test_what_was_seen_is_expected():
    expected = learned(({}, lognormal(180, 0.3, 100))).expected(kind_of({}))
    assert expected.median_s == pytest.approx(180, rel=0.1)
    assert expected.chance(0, 180 * math.exp(-2 * 0.3)) < 0.06
    assert expected.chance(0, 180 * math.exp(2 * 0.3)) > 0.94


def test_three_jobs_tell_the_order_of_magnitude():
    expected = learned(({}, [5.0, 6.0, 4.0])).expected(kind_of({}))
    assert 3.5 < expected.median_s < 7


def test_parameters_make_a_difference_and_their_order_none():
    durations = learned(
        ({"enablePbr": True, "faceCount": 1}, lognormal(300, 0.2, 40)),
        ({"enablePbr": False, "faceCount": 1}, lognormal(60, 0.2, 40)),
    )
    long, short = (durations.expected(kind_of({"faceCount": 1, "enablePbr": pbr})) for pbr in (True, False))
    assert long.median_s == pytest.approx(300, rel=0.15)
    assert short.median_s == pytest.approx(60, rel=0.15)
    assert 60 < durations.expected(kind_of({"faceCount": 9})).median_s < 300, "between all that were seen"


def test_one_job_of_a_kind_moves_what_is_expected_of_it_alone():
    durations = learned(({"a": 1}, [60.0] * 40), ({"a": 2}, [200.0]))
    assert durations.expected(kind_of({"a": 2})).median_s > 1.5 * durations.expected(kind_of({"a": 1})).median_s


def test_jobs_that_end_at_once_are_no_trouble():
    expected = learned(({}, [0.0] * 10)).expected(kind_of({}))
    assert 0 < expected.median_s < 0.1


def test_memory_is_bounded_however_many_jobs_and_kinds():
    durations = Durations()
    for at in range(20 * KINDS):
        durations.learn(kind_of({"seed": at}), 60.0)
    for _ in range(20 * SAMPLES):
        durations.learn(kind_of({"seed": 1}), 60.0)
    assert len(durations._logs) <= KINDS
    assert all(len(one) <= SAMPLES for one in durations._logs.values())
    for at in range(1_000):
        durations.expected(kind_of({"seed": at}))
    assert len(durations._expected) <= KINDS + 1


def test_a_change_at_the_service_is_learned():
    durations = learned(({}, lognormal(60, 0.2, 400)), ({}, lognormal(120, 0.2, 200, seed=2)))
    assert durations.expected(kind_of({})).median_s == pytest.approx(120, rel=0.1)


def test_the_longest_is_told_once_enough_were_seen():
    assert learned(({}, [5.0, 9.0])).longest_s(of_at_least=3) is None
    assert learned(({}, [5.0, 9.0, 7.0])).longest_s(of_at_least=3) == pytest.approx(9)


def steady(count, job_s=180.0):
    """Jobs of all ages, as in the midst of a long run."""
    expected = Expected(job_s, 6.0)
    return [InFlight(expected, -at * job_s / count) for at in range(count)]


def test_an_outlook_counts_the_ends_of_jobs():
    outlook = Outlook(steady(1_000), looked_at=0.0, weight=1_000)
    assert outlook.ended(0.0) == 0
    assert outlook.ended(1.8) == pytest.approx(10 * math.log(2), rel=0.05), "those beyond their median are left out"


def test_a_sample_stands_for_all():
    jobs = steady(6_400)
    all_of_them = sum(one.expected.chance(-one.since, 2.0 - one.since) for one in jobs)
    assert Outlook(jobs, looked_at=0.0, weight=6_400).ended(2.0) == pytest.approx(all_of_them, rel=0.05)


def test_the_moment_of_a_look_lies_within_its_bounds():
    outlook = Outlook(steady(100), looked_at=0.0, weight=100)
    at = outlook.when(5.0, earliest=0.5, latest=100.0)
    assert outlook.ended(at) == pytest.approx(5, rel=0.01)
    assert outlook.when(1e-9, earliest=0.5, latest=100.0) == 0.5
    assert outlook.when(1e9, earliest=0.5, latest=100.0) == 100.0
