"""Every exit code from the real command in a real process, against a real service; and which one counts of several."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from fault_plan import Fault, FaultPlan
from nights import Death, Night, Service, serving

from pipeline.cli.exit_codes import ExitCode
from pipeline.domain.lifecycle import Event
from pipeline.ports.clock import local_time, utc_now

posix = pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals")
ONE_BY_ONE = {"in_flight": 1}
ASK = {"policy": "ask", "settle": "0s", "believe_after": "1s"}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with serving(tmp_path_factory.mktemp("service") / "data", faults=FaultPlan(hang_s=60.0)) as service:
        yield service


@pytest.fixture
def night(tmp_path: Path, service: Service) -> Night:
    service.arrange()
    return Night(folder=tmp_path, service=service)


def told(night: Night) -> str:
    """What the last run said."""
    return (night.folder / f"run-{night.runs:02}.log").read_text(encoding="utf-8")


def window_in(begins: timedelta, ends: timedelta) -> str:
    now: datetime = local_time(utc_now())
    return f"{now + begins:%H:%M}-{now + ends:%H:%M}"


CLOSED = ("--window", window_in(timedelta(hours=2), timedelta(hours=3)))


def submitted(night: Night) -> int:
    rows = night.rows()
    return sum(bool(row["job_id"]) for row in rows)


def refused_set(night: Night) -> None:
    folder = night.folder / "sets" / "broken"
    folder.mkdir(parents=True)
    (folder / "front.png").write_bytes(b"no picture")


def test_0_all_delivered_and_then_nothing_to_do(night: Night) -> None:
    night.prepare(sets=2)
    assert night.run() == ExitCode.OK
    assert {row["state"] for row in night.rows()} == {"delivered"}
    assert night.run() == ExitCode.OK
    assert "0 to do, 2 done before" in told(night)


def test_1_a_set_is_refused_and_its_sibling_delivered(night: Night) -> None:
    night.prepare(sets=1)
    refused_set(night)
    assert night.run() == ExitCode.INCOMPLETE
    assert {row["state"] for row in night.rows()} == {"delivered", "refused"}


def test_1_after_the_first_failure_nothing_is_submitted(night: Night) -> None:
    night.prepare(sets=2)
    refused_set(night)
    night.options = ("--fail-fast",)
    assert night.run() == ExitCode.INCOMPLETE
    assert submitted(night) == 0
    night.options = ("--fail-fast", "--exclude", "broken", "--limit", "1")
    assert night.run() == ExitCode.OK
    assert submitted(night) == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--only", "st 00"), "did you mean 'set 00'?"),
        (("--max-cu", "nan"), "expected a number of creative units"),
        (("--window", "now"), "expected times of day"),
    ],
    ids=str,
)
def test_2_the_call_is_wrong(night: Night, options: tuple[str, ...], said: str) -> None:
    night.prepare(sets=1)
    night.options = options
    assert night.run() == ExitCode.USAGE
    assert said in told(night)


def test_3_the_service_takes_other_credentials(night: Night, monkeypatch: pytest.MonkeyPatch) -> None:
    night.prepare(sets=1)
    monkeypatch.setattr("nights.SECRET", "another")
    assert night.run() == ExitCode.CREDENTIALS


def test_4_nobody_answers(night: Night) -> None:
    night.prepare(sets=1, backend="http://127.0.0.1:1/v1")
    assert night.run() == ExitCode.UNREACHABLE


def test_8_outside_the_window_nothing_is_submitted_and_what_is_paid_is_fetched(night: Night) -> None:
    night.prepare(sets=2, limits=ONE_BY_ONE)
    assert night.run(Death(event=Event.ACCEPTED_BY_SERVICE, moment="after")) < 0
    night.options = CLOSED
    assert night.run() == ExitCode.OUT_OF_TIME
    assert sorted(row["state"] for row in night.rows()) == ["deferred", "delivered"]
    night.options = ("--window", window_in(timedelta(hours=-1), timedelta(hours=1)))
    assert night.run() == ExitCode.OK
    assert {row["state"] for row in night.rows()} == {"delivered"}


def test_9_the_budget_of_the_run_counts_and_is_told(night: Night) -> None:
    night.prepare(sets=3, budget={"max_cu": 7})
    night.options = ("--max-cu", "14")
    assert night.run() == ExitCode.OVER_BUDGET
    assert "--max-cu 14 counts in this run, not the manifest's budget.max_cu 7" in told(night)
    assert submitted(night) == 2
    night.options = ()
    assert night.run() == ExitCode.OK


def test_10_an_answer_was_lost_and_a_person_is_to_say(night: Night) -> None:
    night.prepare(sets=2, uncertain=ASK, limits=ONE_BY_ONE)
    assert night.run(Death(event=Event.INTEND, moment="after")) < 0
    assert night.run() == ExitCode.UNCERTAIN
    assert sorted(row["state"] for row in night.rows()) == ["delivered", "uncertain"]


def test_11_the_ledger_is_damaged_and_its_mend_is_told(night: Night) -> None:
    night.prepare(sets=1)
    assert night.run() == ExitCode.OK
    (night.output / ".mvmesh" / "ledger.sqlite3").write_bytes(b"These are my notes. " * 500)
    assert night.run() == ExitCode.LOCAL_IO
    assert "ledger.sqlite3" in told(night)
    assert "--rebuild" in told(night)


def test_11_the_ledger_is_of_a_newer_version_and_its_mend_is_told(night: Night) -> None:
    night.prepare(sets=1)
    assert night.run() == ExitCode.OK
    ledger = sqlite3.connect(night.output / ".mvmesh" / "ledger.sqlite3", isolation_level=None)
    ledger.execute("INSERT INTO migrations VALUES ('9999 meshes in colour', 'tomorrow')")
    ledger.close()
    assert night.run() == ExitCode.LOCAL_IO
    assert "newer version (it has 9999 meshes in colour)" in told(night)
    assert "use that version, or another state folder" in told(night)


@posix
def test_75_another_run_is_at_work_and_130_it_is_interrupted(night: Night) -> None:
    night.prepare(sets=1)
    first = hanging(night)
    assert night.run() == ExitCode.LOCKED
    assert "mvmesh status" in told(night)
    first.send_signal(signal.SIGKILL)
    first.wait()
    second = hanging(night)  # the lock died with its holder
    second.send_signal(signal.SIGINT)
    assert night.ended(second) == ExitCode.INTERRUPTED
    assert "the same command carries on" in told(night)
    night.service.arrange()
    assert night.run() == ExitCode.OK


def hanging(night: Night) -> subprocess.Popen[bytes]:
    """A run whose first upload gets no answer."""

    def hung() -> int:
        return night.service.truth()["faults"].get(Fault.HANG_BEFORE, 0)

    before = hung()
    night.service.arrange(upload=[Fault.HANG_BEFORE])
    process = night.started()
    while hung() == before:
        assert process.poll() is None
    return process


def test_10_counts_before_9_and_8_and_1(night: Night) -> None:
    night.prepare(sets=3, uncertain=ASK, limits=ONE_BY_ONE)
    refused_set(night)
    assert night.run(Death(event=Event.INTEND, moment="after")) < 0
    night.options = ("--max-cu", "14")  # what is uncertain may have been charged, one more has room
    assert night.run() == ExitCode.UNCERTAIN
    assert sorted(row["state"] for row in night.rows()) == ["deferred", "delivered", "refused", "uncertain"]


def test_9_and_8_count_before_1(night: Night) -> None:
    night.prepare(sets=2)
    refused_set(night)
    night.options = ("--max-cu", "0")
    assert night.run() == ExitCode.OVER_BUDGET
    night.options = CLOSED
    assert night.run() == ExitCode.OUT_OF_TIME


def test_75_counts_before_3_and_11(night: Night, monkeypatch: pytest.MonkeyPatch) -> None:
    night.prepare(sets=1)
    state = night.output / ".mvmesh"
    state.mkdir(parents=True)
    (state / "ledger.sqlite3").write_bytes(b"")
    monkeypatch.setattr("nights.SECRET", "another")
    holder = "import sys; from pathlib import Path; from pipeline.ports.lock import state_lock\n"
    holder += "with state_lock(Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", holder, str(state)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout.readline() == b"held\n"
        assert night.run() == ExitCode.LOCKED
        process.stdin.close()
    assert night.run() == ExitCode.LOCAL_IO


def test_the_document_of_a_run_says_the_same(night: Night) -> None:
    night.prepare(sets=2)
    night.options = ("--json", "--only", "set 01", "--max-cu", "0")
    assert night.run() == ExitCode.OVER_BUDGET
    said = told(night)
    document = json.loads(said[said.index("{") :])
    assert document["outcome"]["over_budget"] == 1
    assert [row["set"] for row in document["results"]] == ["set 01"]
    assert [row["set"] for row in night.rows()] == ["set 00", "set 01"]
