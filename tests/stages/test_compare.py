"""Views that contradict one another, told from real pictures in a real worker process."""

import os
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageOps

from pipeline.domain.items import Finding, ImageSet, Picture
from pipeline.domain.views import CAMERAS, ORTHOGRAPHIC_WIDTH, View
from pipeline.ports.comparisons import SqliteComparisons
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


async def pictures_in(folder: Path, changed: dict[View, Image.Image]) -> Mapping[View, Picture]:
    image_set = ImageSet(set_id="it", folder=folder, views=drawn(folder, changed))
    checked = await preflight(image_set, images=PillowImages(), ledger=None)
    assert not checked.is_refused
    return checked.pictures


async def judged(
    folder: Path, changed: dict[View, Image.Image], compute: WorkerProcesses, *, is_local: bool = True
) -> tuple[Finding, ...]:
    pictures = await pictures_in(folder, changed)
    return await compare(pictures, policy="warn", is_local=is_local, compute=compute, memory=None)


def told(findings: Iterable[Finding]) -> list[tuple[str, str, View | None]]:
    return [(one.kind, one.verdict, one.view) for one in findings]


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
        assert found[0].file == tmp_path / "mirrored" / "left.png"
        assert (found[0].message[:44], found[0].mend[:10]) == (
            "The left view seems to be mirrored, or to sh",
            "replace it",
        )
        found = await judged(tmp_path / "exchanged", exchanged, compute)
        assert "have each other's names" in found[0].message
        found = await judged(tmp_path / "foreign", foreign, compute, is_local=False)
        assert told(found) == [("contradiction", "hold", View.BACK)]
        assert found[0].mend.endswith("with `consistency: skip`")
        found = await judged(tmp_path / "blank", blank, compute)
        assert told(found) == [("no-silhouette", "hold", None)]
        assert found[0].mend
        found = await judged(tmp_path / "blank too", blank, compute, is_local=False)
        assert told(found) == [("no-silhouette", "warn", None)]


class Counted(WorkerProcesses):
    calls = 0

    async def run(self, function: Any, *args: Any, timeout_s: float) -> Any:
        self.calls += 1
        return await super().run(function, *args, timeout_s=timeout_s)


class Crashing(WorkerProcesses):
    async def run(self, *_: Any, timeout_s: float) -> Any:
        return await super().run(os.abort, timeout_s=timeout_s)


class Hasty(WorkerProcesses):
    async def run(self, function: Any, *args: Any, **_: Any) -> Any:
        return await super().run(function, *args, timeout_s=0.001)


async def test_what_was_told_of_the_same_bytes_is_not_found_out_again(tmp_path: Path) -> None:
    mirrored = {View.LEFT: ImageOps.mirror(seen_by(View.LEFT))}
    pictures = await pictures_in(tmp_path / "it", mirrored)
    elsewhere = await pictures_in(tmp_path / "there", mirrored)
    async with Counted(1) as compute, SqliteComparisons(tmp_path / "told") as memory:
        judge = partial(compare, policy="hold", is_local=False, compute=compute, memory=memory)
        first = await judge(pictures)
        assert told(first) == [("contradiction", "hold", View.LEFT)]
        assert await judge(pictures) == first
        assert told(await judge(elsewhere)) == told(first)
        assert await judge(pictures, policy="skip") == ()
        assert compute.calls == 1
        await judge({view: one for view, one in pictures.items() if view is not View.TOP})
        assert compute.calls == 2


@pytest.mark.parametrize("broken", [Crashing, Hasty])
async def test_a_comparison_that_breaks_down_is_a_note_and_tried_again_later(
    broken: type[WorkerProcesses], tmp_path: Path
) -> None:
    pictures = await pictures_in(tmp_path / "it", {})
    async with SqliteComparisons(tmp_path / "told") as memory:
        async with broken(1) as compute:
            found = await compare(pictures, policy="hold", is_local=False, compute=compute, memory=memory)
        assert told(found) == [("not-compared", "warn", None)]
        async with Counted(1) as compute:
            assert not await compare(pictures, policy="hold", is_local=False, compute=compute, memory=memory)
            assert compute.calls == 1


async def test_pictures_that_changed_since_preflight_are_not_remembered_for_what_they_were(tmp_path: Path) -> None:
    pictures = await pictures_in(tmp_path / "it", {})
    ImageOps.mirror(seen_by(View.LEFT)).save(pictures[View.LEFT].path)
    async with WorkerProcesses(1) as compute, SqliteComparisons(tmp_path / "told") as memory:
        judge = partial(compare, pictures, policy="hold", is_local=False, compute=compute, memory=memory)
        (changed,) = await judge()
        assert (changed.kind, changed.verdict) == ("not-compared", "warn")
        assert "left.png has changed" in changed.message
        seen_by(View.LEFT).save(pictures[View.LEFT].path)
        assert not await judge()
        pictures[View.LEFT].path.unlink()
        assert not await judge()  # known by now


async def test_nothing_is_remembered_where_nothing_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    pictures = await pictures_in(tmp_path / "it", {View.LEFT: ImageOps.mirror(seen_by(View.LEFT))})
    async with WorkerProcesses(1) as compute, SqliteComparisons(tmp_path / "file" / "told") as memory:
        found = await compare(pictures, policy="warn", is_local=False, compute=compute, memory=memory)
    assert told(found) == [("contradiction", "hold", View.LEFT)]
