from pipeline.domain.trust import LEAST_DOUBT, MOST_DOUBT, Trust


def test_a_feed_is_believed_until_look_ups_find_what_it_keeps_back():
    trust = Trust()
    assert trust.doubt(0) == MOST_DOUBT
    for _ in range(10):
        trust.kept_back()
    assert trust.is_lost(0)
    assert (trust.doubt(0), trust.pause_s(0)) == (LEAST_DOUBT, 0)
    trust.told()
    assert not trust.is_lost(0)


def test_one_in_ten_kept_back_is_no_reason_to_do_without_the_feed():
    trust = Trust()
    for at in range(1_000):
        trust.kept_back() if at % 10 == 0 else trust.told()
        assert not trust.is_lost(0)


def test_look_ups_that_find_nothing_become_seldom_and_those_that_do_frequent():
    trust = Trust()
    for _ in range(20):
        trust.was_right()
    assert trust.pause_s(0) == 60
    trust.kept_back()
    trust.told()
    trust.kept_back()
    assert trust.pause_s(0) == 15


def test_a_feed_that_is_refused_is_asked_for_ever_more_seldom_until_it_answers():
    trust, waits, now = Trust(), [], 0.0
    for _ in range(8):
        trust.refused(now)
        waits.append(trust.again_at - now)
        assert trust.is_lost(now)
        now = trust.again_at
        assert not trust.is_lost(now)
    assert waits == [30, 60, 120, 240, 480, 600, 600, 600]
    trust.answered()
    trust.refused(now)
    assert trust.again_at - now == 30
