"""A few hundred nights of ``tests/bench/soak.py``: whatever befalls them, every promise is kept."""

from pathlib import Path

import pytest
from simulation.mutants import MUTANTS
from simulation.night import spend
from simulation.script import Script

NIGHTS = 300
AT_A_TIME = 50


@pytest.mark.parametrize("first", range(1, NIGHTS, AT_A_TIME))
def test_every_promise_is_kept_whatever_befalls_the_night(tmp_path: Path, first: int) -> None:
    for seed in range(first, first + AT_A_TIME):
        _, violation = spend(Script.of(seed), tmp_path / str(seed))
        assert violation is None, f"again: python tests/bench/soak.py --first {seed} --seeds 1 --trace"


def test_a_seed_is_one_night(tmp_path: Path) -> None:
    first, again = (spend(Script.of(17), tmp_path / name)[0] for name in ("first", "again"))
    assert first.story == again.story


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_product_that_breaks_a_promise_is_noticed(tmp_path: Path, mutant: str) -> None:
    nights = (spend(Script.of(seed), tmp_path / str(seed), MUTANTS[mutant]) for seed in range(1, NIGHTS))
    assert any(violation for _, violation in nights)
