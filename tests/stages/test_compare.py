"""Views that contradict one another, told from real pictures in a real worker process."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageOps

from pipeline.domain.items import CheckedSet, Finding, ImageSet
from pipeline.domain.views import CAMERAS, ORTHOGRAPHIC_WIDTH, View
from pipeline.ports.compute import WorkerProcesses
from pipeline.ports.images import PillowImages
from pipeline.stages.compare import compare
from pipeline.stages.preflight import preflight

pytestmark = pytest.mark.anyio
SIDES = (View.FRONT, View.LEFT, View.RIGHT, View.BACK, View.TOP)
BOXES = (((-0.3, -0.4, -0.15), (0.1, 0.0, 0.3)), ((-0.1, 0.0, -0.25), (0.25, 0.35, 0.05)))
"""Two blocks that stand aside of one another in every direction: (lowest, highest) x, y, z."""
SIZE_PX = 192


def seen_by(view: View, boxes: Iterable = BOXES) -> Image.Image:
    """What an orthographic camera sees of axis-aligned boxes."""
    camera, picture = CAMERAS[view], Image.new("RGBA", (SIZE_PX, SIZE_PX))
    for box in boxes:
        right, up = (np.sort(np.array(box) @ np.array(axis)) for axis in (camera.right, camera.up))
        x, y = (SIZE_PX * (0.5 + side / ORTHOGRAPHIC_WIDTH) for side in (right, -up[::-1]))
        ImageDraw.Draw(picture).rectangle((x[0], y[0], x[1] - 1, y[1] - 1), fill=(200, 120, 40, 255))
    return picture


def drawn(folder: Path, changed: dict[View, Image.Image]) -> dict[View, Path]:
    folder.mkdir()
    views = {view: folder / f"{view}.png" for view in SIDES}
    for view, path in views.items():
        changed.get(view, seen_by(view)).save(path)
    return views


async def judged(
    folder: Path, changed: dict[View, Image.Image], compute: WorkerProcesses, fatal: str = "hold"
) -> CheckedSet:
    views = drawn(folder, changed)
    checked = await preflight(ImageSet(set_id="it", folder=folder, views=views), images=PillowImages(), ledger=None)
    return await compare(checked, compute=compute, fatal=fatal)


def told(checked: CheckedSet) -> list[tuple[str, str, View | None]]:
    return [(one.kind, one.verdict, one.view) for one in checked.findings]


async def test_wrong_views_are_named_and_sound_ones_are_not(tmp_path: Path) -> None:
    mirrored = {View.LEFT: ImageOps.mirror(seen_by(View.LEFT))}
    exchanged = {View.FRONT: seen_by(View.LEFT), View.LEFT: seen_by(View.FRONT)}
    foreign = {View.BACK: seen_by(View.BACK, [((-0.05, -0.2, -0.2), (0.3, 0.3, 0.2))])}
    blank = {View.BACK: Image.new("RGB", (SIZE_PX, SIZE_PX), "white")}
    ImageDraw.Draw(blank[View.BACK]).point((5, 5), fill="black")  # not blank to preflight
    async with WorkerProcesses(1) as compute:
        assert told(await judged(tmp_path / "sound", {}, compute)) == []
        found = await judged(tmp_path / "mirrored", mirrored, compute)
        assert told(found) == [("contradiction", "hold", View.LEFT)]
        assert found.findings[0].file == tmp_path / "mirrored" / "left.png"
        assert (found.findings[0].message[:44], found.findings[0].mend[:10]) == (
            "The left view seems to be mirrored, or to sh",
            "replace it",
        )
        found = await judged(tmp_path / "exchanged", exchanged, compute)
        assert "have each other's names" in found.findings[0].message
        assert told(await judged(tmp_path / "foreign", foreign, compute, fatal="warn")) == [
            ("contradiction", "warn", View.BACK)
        ]
        found = await judged(tmp_path / "blank", blank, compute)
        assert [(one.kind, one.verdict) for one in found.findings] == [("no-silhouette", "hold")]
        assert found.findings[0].mend


async def test_a_set_that_is_refused_anyway_is_left_alone(tmp_path: Path) -> None:
    refused = CheckedSet(
        image_set=ImageSet(set_id="it", folder=tmp_path, views={}),
        pictures={},
        findings=(Finding(kind="no-front", verdict="refuse", message="no front view"),),
    )
    async with WorkerProcesses(1) as compute:
        assert await compare(refused, compute=compute, fatal="hold") is refused
