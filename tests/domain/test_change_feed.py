from datetime import UTC, datetime, timedelta

from pipeline.domain.change_feed import DEEP, ChangeFeed
from pipeline.domain.jobs import Job, JobPage, JobStatus

NOON = datetime(2031, 5, 1, 12, 0, tzinfo=UTC)


def at(seconds):
    return NOON + timedelta(seconds=seconds)


def job(updated_s, job_id="job"):
    return Job(job_id=job_id, status=JobStatus.SUCCESS, updated_at=at(updated_s), asset_ids=("asset",))


def look(feed, *jobs, now_s, ahead_s=0):
    knew = feed.ahead is not None
    feed.page_read(JobPage(jobs=jobs, told_at=at(now_s + ahead_s)), at(now_s))
    feed.look_ended(at(now_s), knew_ahead=knew)


def reach_s(feed, now_s, *, deep=False):
    """How far back the next look reaches."""
    return (at(now_s) - feed.since(at(now_s), deep=deep)).total_seconds()


def test_the_first_look_reaches_back_to_the_oldest_job_that_is_waited_for():
    feed = ChangeFeed()
    feed.want(at(-7_200), at(0))
    feed.want(at(-60), at(0))
    assert feed.is_behind
    assert reach_s(feed, 0) == 7_200 + DEEP.total_seconds()
    look(feed, job(-5_000), now_s=0)
    assert not feed.is_behind
    feed.want(at(-3_000), at(1))
    assert not feed.is_behind, "that was read already"
    feed.want(at(-9_000), at(1))
    assert feed.is_behind


def test_jobs_of_this_run_are_no_reason_to_hurry():
    feed = ChangeFeed()
    feed.want(at(0), at(0))
    assert not feed.is_behind
    assert reach_s(feed, 90) >= 90, "the first look shows them all the same"


def test_later_looks_reach_back_a_little_and_deep_ones_far():
    feed = ChangeFeed()
    look(feed, job(-1), now_s=0)
    assert reach_s(feed, 0.5) == 3.5
    assert reach_s(feed, 0.5, deep=True) == 1.5 + DEEP.total_seconds()


def test_what_changed_long_ago_is_not_read_for_ever():
    feed = ChangeFeed()
    look(feed, job(0), now_s=0)
    look(feed, now_s=100)
    assert reach_s(feed, 100) < 40


def test_a_feed_that_shows_changes_late_is_read_further_back_for_a_while():
    feed = ChangeFeed()
    look(feed, job(0), now_s=0)
    look(feed, job(10), now_s=10)
    assert feed.is_late(job(4))
    feed.shown_late(job(4))
    look(feed, job(20), now_s=20)
    assert 13 < reach_s(feed, 20) < 15
    for second in range(21, 800):
        look(feed, job(second), now_s=second)
    assert reach_s(feed, 799) < 3


def test_a_list_that_is_a_minute_old_is_read_from_there():
    feed = ChangeFeed()
    look(feed, job(-60), now_s=0)
    feed.shown_late(job(-60))
    look(feed, job(-50), now_s=10)
    assert reach_s(feed, 10) > 62


def test_clocks_are_told_apart():
    for ahead_s in (-86_400, 86_400):
        feed = ChangeFeed()
        feed.want(at(-600), at(0))
        look(feed, now_s=0, ahead_s=ahead_s)
        assert feed.is_behind, "its clock was not known when the look began"
        since = feed.since(at(1), deep=False)
        assert since == at(-600 + ahead_s) - DEEP
        look(feed, now_s=1, ahead_s=ahead_s)
        assert not feed.is_behind


def test_a_date_in_the_future_hides_nothing():
    feed = ChangeFeed()
    look(feed, job(5_000), job(-1), now_s=0)
    assert reach_s(feed, 1) < 10


def test_a_service_that_tells_no_time_is_read_deep_each_time():
    feed = ChangeFeed()
    feed.page_read(JobPage(jobs=(job(0),)), at(0))
    feed.look_ended(at(0), knew_ahead=False)
    assert reach_s(feed, 1) == 1 + DEEP.total_seconds()
    assert not feed.is_late(job(-100))


def test_jobs_of_whom_nobody_asked_yet_are_kept_within_bounds():
    feed = ChangeFeed()
    for number in range(5_000):
        feed.keep(job(0, f"job {number}"))
    assert feed.claim("job 0") is None
    assert feed.claim("job 4999") == job(0, "job 4999")
    assert feed.claim("job 4999") is None
    assert len(feed._unclaimed) <= 2_000
