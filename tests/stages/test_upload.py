from dataclasses import replace
from pathlib import Path

import anyio
import pytest
from anyio import CapacityLimiter
from simulated_ports import SimulatedImages, SimulatedService, virtual_time

from pipeline.domain.errors import PictureRefused
from pipeline.domain.items import Picture
from pipeline.domain.views import View
from pipeline.ports.interfaces import Gallery
from pipeline.stages.upload import SMALL_BYTES, submission, upload

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return virtual_time()


FRONT = Picture(
    path=Path("secret project/front.png"), sha256="f" * 64, size_bytes=1, media_type="image/png", width=9, height=9
)


class Asked(SimulatedService):
    """Remembers how it was asked for an asset."""

    asked_for = None

    async def create_asset(self, **asked):
        self.asked_for = asked
        return await super().create_asset(**asked)


async def test_a_picture_becomes_an_asset_under_a_name_that_tells_nothing_of_the_disk():
    service = Asked()
    asset_id = await upload(
        FRONT,
        View.FRONT,
        copy=2,
        images=SimulatedImages(),
        scenario=service,
        gallery=Gallery(hide=True, collections=("c",)),
        turns=CapacityLimiter(1),
    )
    assert asset_id == "asset_1"
    assert service.asked_for == {
        "name": f"front-{'f' * 32}-2",
        "data": FRONT.sha256.encode(),
        "media_type": "image/png",
        "gallery": Gallery(collections=("c",)),
    }


@pytest.mark.parametrize(("size_bytes", "read"), [(SMALL_BYTES, 3), (SMALL_BYTES + 1, 1)])
async def test_small_pictures_are_read_before_their_turn_and_large_ones_within(size_bytes, read):
    class Counting(SimulatedImages):
        prepared = 0

        async def prepare(self, picture):
            self.prepared += 1
            return await super().prepare(picture)

    class Held(SimulatedService):
        async def create_asset(self, **asked):
            await go_on.wait()
            return await super().create_asset(**asked)

    images, service, turns, go_on = Counting(), Held(), CapacityLimiter(1), anyio.Event()

    async def one(sha256):
        picture = replace(FRONT, sha256=sha256, size_bytes=size_bytes)
        await upload(picture, View.FRONT, copy=1, images=images, scenario=service, gallery=Gallery(), turns=turns)

    async with anyio.create_task_group() as tasks:
        for digit in "abc":
            tasks.start_soon(one, digit * 64)
        await anyio.wait_all_tasks_blocked()
        assert images.prepared == read
        go_on.set()
    assert images.prepared == len(service.uploads) == 3


async def test_a_picture_that_changed_since_preflight_is_not_sent():
    class Changed(SimulatedImages):
        async def prepare(self, picture):
            raise PictureRefused(f"{picture.path} is not the file that was checked", kind="changed")

    service = SimulatedService()
    with pytest.raises(PictureRefused):
        await upload(
            FRONT, View.FRONT, copy=1, images=Changed(), scenario=service, gallery=Gallery(), turns=CapacityLimiter(1)
        )
    assert service.uploads == []


def test_the_body_of_a_submission_names_every_view_and_every_parameter():
    params = {"faceCount": 50_000, "generateType": "Normal"}
    body = submission(params, {View.FRONT: "asset_1", View.LEFT_FRONT: "asset_2"})
    assert body == {"frontImage": "asset_1", "leftFrontImage": "asset_2", "faceCount": 50_000, "generateType": "Normal"}
