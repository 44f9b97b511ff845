"""Colours for what has none: over the surface from its seen surroundings, over a texture from its painted texels."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

_SMOOTHING = 12
"""Sweeps of smoothing, there and back, for colours that are invented."""
_ALL_EIGHT = np.uint64(0x0101010101010101)


@njit(cache=True, nogil=True)
def spread(colours: NDArray[np.float32], known: NDArray[np.bool_], faces: NDArray[np.int32]) -> NDArray[np.float32]:
    """(V, 3) colours for the vertices that have none: from their nearest known neighbours on the surface, smoothed.

    Neighbours are those along the edges of ``faces`` (K, 3). What no known vertex reaches gets the mean of the known.
    """
    colours, reached = colours.copy(), known.copy()
    starts, neighbours = _neighbours(faces, len(colours))
    order = np.empty(len(colours), np.int32)
    first, last = 0, 0
    for v in range(len(colours)):
        if known[v]:
            order[last] = v
            last += 1
    known_count = last
    while first < last:
        v = order[first]
        first += 1
        for n in range(starts[v], starts[v + 1]):
            if not reached[neighbours[n]]:
                reached[neighbours[n]] = True
                order[last] = neighbours[n]
                last += 1
    reached[:] = known
    for sweep in range(_SMOOTHING + 1):
        for step in range(known_count, last):
            # The first time from the known outwards, then there and back.
            v = order[step if sweep % 2 == 0 else last - 1 - (step - known_count)]
            _take_mean(colours, reached, v, neighbours[starts[v] : starts[v + 1]])
    if last < len(colours):
        _mean_elsewhere(colours, known, reached)
    return colours


@njit(cache=True, nogil=True)
def _neighbours(faces: NDArray[np.int32], count: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Where each vertex's neighbours begin in a list of all; those along two faces come twice."""
    starts = np.zeros(count + 1, np.int32)
    for f in range(len(faces)):
        for corner in range(3):
            starts[faces[f, corner] + 1] += 2
    starts = np.cumsum(starts).astype(np.int32)
    neighbours, place = np.empty(6 * len(faces), np.int32), starts.copy()
    for f in range(len(faces)):
        for corner in range(3):
            v = faces[f, corner]
            neighbours[place[v]], neighbours[place[v] + 1] = faces[f, (corner + 1) % 3], faces[f, (corner + 2) % 3]
            place[v] += 2
    return starts, neighbours


@njit(cache=True, nogil=True)
def _take_mean(colours: NDArray[np.float32], reached: NDArray[np.bool_], v: int, neighbours: NDArray[np.int32]) -> None:
    red, green, blue, count = np.float32(0), np.float32(0), np.float32(0), 0
    for w in neighbours:
        if reached[w]:
            red, green, blue = red + colours[w, 0], green + colours[w, 1], blue + colours[w, 2]
            count += 1
    if count:
        colours[v, 0], colours[v, 1], colours[v, 2] = red / count, green / count, blue / count
        reached[v] = True


@njit(cache=True, nogil=True)
def _mean_elsewhere(colours: NDArray[np.float32], known: NDArray[np.bool_], reached: NDArray[np.bool_]) -> None:
    mean, count = np.zeros(3), 0
    for v in range(len(colours)):
        if known[v]:
            count += 1
            for channel in range(3):
                mean[channel] += colours[v, channel]
    for v in range(len(colours)):
        if not reached[v]:
            for channel in range(3):
                colours[v, channel] = mean[channel] / max(count, 1)


def extended(texels: NDArray[np.uint8], painted: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """An (H, W, 3) texture whose unpainted texels take the colours of painted ones nearby, at every mip level.

    Two rings take the mean of their neighbours; the rest is pulled from coarser levels that know painted texels only
    (push-pull: Gortler et al., "The Lumigraph", 1996). H and W are powers of two, W at least 8.
    """
    filled, known = texels.copy(), painted.copy()
    for _ in range(2):
        known = _ring(filled, known, known.view(np.uint64))
    levels = [(filled, known)]
    while not levels[-1][1].all() and max(levels[-1][1].shape) > 1:
        levels.append(_halved(*levels[-1]))
    for finer, coarser in zip(levels[-2::-1], levels[:0:-1], strict=True):
        _pull(*finer, coarser[0])
    return filled


@njit(cache=True, nogil=True)
def _ring(texels: NDArray[np.uint8], known: NDArray[np.bool_], eights: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Give the texels beside known ones their mean, in place; returns what is known then.

    ``eights`` are the same as ``known``, eight in a row at a time: most have nothing around, or nothing to be given.
    """
    height, width = known.shape
    then = known.copy()
    for row in range(height):
        above, below = max(row - 1, 0), min(row + 1, height - 1)
        for eight in range(width // 8):
            first, before, behind = 8 * eight, max(8 * eight - 1, 0), min(8 * eight + 8, width - 1)
            if eights[row, eight] == _ALL_EIGHT:
                continue
            if not (
                eights[above, eight] | eights[row, eight] | eights[below, eight]
                or (known[above, before] | known[row, before] | known[below, before])
                or (known[above, behind] | known[row, behind] | known[below, behind])
            ):
                continue
            for column in range(first, first + 8):
                if not known[row, column]:
                    then[row, column] = _take_ring(texels, known, row, column)
    return then


@njit(cache=True, nogil=True)
def _take_ring(texels: NDArray[np.uint8], known: NDArray[np.bool_], row: int, column: int) -> bool:
    """Give a texel the mean of the known ones around it; whether there are any."""
    height, width = known.shape
    red, green, blue, count = 0, 0, 0, 0
    for j in range(max(row - 1, 0), min(row + 2, height)):
        for i in range(max(column - 1, 0), min(column + 2, width)):
            if known[j, i]:
                red += texels[j, i, 0]
                green += texels[j, i, 1]
                blue += texels[j, i, 2]
                count += 1
    if count:
        texels[row, column, 0] = (red + count // 2) // count
        texels[row, column, 1] = (green + count // 2) // count
        texels[row, column, 2] = (blue + count // 2) // count
    return count > 0


@njit(cache=True, nogil=True)
def _halved(texels: NDArray[np.uint8], known: NDArray[np.bool_]) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """The next mip level, of the known texels alone. The mean is written out: in a function that
    ``_take_ring`` calls, too, it takes two to four times as long.
    """
    height, width = known.shape
    tall, wide = 2 if height > 1 else 1, 2 if width > 1 else 1
    half, some = (
        np.zeros((height // tall, width // wide, 3), np.uint8),
        np.zeros((height // tall, width // wide), np.bool_),
    )
    for row in range(height // tall):
        for column in range(width // wide):
            red, green, blue, count = 0, 0, 0, 0
            for j in range(row * tall, row * tall + tall):
                for i in range(column * wide, column * wide + wide):
                    if known[j, i]:
                        red += texels[j, i, 0]
                        green += texels[j, i, 1]
                        blue += texels[j, i, 2]
                        count += 1
            if count:
                half[row, column, 0] = (red + count // 2) // count
                half[row, column, 1] = (green + count // 2) // count
                half[row, column, 2] = (blue + count // 2) // count
                some[row, column] = True
    return half, some


@njit(cache=True, nogil=True)
def _pull(texels: NDArray[np.uint8], known: NDArray[np.bool_], coarser: NDArray[np.uint8]) -> None:
    """Give the unknown texels their colour on the coarser level, in place."""
    tall, wide = known.shape[0] // coarser.shape[0], known.shape[1] // coarser.shape[1]
    for row in range(known.shape[0]):
        j = row // tall
        for i in range(coarser.shape[1]):
            for column in range(i * wide, i * wide + wide):
                if not known[row, column]:
                    texels[row, column, 0] = coarser[j, i, 0]
                    texels[row, column, 1] = coarser[j, i, 1]
                    texels[row, column, 2] = coarser[j, i, 2]


def at_vertices(
    samples: NDArray[np.uint8], levels: NDArray[np.int8], shares: NDArray[np.float32]
) -> NDArray[np.float32]:
    """(V, 3) the mean of what N views show (N, V, 3), evened by ``levels`` (N, V, 3), in their shares (N, V).

    Black where no view has a share.
    """
    colours = np.zeros(samples.shape[1:], np.float32)
    for share, sample, level in zip(shares, samples, levels, strict=True):
        colours += share[:, None] * (sample.astype(np.float32) + level)
    return np.clip(colours, 0, 255, out=colours)
