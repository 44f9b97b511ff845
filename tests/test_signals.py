"""The first signal drains a run, whatever it is waiting for; the second ends it now. Real processes, a service that hangs."""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from fault_plan import Fault, FaultPlan, Kind
from nights import KILLED, Death, Night, serving

from pipeline.cli.exit_codes import ExitCode
from pipeline.domain.lifecycle import Event

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows ends a process instead of sending it a signal")

HANG_S = 300.0
LEAVES_WITHIN_S = 20.0
"""The promise is 5 s on a machine of one's own; a run that waits for the service takes HANG_S."""


@pytest.fixture
def night(tmp_path: Path) -> Iterator[Night]:
    faults = FaultPlan(hang_s=HANG_S, drip_s=HANG_S)
    with serving(tmp_path / "service", faults=faults) as service:
        night = Night(folder=tmp_path, service=service)
        night.prepare(sets=3)
        yield night


def befallen(night: Night) -> int:
    return sum(night.service.truth()["faults"].values())


def started_into(night: Night, kind: Kind, fault: Fault) -> subprocess.Popen[bytes]:
    """A run to whose first request of a kind the service does not answer."""
    before = befallen(night)
    night.service.arrange(**{kind: [fault] * 20})
    process = night.started()
    while befallen(night) == before:
        assert process.poll() is None, f"the run ended with {process.returncode}"
    return process


def states(night: Night) -> list[str]:
    """As the results manifest told last."""
    return sorted(row["state"] for row in night.rows())


def left(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    process.send_signal(number)
    assert process.wait(LEAVES_WITHIN_S) == ExitCode.INTERRUPTED


UPLOADING = Death(event=Event.UPLOAD, moment="after")
SUBMITTING = Death(event=Event.INTEND, moment="after")
MOMENTS = [
    (Kind.OTHER, Fault.HANG_BEFORE, None),
    (Kind.UPLOAD, Fault.HANG_BEFORE, None),
    (Kind.QUOTE, Fault.HANG_BEFORE, None),
    (Kind.UPLOAD, Fault.HANG_AFTER, UPLOADING),
    (Kind.GENERATE, Fault.HANG_BEFORE, None),
    (Kind.GENERATE, Fault.HANG_AFTER, None),
    (Kind.FEED, Fault.HANG_BEFORE, None),
    (Kind.LIST, Fault.HANG_BEFORE, SUBMITTING),
    (Kind.ASSETS, Fault.HANG_BEFORE, None),
    (Kind.FILE, Fault.HANG_BEFORE, None),
    (Kind.FILE, Fault.DRIP, None),
]
"""What the service does not answer, and how the run before ended."""


@pytest.mark.parametrize(("at", "name"), [(at, ("SIGINT", "SIGTERM")[at % 2]) for at in range(len(MOMENTS))])
def test_a_run_that_waits_for_the_service_leaves_with_everything_recorded(night: Night, at: int, name: str) -> None:
    kind, fault, death = MOMENTS[at]
    if death is not None:
        assert night.run(death) == KILLED
    left(started_into(night, kind, fault), signal.Signals[name])
    finishes(night)


def finishes(night: Night) -> None:
    """The service is well again: the rest is done, nothing is paid twice."""
    night.service.arrange()
    night.finish()
    night.check()


def test_a_run_that_waits_for_the_list_to_settle_leaves_at_once(night: Night) -> None:
    night.ask(uncertain={"settle": "10m", "believe_after": "2h"})
    assert night.run(Death(event=Event.INTEND, moment="after")) == KILLED
    process = night.started()
    while states(night) != ["delivered", "delivered", "uncertain"]:
        assert process.poll() is None
    left(process, signal.SIGINT)
    night.ask()
    finishes(night)


@pytest.mark.parametrize("kind", [Kind.UPLOAD, Kind.GENERATE, Kind.FILE])
def test_a_second_signal_ends_it_now_and_the_next_run_carries_on(night: Night, kind: Kind) -> None:
    process = started_into(night, kind, Fault.HANG_BEFORE)
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGINT)
    assert process.wait(LEAVES_WITHIN_S) == ExitCode.INTERRUPTED
    finishes(night)
