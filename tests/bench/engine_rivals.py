"""The engine beside what one would use instead, on the same pictures and the same grid: python tests/bench/engine_rivals.py [SET_FOLDER ...]

The rivals are no part of the product: ``pip install open3d scikit-image xatlas`` beside it (Open3D wants Debian's libusb-1.0-0,
libgl1 and libgomp1); what is missing is left out and said. All take the same eight coverages. Times are CPU seconds, best of
the rounds, after a first one that loads kernels.

Half a voxel decides such comparisons: Open3D keeps a voxel of which any corner is covered, numpy one whose centre is, a surface
has no voxels. So every solid is judged as it is and at its own best of 43 readings: moved by half a voxel along any axis, grown
or shrunk by half a voxel. Volumes are compared with the truth on 256^3 voxels.
"""

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib import import_module
from itertools import product
from pathlib import Path
from statistics import fmean
from typing import Any

import engine_modes
import numpy as np
from engine_quality import coverage_iou
from engine_solids import GRID, SPACING, Solid, iou, winding
from engine_subjects import Shot, Source, coverage, sources
from numpy.typing import NDArray
from rig import print_table

from pipeline.domain.views import CAMERAS, ORTHOGRAPHIC_WIDTH, View
from pipeline.geometry.reconstruction import Options, reconstruct
from pipeline.geometry.surface import _on_grid
from pipeline.geometry.visual_hull import visual_hull

Coverages = dict[View, NDArray[np.float32]]
Surface = tuple[NDArray[np.floating], NDArray[np.integer]]
_AXES = [(1, 0, 0), (0, 1, 0), (0, 0, 1)]
_FAR = 1e5
"""How far a pinhole must stand to be orthographic to a thousandth of a pixel."""
_XATLAS_FACES = (20_000, 50_000)


def library(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        print(f"{name} is left out: {error}")
        return None


def carved_by_open3d(o3d: Any, given: Coverages) -> Solid:
    half = ORTHOGRAPHIC_WIDTH / 2
    grid = o3d.geometry.VoxelGrid.create_dense(
        origin=np.full(3, -half), color=np.ones(3), voxel_size=SPACING, width=2 * half, height=2 * half, depth=2 * half
    )
    for view, one in given.items():
        mask = o3d.geometry.Image((one >= 0.5).astype(np.float32))
        grid.carve_silhouette(mask, _far_pinhole(o3d, view, len(one)), keep_voxels_outside_image=False)
    solid = np.zeros((GRID, GRID, GRID), np.bool_)
    at = np.array([voxel.grid_index for voxel in grid.get_voxels()])
    if len(at):
        at = at[(at < GRID).all(axis=1)]  # rounding may have added a layer
        solid[at[:, 0], at[:, 1], at[:, 2]] = True
    return solid


def _far_pinhole(o3d: Any, view: View, size: int) -> Any:
    camera = CAMERAS[view]
    focal = _FAR * size / ORTHOGRAPHIC_WIDTH
    pinhole = o3d.camera.PinholeCameraParameters()
    pinhole.intrinsic = o3d.camera.PinholeCameraIntrinsic(size, size, focal, focal, size / 2, size / 2)
    axes = np.array([camera.right, np.negative(camera.up), np.negative(camera.backward)])  # x right, y down, z ahead
    extrinsic = np.eye(4)
    extrinsic[:3, :3], extrinsic[:3, 3] = axes, (0, 0, _FAR)
    pinhole.extrinsic = extrinsic
    return pinhole


def carved_by_numpy(given: Coverages) -> Solid:
    """Voxel centres to the nearest pixels, all at once."""
    centre = (np.arange(GRID) + 0.5) * SPACING - ORTHOGRAPHIC_WIDTH / 2
    x, y, z = np.meshgrid(centre, centre, centre, indexing="ij", sparse=True)
    solid = np.ones((GRID, GRID, GRID), np.bool_)
    for view, one in given.items():
        right, up = CAMERAS[view].right, CAMERAS[view].up
        pixels = len(one) / ORTHOGRAPHIC_WIDTH
        column = (len(one) / 2 + pixels * (x * right[0] + y * right[1] + z * right[2])).astype(np.int32)
        row = (len(one) / 2 - pixels * (x * up[0] + y * up[1] + z * up[2])).astype(np.int32)
        inside = (column >= 0) & (row >= 0) & (column < len(one)) & (row < len(one))
        solid &= inside & (one >= 0.5)[row.clip(0, len(one) - 1), column.clip(0, len(one) - 1)]
    return solid


def cubes(measure: Any, solid: Solid) -> Surface:
    vertices, faces, _, _ = measure.marching_cubes(solid.astype(np.float32), 0.5, spacing=(SPACING,) * 3)
    return vertices + (SPACING - ORTHOGRAPHIC_WIDTH) / 2, faces[:, ::-1]


def ours(given: Coverages) -> Surface:
    """The hull as a field and its surface on a grid of the same spacing."""
    return _on_grid(visual_hull(given), SPACING)


def best_reading(solid: Solid, truths: dict[tuple[int, int, int], Solid]) -> tuple[float, str]:
    """The greatest IoU over growths and moves by half a voxel; ``truths`` by their moves in half voxels."""
    shrunk, grown = _corners(solid, np.logical_and), _corners(solid, np.logical_or)
    found = [(iou(solid, real), f"moved {move}") for move, real in truths.items()]
    for move, real in truths.items():
        if min(move) >= 0:  # what stands at a voxel's corner is half a voxel further to begin with
            found += [(iou(shrunk, real), f"shrunk, {move}"), (iou(grown, real), f"grown, {move}")]
    return max(found)


def _corners(solid: Solid, join: np.ufunc) -> Solid:
    """At the corner after each voxel, whether all (or any) of the eight voxels around it are inside."""
    for axis in range(3):
        after = np.zeros_like(solid)
        after[tuple(slice(None, -1) if k == axis else slice(None) for k in range(3))] = np.take(
            solid, range(1, GRID), axis
        )
        solid = join(solid, after)
    return solid


def half_voxel_truths(source: Source) -> dict[tuple[int, int, int], Solid]:
    """The truth at the voxels' centres moved by -1, 0 or 1 halves of a voxel."""
    positions, faces = source.subject.positions, source.subject.faces
    moves = product((-1, 0, 1), repeat=3)
    return {move: winding(positions - np.array(move) * SPACING / 2, faces, _AXES) >= 0.5 for move in moves}


def timed(call: Callable[[], Any], rounds: int) -> tuple[float, Any]:
    """The least CPU seconds, and what came out."""
    took = []
    for _ in range(rounds):
        began = time.process_time()
        made = call()
        took.append(time.process_time() - began)
    return min(took), made


def hulls(source: Source, o3d: Any, measure: Any, rounds: int) -> Iterator[tuple[str, ...]]:
    given = {view: one[..., 3] / np.float32(255) for view, one in engine_modes.pictures(source, "clean", View).items()}
    truths = half_voxel_truths(source)
    reference, surface = timed(partial(ours, given), rounds)
    field = winding(*surface, [(0, 0, 1)]) >= 0.5
    yield _row(source, "ours: distance field + surface", reference, 1, surface, field, truths)
    ways: list[tuple[str, Callable[[Coverages], Solid], int]] = [("boolean numpy", carved_by_numpy, rounds)]
    if o3d:
        ways.append(("Open3D carve_silhouette", partial(carved_by_open3d, o3d), 1))
    for name, carve, times in ways:
        spent, solid = timed(partial(carve, given), times)
        more, surface = timed(partial(cubes, measure, solid), rounds) if measure else (0.0, None)
        told = f"{name} + scikit-image" if measure else name
        yield _row(source, told, spent + more, (spent + more) / reference, surface, solid, truths)


def _row(  # noqa: PLR0917 - the columns in their order
    source: Source, name: str, spent: float, times: float, surface: Surface | None, solid: Solid, truths: Any
) -> tuple[str, ...]:
    best, reading = best_reading(solid, truths)
    seen = [_silhouette(source, view, surface) for view in View] if surface else [float("nan")]
    return (
        source.name,
        name,
        f"{spent:.2f}",
        f"{times:.1f}",
        f"{fmean(seen):.4f}",
        f"{iou(solid, truths[0, 0, 0]):.4f}",
        f"{best:.4f} {reading}",
    )


def _silhouette(source: Source, view: View, surface: Surface) -> float:
    clean = engine_modes.pictures(source, "clean", [view])[view][..., 3] / 255
    return coverage_iou(clean, coverage(*surface, Shot(camera=CAMERAS[view]), len(clean), source.samples))


def textures(source: Source, xatlas: Any) -> Iterator[tuple[str, ...]]:
    """Unfolding alone (no picture is put on it yet) against all of our texturing."""
    from pipeline.geometry import reconstruction as engine  # noqa: PLC0415 - a stage of it is timed

    given = engine_modes.pictures(source, "clean", View)
    spent: dict[str, float] = {}
    whole = engine.textured

    def textured(*arguments: Any, **named: Any) -> Any:
        spent["ours"], made = timed(lambda: whole(*arguments, **named), 1)
        return made

    for face_count in _XATLAS_FACES:
        engine.textured = textured
        try:
            reconstruct(given, Options(face_count=face_count))
        finally:
            engine.textured = whole
        mesh = reconstruct(given, Options(face_count=face_count, textured=False)).mesh
        took, _ = timed(lambda mesh=mesh: xatlas.parametrize(mesh.positions, mesh.faces), 1)
        yield source.name, f"{face_count:,}", f"{spent['ours']:.2f}", f"{took:.2f}", f"{took / spent['ours']:.0f}"


def main() -> None:
    asked = arguments()
    o3d, measure, xatlas = (library(name) for name in ("open3d", "skimage.measure", "xatlas"))
    given: Sequence[Source] = sources(asked.sets, asked.synthetic)
    ours({view: one[..., 3] / np.float32(255) for view, one in engine_modes.pictures(given[0], "clean", View).items()})
    print(f"\nThe hull's surface on {GRID}^3, eight views of 1024 px; CPU s\n")
    head = ("set", "way", "CPU s", "times ours", "silhouette IoU", "volume IoU", "at its best reading")
    print_table(head, (row for source in given for row in hulls(source, o3d, measure, asked.rounds)))
    if xatlas:
        print("\nTexturing; CPU s: ours with its texture painted, xatlas' unfolding alone\n")
        print_table(
            ("set", "faces", "ours", "xatlas", "times ours"),
            (row for source in given[:1] for row in textures(source, xatlas)),
        )


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", type=Path, nargs="*", metavar="SET_FOLDER")
    parser.add_argument("--synthetic", nargs="*", default=["toy_robot", "creature", "stool"], metavar="NAME")
    parser.add_argument("--rounds", type=int, default=3)
    return parser.parse_args()


if __name__ == "__main__":
    main()
