"""Hollows that no silhouette shows, in a painted block whose pictures are computed here."""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.domain.views import CAMERAS, ORTHOGRAPHIC_WIDTH, View
from pipeline.geometry.beliefs import VoxelRays, views_that_see
from pipeline.geometry.carving import carved
from pipeline.geometry.hollows import borne_out
from pipeline.geometry.silhouettes import Silhouette
from pipeline.geometry.visual_hull import Grid, Hull, values_on, visual_hull

SIZE = 128
HALF, RIM = 0.3, 0.2
FLOOR = 0.15
"""The front's hollow is square, ``RIM`` to each side of the middle, and reaches back to z = ``FLOOR``."""
AT = ((np.arange(SIZE) + 0.5) / SIZE - 0.5) * ORTHOGRAPHIC_WIDTH
SIDES = (View.FRONT, View.LEFT, View.RIGHT, View.BACK)


def hollow(points: NDArray[np.float64]) -> NDArray[np.bool_]:
    x, y, z = np.moveaxis(points, -1, 0)
    return np.asarray((abs(x) < RIM) & (abs(y) < RIM) & (z > FLOOR) & (z < HALF))


def solid(points: NDArray[np.float64]) -> NDArray[np.bool_]:
    return np.asarray((np.abs(points).max(axis=-1) < HALF) & ~hollow(points))


def paint(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """0..1: a pattern in space, so that a place has one colour from wherever it is seen."""
    waves = np.array([[23.0, 9.0, 13.0], [-11.0, 19.0, 17.0], [7.0, -13.0, 29.0]])
    return 0.5 + 0.4 * np.sin(points @ waves.T + np.array([0.0, 1.0, 2.0]))


Solid = Callable[[NDArray[np.float64]], NDArray[np.bool_]]
Paint = Callable[[NDArray[np.float64]], NDArray[np.float64]]


def silhouette(view: View, solid: Solid = solid, paint: Paint = paint) -> Silhouette:
    """What an orthographic camera sees: the nearest of the points along each pixel's ray."""
    axes = np.array([CAMERAS[view].right, CAMERAS[view].up, CAMERAS[view].backward])
    right, up, backward = np.meshgrid(AT, -AT, AT[::-1], indexing="xy")
    points = np.stack([right, up, backward], axis=-1) @ axes
    full = solid(points)
    nearest = full.argmax(axis=2)
    seen = np.take_along_axis(points, nearest[..., None, None], axis=2)[:, :, 0]
    colours = np.rint(255 * paint(seen)).astype(np.uint8)
    return Silhouette(coverage=full.any(axis=2).astype(np.float32), colours=colours, given=True, impure_px=1.5)


@pytest.fixture(scope="module")
def pictures() -> dict[View, Silhouette]:
    return {view: silhouette(view) for view in View}


def hull_of(pictures: dict[View, Silhouette]) -> Hull:
    return visual_hull({view: one.coverage for view, one in pictures.items()})


def filled(hull: Hull) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """At points all over the frame, and these."""
    grid = Grid(origin=(AT[0], AT[0], AT[0]), spacing=float(AT[1] - AT[0]), shape=(SIZE, SIZE, SIZE))
    z, y, x = np.meshgrid(AT, AT, AT, indexing="ij")
    return values_on(hull, grid) < 0, np.stack([x, y, z], axis=-1)


def test_a_hollow_is_carved_and_little_else(pictures: dict[View, Silhouette]) -> None:
    before, points = filled(hull_of(pictures))
    after, _ = filled(carved(hull_of(pictures), pictures))
    inner = hollow(points)
    assert before[inner].all()
    assert after[inner].mean() < 0.4
    assert after[solid(points)].mean() > 0.95 * before[solid(points)].mean()


def test_every_silhouette_stays_covered(pictures: dict[View, Silhouette]) -> None:
    before, _ = filled(hull_of(pictures))
    after, _ = filled(carved(hull_of(pictures), pictures))
    for axis in range(3):
        assert after.any(axis=axis).sum() > 0.995 * before.any(axis=axis).sum()


def test_exposures_may_differ(pictures: dict[View, Silhouette]) -> None:
    gains = dict(zip(View, (1.0, 0.8, 0.9, 1.0, 0.75, 0.9, 0.8, 1.0), strict=True))
    darker = {
        view: Silhouette(
            coverage=one.coverage,
            given=True,
            impure_px=1.5,
            colours=np.rint(gains[view] * one.colours).astype(np.uint8),
        )
        for view, one in pictures.items()
    }
    after, points = filled(carved(hull_of(darker), darker))
    assert after[hollow(points)].mean() < 0.4
    assert after[solid(points)].mean() > 0.9


def test_colours_without_any_agreement_carve_nothing(pictures: dict[View, Silhouette]) -> None:
    random = np.random.default_rng(3)
    noise = {
        view: Silhouette(
            coverage=one.coverage,
            given=True,
            impure_px=1.5,
            colours=np.repeat(
                np.repeat(random.integers(0, 256, (SIZE // 8, SIZE // 8, 3), np.uint8), 8, axis=0), 8, axis=1
            ),
        )
        for view, one in pictures.items()
    }
    hull = hull_of(noise)
    assert carved(hull, noise) is hull


def test_one_colour_carves_nothing(pictures: dict[View, Silhouette]) -> None:
    plain = {
        view: Silhouette(coverage=one.coverage, given=True, impure_px=1.5, colours=np.full_like(one.colours, 130))
        for view, one in pictures.items()
    }
    hull = hull_of(plain)
    assert carved(hull, plain) is hull


def test_sides_alone_are_too_few(pictures: dict[View, Silhouette]) -> None:
    four = {view: pictures[view] for view in SIDES}
    hull = hull_of(four)
    assert carved(hull, four) is hull


def slab(points: NDArray[np.float64]) -> NDArray[np.bool_]:
    return np.asarray((np.abs(points) < np.array([0.5, 0.06, 0.4])).all(axis=-1))


def lit_from_above(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each side of the slab has a shade of its own."""
    x, y, z = np.moveaxis(points, -1, 0)
    shade = np.select([y > 0.05, y < -0.05, abs(x) > 0.49, z > 0], [0.9, 0.2, 0.5, 0.6], 0.4)
    return np.repeat(shade[..., None], 3, axis=-1)


def test_two_views_look_through_all_that_is_carved(
    pictures: dict[View, Silhouette], monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[NDArray[np.int64]] = []

    def witnessed(
        odds: NDArray[np.float32],
        agreement: NDArray[np.float32],
        rays: Sequence[VoxelRays],
        beside: NDArray[np.int32],
    ) -> NDArray[np.float32]:
        odds = borne_out(odds, agreement, rays, beside)
        found.append(views_that_see(rays, odds > 0).sum(axis=1)[odds <= 0])
        return odds

    monkeypatch.setattr("pipeline.geometry.carving.borne_out", witnessed)
    carved(hull_of(pictures), pictures)
    assert len(found[0])
    assert found[0].min() >= 2


def test_a_slab_stays_as_thick_as_it_is() -> None:
    lit = {view: silhouette(view, slab, lit_from_above) for view in View}
    before, points = filled(hull_of(lit))
    after, _ = filled(carved(hull_of(lit), lit))
    assert (after & slab(points)).sum() > 0.99 * (before & slab(points)).sum()


def test_a_pole_thinner_than_the_voxels_stays() -> None:
    def pole(points: NDArray[np.float64]) -> NDArray[np.bool_]:
        return np.asarray((np.abs(points) < np.array([0.009, 0.4, 0.009])).all(axis=-1))

    thin = {view: silhouette(view, pole) for view in View}
    hull = hull_of(thin)
    assert carved(hull, thin) is hull


LAMP = np.array([0.352, 0.755, 0.553])
"""The unit direction towards it."""


def glossy(points: NDArray[np.float64], view: View) -> NDArray[np.float64]:
    """A ball of one colour in soft light, with a broad highlight where it mirrors a lamp that stays with it."""
    outwards = points / np.maximum(np.linalg.norm(points, axis=-1, keepdims=True), 1e-9)
    half = LAMP + CAMERAS[view].backward
    mirrored = np.clip(outwards @ (half / np.linalg.norm(half)), 0, 1)[..., None]
    light = np.array([0.1, 0.19, 0.46]) * (0.45 + 0.55 * (0.5 + 0.5 * outwards @ LAMP[:, None]) ** 2)
    return np.sqrt(np.clip(light + 0.35 * mirrored**8, 0, 1))


def snowman(points: NDArray[np.float64]) -> NDArray[np.bool_]:
    above = np.linalg.norm(points - np.array([0, 0.3, 0]), axis=-1)
    return np.asarray((np.linalg.norm(points + np.array([0, 0.15, 0]), axis=-1) < 0.3) | (above < 0.18))


def glossy_snowman(points: NDArray[np.float64], view: View) -> NDArray[np.float64]:
    above = points[..., 1:2] > 0.115
    return glossy(points - np.where(above, np.array([0, 0.3, 0]), np.array([0, -0.15, 0])), view)


PLATE = np.array([0.5, 0.07, 0.42])
LEG = np.array([0.05, 0.2, 0.05])


def plate(points: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Round, on four legs."""
    top = ((points - np.array([0, 0.15, 0])) ** 2 / PLATE**2).sum(axis=-1) < 1
    x, y, z = np.moveaxis(points, -1, 0)
    from_leg = np.stack([abs(x) - 0.25, y + 0.05, abs(z) - 0.21], axis=-1)
    return np.asarray(top | (np.abs(from_leg) < LEG).all(axis=-1))


def lit_by_the_camera(points: NDArray[np.float64], view: View) -> NDArray[np.float64]:
    """Of one colour, as light as it faces the camera."""
    outwards = (points - np.array([0, 0.15, 0])) / PLATE**2
    outwards = outwards / np.maximum(np.linalg.norm(outwards, axis=-1, keepdims=True), 1e-9)
    facing = np.clip(outwards @ np.array(CAMERAS[view].backward), 0, 1)[..., None]
    return np.sqrt(np.array([0.1, 0.19, 0.46]) * (0.25 + 0.7 * facing))


@pytest.mark.parametrize(
    ("solid", "shown"), [(snowman, glossy_snowman), (plate, lit_by_the_camera)], ids=["glossy", "lit by the camera"]
)
def test_light_that_wanders_over_a_surface_carves_nothing(
    solid: Solid, shown: Callable[[NDArray[np.float64], View], NDArray[np.float64]]
) -> None:
    pictures = {view: silhouette(view, solid, partial(shown, view=view)) for view in View}
    before, points = filled(hull_of(pictures))
    after, _ = filled(carved(hull_of(pictures), pictures))
    assert (after & solid(points)).sum() > 0.998 * (before & solid(points)).sum()
