"""The checkerboard that programs show in place of transparency, where it has become part of the picture."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_INSET_PX = 2
"""The lines along which a checkerboard is looked for lie so far inside the picture's sides."""
_LEAST_GAP, _HELD, _RARER = 5.0, 0.6, 0.25
"""Levels between the two colours; the part of those lines that must have one of them; that of the rarer one."""
_NEAR, _LEAST_TOLERANCE = 0.3, 4.0
"""How far a pixel may stray from its colour: in parts of what lies between the two, and at least so many levels."""
_LEAST_CHANGES, _LEAST_SIDE_PX = 4, 3.0
_REGULAR, _OFF_PX = 0.8, 1.0
"""The part of the changes from one colour to the other that must lie so near to the lattice's lines."""
_MIXED_PX = 1.5
"""So near to a line both colours may be mixed."""
_SURE = 0.95
"""Where so much of a window larger than a square matches, the checkerboard is seen."""
_SIEVE, _LEAST_SQUARES = 0.75, 6
"""What is left and lies to so large a part on squares of one kind, over at least so many, is an object of the other
kind's colour, with holes.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lattice:
    """Lines across one axis of a picture."""

    origin_px: float
    side_px: float

    def places(self, size: int) -> NDArray[np.floating[Any]]:
        """(size,) where each pixel's middle lies, in squares."""
        places: NDArray[np.floating[Any]] = (np.arange(size) + 0.5 - self.origin_px) / self.side_px
        return places


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkers:
    """A background of squares in two colours."""

    colours: NDArray[np.float32]
    """(2, 3) sRGB, the darker one first."""
    lattices: tuple[Lattice, Lattice] | None
    """Down and across; None where the squares are irregular, as an image generator draws them."""

    @property
    def gap(self) -> float:
        """Levels between the two colours."""
        return _apart(self.colours[0], self.colours[1]).item()


def checkers(picture: NDArray[np.uint8]) -> Checkers | None:
    """The checkerboard behind the object of an opaque (H, W, 3 or more) sRGB picture; None where there is none."""
    inset = min(_INSET_PX, (min(picture.shape[:2]) - 1) // 2)
    across = [picture[row, :, :3].astype(np.float32) for row in (inset, -1 - inset)]
    down = [picture[:, column, :3].astype(np.float32) for column in (inset, -1 - inset)]
    ring = np.concatenate([*across, *down])
    light = ring.mean(axis=1)
    low, high = np.quantile(light, (0.1, 0.9))
    bright = light > (low + high) / 2
    if high - low < _LEAST_GAP or not _RARER <= bright.mean() <= 1 - _RARER:
        return None
    colours = np.stack([np.median(ring[~bright], axis=0), np.median(ring[bright], axis=0)])
    found = Checkers(colours=colours, lattices=None)
    held = np.minimum(_apart(ring, colours[0]), _apart(ring, colours[1])) <= _NEAR * found.gap
    if held.mean() < _HELD:
        return None
    changes = [[_changes(line.mean(axis=1) > colours.mean()) for line in lines] for lines in (down, across)]
    if any(sum(map(len, lines)) < 2 * _LEAST_CHANGES or _side(lines) < _LEAST_SIDE_PX for lines in changes):
        return None
    vertical, horizontal = _lattice(changes[0], picture.shape[0]), _lattice(changes[1], picture.shape[1])
    return Checkers(colours=colours, lattices=(vertical, horizontal) if vertical and horizontal else None)


def evened(picture: NDArray[np.uint8], behind: Checkers) -> NDArray[np.uint8] | None:
    """The (H, W, C) picture with its checkerboard in the mean of its two colours; None where it is irregular, or the
    object has one of those colours.
    """
    if behind.lattices is None:
        return None
    height, width, _ = picture.shape
    y, x = (lattice.places(size) for lattice, size in zip(behind.lattices, (height, width), strict=True))
    odd = (np.floor(y)[:, None] + np.floor(x)[None, :]) % 2 > 0
    colours = picture[..., :3].astype(np.float32)
    from_darker, from_lighter = (_apart(colours, one) for one in behind.colours)
    darker = from_darker < from_lighter
    border = np.ones((height, width), bool)
    border[_INSET_PX + 1 : -_INSET_PX - 1, _INSET_PX + 1 : -_INSET_PX - 1] = False
    if (odd == darker)[border].mean() < 0.5:
        odd = ~odd
    tolerance = max(_NEAR * behind.gap, _LEAST_TOLERANCE)
    mixed = _beside_lines(y, behind.lattices[0])[:, None] | _beside_lines(x, behind.lattices[1])[None, :]
    matching = np.where(odd, from_darker, from_lighter) <= tolerance
    matching |= mixed & (_from_mixtures(colours, behind.colours) <= tolerance)
    side = int(np.ceil(max(lattice.side_px for lattice in behind.lattices)))
    shown = matching & (_share(_share(matching, side + 3) >= _SURE, 2 * side) > 0)
    left, on_odd = int((~shown).sum()), int((odd & ~shown).sum())
    if max(on_odd, left - on_odd) > _SIEVE * left and left >= _LEAST_SQUARES * side**2:
        return None
    even = picture.copy()
    even[shown, :3] = np.rint(behind.colours.mean(axis=0)).astype(np.uint8)
    return even


def _apart(colours: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.float32]:
    """Levels: root mean squares over the channels."""
    apart: NDArray[np.float32] = np.sqrt(((colours - other) ** 2).mean(axis=-1))
    return apart


def _from_mixtures(colours: NDArray[np.float32], two: NDArray[np.float32]) -> NDArray[np.float32]:
    """How far each colour is from the nearest mixture of two, in levels."""
    span = two[1] - two[0]
    part = np.clip((colours - two[0]) @ span / (span @ span), 0, 1)
    return _apart(colours, two[0] + part[..., None] * span)


def _changes(bright: NDArray[np.bool_]) -> NDArray[np.int64]:
    return np.flatnonzero(bright[1:] != bright[:-1]) + 1


def _side(changes: list[NDArray[np.int64]]) -> float:
    """How many pixels most often lie between two changes."""
    return float(np.median(np.concatenate([np.diff(line) for line in changes])))


def _lattice(changes: list[NDArray[np.int64]], size: int) -> Lattice | None:
    """The evenly spaced lines on which most changes along two lines of ``size`` pixels lie; None if there are none.

    The spacing is where the changes, as phases of it, point the same way.
    """
    every = np.concatenate(changes).astype(np.float64)
    middle = _side(changes)
    sides = np.arange(middle - 1, middle + 1, middle**2 / (8 * size))
    phases = np.exp(2j * np.pi * every[None, :] / sides[:, None]).mean(axis=1)
    best = int(np.abs(phases).argmax())
    side = float(sides[best])
    origin = float(np.angle(phases[best])) / (2 * np.pi) * side
    off = (every - origin) / side
    regular = np.abs(off - np.rint(off)) * side <= _OFF_PX
    return Lattice(origin_px=origin, side_px=side) if regular.mean() >= _REGULAR else None


def _beside_lines(places: NDArray[np.floating[Any]], lattice: Lattice) -> NDArray[np.bool_]:
    beside: NDArray[np.bool_] = np.abs(places - np.rint(places)) * lattice.side_px <= _MIXED_PX
    return beside


def _share(mask: NDArray[np.bool_], side: int) -> NDArray[np.float32]:
    """(H, W) the marked part of the window of ``side`` x ``side`` pixels, or one more, around each pixel."""
    half = side // 2
    padded = np.pad(mask, half, mode="edge").astype(np.int32)
    sums = np.pad(padded.cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
    full = 2 * half + 1
    share: NDArray[np.float32] = (
        sums[full:, full:] - sums[:-full, full:] - sums[full:, :-full] + sums[:-full, :-full]
    ).astype(np.float32) / np.float32(full * full)
    return share
