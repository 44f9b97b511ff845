"""Differences of exposure and white balance between pictures, evened out where they are clearly there.

Two views that see one point of the surface should show it in one colour. What they differ by, channel by channel, is a
gain of each picture: solved for all together by least squares over the medians of pairs of views (after Brown and Lowe,
"Automatic Panoramic Image Stitching using Invariant Features", 2007).
"""

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from pipeline.geometry.rendering import from_linear, linear

_SQUARE = 0.45
"""Points count that both views see under at least this cosine."""
_DARKEST, _BRIGHTEST = 0.02, 0.92
"""Linear light beyond which noise or clipping speaks."""
_LEAST_POINTS = 60
"""Pairs of views with fewer points in common say nothing."""
_CLEAR = 0.08
"""Gains (natural logarithm) that are all smaller are no difference of exposure but the hull's parallax.

So are those that fewer than three quarters of a pair's points agree on in their sign.
"""
_CERTAIN = 4.0
"""And those that are fewer times the standard error of a pair's median."""
_ALIKE = 8
"""Neighbouring points are alike: one in so many counts."""
_CALM = 0.02
"""No pair's spread is believed to be less."""
_LARGEST = 0.9
"""Nobody photographs one object with exposures that differ by more: 2.5 times."""
_PRIOR = 1e-3
"""Holds views that no pair speaks of at a gain of 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    gains: NDArray[np.float64]
    """(N, 3) what each picture's linear red, green and blue are to be multiplied by; the front's, the first, stay."""

    @property
    def differs(self) -> bool:
        """Whether there is anything to even out."""
        return bool((self.gains != 1).any())


def exposure(samples: NDArray[np.uint8], seen: NDArray[np.float32]) -> Exposure:
    """The gains that even out N views of one surface.

    ``samples`` (N, V, 3) sRGB colours in which the views show the vertices, ``seen`` (N, V) the cosine under which they
    see them. All gains are 1 unless the differences are clear.
    """
    gains = [_channel_gains(samples[..., channel], seen >= _SQUARE) for channel in range(3)]
    logs = np.clip(np.stack(gains, axis=1), -_LARGEST, _LARGEST)
    return Exposure(gains=np.exp(logs if np.abs(logs).max() >= _CLEAR else np.zeros_like(logs)))


def _channel_gains(samples: NDArray[np.uint8], square: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(N,) logarithms of one channel's gains, 0 where nothing is clear."""
    count = len(samples)
    rows, wanted, clear = [_PRIOR * np.eye(count)], [np.zeros(count)], False
    for one, other in combinations(range(count), 2):
        logs = _log_ratios(samples[one], samples[other], square[one] & square[other])
        if len(logs) < _LEAST_POINTS:
            continue
        low, middle, high = np.quantile(logs, (0.25, 0.5, 0.75))
        spread = max(high - low, _CALM)
        error = 0.93 * spread / np.sqrt(len(logs) / _ALIKE)
        clear |= abs(middle) > max(_CLEAR, _CERTAIN * error) and low * high > 0
        rows.append((np.eye(count)[[one]] - np.eye(count)[other]) / error)
        wanted.append(np.array([-middle / error]))
    if not clear:
        return np.zeros(count)
    solved = np.linalg.lstsq(np.concatenate(rows), np.concatenate(wanted), rcond=None)[0]
    gains: NDArray[np.float64] = solved - solved[0]
    return gains


def _log_ratios(one: NDArray[np.uint8], other: NDArray[np.uint8], both: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(n,) logarithms of one view's linear light over the other's, at the points that both show well."""
    a, b = linear(one[both]).astype(np.float64), linear(other[both]).astype(np.float64)
    usable = (np.minimum(a, b) > _DARKEST) & (np.maximum(a, b) < _BRIGHTEST)
    return np.log(a[usable]) - np.log(b[usable])


def evened(colours: NDArray[np.uint8], found: Exposure) -> NDArray[np.uint8]:
    """(N, S, S, 3) sRGB pictures, each multiplied by its gains in linear light."""
    if not found.differs:
        return colours
    even, light = np.empty_like(colours), linear(np.arange(256, dtype=np.uint8))
    for picture, gains, result in zip(colours, found.gains, even, strict=True):
        for channel in range(3):
            result[..., channel] = from_linear(light * gains[channel])[picture[..., channel]]
    return even
