"""Measures silhouettes: python tests/bench/engine_masks.py [SET_FOLDER ...] [--kind WORD] [--out DIR] [--size PX] [...]

Takes the sample sets (or folders of transparent pictures), puts them in front of every kind of background that
``tests/backdrops.py`` knows, cuts them out again, and compares with their alpha: intersection over union of the soft masks, how
far off the outline is (pixels, mean over the outline of the distance field's error), the error of the colours near the
outline, CPU time of a set. A set's own opaque variants (``variants/NAME/*.jpg``) are measured against its clean pictures.
``--subjects`` adds the objects that are modelled by code, ``--modes`` the opaque modes of ``engine_modes.py`` (``shadow+jpeg``).
With ``--out`` the worst view of each kind is drawn: picture, mask, and where they differ.
"""

import argparse
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1]))

import engine_modes
from backdrops import CUT, KINDS
from engine_subjects import SYNTHETIC, Source

from pipeline.domain.views import View, recognise
from pipeline.geometry.distances import signed_distance
from pipeline.geometry.resampling import resampled
from pipeline.geometry.silhouettes import Silhouette, completed, pure_colours, silhouettes

SAMPLES = Path(__file__).parents[2] / "configs" / "quickstart"
Pictures = dict[View, np.ndarray]


def pictures(folder: Path, size: int | None = None) -> Pictures:
    found = {view: path for path in sorted(folder.iterdir()) if path.is_file() and (view := recognise(path.name))}
    opened = {view: Image.open(found[view]).convert("RGBA") for view in View if view in found}
    return {view: np.array(image if size is None else scaled(image, size)) for view, image in opened.items()}


def scaled(image: Image.Image, size: int) -> Image.Image:
    return image if image.width == size else image.resize((size, size), Image.Resampling.BOX)


def shot(source: Source, mode: str, size: int | None) -> Pictures:
    taken = engine_modes.pictures(source, mode, View)
    return {view: np.array(scaled(Image.fromarray(one), size or one.shape[0])) for view, one in taken.items()}


def cases(source: Source, word: str, size: int | None, modes: list[str]) -> Iterator[tuple[str, Pictures, Pictures]]:
    """What it is, the pictures, and the cut-outs that tell the truth."""
    clean = pictures(source.folder, size) if source.folder else shot(source, "clean", size)
    for mode in modes:
        yield f"mode {mode}", shot(source, mode, size), clean
    for kind, put in {**KINDS, **CUT}.items():
        if word in kind:
            yield kind, {view: put(picture, view) for view, picture in clean.items()}, clean
    for variant in source.variants:
        given = pictures(variant)
        if (
            source.folder
            and word in f"variant {variant.name}"
            and all((p[..., 3] == 255).all() for p in given.values())
        ):
            yield f"variant {variant.name}", given, pictures(source.folder, given[View.FRONT].shape[0])


def measures(seen: Silhouette, truth: np.ndarray) -> tuple[float, float, float]:
    """Soft IoU, outline error in px, colour error near the outline in levels."""
    true = resampled(truth[..., 3] / np.float32(255), *seen.coverage.shape)
    distance, found = signed_distance(true), signed_distance(seen.coverage)
    near = np.abs(distance) < 0.8
    inside = (distance < -1) & (distance > -6) & (truth[..., 3] == 255)
    off = np.abs(pure_colours(seen, found).astype(float) - truth[..., :3]).mean(axis=2)
    return (
        float(np.minimum(seen.coverage, true).sum() / np.maximum(seen.coverage, true).sum()),
        float(np.minimum(np.abs(found - distance), 20)[near].mean()),
        float(off[inside].mean()),
    )


def drawn(picture: np.ndarray, seen: Silhouette, truth: np.ndarray) -> Image.Image:
    mask = np.rint(seen.coverage * 255).astype(np.uint8)
    true = truth[..., 3]
    wrong = np.dstack([np.maximum(mask, true) - true, np.minimum(mask, true) // 2, np.maximum(mask, true) - mask])
    return Image.fromarray(np.hstack([picture[..., :3], np.dstack([mask] * 3), wrong]))


def cut(given: Pictures) -> tuple[Mapping[View, Silhouette], float]:
    start = time.process_time()
    seen = completed(silhouettes(given, max(given[View.FRONT].shape)))
    return seen, time.process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="*", metavar="SET_FOLDER")
    parser.add_argument("--kind", default="", metavar="WORD", help="only kinds of background with this in their name")
    parser.add_argument("--size", type=int, metavar="PX", help="scale the clean pictures first")
    parser.add_argument("--out", type=Path, metavar="DIR")
    parser.add_argument("--subjects", action="store_true", help="also the objects that are modelled by code")
    parser.add_argument("--modes", nargs="*", default=[], metavar="MODE", help="also these modes of engine_modes.py")
    arguments = parser.parse_args()
    folders = arguments.folders or sorted(path.parent for path in SAMPLES.glob("*/*front.png"))
    cut(pictures(folders[0], arguments.size))
    cut({view: KINDS["white"](picture, view) for view, picture in pictures(folders[0], 128).items()})
    print(f"{'set':16} {'background':26} {'IoU worst':>9} {'median':>7} {'outline px':>10} {'colour':>6} {'CPU s':>6}")
    measured = [Source(name=folder.name, folder=folder) for folder in folders]
    measured += [Source(name=name) for name in SYNTHETIC] if arguments.subjects else []
    for source in measured:
        for kind, given, clean in cases(source, arguments.kind, arguments.size, arguments.modes):
            report(source.name, kind, given, clean, arguments.out)


def report(name: str, kind: str, given: Pictures, clean: Pictures, out: Path | None) -> None:
    try:
        seen, spent_s = cut(given)
    except ValueError as error:
        print(f"{name:16} {kind:26} {error}")
        return
    found = {view: measures(seen[view], clean[view]) for view in given}
    worst = min(found, key=lambda view: found[view][0])
    mean = np.mean(list(found.values()), axis=0)
    median = np.median([overlap for overlap, _, _ in found.values()])
    print(
        f"{name:16} {kind:26} {found[worst][0]:9.4f} {median:7.4f} {mean[1]:10.3f} {mean[2]:6.1f} {spent_s:6.2f}  {worst}",
        flush=True,
    )
    if out:
        out.mkdir(parents=True, exist_ok=True)
        drawn(given[worst], seen[worst], clean[worst]).save(out / f"{name} {kind}.png")


if __name__ == "__main__":
    main()
