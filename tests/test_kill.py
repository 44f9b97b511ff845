"""``mvmesh run`` dies where it hurts, on a service of its own; the same command finishes the rest and pays nothing twice.

The moments are chosen to the commit, or by a seeded count of what the process does to the disk (``dying.py``).
``bench/kill_nights.py`` goes on from here with as many seeds as one likes.
"""

import random
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import pytest
import toy_engine
from fault_plan import UNLUCKY, Fate, Fault, FaultPlan, evenly
from nights import DISTURBED, KILLED, PRICE_CU, TROUBLED, WILL_GO_ON, Death, Night, serving

from pipeline.cli.exit_codes import ExitCode
from pipeline.domain.lifecycle import Event

LEAVES_WITHIN_S = 5.0
HURRIED = {"faults": FaultPlan(), "hurry": 30.0}
"""No faults but those that are arranged, and a clock that wastes no time."""


@pytest.fixture
def night(tmp_path: Path) -> Iterator[Night]:
    with serving(tmp_path / "service", **HURRIED) as service:
        yield Night(folder=tmp_path, service=service)


def test_whatever_dies_the_same_command_finishes_the_rest(night: Night) -> None:
    night.prepare(sets=7, twins=1, doubled=1)
    for death in (
        Death(event=Event.INTEND, moment="after"),  # the intent is recorded, the request not sent
        Death(event=Event.INTEND, moment="after", delay_s=0.004),  # the request is on its way
        Death(event=Event.ACCEPTED_BY_SERVICE, moment="before"),  # the job is made and charged, its id not recorded
        Death(event=Event.DOWNLOADED, moment="before"),
        Death(event=Event.ACCEPT, moment="before"),  # the mesh stands in its place, the ledger does not know
        Death(event=Event.ACCEPT, moment="after"),  # the results manifest does not tell of it
    ):
        assert night.run(death) == KILLED, death
    seeded = random.Random(2)
    for _ in range(2):
        assert night.run(Death(effect=seeded.randint(20, 60), delay_s=seeded.uniform(0, 0.02))) in DISTURBED
    assert night.run(service_dies_after_s=0.8) in DISTURBED
    night.finish()
    night.check()


def _let_one_be_sent_in_vain(night: Night) -> None:
    night.service.arrange(generate=[Fault.BUSY])


def _lose_an_answer(night: Night) -> None:
    night.service.arrange(generate=[Fault.RESET_AFTER])


def _lose_a_request(night: Night) -> None:
    night.service.arrange(generate=[Fault.RESET_BEFORE])


def _let_a_job_fail(night: Night) -> None:
    night.service.arrange(Fate.FAILS)


def _let_a_download_fail(night: Night) -> None:
    night.service.arrange(file=[Fault.EXPIRED] * 50)
    assert night.run() == ExitCode.INCOMPLETE
    night.service.arrange()


def _remove_a_delivery(night: Night) -> None:
    min(night.output.joinpath("meshes").rglob("*.glb")).unlink()


def _tidy_pictures_away(night: Night) -> None:
    assert night.run(Death(event=Event.INTEND, moment="before")) == KILLED
    night.service.forget(night.ready_pictures())


def _allow_one_more(night: Night) -> None:
    night.add_set()
    night.ask(limits={"in_flight": 1}, budget={"max_cu": PRICE_CU})


def _as_it_is(_: Night) -> None:
    pass


MOVES: dict[Event, Callable[[Night], None]] = {
    Event.UPLOAD: _as_it_is,
    Event.UPLOADED: _as_it_is,
    Event.INTEND: _as_it_is,
    Event.NOT_SENT: _let_one_be_sent_in_vain,
    Event.ACCEPTED_BY_SERVICE: _as_it_is,
    Event.ANSWER_LOST: _lose_an_answer,
    Event.SUBMISSION_FOUND: _lose_an_answer,
    Event.SUBMISSION_ABSENT: _lose_a_request,
    Event.JOB_SUCCEEDED: _as_it_is,
    Event.FAIL: _let_a_job_fail,
    Event.PLAN: _let_a_job_fail,
    Event.DOWNLOADED: _as_it_is,
    Event.TRY_AGAIN: _let_a_download_fail,
    Event.ACCEPT: _as_it_is,
    Event.ASSET_LOST: _tidy_pictures_away,
    Event.MISSING: _remove_a_delivery,
    Event.DEFER: _allow_one_more,
}
"""What brings each move about in the next run."""


def test_every_move_has_its_death() -> None:
    """HOLD has a test of its own; only the embedded service loses results; the others are a person's decisions."""
    others = {Event.HOLD, Event.RESULT_LOST, Event.REFUSE, Event.APPROVE, Event.REJECT, Event.DROP}
    assert MOVES.keys() | others == set(Event)


def test_killed_at_every_move_before_and_after_its_commit(tmp_path: Path) -> None:
    with serving(tmp_path / "service", **HURRIED) as service:
        night = Night(folder=tmp_path, service=service)
        night.prepare(sets=1, limits={"in_flight": 1})
        for event, bring_about in MOVES.items():
            for moment in ("before", "after"):
                night.add_set()
                bring_about(night)
                _die(night, Death(event=event, moment=moment))
        night.ask()
        night.finish()
        night.check()


@pytest.mark.parametrize("moment", ["before", "after"])
def test_killed_as_it_holds_a_mesh(tmp_path: Path, moment: Literal["before", "after"]) -> None:
    with serving(tmp_path / "service", engine="toy_engine:make_untextured", **HURRIED) as service:
        night = Night(folder=tmp_path, service=service, state="held", engine=toy_engine.make_untextured)
        night.prepare(sets=2, acceptance={"on_low": "hold"})
        _die(night, Death(event=Event.HOLD, moment=moment))
        assert night.run() == ExitCode.INCOMPLETE
        night.check()


@pytest.mark.parametrize(("lag_s", "skew_s"), [(0.0, -90.0), (100.0, 4000.0)])
def test_a_service_with_every_fault_loses_nothing_and_is_paid_once(tmp_path: Path, lag_s: float, skew_s: float) -> None:
    plan = FaultPlan(seed=5, requests=evenly(0.2), jobs=dict.fromkeys(UNLUCKY, 0.1), lag_s=lag_s, skew_s=skew_s)
    with serving(tmp_path / "service", faults=plan, hurry=60.0) as service:
        night = Night(folder=tmp_path, service=service)
        night.prepare(sets=6, twins=1, doubled=1, uncertain={"settle": "120s", "believe_after": "300s"})
        seeded = random.Random(5)
        for _ in range(3):
            assert (
                night.run(Death(effect=seeded.randint(30, 120), delay_s=seeded.uniform(0, 0.1))) in TROUBLED | DISTURBED
            )
        night.finish()
        night.check()


def test_a_job_that_is_never_listed_is_not_paid_twice_where_a_person_decides(tmp_path: Path) -> None:
    plan = FaultPlan(jobs={Fate.UNLISTED: 1.0})
    with serving(tmp_path / "service", faults=plan, hurry=30.0) as service:
        night = Night(folder=tmp_path, service=service)
        night.prepare(sets=3, uncertain={"policy": "ask", "settle": "10s", "believe_after": "10s"})
        service.arrange(generate=[Fault.RESET_AFTER])
        for _ in range(3):
            assert night.run() == ExitCode.UNCERTAIN
        assert len(service.kept_jobs()) == night.items


def test_what_is_listed_late_is_waited_for_and_not_paid_again(tmp_path: Path) -> None:
    """Far later than one run waits."""
    plan = FaultPlan(jobs={Fate.LATE_ASSETS: 1.0}, late_s=150.0)
    with serving(tmp_path / "service", faults=plan, hurry=30.0) as service:
        night = Night(folder=tmp_path, service=service)
        night.prepare(sets=1)
        assert night.run() == ExitCode.INCOMPLETE
        night.finish()
        night.check()


def test_a_failure_that_is_not_refunded_is_not_paid_again_by_itself(tmp_path: Path) -> None:
    with serving(tmp_path / "service", **HURRIED) as service:
        night = Night(folder=tmp_path, service=service)
        night.prepare(sets=1)
        service.arrange(Fate.FAILS_KEPT)
        for _ in range(2):
            assert night.run() == ExitCode.INCOMPLETE
        assert [row["cu_charged"] for row in night.rows()] == [PRICE_CU]
        assert len(service.truth()["jobs"]) == 1


def _die(night: Night, death: Death) -> None:
    """A run to its death; what must wait for a second to pass may need another run."""
    for _ in range(3):
        code = night.run(death)
        if code == KILLED:
            return
        assert code in WILL_GO_ON
    pytest.fail(f"it never came to {death}")


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C reaches a whole console there, not one process")
def test_ctrl_c_leaves_within_seconds_and_there_is_one_run_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(toy_engine.GATE, str(tmp_path / "gate"))
    with serving(tmp_path / "service", engine="toy_engine:make_when_told") as service:
        night = Night(folder=tmp_path, service=service)
        night.prepare(sets=2)
        first = night.started()
        _until(lambda: len(service.jobs()) == 2)
        assert night.run() == ExitCode.LOCKED
        assert first.poll() is None
        first.send_signal(signal.SIGINT)
        asked_at = time.monotonic()
        assert night.ended(first) == ExitCode.INTERRUPTED
        assert time.monotonic() - asked_at < LEAVES_WITHIN_S
        (tmp_path / "gate").touch()
        night.finish()
        night.check()


def _until(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not reached():
        assert time.monotonic() < deadline
