"""Download: what a job made comes to the disk, whole or not at all. The retry of a download lives here."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import anyio
from anyio import CapacityLimiter

from pipeline.domain.errors import MeshDamaged, MvmeshError, ServiceFault, StageTimedOut, TryAgain
from pipeline.domain.expiry import is_nearly_over
from pipeline.domain.items import MeshFacts
from pipeline.domain.jobs import Asset
from pipeline.domain.media import is_text
from pipeline.domain.outputs import MESH, WantedAsset, has_mesh, wanted
from pipeline.domain.texts import one_line
from pipeline.ports.gate import full_jitter_s
from pipeline.ports.interfaces import Downloaded, Downloads, Now, Scenario, Storage
from pipeline.ports.wholeness import mesh_facts, refuse_damaged_picture

ATTEMPTS = 8
TOTAL_S = 7200.0
"""How long all tries of one file may take together."""
FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 20.0
LONGEST_WISH_S = 300.0
"""The longest pause that is granted to a host which asks for one."""
LISTING_S = 60.0
"""How long a finished job's assets may take to be listed."""
SECOND_LOOKS_S = 5.0
"""How long assets that were listed before are looked for: one answer that lacks them may be a hiccup."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """A downloaded file, still under its temporary name."""

    role: str
    path: Path
    suffix: str
    media_type: str
    size_bytes: int
    sha256: str
    facts: MeshFacts | None
    """What the mesh says of itself."""


class ResultGone(MeshDamaged):
    """Not listed (yet), or not any more: nobody can tell. The service no longer has what the job made."""


async def download(
    asset_ids: Sequence[str],
    place: Callable[[str], Path],
    *,
    scenario: Scenario,
    downloads: Downloads,
    storage: Storage,
    now: Now,
    turns: CapacityLimiter,
    is_new: bool,
) -> list[Fetched]:
    """The mesh and the textures of a job under temporary names, each of them whole.

    Args:
        asset_ids: what the job made.
        place: where a file goes, by its role. A try that broke off is resumed by the next one; a new run begins anew.
        scenario: tells where the files are, with fresh signed URLs.
        downloads: fetches them.
        storage: reads what was fetched, and removes what is damaged.
        now: tells whether a URL is about to expire.
        turns: files are fetched within one of these; where they are is asked before, by many together.
        is_new: the job has just ended: its assets may take a while to be listed.

    Raises:
        ResultGone: the service does not know the mesh (any more).
        MeshDamaged: no GLB among them, or a file that was damaged to the last try.
        StageTimedOut: all tries failed, or took too long.
    """
    assets = await _listed(asset_ids, scenario, patience_s=LISTING_S if is_new else SECOND_LOOKS_S)
    files = wanted(assets)
    fetching = _Fetching(files, place, scenario=scenario, downloads=downloads, storage=storage, now=now)
    async with turns:
        return [await fetching.fetch(one) for one in files]


async def _listed(asset_ids: Sequence[str], scenario: Scenario, *, patience_s: float) -> list[Asset]:
    """All assets; those that are there when patience ends, if the mesh is among them."""
    pause_s, waited_s = 0.5, 0.0
    while True:
        assets = await scenario.assets(asset_ids)
        if len(assets) == len(set(asset_ids)):
            return assets
        if waited_s >= patience_s and has_mesh(assets):
            return assets
        if waited_s >= patience_s:
            missing = sorted(set(asset_ids) - {one.asset_id for one in assets})
            raise ResultGone(
                one_line(f"the job ended well, but the service does not list what it made: {', '.join(missing)}"),
                mend="run again: it is asked for once more. Where it is gone for good, `mvmesh retry --anew NAME` has "
                "it made again, at its price",
            )
        await anyio.sleep(pause_s)
        waited_s, pause_s = waited_s + pause_s, min(pause_s * 2, LONGEST_PAUSE_S)


class _Fetching:
    """Fetches the files of one job to their places, with as many tries as the bounds allow."""

    def __init__(
        self,
        files: Sequence[WantedAsset],
        place: Callable[[str], Path],
        *,
        scenario: Scenario,
        downloads: Downloads,
        storage: Storage,
        now: Now,
    ) -> None:
        self._assets = {one.asset.asset_id: one.asset for one in files}
        self._place = place
        self._scenario = scenario
        self._downloads = downloads
        self._storage = storage
        self._now = now

    async def fetch(self, one: WantedAsset) -> Fetched:
        target, last = self._place(one.role), None
        with anyio.move_on_after(TOTAL_S):
            for tried in range(ATTEMPTS):
                try:
                    if last is not None:
                        await anyio.sleep(_pause_s(last, tried))
                    asset = await self._signed(one.asset.asset_id, again=last is not None)
                    return _fetched(one, target, *await self._whole(one.role, asset, target))
                except (TryAgain, MeshDamaged) as error:
                    last = error
        given_up = MeshDamaged if isinstance(last, MeshDamaged) else StageTimedOut
        raise given_up(
            f"the {one.role} could not be downloaded in {ATTEMPTS} tries or {TOTAL_S / 3600:g} hours: "
            f"{last or 'the host is too slow'}",
            mend="run again: the job is paid and is not submitted anew. Where its file is gone for good, `mvmesh retry "
            "--anew NAME` has it made again, at its price",
        )

    async def _signed(self, asset_id: str, *, again: bool) -> Asset:
        """URLs are short-lived: a further try asks for a fresh one, and so does a first one that comes late. The other
        files' come with it: they were signed at the same time.
        """
        asset = self._assets[asset_id]
        if not again and not is_nearly_over(asset.url, self._now()):
            return asset
        listed = {one.asset_id: one for one in await self._scenario.assets(list(self._assets))}
        self._assets |= listed
        if asset_id not in listed:
            raise ServiceFault(f"the service does not tell of asset {asset_id} just now")
        return listed[asset_id]

    async def _whole(self, role: str, asset: Asset, target: Path) -> tuple[Downloaded, MeshFacts | None]:
        """One try. A damaged file is removed, so that nothing of it is ever resumed."""
        try:
            got = await self._downloads.fetch(asset.url, target, expected_bytes=asset.size_bytes)
            return got, await self._check(role, asset, got, target)
        except MeshDamaged:
            await self._storage.remove([target])
            raise

    async def _check(self, role: str, asset: Asset, got: Downloaded, target: Path) -> MeshFacts | None:
        is_picture = asset.media_type.startswith("image/")
        if (role == MESH or is_picture) and is_text(got.media_type):
            raise MeshDamaged(f"the host sent {got.media_type} in place of the {role}")
        if role == MESH:
            return await mesh_facts(target, self._storage, head=got.head, size_bytes=got.size_bytes)
        if is_picture:
            await refuse_damaged_picture(target, self._storage)
        return None


def _pause_s(error: MvmeshError, tried: int) -> float:
    """Full jitter, on top of the pause that the host wishes."""
    wish_s = (error.retry_after_s or 0.0) if isinstance(error, TryAgain) else 0.0
    return min(wish_s, LONGEST_WISH_S) + full_jitter_s(tried - 1, first_s=FIRST_PAUSE_S, longest_s=LONGEST_PAUSE_S)


def _fetched(one: WantedAsset, path: Path, got: Downloaded, facts: MeshFacts | None) -> Fetched:
    return Fetched(
        role=one.role,
        path=path,
        suffix=one.suffix,
        media_type=one.asset.media_type or got.media_type,
        size_bytes=got.size_bytes,
        sha256=got.sha256,
        facts=facts,
    )
