"""The states of a work item and the one function that moves it between them."""

from enum import StrEnum
from typing import assert_never


class State(StrEnum):
    """Where a work item stands. Every change is a committed ledger row before the next effect."""

    PLANNED = "planned"
    UPLOADING = "uploading"
    READY = "ready"
    SUBMITTING = "submitting"
    SUBMITTED = "submitted"
    FINISHED = "finished"
    DOWNLOADED = "downloaded"
    DELIVERED = "delivered"
    HELD = "held"
    REFUSED = "refused"
    FAILED = "failed"
    UNCERTAIN = "uncertain"
    DEFERRED = "deferred"
    DROPPED = "dropped"


class Event(StrEnum):
    """What can happen to a work item."""

    PLAN = "plan"
    REFUSE = "refuse"
    DEFER = "defer"
    UPLOAD = "upload"
    UPLOADED = "uploaded"
    ASSET_LOST = "asset lost"
    INTEND = "intend"
    NOT_SENT = "not sent"
    ACCEPTED_BY_SERVICE = "accepted by service"
    ANSWER_LOST = "answer lost"
    SUBMISSION_FOUND = "submission found"
    SUBMISSION_ABSENT = "submission absent"
    JOB_SUCCEEDED = "job succeeded"
    DOWNLOADED = "downloaded"
    ACCEPT = "accept"
    HOLD = "hold"
    APPROVE = "approve"
    REJECT = "reject"
    DROP = "drop"
    FAIL = "fail"
    TRY_AGAIN = "try again"
    MISSING = "missing"
    """Delivered files are gone, the service still has them."""
    RESULT_LOST = "result lost"
    """The service no longer has what it made: only a new job brings it back."""


class IllegalTransition(AssertionError):
    """A bug of ours: the flow asked for a change that the life cycle does not know."""


def advance(state: State, event: Event) -> State:
    """The state after ``event``.

    Raises:
        IllegalTransition: the event cannot happen in that state.
    """
    if after := _AFTER[state].get(event):
        return after
    raise IllegalTransition(f"{event} cannot happen to an item that is {state}")


def is_paid(state: State) -> bool:
    """Whether money is, or may be, spent on the item and its result not yet at hand: never start such an item over."""
    match state:
        case State.SUBMITTING | State.UNCERTAIN | State.SUBMITTED | State.FINISHED | State.DOWNLOADED:
            return True
        case (
            State.PLANNED
            | State.UPLOADING
            | State.READY
            | State.DELIVERED
            | State.HELD
            | State.REFUSED
            | State.FAILED
            | State.DEFERRED
            | State.DROPPED
        ):
            return False
        case never:
            assert_never(never)


_BEFORE_PAYMENT = {
    Event.PLAN: State.PLANNED,
    Event.REFUSE: State.REFUSED,
    Event.DEFER: State.DEFERRED,
    Event.FAIL: State.FAILED,
}

_AFTER: dict[State, dict[Event, State]] = {
    State.PLANNED: {**_BEFORE_PAYMENT, Event.UPLOAD: State.UPLOADING},
    State.UPLOADING: {**_BEFORE_PAYMENT, Event.UPLOAD: State.UPLOADING, Event.UPLOADED: State.READY},
    State.READY: {**_BEFORE_PAYMENT, Event.ASSET_LOST: State.PLANNED, Event.INTEND: State.SUBMITTING},
    State.SUBMITTING: {
        Event.ACCEPTED_BY_SERVICE: State.SUBMITTED,
        Event.NOT_SENT: State.READY,
        Event.ASSET_LOST: State.PLANNED,
        Event.ANSWER_LOST: State.UNCERTAIN,
        Event.FAIL: State.FAILED,
    },
    State.UNCERTAIN: {Event.SUBMISSION_FOUND: State.SUBMITTED, Event.SUBMISSION_ABSENT: State.READY},
    State.SUBMITTED: {Event.JOB_SUCCEEDED: State.FINISHED, Event.FAIL: State.FAILED},
    State.FINISHED: {
        Event.DOWNLOADED: State.DOWNLOADED,
        Event.RESULT_LOST: State.PLANNED,
        Event.FAIL: State.FAILED,
    },
    State.DOWNLOADED: {
        Event.ACCEPT: State.DELIVERED,
        Event.HOLD: State.HELD,
        Event.MISSING: State.FINISHED,
        Event.FAIL: State.FAILED,
    },
    State.DELIVERED: {Event.MISSING: State.FINISHED, Event.RESULT_LOST: State.PLANNED, Event.DROP: State.DROPPED},
    State.HELD: {
        Event.APPROVE: State.DELIVERED,
        Event.REJECT: State.PLANNED,
        Event.DROP: State.DROPPED,
        Event.MISSING: State.FINISHED,
        Event.RESULT_LOST: State.PLANNED,
    },
    State.REFUSED: {Event.PLAN: State.PLANNED},
    State.FAILED: {Event.PLAN: State.PLANNED, Event.TRY_AGAIN: State.FINISHED},
    State.DEFERRED: {Event.PLAN: State.PLANNED},
    State.DROPPED: {Event.PLAN: State.PLANNED},
}
