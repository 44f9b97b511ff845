"""Publishing: the results manifest and the report, made of the ledger's rows, some hundred rows at a time; while not
all sets are known, also of the rows that earlier runs have published.

What was published is not made again while nothing has changed: the ledger remembers the state of the published files,
what plan they speak of, and whether anything was committed since.
"""

import hashlib
from collections.abc import AsyncGenerator, Callable, Container, Iterable, Iterator, Sequence
from contextlib import aclosing, suppress
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from itertools import islice
from typing import Protocol

from pipeline.batch.outcome import Reckoning
from pipeline.batch.remains import published_rows
from pipeline.batch.terms import Terms
from pipeline.domain.items import Alias, ItemRecord
from pipeline.domain.lifecycle import State
from pipeline.domain.manifest import Manifest
from pipeline.domain.planning import Action, Plan, PlannedItem, RefusedSet
from pipeline.domain.results import ResultRow, refused_rows, row_of
from pipeline.ports.interfaces import Ledger, Storage
from pipeline.stages.deliver import REPORT, RESULTS_CSV, RESULTS_JSONL, publish

ROWS_AT_ONCE = 200


class Report(Protocol):
    """A page about rows that come some at a time."""

    def add(self, rows: Sequence[ResultRow]) -> None: ...

    def html(self) -> str: ...


NewReport = Callable[[], Report]


class Publishing:
    """The results of one manifest, as its ledger has them."""

    def __init__(
        self, terms: Terms, manifest: Manifest, *, ledger: Ledger, storage: Storage, new_report: NewReport | None
    ) -> None:
        self._terms = terms
        self._name = manifest.name
        self._backend = manifest.backend
        self._model = manifest.model
        self._ledger = ledger
        self._storage = storage
        self._new_report = new_report
        self._listed: _Listed | None = None

    async def rows(self, plan: Plan) -> AsyncGenerator[list[ResultRow]]:
        """All rows as the ledger has them now, sorted by set id, variant and copy, some at a time."""
        listed = self._list(plan)
        for some in _some_at_a_time(listed.names):
            yield await self._rows_of(some, listed)

    async def publish(self, plan: Plan, *, is_whole: bool = True) -> Reckoning:
        """Write the results manifest and the report, each atomically; how the rows of the plan stand.

        While the plan is not whole, the rows stay that earlier runs have published of other names.
        """
        reckoning, report = Reckoning(plan), self._new_report() if self._new_report else None
        commits = await self._ledger.commits()

        async def counted() -> AsyncGenerator[list[ResultRow]]:
            async with aclosing(self._rows_to_publish(plan, reckoning, is_whole=is_whole)) as found:
                async for some in found:
                    if report is not None:
                        report.add(some)
                    yield some

        output = self._terms.shelf.output
        await publish(counted(), output=output, storage=self._storage)
        if report is not None:
            await self._storage.write(output / REPORT, report.html().encode())
        await self._ledger.record_publication(
            self._terms.shelf_name,
            plan=self._digest(plan) if is_whole else "",
            files=await self._stamps(),
            commits=commits,
        )
        return reckoning

    async def _rows_to_publish(
        self, plan: Plan, reckoning: Reckoning, *, is_whole: bool
    ) -> AsyncGenerator[list[ResultRow]]:
        """The plan's rows, and in their order the earlier ones among them; some at a time."""
        some: list[ResultRow] = []
        async with aclosing(self._merged(plan, reckoning, is_whole=is_whole)) as rows:
            async for row in rows:
                some.append(row)
                if len(some) >= ROWS_AT_ONCE:
                    yield some
                    some = []
        if some:
            yield some

    async def _merged(self, plan: Plan, reckoning: Reckoning, *, is_whole: bool) -> AsyncGenerator[ResultRow]:
        ours = frozenset[Alias]() if is_whole else frozenset(alias for alias, _ in self._list(plan).names)
        published = published_rows(self._terms.shelf.output, storage=self._storage)
        async with aclosing(published), aclosing(self.rows(plan)) as found:
            earlier = None if is_whole else await _next_other(published, ours)
            async for some in found:
                reckoning.add(some)
                for row in some:
                    while earlier is not None and earlier.alias < row.alias:
                        yield earlier
                        earlier = await _next_other(published, ours)
                    yield row
            while earlier is not None:
                yield earlier
                earlier = await _next_other(published, ours)

    async def standing(self, plan: Plan) -> Reckoning | None:
        """How the rows stand, where what is published is still true; None: it is to be made anew."""
        known = await self._ledger.publication(self._terms.shelf_name)
        if known is None or not known.is_latest or known.plan != self._digest(plan):
            return None
        if known.files != tuple(await self._stamps()):
            return None
        listed, reckoning = self._list(plan), Reckoning(plan)
        reckoning.add_done(plan)
        for some in _some_at_a_time(one for one in listed.names if not _is_done(one[1])):
            reckoning.add(await self._rows_of(some, listed))
        return reckoning

    async def _stamps(self) -> list[str | None]:
        names = (RESULTS_JSONL, RESULTS_CSV, *([REPORT] if self._new_report else []))
        return await self._storage.stamps([self._terms.shelf.output / name for name in names])

    def _list(self, plan: Plan) -> "_Listed":
        if self._listed is None or self._listed.plan is not plan:
            self._listed = _Listed(plan)
        return self._listed

    def _digest(self, plan: Plan) -> str:
        return self._list(plan).digest(f"{_version()} {self._name!r} {self._backend} {self._model}")

    async def _rows_of(self, names: Sequence["_Named"], listed: "_Listed") -> list[ResultRow]:
        keys = list(dict.fromkeys(one.work.key for _, one in names if isinstance(one, PlannedItem)))
        records = {one.key: one for one in await self._ledger.items(keys)}
        deliveries = await self._ledger.deliveries_of(self._terms.shelf_name, keys)
        files = {(one.alias, one.key): one.files for one in deliveries}
        return [
            _refused_row(alias, one, backend=self._backend, model=self._model)
            if isinstance(one, RefusedSet)
            else row_of(
                alias,
                one.work,
                records.get(one.work.key) or _not_begun(one, self._terms),
                backend=self._backend,
                files=files.get((alias, one.work.key), ()),
                findings=listed.remarks.get(alias.set_id, ()),
            )
            for alias, one in names
        ]


def _version() -> str:
    with suppress(PackageNotFoundError):  # it may be run from a folder
        return version("mvmesh")
    return ""


async def _next_other(published: AsyncGenerator[ResultRow | None], ours: Container[Alias]) -> ResultRow | None:
    """The next row that is of none of our names; None: there are no more."""
    async for row in published:
        if row is not None and row.alias not in ours:
            return row
    return None


_Named = tuple[Alias, PlannedItem | RefusedSet]


class _Listed:
    """The names of a plan in the order of their rows."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        items = [(alias, one) for one in plan.items for alias in one.work.aliases]
        refused = [(alias, one) for one in plan.refused for alias in one.aliases]
        self.names: list[_Named] = sorted([*items, *refused], key=lambda named: named[0])
        self.remarks: dict[str, list[str]] = {}
        for alias, finding in plan.notes:
            self.remarks.setdefault(alias.set_id, []).append(finding.message)
        self._digest = ""

    def digest(self, terms: str) -> str:
        """Of all that the rows say beside what the ledger knows."""
        if not self._digest:
            said = hashlib.sha256(terms.encode())
            for alias, one in self.names:
                said.update(f"{alias!r} {_known_by(one)} {self.remarks.get(alias.set_id, '')}\n".encode())
            self._digest = said.hexdigest()
        return self._digest


def _known_by(one: PlannedItem | RefusedSet) -> str:
    if isinstance(one, PlannedItem):
        return one.work.key
    return repr([(finding.kind, finding.message, finding.mend) for finding in one.findings])


def _is_done(one: PlannedItem | RefusedSet) -> bool:
    return isinstance(one, PlannedItem) and one.action is Action.NOTHING


def _some_at_a_time(names: Iterable[_Named]) -> Iterator[list[_Named]]:
    left = iter(names)
    while some := list(islice(left, ROWS_AT_ONCE)):
        yield some


def _refused_row(alias: Alias, refused: RefusedSet, *, backend: str, model: str) -> ResultRow:
    (row,) = refused_rows(replace(refused, aliases=(alias,)), backend=backend, model=model)
    return row


def _not_begun(planned: PlannedItem, terms: Terms) -> ItemRecord:
    return ItemRecord(
        key=planned.work.key,
        state=State.PLANNED,
        service=terms.service,
        project=terms.project,
        model=planned.work.model,
        params=planned.work.params,
        pictures={},
    )
