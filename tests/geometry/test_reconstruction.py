"""The engine from pictures to mesh, on pictures of solids that are computed here: ground truth to the last pixel."""

from collections.abc import Callable, Mapping
from functools import cache

import numpy as np
import pytest
import trimesh
from numpy.typing import NDArray

from pipeline.domain.views import CAMERAS, ORTHOGRAPHIC_WIDTH, View
from pipeline.geometry.reconstruction import Options, Reconstruction, ReconstructionError, reconstruct

Solid = Callable[[NDArray[np.float32]], NDArray[np.bool_]]
Paint = Callable[[NDArray[np.float32]], NDArray[np.float64]]

SIZE = 80
DEPTHS = 91
"""Steps along each ray: about as fine as the pixels."""
FACES = 6_000
BALL_RADIUS = 0.4
BOX = (0.4, 0.3, 0.2)
"""Half the width, height and depth of the box."""
BORE_RADIUS = 0.15
"""Of the hole through the box along z."""


def ball(p: NDArray[np.float32]) -> NDArray[np.bool_]:
    return (p**2).sum(axis=-1) < BALL_RADIUS**2


def bored_box(p: NDArray[np.float32]) -> NDArray[np.bool_]:
    return (np.abs(p) < BOX).all(axis=-1) & (np.hypot(p[..., 0], p[..., 1]) > BORE_RADIUS)


def gnomon(p: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Three unlike arms along +X, +Y and +Z: no two views of it are alike, mirrored or turned."""
    thick = np.array([0.1, 0.1, 0.1])
    from_corner = p - [-0.3, -0.3, -0.3]
    reach = np.array([0.6, 0.45, 0.3])
    arms = [((from_corner > 0) & (from_corner < np.where(np.arange(3) == axis, reach, thick))) for axis in range(3)]
    return np.logical_or.reduce([arm.all(axis=-1) for arm in arms])


def by_side(p: NDArray[np.float32]) -> NDArray[np.float64]:
    """A colour for each side of a box-like thing: x in red, y in green, z in blue, dark on the negative side."""
    scaled = p / np.abs(p).max(axis=-1, keepdims=True).clip(1e-9)
    return 128 + 100 * np.where(np.abs(scaled) > 0.999, np.sign(scaled), 0)


def pictures(
    solid: Solid, views: tuple[View, ...] = tuple(View), *, paint: Paint | None = None
) -> dict[View, NDArray[np.uint8]]:
    return {view: picture(solid, view, paint=paint) for view in views}


@cache
def picture(solid: Solid, view: View, *, size: int = SIZE, paint: Paint | None = None) -> NDArray[np.uint8]:
    """An anti-aliased straight-alpha orthographic view, its colours those of the first surface along each ray."""
    fine, camera = 2 * size, CAMERAS[view]
    at = ((np.arange(fine) + 0.5) / fine * ORTHOGRAPHIC_WIDTH - ORTHOGRAPHIC_WIDTH / 2).astype(np.float32)
    depth = np.linspace(0.55, -0.55, DEPTHS, dtype=np.float32)
    frame = np.array([camera.right, camera.up, camera.backward], np.float32)
    plane = at[None, :, None] * frame[0] - at[:, None, None] * frame[1]
    solidity = np.stack([solid(plane + near * frame[2]) for near in depth])
    hit, first = solidity.any(axis=0), solidity.argmax(axis=0)
    colours = np.full((fine, fine, 3), 128.0)
    if paint is not None:
        colours = paint(plane + depth[first][..., None] * frame[2])
    return _shrunk(colours, hit)


def _shrunk(colours: NDArray[np.float64], hit: NDArray[np.bool_]) -> NDArray[np.uint8]:
    size = len(hit) // 2
    weights = hit.reshape(size, 2, size, 2).astype(np.float64)
    alpha = weights.mean(axis=(1, 3))
    mean = (colours.reshape(size, 2, size, 2, 3) * weights[..., None]).sum(axis=(1, 3))
    rgb = mean / np.maximum(weights.sum(axis=(1, 3)), 1)[..., None]
    return np.concatenate([rgb, 255 * alpha[..., None]], axis=2).round().astype(np.uint8)


def before(background: NDArray[np.float64], seen: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The same picture, opaque."""
    alpha = seen[..., 3:] / 255
    rgb = seen[..., :3] * alpha + background * (1 - alpha)
    return np.concatenate([rgb.round().clip(0, 255), np.full_like(alpha, 255)], axis=2).astype(np.uint8)


def closed(result: Reconstruction) -> trimesh.Trimesh:
    """The mesh with the vertices merged that textures split."""
    positions, merged = np.unique(result.mesh.positions, axis=0, return_inverse=True)
    return trimesh.Trimesh(positions, merged.ravel()[result.mesh.faces], process=False)


def assert_sound(mesh: trimesh.Trimesh) -> None:
    """Closed, manifold, consistently oriented, the outside outside."""
    edges = np.sort(mesh.edges, axis=1)
    assert (np.unique(edges, axis=0, return_counts=True)[1] == 2).all()
    assert mesh.is_winding_consistent
    assert mesh.volume > 0
    assert (mesh.area_faces > 0).all()


def colour_at(result: Reconstruction, point: tuple[float, float, float]) -> NDArray[np.uint8]:
    """The texture's colour in the middle of the face nearest to a point."""
    mesh = result.mesh
    assert mesh.uvs is not None
    assert result.base_color is not None
    middles = mesh.positions[mesh.faces].mean(axis=1)
    face = mesh.faces[np.linalg.norm(middles - point, axis=1).argmin()]
    height, width, _ = result.base_color.shape
    u, v = mesh.uvs[face].mean(axis=0) * (width, height)
    return result.base_color[int(v), int(u)]


@pytest.fixture(scope="module")
def bored() -> Mapping[View, NDArray[np.uint8]]:
    return pictures(bored_box)


@pytest.fixture(scope="module")
def painted() -> Reconstruction:
    def box(p: NDArray[np.float32]) -> NDArray[np.bool_]:
        return (np.abs(p) < 0.3).all(axis=-1)

    return reconstruct(pictures(box, paint=by_side), Options(face_count=FACES, pbr=True))


def test_a_ball_becomes_a_closed_surface_of_its_size_and_exactly_the_asked_faces() -> None:
    result = reconstruct(pictures(ball), Options(face_count=FACES))
    mesh = closed(result)
    assert_sound(mesh)
    assert len(mesh.faces) == FACES
    assert result.notes == ()
    assert np.abs(mesh.bounds).max() == pytest.approx(BALL_RADIUS, abs=0.01)
    # The hull of these eight views is a little more than the ball: the corners between the views remain.
    assert 1 < mesh.volume / (4 / 3 * np.pi * BALL_RADIUS**3) < 1.12


def test_an_odd_face_count_is_rounded_down_to_even(bored: Mapping[View, NDArray[np.uint8]]) -> None:
    result = reconstruct(bored, Options(face_count=4_001, textured=False))
    assert len(result.mesh.faces) == 4_000
    assert result.notes == ()


def test_a_hole_stays_open_and_the_volume_is_right(bored: Mapping[View, NDArray[np.uint8]]) -> None:
    mesh = closed(reconstruct(bored, Options(face_count=FACES, textured=False)))
    assert_sound(mesh)
    assert mesh.euler_number == 0
    whole = 8 * np.prod(BOX) - np.pi * BORE_RADIUS**2 * 2 * BOX[2]
    assert mesh.volume == pytest.approx(whole, rel=0.03)


@pytest.mark.parametrize(
    "background",
    [
        pytest.param(np.full(3, 255.0), id="white"),
        pytest.param(np.array([90.0, 110.0, 140.0]), id="blue-grey"),
        pytest.param(
            150 + np.linspace(-30, 30, SIZE)[:, None, None] + np.random.default_rng(7).normal(0, 3, (SIZE, SIZE, 3)),
            id="noisy gradient",
        ),
    ],
)
def test_plain_backgrounds_give_the_same_shape_as_transparency(
    bored: Mapping[View, NDArray[np.uint8]], background: NDArray[np.float64]
) -> None:
    dark = {view: seen * np.array([0.3, 0.3, 0.3, 1]) for view, seen in bored.items()}
    opaque = {view: before(background, seen) for view, seen in dark.items()}
    options = Options(face_count=FACES, textured=False)
    clean, found = closed(reconstruct(bored, options)), closed(reconstruct(opaque, options))
    assert_sound(found)
    assert found.euler_number == 0
    assert found.volume == pytest.approx(clean.volume, rel=0.02)
    assert found.bounds == pytest.approx(clean.bounds, abs=0.008)


def test_every_view_is_seen_from_its_own_side() -> None:
    everything = pictures(gnomon)
    whole = closed(reconstruct(everything, Options(face_count=FACES, textured=False)))
    assert whole.bounds == pytest.approx(np.array([[-0.3, -0.3, -0.3], [0.3, 0.15, 0.0]]), abs=0.01)
    for view in View:
        alone = closed(
            reconstruct(
                {View.FRONT: everything[View.FRONT], view: everything[view]}, Options(face_count=2_000, textured=False)
            )
        )
        # A view turned or mirrored would cut into the solid or move it.
        assert alone.bounds[0, :2] == pytest.approx(whole.bounds[0, :2], abs=0.02)
        assert alone.bounds[1, :2] == pytest.approx(whole.bounds[1, :2], abs=0.02)
        if view not in {View.FRONT, View.BACK, View.LEFT_FRONT, View.RIGHT_FRONT}:
            assert alone.bounds[:, 2] == pytest.approx(whole.bounds[:, 2], abs=0.02)


@pytest.mark.parametrize("axis", range(3))
@pytest.mark.parametrize("sign", [-1, 1])
def test_each_side_has_the_colour_of_the_view_that_shows_it(painted: Reconstruction, axis: int, sign: int) -> None:
    point, expected = np.zeros(3), np.full(3, 128)
    point[axis], expected[axis] = 0.3 * sign, 128 + 100 * sign
    assert np.abs(colour_at(painted, tuple(point)).astype(int) - expected).max() <= 2


def test_the_texture_knows_no_colour_but_the_object_s(painted: Reconstruction) -> None:
    assert painted.base_color is not None
    height, width, _ = painted.base_color.shape
    assert {height & (height - 1), width & (width - 1)} == {0}
    assert max(height, width) <= 4096
    assert painted.base_color.min() >= 27
    assert painted.mesh.uvs is not None
    assert painted.mesh.uvs.min() >= 0
    assert painted.mesh.uvs.max() <= 1
    assert_sound(closed(painted))


def test_pbr_adds_a_matt_metal_free_surface(painted: Reconstruction) -> None:
    assert painted.metallic_roughness is not None
    assert (painted.metallic_roughness[..., 2] == 0).all()
    assert (painted.metallic_roughness[..., 1] > 200).all()
    assert any("Roughness" in note for note in painted.notes)


def test_a_side_that_no_view_shows_takes_the_colour_of_its_surroundings() -> None:
    def box(p: NDArray[np.float32]) -> NDArray[np.bool_]:
        return (np.abs(p) < 0.3).all(axis=-1)

    sides = pictures(box, (View.FRONT, View.LEFT, View.BACK, View.RIGHT), paint=by_side)
    bottom = colour_at(reconstruct(sides, Options(face_count=FACES)), (0, -0.3, 0))
    # The sides are red, blue, and their opposites, all with the same green: so is what spreads from them.
    assert bottom[1] == pytest.approx(128, abs=3)
    assert (np.abs(bottom.astype(int) - 128) <= 103).all()


def test_the_front_view_alone_gives_a_symmetric_body_with_a_guessed_depth() -> None:
    result = reconstruct(pictures(ball, (View.FRONT,)), Options(face_count=FACES))
    mesh = closed(result)
    assert_sound(mesh)
    assert any("depth" in note for note in result.notes)
    assert mesh.bounds[1, :2] == pytest.approx([BALL_RADIUS] * 2, abs=0.01)
    assert mesh.bounds[1, 2] == pytest.approx(-mesh.bounds[0, 2], abs=0.01)
    assert 0.6 * BALL_RADIUS < mesh.bounds[1, 2] <= BALL_RADIUS
    assert_sound(closed(reconstruct(pictures(bored_box, (View.FRONT, View.BACK)), Options(face_count=FACES))))


def test_pictures_may_differ_in_size_and_shape(bored: Mapping[View, NDArray[np.uint8]]) -> None:
    mixed = dict(bored) | {View.LEFT: picture(bored_box, View.LEFT, size=64)}
    mixed[View.FRONT] = mixed[View.FRONT][15:-15]
    mesh = closed(reconstruct(mixed, Options(face_count=FACES, textured=False)))
    assert mesh.bounds == pytest.approx(np.array([np.negative(BOX), BOX]), abs=0.01)


def test_equal_input_gives_equal_output(bored: Mapping[View, NDArray[np.uint8]]) -> None:
    options = Options(face_count=2_000)
    one, two = reconstruct(bored, options), reconstruct(dict(reversed(bored.items())), options)
    assert one.base_color is not None
    assert np.array_equal(one.mesh.positions, two.mesh.positions)
    assert np.array_equal(one.mesh.faces, two.mesh.faces)
    assert np.array_equal(one.base_color, two.base_color)  # type: ignore[arg-type]


def test_progress_grows_to_one(bored: Mapping[View, NDArray[np.uint8]]) -> None:
    heard: list[float] = []
    reconstruct(bored, Options(face_count=2_000), heard.append)
    assert heard == sorted(heard)
    assert heard[-1] == 1
    bare: list[float] = []
    reconstruct(bored, Options(face_count=2_000, textured=False), bare.append)
    assert len(heard) >= len(bare) + 6  # the texture tells of its parts, and of each view that paints


@pytest.mark.parametrize(
    ("spoilt", "complaint"),
    [
        (np.zeros((SIZE, SIZE, 4), np.uint8), "left view: no object found"),
        (np.full((SIZE, SIZE, 4), 255, np.uint8), "left view: no object found"),
        (
            np.random.default_rng(1).integers(0, 255, (SIZE, SIZE, 4), np.uint8) | [0, 0, 0, 255],
            "left view: the object",
        ),
    ],
    ids=["transparent", "white", "no background"],
)
def test_a_picture_without_object_or_background_is_named(
    bored: Mapping[View, NDArray[np.uint8]], spoilt: NDArray[np.uint8], complaint: str
) -> None:
    with pytest.raises(ReconstructionError, match=complaint):
        reconstruct(dict(bored) | {View.LEFT: spoilt.astype(np.uint8)}, Options(face_count=2_000))


def test_silhouettes_that_have_nothing_in_common_are_named() -> None:
    lifted, sunk = np.array([0, 0.3, 0], np.float32), np.array([0, -0.3, 0], np.float32)
    views = pictures(lambda p: ball(3 * (p - lifted)), (View.FRONT, View.RIGHT))
    views |= pictures(lambda p: gnomon(2 * (p - sunk)), (View.LEFT,))
    with pytest.raises(ReconstructionError, match="left view contradicts the others, which agree without it"):
        reconstruct(views, Options(face_count=2_000))


def test_the_front_view_is_needed() -> None:
    with pytest.raises(ReconstructionError, match="front"):
        reconstruct(pictures(ball, (View.LEFT,)), Options())


def pole(width_px: int, size: int = 256) -> NDArray[np.uint8]:
    """An upright bar in the middle, its edges hard."""
    picture = np.zeros((size, size, 4), np.uint8)
    start = (size - width_px) // 2
    picture[size // 10 : -size // 10, start : start + width_px] = (180, 90, 30, 255)
    return picture


@pytest.mark.parametrize("width_px", [2, 3, 4])
def test_a_pole_of_a_few_pixels_gets_about_the_depth_of_its_width(width_px: int) -> None:
    made = reconstruct({View.FRONT: pole(width_px)}, Options(face_count=1_000))
    wide, high, deep = np.ptp(made.mesh.positions, axis=0) * 256 / ORTHOGRAPHIC_WIDTH
    assert wide == pytest.approx(width_px - 0.8, abs=0.5)
    assert high == pytest.approx(0.8 * 256, abs=5)
    assert 0.5 * wide < deep < 2.5 * wide


def test_what_is_too_thin_to_have_a_volume_is_said_to_be_so_and_blames_no_view_for_another() -> None:
    line = pole(1, size=1024)
    for views in ((View.FRONT,), (View.FRONT, View.LEFT)):
        with pytest.raises(ReconstructionError, match=r"front view: the object is too thin .*; show it larger"):
            reconstruct(dict.fromkeys(views, line))
