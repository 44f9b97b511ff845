"""A picture of a mesh from any side: anti-aliased, in a soft studio light that is fixed to the object."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import cos, radians, sin
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.domain.views import Camera
from pipeline.geometry.mesh import Mesh
from pipeline.geometry.normals import vertex_normals
from pipeline.geometry.rasterising import project, rasterise

Colours = NDArray[np.uint8]
"""8-bit sRGB."""
Light = NDArray[np.floating[Any]]
"""Linear, 1 is white."""

_LAMP = (0.352, 0.755, 0.553)
"""The unit direction towards the lamp: above, in front, a little to the object's left."""
_AMBIENT, _DIFFUSE = 0.45, 0.5
_CLAY = (0.54, 0.47, 0.40)
"""The linear colour of a mesh that has none of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A mesh of one material. Alpha is not looked at: what has a surface is opaque."""

    mesh: Mesh
    texture: Colours | None = None
    """(h, w, 3 or 4) sRGB, repeated beyond its edges; shown when the mesh has uvs."""
    colours: Colours | None = None
    """(V, 3 or 4) sRGB at the vertices; multiplied with the texture when there are both."""


def orbit(azimuth_deg: float, elevation_deg: float) -> Camera:
    """The upright camera in any direction; the frame of reference is that of ``domain.views``."""
    a, e = radians(azimuth_deg), radians(elevation_deg)
    return Camera(
        azimuth_deg=azimuth_deg,
        elevation_deg=elevation_deg,
        right=(cos(a), 0.0, -sin(a)),
        up=(-sin(e) * sin(a), cos(e), -sin(e) * cos(a)),
        backward=(cos(e) * sin(a), sin(e), cos(e) * cos(a)),
    )


def render(parts: Sequence[Part], camera: Camera, *, width: int, height: int, samples: int = 3) -> Colours:
    """A (height, width, 4) picture, sRGB with straight alpha, RGB zero where alpha is zero.

    The frame is that of ``project``. Every pixel is the mean of ``samples`` x ``samples`` points.
    """
    light = np.zeros((height * samples, width * samples, 3), np.float32)
    depth = np.full(light.shape[:2], -np.inf, np.float32)
    for part in parts:
        points = project(part.mesh.positions, camera, width * samples, height * samples)
        fragments = rasterise(points, part.mesh.faces, width * samples, height * samples)
        seen = fragments.depth > depth
        corners = part.mesh.faces[fragments.face[seen]]
        weights = fragments.barycentric[seen]
        normals = _facing(_at(_normals(part.mesh), corners, weights), camera)
        light[seen] = lit(_albedo(part, corners, weights), normals)
        depth[seen] = fragments.depth[seen]
    return develop(light, np.isfinite(depth), samples)


def lit(albedo: Light, normals: NDArray[np.floating[Any]]) -> Light:
    """What (N, 3) linear colours look like under the studio light: squared half-Lambert over an even ambience.

    ``normals`` are (N, 3) of any length, in the object's frame, to which the light is fixed.
    """
    x, y, z = normals.T
    length = np.maximum(np.sqrt(x * x + y * y + z * z), 1e-12)
    towards = (x * _LAMP[0] + y * _LAMP[1] + z * _LAMP[2]) / length
    half = (1 + towards) / 2
    shade: Light = _AMBIENT + _DIFFUSE * half * half
    return albedo * shade[:, None]


def develop(light: Light, covered: NDArray[np.bool_], samples: int) -> Colours:
    """(h * samples, w * samples, 3) linear light, zero where nothing is ``covered``, to a (h, w, 4) picture.

    Averages in linear light and in a fixed order, so that the picture is the same on every processor.
    """
    total = np.zeros((light.shape[0] // samples, light.shape[1] // samples, 3))
    count = np.zeros(total.shape[:2])
    for row in range(samples):
        for column in range(samples):
            total += light[row::samples, column::samples]
            count += covered[row::samples, column::samples]
    colour = from_linear(total / np.maximum(count, 1)[..., None])
    alpha = np.rint(count * (255 / samples**2)).astype(np.uint8)
    picture = np.zeros((*alpha.shape, 4), np.uint8)
    picture[..., :3][alpha > 0] = colour[alpha > 0]
    picture[..., 3] = alpha
    return picture


def linear(srgb: Colours) -> NDArray[np.float32]:
    """Linear light of 8-bit sRGB values, 0 to 1 (IEC 61966-2-1)."""
    table: NDArray[np.float32] = _LINEAR[srgb]
    return table


def from_linear(light: Light) -> Colours:
    """8-bit sRGB values of linear light, clipped to 0 to 1 (IEC 61966-2-1)."""
    clipped = np.clip(np.asarray(light, np.float64), 0, 1)
    srgb = np.where(clipped <= 0.0031308, 12.92 * clipped, 1.055 * clipped ** (1 / 2.4) - 0.055)
    values: Colours = np.rint(srgb * 255).astype(np.uint8)
    return values


def _linear_table() -> NDArray[np.float32]:
    srgb = np.arange(256) / 255
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4).astype(np.float32)


_LINEAR = _linear_table()


def _at(values: NDArray[np.floating[Any]], corners: NDArray[np.integer[Any]], weights: NDArray[np.float32]) -> Light:
    """(V, n) values at the vertices, interpolated at N places on faces: (N, n)."""
    at: Light = sum(values[corners[:, k]] * weights[:, k, None] for k in range(3))
    return at


def _facing(normals: Light, camera: Camera) -> Light:
    """Both sides of a face are seen: its normal is turned towards the camera."""
    x, y, z = normals.T
    towards = x * camera.backward[0] + y * camera.backward[1] + z * camera.backward[2]
    return np.where(towards[:, None] < 0, -normals, normals)


def _normals(mesh: Mesh) -> NDArray[np.float32]:
    return vertex_normals(mesh.positions, mesh.faces) if mesh.normals is None else mesh.normals


def _albedo(part: Part, corners: NDArray[np.integer[Any]], weights: NDArray[np.float32]) -> Light:
    texture = part.texture if part.mesh.uvs is not None else None
    if texture is None and part.colours is None:
        return np.broadcast_to(np.array(_CLAY, np.float32), (len(corners), 3))
    albedo: Light = np.ones((len(corners), 3), np.float32)
    if part.colours is not None:
        albedo = albedo * _at(linear(part.colours[:, :3]), corners, weights)
    if texture is not None and part.mesh.uvs is not None:
        albedo = albedo * _texels(texture, _at(part.mesh.uvs, corners, weights))
    return albedo


def _texels(texture: Colours, uvs: Light) -> Light:
    """Bilinear look-up in linear light: (N, 3) at (N, 2) coordinates, the texture repeated in both directions."""
    height, width = texture.shape[:2]
    across, down = uvs[:, 0] * width - 0.5, uvs[:, 1] * height - 0.5
    left, above = np.floor(across), np.floor(down)
    blend_x, blend_y = (across - left)[:, None], (down - above)[:, None]
    columns = [(left.astype(np.int64) + k) % width for k in (0, 1)]
    rows = [(above.astype(np.int64) + k) % height for k in (0, 1)]
    upper, lower = (
        linear(texture[row, columns[0], :3]) * (1 - blend_x) + linear(texture[row, columns[1], :3]) * blend_x
        for row in rows
    )
    blended: Light = upper * (1 - blend_y) + lower * blend_y
    return blended
