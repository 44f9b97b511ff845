"""Parameters of framings that make silhouettes agree: a first guess from extents, then least squares on misses."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pipeline.domain.views import ORTHOGRAPHIC_WIDTH, View
from pipeline.geometry.coherence import Outlines, Parameters, misses, shared, slopes
from pipeline.geometry.rays import PIXEL

_WIDEST, _CLOSEST = 1.8, 0.7
"""Pictures of a wider field of view than about 90 degrees are not looked for, nor cameras so near that half the
object's extent in the first picture is a larger part of their distance.
"""
SCALES = 0.1, 10.0
"""No picture shows the object so much smaller or larger than another one."""
_FIRST_PERSPECTIVES = (0.15, 0.3, 0.5, 0.8, 1.2)
_SOFT = 4 * PIXEL
"""Misses much larger than this hardly count more: they are of wrong outlines, not of framings."""
_ROUNDS, _TRIES = 24, 4
SOLVED = 0.1
"""The cost of a fit that leaves nothing to explain."""
_DONE = 0.002
"""No further round is worth its time when the cost is as small as this, ..."""
_ENOUGH = 0.04
"""... or when a round took away less than this part of it."""
_HORIZONTAL_AXES = {View.FRONT: 0, View.BACK: 0, View.TOP: 0, View.BOTTOM: 0, View.LEFT: 2, View.RIGHT: 2}
"""The axis along a picture's right; diagonal views show none."""
_VERTICAL_AXES = {View.TOP: 2, View.BOTTOM: 2}
"""The axis along a picture's up, where it isn't y."""


@dataclass(frozen=True, slots=True)
class Fit:
    """Framings' parameters, and how far the silhouettes are from agreeing under them."""

    parameters: Parameters
    cost: float
    """Mean of the misses' softened squares, pixels of the comparison."""
    is_bounded: bool = False
    """Whether the cameras would be nearer than any that are looked for."""


def as_shared(seen: Outlines) -> Fit:
    """Judge the frame that all orthographic pictures share."""
    return Fit(shared(seen), _cost(misses(seen, shared(seen))[0]))


def with_perspective(seen: Outlines) -> Fit:
    """One camera distance for all views, which otherwise share one frame."""
    starts = [_pinhole(seen, perspective) for perspective in _FIRST_PERSPECTIVES]
    costs = [_cost(misses(seen, start)[0]) for start in starts]
    found = _solved(seen, starts[int(np.argmin(costs))], _distance_unknown(seen))
    return replace(found, parameters=_regauged(found.parameters))


def on_their_own(seen: Outlines) -> Fit:
    """Orthographic pictures framed each on its own; the first view's frame is kept."""
    found = _solved(seen, from_extents(seen), _frames_unknown(seen))
    first = found.parameters[0, 1:3] @ seen.frames[0, :2]
    kept = found.parameters.copy()
    kept[:, 1:3] -= kept[:, :1] * (seen.frames[:, :2] @ first)
    return replace(found, parameters=kept)


def one_on_its_own(seen: Outlines, view: View) -> Fit:
    """One picture framed on its own, among orthographic ones that share a frame."""
    at, start = seen.views.index(view), shared(seen)
    start[at] = _within(seen, at)
    return _solved(seen, start, np.eye(start.size)[:, 4 * at : 4 * at + 3])


def with_distance(seen: Outlines, own: Parameters) -> Fit:
    """Pictures framed each on its own, from cameras at one distance; ``own`` is how they look without perspective.

    From some guesses the way leads astray: several are tried until one leaves nothing to explain.
    """
    unknown = np.concatenate([_frames_unknown(seen), _distance_unknown(seen)], axis=1)
    extents = from_extents(seen)
    best: Fit | None = None
    for guess, perspective in ((own, 0.3), (extents, 0.6), (extents, 0.9), (extents, 1.2)):
        start = guess.copy()
        start[:, 3] = perspective
        found = _solved(seen, start, unknown)
        if best is None or (found.is_bounded, found.cost) < (best.is_bounded, best.cost):
            best = found
        if best.cost <= SOLVED and not best.is_bounded:
            break
    assert best
    return best


def from_extents(seen: Outlines) -> Parameters:
    """Orthographic pictures framed each on its own, by the extents that they share.

    Every size along an axis of the world is a picture's scale times the object's size, in logarithms a linear system.
    The first view's frame is kept; the object's middle is at depth 0 of it.
    """
    sizes = np.log(np.maximum(seen.boxes[:, 1::2] - seen.boxes[:, ::2], PIXEL))
    count = len(seen.views)
    rows, values = [np.eye(count + 3)[0]], [0.0]
    for at, view in enumerate(seen.views):
        axes = _HORIZONTAL_AXES.get(view), _VERTICAL_AXES.get(view, 1)
        for axis, size in zip(axes, sizes[at], strict=True):
            if axis is not None:
                rows.append(np.eye(count + 3)[at] + np.eye(count + 3)[count + axis])
                values.append(size)
    scales = np.exp(np.linalg.lstsq(np.array(rows), np.array(values))[0][:count])
    middles = (seen.boxes[:, 1::2] + seen.boxes[:, ::2]) / 2
    middle = middles[0] @ seen.frames[0, :2]
    offsets = middles - scales[:, None] * (seen.frames[:, :2] @ middle)
    return np.column_stack([np.clip(scales, *SCALES), offsets, np.zeros(count)])


def _within(seen: Outlines, at: int) -> Parameters:
    """(4,) parameters of one view whose extents are those that the other views show under a shared frame."""
    others = np.delete(np.arange(len(seen.views)), at)
    guess = from_extents(seen)
    ratio = np.exp(np.mean(np.log(guess[others, 0])))
    scale = guess[at, 0] / ratio
    middle = np.zeros(3)
    for axis in range(3):
        known = [
            (seen.boxes[view, 2 * along] + seen.boxes[view, 2 * along + 1]) / 2 * seen.frames[view, along, axis]
            for view in others
            for along in range(2)
            if abs(seen.frames[view, along, axis]) > 0.99
        ]
        middle[axis] = np.mean(known) if known else 0.0
    offsets = (seen.boxes[at, 1::2] + seen.boxes[at, ::2]) / 2 - scale * (seen.frames[at, :2] @ middle)
    return np.array([scale, *offsets, 0.0])


def _pinhole(seen: Outlines, perspective: float) -> Parameters:
    parameters = shared(seen)
    parameters[:, 3] = perspective
    return parameters


def _regauged(parameters: Parameters) -> Parameters:
    """The same pictures of a world in another size: of a shared perspective only distance times scale can be known.

    The pictures' edges touch the ball that orthographic pictures of the shared frame hold.
    """
    perspective = parameters[0, 3]
    scale = 1 / np.hypot(1, ORTHOGRAPHIC_WIDTH / 2 * perspective)
    regauged: Parameters = parameters * [scale, 1, 1, scale]
    return regauged


def _frames_unknown(seen: Outlines) -> NDArray[np.float64]:
    """(4 N, unknowns) directions in the parameters: all offsets, and all scales but the first, the world's size."""
    directions = np.eye(4 * len(seen.views))
    return directions[:, [at for at in range(1, len(directions)) if at % 4 != 3]]


def _distance_unknown(seen: Outlines) -> NDArray[np.float64]:
    """(4 N, 1) the direction in the parameters that is one camera distance for all."""
    return np.tile([0.0, 0.0, 0.0, 1.0], len(seen.views))[:, None]


def _solved(seen: Outlines, start: Parameters, unknown: NDArray[np.float64]) -> Fit:
    """Levenberg-Marquardt on the misses, along the ``unknown`` directions (4 N, U)."""
    parameters, damping, nearest = start, 1e-2, _perspective_max(seen)
    off, depths = misses(seen, parameters)
    cost = _cost(off)
    for _ in range(_ROUNDS):
        along = np.einsum("pi,iu->pu", slopes(seen, parameters, off, depths).reshape(len(off), -1), unknown)
        weights = 1 / (1 + (off / _SOFT) ** 2)
        for _ in range(_TRIES):
            tried = _moved(parameters, (unknown * _step(along, off, weights, damping)).sum(axis=1), nearest)
            tried_off, tried_depths = misses(seen, tried)
            tried_cost = _cost(tried_off)
            if tried_cost < cost:
                break
            damping *= 8
        else:
            break
        gain, cost = cost - tried_cost, tried_cost
        parameters, off, depths, damping = tried, tried_off, tried_depths, max(damping / 5, 1e-5)
        if gain < _ENOUGH * (cost + gain) or cost < _DONE:
            break
    return Fit(parameters, cost, is_bounded=bool(parameters[:, 3].max() >= nearest))


def _cost(off: NDArray[np.float64]) -> float:
    """Cauchy's robust loss."""
    return float(np.mean(_SOFT**2 * np.log1p((off / _SOFT) ** 2))) / PIXEL**2


def _perspective_max(seen: Outlines) -> float:
    left, right, bottom, top = seen.boxes[0]
    return float(min(_WIDEST, 2 * _CLOSEST / max(right - left, top - bottom)))


def _moved(parameters: Parameters, by: NDArray[np.float64], nearest: float) -> Parameters:
    moved: Parameters = parameters + by.reshape(parameters.shape)
    moved[:, 0] = np.clip(moved[:, 0], *SCALES)
    moved[:, 3] = np.clip(moved[:, 3], 0, nearest)
    return moved


def _step(
    along: NDArray[np.float64], off: NDArray[np.float64], weights: NDArray[np.float64], damping: float
) -> NDArray[np.float64]:
    """Gauss-Newton, damped; that also holds what nothing decides, such as where the world's middle is.

    No product is left to BLAS: its threads would cost more than they bring.
    """
    normal = np.einsum("pu,pv->uv", weights[:, None] * along, along)
    diagonal = np.diag(normal)
    held = damping * np.maximum(diagonal, 1e-3 * diagonal.max() + 1e-12)
    step: NDArray[np.float64] = -np.linalg.solve(normal + np.diag(held), np.einsum("pu,p->u", along, weights * off))
    return step
