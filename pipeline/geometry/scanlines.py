"""The filtered lines of a PNG file become pixels."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

_SUB, _UP, _AVERAGE, _PAETH = 1, 2, 3, 4
"""PNG specification (W3C), 9.2 filter types; 0 is none."""


def pixels_of(lines: bytes, width: int, channels: int) -> NDArray[np.uint8]:
    """(H, W, 4) sRGB with straight alpha, of lines with a filter's type (0 to 4) and 8-bit samples each.

    ``channels``: 1 grey, 2 grey and alpha, 3 RGB, 4 RGBA.
    """
    pixels: NDArray[np.uint8] = _pixels(np.frombuffer(lines, np.uint8).reshape(-1, 1 + width * channels), channels)
    return pixels


@njit(cache=True, nogil=True)
def _pixels(lines: NDArray[np.uint8], channels: int) -> NDArray[np.uint8]:
    height, count = lines.shape[0], lines.shape[1] - 1
    pixels = np.empty((height, count // channels, 4), np.uint8)
    # A black pixel goes before each line.
    before, here = np.zeros(count + channels, np.uint8), np.zeros(count + channels, np.uint8)
    is_grey, has_alpha = channels <= 2, channels % 2 == 0
    for row in range(height):
        _unfilter(lines, row, before, here, channels)
        for column in range(count // channels):
            at = (column + 1) * channels
            pixels[row, column, 0] = here[at]
            pixels[row, column, 1] = here[at] if is_grey else here[at + 1]
            pixels[row, column, 2] = here[at] if is_grey else here[at + 2]
            pixels[row, column, 3] = here[at + channels - 1] if has_alpha else 255
        before, here = here, before
    return pixels


@njit(cache=True, nogil=True)
def _unfilter(
    lines: NDArray[np.uint8], row: int, before: NDArray[np.uint8], here: NDArray[np.uint8], channels: int
) -> None:
    """Put into ``here`` the samples of a row, from those of the row ``before``."""
    kind = lines[row, 0]
    for at in range(channels, len(here)):
        here[at] = lines[row, at - channels + 1]
    if kind == _UP:
        for at in range(channels, len(here)):
            here[at] += before[at]
    elif kind == _SUB:
        for at in range(channels, len(here)):
            here[at] += here[at - channels]
    elif kind == _AVERAGE:
        for at in range(channels, len(here)):
            here[at] += (np.int32(here[at - channels]) + np.int32(before[at])) >> 1
    elif kind == _PAETH:
        for at in range(channels, len(here)):
            left, above, slant = np.int32(here[at - channels]), np.int32(before[at]), np.int32(before[at - channels])
            off_left, off_above, off_slant = abs(above - slant), abs(left - slant), abs(left + above - 2 * slant)
            nearest = above if off_above <= off_slant else slant
            here[at] += left if off_left <= off_above and off_left <= off_slant else nearest
