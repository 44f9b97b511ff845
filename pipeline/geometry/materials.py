"""What pictures tell of a material: colour without the light that is baked into it, roughness, relief.

All three are estimates from colours alone, by the means stated at each function, and bounded: where the pictures don't
tell, the colour stays as it was seen, the surface is matt and flat.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pipeline.geometry.rendering import from_linear, linear

MATT = 0.9
"""The roughness of a surface that shows no highlights."""
_SHINIEST = 0.35
_LUMINANCE = np.array([0.2126, 0.7152, 0.0722], np.float32)
_DARKEST = 0.004
"""Linear luminance below which a colour says nothing of the light."""
_CHROMA_BINS = 10
"""Colours whose red and green shares fall into the same of so many bins are taken for one paint."""
_ROUNDS = 10
_OUTLIER = 4.7
"""Tukey's biweight: residuals beyond so many deviations don't count."""
_RIDGE = 0.02
_REMOVED = 0.85
"""The part of the estimated light that is divided out: some of it is the paint's."""
_BRIGHTEST, _DIMMEST = 0.5, -0.8
"""Bounds of the estimated light, natural logarithm around its median."""


def shading(
    colours: NDArray[np.float32], normals: NDArray[np.float32], weights: NDArray[np.float32]
) -> NDArray[np.float32]:
    """(V,) logarithm of the light that is baked into the colours of a surface, to be divided out of linear light.

    Logarithms of luminance are fitted by spherical harmonics of order 2 of the normal, which hold the light of any
    distant surroundings on matt paint (Ramamoorthi and Hanrahan, 2001), beside one constant for each paint (a bin of
    chromaticity); robustly, by iterated weights. ``colours`` (V, 3) sRGB 0..255, ``normals`` (V, 3), ``weights`` (V,)
    areas, 0 for vertices that no view sees.
    """
    light = linear(np.clip(colours, 0, 255).astype(np.uint8))
    luminance = light @ _LUMINANCE
    usable = (weights > 0) & (luminance > _DARKEST)
    if usable.sum() < 100:
        return np.zeros(len(colours), np.float32)
    paint = _paints(light[usable])
    basis = _harmonics(normals)
    logs, areas = np.log(luminance[usable].astype(np.float64)), weights[usable].astype(np.float64)
    fitted = basis @ _fit(basis[usable], logs, areas, paint)
    fitted -= np.median(fitted[usable])
    bounded: NDArray[np.float32] = (np.clip(fitted, _DIMMEST, _BRIGHTEST) * _REMOVED).astype(np.float32)
    return bounded


def _paints(light: NDArray[np.float32]) -> NDArray[np.intp]:
    """(n,) the number of each colour's paint."""
    shares = light / np.maximum(light.sum(axis=1, keepdims=True), 1e-6)
    bins = np.minimum((shares[:, :2] * _CHROMA_BINS).astype(np.int64), _CHROMA_BINS - 1)
    return np.unique(bins[:, 0] * _CHROMA_BINS + bins[:, 1], return_inverse=True)[1].ravel()


def _harmonics(normals: NDArray[np.float32]) -> NDArray[np.float64]:
    """(V, 8) the real spherical harmonics of orders 1 and 2, without their factors."""
    x, y, z = normals.astype(np.float64).T
    return np.stack([x, y, z, x * y, y * z, x * z, x * x - y * y, 3 * z * z - 1], axis=1)


def _fit(
    basis: NDArray[np.float64], logs: NDArray[np.float64], areas: NDArray[np.float64], paint: NDArray[np.intp]
) -> NDArray[np.float64]:
    """(8,) factors of the harmonics, by least squares with iterated weights; each paint has its own mean."""
    weights, factors = areas.copy(), np.zeros(basis.shape[1])
    for _ in range(_ROUNDS):
        total = np.maximum(np.bincount(paint, weights), 1e-12)
        mean_log = np.bincount(paint, weights * logs) / total
        mean_basis = np.stack([np.bincount(paint, weights * column) / total for column in basis.T], axis=1)
        centred, offset = basis - mean_basis[paint], logs - mean_log[paint]
        weighted = centred * weights[:, None]
        normal = centred.T @ weighted + _RIDGE * weights.sum() * np.eye(len(factors))
        factors = np.linalg.solve(normal, weighted.T @ offset)
        residual = np.abs(offset - centred @ factors)
        limit = _OUTLIER * max(float(np.median(residual)) / 0.6745, 0.02)
        weights = areas * np.square(np.maximum(1 - np.square(residual / limit), 0))
    return factors


def without_light(base_color: NDArray[np.uint8], log_light: NDArray[np.float32]) -> NDArray[np.uint8]:
    """(H, W, 3) sRGB with (H, W) logarithms of light divided out of its linear light."""
    plain: NDArray[np.uint8] = _without_light(base_color, log_light, linear(np.arange(256, dtype=np.uint8)), _SRGB)
    return plain


_SRGB = from_linear(np.square(np.arange(4096) / 4095))
"""8-bit sRGB of linear light in 4096 steps of its square root."""


@njit(cache=True, nogil=True, error_model="numpy")
def _without_light(
    base_color: NDArray[np.uint8],
    log_light: NDArray[np.float32],
    to_linear: NDArray[np.float32],
    srgb: NDArray[np.uint8],
) -> NDArray[np.uint8]:
    plain = base_color.copy()
    for row in range(base_color.shape[0]):
        for column in range(base_color.shape[1]):
            if log_light[row, column] != 0:
                gain = np.exp(-log_light[row, column])
                for channel in range(3):
                    light = min(to_linear[base_color[row, column, channel]] * gain, np.float32(1))
                    plain[row, column, channel] = srgb[int(np.sqrt(light) * 4095 + 0.5)]
    return plain


_SQUARE = 0.4
"""Points count for highlights that a view sees under at least this cosine."""
_SHINE = 0.12
"""Views must differ by so much (of their mean luminance, at half of the points) before anything is called shiny."""
_SHINIEST_AT = 0.8
_EVENING = 24
"""Rounds in which roughness is evened out over the surface."""


def roughness(
    samples: NDArray[np.uint8], seen: NDArray[np.float32], faces: NDArray[np.int32]
) -> tuple[NDArray[np.float32], bool]:
    """(V,) estimated roughness, and whether the pictures showed any shine to estimate it by.

    A matt point is equally bright in all views; a highlight moves with the view. The measure is by how much the
    luminance of a point differs between the views that see it well, evened out over the surface. One half of all
    points must differ before it is believed at all: where a few do, that is a hull's parallax.
    ``samples`` (N, V, 3) sRGB, ``seen`` (N, V) cosines, ``faces`` (F, 3).
    """
    brightest, darkest = np.zeros(seen.shape[1], np.float32), np.full(seen.shape[1], np.inf, np.float32)
    views = np.zeros(seen.shape[1], np.int8)
    for sample, cosine in zip(samples, seen, strict=True):
        luminance = linear(sample) @ _LUMINANCE
        well = cosine >= _SQUARE
        brightest = np.where(well, np.maximum(brightest, luminance), brightest)
        darkest = np.where(well, np.minimum(darkest, luminance), darkest)
        views += well
    told = (views >= 2) & (brightest > _DARKEST)
    darkest[~told] = brightest[~told]
    difference = 2 * (brightest - darkest) / np.maximum(brightest + darkest, _DARKEST)
    typical = float(np.median(difference[told])) if told.any() else 0.0
    if typical < _SHINE:
        return np.full(len(difference), MATT, np.float32), False
    even = _evened(np.where(told, difference, typical).astype(np.float32), faces)
    shine = np.clip((even - _SHINE / 2) / (_SHINIEST_AT - _SHINE / 2), 0, 1)
    return (MATT - (MATT - _SHINIEST) * shine).astype(np.float32), True


@njit(cache=True, nogil=True, error_model="numpy")
def _evened(values: NDArray[np.float32], faces: NDArray[np.int32]) -> NDArray[np.float32]:
    for _ in range(_EVENING):
        sums, counts = values.copy(), np.ones(len(values), np.float32)
        for f in range(len(faces)):
            for corner in range(3):
                i, j = faces[f, corner], faces[f, (corner + 1) % 3]
                sums[i] += values[j]
                counts[i] += 1
        values = sums / counts
    return values


_RELIEF = 2.2
"""Texels of height for a detail that is darker or brighter by one (natural logarithm): dark is taken for deep."""
_DETAIL = 0.25
"""Larger differences are paint, not relief, and bounded to this."""
_STEEPEST = 0.35
_FINE, _COARSE = 1, 4
"""Radii in texels of the two means whose difference is the detail."""
_STRIP = 256
"""Rows that are worked on at a time."""
_COLOURFUL = 0.06
"""Where the shares of red and green change by so much between the two means, the detail is paint."""


def normal_map(base_color: NDArray[np.uint8], painted: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """(H, W, 3) the relief that the luminance of an (H, W, 3) sRGB texture hints at, as tangent-space normals.

    As glTF has them: red to the texture's right, green up, blue out of the surface; tangents follow from the uvs. The
    height is the detail of the logarithm of luminance (the difference of two means): shape from shading of the simplest
    kind, "dark is deep" (Langer and Zucker, 1994), which holds for creases under soft light. Edges between colours
    count as paint. Flat outside ``painted`` (H, W).
    """
    rows = len(base_color)
    height = np.empty(base_color.shape[:2], np.float32)
    for start in range(0, rows, _STRIP):  # the planes of a whole atlas would take half a gigabyte
        first, stop = max(start - _COARSE, 0), min(start + _STRIP, rows)
        strip = _height(base_color[first : min(stop + _COARSE, rows)])
        height[start:stop] = strip[start - first : stop - first]
    return _normals(height, painted)


def _height(base_color: NDArray[np.uint8]) -> NDArray[np.float32]:
    light = linear(base_color)
    total = np.maximum(light.sum(axis=2), 3 * _DARKEST)
    logs, red, green = np.log(total), light[..., 0] / total, light[..., 1] / total
    detail = _mean(logs, _FINE) - _mean(logs, _COARSE)
    paint = np.abs(_mean(red, _FINE) - _mean(red, _COARSE)) + np.abs(_mean(green, _FINE) - _mean(green, _COARSE))
    height: NDArray[np.floating] = _RELIEF * np.clip(detail, -_DETAIL, _DETAIL) * np.maximum(1 - paint / _COLOURFUL, 0)
    return height.astype(np.float32)


def _mean(plane: NDArray[np.float32], radius: int) -> NDArray[np.float32]:
    """The mean over squares of 2 * radius + 1 texels."""
    return _box(np.ascontiguousarray(_box(plane, radius).T), radius).T


@njit(cache=True, nogil=True, error_model="numpy")
def _box(plane: NDArray[np.float32], radius: int) -> NDArray[np.float32]:
    height, width = plane.shape
    mean = np.empty((height, width), np.float32)
    for row in range(height):
        total = 0.0
        for column in range(-radius, radius + 1):
            total += plane[row, min(max(column, 0), width - 1)]
        for column in range(width):
            mean[row, column] = total / (2 * radius + 1)
            total += plane[row, min(column + radius + 1, width - 1)] - plane[row, max(column - radius, 0)]
    return mean


@njit(cache=True, nogil=True, error_model="numpy")
def _normals(height: NDArray[np.float32], painted: NDArray[np.bool_]) -> NDArray[np.uint8]:
    rows, columns = height.shape
    normals = np.empty((rows, columns, 3), np.uint8)
    normals[:, :, 0], normals[:, :, 1], normals[:, :, 2] = 128, 128, 255
    for row in range(1, rows - 1):
        for column in range(1, columns - 1):
            if not painted[row, column]:
                continue
            right = (height[row, column + 1] - height[row, column - 1]) / 2
            up = (height[row - 1, column] - height[row + 1, column]) / 2
            steepness = np.sqrt(right * right + up * up)
            if steepness > _STEEPEST:
                right, up = right * _STEEPEST / steepness, up * _STEEPEST / steepness
            length = np.sqrt(1 + right * right + up * up)
            normals[row, column, 0] = np.uint8(127.5 - 127.5 * right / length + 0.5)
            normals[row, column, 1] = np.uint8(127.5 - 127.5 * up / length + 0.5)
            normals[row, column, 2] = np.uint8(127.5 + 127.5 / length + 0.5)
    return normals
