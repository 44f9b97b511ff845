"""``mvmesh reconcile`` and ``mvmesh retry`` on a real service, after runs that were killed or whose jobs failed."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from nights import KEY, KILLED, SECRET, Death, Night, serving

from pipeline.cli.exit_codes import ExitCode
from pipeline.cli.frame import run
from pipeline.domain.lifecycle import Event

ASK = {"uncertain": {"policy": "ask"}}


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCENARIO_SDK_API_KEY", KEY)
    monkeypatch.setenv("SCENARIO_SDK_API_SECRET", SECRET)


@pytest.fixture
def night(tmp_path: Path) -> Iterator[Night]:
    with serving(tmp_path / "service") as service:
        yield Night(folder=tmp_path, service=service)


def call(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, Any, str]:
    """The exit code, the document, what was told beside it."""
    code = run([*map(str, arguments), "--json"])
    said = capsys.readouterr()
    return code, json.loads(said.out), said.err


def test_before_the_first_run_nothing_is_uncertain_and_nothing_has_failed(night: Night, capsys) -> None:
    night.prepare(sets=1)
    for command, said in (("reconcile", "nothing is uncertain"), ("retry", "nothing has failed")):
        assert run([command, str(night.manifest)]) == ExitCode.OK
        assert said in capsys.readouterr().out


def test_a_job_whose_answer_was_lost_is_found_and_the_next_run_fetches_it(night: Night, capsys) -> None:
    night.prepare(sets=1)
    assert night.run(Death(event=Event.ACCEPTED_BY_SERVICE, moment="before")) == KILLED
    code, document, _ = call(capsys, "reconcile", night.manifest)
    (item,) = document["items"]
    (job,) = night.service.jobs()
    assert (code, document["uncertain"], item["names"]) == (ExitCode.OK, 0, ["set 00"])
    assert (item["finding"], item["job_id"]) == ("found", job["jobId"])
    assert run(["reconcile", str(night.manifest)]) == ExitCode.OK
    assert "nothing is uncertain" in capsys.readouterr().out
    night.finish()
    night.check()


def test_a_person_says_that_there_is_no_job(night: Night, capsys) -> None:
    night.prepare(sets=1, **ASK)
    assert night.run(Death(event=Event.INTEND, moment="after")) == KILLED
    code, document, _ = call(capsys, "reconcile", night.manifest)
    assert (code, document["uncertain"]) == (ExitCode.UNCERTAIN, 1)
    assert "ask a person" in document["items"][0]["why"]
    code, document, _ = call(capsys, "reconcile", night.manifest, "--absent", "set 09")
    assert (code, document["error"]["kind"]) == (ExitCode.USAGE, "UsageError")
    assert "did you mean 'set 00'" in document["error"]["mend"]
    assert run(["reconcile", str(night.manifest)]) == ExitCode.UNCERTAIN
    assert "uncertain  set 00" in capsys.readouterr().out
    assert run(["reconcile", str(night.manifest), "--absent", "set 00"]) == ExitCode.OK
    assert "absent     set 00: a person has looked" in capsys.readouterr().out
    assert night.service.jobs() == []
    night.finish()
    night.check()


def test_a_person_names_the_job_and_a_job_of_other_pictures_is_refused(night: Night, capsys) -> None:
    night.prepare(sets=1, **ASK)
    night.finish()
    night.add_set()
    assert night.run(Death(event=Event.ACCEPTED_BY_SERVICE, moment="before")) == KILLED
    jobs = {job["jobId"] for job in night.service.jobs()}
    (known,) = [json.loads(line)["job_id"] for line in (night.output / "results.jsonl").read_text().splitlines()[:1]]
    (lost,) = jobs - {known}
    for wrong, why in ((known, "another item's"), ("job_of_nobody", "knows no job")):
        code, document, _ = call(capsys, "reconcile", night.manifest, "--job", f"set 01={wrong}")
        assert code == ExitCode.USAGE
        assert why in document["error"]["message"]
    code, document, _ = call(capsys, "reconcile", night.manifest, "--job", f"set 01={lost}")
    assert (code, document["items"][0]["finding"]) == (ExitCode.OK, "found")
    night.finish()
    night.check()


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--job", "chair"], "not NAME=JOB_ID"),
        (["--job", "a=1", "--job", "a=2"], "two jobs"),
        (["--job", "a=1", "--job", "b=1"], "two items"),
        (["--job", "a=1", "--absent", "a"], "a job and none"),
        (["--rebuild", "--absent", "a"], "goes alone"),
        (["--absent", "a"], "nothing that is uncertain is called 'a'"),
    ],
)
def test_words_that_cannot_be_meant_are_refused(words: list[str], why: str, night: Night, capsys) -> None:
    night.prepare(sets=1)
    assert run(["reconcile", str(night.manifest), *words]) == ExitCode.USAGE
    assert why in capsys.readouterr().err


def test_a_run_that_is_going_keeps_others_out(night: Night, capsys, monkeypatch, tmp_path: Path) -> None:
    from pipeline.ports.lock import state_lock  # noqa: PLC0415 - beside the command's own

    night.prepare(sets=1)
    with state_lock(night.output / ".mvmesh"):
        for command in (["reconcile"], ["reconcile", "--rebuild"], ["retry"]):
            assert run([command[0], str(night.manifest), *command[1:]]) == ExitCode.LOCKED
    capsys.readouterr()


def test_what_failed_is_tried_again_after_a_persons_word_at_a_known_price(tmp_path: Path, capsys) -> None:
    with serving(tmp_path / "service", engine="toy_engine:refuse") as service:
        night = Night(folder=tmp_path, service=service)
        night.prepare(sets=2)
        for _ in range(2):
            assert night.run() == ExitCode.INCOMPLETE
        assert len(service.jobs()) == 2
        code, document, _ = call(capsys, "retry", night.manifest, "set 1")
        assert code == ExitCode.USAGE
        assert "did you mean 'set 01'" in document["error"]["mend"]
        code, document, _ = call(capsys, "reconcile", night.manifest, "--absent", "set 01")
        assert (code, document["error"]["message"]) == (ExitCode.USAGE, "'set 01' is failed, not uncertain")
        code, document, _ = call(capsys, "retry", night.manifest, "set 01")
        assert (code, document["cu"], [one["names"] for one in document["items"]]) == (0, 7, [["set 01"]])
        assert run(["retry", str(night.manifest)]) == ExitCode.OK
        assert "set 00: 7 CU\nthe next run tries 1 again, for 7 CU at most" in capsys.readouterr().out
        assert len(service.jobs()) == 2
        assert night.run() == ExitCode.INCOMPLETE
        assert len(service.jobs()) == 4
