"""How much of each pixel along an outline is object, and the object's own colour there, its background taken out.

A pixel on the outline mixes the background's colour and the object's: I = a F + (1 - a) B. B is known; F is taken from
a few pixels further in; a is the least-squares solution.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

EDGE_PX = 3
"""How far from an outline pixels may be mixed, by anti-aliasing and by compression."""
_UNMIXED = 0.3
"""A pixel of which the object covers less tells too little of the object's colour."""
_FURTHER, _COLLINEAR = 0.8, 0.8
"""Square of the part of a difference, and cosine between two, that tell one colour of the object from the next."""
BAND = 2
"""The kind of cells that are looked at pixel by pixel."""


@njit(cache=True, nogil=True, error_model="numpy")
def behind_at(plate: NDArray[np.float32], cell: int, y: int, x: int, channel: int) -> float:
    """The plate at a pixel, linear between the cells' middles."""
    down, right = (y + 0.5) / cell - 0.5, (x + 0.5) / cell - 0.5
    down = min(max(down, 0.0), plate.shape[0] - 1.0)
    right = min(max(right, 0.0), plate.shape[1] - 1.0)
    row, column = int(down), int(right)
    below, beside = min(row + 1, plate.shape[0] - 1), min(column + 1, plate.shape[1] - 1)
    down, right = down - row, right - column
    upper = plate[row, column, channel] * (1 - right) + plate[row, beside, channel] * right
    lower = plate[below, column, channel] * (1 - right) + plate[below, beside, channel] * right
    return float(upper * (1 - down) + lower * down)


@njit(cache=True, nogil=True, error_model="numpy")
def unmixed(
    colours: NDArray[np.uint8],
    plate: NDArray[np.float32],
    cell: int,
    kinds: NDArray[np.uint8],
    solid: NDArray[np.bool_],
    chroma: float,
    edge: int,
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    height, width = solid.shape
    coverage, own = solid.astype(np.float32), colours.copy()
    for row in range(kinds.shape[0]):
        for column in range(kinds.shape[1]):
            if kinds[row, column] != BAND:
                continue
            for y in range(max(row * cell, EDGE_PX), min((row + 1) * cell, height - EDGE_PX)):
                for x in range(max(column * cell, EDGE_PX), min((column + 1) * cell, width - EDGE_PX)):
                    _unmix(colours, plate, cell, solid, y, x, chroma, edge, coverage, own)
    return coverage, own


@njit(cache=True, nogil=True, error_model="numpy")
def _unmix(
    colours: NDArray[np.uint8],
    plate: NDArray[np.float32],
    cell: int,
    solid: NDArray[np.bool_],
    y: int,
    x: int,
    chroma: float,
    edge: int,
    coverage: NDArray[np.float32],
    own: NDArray[np.uint8],
) -> None:
    """One pixel's coverage and own colour, if it is near the outline."""
    height, width = solid.shape
    count, down, right = 0, 0.0, 0.0
    for v in range(-edge, edge + 1):
        for u in range(-edge, edge + 1):
            if solid[y + v, x + u]:
                count += 1
                down += v
                right += u
    length = np.sqrt(down * down + right * right)
    if count == 0 or count == (2 * edge + 1) ** 2 or length == 0:
        return
    down, right = down / length, right / length
    red, green, blue = _beyond(colours, plate, cell, solid, y, x, down, right)
    best, best_y, best_x = -1.0, y, x
    for far in range(2 * edge):
        v, u = int(np.rint(y + far * down)), int(np.rint(x + far * right))
        if not (0 <= v < height and 0 <= u < width) or not (solid[v, u] or far == 0):
            continue
        there = (colours[v, u, 0] - red, colours[v, u, 1] - green, colours[v, u, 2] - blue)
        off = _product(there, there, chroma)
        if off > best:
            best, best_y, best_x = off, v, u
        elif off < _FURTHER * best:
            break  # the next colour of a pattern
    full = (colours[best_y, best_x, 0] - red, colours[best_y, best_x, 1] - green, colours[best_y, best_x, 2] - blue)
    here = (colours[y, x, 0] - red, colours[y, x, 1] - green, colours[y, x, 2] - blue)
    product = _product(full, here, chroma)
    part = product / max(best, 1e-6)
    own_square = _product(here, here, chroma)
    if product < _COLLINEAR * np.sqrt(own_square * max(best, 1e-6)):
        part = np.sqrt(own_square / max(best, 1e-6))  # no mixture of these two: another colour of the object's
    part = min(max(part, 0.0), 1.0)
    if best_y == y and best_x == x and not solid[y, x]:
        part = 0.0
    v, u = int(np.rint(y - down)), int(np.rint(x - right))
    there = (colours[v, u, 0] - red, colours[v, u, 1] - green, colours[v, u, 2] - blue)
    if solid[y, x] and solid[v, u] and _product(there, there, chroma) >= _product(here, here, chroma):
        part = 1.0  # no edge gets weaker inward: this is the object's own pattern
    coverage[y, x] = part
    plain = (red, green, blue)
    for channel in range(3):
        pure = float(colours[best_y, best_x, channel])
        if part >= _UNMIXED:
            pure = plain[channel] + (colours[y, x, channel] - plain[channel]) / part
        own[y, x, channel] = np.uint8(min(max(pure, 0.0), 255.0) + 0.5)


@njit(cache=True, nogil=True, error_model="numpy")
def _product(a: tuple[float, float, float], b: tuple[float, float, float], chroma: float) -> float:
    """The scalar product of two differences of colour; their hue counts for the part ``chroma``."""
    light = (0.299 * a[0] + 0.587 * a[1] + 0.114 * a[2]) * (0.299 * b[0] + 0.587 * b[1] + 0.114 * b[2])
    return chroma * (a[0] * b[0] + a[1] * b[1] + a[2] * b[2]) + (1 - chroma) * 3 * light


@njit(cache=True, nogil=True, error_model="numpy")
def _beyond(
    colours: NDArray[np.uint8],
    plate: NDArray[np.float32],
    cell: int,
    solid: NDArray[np.bool_],
    y: int,
    x: int,
    down: float,
    right: float,
) -> tuple[float, float, float]:
    """The background's colour at a pixel: the plate's, off by as much as it is a few pixels outward."""
    red, green, blue = (
        behind_at(plate, cell, y, x, 0),
        behind_at(plate, cell, y, x, 1),
        behind_at(plate, cell, y, x, 2),
    )
    height, width = solid.shape
    count, off_red, off_green, off_blue = 0, 0.0, 0.0, 0.0
    for far in range(3, 6):
        for aside in range(-1, 2):
            v, u = int(np.rint(y - far * down + aside * right)), int(np.rint(x - far * right - aside * down))
            if 0 <= v < height and 0 <= u < width and not solid[v, u]:
                count += 1
                off_red += colours[v, u, 0] - behind_at(plate, cell, v, u, 0)
                off_green += colours[v, u, 1] - behind_at(plate, cell, v, u, 1)
                off_blue += colours[v, u, 2] - behind_at(plate, cell, v, u, 2)
    if count < 3:
        return red, green, blue
    return red + off_red / count, green + off_green / count, blue + off_blue / count
