"""Uploads shared by all work items: each distinct picture is sent once per service and project."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from anyio import CancelScope, CapacityLimiter, Event, create_task_group

from pipeline.batch.terms import Terms
from pipeline.domain.errors import AbortRun, MvmeshError, RequestRefused
from pipeline.domain.items import Picture, WorkItem
from pipeline.domain.views import View
from pipeline.ports.interfaces import Images, Ledger, Scenario, UploadEntry
from pipeline.stages.upload import upload


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    """A picture that the service is to have, as one of its copies."""

    picture: Picture
    view: View
    copy: int

    @property
    def name(self) -> tuple[str, int]:
        return self.picture.sha256, self.copy


@dataclass(slots=True)
class _Outcome:
    """What became of pictures that were sent side by side."""

    sent: list[UploadEntry] = field(default_factory=list)
    error: MvmeshError | None = None


class Uploads:
    """Knows, by way of the ledger, which pictures the service has, and sends those it lacks."""

    def __init__(self, terms: Terms, *, scenario: Scenario, images: Images, ledger: Ledger, at_once: int) -> None:
        self._terms = terms
        self._scenario = scenario
        self._images = images
        self._ledger = ledger
        self._turns = CapacityLimiter(at_once)
        self._claimed: dict[str, Event] = {}
        """By SHA-256: pictures that some work item is looking up or sending just now."""

    async def asset(self, work: WorkItem, view: View) -> str:
        """The asset id of one view's picture; see ``assets``."""
        return (await self.assets(work, [view]))[view]

    async def assets(self, work: WorkItem, views: Collection[View]) -> dict[View, str]:
        """The asset ids of these views' pictures; what the service lacks is sent, side by side.

        A further copy of a work item has a front picture of its own, so that its job can be told from the others.

        Raises:
            RequestRefused: the service does not take a picture, or has no asset of its own for a further copy. The
                others are sent, and known, all the same.
        """
        wanted = {view: _wanted(work, view) for view in views}
        left = {one.name: one for one in wanted.values()}
        known: dict[tuple[str, int], str] = {}
        while left:
            known |= await self._claimed_of(left.values())
            left = {name: one for name, one in left.items() if name not in known}
            for one in left.values():  # another work item has them in hand: what it cannot send is ours to try
                if other := self._claimed.get(one.picture.sha256):
                    await other.wait()
        return {view: known[one.name] for view, one in wanted.items()}

    async def _claimed_of(self, wanted: Iterable[_Wanted]) -> Mapping[tuple[str, int], str]:
        """The assets of those that no other work item has in hand. A claim ends when they are recorded and comes before
        they are looked up, so that nothing is sent twice; who waits for others' claims holds none.
        """
        ours = [one for one in wanted if one.picture.sha256 not in self._claimed]
        claim = Event()
        digests = {one.picture.sha256 for one in ours}
        self._claimed |= dict.fromkeys(digests, claim)
        try:
            known = await self._ledger.uploads(
                service=self._terms.service, project=self._terms.project, pictures=[one.name for one in ours]
            )
            return {**known, **await self._send([one for one in ours if one.name not in known])}
        finally:
            for digest in digests:
                del self._claimed[digest]
            claim.set()

    async def _send(self, missing: Collection[_Wanted]) -> Mapping[tuple[str, int], str]:
        if not missing:
            return {}
        outcome = _Outcome()
        try:
            async with create_task_group() as group:
                for one in missing:
                    group.start_soon(self._send_one, one, outcome, group.cancel_scope)
        finally:
            with CancelScope(shield=True):
                await self._record(missing, outcome)
        if outcome.error is not None:
            raise outcome.error
        return {(one.sha256, one.copy): one.asset_id for one in outcome.sent}

    async def _send_one(self, one: _Wanted, outcome: _Outcome, others: CancelScope) -> None:
        try:
            asset_id = await upload(
                one.picture,
                one.view,
                copy=one.copy,
                images=self._images,
                scenario=self._scenario,
                gallery=self._terms.gallery,
                turns=self._turns,
            )
        except MvmeshError as error:
            outcome.error = outcome.error or error
            if isinstance(error, AbortRun):
                others.cancel()
        else:
            outcome.sent.append(UploadEntry(sha256=one.picture.sha256, copy=one.copy, asset_id=asset_id))

    async def _record(self, missing: Collection[_Wanted], outcome: _Outcome) -> None:
        """With one commit, before anything is made of them."""
        if not outcome.sent:
            return
        shared = await self._ledger.record_uploads(
            service=self._terms.service, project=self._terms.project, entries=outcome.sent
        )
        for entry, other in shared.items():
            picture = next(one.picture for one in missing if one.name == (entry.sha256, entry.copy))
            outcome.error = outcome.error or _same_asset(picture, entry, other)

    async def forget(self, asset_ids: tuple[str, ...]) -> None:
        """The service no longer knows these: they are sent again when they are needed."""
        await self._ledger.forget_uploads(service=self._terms.service, project=self._terms.project, asset_ids=asset_ids)


def _wanted(work: WorkItem, view: View) -> _Wanted:
    return _Wanted(picture=work.pictures[view], view=view, copy=work.copy if view is View.FRONT else 1)


def _same_asset(picture: Picture, entry: UploadEntry, other: int) -> RequestRefused:
    """Their jobs would have equal inputs: after a lost answer nobody could tell which of them was paid."""
    return RequestRefused(
        f"the service keeps one asset ({entry.asset_id}) for copy {other} and copy {entry.copy} of {picture.path}: "
        "their jobs could not be told apart",
        mend="leave `copies` out, and give a further mesh a set of its own, with its front picture saved anew",
    )
