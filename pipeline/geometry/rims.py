"""Where a picture shows what lies behind a rim of the surface.

A hull lies outside the real surface: just inside its rims a picture still shows what is farther away, and a point of
the rim must not take that colour. Silhouettes' own outlines are exact; rims before other parts of the object aren't.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

_JUMP_PX = 6
"""A rim: the surface beside a pixel lies so many pixels farther away."""
_REACH = 1 / 48
"""How far behind a rim the real one is looked for, in parts of the picture's width."""
_BEYOND_PX = 3
"""So far beyond the rim the colour of what lies behind is taken."""
_UNLIKE = 40
"""Two colours differ: the sum over the channels, of 3 x 255."""
_FOLLOWING = np.float32(0.2)
"""How quickly the colour that is followed takes on a gentle change of shade."""


@njit(cache=True, nogil=True, error_model="numpy")
def leaks(depth: NDArray[np.float32], colours: NDArray[np.uint8], pixel: float) -> NDArray[np.bool_]:
    """(S, S) the pixels inside a rim that go on in the colour from beyond it, up to where that colour ends.

    ``depth`` (S, S) in world units, larger is nearer, -inf where there is none; ``colours`` (S, S, 3); ``pixel`` world
    units that a pixel spans. Where the colour goes on further than a hull errs, nothing is said.
    """
    size = len(depth)
    leaking = np.zeros((size, size), np.bool_)
    jump, reach = np.float32(_JUMP_PX * pixel), max(2, int(_REACH * size))
    margin = _BEYOND_PX + 1
    for row in range(margin, size - margin):
        for column in range(margin, size - margin):
            here = depth[row, column]
            if not np.isfinite(here):
                continue
            for side in range(4):
                x, y = (1 - 2 * (side & 1), 0) if side < 2 else (0, 1 - 2 * (side & 1))
                beside = depth[row + y, column + x]
                if np.isfinite(beside) and here - beside > jump:
                    beyond = depth[row + _BEYOND_PX * y, column + _BEYOND_PX * x]
                    if np.isfinite(beyond) and here - beyond > jump:
                        _follow(leaking, depth, colours, (row, column), (x, y), jump, reach)
    return leaking


@njit(cache=True, nogil=True, error_model="numpy")
def _follow(
    leaking: NDArray[np.bool_],
    depth: NDArray[np.float32],
    colours: NDArray[np.uint8],
    at: tuple[int, int],
    outwards: tuple[int, int],
    jump: np.float32,
    reach: int,
) -> None:
    """Mark the pixels from a rim inwards that have the colour from beyond it, if it ends within reach."""
    (row, column), (x, y), size = at, outwards, len(depth)
    far_y, far_x = row + _BEYOND_PX * y, column + _BEYOND_PX * x
    red, green = np.float32(colours[far_y, far_x, 0]), np.float32(colours[far_y, far_x, 1])
    blue = np.float32(colours[far_y, far_x, 2])
    length = 0
    while length < reach:
        j, i = row - length * y, column - length * x
        if not (0 <= i < size and 0 <= j < size) or not depth[j, i] > depth[row, column] - jump:
            return
        unlike = abs(colours[j, i, 0] - red) + abs(colours[j, i, 1] - green) + abs(colours[j, i, 2] - blue)
        if unlike > _UNLIKE:
            break
        red += _FOLLOWING * (colours[j, i, 0] - red)
        green += _FOLLOWING * (colours[j, i, 1] - green)
        blue += _FOLLOWING * (colours[j, i, 2] - blue)
        length += 1
    if 0 < length < reach:
        for step in range(length + 1):  # the last one is mixed with the real rim's colour
            j, i = row - step * y, column - step * x
            if 0 <= i < size and 0 <= j < size and np.isfinite(depth[j, i]):
                leaking[j, i] = True
