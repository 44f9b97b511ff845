"""What one mesh costs: python tests/bench/engine_times.py [SET_FOLDER ...] [--faces 60000 100000 500000 1500000]

Eight views of 1024 px, PNG files in, a GLB file out, all stages: each set and face count in a process of its own, two jobs one
after the other. The first one loads the compiled kernels, the second finds them loaded. Then ``mvmesh run`` on the embedded
service makes sixteen such sets. CPU is of all threads, memory the process's peak. Without folders: the project's own objects.
"""

import argparse
import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from functools import wraps
from importlib import import_module
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import engine_modes
import yaml
from engine_subjects import SYNTHETIC, Source, sources
from PIL import Image
from rig import MVMESH, measured, middle, print_table

from pipeline.domain.views import View, recognise

FACES = (60_000, 100_000, 500_000, 1_500_000)
TARGETS = {100_000: "1.2 s, 500 MB", 500_000: "4 s, 900 MB", 1_500_000: "10 s, 1800 MB"}
SETS_A_MINUTE = 90
_SHOWN = 0.03
"""Stages that take less of a job are not told."""
_ENDS = (
    ("pipeline.ports.images.decoding", "read_rgba"),
    ("pipeline.geometry.reconstruction", "reconstruct"),
    ("pipeline.ports.images.encoding", "encode_jpeg"),
    ("pipeline.ports.images.encoding", "encode_png"),
    ("pipeline.geometry.gltf", "pack_glb"),
)
_INSIDE = ("reconstruction", "surface", "texture")
"""Modules of ``pipeline.geometry`` whose calls of other modules are stages."""


class Stages:
    """CPU seconds of functions, by the path of those that called them; the main thread's only."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = {}
        self._path: list[str] = []

    def timed(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def call(*args: Any, **named: Any) -> Any:
            if threading.current_thread() is not threading.main_thread():
                return function(*args, **named)
            self._path.append(function.__name__.strip("_"))
            began = time.process_time()
            try:
                return function(*args, **named)
            finally:
                path = "/".join(self._path)
                self.spent[path] = self.spent.get(path, 0) + time.process_time() - began
                self._path.pop()

        return call

    def watch(self) -> None:
        for module_name, name in _ENDS:
            module = import_module(module_name)
            if hasattr(module, name):
                setattr(module, name, self.timed(getattr(module, name)))
        for name in _INSIDE:
            module = import_module(f"pipeline.geometry.{name}")
            for function in _called(module):
                setattr(module, function.__name__, self.timed(function))


def _called(module: ModuleType) -> list[FunctionType]:
    """What a module has imported from the engine's other modules."""
    found = [one for one in vars(module).values() if isinstance(one, FunctionType)]
    return [one for one in found if one.__module__.startswith("pipeline.") and one.__module__ != module.__name__]


def in_this_process(folder: Path, face_count: int) -> None:
    """Two jobs; one line of JSON each."""
    from engine_quality import _memory  # noqa: PLC0415 - the parent needs it not

    from pipeline.service.engine import EngineTask, make_mesh  # noqa: PLC0415

    stages = Stages()
    for job in ("first", "second"):
        with tempfile.TemporaryDirectory() as work:
            task = EngineTask(
                pictures={view: path for path in sorted(folder.iterdir()) if (view := recognise(path.name))},
                face_count=face_count,
                textured=True,
                pbr=False,
                folder=Path(work),
                progress=Path(work, "progress"),
                threads=os.cpu_count() or 1,
            )
            began, cpu = time.perf_counter(), time.process_time()
            made = make_mesh(task)
            told = {
                "job": job,
                "cpu_s": time.process_time() - cpu,
                "wall_s": time.perf_counter() - began,
                "peak_mb": _memory("VmHWM"),
                "glb_mb": made.files[0].path.stat().st_size / 1e6,
                "faces": made.files[0].properties["faceCount"],
                "stages": stages.spent,
            }
        print(json.dumps(told), flush=True)
        if job == "first":
            stages.watch()


def write_sets(folder: Path, given: Sequence[Source], modes: Sequence[str]) -> list[Path]:
    """PNG files of 1024 px, a folder for each object and mode."""
    places = []
    for source in given:
        for mode in modes:
            place = folder / f"{source.name}-{mode}"
            place.mkdir(parents=True)
            for view, picture in engine_modes.pictures(source, mode, View).items():
                Image.fromarray(picture).save(place / f"{view}.png", compress_level=6)
            places.append(place)
    return places


def jobs(folders: Sequence[Path], face_counts: Sequence[int]) -> None:
    rows, split = [], []
    for face_count in face_counts:
        for folder in folders:
            ran = measured(sys.executable, "-W", "ignore", __file__, "--child", str(folder), str(face_count))
            if ran.code:
                rows.append((f"{face_count:,}", folder.name, "failed"))
                continue
            first, second = (json.loads(line) for line in ran.out.splitlines())
            rows.append(
                (
                    f"{face_count:,}",
                    folder.name,
                    f"{first['cpu_s']:.2f} / {first['wall_s']:.2f}",
                    f"{second['cpu_s']:.2f} / {second['wall_s']:.2f}",
                    f"{second['peak_mb']:.0f}",
                    f"{second['glb_mb']:.1f}",
                    TARGETS.get(face_count, ""),
                )
            )
            split.append((face_count, folder.name, second["cpu_s"], second["stages"]))
    head = ("faces", "set", "first job: CPU s / wall s", "second job", "peak MB", "GLB MB", "target")
    print_table(head, rows)
    for face_count, name, cpu_s, stages in split:
        print(f"\n{face_count:,} faces, {name}: stages of the second job, CPU s")
        for path, spent in sorted(stages.items()):
            if spent > _SHOWN * cpu_s:
                print(f"  {spent:6.2f}  {'  ' * path.count('/')}{path.rpartition('/')[2]}")


def sets_a_minute(folder: Path, count: int, face_count: int, rounds: int) -> None:
    """The whole of ``mvmesh run``: its start, the service's, uploads, jobs, downloads, verdicts; no previews."""
    took = []
    for at in range(rounds):
        said = {
            "version": 1,
            "name": f"rate-{at}",
            "backend": "local",
            "output": f"out-{at}",
            "defaults": {"faceCount": face_count},
            "sets": [{"path": "sets/*"}],
            "previews": False,
        }
        manifest = folder / f"rate-{at}.yaml"
        manifest.write_text(yaml.safe_dump(said))
        ran = measured(MVMESH, "run", str(manifest), "--yes")
        assert ran.code == 0, ran.code
        took.append(ran)
    wall_s, cpu_s = middle(one.wall_s for one in took), middle(one.cpu_s for one in took)
    print(
        f"\nmvmesh run, {count} sets of eight 1024 px views, {face_count:,} faces: {wall_s:.1f} s, "
        f"{60 * count / wall_s:.0f} sets a minute (target {SETS_A_MINUTE}), {cpu_s / count:.2f} CPU s a set"
    )


def main() -> None:
    if sys.argv[1:2] == ["--child"]:
        in_this_process(Path(sys.argv[2]), int(sys.argv[3]))
        return
    asked = arguments()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        given = sources(asked.sets, [] if asked.sets else asked.synthetic)
        if asked.faces:
            jobs(write_sets(folder / "one", given, ["clean"]), asked.faces)
        if asked.rounds:
            made = write_sets(folder / "sets", [Source(name=name) for name in SYNTHETIC], ["clean", "exposure"])
            sets_a_minute(folder, len(made), asked.rate_faces, asked.rounds)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", type=Path, nargs="*", metavar="SET_FOLDER")
    parser.add_argument("--synthetic", nargs="*", default=["toy_robot", "potted_cactus", "creature"], metavar="NAME")
    parser.add_argument("--faces", type=int, nargs="*", default=FACES)
    parser.add_argument("--rounds", type=int, default=1, help="of mvmesh run with sixteen sets (0: not at all)")
    parser.add_argument("--rate-faces", type=int, default=100_000, help="face count of those")
    return parser.parse_args()


if __name__ == "__main__":
    main()
