from dataclasses import replace

import numpy as np
import pytest

from pipeline.domain.views import CAMERAS, View
from pipeline.geometry.mesh import Mesh
from pipeline.geometry.rendering import Part, develop, from_linear, linear, lit, orbit, render

QUAD = Mesh(
    positions=np.array([[-0.4, -0.4, 0], [0.4, -0.4, 0], [0.4, 0.4, 0], [-0.4, 0.4, 0]], np.float32),
    faces=np.array([[0, 1, 2], [0, 2, 3]], np.uint32),
    uvs=np.array([[0, 1], [1, 1], [1, 0], [0, 0]], np.float32),
)
RED, GREEN, BLUE, WHITE = (200, 0, 0), (0, 200, 0), (0, 0, 200), (200, 200, 200)
QUARTERS = np.array([[RED, GREEN], [BLUE, WHITE]], np.uint8).repeat(8, axis=0).repeat(8, axis=1)


def strongest(pixel: np.ndarray) -> list[bool]:
    return (pixel[:3] > 0.5 * pixel[:3].max()).tolist()


def picture_of(part: Part, view: View = View.FRONT, size: int = 44) -> np.ndarray:
    return render([part], CAMERAS[view], width=size, height=size)


@pytest.mark.parametrize("view", [View.FRONT, View.TOP, View.LEFT_FRONT, View.BOTTOM])
def test_orbit_makes_the_cameras_of_the_named_views(view: View) -> None:
    named = CAMERAS[view]
    made = orbit(named.azimuth_deg, named.elevation_deg)
    for axis in ("right", "up", "backward"):
        np.testing.assert_allclose(getattr(made, axis), getattr(named, axis), atol=1e-12)


def test_the_texture_stands_upright_seen_from_the_front_and_mirrored_from_behind() -> None:
    front = picture_of(Part(mesh=QUAD, texture=QUARTERS))
    corners = [strongest(front[row, column]) for row in (12, 32) for column in (12, 32)]
    assert corners == [[True, False, False], [False, True, False], [False, False, True], [True, True, True]]
    back = picture_of(Part(mesh=QUAD, texture=QUARTERS), View.BACK)
    assert strongest(back[12, 12]) == [False, True, False]


def test_a_texture_repeats_beyond_its_edges() -> None:
    moved = replace(QUAD, uvs=QUAD.uvs + np.float32(3))
    np.testing.assert_array_equal(
        picture_of(Part(mesh=QUAD, texture=QUARTERS)), picture_of(Part(mesh=moved, texture=QUARTERS))
    )


def test_vertex_colours_are_blended_and_tint_a_texture() -> None:
    colours = np.array([RED, RED, BLUE, BLUE], np.uint8)
    plain = picture_of(Part(mesh=QUAD, colours=colours))
    assert strongest(plain[36, 22]) == [True, False, False]
    assert strongest(plain[8, 22]) == [False, False, True]
    tinted = picture_of(Part(mesh=QUAD, colours=np.array([RED] * 4, np.uint8), texture=QUARTERS))
    assert not tinted[12, 32, :3].any()


def test_a_mesh_without_colours_is_of_a_light_neutral_clay() -> None:
    red, green, blue, alpha = picture_of(Part(mesh=replace(QUAD, uvs=None)))[22, 22].tolist()
    assert alpha == 255
    assert 230 > red >= green >= blue > 120


def test_edges_are_anti_aliased_and_colourless_where_transparent() -> None:
    leaning = replace(
        QUAD, positions=(QUAD.positions @ np.array([[0.9, 0.3, 0], [-0.3, 0.9, 0], [0, 0, 1]])).astype("f4")
    )
    picture = picture_of(Part(mesh=leaning, texture=QUARTERS))
    assert set(np.unique(picture[..., 3])) > {0, 255}
    assert not picture[picture[..., 3] == 0].any()


def test_parts_hide_one_another_by_depth() -> None:
    def coloured(depth: float, colour: tuple[int, int, int]) -> Part:
        mesh = replace(QUAD, positions=QUAD.positions + np.array([0, 0, depth], np.float32))
        return Part(mesh=mesh, colours=np.array([colour] * 4, np.uint8))

    near, far = coloured(0.2, RED), coloured(-0.2, BLUE)
    for parts in ([near, far], [far, near]):
        assert strongest(render(parts, CAMERAS[View.FRONT], width=32, height=32)[16, 16]) == [True, False, False]
        assert strongest(render(parts, CAMERAS[View.BACK], width=32, height=32)[16, 16]) == [False, False, True]


def test_the_light_stays_with_the_object() -> None:
    normals = np.array([[0, 1, 0], [0, 0, 2], [0, 0, -1], [0, -0.5, 0]], float)
    up, front, back, down = lit(np.ones((4, 3)), normals)[:, 0]
    assert 1 > up > front > back > down > 0.4


def test_averages_are_taken_in_linear_light() -> None:
    light = np.zeros((2, 2, 3))
    light[0] = 1
    assert develop(light, np.ones((2, 2), bool), 2)[0, 0].tolist() == [188, 188, 188, 255]
    assert develop(light, light[..., 0] > 0, 2)[0, 0].tolist() == [255, 255, 255, 128]


def test_srgb_values_survive_the_way_through_linear_light() -> None:
    values = np.arange(256, dtype=np.uint8)
    np.testing.assert_array_equal(from_linear(linear(values)), values)
