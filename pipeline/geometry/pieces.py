"""Connected pieces of a mask: found by runs along the rows, so that a large picture costs little more than a look."""

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Pieces:
    """A mask as runs of pixels along its rows; pixels that share a side belong to one piece."""

    runs: NDArray[np.int32]
    """(R, 3) row, first column, column after the last; from the top, from the left."""
    numbers: NDArray[np.int32]
    """(R,) the piece that each run belongs to, from 0."""
    sizes: NDArray[np.int64]
    """(P,) pixels in each piece."""

    def touching(self, marked: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """(P,) whether any pixel of the piece is marked."""
        return _touching(self.runs, self.numbers, len(self.sizes), marked)

    def painted(self, chosen: NDArray[np.bool_], mask: NDArray[np.bool_], value: bool) -> None:  # noqa: FBT001
        """Give all pixels of the (P,) chosen pieces a value in a mask, in place."""
        _paint(self.runs[chosen[self.numbers]], mask, value)

    def moments(self, values: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Of (H, W, C) values: (P,) each piece's mean, and their deviation from it; root mean squares over channels."""
        mean, square = _moments(self.runs, self.numbers, len(self.sizes), values)
        mean /= self.sizes[:, None]
        square /= self.sizes
        level = (mean**2).mean(axis=1)
        return np.sqrt(level), np.sqrt(np.maximum(square - level, 0))


def pieces(mask: NDArray[np.bool_]) -> Pieces:
    """The pieces of an (H, W) mask."""
    runs = _runs(mask, run_count(mask))
    numbers = _numbers(runs)
    sizes = np.bincount(numbers, weights=runs[:, 2] - runs[:, 1]).astype(np.int64)
    return Pieces(runs=runs, numbers=numbers, sizes=sizes)


def run_count(mask: NDArray[np.bool_]) -> int:
    """How many runs of pixels along its rows an (H, W) mask has."""
    return int(_count(mask))


@njit(cache=True, nogil=True)
def _count(mask: NDArray[np.bool_]) -> int:
    count = 0
    for row in range(mask.shape[0]):
        before = False
        for column in range(mask.shape[1]):
            here = mask[row, column]
            count += here and not before
            before = here
    return count


@njit(cache=True, nogil=True)
def _runs(mask: NDArray[np.bool_], count: int) -> NDArray[np.int32]:
    runs = np.empty((count, 3), np.int32)
    at = 0
    for row in range(mask.shape[0]):
        before = False
        for column in range(mask.shape[1]):
            here = mask[row, column]
            if here and not before:
                runs[at, 0], runs[at, 1] = row, column
            if before and not here:
                runs[at, 2] = column
                at += 1
            before = here
        if before:
            runs[at, 2] = mask.shape[1]
            at += 1
    return runs


@njit(cache=True, nogil=True)
def _root(parents: NDArray[np.int32], at: int) -> int:
    while parents[at] != at:
        parents[at] = parents[parents[at]]
        at = parents[at]
    return at


@njit(cache=True, nogil=True)
def _numbers(runs: NDArray[np.int32]) -> NDArray[np.int32]:
    """(R,) piece of each run: those that overlap in adjacent rows are joined under the earliest."""
    parents = np.arange(len(runs)).astype(np.int32)
    above = 0
    for at in range(len(runs)):
        row, start, stop = runs[at]
        while above < at and (runs[above, 0] < row - 1 or (runs[above, 0] == row - 1 and runs[above, 2] <= start)):
            above += 1
        other = above
        while other < at and runs[other, 0] == row - 1 and runs[other, 1] < stop:
            one, two = _root(parents, other), _root(parents, at)
            parents[max(one, two)] = min(one, two)
            other += 1
    count = 0
    for at in range(len(runs)):
        if parents[at] == at:
            parents[at] = count
            count += 1
        else:  # its root comes earlier and has its number already
            parents[at] = parents[parents[at]]
    return parents


@njit(cache=True, nogil=True)
def _touching(
    runs: NDArray[np.int32], numbers: NDArray[np.int32], count: int, marked: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    found = np.zeros(count, np.bool_)
    for at in range(len(runs)):
        if not found[numbers[at]]:
            for column in range(runs[at, 1], runs[at, 2]):
                if marked[runs[at, 0], column]:
                    found[numbers[at]] = True
                    break
    return found


@njit(cache=True, nogil=True)
def _paint(runs: NDArray[np.int32], mask: NDArray[np.bool_], value: bool) -> None:  # noqa: FBT001
    for at in range(len(runs)):
        mask[runs[at, 0], runs[at, 1] : runs[at, 2]] = value


@njit(cache=True, nogil=True)
def _moments(
    runs: NDArray[np.int32], numbers: NDArray[np.int32], count: int, values: NDArray[np.float32]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(P, C) sums of the values, and (P,) sums of the mean of their squares."""
    channels = values.shape[2]
    sums, squares = np.zeros((count, channels)), np.zeros(count)
    for at in range(len(runs)):
        row, start, stop = runs[at]
        for column in range(start, stop):
            for k in range(channels):
                sums[numbers[at], k] += values[row, column, k]
                squares[numbers[at]] += values[row, column, k] ** 2 / channels
    return sums, squares
