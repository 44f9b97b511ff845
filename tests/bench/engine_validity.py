"""Whether every file is valid: python tests/bench/engine_validity.py [SET_FOLDER ...] [--faces 2000 100000] [--modes clean white]

Every set x mode x kind x face count, PNG files in, GLB file out, as the service makes them. Judged with vertices merged where they
lie together: closed (each edge has one face on either side, oriented alike), manifold vertices, no face without area, the asked
even number of faces, needles (quality below 0.1; 1 is equilateral). The Khronos validator must say nothing at all: no error, no
warning, no information, no hint. It is npm's ``gltf-validator``, put into out/validator by this script where node and npm are.
"""

import argparse
import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import engine_modes
import numpy as np
from engine_subjects import SYNTHETIC, Source, sources
from numba import njit
from numpy.typing import NDArray
from PIL import Image

from pipeline.domain.views import View
from pipeline.ports.meshes import read_glb
from pipeline.service.engine import EngineFailure, EngineTask, make_mesh

FRONT, SIDES = [View.FRONT], [View.FRONT, View.LEFT, View.RIGHT, View.BACK]
KINDS = {
    "textured": (list(View), True, False),
    "geometry": (list(View), False, False),
    "pbr": (list(View), True, True),
    "four views": (SIDES, True, False),
    "front alone": (FRONT, True, False),
}
"""Views, textured, PBR."""
_NEEDLE = 0.1
_VALIDATOR = engine_modes.ROOT / "out" / "validator"
_SAY = (
    "const v = require('gltf-validator'), fs = require('fs');"
    "const all = process.argv.slice(1).map(f => v.validateBytes(new Uint8Array(fs.readFileSync(f)), {maxIssues: 0})"
    ".then(r => r.issues));"
    "Promise.all(all).then(r => console.log(JSON.stringify(r)));"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Of one GLB file."""

    faces: int
    open_edges: int
    torn_vertices: int
    flat: int
    needles: int
    worst: float


def judged(glb: bytes) -> Verdict:
    parts = read_glb(glb).parts
    positions = np.concatenate([part.mesh.positions for part in parts])
    firsts = np.cumsum([0, *(len(part.mesh.positions) for part in parts)])
    faces = np.concatenate(
        [part.mesh.faces.astype(np.int64) + first for part, first in zip(parts, firsts, strict=False)]
    )
    _, same = np.unique(positions, axis=0, return_inverse=True)
    merged = same.ravel()[faces]
    quality = _quality(positions[faces].astype(np.float64))
    used = np.unique(merged)
    return Verdict(
        faces=len(faces),
        open_edges=_open_edges(merged),
        torn_vertices=int(_fans(merged, len(positions)) - len(used)),
        flat=int(
            (quality <= 0).sum()
            + ((merged[:, 0] == merged[:, 1]) | (merged[:, 1] == merged[:, 2]) | (merged[:, 2] == merged[:, 0])).sum()
        ),
        needles=int((quality < _NEEDLE).sum()),
        worst=float(quality.min()),
    )


def _quality(corners: NDArray[np.float64]) -> NDArray[np.float64]:
    """(F,) of (F, 3, 3) corners: 2 sqrt(3) |cross product| / sum of squared edges."""
    a, b, c = corners.transpose(1, 0, 2)
    twice_area = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    squares = sum(((q - p) ** 2).sum(axis=1) for p, q in ((a, b), (b, c), (c, a)))
    return 2 * np.sqrt(3) * twice_area / np.maximum(squares, 1e-300)


def _open_edges(faces: NDArray[np.int64]) -> int:
    """Directed edges that do not come exactly once, or whose opposite does not."""
    ends = np.concatenate([faces[:, [k, (k + 1) % 3]] for k in range(3)])
    count = int(faces.max()) + 1
    ahead, back = ends[:, 0] * count + ends[:, 1], ends[:, 1] * count + ends[:, 0]
    once, times = np.unique(ahead, return_counts=True)
    return int((times != 1).sum() + (~np.isin(back, once)).sum())


@njit(cache=True)
def _fans(faces: NDArray[np.int64], vertex_count: int) -> int:
    """How many fans of faces there are around all vertices: one each on a manifold."""
    parent = np.arange(faces.size)
    first = np.full(vertex_count, -1, np.int64)
    after = np.full(faces.size, -1, np.int64)
    for corner in range(faces.size):
        v = faces[corner // 3, corner % 3]
        after[corner], first[v] = first[v], corner
    fans = 0
    for v in range(vertex_count):
        one = first[v]
        while one >= 0:
            fans += 1
            other = after[one]
            ahead, behind = faces[one // 3, (one + 1) % 3], faces[one // 3, (one + 2) % 3]
            while other >= 0:
                x, y = faces[other // 3, (other + 1) % 3], faces[other // 3, (other + 2) % 3]
                if x == behind or y == ahead:
                    p, q = one, other
                    while parent[p] != p:
                        p = parent[p]
                    while parent[q] != q:
                        q = parent[q]
                    if p != q:
                        parent[max(p, q)] = min(p, q)
                        fans -= 1
                other = after[other]
            one = after[one]
    return fans


class Validator:
    """Khronos' own, on many files at a time."""

    def __init__(self) -> None:
        self.ready = bool(shutil.which("node")) and (self._installed or self._install())
        if not self.ready:
            print("The Khronos validator is left out: it needs node and npm.")

    @property
    def _installed(self) -> bool:
        return (_VALIDATOR / "node_modules" / "gltf-validator").is_dir()

    def _install(self) -> bool:
        if not (npm := shutil.which("npm")):
            return False
        subprocess.run([npm, "install", "--silent", "--prefix", str(_VALIDATOR), "gltf-validator"], check=False)
        return self._installed

    def issues(self, files: Sequence[Path]) -> list[dict[str, int]]:
        """numErrors, numWarnings, numInfos, numHints of each."""
        if not self.ready or not files:
            return [{} for _ in files]
        told = subprocess.run(
            ["node", "-e", _SAY, *map(str, files)], cwd=_VALIDATOR, check=True, capture_output=True, text=True
        )
        return json.loads(told.stdout)


def made(source: Source, mode: str, kind: str, face_count: int, folder: Path) -> Path:
    """Raises EngineFailure."""
    views, textured, pbr = KINDS[kind]
    paths = {}
    for view, picture in engine_modes.pictures(source, mode, views).items():
        paths[view] = folder / f"{view}.png"
        Image.fromarray(picture).save(paths[view], compress_level=1)
    task = EngineTask(
        pictures=paths,
        face_count=face_count,
        textured=textured,
        pbr=pbr,
        folder=folder,
        progress=folder / "progress",
        threads=2,
    )
    return make_mesh(task).files[0].path


def cases(asked: argparse.Namespace) -> Iterator[tuple[Source, str, str, int]]:
    for source in sources(asked.sets, asked.synthetic):
        for mode in [*asked.modes, *(f"variants/{path.name}" for path in source.variants if asked.variants)]:
            for kind in asked.kinds:
                for face_count in asked.faces:
                    yield source, mode, kind, face_count


def main() -> None:
    asked = arguments()
    validator = Validator()
    total, bad = 0, 0
    print(f"{'':46} faces  open torn flat needles  worst  validator: errors, warnings, infos, hints")
    for source, mode, kind, face_count in cases(asked):
        name = f"{source.name:14.14} {mode:12.12} {kind:11} {face_count:9,}"
        with tempfile.TemporaryDirectory() as place:
            try:
                path = made(source, mode, kind, face_count, Path(place))
            except EngineFailure as failure:
                print(f"{name} failed: {failure.message}", flush=True)
                total, bad = total + 1, bad + 1
                continue
            one, said = judged(path.read_bytes()), validator.issues([path])[0]
        counts = [said.get(key, 0) for key in ("numErrors", "numWarnings", "numInfos", "numHints")]
        is_good = (
            not (one.open_edges or one.torn_vertices or one.flat or one.faces % 2 or any(counts))
            and one.faces == face_count // 2 * 2
        )
        total, bad = total + 1, bad + (not is_good)
        print(
            f"{name} {one.faces:9,} {one.open_edges:5} {one.torn_vertices:4} {one.flat:4} {one.needles:7} {one.worst:6.3f}  "
            f"{' '.join(map(str, counts)) if validator.ready else 'not asked'}{'' if is_good else '  <-'}",
            flush=True,
        )
    print(f"{total} files, {total - bad} as they should be")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", type=Path, nargs="*", metavar="SET_FOLDER")
    parser.add_argument("--synthetic", nargs="*", default=list(SYNTHETIC), choices=list(SYNTHETIC), metavar="NAME")
    parser.add_argument("--modes", nargs="*", default=["clean"], metavar="MODE", help="see engine_modes.py")
    parser.add_argument("--variants", action="store_true", help="the folders' own variants, too")
    parser.add_argument("--kinds", nargs="*", default=list(KINDS), choices=list(KINDS))
    parser.add_argument("--faces", type=int, nargs="*", default=(2_000, 100_000))
    return parser.parse_args()


if __name__ == "__main__":
    main()
