"""Fewer faces for the same surface: edges are collapsed where it costs least, and a closed surface stays closed.

Costs are quadrics (Garland and Heckbert, 1997). The surface goes in rounds: all edges are priced, the cheapest are
collapsed in order, and those whose price has changed meanwhile wait for the next round. Every collapse takes exactly
two faces; the link condition (Dey et al., 1999) keeps the surface manifold.
"""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pipeline.geometry.threads import shared_out

_ROUND = 0.3
"""The part of the edges that one round looks at: small enough that dear edges wait for their cheap neighbours."""
_TILT = 0.2
"""The cosine that no face may turn beyond while a corner of it moves."""
_SLIVERS = (0.15, 0.1, 0.03)
"""The least quality of a changed face (1 is equilateral, 0 a line), if it was not worse before: 5 degrees at a corner.
The next value stands where nothing goes on with the one before."""
_SHARE = 1 << 17
"""Faces whose edges are priced at a time."""
_HOLD = 1e-3
"""How strongly a merged vertex holds to the middle of its edge against the planes: it settles where these are flat."""
_PRICE_BITS = np.uint32(22)
"""Of a 32-bit float's bits: what is left tells powers of two and their halves, half way up to the next one."""
_SHORT = 1e-5
"""How much the length of an edge adds to its price: keeps the faces of flat parts even."""


def decimate(
    vertices: NDArray[np.floating[Any]], faces: NDArray[np.int32], face_count: int
) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """Collapse edges of a closed manifold surface until at most ``face_count`` faces are left.

    (V, 3) vertices in any unit, (F, 3) faces. More faces stay where no edge can go without folding the surface.
    """
    moving = vertices.astype(np.float64)
    quadrics, faces = _quadrics(moving, faces), faces.copy()
    for least in _SLIVERS:
        share = _ROUND
        while len(faces) > face_count and share <= 1:
            surplus = (len(faces) - face_count + 1) // 2
            ends, prices = _prices(moving, faces, quadrics)
            cheapest = _cheapest(prices, int(share * len(prices)))
            removed = _collapse(moving, faces, quadrics, ends[cheapest], surplus, least)
            faces = faces[faces[:, 0] >= 0]
            share = _ROUND if removed > surplus / 50 else 1.5 * share
    return _compact(moving, faces)


def _prices(
    vertices: NDArray[np.float64], faces: NDArray[np.int32], quadrics: NDArray[np.float64]
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """(E, 2) the ends of every edge and (E,) what its collapse costs."""
    shares = [faces[start : start + _SHARE] for start in range(0, len(faces), _SHARE)]
    priced = shared_out(lambda share: _price(vertices, share, quadrics), shares)
    ends, prices = zip(*priced, strict=True)
    return np.concatenate(ends), np.concatenate(prices)


def _cheapest(prices: NDArray[np.float32], count: int) -> NDArray[np.intp]:
    """The cheapest edges, cheapest first; of those whose prices differ by less than a half or so in their own order.

    That order goes through space and so through memory, which takes a third of the time off that all edges together
    take; the surface comes out as near to the given one.
    """
    chosen = np.flatnonzero(prices <= np.partition(prices, count)[count])
    classes = (prices[chosen].view(np.uint32) >> _PRICE_BITS).astype(np.uint16)  # floats from 0 up sort as their bits
    return chosen[np.argsort(classes, kind="stable")]


def _compact(vertices: NDArray[np.float64], faces: NDArray[np.int32]) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    used = np.zeros(len(vertices), bool)
    used[faces] = True
    renamed = np.cumsum(used, dtype=np.int32) - 1
    return vertices[used], renamed[faces].astype(np.int32)


@njit(cache=True, nogil=True, error_model="numpy")
def _at(vertices: NDArray[np.float64], v: int) -> tuple[float, float, float]:
    return vertices[v, 0], vertices[v, 1], vertices[v, 2]  # a slice would cost more than what is done with it


@njit(cache=True, nogil=True, error_model="numpy")
def _quadrics(vertices: NDArray[np.float64], faces: NDArray[np.int32]) -> NDArray[np.float64]:
    """(V, 10): the squared distance to the planes of a vertex' faces, weighted by area: xx xy xz yy yz zz x y z 1."""
    quadrics = np.zeros((len(vertices), 10))
    for f in range(len(faces)):
        a, b, c = vertices[faces[f, 0]], vertices[faces[f, 1]], vertices[faces[f, 2]]
        ux, uy, uz, vx, vy, vz = b[0] - a[0], b[1] - a[1], b[2] - a[2], c[0] - a[0], c[1] - a[1], c[2] - a[2]
        nx, ny, nz = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        length = np.sqrt(nx * nx + ny * ny + nz * nz)
        if length == 0:
            continue
        nx, ny, nz, weight = nx / length, ny / length, nz / length, length / 2
        d = -(nx * a[0] + ny * a[1] + nz * a[2])
        plane = (nx * nx, nx * ny, nx * nz, ny * ny, ny * nz, nz * nz, nx * d, ny * d, nz * d, d * d)
        for corner in range(3):
            for term in range(10):
                quadrics[faces[f, corner], term] += weight * plane[term]
    return quadrics


@njit(cache=True, nogil=True, error_model="numpy")
def _merged(
    vertices: NDArray[np.float64], quadrics: NDArray[np.float64], p: int, q: int
) -> tuple[float, float, float, float]:
    """Where the two vertices of an edge had best become one, and what that costs."""
    px, py, pz, qx, qy, qz = *_at(vertices, p), *_at(vertices, q)
    x, y, z = (px + qx) / 2, (py + qy) / 2, (pz + qz) / 2
    xx, xy, xz = quadrics[p, 0] + quadrics[q, 0], quadrics[p, 1] + quadrics[q, 1], quadrics[p, 2] + quadrics[q, 2]
    yy, yz, zz = quadrics[p, 3] + quadrics[q, 3], quadrics[p, 4] + quadrics[q, 4], quadrics[p, 5] + quadrics[q, 5]
    bx, by, bz = quadrics[p, 6] + quadrics[q, 6], quadrics[p, 7] + quadrics[q, 7], quadrics[p, 8] + quadrics[q, 8]
    gx, gy, gz = xx * x + xy * y + xz * z + bx, xy * x + yy * y + yz * z + by, xz * x + yz * y + zz * z + bz
    price = x * (gx + bx) + y * (gy + by) + z * (gz + bz) + quadrics[p, 9] + quadrics[q, 9]
    area = xx + yy + zz
    xx, yy, zz = xx + _HOLD * area, yy + _HOLD * area, zz + _HOLD * area
    cx, cy, cz = yy * zz - yz * yz, xz * yz - xy * zz, xy * yz - xz * yy
    determinant = xx * cx + xy * cy + xz * cz
    if determinant > 0:
        dx = -(cx * gx + cy * gy + cz * gz) / determinant
        dy = -(cy * gx + (xx * zz - xz * xz) * gy + (xy * xz - xx * yz) * gz) / determinant
        dz = -(cz * gx + (xy * xz - xx * yz) * gy + (xx * yy - xy * xy) * gz) / determinant
        x, y, z = x + dx, y + dy, z + dz
        price += gx * dx + gy * dy + gz * dz
    length = (px - qx) ** 2 + (py - qy) ** 2 + (pz - qz) ** 2
    return x, y, z, max(price, 0.0) + _SHORT * area * length


@njit(cache=True, nogil=True, error_model="numpy")
def _price(
    vertices: NDArray[np.float64], faces: NDArray[np.int32], quadrics: NDArray[np.float64]
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """The edges of some faces that go from a lower to a higher vertex there: each edge does so in one face of two."""
    most = len(faces) * 2
    ends, prices = np.empty((most, 2), np.int32), np.empty(most, np.float32)
    at = 0
    for f in range(len(faces)):
        for corner in range(3):
            a, b = faces[f, corner], faces[f, (corner + 1) % 3]
            if a < b:
                ends[at, 0], ends[at, 1] = a, b
                prices[at] = _merged(vertices, quadrics, a, b)[3]
                at += 1
    return ends[:at], prices[:at]


@njit(cache=True, nogil=True, error_model="numpy")
def _keeps_shape(
    faces: NDArray[np.int32],
    vertices: NDArray[np.float64],
    corner: int,
    moved: int,
    other: int,
    x: float,
    y: float,
    z: float,
    least: float,
) -> bool:
    """Whether the face of a corner neither folds over nor becomes a needle when the vertex there moves to x, y, z."""
    f, k = corner // 3, corner % 3
    b, c = faces[f, (k + 1) % 3], faces[f, (k + 2) % 3]
    if other in (b, c):
        return True
    px, py, pz, (qx, qy, qz), (rx, ry, rz) = *_at(vertices, moved), _at(vertices, b), _at(vertices, c)
    ex, ey, ez = rx - qx, ry - qy, rz - qz
    ux, uy, uz, vx, vy, vz = px - qx, py - qy, pz - qz, x - qx, y - qy, z - qz
    ax, ay, az = ey * uz - ez * uy, ez * ux - ex * uz, ex * uy - ey * ux
    bx, by, bz = ey * vz - ez * vy, ez * vx - ex * vz, ex * vy - ey * vx
    was, now = np.sqrt(ax * ax + ay * ay + az * az), np.sqrt(bx * bx + by * by + bz * bz)
    if ax * bx + ay * by + az * bz < _TILT * was * now:
        return False
    edge = ex * ex + ey * ey + ez * ez
    square_was = edge + ux * ux + uy * uy + uz * uz + (px - rx) ** 2 + (py - ry) ** 2 + (pz - rz) ** 2
    square_now = edge + vx * vx + vy * vy + vz * vz + (x - rx) ** 2 + (y - ry) ** 2 + (z - rz) ** 2
    # Quality is 2 sqrt(3) |cross product| / sum of squared edges.
    quality_was, quality_now = 3.4641 * was / square_was, 3.4641 * now / square_now
    return bool(now > 0 and quality_now >= min(least, quality_was))


@njit(cache=True, nogil=True, error_model="numpy")
def _linked(
    faces: NDArray[np.int32], vertex_count: int
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]:
    """The corners of every vertex as a linked list: its first and last corner, the corner after each, and how many."""
    first, last = np.full(vertex_count, -1, np.int32), np.full(vertex_count, -1, np.int32)
    after, valence = np.full(faces.size, -1, np.int32), np.zeros(vertex_count, np.int32)
    for corner in range(faces.size):
        v = faces[corner // 3, corner % 3]
        after[corner], first[v] = first[v], corner
        if last[v] < 0:
            last[v] = corner
        valence[v] += 1
    return first, last, after, valence


@njit(cache=True, nogil=True, error_model="numpy")
def _hand_over(
    faces: NDArray[np.int32], after: NDArray[np.int32], valence: NDArray[np.int32], corner: int, heir: int
) -> None:
    """Give the corners from ``corner`` on to the vertex ``heir``; faces that had it already are dead."""
    while corner >= 0:
        f = corner // 3
        if faces[f, 0] >= 0:
            b, c = faces[f, (corner + 1) % 3], faces[f, (corner + 2) % 3]
            if heir in (b, c):
                faces[f, 0] = -1
                valence[c if b == heir else b] -= 1
            else:
                faces[f, corner % 3] = heir
        corner = after[corner]


@njit(cache=True, nogil=True, error_model="numpy")
def _collapse(
    vertices: NDArray[np.float64],
    faces: NDArray[np.int32],
    quadrics: NDArray[np.float64],
    ends: NDArray[np.int32],
    most: int,
    least: float,
) -> int:
    """Collapse the edges in order, at most so many; returns how many went. Works in place; dead faces begin with -1.

    No changed face may have less than the ``least`` quality, if it was not worse before.

    The corners of a vertex form a linked list, so that merging two vertices is one link.
    """
    first, last, after, valence = _linked(faces, len(vertices))
    settled = np.zeros(len(vertices), np.bool_)
    seen = np.full(len(vertices), -1, np.int32)
    removed = 0
    for e in range(len(ends)):
        if removed == most:
            break
        u, v = ends[e, 0], ends[e, 1]
        if settled[u] or settled[v]:
            continue
        x, y, z, _ = _merged(vertices, quadrics, u, v)
        fits = True
        corner = first[u]
        while corner >= 0 and fits:
            f = corner // 3
            if faces[f, 0] >= 0:
                seen[faces[f, (corner + 1) % 3]] = e
                seen[faces[f, (corner + 2) % 3]] = e
                fits = _keeps_shape(faces, vertices, corner, u, v, x, y, z, least)
            corner = after[corner]
        shared = 0
        corner = first[v]
        while corner >= 0 and fits:
            f = corner // 3
            if faces[f, 0] >= 0:
                # Around a closed vertex every neighbour comes once as the next corner.
                w = faces[f, (corner + 1) % 3]
                if seen[w] == e and w != u:
                    shared += 1
                    fits = valence[w] > 3
                fits = fits and _keeps_shape(faces, vertices, corner, v, u, x, y, z, least)
            corner = after[corner]
        if not fits or shared != 2:
            continue
        _hand_over(faces, after, valence, first[v], u)
        after[last[u]], last[u] = first[v], last[v]
        valence[u] += valence[v] - 4
        vertices[u, 0], vertices[u, 1], vertices[u, 2] = x, y, z
        for term in range(10):
            quadrics[u, term] += quadrics[v, term]
        settled[u] = settled[v] = True
        removed += 1
    return removed
