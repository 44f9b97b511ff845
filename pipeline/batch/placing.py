"""Placing: results stand in the output folder under the names that people gave their sets, and move along with them."""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from pathlib import PurePosixPath

from pipeline.batch.terms import Terms
from pipeline.domain.items import Alias, OutputFile
from pipeline.domain.lifecycle import State
from pipeline.domain.outputs import PREVIEW
from pipeline.domain.planning import Action, Plan, PlannedItem
from pipeline.ports.interfaces import Delivery, Ledger, Now, Storage
from pipeline.stages.deliver import Source, deliver, deliver_preview, retire, sources_of


class Placing:
    """Puts results to their places and records where they stand."""

    def __init__(self, terms: Terms, *, storage: Storage, ledger: Ledger, now: Now) -> None:
        self._terms = terms
        self._storage = storage
        self._ledger = ledger
        self._now = now

    async def place(
        self,
        key: str,
        alias: Alias,
        sources: Sequence[Source],
        preview: bytes | None,
        *,
        held: bool,
        keep_sources: bool,
    ) -> None:
        """Deliver one result under one alias and record it; what stood there before is kept in ``replaced/``.

        Raises:
            SourceGone: a source is missing and does not stand at its place already.
        """
        shelf = self._terms.shelf
        files = await deliver(sources, alias, shelf=shelf, held=held, keep_sources=keep_sources, storage=self._storage)
        if preview is not None:
            digest = hashlib.sha256(preview).hexdigest()
            drawn = await deliver_preview(preview, digest, alias, output=shelf.output, storage=self._storage)
            files = (*files, drawn)
        await self._retire_stale(alias, files)
        await self._ledger.record_delivery(
            Delivery(output=str(shelf.output), alias=alias, key=key, held=held, files=files, delivered_at=self._now())
        )

    async def _retire_stale(self, alias: Alias, files: Sequence[OutputFile]) -> None:
        """What an earlier result had under this alias and this one has not: no file stays beside a foreign mesh."""
        previous = await self._ledger.delivery(str(self._terms.shelf.output), alias)
        if previous is not None:
            names = {one.name for one in previous.files} - {one.name for one in files}
            await retire([PurePosixPath(one) for one in names], shelf=self._terms.shelf, storage=self._storage)

    async def place_known(self, plan: Plan, standing: Mapping[str, Sequence[Delivery]]) -> None:
        """Bring meshes that stand under another name to the names they are asked for under; nothing is paid.

        All sources are secured first: names may have been exchanged between sets.
        """
        wanted = {alias for one in plan.items for alias in one.work.aliases}
        todo = [(one, standing[one.work.key][0]) for one in plan.having(Action.PLACE)]
        for planned, delivery in todo:
            await self._secure(planned.work.key, delivery)
        for planned, delivery in todo:
            await self._place_secured(planned, delivery)
        for planned, _ in todo:
            await self._drop_renamed(standing[planned.work.key], wanted)

    async def _secure(self, key: str, delivery: Delivery) -> None:
        for source in sources_of(delivery.files, self._terms.shelf.output):
            await self._storage.copy(source.path, self._terms.staging_of(key) / f"{source.role}.part")

    async def _place_secured(self, planned: PlannedItem, delivery: Delivery) -> None:
        key, record = planned.work.key, planned.record
        folder = self._terms.staging_of(key)
        sources = [
            Source(
                role=one.role,
                path=folder / f"{one.role}.part",
                suffix=one.suffix,
                media_type=one.media_type,
                size_bytes=one.size_bytes,
                sha256=one.sha256,
            )
            for one in sources_of(delivery.files, self._terms.shelf.output)
        ]
        preview = await self._preview_of(delivery)
        held = record is not None and record.state is State.HELD
        for alias in planned.unplaced:
            await self.place(key, alias, sources, preview, held=held, keep_sources=alias != planned.unplaced[-1])
        await self._storage.remove([one.path for one in sources])

    async def _preview_of(self, delivery: Delivery) -> bytes | None:
        for file in delivery.files:
            path = self._terms.shelf.output / file.name
            if file.role == PREVIEW and (await self._storage.sizes([path]))[0] is not None:
                return await self._storage.read(path)
        return None

    async def _drop_renamed(self, standing: Sequence[Delivery], wanted: Collection[Alias]) -> None:
        """The mesh has moved along: nothing stays under a name that nobody asks for any more."""
        output = self._terms.shelf.output
        for old in standing:
            if old.alias not in wanted:
                await self._ledger.forget_delivery(old.output, old.alias)
                await self._storage.remove([output / file.name for file in old.files])
