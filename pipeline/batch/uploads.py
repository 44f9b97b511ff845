"""Uploads shared by all work items: each distinct picture is sent once per service and project."""

from anyio import CapacityLimiter, Lock

from pipeline.batch.terms import Terms
from pipeline.domain.errors import RequestRefused
from pipeline.domain.items import Picture, WorkItem
from pipeline.domain.views import View
from pipeline.ports.interfaces import Images, Ledger, Scenario
from pipeline.stages.upload import upload


class Uploads:
    """Knows, by way of the ledger, which pictures the service has, and sends those it lacks."""

    def __init__(self, terms: Terms, *, scenario: Scenario, images: Images, ledger: Ledger, at_once: int) -> None:
        self._terms = terms
        self._scenario = scenario
        self._images = images
        self._ledger = ledger
        self._limit = CapacityLimiter(at_once)
        self._locks: dict[str, Lock] = {}

    async def asset(self, work: WorkItem, view: View) -> str:
        """The asset id of one view's picture.

        A further copy of a work item has a front picture of its own, so that its job can be told from the others.

        Raises:
            RequestRefused: the service does not take the picture, or has no asset of its own for a further copy.
        """
        picture = work.pictures[view]
        copy = work.copy if view is View.FRONT else 1
        async with self._locks.setdefault(picture.sha256, Lock()):
            known = await self._ledger.upload(
                service=self._terms.service, project=self._terms.project, sha256=picture.sha256, copy=copy
            )
            return known or await self._send(picture, view, copy)

    async def _send(self, picture: Picture, view: View, copy: int) -> str:
        async with self._limit:
            asset_id = await upload(
                picture, view, copy=copy, images=self._images, scenario=self._scenario, gallery=self._terms.gallery
            )
        service, project = self._terms.service, self._terms.project
        if other := await self._ledger.other_copy(
            service=service, project=project, sha256=picture.sha256, copy=copy, asset_id=asset_id
        ):
            raise _same_asset(picture, asset_id, copy, other)
        await self._ledger.record_upload(
            service=service, project=project, sha256=picture.sha256, copy=copy, asset_id=asset_id
        )
        return asset_id

    async def forget(self, asset_ids: tuple[str, ...]) -> None:
        """The service no longer knows these: they are sent again when they are needed."""
        await self._ledger.forget_uploads(service=self._terms.service, project=self._terms.project, asset_ids=asset_ids)


def _same_asset(picture: Picture, asset_id: str, copy: int, other: int) -> RequestRefused:
    """Their jobs would have equal inputs: after a lost answer nobody could tell which of them was paid."""
    return RequestRefused(
        f"the service keeps one asset ({asset_id}) for copy {other} and copy {copy} of {picture.path}: "
        "their jobs could not be told apart",
        mend="leave `copies` out, and give a further mesh a set of its own, with its front picture saved anew",
    )
