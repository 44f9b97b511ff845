"""What it costs a run that pays to compare views before they are sent: python tests/bench/comparing.py

The same sets of eight 1024 px views of modelled objects, with ``consistency: skip`` and ``warn`` in turn, on a service with
a ceiling. Nothing is remembered from round to round. Medians; CPU with that of the worker processes.
"""

import argparse
import io
import tempfile
from pathlib import Path

from engine_modes import pictures
from engine_subjects import Source
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from rig import QuickService, Ran, Truth, middle, mvmesh, print_table, quick_service, write_manifest

from pipeline.domain.views import View

OBJECTS = ("toy_robot", "creature", "stool", "mug")


def main() -> None:
    asked = _arguments()
    found: dict[str, list[tuple[Ran, Truth]]] = {"skip": [], "warn": []}
    with tempfile.TemporaryDirectory() as place, quick_service() as service:
        folder = Path(place)
        _draw(folder / "sets", asked.sets)
        for at in range(asked.rounds):
            for policy, measures in found.items():
                service.reset(mean_s=asked.mean, sigma=0.5, seed=at, ceiling=asked.slots)
                measures.append((_run(folder, service, f"{policy}-{at}", policy), service.truth()))
    print(f"{asked.sets} sets of eight views, {asked.slots} slots, jobs of {asked.mean:g} s")
    print(f"medians of {asked.rounds} rounds\n")
    head = (
        "consistency",
        "first request to first submission",
        "makespan / ideal",
        "CPU a set",
        "peak RSS, workers apart",
    )
    print_table(head, [_row(policy, measures, asked.slots) for policy, measures in found.items()])


def _run(folder: Path, service: QuickService, name: str, policy: str) -> Ran:
    manifest = write_manifest(folder, name, service, "sets/*", preflight={"consistency": policy})
    ran = mvmesh("run", str(manifest), "--yes")
    assert ran.code == 0, ran.code
    return ran


def _draw(folder: Path, count: int) -> None:
    """Sets of the objects in turn; a text in each file has no two of them alike."""
    drawn = {name: pictures(Source(name=name), "clean", View) for name in OBJECTS[:count]}
    for number in range(count):
        place = folder / f"set-{number:04d}"
        place.mkdir(parents=True)
        note = PngInfo()
        note.add_text("Comment", f"set {number}")
        for view, picture in drawn[OBJECTS[number % len(OBJECTS)]].items():
            file = io.BytesIO()
            Image.fromarray(picture).save(file, "PNG", compress_level=1, pnginfo=note)
            (place / f"{view}.png").write_bytes(file.getvalue())


def _row(policy: str, measures: list[tuple[Ran, Truth]], slots: int) -> tuple[str, ...]:
    return (
        policy,
        f"{middle(min(seen.created) - seen.began for _, seen in measures):.2f} s",
        f"{middle(seen.makespan_s / seen.ideal_s(slots) for _, seen in measures):.2f}",
        f"{middle(ran.cpu_s / len(seen.created) for ran, seen in measures):.2f} s",
        f"{middle(ran.peak_bytes for ran, _ in measures) / 1e6:.0f} MB",
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--sets", type=int, default=40)
    parser.add_argument("--slots", type=int, default=8)
    parser.add_argument("--mean", type=float, default=4.0, help="seconds")
    parser.add_argument("--rounds", type=int, default=3)
    return parser.parse_args()


if __name__ == "__main__":
    main()
