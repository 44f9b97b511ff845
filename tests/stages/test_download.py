from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import anyio
import pytest
from simulated_ports import (
    SimulatedDownloads,
    SimulatedService,
    SimulatedStorage,
    glb,
    sha256,
    virtual_now,
    virtual_time,
)

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
from pipeline.stages.download import ATTEMPTS, TOTAL_S, ResultGone, download

pytestmark = pytest.mark.anyio

FOLDER = Path("/out/.mvmesh/staging/k")
MESH = glb(faces=50)
PNG = b"\x89PNG\r\n\x1a\n" + b"pixels" + b"\0\0\0\0IEND\xaeB`\x82"


@pytest.fixture
def anyio_backend():
    return virtual_time()


class World:
    def __init__(self):
        self.service = SimulatedService()
        self.storage = SimulatedStorage()
        self.downloads = Damaging(self.service, self.storage)
        self.turns = anyio.CapacityLimiter(1)
        self.service.add_mesh("mesh", MESH)

    def add_texture(self, asset_id, source):
        data = PNG
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
        return await self.download_from(self.service, *asset_ids, is_new=is_new)

    async def download_from(self, service, *asset_ids, is_new=True):
        self.downloads._service = service
        return await download(
            asset_ids,
            lambda role: FOLDER / f"{role}.part",
            scenario=service,
            downloads=self.downloads,
            storage=self.storage,
            now=virtual_now,
            turns=self.turns,
            is_new=is_new,
        )


class Signing(SimulatedService):
    """Its URLs are numbered and carry the time when they expire: the first so long after now, later ones in a day."""

    def __init__(self, left_s):
        super().__init__()
        self.signed = 0
        self._left_s = left_s
        self.add_mesh("mesh", MESH)

    async def assets(self, asset_ids):
        self.signed += 1
        until = virtual_now() + timedelta(seconds=self._left_s if self.signed == 1 or self._left_s < -60 else 86400)
        found = await super().assets(asset_ids)
        signed = [replace(one, url=f"{one.url}?n={self.signed}&expires={until.timestamp():.0f}000") for one in found]
        self.contents |= {one.url: PNG if one.kind == "image" else MESH for one in signed}
        return signed


class Damaging(SimulatedDownloads):
    """Writes the ``damaged`` bytes first, and says the ``media_types`` first."""

    def __init__(self, service, storage):
        super().__init__(service, storage)
        self.damaged, self.media_types, self.found_before = [], [], []

    async def fetch(self, url, target, *, expected_bytes):
        self.found_before.append(self._storage.get(target))
        got = await super().fetch(url, target, expected_bytes=expected_bytes)
        if self.damaged:
            self._storage.put(target, self.damaged.pop(0))
        return replace(got, media_type=self.media_types.pop(0)) if self.media_types else got


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
    world.downloads.troubles = [UrlExpired("403")]
    await world.download_from(service, "mesh")
    assert world.downloads.fetched == ["https://files/mesh?signature=1", "https://files/mesh?signature=2"]


async def test_tries_are_bounded_and_the_last_reason_is_told(world):
    world.downloads.troubles = [ConnectionLost("reset by peer")] * 100
    with pytest.raises(StageTimedOut, match="reset by peer") as raised:
        await world.download("mesh")
    assert len(world.downloads.fetched) == ATTEMPTS
    assert "not submitted anew" in raised.value.mend
    assert anyio.current_time() < 120


@pytest.mark.parametrize(
    ("left_s", "urls"),
    [
        (-5, ["https://files/mesh?n=2"]),
        (29, ["https://files/mesh?n=2"]),
        (31, ["https://files/mesh?n=1"]),
    ],
)
async def test_a_url_that_has_expired_or_is_about_to_is_not_begun_with(world, left_s, urls):
    service = Signing(left_s)
    await world.download_from(service, "mesh")
    assert [one.partition("&")[0] for one in world.downloads.fetched] == urls


async def test_a_clock_that_runs_ahead_costs_one_look_a_file_and_no_more(world):
    service = Signing(-86400)
    await world.download_from(service, "mesh")
    assert service.signed == 2


async def test_urls_expire_while_the_files_before_them_are_fetched(world):
    world.add_texture("albedo_1", "3d:texture:albedo")
    service = Signing(35)
    service._assets |= {"albedo_1": world.service._assets["albedo_1"]}

    class Slow(SimulatedDownloads):
        async def fetch(self, url, target, *, expected_bytes):
            await anyio.sleep(10)
            return await super().fetch(url, target, expected_bytes=expected_bytes)

    world.downloads = Slow(service, world.storage)
    await world.download_from(service, "mesh", "albedo_1")
    assert [one.partition("&")[0] for one in world.downloads.fetched] == [
        "https://files/mesh?n=1",
        "https://files/albedo_1?n=2",
    ]


async def test_one_request_signs_all_files_of_a_job_anew_whose_turn_comes_late(world):
    world.add_texture("albedo_1", "3d:texture:albedo")
    service = Signing(45)
    service._assets |= {"albedo_1": world.service._assets["albedo_1"]}
    async with anyio.create_task_group() as tasks, world.turns:
        tasks.start_soon(world.download_from, service, "mesh", "albedo_1")
        await anyio.sleep(60)
    fetched = [one.partition("&")[0] for one in world.downloads.fetched]
    assert fetched == ["https://files/mesh?n=2", "https://files/albedo_1?n=2"]
    assert service.signed == 2


async def test_where_files_are_is_asked_without_a_turn_and_they_are_fetched_within_one(world):
    class Asked(SimulatedService):
        looked_up = ()

        async def assets(self, asset_ids):
            self.looked_up += tuple(asset_ids)
            return await super().assets(asset_ids)

    service = Asked()
    service.add_mesh("mesh", MESH)
    async with anyio.create_task_group() as tasks, world.turns:
        tasks.start_soon(world.download_from, service, "mesh")
        await anyio.sleep(60)
        assert service.looked_up == ("mesh",)
        assert world.downloads.fetched == []
    assert len(world.downloads.fetched) == 1


async def test_what_was_seen_on_the_way_is_not_read_again(world):
    class Telling(SimulatedDownloads):
        async def fetch(self, url, target, *, expected_bytes):
            got = await super().fetch(url, target, expected_bytes=expected_bytes)
            return replace(got, head=self._storage.get(target)[:64])

    world.downloads, reads = Telling(world.service, world.storage), []
    read_part = world.storage.read_part

    async def counted(path, start, length):
        reads.append(start)
        return await read_part(path, start, length)

    world.storage.head, world.storage.read_part = None, counted
    (mesh,) = await world.download("mesh")
    assert mesh.facts.face_count == 50
    assert reads == [64], "the rest of its JSON"


PAGE = b"<!doctype html>" + b" " * len(MESH)


@pytest.mark.parametrize(
    "damaged",
    [
        b"",
        MESH[:-1],
        MESH + b"\0",
        b"\0" * len(MESH),
        b"glTX" + MESH[4:],
        MESH[:20] + b"{" * (len(MESH) - 20),
        PAGE[: len(MESH)],
    ],
)
async def test_what_is_no_whole_glb_is_removed_and_fetched_again(world, damaged):
    world.downloads.damaged = [damaged, damaged]
    (mesh,) = await world.download("mesh")
    assert mesh.sha256 == sha256(MESH)
    assert len(world.downloads.fetched) == 3
    assert world.downloads.found_before == [None, None, None]


@pytest.mark.parametrize("media_type", ["text/html", "text/plain", "application/json", "application/problem+json"])
async def test_a_host_that_calls_it_text_has_sent_no_mesh(world, media_type):
    world.downloads.media_types = [media_type]
    await world.download("mesh")
    assert len(world.downloads.fetched) == 2


@pytest.mark.parametrize("damaged", [PNG[:-5], b"\xff\xd8\xff" + b"x" * 20, b"RIFF\xff\0\0\0WEBP", b"{}"])
async def test_a_texture_without_its_end_is_fetched_again(world, damaged):
    world.add_texture("albedo_1", "3d:texture:albedo")
    world.downloads.damaged = [MESH, damaged]
    _, albedo = await world.download("mesh", "albedo_1")
    assert albedo.sha256 == sha256(PNG)
    assert len(world.downloads.fetched) == 3


async def test_a_mesh_that_is_damaged_at_the_service_ends_the_tries_and_leaves_nothing(world):
    world.service.contents["https://files/mesh"] = MESH[:8] + bytes(4) + MESH[12:]
    with pytest.raises(MeshDamaged, match=f"{ATTEMPTS} tries .* cut or damaged"):
        await world.download("mesh")
    assert len(world.downloads.fetched) == ATTEMPTS
    assert world.storage.names(FOLDER) == []


async def test_a_host_that_drips_is_left_after_a_bounded_time(world):
    class Dripping(SimulatedDownloads):
        async def fetch(self, *_, **__):
            await anyio.sleep(3600)
            raise ConnectionLost("cut")

    world.downloads = Dripping(world.service, world.storage)
    with pytest.raises(StageTimedOut):
        await world.download("mesh")
    assert anyio.current_time() <= TOTAL_S + 1


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
    (mesh,) = await world.download_from(service, "mesh")
    assert mesh.sha256 == sha256(MESH)


async def test_a_side_asset_that_is_never_listed_does_not_cost_the_mesh(world):
    (mesh,) = await world.download("mesh", "thumbnail_that_was_cleared_away")
    assert mesh.role == "mesh"


@pytest.mark.parametrize(("is_new", "least_s", "most_s"), [(True, 60, 120), (False, 2, 15)])
async def test_a_mesh_that_is_gone_is_believed_after_a_while(world, is_new, least_s, most_s):
    """One answer that lacks it may be a hiccup; what is said to be gone may be paid for again."""
    world.service.forget_assets()
    with pytest.raises(ResultGone, match="does not list what it made: mesh"):
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
    world.downloads.troubles = [ConnectionLost("reset")]
    (mesh,) = await world.download_from(service, "mesh", is_new=False)
    assert mesh.sha256 == sha256(MESH)


async def test_a_job_without_a_glb_is_not_waited_for(world):
    world.add_texture("albedo_1", "3d:texture:albedo")
    with pytest.raises(MeshDamaged, match="no GLB mesh but image/png"):
        await world.download("albedo_1")
    assert world.downloads.fetched == []
