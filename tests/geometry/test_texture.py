"""The texture of a surface that is known exactly: a ball whose pictures are computed here."""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from pipeline.domain.views import CAMERAS, ORTHOGRAPHIC_WIDTH, View
from pipeline.geometry.cameras import Framing, projections
from pipeline.geometry.exposure import Exposure, evened
from pipeline.geometry.rendering import from_linear, linear, lit
from pipeline.geometry.texture import Textured, bare, textured

SIZE, RADIUS = 160, 0.4
RINGS, SPOKES = 40, 64


@cache
def ball() -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """A closed ball of rings between two poles."""
    polar = np.pi * np.arange(1, RINGS) / RINGS
    around = 2 * np.pi * np.arange(SPOKES) / SPOKES
    p, a = (grid.ravel() for grid in np.meshgrid(polar, around, indexing="ij"))
    rings = np.stack([np.sin(p) * np.sin(a), np.cos(p), np.sin(p) * np.cos(a)], axis=1)
    vertices = RADIUS * np.concatenate([rings, [[0, 1, 0], [0, -1, 0]]])
    faces, top, bottom = [], len(rings), len(rings) + 1
    for s in range(SPOKES):
        t = (s + 1) % SPOKES
        faces += [(top, s, t), (bottom, len(rings) - SPOKES + t, len(rings) - SPOKES + s)]
        for r in range(RINGS - 2):
            a0, a1, b0, b1 = r * SPOKES + s, r * SPOKES + t, (r + 1) * SPOKES + s, (r + 1) * SPOKES + t
            faces += [(a0, b0, b1), (a0, b1, a1)]
    return vertices.astype(np.float32), np.array(faces, np.int32)


def albedo(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """(..., 3) linear: bands of two paints."""
    band = (np.sin(14 * points[..., 1]) > 0)[..., None]
    return np.where(band, [0.55, 0.2, 0.08], [0.1, 0.25, 0.5])


@cache
def pictures(views: tuple[View, ...], *, light: bool = False) -> NDArray[np.uint8]:
    at = ((np.arange(SIZE) + 0.5) / SIZE - 0.5) * ORTHOGRAPHIC_WIDTH
    made = []
    for view in views:
        right, up, backward = (
            np.array(axis) for axis in (CAMERAS[view].right, CAMERAS[view].up, CAMERAS[view].backward)
        )
        across, upward = np.meshgrid(at, -at)
        # Beyond the outline the rim's colours go on, as the engine has them.
        reach = np.maximum(np.hypot(across, upward) / RADIUS, 1)
        across, upward = across / reach, upward / reach
        near = np.sqrt(np.maximum(RADIUS**2 - across**2 - upward**2, 0))
        points = across[..., None] * right + upward[..., None] * up + near[..., None] * backward
        colours = albedo(points)
        if light:
            colours = lit(colours.reshape(-1, 3), points.reshape(-1, 3)).reshape(colours.shape)
        made.append(from_linear(colours))
    return np.stack(made)


def made(views: tuple[View, ...], *, pbr: bool = False, light: bool = False) -> Textured:
    return textured(*ball(), projections(dict.fromkeys(views, Framing()), SIZE), pictures(views, light=light), pbr=pbr)


def colours_of_faces(result: Textured, base_color: NDArray[np.uint8] | None = None) -> NDArray[np.int64]:
    """(F, 3) the texel at the middle of each face."""
    texture = result.base_color if base_color is None else base_color
    assert texture is not None
    assert result.mesh.uvs is not None
    height, width = texture.shape[:2]
    at = result.mesh.uvs[result.mesh.faces].mean(axis=1) * (width, height)
    return texture[at[:, 1].astype(int), at[:, 0].astype(int)].astype(int)


def middles(result: Textured) -> NDArray[np.float64]:
    return result.mesh.positions[result.mesh.faces].astype(float).mean(axis=1)


EVERY = tuple(View)
SIDES = (View.FRONT, View.LEFT, View.RIGHT, View.BACK)


def test_every_face_has_the_colour_of_its_place() -> None:
    result = made(EVERY)
    points = middles(result)
    inside = np.abs(np.sin(14 * points[:, 1])) > 0.25  # not on the edge between two bands
    expected = from_linear(albedo(points)).astype(int)
    assert np.abs(colours_of_faces(result) - expected)[inside].max() <= 3
    assert result.notes == ()
    assert result.normal_map is None
    assert result.metallic_roughness is None


def test_the_surface_stays_as_it_was_and_faces_share_vertices_seen_or_not() -> None:
    vertices, faces = ball()
    for views in (EVERY, SIDES, (View.FRONT,)):
        result = made(views)
        assert np.array_equal(result.mesh.positions[result.mesh.faces], vertices[faces])
        assert len(result.mesh.positions) < 1.5 * len(vertices)
        assert result.mesh.uvs is not None
        assert result.mesh.uvs.min() >= 0
        assert result.mesh.uvs.max() <= 1


def test_unseen_surface_takes_the_colours_around_it() -> None:
    result = made((View.FRONT,))
    hidden = middles(result)[:, 2] < -0.1
    found = colours_of_faces(result)[hidden]
    paints = from_linear(albedo(np.array([[0, 0.1, 0], [0, -0.1, 0]]))).astype(int)
    assert (found >= paints.min(axis=0) - 4).all()
    assert (found <= paints.max(axis=0) + 4).all()


def test_no_texel_has_a_colour_that_no_picture_has() -> None:
    base_color = made(SIDES).base_color
    assert base_color is not None
    shown = pictures(SIDES)
    assert (base_color.min(axis=(0, 1)) >= shown.min(axis=(0, 1, 2)) - 2).all()
    assert (base_color.max(axis=(0, 1)) <= shown.max(axis=(0, 1, 2)) + 2).all()


def test_differences_of_exposure_leave_no_trace_and_are_told() -> None:
    gains = np.array([[1, 1, 1], [1.3, 1.2, 1.3], [0.8, 0.8, 0.7], [1.1, 1, 1.2]])
    cast = evened(pictures(SIDES), Exposure(gains=gains))
    result = textured(*ball(), projections(dict.fromkeys(SIDES, Framing()), SIZE), cast)
    equator = np.abs(middles(result)[:, 1]) < 0.2
    assert np.abs(colours_of_faces(result) - colours_of_faces(made(SIDES)))[equator].mean() < 3
    assert any("exposures differ" in note and "give all views one exposure" in note for note in result.notes)


def test_pbr_has_maps_on_the_same_atlas_and_less_light_in_its_colours() -> None:
    plain, result = made(EVERY, light=True), made(EVERY, light=True, pbr=True)
    assert plain.base_color is not None
    assert result.normal_map is not None
    assert result.base_color is not None
    assert result.metallic_roughness is not None
    assert np.array_equal(plain.mesh.uvs, result.mesh.uvs)  # type: ignore[arg-type]
    assert result.normal_map.shape == result.base_color.shape == plain.base_color.shape
    assert (result.metallic_roughness[..., 2] == 0).all()
    points = middles(result)
    inside = np.abs(np.sin(14 * points[:, 1])) > 0.3
    true = np.log(albedo(points)[inside])
    before, after = (np.log(linear(colours_of_faces(one).astype(np.uint8))[inside]) - true for one in (plain, result))
    assert after.std() < 0.4 * before.std()
    assert all(mend in " ".join(result.notes) for mend in ("give views in even light", "set it in the material"))


def test_what_doesn_t_fit_the_largest_texture_is_made_smaller() -> None:
    result = textured(*ball(), projections(dict.fromkeys(EVERY, Framing()), SIZE), pictures(EVERY), largest=128)
    assert result.base_color is not None
    assert max(result.base_color.shape[:2]) == 128
    points = middles(result)
    inside = np.abs(np.sin(14 * points[:, 1])) > 0.8
    expected = from_linear(albedo(points)).astype(int)
    assert np.median(np.abs(colours_of_faces(result) - expected)[inside]) <= 2


def test_equal_input_gives_equal_output() -> None:
    one, two = made(SIDES, pbr=True), made(SIDES, pbr=True)
    for a, b in ((one.base_color, two.base_color), (one.normal_map, two.normal_map), (one.mesh.uvs, two.mesh.uvs)):
        assert np.array_equal(a, b)  # type: ignore[arg-type]


def test_a_bare_surface_has_normals_alone() -> None:
    result = bare(*ball())
    assert result.base_color is None
    assert result.mesh.uvs is None
    assert result.mesh.normals is not None
