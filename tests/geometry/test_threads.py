import threading

import pytest
from numba import config

from pipeline.geometry.threads import shared_out


@pytest.mark.parametrize("allowed", [1, 2, 7])
def test_results_come_in_the_order_of_what_was_asked(allowed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "NUMBA_NUM_THREADS", allowed)
    assert shared_out(lambda item: item * item, range(20)) == [item * item for item in range(20)]
    assert shared_out(lambda item: item, []) == []


def test_as_many_are_at_work_as_the_process_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "NUMBA_NUM_THREADS", 3)
    together = threading.Barrier(3, timeout=30)
    assert sorted(shared_out(lambda _: together.wait(), range(6))) == [0, 0, 1, 1, 2, 2]


def test_what_goes_wrong_is_raised() -> None:
    def half(item: int) -> float:
        return 1 / (item - 2)

    with pytest.raises(ZeroDivisionError):
        shared_out(half, range(5))
