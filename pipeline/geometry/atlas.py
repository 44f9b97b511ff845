"""Rectangles on one texture whose sides are powers of two."""

from collections.abc import Sequence
from dataclasses import dataclass

LARGEST = 4096
"""Texels along a side that every viewer takes."""
_SMALLEST = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Atlas:
    width: int
    height: int
    corners: tuple[tuple[int, int], ...]
    """Left and top of each rectangle, in the order they were given."""


def packed(sizes: Sequence[tuple[int, int]], largest: int = LARGEST) -> Atlas | None:
    """The smallest texture for rectangles of these widths and heights, not turned; None if the largest is too small."""
    sides = [side for side in (1 << n for n in range(largest.bit_length())) if side >= _SMALLEST]
    shapes = sorted(
        ((w, h) for w in sides for h in sides if max(w, h) <= 2 * min(w, h)), key=lambda s: (s[0] * s[1], s[1])
    )
    for width, height in shapes:
        if corners := _shelved(sizes, width, height):
            return Atlas(width=width, height=height, corners=corners)
    return None


def _shelved(sizes: Sequence[tuple[int, int]], width: int, height: int) -> tuple[tuple[int, int], ...]:
    """Left and top of each rectangle on shelves, the tallest first; empty if they don't fit."""
    corners = [(0, 0)] * len(sizes)
    x, y, shelf = 0, 0, 0
    for at in sorted(range(len(sizes)), key=lambda at: (-sizes[at][1], at)):
        wide, tall = sizes[at]
        if x + wide > width:
            x, y, shelf = 0, y + shelf, 0
        if wide > width or y + tall > height:
            return ()
        corners[at] = (x, y)
        x, shelf = x + wide, max(shelf, tall)
    return tuple(corners)
