import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.domain.lifecycle import Event, IllegalTransition, State, advance, is_paid

BEFORE_PAYMENT = {State.PLANNED, State.UPLOADING, State.READY}
WAYS_BACK = {
    (State.SUBMITTING, Event.NOT_SENT),
    (State.SUBMITTING, Event.ASSET_LOST),
    (State.UNCERTAIN, Event.SUBMISSION_ABSENT),
    (State.FINISHED, Event.RESULT_LOST),
    (State.DELIVERED, Event.RESULT_LOST),
    (State.HELD, Event.RESULT_LOST),
    (State.HELD, Event.REJECT),
}
"""The only edges from an item that was submitted to one that may be submitted anew; from REFUSED, FAILED, DEFERRED and
DROPPED it is PLAN, which the planner asks for only where no job has made anything.
"""


def edges():
    for before in State:
        for event in Event:
            try:
                yield before, event, advance(before, event)
            except IllegalTransition:
                continue


def test_only_named_edges_lead_back_to_before_payment():
    rested = {State.REFUSED, State.FAILED, State.DEFERRED, State.DROPPED}
    back = {
        (before, event)
        for before, event, after in edges()
        if after in BEFORE_PAYMENT and before not in BEFORE_PAYMENT | rested
    }
    assert back == WAYS_BACK
    assert {event for before, event, after in edges() if before in rested and after in BEFORE_PAYMENT} == {Event.PLAN}


def test_money_is_spent_by_one_edge_alone():
    into_paid = {(before, event) for before, event, after in edges() if is_paid(after) and not is_paid(before)}
    assert into_paid == {
        (State.READY, Event.INTEND),
        (State.DELIVERED, Event.MISSING),
        (State.HELD, Event.MISSING),
        (State.FAILED, Event.TRY_AGAIN),
    }
    assert [after for _, event, after in edges() if event is Event.INTEND] == [State.SUBMITTING]


def test_a_job_is_known_before_anything_is_said_of_its_result():
    into_submitted = {(before, event) for before, event, after in edges() if after is State.SUBMITTED}
    assert into_submitted == {
        (State.SUBMITTING, Event.ACCEPTED_BY_SERVICE),
        (State.UNCERTAIN, Event.SUBMISSION_FOUND),
    }


def test_an_uncertain_item_neither_fails_nor_is_planned():
    after = {event: state for before, event, state in edges() if before is State.UNCERTAIN}
    assert after == {Event.SUBMISSION_FOUND: State.SUBMITTED, Event.SUBMISSION_ABSENT: State.READY}


@pytest.mark.parametrize("state", State)
def test_every_state_can_still_end_as_a_mesh(state):
    reached, todo = {state}, [state]
    while todo:
        here = todo.pop()
        for before, _, after in edges():
            if before is here and after not in reached:
                reached.add(after)
                todo.append(after)
    assert State.DELIVERED in reached


def test_only_a_person_gives_up():
    assert {event for _, event, after in edges() if after is State.DROPPED} == {Event.DROP}


@given(st.lists(st.sampled_from(Event), max_size=60))
def test_no_sequence_of_events_submits_twice_without_a_reason(events):
    """Between two intents something has said that the first made no job, or that its result is no more."""
    state, may_intend = State.PLANNED, True
    for event in events:
        try:
            after = advance(state, event)
        except IllegalTransition:
            continue
        if event is Event.INTEND:
            assert may_intend, "a second submission while the first may be alive"
            may_intend = False
        if (state, event) in WAYS_BACK or after is State.FAILED:
            may_intend = True
        state = after


def test_an_illegal_transition_is_a_bug_that_says_what_was_asked():
    with pytest.raises(IllegalTransition, match="uploaded cannot happen to an item that is delivered"):
        advance(State.DELIVERED, Event.UPLOADED)
