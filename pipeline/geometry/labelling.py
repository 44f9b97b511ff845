"""Which view paints which part of a surface: seen squarely, in agreement with the others, with seams that don't show.

A labelling with the least cost (Lempitsky and Ivanov, "Seamless Mosaicing of Image-Based Texture Maps", 2007), found by
min-sum belief propagation on patches of the surface and refined vertex by vertex (iterated conditional modes).
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pipeline.geometry.patches import Patches

_SEAM = 0.006
"""World units: a seam between opposite colours costs as much as a strip of this width that no view sees."""
_CALM = 0.08
"""A seam that doesn't show costs this part of one that shows most: fewer seams, all else equal."""
_LONELY = 3.0
"""The cost of a colour that all other views contradict, where being unseen costs 2 and seen edge-on 1.

Whoever contradicts has a vote that hardly depends on how squarely it sees the place: on a ledge of a hull that isn't
there one view sees squarely what lies far behind it, and several see slantwise what is real.
"""
_CONTRADICTION = 0.3
"""Colours that differ by so much, of all that they can, contradict each other wholly; by less, with the square."""
_SWEEPS = 8
_REFINEMENTS = 3
_FEATHER = 0.006
"""World units over which one view passes into the next."""
_FEATHER_ROUNDS_MAX = 8


def shares(
    vertices: NDArray[np.float32],
    faces: NDArray[np.int32],
    patches: Patches,
    samples: NDArray[np.uint8],
    seen: NDArray[np.float32],
) -> NDArray[np.float32]:
    """(N, V) how much of each vertex's colour comes from each view; they sum to 1, to 0 where no view sees it.

    ``samples`` (N, V, 3) are the colours in which the views show the vertices, ``seen`` (N, V) how much each view's
    word weighs there, 0 where it sees nothing.
    """
    areas, edge = vertex_areas(vertices, faces)
    costs = _costs(samples, seen, areas)
    labels = _propagated(vertices, samples, seen, costs, patches)[patches.of]
    for parity in range(_REFINEMENTS):
        _refine(vertices, faces, samples, seen, costs, labels, parity & 1)
    rounds = int(np.clip(round((_FEATHER / max(edge, 1e-9)) ** 2), 1, _FEATHER_ROUNDS_MAX))
    return _feathered(faces, _alone(labels, seen), seen, rounds)


@njit(cache=True, nogil=True, error_model="numpy")
def vertex_areas(vertices: NDArray[np.float32], faces: NDArray[np.int32]) -> tuple[NDArray[np.float32], float]:
    """(V,) a third of the area of each vertex's faces, and the mean length of an edge."""
    areas, length = np.zeros(len(vertices), np.float32), 0.0
    for f in range(len(faces)):
        a, b, c = vertices[faces[f, 0]], vertices[faces[f, 1]], vertices[faces[f, 2]]
        ux, uy, uz, vx, vy, vz = b[0] - a[0], b[1] - a[1], b[2] - a[2], c[0] - a[0], c[1] - a[1], c[2] - a[2]
        nx, ny, nz = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        third = np.sqrt(nx * nx + ny * ny + nz * nz) / 6
        length += np.sqrt(ux * ux + uy * uy + uz * uz)
        for corner in range(3):
            areas[faces[f, corner]] += third
    return areas, length / max(len(faces), 1)


@njit(cache=True, nogil=True, error_model="numpy")
def _costs(samples: NDArray[np.uint8], seen: NDArray[np.float32], areas: NDArray[np.float32]) -> NDArray[np.float32]:
    """(V, N) what it costs to paint a vertex from a view: by how slantwise it sees it, and alone with its colour."""
    count, views = len(areas), len(seen)
    costs, votes = np.empty((count, views), np.float32), np.empty(views, np.float32)
    for v in range(count):
        for view in range(views):
            votes[view] = np.sqrt(np.sqrt(seen[view, v]))
        total = votes.sum()
        for view in range(views):
            if seen[view, v] <= 0:
                costs[v, view] = 2 * areas[v]
                continue
            against = np.float32(0)
            for other in range(views):
                if other != view and seen[other, v] > 0:
                    unlike = _unlike(samples, v, view, other) / _CONTRADICTION
                    against += votes[other] * min(unlike * unlike, 1.0)
            costs[v, view] = areas[v] * (1 - min(seen[view, v], np.float32(1.2)) + _LONELY * against / total)
    return costs


@njit(cache=True, nogil=True, error_model="numpy")
def _unlike(samples: NDArray[np.uint8], v: int, one: int, other: int) -> float:
    """How differently two views show a vertex, 0..1."""
    total = 0.0
    for channel in range(3):
        total += abs(float(samples[one, v, channel]) - float(samples[other, v, channel]))
    return total / 765


@njit(cache=True, nogil=True, error_model="numpy")
def _seam(
    samples: NDArray[np.uint8], seen: NDArray[np.float32], ends: tuple[int, int], labels: tuple[int, int]
) -> float:
    """The cost per length of an edge whose ends are painted from two views."""
    one, other = labels
    if one == other:
        return 0.0
    total = 0.0
    for v in ends:
        total += _unlike(samples, v, one, other) if seen[one, v] > 0 and seen[other, v] > 0 else 1.0
    return _SEAM * (_CALM + (1 - _CALM) * total / 2)


def _propagated(
    vertices: NDArray[np.float32],
    samples: NDArray[np.uint8],
    seen: NDArray[np.float32],
    costs: NDArray[np.float32],
    patches: Patches,
) -> NDArray[np.int8]:
    """(P,) the view of each patch."""
    first, second = patches.first, patches.second
    beliefs, usable = np.empty((patches.count, costs.shape[1])), _usable(seen, patches.of, patches.count)
    for view, cost in enumerate(costs.T):
        beliefs[:, view] = np.bincount(patches.of, cost, patches.count)
    seams = _pair_costs(vertices, samples, seen, patches.ends, patches.pair, usable[first], usable[second])
    return _propagate(beliefs, usable, first, second, seams)


@njit(cache=True, nogil=True)
def _usable(seen: NDArray[np.float32], patches: NDArray[np.int32], count: int) -> NDArray[np.bool_]:
    """(P, N) the views that see something of a patch; all where none does."""
    usable = np.zeros((count, len(seen)), np.bool_)
    for view in range(len(seen)):
        for v in range(len(patches)):
            if seen[view, v] > 0:
                usable[patches[v], view] = True
    for patch in range(count):
        if not usable[patch].any():
            usable[patch] = True
    return usable


@njit(cache=True, nogil=True, error_model="numpy")
def _pair_costs(
    vertices: NDArray[np.float32],
    samples: NDArray[np.uint8],
    seen: NDArray[np.float32],
    ends: NDArray[np.int32],
    number: NDArray[np.intp],
    of_first: NDArray[np.bool_],
    of_second: NDArray[np.bool_],
) -> NDArray[np.float32]:
    """(pairs, N, N) what the seam between two patches costs, by the usable views of the first and of the second."""
    views = len(seen)
    seams = np.zeros((len(of_first), views, views), np.float32)
    for e in range(len(ends)):
        i, j = ends[e, 0], ends[e, 1]
        x, y, z = vertices[i, 0] - vertices[j, 0], vertices[i, 1] - vertices[j, 1], vertices[i, 2] - vertices[j, 2]
        length, pair = np.sqrt(x * x + y * y + z * z), number[e]
        for one in range(views):
            for other in range(one):
                if (of_first[pair, one] and of_second[pair, other]) or (of_first[pair, other] and of_second[pair, one]):
                    seam = length * _seam(samples, seen, (i, j), (one, other))
                    seams[pair, one, other] += seam
                    seams[pair, other, one] += seam
    return seams


@njit(cache=True, nogil=True, error_model="numpy")
def _propagate(
    beliefs: NDArray[np.float64],
    usable: NDArray[np.bool_],
    first: NDArray[np.int64],
    second: NDArray[np.int64],
    seams: NDArray[np.float32],
) -> NDArray[np.int8]:
    """Min-sum belief propagation, pair after pair there and back; returns the usable views of least cost."""
    pairs, views = seams.shape[:2]
    messages, new = np.zeros((pairs, 2, views)), np.empty(views)
    for patch in range(len(beliefs)):
        for view in range(views):
            if not usable[patch, view]:
                beliefs[patch, view] = np.inf
    for sweep in range(_SWEEPS):
        for step in range(pairs):
            pair = step if sweep % 2 == 0 else pairs - 1 - step
            for way in range(2):
                source, target = (first[pair], second[pair]) if way == 0 else (second[pair], first[pair])
                new[:] = np.inf
                for own in range(views):
                    if usable[source, own]:
                        held = beliefs[source, own] - messages[pair, 1 - way, own]
                        for theirs in range(views):
                            new[theirs] = min(new[theirs], held + seams[pair, own, theirs])
                least = np.inf
                for theirs in range(views):
                    if usable[target, theirs]:
                        least = min(least, new[theirs])
                for theirs in range(views):
                    if usable[target, theirs]:
                        change = new[theirs] - least - messages[pair, way, theirs]
                        messages[pair, way, theirs] += change
                        beliefs[target, theirs] += change
    labels = np.empty(len(beliefs), np.int8)
    for patch in range(len(beliefs)):
        labels[patch] = beliefs[patch].argmin()
    return labels


@njit(cache=True, nogil=True, error_model="numpy")
def _refine(
    vertices: NDArray[np.float32],
    faces: NDArray[np.int32],
    samples: NDArray[np.uint8],
    seen: NDArray[np.float32],
    costs: NDArray[np.float32],
    labels: NDArray[np.int8],
    parity: int,
) -> None:
    """Give every second vertex the view that costs least beside its neighbours' views."""
    totals = costs.copy()
    for f in range(len(faces)):
        for corner in range(3):
            # On a closed surface every neighbour comes once as the next corner.
            i, j = faces[f, corner], faces[f, (corner + 1) % 3]
            if i % 2 != parity:
                continue
            x, y, z = vertices[i, 0] - vertices[j, 0], vertices[i, 1] - vertices[j, 1], vertices[i, 2] - vertices[j, 2]
            length = np.sqrt(x * x + y * y + z * z)
            for view in range(len(seen)):
                if seen[view, i] > 0:
                    totals[i, view] += length * _seam(samples, seen, (i, j), (view, labels[j]))
    for v in range(len(labels)):
        if v % 2 == parity:
            labels[v] = totals[v].argmin()


@njit(cache=True, nogil=True, error_model="numpy")
def _alone(labels: NDArray[np.int8], seen: NDArray[np.float32]) -> NDArray[np.float32]:
    """(N, V) all of a vertex from its view, or from the one that sees it best where that one doesn't."""
    alone = np.zeros(seen.shape, np.float32)
    for v in range(len(labels)):
        view = labels[v]
        if seen[view, v] <= 0:
            view = seen[:, v].argmax()
        if seen[view, v] > 0:
            alone[view, v] = 1
    return alone


@njit(cache=True, nogil=True, error_model="numpy")
def _feathered(
    faces: NDArray[np.int32], alone: NDArray[np.float32], seen: NDArray[np.float32], rounds: int
) -> NDArray[np.float32]:
    """Shares spread over their neighbours, as far as the views see, so that they sum to 1 again."""
    views, count = alone.shape
    feathered = np.ascontiguousarray(alone.T)
    for _ in range(rounds):
        sums = feathered.copy()
        for f in range(len(faces)):
            for corner in range(3):
                i, j = faces[f, corner], faces[f, (corner + 1) % 3]
                for view in range(views):
                    sums[i, view] += feathered[j, view]
        for v in range(count):
            total = np.float32(0)
            for view in range(views):
                if seen[view, v] <= 0:
                    sums[v, view] = 0
                total += sums[v, view]
            for view in range(views):
                feathered[v, view] = sums[v, view] / total if total > 0 else 0
    return np.ascontiguousarray(feathered.T)
