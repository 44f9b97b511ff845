from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

import pytest
import trio.testing
from PIL import Image

from pipeline.domain.errors import LocalIoError, PictureRefused
from pipeline.domain.items import Finding, ImageSet, Picture
from pipeline.domain.views import View
from pipeline.ports.images import PillowImages
from pipeline.ports.interfaces import Ledger, Stamp
from pipeline.stages.preflight import preflight, preflight_all

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return "trio", {"clock": trio.testing.MockClock(autojump_threshold=0)}


@dataclass(slots=True)
class SimulatedImages:
    """Knows what each file is without reading it."""

    outcomes: Mapping[str, Picture | Exception]
    probed: list[str] = field(default_factory=list)

    async def probe(self, path: Path) -> Picture:
        raise NotImplementedError

    async def probe_all(self, paths: Sequence[Path]) -> list[Picture | PictureRefused]:
        await trio.lowlevel.checkpoint()
        return [self._outcome(path) for path in paths]

    def _outcome(self, path: Path) -> Picture | PictureRefused:
        self.probed.append(path.name)
        outcome = self.outcomes[path.name]
        if isinstance(outcome, Picture):
            return replace(outcome, path=path)
        if isinstance(outcome, PictureRefused):
            return outcome
        raise outcome

    async def prepare(self, picture: Picture) -> tuple[bytes, str]:
        raise NotImplementedError


@dataclass(slots=True)
class PictureMemory:
    """The ledger's memory of pictures, and no more of it."""

    known: dict[Stamp, Picture] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)

    async def pictures(self, stamps: Sequence[Stamp]) -> list[Picture | None]:
        self.calls.append("look up")
        return [self.known.get(stamp) for stamp in stamps]

    async def record_pictures(self, probed: Sequence[tuple[Picture, Stamp]]) -> None:
        self.calls.append("record")
        self.known |= {stamp: picture for picture, stamp in probed}


def picture(sha: str, width=512, height=512, changes=(), size_bytes=3) -> Picture:
    return Picture(
        path=Path(),
        sha256=sha,
        size_bytes=size_bytes,
        media_type="image/png",
        width=width,
        height=height,
        changes=changes,
    )


def image_set(folder: Path, *views: View, findings=()) -> ImageSet:
    for view in views:
        (folder / f"{view}.png").write_bytes(b"...")
    return ImageSet(
        set_id="props/chair", folder=folder, views={view: folder / f"{view}.png" for view in views}, findings=findings
    )


async def check(found: ImageSet, images: SimulatedImages, memory: PictureMemory | None = None):
    return await preflight(found, images=images, ledger=cast("Ledger | None", memory))


async def test_good_pictures_come_in_the_order_of_the_views(tmp_path):
    found = image_set(tmp_path, View.BACK, View.FRONT, View.LEFT)
    images = SimulatedImages({"back.png": picture("b"), "front.png": picture("f"), "left.png": picture("l")})
    checked = await check(found, images)
    assert list(checked.pictures) == [View.FRONT, View.LEFT, View.BACK]
    assert checked.findings == ()
    assert not checked.is_refused


async def test_a_refused_picture_refuses_the_set_by_name(tmp_path):
    found = image_set(tmp_path, View.FRONT, View.RIGHT)
    error = PictureRefused("right.png: cut short", mend="copy it again", kind="truncated")
    checked = await check(found, SimulatedImages({"front.png": picture("f"), "right.png": error}))
    assert checked.is_refused
    assert list(checked.pictures) == [View.FRONT]
    (finding,) = checked.findings
    assert finding == Finding(
        kind="truncated",
        verdict="refuse",
        message="right.png: cut short",
        mend="copy it again",
        view=View.RIGHT,
        file=tmp_path / "right.png",
        confidence=1.0,
    )


async def test_every_bad_picture_is_told_and_discovery_speaks_first(tmp_path):
    discovered = Finding(kind="no-front", verdict="refuse", message="no front view")
    found = image_set(tmp_path, View.BACK, View.LEFT, findings=(discovered,))
    bad = {name: PictureRefused(name, kind="empty") for name in ("back.png", "left.png")}
    checked = await check(found, SimulatedImages(bad))
    assert [(one.kind, one.view) for one in checked.findings] == [
        ("no-front", None),
        ("empty", View.LEFT),
        ("empty", View.BACK),
    ]


async def test_conversions_are_noted_and_refuse_nothing(tmp_path):
    found = image_set(tmp_path, View.FRONT)
    images = SimulatedImages(
        {"front.png": picture("f", changes=("CMYK converted to RGB", "re-encoded as PNG from JPEG"))}
    )
    checked = await check(found, images)
    (finding,) = checked.findings
    assert (finding.kind, finding.verdict, finding.view) == ("converted", "ok", View.FRONT)
    assert "front.png: CMYK converted to RGB, re-encoded as PNG from JPEG" in finding.message
    assert not checked.is_refused


async def test_one_picture_for_two_views_is_worth_a_warning(tmp_path):
    found = image_set(tmp_path, View.FRONT, View.LEFT, View.BACK)
    images = SimulatedImages({"front.png": picture("same"), "left.png": picture("l"), "back.png": picture("same")})
    checked = await check(found, images)
    (finding,) = checked.findings
    assert (finding.kind, finding.verdict, finding.view) == ("same-picture", "warn", View.BACK)
    assert "front.png" in finding.message
    assert not checked.is_refused


@pytest.mark.parametrize(("width", "kinds"), [(512, []), (520, []), (768, ["aspect-differs"])])
async def test_pictures_of_differing_shape_are_worth_a_warning(tmp_path, width, kinds):
    found = image_set(tmp_path, View.FRONT, View.LEFT)
    images = SimulatedImages({"front.png": picture("f"), "left.png": picture("l", width=width)})
    checked = await check(found, images)
    assert [one.kind for one in checked.findings] == kinds
    assert all(one.verdict == "warn" for one in checked.findings)


async def test_an_unchanged_file_is_not_read_again(tmp_path):
    found = image_set(tmp_path, View.FRONT, View.LEFT)
    images = SimulatedImages({"front.png": picture("f"), "left.png": picture("l")})
    memory = PictureMemory()
    first = await check(found, images, memory)
    assert await check(found, images, memory) == first
    assert sorted(images.probed) == ["front.png", "left.png"]

    (tmp_path / "left.png").write_bytes(b"....")
    images.outcomes = {"left.png": picture("new", size_bytes=4)}
    again = await check(found, images, memory)
    assert again.pictures[View.LEFT].sha256 == "new"
    assert images.probed[2:] == ["left.png"]


async def test_many_sets_ask_the_ledger_once_and_read_a_shared_file_once(tmp_path):
    sets = [
        ImageSet(
            set_id=f"{n}", folder=tmp_path, views={View.FRONT: tmp_path / f"{n}.png", View.TOP: tmp_path / "t.png"}
        )
        for n in range(5)
    ]
    for name in ("0", "1", "2", "3", "t"):
        (tmp_path / f"{name}.png").write_bytes(b"...")
    outcomes = {f"{n}.png": picture(f"{n}") for n in range(5)} | {"t.png": picture("t")}
    outcomes["4.png"] = PictureRefused("4.png: there is no such file", kind="missing")
    images, memory = SimulatedImages(outcomes), PictureMemory()

    for _ in range(2):
        checked = await preflight_all(sets, images=images, ledger=cast("Ledger", memory))
        assert [one.image_set for one in checked] == sets
        assert [one.is_refused for one in checked] == [False] * 4 + [True]
        assert [one.pictures[View.TOP].sha256 for one in checked] == ["t"] * 5
    assert memory.calls == ["look up", "record", "look up"]
    assert images.probed == ["0.png", "t.png", "1.png", "2.png", "3.png", "4.png", "4.png"]


async def test_a_refusal_is_not_remembered(tmp_path):
    found = image_set(tmp_path, View.FRONT)
    memory = PictureMemory()
    refused = SimulatedImages({"front.png": PictureRefused("no right to read", kind="unreadable")})
    assert (await check(found, refused, memory)).is_refused
    assert not (await check(found, SimulatedImages({"front.png": picture("f")}), memory)).is_refused


async def test_a_file_that_grows_while_it_is_read_is_not_remembered(tmp_path):
    found = image_set(tmp_path, View.FRONT)
    memory = PictureMemory()
    await check(found, SimulatedImages({"front.png": picture("f", size_bytes=999)}), memory)
    assert memory.known == {}


async def test_a_missing_file_is_left_to_the_probe_to_tell(tmp_path):
    found = ImageSet(set_id="x", folder=tmp_path, views={View.FRONT: tmp_path / "gone.png"})
    images = SimulatedImages({"gone.png": PictureRefused("gone.png: there is no such file", kind="missing")})
    checked = await check(found, images, PictureMemory())
    assert [one.kind for one in checked.findings] == ["missing"]


async def test_what_is_no_fault_of_a_picture_is_raised(tmp_path):
    found = image_set(tmp_path, View.FRONT)
    with pytest.raises(LocalIoError):
        await check(found, SimulatedImages({"front.png": LocalIoError("disk on fire")}))


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_with_real_pictures(tmp_path, anyio_backend):
    half = Image.linear_gradient("L").crop((0, 0, 200, 256))
    half.save(tmp_path / "front.png")
    half.save(tmp_path / "back.tif")
    (tmp_path / "left.png").write_bytes((tmp_path / "front.png").read_bytes()[:-20])
    views = {View.FRONT: tmp_path / "front.png", View.BACK: tmp_path / "back.tif", View.LEFT: tmp_path / "left.png"}
    checked = await preflight(ImageSet(set_id="x", folder=tmp_path, views=views), images=PillowImages(), ledger=None)
    assert [(one.kind, one.verdict, one.view) for one in checked.findings] == [
        ("truncated", "refuse", View.LEFT),
        ("converted", "ok", View.BACK),
    ]


async def test_messages_name_files_from_the_sets_folder_on(tmp_path):
    (tmp_path / "front.png").write_bytes(b"no picture")
    odd = ImageSet(set_id="a", folder=tmp_path, views={View.FRONT: tmp_path / "front.png"})
    found = await preflight(odd, images=PillowImages(), ledger=None)
    assert found.findings[0].message.startswith("front.png: ")
    assert found.findings[0].file == tmp_path / "front.png"
