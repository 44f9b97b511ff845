import signal
import subprocess
import sys

import pytest

from pipeline.domain.errors import LocalIoError, LockHeld
from pipeline.ports.lock import LOCK_FILE, state_lock

HOLDER = """
import sys
from pathlib import Path
from pipeline.ports.lock import state_lock

with state_lock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the lock until it is ended."""
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"held\n"
        yield process
        process.kill()


def test_a_second_process_is_turned_away_at_once(tmp_path, holder):
    with pytest.raises(LockHeld, match="another run works on") as raised, state_lock(tmp_path):
        pass
    assert "mvmesh status" in raised.value.mend


def test_the_death_of_the_holder_frees_the_lock(tmp_path, holder):
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert (tmp_path / LOCK_FILE).exists()
    with state_lock(tmp_path):
        pass


def test_the_end_of_the_holder_frees_the_lock(tmp_path, holder):
    holder.stdin.close()
    assert holder.wait() == 0
    with state_lock(tmp_path):
        pass


def test_a_second_run_in_the_same_process_is_turned_away_too(tmp_path):
    with state_lock(tmp_path), pytest.raises(LockHeld), state_lock(tmp_path):
        pass


def test_an_error_in_the_run_frees_the_lock(tmp_path):
    with pytest.raises(ZeroDivisionError), state_lock(tmp_path):
        raise ZeroDivisionError
    with state_lock(tmp_path):
        pass


def test_the_folder_is_made(tmp_path):
    with state_lock(tmp_path / "out" / ".mvmesh"):
        assert (tmp_path / "out" / ".mvmesh" / LOCK_FILE).exists()


def test_a_file_in_the_place_of_the_folder_is_a_local_error(tmp_path):
    (tmp_path / "state").write_text("")
    with pytest.raises(LocalIoError, match="cannot be used") as raised, state_lock(tmp_path / "state"):
        pass
    assert "state:" in raised.value.mend


WITHOUT_LOCKS = """
import errno, fcntl, os, sys
from pathlib import Path

def flock(fd, operation):
    raise OSError(getattr(errno, sys.argv[2]), os.strerror(getattr(errno, sys.argv[2])))

fcntl.flock = flock
from pipeline.domain.errors import LocalIoError
from pipeline.ports.lock import state_lock

try:
    with state_lock(Path(sys.argv[1])):
        sys.exit("held")
except LocalIoError as error:
    print(error, error.mend)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows locks in another way")
@pytest.mark.parametrize("answer", ["ENOSYS", "ENOLCK", "EOPNOTSUPP"])
def test_a_file_system_without_locks_is_refused(tmp_path, answer):
    """A lock that is no more than a file would outlive a killed run, and a broken one would let two runs pay."""
    command = [sys.executable, "-W", "error", "-c", WITHOUT_LOCKS, str(tmp_path), answer]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "keeps no locks" in done.stdout
    assert "`state:`" in done.stdout
    assert not done.stderr
