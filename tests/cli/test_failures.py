import json

import pytest

from pipeline.cli.failures import tell_failure
from pipeline.domain.errors import CredentialsError, LocalIoError, ServiceUnreachable, UsageError


def test_an_error_says_what_then_the_mend(capsys: pytest.CaptureFixture[str]) -> None:
    assert tell_failure(LocalIoError("the disk is full", mend="make room"), as_json=False) == 11
    told = capsys.readouterr()
    assert told.err == "error: the disk is full\nmend:  make room\n"
    assert told.out == ""


def test_the_document_holds_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    error = UsageError("m.yaml holds 2 errors", mend="see the schema", problems=["m.yaml:1:1: a", "m.yaml:2:1: b"])
    tell_failure(error, as_json=True)
    assert json.loads(capsys.readouterr().out) == {
        "schema": 1,
        "error": {
            "kind": "UsageError",
            "message": "m.yaml holds 2 errors",
            "problems": ["m.yaml:1:1: a", "m.yaml:2:1: b"],
            "mend": "see the schema",
            "exit_code": 2,
        },
    }


def test_of_a_group_each_message_is_told_once_and_what_decides_comes_first(capsys: pytest.CaptureFixture[str]) -> None:
    lost = [ServiceUnreachable("no answer") for _ in range(3)]
    assert tell_failure(ExceptionGroup("several", [*lost, CredentialsError("refused")]), as_json=False) == 3
    assert capsys.readouterr().err == "error: refused\nerror: no answer\n"


def test_what_went_wrong_on_the_way_out_of_an_interrupted_run_is_told_too(capsys: pytest.CaptureFixture[str]) -> None:
    error = BaseExceptionGroup("interrupted", [LocalIoError("the disk is full", mend="make room"), KeyboardInterrupt()])
    assert tell_failure(error, as_json=False) == 130
    told = capsys.readouterr().err
    assert told.startswith("error: the disk is full\nmend:  make room\n")
    assert "the same command carries on" in told


def test_what_a_name_says_is_not_obeyed(capsys: pytest.CaptureFixture[str]) -> None:
    tell_failure(LocalIoError("a\x1b]0;owned\x07b\r\u202egnp", mend="\x1b[2J"), as_json=False)
    assert capsys.readouterr().err == "error: a\\x1b]0;owned\\x07b\\r\\u202egnp\nmend:  \\x1b[2J\n"


def test_a_bug_shows_its_traceback_and_how_to_report_it(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(KeyError) as raised:
        {}["lost"]
    assert tell_failure(raised.value, as_json=True) == 70
    told = capsys.readouterr()
    assert "KeyError: 'lost'" in told.err
    assert "test_failures.py" in told.err
    assert "report it" in told.err
    assert json.loads(told.out)["error"]["kind"] == "Bug"


def test_a_bug_does_not_show_credentials(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCENARIO_SDK_API_KEY", "key_visible")
    monkeypatch.setenv("SCENARIO_SDK_API_SECRET", "secret_visible")
    tell_failure(RuntimeError("sent key_visible:secret_visible"), as_json=True)
    told = capsys.readouterr()
    assert "visible" not in told.out + told.err


def test_an_interruption_is_no_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert tell_failure(KeyboardInterrupt(), as_json=False) == 130
    assert "same command carries on" in capsys.readouterr().err
