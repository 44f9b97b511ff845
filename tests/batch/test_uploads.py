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


class Counting(SimulatedService):
    """Knows how many uploads are on their way; a picture that it does not take takes it no time."""

    def __init__(self, *, refuses=b""):
        super().__init__()
        self.refuses = refuses
        self.sent = []
        self.on_way = self.most_on_way = 0

    async def create_asset(self, *, name, data, **rest):
        self.sent.append(data)
        if data == self.refuses:
            raise RequestRefused("not this one")
        self.on_way += 1
        self.most_on_way = max(self.most_on_way, self.on_way)
        try:
            return await super().create_asset(name=name, data=data, **rest)
        finally:
            self.on_way -= 1


def uploads_of(runs, *, at_once=8):
    return Uploads(
        runs.batch()._terms, scenario=runs.service, images=SimulatedImages(), ledger=runs.ledger, at_once=at_once
    )


VIEWS = {"front": "1", "back": "2", "left": "3", "right": "4"}


@pytest.mark.parametrize("at_once", [1, 3, 8])
async def test_the_views_of_a_set_are_sent_side_by_side_within_the_limit(tmp_path, at_once):
    runs = SimulatedRuns(tmp_path, service=Counting())
    runs.add("a", **VIEWS)
    (item,) = (await runs.plan()).items
    uploads = uploads_of(runs, at_once=at_once)
    first = await uploads.assets(item.work, item.work.pictures)
    assert runs.service.most_on_way == min(4, at_once)
    assert first == await uploads_of(runs).assets(item.work, item.work.pictures)
    assert (len(runs.service.sent), len(set(first.values()))) == (4, 4)


async def test_sets_that_share_pictures_at_one_time_send_them_once_and_wait_for_each_other(tmp_path):
    runs = SimulatedRuns(tmp_path, service=Counting())
    for name, views in {"a": "1234", "b": "2143", "c": "3335", "d": "5316"}.items():
        runs.add(name, **dict(zip(VIEWS, views, strict=True)))
    uploads, got = uploads_of(runs, at_once=2), {}

    async def take(work):
        got[work.key] = (work, await uploads.assets(work, work.pictures))

    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            for one in (await runs.plan()).items:
                tasks.start_soon(take, one.work)
    by_picture = {
        (work.pictures[view].sha256, asset) for work, assets in got.values() for view, asset in assets.items()
    }
    assert (len(got), len(by_picture), len(runs.service.sent)) == (4, 6, 6)
    assert uploads._claimed == {}


async def test_what_was_sent_beside_a_refused_picture_is_known(tmp_path):
    runs = SimulatedRuns(tmp_path, service=Counting(refuses=b""))
    runs.add("a", **VIEWS)
    (item,) = (await runs.plan()).items
    runs.service.refuses = item.work.pictures[View.BACK].sha256.encode()
    with pytest.raises(RequestRefused, match="not this one"):
        await uploads_of(runs).assets(item.work, item.work.pictures)
    runs.service.refuses = b""
    await uploads_of(runs).assets(item.work, item.work.pictures)
    assert len(runs.service.sent) == 4 + 1


async def test_what_was_sent_before_a_stop_is_known(tmp_path):
    runs = SimulatedRuns(tmp_path, service=Counting())
    runs.add("a", **VIEWS)
    (item,) = (await runs.plan()).items
    with anyio.move_on_after(2.5):  # a picture a second
        await uploads_of(runs, at_once=1).assets(item.work, item.work.pictures)
    await uploads_of(runs).assets(item.work, item.work.pictures)
    assert len(runs.service.sent) == 3 + 2


async def test_a_job_whose_submission_is_answered_with_its_end_is_not_asked_for(tmp_path):
    class AtOnce(SimulatedService):
        async def generate(self, *, model, inputs):
            job = await super().generate(model=model, inputs=inputs)
            return self._seen(job.job_id)

    runs = SimulatedRuns(tmp_path, service=AtOnce(job_s=0.0))
    runs.add("a")
    outcome, rows = await runs.run()
    assert (outcome.delivered, rows[0].job_id, runs.service.asked) == (1, "job_1", [])
