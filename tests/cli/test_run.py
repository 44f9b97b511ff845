"""``mvmesh run`` as a real process: against the embedded service, and against a served one that has prices."""

import json
import os
import re
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

MVMESH = (sys.executable, "-m", "pipeline")
CREDENTIALS = {"SCENARIO_SDK_API_KEY": "key_of_tests", "SCENARIO_SDK_API_SECRET": "secret_of_tests"}

posix = pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals or pseudo-terminals")


def call(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*MVMESH, *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env=os.environ | environment,
    )


@posix
def test_a_run_is_interrupted_carried_on_and_then_has_nothing_to_do(draw_set, write_manifest, tmp_path: Path) -> None:
    for name in ("chair", "lamp", "stühle/[b]"):
        draw_set(name.replace("/", " "), colour={"chair": "teal", "lamp": "olive"}.get(name, "navy"))
    draw_set("tiny", size=100)
    manifest = write_manifest()

    process = subprocess.Popen([*MVMESH, "run", manifest], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while '"submitted"' not in call("status", manifest, "--json").stdout:
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "interrupted: " in out
    assert "the same command carries on" in out

    again = call("run", manifest)
    assert again.returncode == 1, again.stderr
    assert "3 delivered, 1 refused; 0 CU charged" in again.stdout
    assert "expected at least 128 px" in again.stdout
    assert re.search(r"^\S+Z chair delivered$", again.stderr, re.MULTILINE)
    assert len(list((tmp_path / "out" / "meshes").rglob("*.glb"))) == 3
    assert "chair" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")

    third = call("run", manifest, "--json")
    assert third.returncode == 1
    document = json.loads(third.stdout)
    assert document["outcome"]["delivered"] == 3
    assert "start 0 to do, 3 done before" in third.stderr
    assert call("verify", manifest).returncode == 0


@pytest.fixture(scope="module")
def priced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The base URL of a service whose jobs cost 20 CU."""
    folder = tmp_path_factory.mktemp("service")
    (folder / "prices.yaml").write_text("base: 20\n")
    options = ["--port", "0", "--data", folder / "data", "--prices", folder / "prices.yaml", "--workers", "1"]
    process = subprocess.Popen(
        [*MVMESH, "serve", *map(str, options)], stdout=subprocess.PIPE, text=True, env=os.environ | CREDENTIALS
    )
    yield process.stdout.readline().removeprefix("serving ").strip()
    process.terminate()
    process.communicate(timeout=20)


@pytest.fixture
def paid(draw_set, write_manifest, priced: str) -> Path:
    draw_set("chair")
    return write_manifest(backend=priced)


def nothing_was_submitted(manifest: Path) -> bool:
    standing = json.loads(call("status", manifest, "--json").stdout)
    return standing["total"] == 0 or set(standing["states"]) <= {"planned", "ready"}


def test_a_run_that_would_spend_is_refused_where_nobody_can_be_asked(paid: Path) -> None:
    done = call("run", paid, "--json", **CREDENTIALS)
    assert done.returncode == 2
    error = json.loads(done.stdout)["error"]
    assert error["kind"] == "UsageError"
    assert "20 CU" in error["message"]
    assert "--yes" in error["mend"]
    assert nothing_was_submitted(paid)


@posix
@pytest.mark.parametrize(
    ("answer", "code"), [(b"n\n", 2), (b"\x03", 130), (b"\x04", 130)], ids=["no", "ctrl-c", "ctrl-d"]
)
def test_a_person_is_asked_and_may_say_no(paid: Path, answer: bytes, code: int) -> None:
    import pty  # noqa: PLC0415 - not on Windows

    process, terminal = pty.fork()
    if process == 0:
        os.environ.update(CREDENTIALS, TERM="xterm", COLUMNS="80")
        os.execv(sys.executable, [*MVMESH, "run", str(paid)])
    shown = read_until(terminal, b"[y/N]")
    assert b"chair" in shown
    assert b"cost: 20 CU" in shown
    os.write(terminal, answer)
    while not is_closed(terminal):  # what is typed before the prompt listens may be lost: a person types it again
        os.write(terminal, answer)
    os.close(terminal)
    _, ended = os.waitpid(process, 0)
    assert os.waitstatus_to_exitcode(ended) == code
    assert nothing_was_submitted(paid)


def is_closed(terminal: int) -> bool:
    """Reads what the terminal shows, for two seconds at most; whether the other side has closed it."""
    try:
        while select.select([terminal], [], [], 2.0)[0]:
            if not os.read(terminal, 4096):
                return True
    except OSError:  # Linux's way of saying so
        return True
    return False


def read_until(terminal: int, wanted: bytes) -> bytes:
    """What the terminal shows, up to ``wanted`` or to its end."""
    shown = b""
    while wanted not in shown:
        try:
            shown += os.read(terminal, 4096)
        except OSError:  # Linux's way of saying that the other side is closed
            break
    return shown


def test_without_credentials_the_run_ends_with_their_code(paid: Path) -> None:
    done = call("run", paid, "--yes")
    assert done.returncode == 3
    assert "SCENARIO_SDK_API_KEY" in done.stderr
