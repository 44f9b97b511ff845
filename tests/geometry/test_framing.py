"""Framings found from silhouettes of a solid that is drawn here under known ones."""

from collections.abc import Iterable, Mapping
from functools import cache
from math import radians, sin, sqrt

import numpy as np
import pytest
import trimesh
from numpy.typing import NDArray

from pipeline.domain.views import ORTHOGRAPHIC_WIDTH, View
from pipeline.geometry.cameras import Framing, projections
from pipeline.geometry.contradictions import Doubt, Fault
from pipeline.geometry.distances import signed_distance
from pipeline.geometry.framing import Frames, framings, remarks
from pipeline.geometry.rasterising import rasterise
from pipeline.geometry.reconstruction import Options, reconstruct
from pipeline.geometry.silhouettes import ReconstructionError

SIZE, SAMPLES = 256, 3
SIDES = (View.FRONT, View.LEFT, View.RIGHT, View.BACK)
AXES = (*SIDES, View.TOP, View.BOTTOM)
SUBSETS = (
    tuple(View),
    AXES,
    SIDES,
    (*SIDES, View.LEFT_FRONT, View.RIGHT_FRONT),
    (View.FRONT, View.LEFT, View.TOP),
    (View.FRONT, View.LEFT),
    (View.FRONT, View.BACK),
    (View.FRONT,),
)
Coverages = dict[View, NDArray[np.float32]]


@cache
def dog() -> trimesh.Trimesh:
    """Body, head, nose, four legs, a bent tail: no two views of it are alike, mirrored or turned."""
    parts = [trimesh.creation.icosphere(subdivisions=3, radius=0.5) for _ in range(3)]
    for part, size, place in zip(
        parts,
        [(0.28, 0.26, 0.6), (0.2, 0.2, 0.2), (0.09, 0.08, 0.2)],
        [(0, 0, 0), (0.02, 0.2, 0.25), (0.03, 0.17, 0.37)],
        strict=True,
    ):
        part.apply_scale(size)
        part.apply_translation(place)
    for x, z, height in ((-0.09, 0.18, 0.3), (0.09, 0.2, 0.3), (-0.09, -0.2, 0.28), (0.1, -0.16, 0.3)):
        leg = trimesh.creation.box((0.07, height, 0.08))
        leg.apply_translation((x, -height / 2, z))
        parts.append(leg)
    tail = trimesh.creation.box((0.05, 0.25, 0.05))
    tail.apply_translation((0.06, 0.12, -0.3))
    return trimesh.util.concatenate([*parts, tail])


def drawn(framed: Mapping[View, Framing], solid: trimesh.Trimesh | None = None) -> Coverages:
    """Anti-aliased silhouettes."""
    solid = solid or dog()
    shown = projections(framed, SIZE * SAMPLES)
    faces = np.asarray(solid.faces, np.int32)
    hits = [
        rasterise(shown.points(at, solid.vertices), faces, SIZE * SAMPLES, SIZE * SAMPLES).face >= 0
        for at in range(len(framed))
    ]
    means = [hit.reshape(SIZE, SAMPLES, SIZE, SAMPLES).mean(axis=(1, 3), dtype=np.float32) for hit in hits]
    return dict(zip(framed, means, strict=True))


def plain(views: Iterable[View] = View) -> dict[View, Framing]:
    return dict.fromkeys(views, Framing())


def pinhole(fov_deg: float, views: Iterable[View] = View) -> dict[View, Framing]:
    """Cameras so far away that the ball of the shared frame fills their pictures."""
    half = radians(fov_deg / 2)
    framing = Framing(scale=sqrt(1 - sin(half) ** 2), perspective=sin(half) / (ORTHOGRAPHIC_WIDTH / 2))
    return dict.fromkeys(views, framing)


def cropped(
    views: Iterable[View] = View, *, fov_deg: float = 0, solid: trimesh.Trimesh | None = None
) -> dict[View, Framing]:
    """Each picture cut so that the object fills nine tenths of it."""
    base = pinhole(fov_deg, views)
    shown = projections(base, 1000)
    framed = {}
    for at, (view, framing) in enumerate(base.items()):
        points = (shown.points(at, (solid or dog()).vertices)[:, :2] - 500) / 1000 * ORTHOGRAPHIC_WIDTH
        low, high = points.min(axis=0), points.max(axis=0)
        larger = 0.9 * ORTHOGRAPHIC_WIDTH / float((high - low).max())
        right, up = -(low + high) / 2 * larger * (1, -1)
        framed[view] = Framing(
            scale=framing.scale * larger, right=float(right), up=float(up), perspective=framing.perspective
        )
    return framed


def relative_scales(framed: Mapping[View, Framing]) -> list[float]:
    return [framing.scale / framed[View.FRONT].scale for framing in framed.values()]


@pytest.mark.parametrize("views", SUBSETS, ids="+".join)
def test_pictures_that_share_a_frame_are_left_exactly_as_they_are(views: tuple[View, ...]) -> None:
    found = framings(drawn(plain(views)))
    assert found.of == plain(views)
    assert (found.frames, found.distance, found.doubt) == (Frames.SHARED, None, None)
    assert found.agreement >= 0.99
    assert not remarks(found)


@pytest.mark.parametrize("views", [tuple(View), SIDES, (View.FRONT, View.LEFT, View.TOP)], ids=len)
@pytest.mark.parametrize("fov_deg", [20, 30, 45, 60, 75])
def test_the_distance_of_the_cameras_is_found(views: tuple[View, ...], fov_deg: float) -> None:
    true = pinhole(fov_deg, views)
    found = framings(drawn(true))
    assert found.frames is Frames.SHARED
    assert found.distance == pytest.approx(1 / true[View.FRONT].perspective, rel=0.06)
    assert found.of[View.FRONT].scale == pytest.approx(true[View.FRONT].scale, abs=0.01)
    assert found.agreement_before < 0.99 < found.agreement
    assert "perspective" in remarks(found)[0]


@pytest.mark.parametrize("views", SUBSETS[:6], ids="+".join)
def test_pictures_cropped_one_by_one_get_their_scales_and_offsets(views: tuple[View, ...]) -> None:
    true = cropped(views)
    found = framings(drawn(true))
    assert (found.frames, found.distance, found.doubt) == (Frames.OWN, None, None)
    assert found.agreement > 0.99
    assert relative_scales(found.of) == pytest.approx(relative_scales(true), rel=0.01)
    assert found.of[View.FRONT].scale >= 1
    assert (found.of[View.FRONT].right, found.of[View.FRONT].up) == pytest.approx((0, 0), abs=0.005)
    lifted = [
        found.of[view].up / found.of[view].scale - true[view].up / true[view].scale for view in views if view in SIDES
    ]
    assert np.ptp(lifted) < 0.01
    assert "its own" in remarks(found)[0]


@pytest.mark.parametrize("others", [(View.LEFT, View.BACK), (View.LEFT, View.TOP), (View.LEFT, View.RIGHT)])
@pytest.mark.parametrize("fov_deg", [0, 30])
def test_no_view_of_three_that_were_cropped_one_by_one_is_called_wrong(
    others: tuple[View, ...], fov_deg: float
) -> None:
    """Cropped to one height, two of them may agree by chance."""
    found = framings(drawn(cropped((View.FRONT, *others), fov_deg=fov_deg)))
    assert not found.ruined
    assert found.doubt is None


def test_own_frames_and_perspective_are_told_apart() -> None:
    true = cropped(fov_deg=30)
    found = framings(drawn(true))
    assert found.frames is Frames.OWN
    assert found.distance is not None
    assert found.agreement > 0.99
    assert relative_scales(found.of) == pytest.approx(relative_scales(true), rel=0.02)
    assert found.of[View.FRONT].scale * found.distance == pytest.approx(
        true[View.FRONT].scale / true[View.FRONT].perspective, rel=0.1
    )


@pytest.mark.parametrize("odd", [View.LEFT, View.TOP, View.FRONT])
def test_one_picture_in_a_frame_of_its_own_leaves_the_others_alone(odd: View) -> None:
    own = Framing(scale=0.8, right=0.04, up=-0.03)
    found = framings(drawn(plain() | {odd: own}))
    assert {view: framing for view, framing in found.of.items() if view is not odd} == plain(set(View) - {odd})
    assert found.of[odd].scale == pytest.approx(own.scale, abs=0.01)
    assert found.of[odd].right == pytest.approx(own.right, abs=0.01)
    assert found.of[odd].up == pytest.approx(own.up, abs=0.01)


def drawn_thin(size: int, thickness_px: int, *, pole: bool) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """A disc, and what shows it edge-on, lying: a bar, or five of them around a pole."""
    middle, radius = size // 2, round(0.3 * size)
    y, x = np.indices((size, size)) + 0.5 - middle
    disc, edge = np.hypot(x, y) < radius, np.zeros((size, size), bool)
    for at in (0.2, 0.34, 0.5, 0.66, 0.78) if pole else (0.5,):
        top = round(at * size) - thickness_px // 2
        edge[top : top + thickness_px, middle - radius : middle + radius] = True
    if pole:
        edge[size // 10 : -size // 10, middle - size // 50 : middle + size // 50] = True
    return disc.astype(np.float32), edge.astype(np.float32)


@pytest.mark.parametrize("size", [256, 500, 1024, 2048])
@pytest.mark.parametrize("thickness_px", [1, 2, 4, 6])
def test_thin_objects_and_parts_are_left_exactly_as_they_are(size: int, thickness_px: int) -> None:
    flat, edge = drawn_thin(size, thickness_px, pole=False)
    discs, pole = drawn_thin(size, thickness_px, pole=True)
    lying = {view: flat if view in (View.TOP, View.BOTTOM) else edge for view in View}
    standing = {View.FRONT: flat, View.BACK: flat, View.LEFT: edge.T, View.RIGHT: edge.T[:, ::-1]}
    card = {View.FRONT: flat, View.LEFT: edge.T[:, ::-1], View.TOP: edge}
    shelves = {view: discs if view in (View.TOP, View.BOTTOM) else pole for view in View}
    four_and_top = {view: shelves[view] for view in (*SIDES, View.TOP)}
    for coverages in (lying, standing, card, shelves, four_and_top):
        found = framings({view: np.ascontiguousarray(plane) for view, plane in coverages.items()})
        assert found.of == plain(coverages)
        assert found.agreement > 0.99
        assert not remarks(found)


def test_a_card_seen_edge_on_becomes_a_mesh_of_its_extents() -> None:
    flat, edge = drawn_thin(SIZE, 3, pole=False)
    made = reconstruct(
        rgba({View.FRONT: flat, View.LEFT: np.ascontiguousarray(edge.T)}), Options(face_count=2_000, textured=False)
    )
    assert np.ptp(made.mesh.positions, axis=0)[:2] == pytest.approx(0.6 * ORTHOGRAPHIC_WIDTH, abs=0.02)


def mirrored(coverages: Coverages, view: View) -> Coverages:
    return coverages | {view: np.ascontiguousarray(coverages[view][:, ::-1])}


def turned(coverages: Coverages, view: View, quarters: int) -> Coverages:
    return coverages | {view: np.ascontiguousarray(np.rot90(coverages[view], quarters))}


def swapped(coverages: Coverages, one: View, other: View) -> Coverages:
    return coverages | {one: coverages[other], other: coverages[one]}


def foreign(coverages: Coverages, view: View) -> Coverages:
    other = trimesh.creation.annulus(0.2, 0.45, 0.3)
    return coverages | drawn({view: Framing()}, other)


@pytest.mark.parametrize(
    ("spoilt", "views", "fault"),
    [
        (mirrored(drawn(plain()), View.LEFT), {View.LEFT}, Fault.MIRRORED),
        (mirrored(drawn(plain(SIDES)), View.LEFT), {View.LEFT, View.RIGHT}, Fault.MIRRORED),
        (foreign(drawn(plain()), View.RIGHT), {View.RIGHT}, Fault.ODD),
        (foreign(drawn(plain(AXES)), View.TOP), {View.TOP}, Fault.ODD),
        (foreign(drawn(plain((View.FRONT, View.LEFT, View.TOP))), View.LEFT), {View.LEFT}, Fault.ODD),
        (turned(drawn(plain()), View.TOP, 2), {View.TOP}, Fault.TURNED),
        (turned(drawn(plain(SIDES)), View.BACK, 1), {View.BACK}, Fault.TURNED),
        (swapped(drawn(plain()), View.LEFT, View.RIGHT), {View.LEFT, View.RIGHT}, Fault.SWAPPED),
        (swapped(drawn(plain(AXES)), View.FRONT, View.LEFT), {View.FRONT, View.LEFT}, Fault.SWAPPED),
    ],
    ids=[
        "mirrored",
        "mirrored of four",
        "foreign",
        "foreign top",
        "foreign of three",
        "upside down",
        "on its side",
        "left for right",
        "front for left",
    ],
)
def test_wrong_pictures_are_named_and_not_explained_by_framings(
    spoilt: Coverages, views: set[View], fault: Fault
) -> None:
    found = framings(spoilt)
    assert found.of == plain(spoilt)
    assert found.doubt is not None
    assert (set(found.doubt.views), found.doubt.fault) == (views, fault)
    (remark,) = remarks(found)
    assert all(view in remark for view in views)
    assert {Fault.MIRRORED: "replace it", Fault.TURNED: "turn it", Fault.SWAPPED: "exchange", Fault.ODD: "check that"}[
        fault
    ] in remark
    assert remark.count("agree to") == 1


def test_a_view_that_would_ruin_the_shape_is_named_instead_of_carved_with() -> None:
    with pytest.raises(ReconstructionError, match="left view seems to be mirrored"):
        reconstruct(rgba(mirrored(drawn(plain()), View.LEFT)), Options(face_count=1_000, textured=False))


def test_silhouettes_cut_out_of_a_background_need_not_agree_as_well_as_given_ones() -> None:
    coverages = drawn(plain())
    spoilt = coverages | {View.FRONT: coverages[View.FRONT].copy()}
    top = np.nonzero(coverages[View.FRONT])[0].min()
    spoilt[View.FRONT][top - 10 : top + 2, 125:137] = 1
    given, cut_out = framings(spoilt), framings(spoilt, given=False)
    assert given.doubt == Doubt(views=(View.FRONT,), fault=Fault.ODD)
    assert cut_out.of == plain()
    assert not remarks(cut_out)
    wrong = framings(foreign(coverages, View.RIGHT), given=False)
    assert "make their backgrounds transparent" in remarks(wrong)[0]


def test_an_odd_view_is_not_blamed_alone_where_two_others_may_have_changed_their_names() -> None:
    arm = trimesh.creation.box((0.08, 0.08, 0.35))
    arm.apply_translation((0.1, 0.1, 0.2))
    knight = trimesh.util.concatenate([trimesh.creation.box((0.3, 0.6, 0.2)), arm])
    found = framings(swapped(drawn(plain((*SIDES, View.TOP)), knight), View.LEFT, View.RIGHT))
    assert found.doubt == Doubt(views=(View.TOP,), fault=Fault.TURNED, exchanged=(View.LEFT, View.RIGHT))
    assert "or the left and right views have each other's names" in remarks(found)[0]


def test_a_view_that_takes_little_away_is_named_in_a_note() -> None:
    coverages = drawn(plain())
    spoilt = coverages | {View.FRONT: with_shadow(coverages[View.FRONT], 0.6)}
    made = reconstruct(rgba(spoilt), Options(face_count=1_000, textured=False))
    assert any(note.startswith("The front view contradicts the others") for note in made.notes)


def test_a_picture_moved_partly_out_of_its_frame_gets_no_perspective() -> None:
    coverages = drawn(plain(SIDES))
    shifted = np.zeros_like(coverages[View.LEFT])
    shifted[:, 55:] = coverages[View.LEFT][:, :-55]
    assert shifted[:, -1].any()
    found = framings(coverages | {View.LEFT: shifted})
    assert (found.frames, found.distance, found.doubt) == (Frames.OWN, None, None)


@pytest.mark.parametrize("size", [16, 32])
def test_pictures_of_few_pixels_share_a_frame(size: int) -> None:
    tiny = {
        view: plane.reshape(size, SIZE // size, size, -1).mean(axis=(1, 3)) for view, plane in drawn(plain()).items()
    }
    found = framings(tiny)
    assert found.of == plain()
    assert not remarks(found)


def with_shadow(coverage: NDArray[np.float32], width: float) -> NDArray[np.float32]:
    """A flat ellipse under the object, as an opaque picture's shadow that was taken for the object."""
    y, x = np.indices(coverage.shape)
    rows, columns = np.nonzero(coverage >= 0.5)
    half = width * (columns.max() - columns.min())
    shadow = np.hypot((x - columns.mean()) / half, (y - rows.max()) / 4) < 1
    return np.maximum(coverage, shadow.astype(np.float32))


def test_silhouettes_cut_out_badly_are_no_reason_for_framings() -> None:
    widths = np.random.default_rng(3).uniform(0.3, 0.7, len(View))
    clean = drawn(plain())
    spoilt = {
        view: with_shadow(coverage, width) if view in SIDES else coverage
        for (view, coverage), width in zip(clean.items(), widths, strict=True)
    }
    found = framings(spoilt)
    assert found.agreement_before < 0.99
    assert found.of == plain()


def test_frames_of_their_own_explain_silhouettes_cut_out_well_but_not_those_with_shadows() -> None:
    nearly = plain() | dict.fromkeys((View.FRONT, View.BACK), Framing(scale=0.92)) | {View.TOP: Framing(scale=1.04)}
    cropped = drawn(nearly)
    assert framings(cropped, given=False).frames is Frames.OWN
    spoilt = cropped | {View.FRONT: with_shadow(cropped[View.FRONT], 0.3)}
    for given, frames in ((True, Frames.OWN), (False, Frames.SHARED)):
        found = framings(spoilt, given=given)
        assert (found.frames, 0.93 < found.agreement_before < 0.96) == (frames, True)


def test_perspective_is_found_from_silhouettes_cut_out_badly() -> None:
    rough = np.random.default_rng(4).normal(size=(len(View), SIZE // 8, SIZE // 8))
    true = pinhole(30)
    spoilt = {
        view: (signed_distance(coverage) < np.kron(noise, np.ones((8, 8)))).astype(np.float32)
        for (view, coverage), noise in zip(drawn(true).items(), rough, strict=True)
    }
    found = framings(spoilt)
    assert found.frames is Frames.SHARED
    assert found.distance == pytest.approx(1 / true[View.FRONT].perspective, rel=0.1)


def test_equal_silhouettes_give_equal_framings() -> None:
    coverages = drawn(cropped(fov_deg=25))
    assert framings(coverages) == framings(coverages)


def rgba(coverages: Coverages) -> dict[View, NDArray[np.uint8]]:
    grey = np.full((SIZE, SIZE, 3), 128, np.uint8)
    return {
        view: np.concatenate([grey, np.rint(255 * coverage).astype(np.uint8)[..., None]], axis=2)
        for view, coverage in coverages.items()
    }


def overlap_of_reconstruction(framed: Mapping[View, Framing]) -> tuple[float, NDArray[np.float32]]:
    """The worst view's intersection over union of a mesh and its picture; the mesh's extents."""
    pictures = rgba(drawn(framed))
    made = reconstruct(pictures, Options(face_count=8_000, textured=False)).mesh
    coverages = {view: picture[..., 3] / np.float32(255) for view, picture in pictures.items()}
    shown = drawn(framings(coverages).of, trimesh.Trimesh(made.positions, made.faces, process=False))
    pairs = [(shown[view] >= 0.5, coverage >= 0.5) for view, coverage in coverages.items()]
    return min(float((one & other).sum() / (one | other).sum()) for one, other in pairs), np.ptp(made.positions, axis=0)


def test_meshes_fit_pictures_with_perspective_or_cropped_as_well_as_plain_ones() -> None:
    usual, extents = overlap_of_reconstruction(plain())
    in_perspective, same = overlap_of_reconstruction(pinhole(30))
    own, _ = overlap_of_reconstruction(cropped())
    both, _ = overlap_of_reconstruction(cropped(fov_deg=30))
    assert min(in_perspective, own, both) >= usual - 0.01
    assert same == pytest.approx(extents, abs=0.01)


def test_a_long_object_cropped_from_the_front_still_fits_into_the_world() -> None:
    long = trimesh.creation.box((0.15, 0.2, 0.9))
    found = framings(drawn(cropped(AXES, solid=long), long))
    assert found.frames is Frames.OWN
    made = reconstruct(rgba(drawn(cropped(AXES, solid=long), long)), Options(face_count=3_000, textured=False))
    extents = np.ptp(made.mesh.positions, axis=0)
    assert extents / extents[2] == pytest.approx(np.array([0.15, 0.2, 0.9]) / 0.9, abs=0.01)
    assert extents[2] > 0.95 * ORTHOGRAPHIC_WIDTH


def bands(*rows: tuple[int, int]) -> NDArray[np.float32]:
    """A silhouette as wide everywhere, on these rows alone."""
    coverage = np.zeros((SIZE, SIZE), np.float32)
    for start, stop in rows:
        coverage[start:stop, 90:160] = 1
    return coverage


def test_views_that_cannot_be_of_one_object_are_refused_though_nothing_tells_which_is_wrong() -> None:
    coverages = {
        View.FRONT: bands((60, 90), (170, 200)),
        View.LEFT: bands((60, 64), (100, 160), (196, 200)),
        View.TOP: bands((96, 166)),
    }
    found = framings(coverages)
    assert found.doubt == Doubt(views=(View.FRONT, View.LEFT), fault=Fault.UNLIKE)
    with pytest.raises(ReconstructionError, match="front and left views don't show one object") as refused:
        reconstruct(rgba(coverages), Options(face_count=1_000, textured=False))
    assert "check that they show the same object" in refused.value.mend
    assert not framings(coverages, given=False).ruined


def test_opposite_views_are_never_refused_for_unlike_outlines_alone() -> None:
    coverages = {View.FRONT: bands((60, 90), (170, 200)), View.BACK: bands((60, 64), (100, 160), (196, 200))}
    assert not framings(coverages).ruined
