"""Slices that silhouettes leave open, on shaded solids whose pictures are computed here, ground truth to the pixel."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.domain.views import CAMERAS, ORTHOGRAPHIC_WIDTH, View
from pipeline.geometry.cameras import Framing
from pipeline.geometry.rounding import rounded
from pipeline.geometry.silhouettes import Silhouette
from pipeline.geometry.surface import surface
from pipeline.geometry.visual_hull import Grid, Hull, values_on, visual_hull

Plane = NDArray[np.float64]
Solid = Callable[[View, Plane, Plane], tuple[NDArray[np.bool_], NDArray[np.float64]]]
"""Where a view's picture, at right and up, meets the solid; and the normals it sees there."""

SIZE = 256
SIDES = (View.FRONT, View.LEFT, View.RIGHT, View.BACK)
LAMP = np.array([0.4, 0.6, 0.69])
RADIUS, HALF_HEIGHT = 0.25, 0.3
TAIL = 0.034
BOX = (0.3, 0.3, 0.2)


def frame(view: View) -> NDArray[np.float64]:
    return np.array([CAMERAS[view].right, CAMERAS[view].up, CAMERAS[view].backward])


def cylinder(view: View, right: Plane, up: Plane) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Upright."""
    axes = frame(view)
    if view in (View.TOP, View.BOTTOM):
        return np.hypot(right, up) < RADIUS, np.broadcast_to(axes[2], (*right.shape, 3))
    u = (right / RADIUS).clip(-1, 1)[..., None]
    return (abs(right) < RADIUS) & (abs(up) < HALF_HEIGHT), u * axes[0] + np.sqrt(1 - u * u) * axes[2]


def box(view: View, right: Plane, up: Plane) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    axes = frame(view)
    wide, high = abs(axes[:2]) @ BOX
    return (abs(right) < wide) & (abs(up) < high), np.broadcast_to(axes[2], (*right.shape, 3))


def ball(view: View, right: Plane, up: Plane) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    axes, square = frame(view), RADIUS**2 - right**2 - up**2
    normals = np.stack([right, up, np.sqrt(square.clip(0))], axis=-1) @ axes
    return square > 0, normals / RADIUS


def unlike_spheres(view: View, right: Plane, up: Plane) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """A body with a tail behind, which the front doesn't show."""
    axes = frame(view)
    inside, normals = ball(view, right, up)
    across = axes[0, 2] * right
    tail = (across < 0) & (across > -0.45) & (abs(up) < TAIL) if axes[0, 2] else np.zeros_like(inside)
    return inside | tail, np.where(inside[..., None], normals, axes[2])


def four_legs(view: View, right: Plane, up: Plane) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Upright cylinders at the corners of a square."""
    axes, radius = frame(view), 0.09
    off = right - np.where(right > 0, 0.2, -0.2)
    u = (off / radius).clip(-1, 1)[..., None]
    return (abs(off) < radius) & (abs(up) < HALF_HEIGHT), u * axes[0] + np.sqrt(1 - u * u) * axes[2]


def pictures(solid: Solid, views: tuple[View, ...] = SIDES, *, lit: bool = True) -> dict[View, Silhouette]:
    fine = 2 * SIZE
    at = ((np.arange(fine) + 0.5) / fine - 0.5) * ORTHOGRAPHIC_WIDTH
    right, up = np.meshgrid(at, -at)
    found = {}
    for view in views:
        inside, normals = solid(view, right, up)
        shade = 60 + 180 * (0.5 + 0.5 * (normals @ LAMP)) if lit else np.full(inside.shape, 128)
        colours = np.where(inside, shade, 0)[::2, ::2, None].repeat(3, axis=2)
        coverage = inside.reshape(SIZE, 2, SIZE, 2).mean(axis=(1, 3))
        found[view] = Silhouette(
            coverage=coverage.astype(np.float32), colours=colours.astype(np.uint8), impure_px=1, given=True
        )
    return found


def hull_of(seen: Mapping[View, Silhouette], framings: Mapping[View, Framing] | None = None) -> Hull:
    return visual_hull({view: one.coverage for view, one in seen.items()}, framings)


def filled(hull: Hull) -> tuple[NDArray[np.bool_], float]:
    """Which points of a grid (z, y, x) are inside, and the volume of all."""
    spacing = ORTHOGRAPHIC_WIDTH / 128
    start = (spacing - ORTHOGRAPHIC_WIDTH) / 2
    inside = values_on(hull, Grid(origin=(start, start, start), spacing=spacing, shape=(128, 128, 128))) < 0
    return inside, float(inside.sum() * spacing**3)


@pytest.mark.parametrize("views", [SIDES, (View.FRONT, View.LEFT), (View.FRONT, View.RIGHT), SIDES[:3]])
def test_a_shaded_cylinder_is_round_from_two_sides_already(views: tuple[View, ...]) -> None:
    seen = pictures(cylinder, views)
    plain = hull_of(seen)
    round_, (note,) = rounded(plain, seen)
    truth = np.pi * RADIUS**2 * 2 * HALF_HEIGHT
    assert filled(plain)[1] == pytest.approx(truth * 4 / np.pi, rel=0.03)
    assert filled(round_)[1] == pytest.approx(truth, rel=0.03)
    assert "colours of neighbouring views" in note


def test_a_shaded_box_stays_a_box_to_the_last_bit() -> None:
    seen = pictures(box)
    plain = hull_of(seen)
    assert rounded(plain, seen) == (plain, ())


def test_where_colours_say_nothing_slices_are_between_an_ellipse_and_a_box_and_a_note_says_so() -> None:
    seen = pictures(ball, lit=False)
    plain = hull_of(seen)
    guessed, (note,) = rounded(plain, seen)
    assert np.pi / 4 + 0.02 < filled(guessed)[1] / filled(plain)[1] < 0.95
    assert "by guess" in note


@pytest.mark.parametrize("views", [SIDES, (View.FRONT, View.LEFT)])
def test_where_colours_say_nothing_the_outlines_of_a_box_are_a_boxs(views: tuple[View, ...]) -> None:
    seen = pictures(box, views, lit=False)
    plain = hull_of(seen)
    assert rounded(plain, seen) == (plain, ())


@pytest.mark.parametrize("views", [SIDES, (View.FRONT, View.LEFT)])
def test_grain_that_agrees_with_itself_rounds_no_box(views: tuple[View, ...]) -> None:
    """Of wood lit evenly each place is somewhere on the next face, too."""
    at = ((np.arange(SIZE) + 0.5) / SIZE - 0.5) * ORTHOGRAPHIC_WIDTH
    grain = 128 + 60 * np.sin(55 * at) * np.cos(40 * at[:, None])
    seen = {}
    for view, one in pictures(box, views).items():
        colours = np.where(one.colours > 0, grain[..., None], 0).astype(np.uint8)
        seen[view] = replace(one, colours=colours)
    plain = hull_of(seen)
    assert rounded(plain, seen) == (plain, ())


def test_a_tail_is_no_wider_than_it_is_high_though_the_body_hides_it() -> None:
    """The plain slices are as wide as the body all along."""
    seen = pictures(unlike_spheres)
    hull = hull_of(seen)
    before, after = (filled(one)[0] for one in (hull, rounded(hull, seen)[0]))
    behind = 64 - round(0.36 / ORTHOGRAPHIC_WIDTH * 128)
    wide = [solid[behind].any(axis=0).sum() / 128 * ORTHOGRAPHIC_WIDTH for solid in (before, after)]
    assert wide[0] > 1.9 * RADIUS
    assert 0 < wide[1] < 8 * TAIL
    for axis in (0, 2):
        np.testing.assert_array_equal(after.any(axis=axis), before.any(axis=axis))


def test_every_silhouette_stays_covered() -> None:
    seen = pictures(cylinder, (*SIDES, View.TOP))
    plain = hull_of(seen)
    before, after = filled(plain)[0], filled(rounded(plain, seen)[0])[0]
    for axis in range(3):
        np.testing.assert_array_equal(after.any(axis=axis), before.any(axis=axis))


def test_a_top_view_keeps_square_what_colours_leave_open() -> None:
    seen = pictures(box, (*SIDES, View.TOP), lit=False)
    plain = hull_of(seen)
    kept, notes = rounded(plain, seen)
    assert filled(kept)[1] == pytest.approx(filled(plain)[1], rel=0.02)
    assert notes == ()


def test_each_leg_is_round_by_itself() -> None:
    seen = pictures(four_legs)
    legs = filled(rounded(hull_of(seen), seen)[0])[0]
    slice_ = legs[:, 64]
    for back in (False, True):
        for right in (False, True):
            leg = slice_[64 * back : 64 * back + 64, 64 * right : 64 * right + 64]
            assert leg.sum() == pytest.approx(np.pi / 4 * leg.any(axis=0).sum() * leg.any(axis=1).sum(), rel=0.08)


def test_views_along_one_line_leave_the_hull_as_it_is() -> None:
    seen = pictures(cylinder, (View.FRONT, View.BACK))
    plain = hull_of(seen)
    assert rounded(plain, seen) == (plain, ())


@pytest.mark.parametrize("diagonals", [(View.LEFT_FRONT,), (View.RIGHT_FRONT,), (View.LEFT_FRONT, View.RIGHT_FRONT)])
def test_the_front_and_a_diagonal_make_a_thing_about_as_deep_as_it_is(diagonals: tuple[View, ...]) -> None:
    """The plain hull is a slanted prism, of almost twice the volume and more than twice as deep."""
    seen = pictures(cylinder, (View.FRONT, *diagonals), lit=False)
    plain = hull_of(seen)
    guessed, (note,) = rounded(plain, seen)
    truth = np.pi * RADIUS**2 * 2 * HALF_HEIGHT
    assert filled(guessed)[1] == pytest.approx(truth, rel=0.1)
    assert filled(guessed)[1] < filled(plain)[1]
    assert "guess" in note
    assert "give the left or the right view" in note


def test_an_outline_that_mirrors_itself_stands_for_the_missing_diagonal() -> None:
    """From the front and one diagonal two posts could be four; the other diagonal would show that they are not."""

    def posts(view: View, right: Plane, up: Plane) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
        axes = frame(view)
        off = abs(abs(right) - 0.2 * abs(axes[0, 0]))
        return (off < 0.06) & (abs(up) < HALF_HEIGHT), np.broadcast_to(axes[2], (*right.shape, 3))

    seen = pictures(posts, (View.FRONT, View.LEFT_FRONT))
    hull = hull_of(seen)
    before, after = (filled(one)[0][:, 64] for one in (hull, rounded(hull, seen)[0]))
    assert before[:40].any()
    assert not after[:40].any()
    assert after[64].any()


def test_from_the_front_and_the_top_what_is_made_of_boxes_stays_as_it_is() -> None:
    def bench(view: View, right: Plane, up: Plane) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
        """A seat on two boards."""
        if view is View.TOP:
            inside = (abs(right) < 0.4) & (abs(up) < 0.15)
        else:
            inside = (abs(right) < 0.4) & (abs(up) < 0.2) & ((up > 0.12) | (abs(right) > 0.3))
        return inside, np.broadcast_to(frame(view)[2], (*right.shape, 3))

    seen = pictures(bench, (View.FRONT, View.TOP))
    plain = hull_of(seen)
    assert rounded(plain, seen) == (plain, ())


@pytest.mark.parametrize("end", [View.TOP, View.BOTTOM])
def test_from_the_front_and_the_top_a_thing_is_deepest_where_it_is_widest(end: View) -> None:
    def pawn(view: View, right: Plane, up: Plane) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
        """A wide round plate below, a thin post above."""
        axes = frame(view)
        if view in (View.TOP, View.BOTTOM):
            inside = np.hypot(right, up) < 0.3
        else:
            inside = (abs(up) < 0.4) & (abs(right) < np.where(up < -0.2, 0.3, 0.05))
        return inside, np.broadcast_to(axes[2], (*right.shape, 3))

    seen = pictures(pawn, (View.FRONT, end))
    plain = hull_of(seen)
    likely, (note,) = rounded(plain, seen)
    before, after = filled(plain)[0], filled(likely)[0]
    for view_axis in (0, 1):
        np.testing.assert_array_equal(after.any(axis=view_axis), before.any(axis=view_axis))
    deep = after.any(axis=2).sum(axis=0)
    assert deep[36] == pytest.approx(0.6 / ORTHOGRAPHIC_WIDTH * 128, abs=2)
    assert deep[80] == pytest.approx(np.sqrt(0.05 / 0.3) * deep[36], rel=0.15)
    assert "give the left or the right view" in note


def test_a_view_more_never_makes_the_solid_much_larger() -> None:
    """Of all views that say something new, any number."""
    further = (View.LEFT, View.TOP, View.LEFT_FRONT)
    all_seen, volumes = pictures(cylinder, (View.FRONT, *further)), {}
    for count in range(1, len(further) + 1):
        for chosen in combinations(further, count):
            seen = {view: all_seen[view] for view in (View.FRONT, *chosen)}
            plain = hull_of(seen)
            volumes[chosen] = filled(rounded(plain, seen)[0])[1]
            assert volumes[chosen] <= filled(plain)[1] * 1.001
            fewer = [volumes[less] for less in combinations(chosen, count - 1) if less]
            assert volumes[chosen] <= 1.1 * min(fewer, default=np.inf)


def test_a_camera_near_by_rounds_the_same() -> None:
    """A cylinder's outlines from near by are still straight and upright where its middle is; only wider."""
    near = Framing(perspective=0.4)
    shown = RADIUS / np.sqrt(1 - (RADIUS * near.perspective) ** 2)

    def seen_nearby(view: View, right: Plane, up: Plane) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
        return cylinder(view, right * RADIUS / shown, up)

    seen = pictures(seen_nearby)
    hull = hull_of(seen, dict.fromkeys(seen, near))
    middle = filled(rounded(hull, seen)[0])[0][:, 64]
    area = middle.sum() * (ORTHOGRAPHIC_WIDTH / 128) ** 2
    assert area == pytest.approx(np.pi * RADIUS**2, rel=0.08)


def test_the_surface_of_a_rounded_hull_is_closed() -> None:
    seen = pictures(four_legs)
    _, faces = surface(rounded(hull_of(seen), seen)[0], 8_000)
    edges = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
    assert (np.unique(edges, axis=0, return_counts=True)[1] == 2).all()
