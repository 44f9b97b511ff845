"""Placing: results stand in the output folder under the names that people gave their sets, and move along with them."""

import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePosixPath

from pipeline.batch.terms import Terms
from pipeline.domain.errors import LocalIoError
from pipeline.domain.items import Alias
from pipeline.domain.lifecycle import State
from pipeline.domain.naming import identity, portable_path
from pipeline.domain.outputs import PREVIEW, file_name, mesh_folder
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

    def places(self, alias: Alias, source: Source) -> list[Path]:
        """Where a file of a result may stand under an alias."""
        name = file_name(alias, source.role, source.suffix)
        return [self._terms.shelf.output / mesh_folder(alias, held=held) / name for held in (False, True)]

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
        previous = await self._ledger.delivery(self._terms.shelf_name, alias)
        if previous is not None and previous.key != key:
            await self._clear(previous)
        files = await deliver(sources, alias, shelf=shelf, held=held, keep_sources=keep_sources, storage=self._storage)
        if preview is not None:
            digest = hashlib.sha256(preview).hexdigest()
            drawn = await deliver_preview(preview, digest, alias, output=shelf.output, storage=self._storage)
            files = (*files, drawn)
        if previous is not None and previous.key == key:
            await self._retire({one.name for one in previous.files} - {one.name for one in files})
        await self._ledger.record_delivery(
            Delivery(
                output=self._terms.shelf_name, alias=alias, key=key, held=held, files=files, delivered_at=self._now()
            )
        )

    async def _clear(self, previous: Delivery) -> None:
        """Another mesh comes where this one stands. The ledger must not take the new one for it, should the run end
        before the new one is recorded: it would hand it on under a wrong name.
        """
        await self._retire({one.name for one in previous.files})
        await self._ledger.forget_delivery(previous.output, previous.alias)

    async def _retire(self, names: Collection[str]) -> None:
        await retire(map(PurePosixPath, sorted(names)), shelf=self._terms.shelf, storage=self._storage)

    async def place_known(
        self, plan: Plan, standing: Mapping[str, Sequence[Delivery]], *, is_stopping: Callable[[], bool]
    ) -> None:
        """Bring meshes that stand under another name to the names they are asked for under; nothing is paid.

        Meshes may have exchanged their names, or changed theirs so little that some file systems see no change: what
        stands where a mesh is to come is secured in staging before anything else. The usual mesh, whose old name
        nobody claims, stays whole under it until it stands under the new one, too. A run that ends in between finds
        every mesh in the output folder or in staging.

        Raises:
            LocalIoError: a mesh has vanished since it was planned.
        """
        claims = _claims(plan)
        moves = [_move_of(planned, standing.get(planned.work.key, ()), claims) for planned in plan.having(Action.PLACE)]
        contested = [one for one in moves if one.is_contested]
        for move in contested:
            if is_stopping():
                return
            await self._secure(move)
        for move in moves:
            await self._drop([old for old in move.outdated if place_of(old.alias) in claims])
        for move in moves:
            if is_stopping():
                return
            await self._place_known(move)
            await self._drop([old for old in move.outdated if place_of(old.alias) not in claims])

    async def _secure(self, move: "_Move") -> None:
        output, key = self._terms.shelf.output, move.planned.work.key
        for file in move.source.files:
            if (await self._storage.sizes([output / file.name]))[0] is not None:
                await self._storage.copy(output / file.name, self._terms.staged(key, file.role))

    async def _place_known(self, move: "_Move") -> None:
        planned, output = move.planned, self._terms.shelf.output
        sources, preview_path = sources_of(move.source.files, output), _preview_path(move.source, output)
        if move.is_contested:
            staged = partial(self._terms.staged, planned.work.key)
            sources = [replace(one, path=staged(one.role)) for one in sources]
            preview_path = staged(PREVIEW)
        preview = await self._picture(preview_path)
        held = planned.record is not None and planned.record.state is State.HELD
        for alias in planned.unplaced:
            await self.place(planned.work.key, alias, sources, preview, held=held, keep_sources=True)
        if move.is_contested:
            await self._storage.remove([*(one.path for one in sources), *([preview_path] if preview_path else [])])

    async def _picture(self, path: Path | None) -> bytes | None:
        if path is None or (await self._storage.sizes([path]))[0] is None:
            return None
        return await self._storage.read(path)

    async def _drop(self, outdated: Sequence[Delivery]) -> None:
        """The mesh has moved along: nothing stays under a name that nobody asks for any more."""
        for old in outdated:
            await self._storage.remove([self._terms.shelf.output / file.name for file in old.files])
            await self._ledger.forget_delivery(old.output, old.alias)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Move:
    """A mesh on its way from one name to others."""

    planned: PlannedItem
    source: Delivery
    is_contested: bool
    """Something else is to come where the source stands."""
    outdated: tuple[Delivery, ...]
    """Where it stands under names that nobody asks for any more."""


def _move_of(planned: PlannedItem, standing: Sequence[Delivery], claims: Mapping[str, Collection[Alias]]) -> _Move:
    if not standing:
        raise LocalIoError(
            f"the mesh of {planned.work.aliases[0].label} has vanished from the output folder since it was planned",
            mend="run again: it is fetched from the service",
        )

    def is_contested(one: Delivery) -> bool:
        claimed = claims.get(place_of(one.alias), ())
        return bool(claimed) and not (one.alias in claimed and one.alias in planned.work.aliases)

    source = min(standing, key=is_contested)
    wanted = {alias for claimed in claims.values() for alias in claimed}
    return _Move(
        planned=planned,
        source=source,
        is_contested=is_contested(source),
        outdated=tuple(one for one in standing if one.alias not in wanted),
    )


def _claims(plan: Plan) -> Mapping[str, Collection[Alias]]:
    """By place in the output folder: the names that it belongs to. A refused set's mesh of old keeps its place."""
    refused = (alias for one in plan.refused for alias in one.aliases)
    claims: dict[str, set[Alias]] = {}
    for alias in (*refused, *(alias for one in plan.items for alias in one.work.aliases)):
        claims.setdefault(place_of(alias), set()).add(alias)
    return claims


def place_of(alias: Alias) -> str:
    """What two names share whose files some file system would take for the same: another case, another Unicode form."""
    return identity(str(portable_path(alias.set_id, alias.suffix)))


def _preview_path(delivery: Delivery, output: Path) -> Path | None:
    return next((output / one.name for one in delivery.files if one.role == PREVIEW), None)
