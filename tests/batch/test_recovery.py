"""Runs that end in the middle, services that answer badly: nothing is lost, nothing is paid twice. In virtual time."""
# ruff: noqa: ARG002, ASYNC110 - services that heed nothing; waiting in a loop costs nothing in virtual time

import anyio
import pytest
from simulated_ports import SimulatedService, glb, virtual_time
from simulated_run import Died, SimulatedRuns

from pipeline.batch.decisions import retry
from pipeline.domain.errors import (
    AssetGone,
    CeilingReached,
    CredentialsError,
    NeverSent,
    RequestRefused,
    ServiceUnreachable,
    SubmissionUncertain,
    Throttled,
)
from pipeline.domain.lifecycle import Event, State

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return virtual_time()


@pytest.fixture
def runs(tmp_path):
    runs = SimulatedRuns(tmp_path)
    runs.add("a")
    return runs


def died(error):
    """Whether what ended a run was its death."""
    return isinstance(error, Died) or any(map(died, getattr(error, "exceptions", ())))


async def run_until_done(runs, *, at_most=4):
    """Runs until nothing is left, an hour between each and the next."""
    for _ in range(at_most):
        outcome, rows = await runs.run()
        if not (outcome.uncertain or outcome.unfinished or outcome.over_budget or outcome.out_of_time):
            return outcome, rows
        await anyio.sleep(4_000)
    raise AssertionError(f"not done: {rows}")


@pytest.mark.parametrize("moves", range(21))
async def test_a_run_that_dies_after_any_move_is_finished_by_the_next_and_paid_once(tmp_path, moves):
    runs = SimulatedRuns(tmp_path)
    for name in "abc":
        runs.add(name)
    with pytest.raises(BaseException) as raised:
        await runs.run(dies_after=moves)
    assert died(raised.value)
    outcome, rows = await run_until_done(runs)
    assert (outcome.delivered, len(runs.meshes)) == (3, 3)
    assert len(runs.service.submitted) == 3
    assert {row.cu_charged for row in rows} == {10}


async def test_a_submission_cut_off_by_a_stop_is_recorded_and_found_again(runs):
    """The first interrupt comes while the answer is on its way, and the answer does not come in time."""

    class Slow(SimulatedService):
        async def generate(self, *, model, inputs):
            job = self.add_job(inputs)
            await anyio.sleep(60)
            return job

    runs.service.__class__ = Slow
    stop = anyio.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: runs.run(stop=stop))
        while not runs.service.submitted:
            await anyio.sleep(0.1)
        began = anyio.current_time()
        stop.set()
    assert anyio.current_time() - began < 5
    assert (await runs.record()).state is State.UNCERTAIN
    runs.service.__class__ = SimulatedService
    outcome, _ = await runs.run()
    assert (outcome.delivered, len(runs.service.submitted)) == (1, 1)


async def test_an_answer_that_comes_soon_after_the_stop_is_recorded(runs):
    class Slowish(SimulatedService):
        async def generate(self, *, model, inputs):
            job = self.add_job(inputs)
            await anyio.sleep(3)
            return job

    runs.service.__class__ = Slowish
    stop = anyio.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: runs.run(stop=stop))
        while not runs.service.submitted:
            await anyio.sleep(0.1)
        stop.set()
    found = await runs.record()
    assert (found.state, found.job_id) == (State.SUBMITTED, "job_1")


async def test_a_list_that_the_service_does_not_show_leaves_the_item_uncertain(runs):
    class Closed(SimulatedService):
        async def jobs(self, **_):
            raise RequestRefused("400: no such filter")

    runs.service.__class__ = Closed
    runs.service.lost_answers = [SubmissionUncertain("cut")]
    for _ in range(2):
        outcome, rows = await runs.run()
        assert outcome.uncertain == 1
        await anyio.sleep(10_000)
    assert rows[0].error is not None
    assert (rows[0].error.kind, rows[0].state) == ("SubmissionUncertain", State.UNCERTAIN)
    assert rows[0].error.mend
    runs.service.__class__ = SimulatedService
    outcome, rows = await runs.run()
    assert (outcome.delivered, rows[0].error, len(runs.service.submitted)) == (1, None, 1)


async def test_the_lost_job_of_a_set_that_was_drawn_anew_leaves_nothing_uncertain(runs):
    """Nobody asks for its mesh any more; it might be taken for the next one that is lost, and never arrived."""

    class Closed(SimulatedService):
        async def jobs(self, **_):
            raise RequestRefused("400: no such filter")

    runs.service.__class__ = Closed
    runs.service.lost_answers = [SubmissionUncertain("cut")]
    outcome, _ = await runs.run()
    assert outcome.uncertain == 1
    runs.service.__class__ = SimulatedService
    runs.add("a", front="drawn anew")
    runs.service.troubles = [SubmissionUncertain("cut")]
    outcome, _ = await run_until_done(runs)
    assert (outcome.delivered, len(runs.service.submitted)) == (1, 2)


async def test_a_set_with_one_view_more_is_not_taken_for_the_lost_one(runs):
    """Both share their front view. The lost one never arrived; the other's job is unknown to the ledger, too."""
    runs.add("b", front="front of a", back="back of b")
    runs.sections = {"limits": {"in_flight": 1}}

    class LosesFirstAndKeepsSecond(SimulatedService):
        async def generate(self, *, model, inputs):
            if "backImage" in inputs:
                self.add_job(inputs)
            raise SubmissionUncertain("cut")

    runs.service.__class__ = LosesFirstAndKeepsSecond
    outcome, _ = await runs.run()
    assert (outcome.delivered, outcome.uncertain) == (1, 1), "the list is looked at once more at the end of a run"
    runs.service.__class__ = SimulatedService
    by_alias = {one.alias.set_id: one.key for one in await runs.ledger.deliveries("..")}
    assert list(by_alias) == ["b"]
    await anyio.sleep(4_000)
    outcome, rows = await runs.run()
    assert outcome.delivered == 2
    assert len({row.job_id for row in rows}) == 2


async def test_a_result_whose_assets_are_listed_late_is_not_paid_again(runs):
    class Late(SimulatedService):
        async def job(self, job_id):
            return self._late(await super().job(job_id))

        async def jobs(self, **asked):
            page = await super().jobs(**asked)
            return type(page)(jobs=tuple(map(self._late, page.jobs)), next_page=page.next_page)

        def _late(self, job):
            return (
                job
                if anyio.current_time() > 5_000
                else type(job)(
                    job_id=job.job_id, status=job.status, updated_at=job.updated_at, created_at=job.created_at
                )
            )

    runs.service.__class__ = Late
    outcome, _ = await runs.run()
    assert outcome.unfinished == 1
    assert (await runs.record()).state is State.SUBMITTED
    outcome, _ = await run_until_done(runs)
    assert (outcome.delivered, len(runs.service.submitted)) == (1, 1)


async def test_a_downloaded_mesh_that_a_power_cut_left_damaged_is_fetched_again(runs):
    with pytest.raises(BaseException) as raised:
        await runs.run(dies_after=5)
    assert died(raised.value)
    assert (await runs.record()).state is State.DOWNLOADED
    (staged,) = runs.storage.names(runs.output / ".mvmesh/staging")
    path = runs.output / ".mvmesh/staging" / staged
    whole = runs.storage.get(path)
    runs.storage.put(path, whole[:-40] + bytes(40))
    outcome, _ = await runs.run()
    assert outcome.delivered == 1
    assert runs.meshes == {"a/a.glb": whole}
    assert len(runs.downloads.fetched) == 2


async def test_a_mesh_is_read_again_by_another_process_alone(runs, monkeypatch):
    """What a process has just hashed as it came is delivered as it is; after a crash it is looked at."""
    read, digest = [], runs.storage.digest

    async def watched(path):
        if path.suffix in {".part", ".glb"}:
            read.append(path)
        return await digest(path)

    monkeypatch.setattr(runs.storage, "digest", watched)
    with pytest.raises(BaseException) as raised:
        await runs.run(dies_after=5)
    assert died(raised.value)
    assert read == []
    outcome, _ = await runs.run()
    assert outcome.delivered == 1
    assert read != []


async def test_a_downloaded_mesh_that_is_whole_is_not_fetched_again(runs):
    with pytest.raises(BaseException) as raised:
        await runs.run(dies_after=5)
    assert died(raised.value)
    runs.service.forget_assets()
    outcome, _ = await runs.run()
    assert (outcome.delivered, len(runs.downloads.fetched), len(runs.service.submitted)) == (1, 1, 1)


@pytest.mark.parametrize(
    "trouble", [NeverSent("no route"), Throttled("429", retry_after_s=90), CeilingReached("429", ceiling=2)]
)
async def test_a_submission_that_was_turned_away_is_made_later_and_counts_once(runs, trouble):
    runs.service.troubles = [trouble] * 15
    outcome, rows = await runs.run()
    assert (outcome.delivered, rows[0].attempts, rows[0].error) == (1, 1, None)
    assert runs.service.submitted != []


async def test_ceilings_met_before_do_not_make_one_broken_connection_an_unreachable_service(runs):
    runs.service.troubles = [*[CeilingReached("429", ceiling=1)] * 40, NeverSent("reset")]
    assert (await runs.run())[0].delivered == 1


async def test_a_service_that_cannot_be_reached_ends_the_run_and_loses_nothing(runs):
    runs.service.troubles = [NeverSent("no route")] * 1_000
    with pytest.raises(BaseException) as raised:
        await runs.run()
    assert isinstance(raised.value.exceptions[0].exceptions[0], ServiceUnreachable)
    assert 300 < anyio.current_time() < 1_800
    assert (await runs.record()).state is State.READY
    runs.service.troubles = []
    assert (await runs.run())[0].delivered == 1


async def test_refused_credentials_leave_the_item_ready(runs):
    runs.service.troubles = [CredentialsError("403: the plan lacks the model")]
    with pytest.raises(BaseException):  # noqa: B017 - a group of groups
        await runs.run()
    found = await runs.record()
    assert (found.state, found.attempts) == (State.READY, 0)


async def test_a_picture_that_the_service_has_lost_is_sent_again(runs):
    runs.service.troubles = [AssetGone("no asset", asset_ids=["asset_1"])]
    outcome, rows = await runs.run()
    assert (outcome.delivered, rows[0].attempts) == (1, 1)
    assert runs.service.submitted[0]["frontImage"] == "asset_2"


async def test_a_picture_that_the_service_loses_again_and_again_ends_in_a_failure(runs):
    runs.service.troubles = [AssetGone("no asset")] * 100
    outcome, rows = await runs.run()
    assert outcome.failed == 1
    assert "went back" in rows[0].error.message


async def test_what_is_paid_and_not_listed_is_asked_for_again_and_never_paid_again_by_itself(runs):
    """It may be listed late: also half an hour after the job has ended."""

    class Forgetful(SimulatedService):
        async def assets(self, asset_ids):
            return [] if anyio.current_time() < 1_800 else await super().assets(asset_ids)

    runs.service.__class__ = Forgetful
    for _ in range(3):
        outcome, rows = await runs.run()
        assert (outcome.failed, len(runs.service.submitted)) == (1, 1)
    assert "mvmesh retry --anew NAME" in rows[0].error.mend
    await anyio.sleep(1_800)
    outcome, _ = await runs.run()
    assert (outcome.delivered, len(runs.service.submitted)) == (1, 1)


async def test_what_is_gone_for_good_is_made_again_when_a_person_says_so(runs):
    class Forgetful(SimulatedService):
        async def assets(self, asset_ids):
            return [] if len(self.submitted) == 1 else await super().assets(asset_ids)

    runs.service.__class__ = Forgetful
    await runs.run()
    await retry([await runs.record()], anew=True, ledger=runs.ledger)
    assert (await runs.plan()).cu == 10
    outcome, rows = await runs.run()
    assert (outcome.delivered, len(runs.service.submitted), rows[0].cu_charged) == (1, 2, 20)


async def test_jobs_that_an_earlier_run_submitted_count_against_the_budget(tmp_path):
    runs = SimulatedRuns(tmp_path)
    runs.sections = {"budget": {"max_cu": 20}, "limits": {"in_flight": 1}}
    for name in "abc":
        runs.add(name)
    stop = anyio.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: runs.run(stop=stop))
        while not runs.service.submitted:
            await anyio.sleep(0.1)
        stop.set()
    outcome, _ = await runs.run()
    assert (outcome.charged_cu, outcome.over_budget) == (20, 1)
    assert len(runs.service.submitted) == 2


async def test_a_damaged_mesh_is_never_delivered_and_never_paid_again(runs):
    class Damaging(SimulatedService):
        def add_mesh(self, asset_id, data):
            return super().add_mesh(asset_id, glb(faces=0))

    runs.service.__class__ = Damaging
    for _ in range(3):
        outcome, rows = await runs.run()
        assert (outcome.failed, rows[0].error.kind) == (1, "MeshDamaged")
    assert (runs.meshes, len(runs.service.submitted)) == ({}, 1)


async def test_history_tells_the_way_of_an_item(runs):
    await runs.run()
    record = await runs.record()
    assert [event for event, _, _ in await runs.ledger.history(record.key)] == [
        Event.UPLOAD,
        Event.UPLOADED,
        Event.INTEND,
        Event.ACCEPTED_BY_SERVICE,
        Event.JOB_SUCCEEDED,
        Event.DOWNLOADED,
        Event.ACCEPT,
    ]


async def test_slots_hold_as_many_jobs_as_are_allowed_and_downloads_hold_none(tmp_path):
    runs = SimulatedRuns(tmp_path, service=SimulatedService(job_s=300))
    runs.sections = {"limits": {"in_flight": 3}}
    for at in range(20):
        runs.add(f"set {at}")
    outcome, _ = await runs.run()
    assert (outcome.delivered, runs.service.in_flight_at_most) == (20, 3)
    assert anyio.current_time() < 7 * 310 + 60
