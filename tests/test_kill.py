"""``mvmesh run`` dies where it hurts, on a service of its own; the same command finishes the rest and pays nothing twice.

The moments are chosen to the commit, or by a seeded count of what the process does to the disk (``dying.py``).
``bench/soak.py`` goes on from here with as many seeds as one likes.
"""

import random
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import toy_engine
from nights import DISTURBED, KILLED, Death, Night, serving

from pipeline.cli.exit_codes import ExitCode

LEAVES_WITHIN_S = 5.0


@pytest.fixture
def night(tmp_path: Path) -> Iterator[Night]:
    with serving(tmp_path / "service") as service:
        yield Night(folder=tmp_path, service=service)


def test_whatever_dies_the_same_command_finishes_the_rest(night: Night) -> None:
    night.prepare(sets=7, twins=1, doubled=1)
    for death in (
        Death(state="submitting", moment="after"),  # the intent is recorded, the request not sent
        Death(state="submitting", moment="after", delay_s=0.004),  # the request is on its way
        Death(state="submitted", moment="before"),  # the job is made and charged, its id not recorded
        Death(state="downloaded", moment="before"),
        Death(state="delivered", moment="before"),  # the mesh stands in its place, the ledger does not know
        Death(state="delivered", moment="after"),  # the results manifest does not tell of it
    ):
        assert night.run(death) == KILLED, death
    seeded = random.Random(2)
    for _ in range(2):
        assert night.run(Death(effect=seeded.randint(20, 60), delay_s=seeded.uniform(0, 0.02))) in DISTURBED
    assert night.run(service_dies_after_s=0.8) in DISTURBED
    night.finish()
    night.check()


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
