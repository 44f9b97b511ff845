import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.geometry.pieces import pieces

PLAN = np.array([list(row) for row in ("##..#", ".#..#", "...##", "#....")]) == "#"


def test_pieces_share_sides() -> None:
    found = pieces(PLAN)
    assert found.sizes.tolist() == [3, 4, 1]
    marked = np.zeros_like(PLAN)
    marked[2, 4] = True
    assert found.touching(marked).tolist() == [False, True, False]
    left = PLAN.copy()
    found.painted(found.sizes < 3, left, value=False)
    assert left.sum() == 7
    assert not left[3, 0]


@given(st.integers(1, 14), st.integers(1, 14), st.integers(0, 2**32 - 1))
def test_pieces_are_those_of_a_flood(height: int, width: int, seed: int) -> None:
    mask = np.random.default_rng(seed).random((height, width)) < 0.55
    sizes, left = [], {(int(y), int(x)) for y, x in zip(*np.nonzero(mask), strict=True)}
    while left:
        waiting, size = [left.pop()], 0
        while waiting:
            y, x = waiting.pop()
            size += 1
            near = {(y + 1, x), (y - 1, x), (y, x + 1), (y, x - 1)} & left
            left -= near
            waiting += near
        sizes.append(size)
    assert sorted(pieces(mask).sizes.tolist()) == sorted(sizes)


def test_moments_are_those_of_each_piece() -> None:
    values = np.random.default_rng(8).normal(3, 2, (*PLAN.shape, 3)).astype(np.float32)
    found = pieces(PLAN)
    mean, spread = found.moments(values)
    first = values[[0, 0, 1], [0, 1, 1]]
    np.testing.assert_allclose(mean[0], np.sqrt((first.mean(axis=0) ** 2).mean()), rtol=1e-5)
    np.testing.assert_allclose(spread[0], np.sqrt(((first - first.mean(axis=0)) ** 2).mean()), rtol=1e-5)
