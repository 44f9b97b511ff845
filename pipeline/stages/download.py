"""Download: what a job made comes to the disk, whole or not at all. The retry of a download lives here."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import anyio

from pipeline.domain.errors import MeshDamaged, ServiceFault, StageTimedOut, TryAgain
from pipeline.domain.jobs import Asset
from pipeline.domain.outputs import WantedAsset, has_mesh, wanted
from pipeline.ports.interfaces import Downloaded, Downloads, Scenario

ATTEMPTS = 6
LONGEST_PAUSE_S = 20.0
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


class ResultGone(MeshDamaged):
    """The service no longer has what the job made."""


async def download(
    asset_ids: Sequence[str], folder: Path, *, scenario: Scenario, downloads: Downloads, is_new: bool
) -> list[Fetched]:
    """The mesh and the textures of a job, below ``folder`` under temporary names.

    Args:
        asset_ids: what the job made.
        folder: a folder of this item alone. A try that broke off is resumed by the next one; a new run begins anew.
        scenario: tells where the files are, with fresh signed URLs.
        downloads: fetches them.
        is_new: the job has just ended: its assets may take a while to be listed.

    Raises:
        ResultGone: the service does not know the mesh (any more).
        MeshDamaged: no GLB among them.
        StageTimedOut: all tries failed, or brought damaged files.
    """
    assets = await _listed(asset_ids, scenario, patience_s=LISTING_S if is_new else SECOND_LOOKS_S)
    return [await _fetch(one, folder, scenario, downloads) for one in wanted(assets)]


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
            raise ResultGone(f"the service has no asset {', '.join(missing)}", mend="generate it again")
        await anyio.sleep(pause_s)
        waited_s, pause_s = waited_s + pause_s, min(pause_s * 2, LONGEST_PAUSE_S)


async def _fetch(one: WantedAsset, folder: Path, scenario: Scenario, downloads: Downloads) -> Fetched:
    target = folder / f"{one.role}.part"
    asset, last = one.asset, ""
    for attempt in range(ATTEMPTS):
        try:
            if attempt:
                await anyio.sleep(_pause(attempt))
                asset = await _signed_again(asset.asset_id, scenario)
            got = await downloads.fetch(asset.url, target, expected_bytes=asset.size_bytes)
        except (TryAgain, MeshDamaged) as error:
            last = str(error)
            if isinstance(error, TryAgain) and error.retry_after_s:
                await anyio.sleep(min(error.retry_after_s, LONGEST_PAUSE_S))
        else:
            return _fetched(one, target, got)
    raise StageTimedOut(
        f"the {one.role} could not be downloaded in {ATTEMPTS} tries: {last}",
        mend="run again: the job is paid and is not submitted anew",
    )


def _pause(attempt: int) -> float:
    """Full jitter (M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015)."""
    return random.uniform(0, min(0.5 * 2**attempt, LONGEST_PAUSE_S))  # noqa: S311 - spreads load, hides nothing


async def _signed_again(asset_id: str, scenario: Scenario) -> Asset:
    """URLs are short-lived: a further try asks for a fresh one."""
    listed = await scenario.assets([asset_id])
    if not listed:
        raise ServiceFault(f"the service does not tell of asset {asset_id} just now")
    return listed[0]


def _fetched(one: WantedAsset, path: Path, got: Downloaded) -> Fetched:
    return Fetched(
        role=one.role,
        path=path,
        suffix=one.suffix,
        media_type=one.asset.media_type or got.media_type,
        size_bytes=got.size_bytes,
        sha256=got.sha256,
    )
