from datetime import UTC, datetime, timedelta

from pipeline.domain.change_feed import DEEP, ChangeFeed
from pipeline.domain.jobs import Job, JobPage, JobStatus

NOON = datetime(2031, 5, 1, 12, 0, tzinfo=UTC)


def at(seconds):
    return NOON + timedelta(seconds=seconds)


def job(updated_s, job_id="job"):
    return Job(job_id=job_id, status=JobStatus.SUCCESS, updated_at=at(updated_s), asset_ids=("asset",))


def look(feed, *jobs, now_s, ahead_s=0):
    knew, reading = feed.ahead is not None, feed.reading(at(now_s), deep=False, beyond=0)
    page = JobPage(jobs=jobs, told_at=at(now_s + ahead_s))
    feed.page_read(page, at(now_s))
    reading.page_read(page)
    feed.look_ended(at(now_s), reading, knew_ahead=knew)


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
    feed.shown(job(4))
    look(feed, job(20), now_s=20)
    assert 13 < reach_s(feed, 20) < 15
    for second in range(21, 800):
        look(feed, job(second), now_s=second)
    assert reach_s(feed, 799) < 3


def test_a_list_that_is_a_minute_old_is_read_from_there():
    feed = ChangeFeed()
    feed.want(at(-70), at(0))
    look(feed, job(-60), now_s=0)
    feed.shown(job(-60))
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
    look_without_a_date(feed, job(0), now_s=0)
    assert reach_s(feed, 1) == 1 + DEEP.total_seconds()
    feed.shown(job(-100))
    assert feed.is_kept_back(job(-100))
    assert reach_s(feed, 1) == 1 + DEEP.total_seconds(), "nobody knows how late that is"
    assert pages_read(feed.reading(at(1), deep=False, beyond=0), *(full_page(-one) for one in range(20))) is None


def look_without_a_date(feed, *jobs, now_s):
    reading, page = feed.reading(at(now_s), deep=False, beyond=0), JobPage(jobs=jobs)
    feed.page_read(page, at(now_s))
    reading.page_read(page)
    feed.look_ended(at(now_s), reading, knew_ahead=False)


def full_page(*updated_s):
    return JobPage(
        jobs=tuple(job(one, f"job {one} {number}") for number, one in enumerate(updated_s)), next_page="more"
    )


def seen_until_a_hundred(*late):
    """A feed whose last look saw what changed until then; it has shown many changes in their order, and then these."""
    feed = ChangeFeed()
    look(feed, job(99.9), now_s=99.9)
    look(feed, job(100), now_s=100)
    for one in [job(100)] * 400 + list(late):
        feed.shown(one)
    feed.reading(at(101), deep=False, beyond=0)
    return feed


def pages_read(reading, *pages):
    for count, page in enumerate(pages, start=1):
        reading.page_read(page)
        if reading.is_enough:
            return count
    return None


def test_a_look_ends_once_it_comes_to_what_was_seen():
    reading = seen_until_a_hundred().reading(at(101), deep=False, beyond=0)
    assert pages_read(reading, full_page(101, 100.5), full_page(100.4, 99.5), full_page(99)) == 2
    assert not reading.is_whole


def test_changes_of_one_moment_are_all_read():
    """The last look may have seen some of them."""
    reading = seen_until_a_hundred().reading(at(101), deep=False, beyond=0)
    assert pages_read(reading, full_page(101, 100), full_page(100, 100), full_page(100, 99)) == 3


def test_now_and_then_a_look_goes_on_below_and_the_first_one_to_the_end():
    pages = [full_page(one, one - 0.5) for one in range(101, 90, -1)]
    assert pages_read(seen_until_a_hundred().reading(at(101), deep=False, beyond=2), *pages) == 4
    assert pages_read(ChangeFeed().reading(at(101), deep=False, beyond=0), *pages) is None


def test_a_list_that_is_not_in_order_or_has_no_dates_is_read_to_its_end():
    undated = JobPage(jobs=(Job(job_id="job", status=JobStatus.SUCCESS),), next_page="more")
    last = JobPage(jobs=())
    for page in (full_page(99, 101), undated, JobPage(jobs=(), next_page="more")):
        reading = seen_until_a_hundred().reading(at(101), deep=False, beyond=0)
        assert pages_read(reading, page, page, last) == 3


TENTHS = [full_page(100 - one / 10) for one in range(1, 60)]


def test_a_list_is_read_two_seconds_below_what_was_seen_until_it_has_shown_its_order():
    feed = ChangeFeed()
    look(feed, job(100), now_s=100)
    assert pages_read(feed.reading(at(101), deep=False, beyond=0), *TENTHS) == 21
    assert pages_read(seen_until_a_hundred().reading(at(101), deep=False, beyond=0), *TENTHS) == 3


def test_what_comes_out_of_order_is_read_for_from_then_on():
    feed = seen_until_a_hundred(job(99.4))
    assert pages_read(feed.reading(at(101), deep=False, beyond=0), *TENTHS) == 11, "twice as late a one would be seen"
    for _ in range(200):
        feed.shown(job(101))
    assert pages_read(feed.reading(at(101), deep=False, beyond=0), *TENTHS) == 3, "it was the only one"


def test_an_end_that_a_look_up_had_to_find_is_a_reason_to_read_on():
    feed = seen_until_a_hundred()
    feed.looked_up(job(99.5))
    assert pages_read(feed.reading(at(101), deep=False, beyond=0), *TENTHS) == 3, "no look was due to show it"
    feed.looked_up(job(97.5))
    assert pages_read(feed.reading(at(101), deep=False, beyond=0), *TENTHS) == 21


def test_a_job_of_an_earlier_run_is_looked_for_to_the_end():
    feed = seen_until_a_hundred()
    feed.want(at(-500), at(101))
    pages = [full_page(one) for one in range(101, 90, -1)]
    assert pages_read(feed.reading(at(101), deep=False, beyond=0), *pages) is None


def test_a_feed_is_not_blamed_for_what_was_not_read():
    feed = seen_until_a_hundred()
    assert feed.is_kept_back(job(97))
    reading, page = feed.reading(at(110), deep=False, beyond=0), full_page(110, 99)
    feed.page_read(page, at(110))
    reading.page_read(page)
    feed.look_ended(at(110), reading, knew_ahead=True)
    look(feed, job(120), now_s=120)
    assert not feed.is_kept_back(job(105)), "nobody looked below what was seen"
    look(feed, job(130), now_s=130)
    assert feed.is_kept_back(job(125))
