"""The survey before a run: what there is, what has been done, what is left and what it costs. Spends nothing."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import anyio
from anyio import CapacityLimiter

from pipeline.batch.terms import EMBEDDED, Terms
from pipeline.domain.items import Alias, CheckedSet, ImageSet, WorkItem
from pipeline.domain.manifest import Manifest
from pipeline.domain.model import schema_known_of
from pipeline.domain.outputs import PREVIEW
from pipeline.domain.planning import Plan, PlannedItem, Variant, decide, work_items
from pipeline.ports.interfaces import Delivery, Images, Ledger, Storage
from pipeline.stages.discover import discover
from pipeline.stages.preflight import preflight

PREFLIGHT_WORKERS = 8


async def survey(manifest: Manifest, terms: Terms, *, images: Images, storage: Storage, ledger: Ledger) -> Plan:
    """Discover, preflight and plan. No request leaves the machine.

    Raises:
        UsageError: the manifest's folders are not as it says.
    """
    checked = await check(await discover(manifest), images=images, ledger=ledger)
    works, refused = work_items(
        checked,
        variants_of(manifest),
        defaults=manifest.defaults,
        service=terms.service,
        project=terms.project,
        model=manifest.model,
        schema=schema_known_of(manifest.model),
    )
    notes = tuple(
        (Alias(set_id=one.image_set.set_id), finding)
        for one in checked
        if not one.is_refused
        for finding in one.findings
    )
    items = await _decided(works, terms, ledger=ledger, storage=storage)
    return Plan(items=tuple(items), refused=tuple(refused), notes=notes)


def variants_of(manifest: Manifest) -> list[Variant]:
    """The manifest's variants; the one nameless variant where it has none."""
    return [Variant(name=one.name, params=one.params) for one in manifest.variants] or [Variant(params={})]


async def check(sets: Sequence[ImageSet], *, images: Images, ledger: Ledger | None) -> list[CheckedSet]:
    """Preflight of all sets, a bounded number at a time, in the order of the sets."""
    checked: dict[int, CheckedSet] = {}
    limit = CapacityLimiter(PREFLIGHT_WORKERS)

    async def one(at: int, image_set: ImageSet) -> None:
        async with limit:
            checked[at] = await preflight(image_set, images=images, ledger=ledger)

    async with anyio.create_task_group() as tasks:
        for at, image_set in enumerate(sets):
            tasks.start_soon(one, at, image_set)
    return [checked[at] for at in range(len(sets))]


async def _decided(works: Sequence[WorkItem], terms: Terms, *, ledger: Ledger, storage: Storage) -> list[PlannedItem]:
    records = {one.key: one for one in await ledger.items([work.key for work in works])}
    standing = await standing_deliveries(terms, ledger=ledger, storage=storage)
    found = []
    for work in works:
        here = standing.get(work.key, ())
        intact = [one.alias for one in here if one.alias in work.aliases]
        found.append(
            decide(
                work,
                records.get(work.key),
                intact=intact,
                has_source=bool(here),
                results_last=terms.service != EMBEDDED,
            )
        )
    return found


async def standing_deliveries(terms: Terms, *, ledger: Ledger, storage: Storage) -> Mapping[str, Sequence[Delivery]]:
    """By content key: the deliveries whose files all stand in the output folder with the size they were recorded with.

    Names and sizes are compared, not bytes: ``mvmesh verify`` reads the bytes.
    """
    output = terms.shelf.output
    deliveries = await ledger.deliveries(terms.shelf_name)
    paths = [output / file.name for one in deliveries for file in one.files]
    sizes = dict(zip(paths, await storage.sizes(paths), strict=True))
    found: dict[str, list[Delivery]] = {}
    for one in deliveries:
        if _is_whole(one, output, sizes):
            found.setdefault(one.key, []).append(one)
    return found


def _is_whole(delivery: Delivery, output: Path, sizes: Mapping[Path, int | None]) -> bool:
    needed = [file for file in delivery.files if file.role != PREVIEW]
    return all(sizes[output / file.name] == file.size_bytes for file in needed)
