"""The survey before a run: what there is, what has been done, what is left and what it costs. Spends nothing."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path

from pipeline.batch.placing import place_of
from pipeline.batch.terms import EMBEDDED, Terms
from pipeline.domain.items import Alias, CheckedSet, Finding, ImageSet, WorkItem
from pipeline.domain.lifecycle import State
from pipeline.domain.manifest import Manifest
from pipeline.domain.model import schema_known_of
from pipeline.domain.outputs import PREVIEW
from pipeline.domain.planning import TO_DO, Action, Plan, PlannedItem, Variant, WorkList, decide
from pipeline.ports.interfaces import Delivery, Images, Ledger, Storage
from pipeline.stages.discover import discovered, refuse_problems
from pipeline.stages.preflight import preflight_all

CHUNK = 256
"""Sets that are looked at together."""


class Survey:
    """What there is and what is to be done about it, found chunk by chunk, so that a run can begin with the first sets
    of a large library while the others are still being looked at.
    """

    def __init__(
        self,
        manifest: Manifest,
        terms: Terms,
        *,
        images: Images,
        storage: Storage,
        ledger: Ledger,
        chunk: int = CHUNK,
    ) -> None:
        """``chunk`` sets are looked at together."""
        self._manifest = manifest
        self._terms = terms
        self._images = images
        self._storage = storage
        self._ledger = ledger
        self._list = WorkList(
            variants_of(manifest),
            defaults=manifest.defaults,
            service=terms.service,
            project=terms.project,
            model=manifest.model,
            schema=schema_known_of(manifest.model),
            consistency=manifest.preflight.consistency,
        )
        self._items: dict[str, PlannedItem] = {}
        self._actions: Counter[Action] = Counter()
        self._notes: list[tuple[Alias, Finding]] = []
        self._taken: set[str] | None = None
        self._sets = discovered(manifest, chunk=chunk)
        self.is_whole = False

    async def go_on(self) -> list[PlannedItem]:
        """The items of the next sets, as they are to be done so far: of equal pictures that come later, an item gets
        further names. Empty as well where those sets are all refused; see ``is_whole``.

        Raises:
            UsageError: the manifest's folders are not as it says; some of that shows at the end alone.
        """
        sets = await anext(self._sets, None)
        if sets is None:
            self.is_whole = True
            return []
        return await self._looked_at(sets)

    async def head(self) -> list[PlannedItem]:
        """Go on until the first items are found that are ``free``, and one chunk further: a small library is whole by
        then, and known before anything is made.

        Raises:
            UsageError: the manifest's folders are not as it says. Where several entries might claim the same sets, all
                of that is found out here; with one entry, names that some file systems take for one may come later.
        """
        if len(self._manifest.sets) > 1:
            await refuse_problems(self._manifest)
        first: list[PlannedItem] = []
        while not self.is_whole and not first:
            first = await self.free(await self.go_on())
        if first:
            first += await self.free(await self.go_on())
        return first

    async def aclose(self) -> None:
        """Whether or not it has come to its end."""
        await self._sets.aclose()

    @property
    def plan(self) -> Plan:
        """What was found so far."""
        return Plan(items=tuple(self._items.values()), refused=tuple(self._list.refused), notes=tuple(self._notes))

    @property
    def to_do(self) -> int:
        """How many of the items found so far need doing."""
        return sum(self._actions[one] for one in TO_DO)

    @property
    def done(self) -> int:
        """How many are as they should be: what is left to a person is not."""
        return self._actions[Action.NOTHING]

    async def _looked_at(self, sets: Sequence[ImageSet]) -> list[PlannedItem]:
        keys: dict[str, None] = {}
        for checked in await preflight_all(sets, images=self._images, ledger=self._ledger):
            keys |= dict.fromkeys(self._list.add(checked))
            if not checked.is_refused:
                self._notes += _notes_of(checked)
        found = await self._decided([self._list.works[key] for key in keys])
        for one in found:
            if before := self._items.get(one.work.key):
                self._actions[before.action] -= 1
            self._items[one.work.key] = one
            self._actions[one.action] += 1
        return found

    async def _decided(self, works: Sequence[WorkItem]) -> list[PlannedItem]:
        """A delivered item whose files stand is done: its record is not even read."""
        states = await self._ledger.states([work.key for work in works])
        standing = await standing_deliveries(self._terms, list(states), ledger=self._ledger, storage=self._storage)
        intact = {key: frozenset(one.alias for one in found) for key, found in standing.items()}
        done = {
            work.key
            for work in works
            if states.get(work.key) is State.DELIVERED and intact.get(work.key, frozenset()).issuperset(work.aliases)
        }
        others = [key for key in states if key not in done]
        records = {one.key: one for one in await self._ledger.items(others)} if others else {}
        return [
            PlannedItem(work=work, action=Action.NOTHING)
            if work.key in done
            else decide(
                work,
                records.get(work.key),
                intact=[alias for alias in work.aliases if alias in intact.get(work.key, ())],
                has_source=work.key in standing,
                results_last=self._terms.service != EMBEDDED,
            )
            for work in works
        ]

    async def free(self, items: Iterable[PlannedItem]) -> list[PlannedItem]:
        """Those that can be made before all sets are known: what is asked of the service, for a place in the output
        folder where nothing was delivered before. A mesh that stands may belong to a set that comes later under
        another name, and must not be driven away.
        """
        wanted = [one for one in items if one.action in {Action.GENERATE, Action.RESUME}]
        if wanted and self._taken is None:
            self._taken = set(map(place_of, await self._ledger.delivered_names(self._terms.shelf_name)))
        return [
            one for one in wanted if self._taken is not None and self._taken.isdisjoint(map(place_of, one.work.aliases))
        ]


async def survey(manifest: Manifest, terms: Terms, *, images: Images, storage: Storage, ledger: Ledger) -> Plan:
    """Discover, preflight and plan all of it. No request leaves the machine.

    Raises:
        UsageError: the manifest's folders are not as it says.
    """
    async with aclosing(Survey(manifest, terms, images=images, storage=storage, ledger=ledger)) as looking:
        while not looking.is_whole:
            await looking.go_on()
        return looking.plan


def _notes_of(checked: CheckedSet) -> list[tuple[Alias, Finding]]:
    return [(Alias(set_id=checked.image_set.set_id), finding) for finding in checked.findings]


def variants_of(manifest: Manifest) -> list[Variant]:
    """The manifest's variants; the one nameless variant where it has none."""
    return [Variant(name=one.name, params=one.params) for one in manifest.variants] or [Variant(params={})]


async def check(sets: Sequence[ImageSet], *, images: Images, ledger: Ledger | None) -> list[CheckedSet]:
    """Preflight of all sets, in their order."""
    return [
        one
        for at in range(0, len(sets), CHUNK)
        for one in await preflight_all(sets[at : at + CHUNK], images=images, ledger=ledger)
    ]


async def standing_deliveries(
    terms: Terms, keys: Sequence[str], *, ledger: Ledger, storage: Storage
) -> Mapping[str, Sequence[Delivery]]:
    """By content key, of these: the deliveries whose files all stand in the output folder with the size they were
    recorded with.

    Names and sizes are compared, not bytes: ``mvmesh verify`` reads the bytes.
    """
    output = terms.shelf.output
    deliveries = await ledger.deliveries_of(terms.shelf_name, keys) if keys else []
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
