"""Which pixels of an opaque picture are its object, decided one by one where background and object meet."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pipeline.geometry.backgrounds import Background
from pipeline.geometry.pieces import pieces
from pipeline.geometry.shadows import grown
from pipeline.geometry.unmixing import BAND, EDGE_PX, behind_at, unmixed

_OUTER_PX, _INNER_PX, _SHADY_PX = 4, 16, 8
"""How far from the clear background's edge pixels are looked at one by one, and how far a shadow is followed."""
_SPECK = 1e-3
"""Pieces smaller than this part of the largest are dirt on the background."""
_FAINTEST = 2.5
"""The least difference, in levels, that tells an object from a noiseless background."""
_NOISE = 2.5
"""The same for a noisy one, in its noise."""
_RELATIVE = 0.2
"""A pixel that differs by less than that part of what its surroundings do is background."""
_FAINT, _CONTRAST, _TELLING = 4.0, 40.0, 0.02
"""Cells that differ by no more levels on the whole, beside such a contrast, show ringing if many are not even."""
_EXCEEDED, _RINGING = 0.05, 1.5
"""Ringing is half more than what so small a part of such pixels exceed, in parts of the contrast beside them."""
_RANGE_PX = 12
"""How far from an edge its ringing goes: compressed colours come in blocks of 16."""
_DEEPER, _BRIGHTER = 0.6, 1.06
"""How much of the light of the nearest known shadow is left where it goes on."""
_HALOED = 0.3
"""If so much of the outline begins softly, a shadow too narrow for cells surrounds the object: seen from above."""
_TINT, _KINK = 6.0, 4.0
"""How far a shadow's colour may stray, and its slope bend over two pixels, in levels."""
_CHROMA, _LOSSLESS = 0.1, 0.03
"""Compression that leaves some ringing has blurred the colours: they count so little beside the brightness."""
_DOUBTFUL = 10.0
"""Levels: an outline that differs by less may as well be another one."""
_CLEAR, _SOLID = 0, 1


def matte(colours: NDArray[np.uint8], behind: Background) -> tuple[NDArray[np.float32], NDArray[np.uint8], float]:
    """(H, W) coverage and (H, W, 3) colours of an (H, W, 3 or more) sRGB picture's object, and the part of its outline
    that hardly differs from the background.
    """
    kinds = _kinds(behind.clear, -(-_OUTER_PX // behind.cell), -(-_INNER_PX // behind.cell))
    differences = _differences(colours, behind.plate, behind.cell, kinds, behind.noise)
    least = max(_FAINTEST, _NOISE * behind.noise / 3) if behind.noise > 1 else _FAINTEST
    ringing = _ringing(differences, kinds, behind.clear, behind.cell)
    solid = _solid(differences, kinds, behind.cell, least, ringing)
    haloed = False
    shady = grown(behind.dark, -(-_SHADY_PX // behind.cell)) if behind.dark.any() else behind.dark
    if shady.any():
        _recede(solid, colours, behind.plate, behind.cell, shady & (kinds == BAND), behind.noise)
    if behind.noise <= 1:
        solid, haloed = _without_halo(solid, colours, behind, kinds)
    _clean(solid, kinds, behind.cell)
    soft = ringing > _LOSSLESS or shady.any() or haloed
    chroma, edge = _CHROMA if ringing > _LOSSLESS else 1.0, EDGE_PX if soft else EDGE_PX - 1
    coverage, own = unmixed(colours, behind.plate, behind.cell, kinds, solid, chroma, edge)
    return coverage, own[..., :3], _faint(solid, differences, kinds, behind.cell, max(_DOUBTFUL, 2 * least))


def _kinds(clear: NDArray[np.bool_], outer: int, inner: int) -> NDArray[np.uint8]:
    """(h, w) which cells are wholly background, wholly object, or looked at pixel by pixel."""
    mixed = np.where(clear, grown(~clear, outer), grown(clear, inner))
    return np.where(mixed, BAND, np.where(clear, _CLEAR, _SOLID)).astype(np.uint8)


@njit(cache=True, nogil=True, error_model="numpy")
def _differences(
    colours: NDArray[np.uint8], plate: NDArray[np.float32], cell: int, kinds: NDArray[np.uint8], noise: float
) -> NDArray[np.float32]:
    """(H, W) how far each pixel of the band is from the background, in levels; means of 3 x 3 where there is noise."""
    height, width = colours.shape[0], colours.shape[1]
    differences = np.zeros((height, width), np.float32)
    reach = 1 if noise > 1 else 0
    for row in range(kinds.shape[0]):
        for column in range(kinds.shape[1]):
            if kinds[row, column] != BAND:
                continue
            for y in range(row * cell, min((row + 1) * cell, height)):
                for x in range(column * cell, min((column + 1) * cell, width)):
                    top, bottom = max(y - reach, 0), min(y + reach + 1, height)
                    left, right = max(x - reach, 0), min(x + reach + 1, width)
                    count = (bottom - top) * (right - left)
                    square = 0.0
                    for channel in range(3):
                        total = 0
                        for v in range(top, bottom):
                            for u in range(left, right):
                                total += colours[v, u, channel]
                        off = total / count - behind_at(plate, cell, y, x, channel)
                        square += off * off
                    differences[y, x] = np.sqrt(square / 3)
    return differences


@njit(cache=True, nogil=True, error_model="numpy")
def _strongest(differences: NDArray[np.float32], kinds: NDArray[np.uint8], cell: int) -> NDArray[np.float32]:
    """(h, w) the greatest difference in each cell of the band and those around it."""
    height, width = differences.shape
    own = np.zeros(kinds.shape, np.float32)
    for row in range(kinds.shape[0]):
        for column in range(kinds.shape[1]):
            if kinds[row, column] == BAND:
                for y in range(row * cell, min((row + 1) * cell, height)):
                    for x in range(column * cell, min((column + 1) * cell, width)):
                        own[row, column] = max(own[row, column], differences[y, x])
    reach = max(_RANGE_PX // cell, 1)
    strongest = np.zeros(kinds.shape, np.float32)
    for row in range(kinds.shape[0]):
        for column in range(kinds.shape[1]):
            if kinds[row, column] == BAND:
                for y in range(max(row - reach, 0), min(row + reach + 1, kinds.shape[0])):
                    for x in range(max(column - reach, 0), min(column + reach + 1, kinds.shape[1])):
                        strongest[row, column] = max(strongest[row, column], own[y, x])
    return strongest


@njit(cache=True, nogil=True, error_model="numpy")
def _ringing(differences: NDArray[np.float32], kinds: NDArray[np.uint8], clear: NDArray[np.bool_], cell: int) -> float:
    """How much of an edge's contrast compression leaves beside it: what hardly any pixel of the background exceeds."""
    strongest = _strongest(differences, kinds, cell)
    counts = np.zeros(101, np.int64)
    for row in range(kinds.shape[0]):
        for column in range(kinds.shape[1]):
            if kinds[row, column] != BAND or clear[row, column] or strongest[row, column] < _CONTRAST:
                continue
            inside = differences[row * cell : (row + 1) * cell, column * cell : (column + 1) * cell]
            if inside.mean() > _FAINT:
                continue
            for y in range(inside.shape[0]):
                for x in range(inside.shape[1]):
                    counts[int(100 * min(inside[y, x] / strongest[row, column], 1.0))] += 1
    above, total = 0, counts.sum()
    if total < _TELLING * (kinds == BAND).sum() * cell * cell:
        return 0.0
    for at in range(100, 0, -1):
        above += counts[at]
        if above > _EXCEEDED * total:
            return min(_RINGING * at / 100, _RELATIVE)
    return 0.0


@njit(cache=True, nogil=True, error_model="numpy")
def _solid(
    differences: NDArray[np.float32], kinds: NDArray[np.uint8], cell: int, least: float, ringing: float
) -> NDArray[np.bool_]:
    """(H, W) which pixels are object at all."""
    height, width = differences.shape
    solid = np.zeros((height, width), np.bool_)
    strongest = _strongest(differences, kinds, cell)
    for row in range(kinds.shape[0]):
        for column in range(kinds.shape[1]):
            faintest = max(least, ringing * strongest[row, column])
            for y in range(row * cell, min((row + 1) * cell, height)):
                for x in range(column * cell, min((column + 1) * cell, width)):
                    if kinds[row, column] == _SOLID:
                        solid[y, x] = True
                    elif kinds[row, column] == BAND and differences[y, x] > faintest:
                        most = np.float32(0)
                        for v in range(max(y - 2, 0), min(y + 3, height)):
                            for u in range(max(x - 2, 0), min(x + 3, width)):
                                most = max(most, differences[v, u])
                        solid[y, x] = differences[y, x] > _RELATIVE * most
    return solid


@njit(cache=True, nogil=True, error_model="numpy")
def _faint(
    solid: NDArray[np.bool_], differences: NDArray[np.float32], kinds: NDArray[np.uint8], cell: int, least: float
) -> float:
    """The part of the outline within two pixels of which nothing differs more than that from the background."""
    height, width = solid.shape
    outline = faint = 0
    for row in range(kinds.shape[0]):
        for column in range(kinds.shape[1]):
            if kinds[row, column] != BAND:
                continue
            for y in range(max(row * cell, 1), min((row + 1) * cell, height - 1)):
                for x in range(max(column * cell, 1), min((column + 1) * cell, width - 1)):
                    inner = solid[y - 1, x] and solid[y + 1, x] and solid[y, x - 1] and solid[y, x + 1]
                    if not solid[y, x] or inner:
                        continue
                    most = np.float32(0)
                    for v in range(max(y - 2, 0), min(y + 3, height)):
                        for u in range(max(x - 2, 0), min(x + 3, width)):
                            most = max(most, differences[v, u])
                    outline += 1
                    if most < least:
                        faint += 1
    return faint / max(outline, 1)


@njit(cache=True, nogil=True, error_model="numpy")
def _brightness(colours: NDArray[np.uint8], y: int, x: int, reach: int) -> float:
    """Of a pixel, or the mean of 3 x 3; beyond the picture it stays the same."""
    height, width = colours.shape[0], colours.shape[1]
    total = 0
    for v in range(y - reach, y + reach + 1):
        for u in range(x - reach, x + reach + 1):
            row, column = min(max(v, 0), height - 1), min(max(u, 0), width - 1)
            total += colours[row, column, 0] + 2 * colours[row, column, 1] + colours[row, column, 2]
    return total / (4 * (2 * reach + 1) ** 2)


@njit(cache=True, nogil=True, error_model="numpy")
def _in_shadow(colours: NDArray[np.uint8], plate: NDArray[np.float32], cell: int, y: int, x: int, reach: int) -> bool:
    """Whether a pixel has the colour of the shadow that the plate shows near it, or darker, and lies on no edge."""
    product = light = square = 0.0
    for channel in range(3):
        here, plain = float(colours[y, x, channel]), behind_at(plate, cell, y, x, channel)
        product += here * plain
        light += plain * plain
        square += here * here
    part = product / max(light, 1.0)
    tint = np.sqrt(max(square - part * product, 0.0) / 3)
    if not (_DEEPER <= part <= _BRIGHTER and tint <= _TINT):
        return False
    far = 2 + reach
    here = 2 * _brightness(colours, y, x, reach)
    down = _brightness(colours, y - far, x, reach) + _brightness(colours, y + far, x, reach) - here
    right = _brightness(colours, y, x - far, reach) + _brightness(colours, y, x + far, reach) - here
    return max(abs(down), abs(right)) <= _KINK


def _without_halo(
    solid: NDArray[np.bool_], colours: NDArray[np.uint8], behind: Background, kinds: NDArray[np.uint8]
) -> tuple[NDArray[np.bool_], bool]:
    """Without a shadow all around the object, if there is one: behind it the outline must begin sharply."""
    soft = _haloed(solid, colours, behind.plate, behind.cell, kinds)
    if soft < _HALOED:
        return solid, False
    bare = solid.copy()
    _recede(bare, colours, behind.plate, behind.cell, kinds == BAND, behind.noise)
    found = _haloed(bare, colours, behind.plate, behind.cell, kinds) < soft / 2
    return (bare, True) if found else (solid, False)


@njit(cache=True, nogil=True, error_model="numpy")
def _haloed(
    solid: NDArray[np.bool_],
    colours: NDArray[np.uint8],
    plate: NDArray[np.float32],
    cell: int,
    kinds: NDArray[np.uint8],
) -> float:
    """The part of the outline that begins as softly as a shadow."""
    height, width = solid.shape
    outline = soft = 0
    for row in range(kinds.shape[0]):
        for column in range(kinds.shape[1]):
            if kinds[row, column] != BAND:
                continue
            for y in range(max(row * cell, 1), min((row + 1) * cell, height - 1)):
                for x in range(max(column * cell, 1), min((column + 1) * cell, width - 1)):
                    inner = solid[y - 1, x] and solid[y + 1, x] and solid[y, x - 1] and solid[y, x + 1]
                    if solid[y, x] and not inner:
                        outline += 1
                        soft += _in_shadow(colours, plate, cell, y, x, 0)
    return soft / max(outline, 1)


@njit(cache=True, nogil=True, error_model="numpy")
def _recede(
    solid: NDArray[np.bool_],
    colours: NDArray[np.uint8],
    plate: NDArray[np.float32],
    cell: int,
    shady: NDArray[np.bool_],
    noise: float,
) -> None:
    """Follow a shadow from where it is known, pixel by pixel, up to the object's edge; in place."""
    height, width = solid.shape
    reach = 1 if noise > 1 else 0
    waiting = np.empty(height * width, np.int32)
    left = 0
    for row in range(shady.shape[0]):
        for column in range(shady.shape[1]):
            if shady[row, column]:
                for y in range(row * cell, min((row + 1) * cell, height)):
                    for x in range(column * cell, min((column + 1) * cell, width)):
                        if not solid[y, x]:
                            waiting[left] = y * width + x
                            left += 1
    while left:
        left -= 1
        row, column = waiting[left] // width, waiting[left] % width
        for turn in range(4):
            y, x = row + (turn == 0) - (turn == 1), column + (turn == 2) - (turn == 3)
            if y < 0 or x < 0 or y >= height or x >= width or not solid[y, x] or not shady[y // cell, x // cell]:
                continue
            if _in_shadow(colours, plate, cell, y, x, reach):
                solid[y, x] = False
                waiting[left] = y * width + x
                left += 1


def _clean(solid: NDArray[np.bool_], kinds: NDArray[np.uint8], cell: int) -> None:
    """Drop specks off the object, fill pinholes in it; in place."""
    found = pieces(solid)
    if len(found.sizes):
        found.painted(found.sizes <= _SPECK * found.sizes.max(), solid, value=False)
    gaps = ~solid
    found = pieces(gaps)
    clear = np.repeat(np.repeat(kinds == _CLEAR, cell, axis=0), cell, axis=1)[: solid.shape[0], : solid.shape[1]]
    found.painted(~found.touching(clear), solid, value=True)
