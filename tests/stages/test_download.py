from pathlib import Path

import anyio
import pytest
from simulated_ports import SimulatedDownloads, SimulatedService, SimulatedStorage, glb, sha256, virtual_time

from pipeline.domain.errors import (
    ConnectionLost,
    LocalIoError,
    MeshDamaged,
    ServiceUnreachable,
    StageTimedOut,
    Throttled,
    UrlExpired,
)
from pipeline.domain.jobs import Asset
from pipeline.stages.download import ATTEMPTS, ResultGone, download

pytestmark = pytest.mark.anyio

FOLDER = Path("/out/.mvmesh/staging/k")
MESH = glb(faces=50)


@pytest.fixture
def anyio_backend():
    return virtual_time()


class World:
    def __init__(self):
        self.service = SimulatedService()
        self.storage = SimulatedStorage()
        self.downloads = SimulatedDownloads(self.service, self.storage)
        self.service.add_mesh("mesh", MESH)

    def add_texture(self, asset_id, source):
        data = asset_id.encode()
        self.service.contents[f"https://files/{asset_id}"] = data
        self.service._assets[asset_id] = Asset(
            asset_id=asset_id,
            url=f"https://files/{asset_id}",
            kind="image",
            media_type="image/png",
            source=source,
            size_bytes=len(data),
        )

    async def download(self, *asset_ids, is_new=True):
        return await download(asset_ids, FOLDER, scenario=self.service, downloads=self.downloads, is_new=is_new)


@pytest.fixture
def world():
    return World()


async def test_mesh_and_textures_come_under_our_own_names(world):
    world.add_texture("albedo_1", "3d:texture:albedo")
    world.add_texture("thumb", "preview")
    mesh, albedo = await world.download("mesh", "thumb", "albedo_1")
    assert (mesh.role, mesh.path, mesh.suffix, mesh.sha256) == ("mesh", FOLDER / "mesh.part", ".glb", sha256(MESH))
    assert (albedo.role, albedo.path, albedo.suffix) == ("albedo", FOLDER / "albedo.part", ".png")
    assert world.storage.names(FOLDER) == ["albedo.part", "mesh.part"]


@pytest.mark.parametrize(
    "trouble",
    [ConnectionLost("reset"), UrlExpired("403"), Throttled("429", retry_after_s=7), MeshDamaged("an HTML page")],
)
async def test_a_download_that_breaks_is_tried_again(world, trouble):
    world.downloads.troubles = [trouble] * (ATTEMPTS - 1)
    (mesh,) = await world.download("mesh")
    assert mesh.sha256 == sha256(MESH)
    assert len(world.downloads.fetched) == ATTEMPTS


async def test_the_host_is_given_the_pause_that_it_wishes(world):
    world.downloads.troubles = [Throttled("429", retry_after_s=15)]
    await world.download("mesh")
    assert anyio.current_time() > 15


async def test_a_further_try_asks_for_a_fresh_url(world):
    class Resigning(SimulatedService):
        signed = 0

        async def assets(self, asset_ids):
            self.signed += 1
            (asset,) = await super().assets(asset_ids)
            self.add_mesh(f"mesh?signature={self.signed}", MESH)
            return [
                Asset(
                    asset_id="mesh", url=f"{asset.url}?signature={self.signed}", kind="3d", media_type=asset.media_type
                )
            ]

    service = Resigning()
    service.add_mesh("mesh", MESH)
    downloads = SimulatedDownloads(service, world.storage)
    downloads.troubles = [UrlExpired("403")]
    await download(["mesh"], FOLDER, scenario=service, downloads=downloads, is_new=True)
    assert downloads.fetched == ["https://files/mesh?signature=1", "https://files/mesh?signature=2"]


async def test_tries_are_bounded_and_the_last_reason_is_told(world):
    world.downloads.troubles = [ConnectionLost("reset by peer")] * 100
    with pytest.raises(StageTimedOut, match="reset by peer") as raised:
        await world.download("mesh")
    assert len(world.downloads.fetched) == ATTEMPTS
    assert "not submitted anew" in raised.value.mend
    assert anyio.current_time() < 120


@pytest.mark.parametrize("trouble", [LocalIoError("disk full"), ServiceUnreachable("gone")])
async def test_what_no_try_can_mend_stops_the_run(world, trouble):
    world.downloads.troubles = [trouble]
    with pytest.raises(type(trouble)):
        await world.download("mesh")
    assert len(world.downloads.fetched) == 1


async def test_assets_that_are_listed_late_are_waited_for(world):
    class Late(SimulatedService):
        async def assets(self, asset_ids):
            return await super().assets(asset_ids) if anyio.current_time() > 40 else []

    service = Late()
    service.add_mesh("mesh", MESH)
    downloads = SimulatedDownloads(service, world.storage)
    (mesh,) = await download(["mesh"], FOLDER, scenario=service, downloads=downloads, is_new=True)
    assert mesh.sha256 == sha256(MESH)


async def test_a_side_asset_that_is_never_listed_does_not_cost_the_mesh(world):
    (mesh,) = await world.download("mesh", "thumbnail_that_was_cleared_away")
    assert mesh.role == "mesh"


@pytest.mark.parametrize(("is_new", "least_s", "most_s"), [(True, 60, 120), (False, 2, 15)])
async def test_a_mesh_that_is_gone_is_believed_after_a_while(world, is_new, least_s, most_s):
    """One answer that lacks it may be a hiccup; what is said to be gone may be paid for again."""
    world.service.forget_assets()
    with pytest.raises(ResultGone, match="no asset mesh"):
        await world.download("mesh", is_new=is_new)
    assert least_s <= anyio.current_time() <= most_s


async def test_a_hiccup_of_the_list_between_two_tries_is_no_loss(world):
    class Hiccup(SimulatedService):
        looks = 0

        async def assets(self, asset_ids):
            self.looks += 1
            return [] if self.looks == 2 else await super().assets(asset_ids)

    service = Hiccup()
    service.add_mesh("mesh", MESH)
    downloads = SimulatedDownloads(service, world.storage)
    downloads.troubles = [ConnectionLost("reset")]
    (mesh,) = await download(["mesh"], FOLDER, scenario=service, downloads=downloads, is_new=False)
    assert mesh.sha256 == sha256(MESH)


async def test_a_job_without_a_glb_is_not_waited_for(world):
    world.add_texture("albedo_1", "3d:texture:albedo")
    with pytest.raises(MeshDamaged, match="no GLB mesh but image/png"):
        await world.download("albedo_1")
    assert world.downloads.fetched == []
