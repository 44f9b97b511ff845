import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.geometry.materials import MATT, normal_map, roughness, shading, without_light
from pipeline.geometry.rendering import from_linear, linear, lit


@pytest.fixture
def normals() -> NDArray[np.float32]:
    directions = np.random.default_rng(8).normal(size=(6_000, 3))
    return (directions / np.linalg.norm(directions, axis=1, keepdims=True)).astype(np.float32)


def painted(normals: NDArray[np.float32]) -> NDArray[np.float32]:
    """(V, 3) linear: three paints in patches."""
    paints = np.array([[0.6, 0.1, 0.05], [0.1, 0.5, 0.2], [0.3, 0.3, 0.3]], np.float32)
    return paints[(np.floor(3 * normals[:, 0]) + np.floor(4 * normals[:, 1])).astype(int) % 3]


def test_most_of_the_baked_light_is_found(normals: NDArray[np.float32]) -> None:
    albedo = painted(normals)
    seen = from_linear(lit(albedo, normals)).astype(np.float32)
    light = np.log(lit(np.ones_like(albedo), normals)[:, 0])
    found = shading(seen, normals, np.ones(len(normals), np.float32))
    left = (light - found) - np.median(light - found)
    assert np.median(np.abs(left)) < 0.3 * np.median(np.abs(light - np.median(light)))


def test_paint_without_light_keeps_its_colours(normals: NDArray[np.float32]) -> None:
    colours = from_linear(painted(normals)).astype(np.float32)
    assert np.abs(shading(colours, normals, np.ones(len(normals), np.float32))).max() < 0.02


def test_no_estimate_is_wilder_than_its_bounds(normals: NDArray[np.float32]) -> None:
    half_black = np.where(normals[:, 1:2] > 0, 250, 12).repeat(3, axis=1).astype(np.float32)
    light = shading(half_black, normals, np.ones(len(normals), np.float32))
    assert light.min() >= -0.8
    assert light.max() <= 0.5


def test_light_is_divided_out_of_linear_light() -> None:
    texture = np.full((2, 2, 3), 128, np.uint8)
    plain = without_light(texture, np.full((2, 2), np.log(0.5), np.float32))
    assert linear(plain)[0, 0, 0] == pytest.approx(2 * linear(texture)[0, 0, 0], rel=0.02)
    assert (without_light(texture, np.zeros((2, 2), np.float32)) == texture).all()


FACES = np.stack([np.arange(400), (np.arange(400) + 1) % 400, (np.arange(400) + 2) % 400], axis=1).astype(np.int32)


def test_what_looks_alike_from_everywhere_is_matt() -> None:
    samples = np.full((3, 400, 3), 140, np.uint8)
    samples[1, :60] = 20  # parallax: a few points, far off
    rough, shiny = roughness(samples, np.full((3, 400), 0.8, np.float32), FACES)
    assert not shiny
    assert rough == pytest.approx(MATT)


def test_highlights_that_move_with_the_view_tell_of_a_smooth_surface() -> None:
    samples = np.full((3, 400, 3), 90, np.uint8)
    samples[np.arange(400) % 3, np.arange(400)] = 200
    rough, shiny = roughness(samples, np.full((3, 400), 0.8, np.float32), FACES)
    assert shiny
    assert (rough < 0.6).all()


def groove(colour: tuple[int, int, int]) -> NDArray[np.uint8]:
    """A grey texture with a line of another colour from top to bottom."""
    texture = np.full((32, 32, 3), 150, np.uint8)
    texture[:, 15:17] = colour
    return texture


def test_a_dark_line_is_a_groove_with_normals_towards_it() -> None:
    normals = normal_map(groove((110, 110, 110)), np.ones((32, 32), bool)).astype(float)[16]
    # Left of a groove the surface falls to the right: its normal leans to the right, red above the middle.
    assert normals[13:15, 0].max() > 140
    assert normals[17:19, 0].min() < 115
    assert np.abs(normals[:, 1] - 127.5).max() <= 1
    assert np.linalg.norm(normals / 127.5 - 1, axis=1) == pytest.approx(1, abs=0.02)


def test_green_is_up_in_the_picture() -> None:
    turned = np.ascontiguousarray(groove((110, 110, 110)).swapaxes(0, 1))
    normals = normal_map(turned, np.ones((32, 32), bool)).astype(float)[:, 16]
    # Above a groove the surface falls downwards in the picture: its normal leans down, green below the middle.
    assert normals[13:15, 1].min() < 115
    assert normals[17:19, 1].max() > 140


def test_another_paint_is_no_relief_and_unpainted_texels_are_flat() -> None:
    painted_line = normal_map(groove((150, 40, 40)), np.ones((32, 32), bool)).astype(int)
    assert np.abs(painted_line - (128, 128, 255)).max() <= 12
    assert (normal_map(groove((110, 110, 110)), np.zeros((32, 32), bool)) == (128, 128, 255)).all()
