"""How good the engine's meshes are: python tests/bench/engine_quality.py [SET_FOLDER ...] [--modes clean framed+white ...]

Given folders have view images and a ground_truth.glb, or hold such folders; the project's own objects are measured beside them.
What is printed, a line for each set and mode:
  IoU     coverage of the given views by the mesh and by the truth, 1024 px: the sum of the lesser over the sum of the greater,
          both sampled at the same places of each pixel; mean and worst
  volume  intersection over union with the truth on 256^3 voxels, and what that is beyond the exact boolean hull of the same views'
          clean silhouettes; ~: the truth is an open surface, what is inside is a matter of opinion
  F       F-score at 1 % of the object's diameter, and what that is beyond the same hull
  given   PSNR in dB where both cover a pixel: the bare texture against the lit truth, at the given views
  new     the same at 12 directions that were never given
  s, MB   of reconstruct alone: CPU seconds of all threads, growth of the process's memory at its peak
Where pictures leave scale and place open (framed, persp), the mesh is first moved and scaled to fit the truth; never turned.
Perspective views are judged from where they were taken, and their hull is that of pinholes.
"""

import argparse
import ctypes
import gc
import json
import re
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from statistics import fmean, median

import engine_modes
import numpy as np
from engine_solids import Shape, closed, f_score, iou, plain_hull, truth
from engine_subjects import FURTHER, SYNTHETIC, Pixels, Shot, Source, Subject, coverage, of_parts, photograph, sources
from numpy.typing import NDArray

from pipeline.domain.views import CAMERAS, View
from pipeline.geometry.reconstruction import Options, Reconstruction, ReconstructionError, reconstruct
from pipeline.geometry.rendering import Part, from_linear, linear

NEW_PX = 512
_ALIGN_PX = 256
_ALIGN_VIEWS = (View.FRONT, View.LEFT, View.TOP)
_SURE = 0.3
"""With more unsure voxels than that, a truth is called open."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measures:
    """Of one set in one mode."""

    set: str
    mode: str
    faces: int
    iou: float
    iou_worst: float
    iou_by_view: dict[str, float]
    volume: float
    volume_hull: float
    is_open: bool
    f: float
    f_hull: float
    given_db: float
    new_db: float
    cpu_s: float
    wall_s: float
    peak_mb: float
    notes: tuple[str, ...]


@cache
def shape_of(source: Source) -> Shape:
    return truth(source.subject.positions, source.subject.faces)


@cache
def seen_at(source: Source, shot: Shot, size: int) -> Pixels:
    """What is compared with: at the views of a set that was given, its own pictures."""
    view = next((view for view in View if Shot(camera=CAMERAS[view]) == shot), None)
    if view is not None and size == engine_modes.SIZE:
        return engine_modes.pictures(source, "clean", View)[view]
    return photograph(source.subject, shot, size, source.samples)


def measure(source: Source, mode: str, views: Sequence[View], options: Options) -> Measures:
    given = engine_modes.pictures(source, mode, views)
    made, cpu_s, wall_s, peak_mb = _timed(given, options)
    mesh = made.mesh
    positions = mesh.positions.astype(np.float64)
    if any(word in mode for word in engine_modes.GAUGE_FREE):
        positions = aligned(source, mode, positions, mesh.faces)
    shots = {view: engine_modes.judged_from(view, mode) for view in given}
    ious = {view: _covered(source, shot, positions, mesh.faces) for view, shot in shots.items()}
    clean = {shot: seen_at(source, shot, engine_modes.SIZE)[..., 3] / 255 for shot in shots.values()}
    hull, real, ours = plain_hull(clean), shape_of(source), closed(positions, mesh.faces)
    given_db, new_db = _colours(source, made, positions, list(shots.values()), is_free="exposure" in mode)
    return Measures(
        set=source.name,
        mode=mode,
        faces=len(mesh.faces),
        iou=fmean(ious.values()),
        iou_worst=min(ious.values()),
        iou_by_view={str(view): round(one, 5) for view, one in ious.items()},
        volume=iou(real.solid, ours.solid),
        volume_hull=iou(real.solid, hull.solid),
        is_open=real.unsure > _SURE,
        f=f_score(real.points, ours.points),
        f_hull=f_score(real.points, hull.points),
        given_db=given_db,
        new_db=new_db,
        cpu_s=cpu_s,
        wall_s=wall_s,
        peak_mb=peak_mb,
        notes=made.notes,
    )


def _timed(given: dict[View, Pixels], options: Options) -> tuple[Reconstruction, float, float, float]:
    """What was made, CPU and wall seconds, growth of memory in MB (Linux tells it; elsewhere 0)."""
    _give_back_freed_memory()
    before = _memory("VmRSS", reset=True)
    began, cpu = time.perf_counter(), time.process_time()
    made = reconstruct(given, options)
    return made, time.process_time() - cpu, time.perf_counter() - began, _memory("VmHWM") - before


def _give_back_freed_memory() -> None:
    gc.collect()
    with suppress(AttributeError, OSError):  # glibc has it
        ctypes.CDLL(None).malloc_trim(0)


def _memory(what: str, *, reset: bool = False) -> float:
    try:
        if reset:
            Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
        told = re.search(rf"{what}:\s+(\d+)", Path("/proc/self/status").read_text())
    except OSError:
        return 0.0
    return int(told[1]) / 1e3 if told else 0.0


def _covered(source: Source, shot: Shot, positions: NDArray[np.float64], faces: NDArray[np.integer]) -> float:
    clean = seen_at(source, shot, engine_modes.SIZE)[..., 3] / 255
    return coverage_iou(clean, coverage(positions, faces, shot, len(clean), source.samples))


def coverage_iou(a: NDArray[np.floating], b: NDArray[np.floating]) -> float:
    return float(np.minimum(a, b).sum() / np.maximum(a, b).sum())


def aligned(
    source: Source, mode: str, positions: NDArray[np.float64], faces: NDArray[np.integer]
) -> NDArray[np.float64]:
    """Scaled and moved so that front, left and top agree best: from the bounding boxes on by pattern search."""
    real = source.subject.positions
    shots = [engine_modes.judged_from(view, mode) for view in _ALIGN_VIEWS]
    wanted = [coverage(real, source.subject.faces, shot, _ALIGN_PX, 2) for shot in shots]
    boxes = [(one.min(axis=0), one.max(axis=0)) for one in (real, positions)]
    grow = float(np.linalg.norm(boxes[0][1] - boxes[0][0]) / np.linalg.norm(boxes[1][1] - boxes[1][0]))
    best = np.array([grow, *((boxes[0][0] + boxes[0][1]) / 2 - grow * (boxes[1][0] + boxes[1][1]) / 2)])

    def score(at: NDArray[np.float64]) -> float:
        moved = positions * at[0] + at[1:]
        seen = [coverage(moved, faces, shot, _ALIGN_PX, 2) for shot in shots]
        return fmean(coverage_iou(a, b) for a, b in zip(wanted, seen, strict=True))

    reached, step = score(best), 0.016
    while step > 0.0003:
        tries = [best + sign * step * axis for axis in np.eye(4) for sign in (-1, 1)]
        scores = [score(one) for one in tries]
        if max(scores) > reached:
            best, reached = tries[int(np.argmax(scores))], max(scores)
        else:
            step /= 2
    return positions * best[0] + best[1:]


def _colours(
    source: Source, made: Reconstruction, positions: NDArray[np.float64], shots: Sequence[Shot], *, is_free: bool
) -> tuple[float, float]:
    """Median PSNR in dB at the given views and at the further ones; ``is_free``: up to one gain a channel for all."""
    if made.base_color is None:
        return float("nan"), float("nan")
    subject = bare(made, positions)
    at_given = [_pair(source, subject, shot, engine_modes.SIZE) for shot in shots]
    at_new = [_pair(source, subject, Shot(camera=camera), NEW_PX) for camera in FURTHER]
    gain = np.ones(3)
    if is_free:
        wanted, found = (np.concatenate([linear(pair[k]) for pair in at_given]).astype(np.float64) for k in (0, 1))
        gain = (wanted * found).sum(axis=0) / (found * found).sum(axis=0)
    return tuple(
        median(_psnr(a, from_linear(linear(b) * gain) if is_free else b) for a, b in pairs)
        for pairs in (at_given, at_new)
    )


def bare(made: Reconstruction, positions: NDArray[np.float64]) -> Subject:
    """The mesh with its texture, unlit: the light of the pictures is in it."""
    subject = of_parts([Part(mesh=made.mesh, texture=made.base_color)], is_lit=False)
    return Subject(positions=positions, faces=subject.faces, look=subject.look)


def _pair(source: Source, subject: Subject, shot: Shot, size: int) -> tuple[Pixels, Pixels]:
    """(N, 3) colours of the truth and of the mesh where both cover a pixel wholly."""
    real = seen_at(source, shot, size)
    ours = photograph(subject, shot, len(real), samples=NEW_PX * 2 // len(real))
    both = (real[..., 3] == 255) & (ours[..., 3] == 255)
    return real[both][:, :3], ours[both][:, :3]


def _psnr(a: Pixels, b: Pixels) -> float:
    return float(10 * np.log10(255**2 / max(((a.astype(float) - b) ** 2).mean(), 1e-9))) if len(a) else float("nan")


def residual(source: Source) -> tuple[float, float]:
    """How well our own photograph of the truth matches the pictures that were given: worst coverage IoU, worst PSNR in dB."""
    found = []
    for view, given in engine_modes.pictures(source, "clean", View).items():
        ours = photograph(source.subject, Shot(camera=CAMERAS[view]), len(given), source.samples)
        both = (given[..., 3] == 255) & (ours[..., 3] == 255)
        found.append(
            (coverage_iou(given[..., 3] / 255, ours[..., 3] / 255), _psnr(given[both][:, :3], ours[both][:, :3]))
        )
    return min(one for one, _ in found), min(db for _, db in found)


def line(one: Measures) -> str:
    volume, f = one.volume - one.volume_hull, one.f - one.f_hull
    return (
        f"{one.set:14.14} {one.mode:15.15} {one.iou:6.4f} {one.iou_worst:6.4f} {one.volume:6.4f}{'~' if one.is_open else ' '}{volume:+.3f} "
        f"{one.f:5.3f} {f:+.3f} {one.given_db:5.1f} {one.new_db:5.1f} {one.cpu_s:5.1f} {one.peak_mb:5.0f}"
    )


def summary(found: Sequence[Measures]) -> list[str]:
    """What issue's targets ask for, by mode."""
    lines = []
    for mode in dict.fromkeys(one.mode for one in found):
        mine = [one for one in found if one.mode == mode]
        clean = {one.set: one.iou for one in found if one.mode == "clean"}
        drops = [clean[one.set] - one.iou for one in mine if one.set in clean]
        said = [
            f"IoU >=.995 {sum(one.iou >= 0.995 for one in mine)}, >=.98 {sum(one.iou >= 0.98 for one in mine)}",
            f"volume >=hull {sum(one.volume >= one.volume_hull for one in mine)}",
            f"F >=hull {sum(one.f >= one.f_hull for one in mine)}",
            f"median dB {median(one.given_db for one in mine):.1f} given, {median(one.new_db for one in mine):.1f} new",
        ]
        if mode != "clean" and drops:
            said.append(f"IoU below clean: worst {max(drops):.4f}, >.01 {sum(drop > 0.01 for drop in drops)}")
        lines.append(f"{mode}, {len(mine)} sets: " + "; ".join(said))
    return lines


def main() -> None:
    asked = arguments()
    options = Options(face_count=asked.faces)
    reconstruct(dict.fromkeys(View, _dot()), Options(face_count=2_000))  # the kernels are loaded
    print(f"{'':30} IoU    worst  volume  -hull F     -hull given   new     s    MB")
    found = []
    for source in sources(asked.sets, asked.synthetic):
        if asked.residual:
            print(
                f"{source.name:30} {'{:.4f} IoU, {:.1f} dB at worst: our photograph of the truth'.format(*residual(source))}",
                flush=True,
            )
            continue
        for mode in [*asked.modes, *(f"variants/{path.name}" for path in source.variants if asked.variants)]:
            try:
                found.append(measure(source, mode, asked.views, options))
            except ReconstructionError as error:
                print(f"{source.name:14.14} {mode:15.15} failed: {error}", flush=True)
                continue
            print(line(found[-1]), flush=True)
            for note in found[-1].notes if asked.notes else ():
                print(f"    {note}")
        seen_at.cache_clear()
    print(*summary(found), sep="\n")
    if asked.json:
        asked.json.write_text(json.dumps([asdict(one) for one in found], indent=1))


def _dot() -> Pixels:
    picture = np.zeros((128, 128, 4), np.uint8)
    picture[40:90, 40:90] = 255
    return picture


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", type=Path, nargs="*", metavar="SET_FOLDER")
    parser.add_argument(
        "--synthetic",
        nargs="*",
        default=list(SYNTHETIC),
        choices=list(SYNTHETIC),
        metavar="NAME",
        help="of the project's own objects (default: all): " + ", ".join(SYNTHETIC),
    )
    parser.add_argument(
        "--modes",
        nargs="*",
        default=["clean"],
        metavar="MODE",
        help="see engine_modes.py: " + ", ".join(engine_modes.MODES) + ", or several joined by +",
    )
    parser.add_argument("--variants", action="store_true", help="the folders' own variants, too")
    parser.add_argument(
        "--views",
        type=lambda text: [View(one) for one in text.split(",")],
        default=list(View),
        metavar="front,left,...",
    )
    parser.add_argument("--faces", type=int, default=100_000)
    parser.add_argument("--notes", action="store_true", help="what the engine says of each")
    parser.add_argument(
        "--residual", action="store_true", help="measure nothing but the bench itself: truth against given pictures"
    )
    parser.add_argument("--json", type=Path, metavar="FILE")
    return parser.parse_args()


if __name__ == "__main__":
    main()
