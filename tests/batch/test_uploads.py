"""Pictures are sent once, and copies of one picture stay apart. In virtual time."""

import anyio
import pytest
from simulated_ports import SimulatedImages, SimulatedService, virtual_time
from simulated_run import SimulatedRuns

from pipeline.batch.uploads import Uploads
from pipeline.domain.errors import RequestRefused
from pipeline.domain.views import View

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return virtual_time()


class Deduplicating(SimulatedService):
    """Keeps one asset for equal bytes."""

    def __init__(self):
        super().__init__()
        self.kept = {}

    async def create_asset(self, *, name, data, **rest):
        asset_id = await super().create_asset(name=name, data=data, **rest)
        return self.kept.setdefault(data, asset_id)


async def test_copies_that_the_service_takes_for_one_asset_are_never_submitted_twice(tmp_path):
    runs = SimulatedRuns(tmp_path, service=Deduplicating())
    runs.sections = {"sets": [{"path": "sets/*", "copies": 3}]}
    runs.add("a")
    outcome, rows = await runs.run()
    assert (outcome.delivered, outcome.failed, len(runs.service.submitted)) == (1, 2, 1)
    (error, _) = [row.error for row in rows if row.error]
    assert "could not be told apart" in error.message
    assert "copies" in error.mend
    for _ in range(2):
        outcome, _ = await runs.run()
        assert (outcome.delivered, outcome.failed, len(runs.service.submitted)) == (1, 2, 1)


async def test_of_copies_that_are_uploaded_at_the_same_moment_one_gets_the_asset(tmp_path):
    runs = SimulatedRuns(tmp_path, service=Deduplicating())
    runs.sections = {"sets": [{"path": "sets/*", "copies": 3}]}
    runs.add("a")
    uploads = Uploads(
        runs.batch()._terms, scenario=runs.service, images=SimulatedImages(), ledger=runs.ledger, at_once=8
    )
    got, refused = [], []

    async def upload(work):
        try:
            got.append(await uploads.asset(work, View.FRONT))
        except RequestRefused as error:
            refused.append(error)

    async with anyio.create_task_group() as tasks:
        for one in (await runs.plan()).items:
            tasks.start_soon(upload, one.work)
    assert (got, len(refused)) == (["asset_1"], 2)


async def test_equal_pictures_of_different_sets_may_share_an_asset(tmp_path):
    runs = SimulatedRuns(tmp_path, service=Deduplicating())
    runs.add("a", front="front of a", back="a wall")
    runs.add("b", front="front of b", back="a wall")
    outcome, _ = await runs.run()
    assert (outcome.delivered, len(runs.service.uploads)) == (2, 3)


async def test_assets_are_named_by_picture_and_copy(tmp_path):
    runs = SimulatedRuns(tmp_path)
    runs.sections = {"sets": [{"path": "sets/*", "copies": 2}]}
    runs.add("a")
    await runs.run()
    (first, second) = sorted(runs.service.uploads)
    assert (first.rpartition("-")[0], first[-2:], second[-2:]) == (second.rpartition("-")[0], "-1", "-2")
