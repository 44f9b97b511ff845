import numpy as np
import pytest

from pipeline.domain.views import CAMERAS, ORTHOGRAPHIC_WIDTH, View
from pipeline.geometry.rasterising import project, rasterise

QUAD = np.array([[0, 1, 2], [0, 2, 3]])


def square(low: float, high: float, depth: float = 0) -> np.ndarray:
    return np.array([[low, low, depth], [high, low, depth], [high, high, depth], [low, high, depth]])


def test_the_origin_is_projected_to_the_middle_and_the_frame_spans_the_longer_side() -> None:
    half = ORTHOGRAPHIC_WIDTH / 2
    points = project(np.array([[0, 0, 0], [half, 0, 0.25], [-half, 0, 0]]), CAMERAS[View.FRONT], 64, 32)
    np.testing.assert_allclose(points, [[32, 16, 0], [64, 16, 0.25], [0, 16, 0]])


@pytest.mark.parametrize(
    ("view", "towards_right", "towards_top"),
    [
        (View.FRONT, (1, 0, 0), (0, 1, 0)),
        (View.LEFT, (0, 0, -1), (0, 1, 0)),
        (View.RIGHT, (0, 0, 1), (0, 1, 0)),
        (View.BACK, (-1, 0, 0), (0, 1, 0)),
        (View.TOP, (1, 0, 0), (0, 0, -1)),
        (View.BOTTOM, (1, 0, 0), (0, 0, 1)),
        (View.LEFT_FRONT, (1, 0, -1), (0, 1, 0)),
        (View.RIGHT_FRONT, (1, 0, 1), (0, 1, 0)),
    ],
)
def test_every_view_is_turned_as_the_frame_says(view: View, towards_right: tuple, towards_top: tuple) -> None:
    right, top = project(np.array([towards_right, towards_top]) * 0.1, CAMERAS[view], 100, 100)
    assert right[0] > 55
    assert right[1] == pytest.approx(50)
    assert top[0] == pytest.approx(50)
    assert top[1] < 45


def test_a_square_covers_exactly_the_pixels_whose_centres_it_holds() -> None:
    covered = rasterise(square(2.25, 6.75), QUAD, 10, 10).face >= 0
    expected = np.zeros((10, 10), bool)
    expected[2:7, 2:7] = True
    np.testing.assert_array_equal(covered, expected)


def test_edges_through_pixel_centres_belong_to_the_left_and_top_neighbour_alone() -> None:
    covered = rasterise(square(2.5, 6.5), QUAD, 10, 10).face >= 0
    expected = np.zeros((10, 10), bool)
    expected[2:6, 2:6] = True
    np.testing.assert_array_equal(covered, expected)


@pytest.mark.parametrize("winding", [1, -1])
def test_faces_that_share_edges_cover_every_pixel_once(winding: int) -> None:
    """A fan about a point on a pixel centre, its rim beyond the picture: no gap, no pixel twice."""
    angle = np.linspace(0, 2 * np.pi, 37, endpoint=False)
    rim = np.stack([16.5 + 40 * np.cos(angle), 16.5 + 40 * np.sin(angle), 0 * angle], axis=1)
    points = np.concatenate([[[16.5, 16.5, 0]], rim])
    ring = np.arange(37)
    faces = np.stack([0 * ring, ring + 1, (ring + 1) % 37 + 1], axis=1)[:, ::winding]
    count = sum((rasterise(points, faces[[k]], 32, 32).face >= 0).astype(int) for k in range(37))
    np.testing.assert_array_equal(count, np.ones((32, 32)))


def test_the_nearer_face_is_seen_whatever_their_order_and_winding() -> None:
    points = np.concatenate([square(0, 8, depth=0.1), square(2, 6, depth=0.3)])
    near, far = QUAD + 4, QUAD
    for faces, nearest in ((np.concatenate([far, near[:, ::-1]]), 2), (np.concatenate([near, far]), 0)):
        fragments = rasterise(points, faces, 8, 8)
        assert (fragments.face[2:6, 2:6] // 2 * 2 == nearest).all()
        assert fragments.depth[4, 4] == pytest.approx(0.3)
        assert fragments.depth[0, 0] == pytest.approx(0.1)


def test_barycentric_weights_lead_back_to_the_pixel_centre() -> None:
    points = np.array([[1.3, 2.1, 0.0], [28.2, 6.4, 0.5], [9.7, 30.9, 1.0]])
    for faces in (np.array([[0, 1, 2]]), np.array([[1, 0, 2]])):
        fragments = rasterise(points, faces, 32, 32)
        rows, columns = np.nonzero(fragments.face == 0)
        found = np.einsum(
            "nk,nkc->nc", fragments.barycentric[rows, columns], np.repeat(points[faces], len(rows), axis=0)
        )
        np.testing.assert_allclose(found[:, 0], columns + 0.5, atol=0.01)
        np.testing.assert_allclose(found[:, 1], rows + 0.5, atol=0.01)
        np.testing.assert_allclose(found[:, 2], fragments.depth[rows, columns], atol=1e-5)


def test_nothing_is_drawn_where_there_is_nothing() -> None:
    fragments = rasterise(np.zeros((0, 3)), np.zeros((0, 3), int), 3, 2)
    assert fragments.face.tolist() == [[-1, -1, -1], [-1, -1, -1]]
    assert np.isneginf(fragments.depth).all()
    assert not fragments.barycentric.any()


def test_faces_without_area_or_with_points_beyond_all_bounds_are_left_out() -> None:
    points = np.array([[0, 0, 0], [8, 8, 0], [4, 4, 0], [np.nan, 0, 0], [1e12, 0, 0], [0, 8, np.inf]])
    faces = np.array([[0, 1, 2], [0, 1, 3], [0, 1, 4], [0, 1, 5]])
    assert (rasterise(points, faces, 8, 8).face == -1).all()
