import numpy as np
import pytest

from pipeline.domain.views import CAMERAS, View
from pipeline.geometry.cameras import Framing, projections
from pipeline.geometry.rasterising import project
from pipeline.geometry.surface import surface
from pipeline.geometry.visual_hull import visual_hull

SIZE = 256
POINTS = np.random.default_rng(1).uniform(-0.5, 0.5, (50, 3))


@pytest.mark.parametrize("view", list(View))
def test_the_shared_frame_is_that_of_the_renderer(view: View) -> None:
    shown = projections({view: Framing()}, SIZE).points(0, POINTS)
    assert shown == pytest.approx(project(POINTS, CAMERAS[view], SIZE, SIZE), abs=1e-9)


def test_a_framing_scales_moves_and_foreshortens() -> None:
    framing = Framing(scale=0.8, right=0.1, up=-0.05, perspective=0.5)
    at = np.array([0.2, 0.3, 0.4])
    ((x, y, depth),) = projections({View.FRONT: framing}, 110).points(0, at[None])
    weight = 1 - 0.5 * 0.4
    assert (x, y, depth) == pytest.approx(
        (55 + 100 * (0.8 * 0.2 / weight + 0.1), 55 - 100 * (0.8 * 0.3 / weight - 0.05), 0.4)
    )


def test_a_point_at_the_camera_axis_stays_there_at_any_depth() -> None:
    axis = np.outer([-0.4, 0, 0.4], CAMERAS[View.LEFT].backward)
    shown = projections({View.LEFT: Framing(perspective=0.47)}, SIZE).points(0, axis)
    assert shown[:, :2] == pytest.approx(np.full((3, 2), SIZE / 2))


def ball(view: View, framing: Framing, radius: float) -> np.ndarray:
    """The coverage of a ball around the origin, from the tangent cone of its projection."""
    shown = projections({view: framing}, SIZE)
    middle = shown.points(0, np.zeros((1, 3)))[0, :2]
    apparent = radius / np.sqrt(1 - (framing.perspective * radius) ** 2) / shown.cameras.pixels[0]
    y, x = np.indices((SIZE, SIZE)) + 0.5
    return np.clip(apparent - np.hypot(x - middle[0], y - middle[1]) + 0.5, 0, 1).astype(np.float32)


@pytest.mark.parametrize(
    "framings",
    [
        pytest.param({view: Framing(scale=0.95, perspective=0.47) for view in View}, id="perspective"),
        pytest.param(
            {
                view: Framing(scale=0.7 + 0.05 * n, right=0.03 * n - 0.1, up=0.1 - 0.02 * n)
                for n, view in enumerate(View)
            },
            id="each framed on its own",
        ),
    ],
)
def test_a_ball_comes_out_round_and_in_place_under_any_framing(framings: dict[View, Framing]) -> None:
    vertices, faces = surface(visual_hull({view: ball(view, framings[view], 0.4) for view in View}, framings), 5000)
    assert len(faces) == 5000
    bulge = 0.4 / np.sqrt(
        1 - (framings[View.FRONT].perspective * 0.4) ** 2
    )  # a cone leaves more where it isn't tangent
    assert vertices.max(axis=0) == pytest.approx(np.full(3, bulge), abs=0.002)
    assert vertices.min(axis=0) == pytest.approx(np.full(3, -bulge), abs=0.002)
    assert np.linalg.norm(vertices, axis=1).min() > 0.397
