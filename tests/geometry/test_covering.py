"""What other views' silhouettes need of a solid that is smaller than their hull."""

import numpy as np
from numpy.typing import NDArray

from pipeline.domain.views import CAMERAS, ORTHOGRAPHIC_WIDTH, View
from pipeline.geometry.cameras import Framing
from pipeline.geometry.covering import covering, lacking, rays_through
from pipeline.geometry.surface import surface
from pipeline.geometry.visual_hull import Grid, Hull, values_on, visual_hull
from pipeline.geometry.volumes import Volume

SIZE = 256
BOX = np.array([0.3, 0.3, 0.2])
SIDES = (View.FRONT, View.LEFT)
SPACING = ORTHOGRAPHIC_WIDTH / 90


def covered(hull: Hull, volume: Volume) -> Volume:
    return covering(volume, lacking(hull, volume, rays_through(hull)))


def hull_of_a_box(views: tuple[View, ...], framing: Framing | None = None) -> Hull:
    fine = 4 * SIZE
    at = ((np.arange(fine) + 0.5) / fine - 0.5) * ORTHOGRAPHIC_WIDTH
    right, up = np.meshgrid(at, -at)
    coverages = {}
    for view in views:
        axes = np.array([CAMERAS[view].right, CAMERAS[view].up, CAMERAS[view].backward])
        wide, high = np.abs(axes[:2]) @ BOX
        inside = (abs(right) < wide) & (abs(up) < high)
        coverages[view] = inside.reshape(SIZE, 4, SIZE, 4).mean(axis=(1, 3)).astype(np.float32)
    return visual_hull(coverages, dict.fromkeys(views, framing) if framing else None)


def cylinder(radius: float = 0.2) -> Volume:
    """The distance from an endless upright cylinder."""
    at = np.arange(91) * SPACING - 45 * SPACING
    values = (np.hypot(at[:, None, None], at) - radius + 0 * at[:, None]).astype(np.float32)
    return Volume(values=values, lattice=np.array([at[0], at[0], at[0], SPACING]))


def inside(hull: Hull, volume: Volume) -> NDArray[np.bool_]:
    """At points (z, y, x)."""
    solid = Hull(projections=hull.projections, distances=hull.distances, volume=volume)
    step = ORTHOGRAPHIC_WIDTH / 160
    start = (step - ORTHOGRAPHIC_WIDTH) / 2
    return values_on(solid, Grid(origin=(start, start, start), spacing=step, shape=(160, 160, 160))) < 0


def test_a_volume_that_covers_all_stays_the_same() -> None:
    hull, volume = hull_of_a_box((View.FRONT, View.BACK)), cylinder(0.5)
    assert covered(hull, volume) is volume


def test_no_view_sees_past_what_is_left_and_little_more_is_given_back() -> None:
    hull = hull_of_a_box(SIDES)
    before, after = inside(hull, cylinder()), inside(hull, covered(hull, cylinder()))
    full = inside(hull, hull.volume)
    for axis in (0, 2):  # front, left
        np.testing.assert_array_equal(after.any(axis=axis), full.any(axis=axis))
    assert not (before & ~after).any()
    assert before.sum() < after.sum() < 0.97 * full.sum()


def test_corners_that_an_oblique_view_shows_stand_again() -> None:
    hull = hull_of_a_box((*SIDES, View.LEFT_FRONT))
    after, full = inside(hull, covered(hull, cylinder())), inside(hull, hull.volume)
    right = np.array(CAMERAS[View.LEFT_FRONT].right)
    reach = []
    for solid in (full, after):
        z, _, x = np.nonzero(solid)
        across = (x - 79.5) * right[0] + (z - 79.5) * right[2]
        reach.append((across.min(), across.max()))
    np.testing.assert_allclose(reach[1], reach[0], atol=1)
    assert after.sum() < 0.97 * full.sum()


def test_cameras_near_by_and_askew_are_covered_along_their_own_rays() -> None:
    hull = hull_of_a_box((*SIDES, View.TOP), Framing(scale=0.9, right=0.05, up=-0.03, perspective=0.4))
    after, full = inside(hull, covered(hull, cylinder(0.1))), inside(hull, hull.volume)
    step = ORTHOGRAPHIC_WIDTH / 160
    for at in range(3):
        shown = []
        for solid in (full, after):
            points = np.argwhere(solid)[:, ::-1] * step + (step - ORTHOGRAPHIC_WIDTH) / 2
            column, row, _ = (hull.projections.points(at, points) * 40 / SIZE).T
            picture = np.zeros((40, 40), bool)
            picture[row.astype(int), column.astype(int)] = True
            shown.append(picture)
        assert (shown[0] & ~shown[1]).sum() <= 0.01 * shown[0].sum()


def test_the_field_still_grows_no_faster_than_it_did_and_its_surface_is_closed() -> None:
    hull = hull_of_a_box((*SIDES, View.TOP))
    volume = covered(hull, cylinder())
    assert max(np.abs(np.diff(volume.values, axis=axis)).max() for axis in range(3)) <= SPACING * 1.001
    _, faces = surface(Hull(projections=hull.projections, distances=hull.distances, volume=volume), 4_000)
    edges = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
    assert (np.unique(edges, axis=0, return_counts=True)[1] == 2).all()
