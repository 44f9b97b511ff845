"""``mvmesh run`` dies where it hurts, on a service of its own; the same command finishes the rest and pays nothing twice.

The moments are chosen to the commit, or by a seeded count of what the process does to the disk (``dying.py``).
``bench/soak.py`` goes on from here with as many seeds as one likes.
"""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from nights import DISTURBED, KILLED, TESTS, Death, Night, serving

from pipeline.cli.exit_codes import ExitCode

SETS, TWINS, DOUBLED = 7, 1, 1


@pytest.fixture
def night(tmp_path: Path) -> Iterator[Night]:
    with serving(tmp_path / "service") as service:
        yield Night(folder=tmp_path, service=service)


def test_whenever_it_dies_the_same_command_finishes_the_rest(night: Night) -> None:
    night.prepare(sets=SETS, twins=TWINS, doubled=DOUBLED)
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
    for _ in range(3):
        assert night.run(Death(effect=seeded.randint(1, 80), delay_s=seeded.uniform(0, 0.02))) in DISTURBED
    night.finish()
    night.check()


def test_a_service_that_dies_loses_nothing_either(night: Night) -> None:
    night.prepare(sets=4)
    assert night.run(service_dies_after_s=1.0) in DISTURBED
    night.finish()
    night.check()


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C reaches a whole console there, not one process")
def test_ctrl_c_leaves_within_seconds_and_a_second_run_at_a_time_is_refused(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    gate.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MVMESH_TEST_GATE", str(gate))
        patch.setenv("PYTHONPATH", os.pathsep.join([str(TESTS / "service")]))
