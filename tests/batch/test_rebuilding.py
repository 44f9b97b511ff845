"""A lost ledger is rebuilt from results, files and the service's jobs; then runs go on. In virtual time."""

from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

import anyio
import pytest
from simulated_ports import BEGIN, SimulatedService, simulated_ledger, virtual_now, virtual_time
from simulated_run import SimulatedRuns

from pipeline.batch.rebuilding import Rebuilding
from pipeline.batch.remains import PAGES
from pipeline.domain.errors import RequestRefused, SubmissionUncertain
from pipeline.domain.jobs import Asset, JobStatus
from pipeline.domain.lifecycle import State
from pipeline.domain.planning import FAILED_JOBS_MAX
from pipeline.ports.interfaces import UploadEntry

pytestmark = pytest.mark.anyio

RESULTS = "results.jsonl"


@pytest.fixture
def anyio_backend():
    return virtual_time()


class Remembering(SimulatedService):
    """Tells what uploaded assets are called, and charges for failed jobs when told so."""

    forgotten = frozenset()
    kept_cu = 0.0

    async def assets(self, asset_ids):
        names = {f"asset_{at}": name for at, name in enumerate(self.uploads, 1) if f"asset_{at}" not in self.forgotten}
        named = [Asset(asset_id=one, url="https://files/x", name=names[one]) for one in asset_ids if one in names]
        return [*named, *await super().assets(asset_ids)]

    def _seen(self, job_id):
        job = super()._seen(job_id)
        return replace(job, cu_charged=self.kept_cu) if job.status is JobStatus.FAILURE else job

    def add_twin(self, number):
        """Another job with the inputs of an earlier one."""
        return self.add_job(self.submitted[number - 1])


@pytest.fixture
def runs(tmp_path):
    runs = SimulatedRuns(tmp_path, service=Remembering())
    for name in "abc":
        runs.add(name)
    return runs


def lose_results(runs):
    if runs.storage.get(runs.output / RESULTS) is not None:
        runs.storage.disk.take(runs.output / RESULTS)


def lose_all_files(runs):
    for name in runs.storage.names(runs.output):
        runs.storage.disk.take(runs.output / name)


async def rebuilt(runs, *, last_change=None, ledger=None):
    """The ledger is lost, unless one is given, and made anew."""
    runs.ledger = ledger or simulated_ledger()
    batch = runs.batch()
    rebuilding = Rebuilding(
        batch._terms,
        backend="scenario",
        model=batch._manifest.model,
        scenario=runs.service,
        storage=runs.storage,
        ledger=runs.ledger,
        now=virtual_now,
        observe=runs.observed.append,
    )
    return await rebuilding.carry_out(await batch.plan(), last_change=last_change)


async def rebuilt_when_time_has_come(runs, *, last_change):
    """As the mend says where the service's list may lag."""
    try:
        return await rebuilt(runs, last_change=last_change)
    except SubmissionUncertain:
        assert await runs.ledger.items() == []
        await anyio.sleep(3_600)
        return await rebuilt(runs, last_change=last_change)


async def run_until_done(runs, *, at_most=4):
    for _ in range(at_most):
        outcome, rows = await runs.run()
        if not (outcome.uncertain or outcome.unfinished or outcome.failed):
            return outcome, rows
        await anyio.sleep(4_000)
    raise AssertionError(f"not done: {rows}")


def states(found):
    return {found.labels[one.key][0]: one.state for one in found.records}


@pytest.mark.parametrize("has_results", [True, False])
@pytest.mark.parametrize("moves", range(21))
async def test_whenever_a_run_dies_and_the_ledger_with_it_everything_is_had_and_paid_once(runs, moves, has_results):
    with pytest.raises(BaseException):  # noqa: B017 - a group of groups around its death
        await runs.run(dies_after=moves)
    if not has_results:
        lose_results(runs)
    found = await rebuilt_when_time_has_come(runs, last_change=virtual_now())
    assert (found.spare, found.strangers, found.unread_rows, found.is_whole) == ((), (), 0, True)
    assert len(found.records) + found.to_make == 3
    assert len(found.having(State.SUBMITTED, State.FINISHED, State.DELIVERED)) == len(runs.service.submitted)
    outcome, rows = await run_until_done(runs)
    assert (outcome.delivered, len(runs.meshes), len(runs.service.submitted)) == (3, 3, 3)
    assert {row.cu_charged for row in rows} == {10}


async def test_delivered_meshes_come_back_with_all_that_their_rows_tell(runs):
    _, before = await runs.run()
    records = {one.key: one for one in await runs.ledger.items()}
    found = await rebuilt(runs)
    assert set(states(found).values()) == {State.DELIVERED}
    not_told = {"submitting_at": None, "updated_at": None, "timings": {}, "job_s": None}
    for one in found.records:
        was = records[one.key]
        facts = replace(was.verdict.facts, bounds=None)
        told = replace(was, **not_told, verdict=replace(was.verdict, facts=facts))
        assert replace(one, **not_told) == told
        assert one.timings == pytest.approx(was.timings, abs=0.001)
    outcome, rows = await runs.run()
    assert (outcome.delivered, rows) == (3, before)
    assert len(runs.service.uploads) == 3


async def test_a_mesh_that_is_lost_later_is_still_fetched_and_not_made_again(runs):
    await runs.run()
    await rebuilt(runs)
    runs.storage.disk.take(runs.output / "meshes/a/a.glb")
    outcome, _ = await runs.run()
    assert (outcome.delivered, len(runs.service.submitted)) == (3, 3)


async def test_every_copy_gets_its_own_job_back(tmp_path):
    runs = SimulatedRuns(tmp_path, service=Remembering())
    runs.sections = {"sets": [{"path": "sets/*", "copies": 2}]}
    runs.add("a")
    await runs.run()
    jobs = {one.copy: one.job_id for one in await runs.ledger.items()}
    lose_all_files(runs)
    found = await rebuilt(runs)
    assert {one.copy: one.job_id for one in found.records} == jobs
    outcome, _ = await runs.run()
    assert (outcome.delivered, len(runs.service.submitted), len(runs.service.uploads)) == (2, 2, 2)


async def test_of_several_jobs_the_newest_success_is_taken_and_the_others_are_told(runs):
    await runs.run()
    runs.service.add_twin(1)
    await anyio.sleep(1)
    taken = runs.service.add_twin(1)
    await anyio.sleep(100)
    runs.service.add_twin(1)  # still running
    lose_results(runs)
    lose_all_files(runs)
    found = await rebuilt(runs, last_change=BEGIN)
    (item,) = [one for one in found.records if one.job_id == taken.job_id]
    assert (item.state, item.charged_cu) == (State.FINISHED, 30)
    assert {(one.key, one.job_id, one.taken) for one in found.spare} == {
        (item.key, job_id, taken.job_id) for job_id in ("job_1", "job_4", "job_6")
    }
    assert (await runs.run())[0].delivered == 3
    assert len(runs.service.submitted) == 6


async def test_a_job_beside_a_delivered_mesh_is_told(runs):
    await runs.run()
    runs.service.add_twin(1)
    (spare,) = (await rebuilt(runs)).spare
    assert (spare.job_id, spare.taken) == ("job_4", "job_1")
    assert (await runs.run())[0].delivered == 3


async def test_refunded_failures_count_towards_the_bound(runs):
    runs.service.failures = 2
    runs.remove("b")
    runs.remove("c")
    await runs.run()
    found = await rebuilt(runs)
    (item,) = found.records
    assert (item.state, item.failed_jobs, item.charged_cu, item.error_class) == (State.FAILED, 2, 0, "JobFailed")
    runs.service.failures = 2
    await runs.run()
    (item,) = (await rebuilt(runs)).records
    assert item.failed_jobs == FAILED_JOBS_MAX
    await runs.run()
    assert len(runs.service.submitted) == FAILED_JOBS_MAX


async def test_a_failure_that_was_charged_is_for_a_person_to_decide(runs):
    runs.service.failures, runs.service.kept_cu = 1, 4.0
    runs.remove("b")
    runs.remove("c")
    await runs.run()
    lose_results(runs)
    await rebuilt(runs)
    for _ in range(2):
        outcome, rows = await runs.run()
        assert (outcome.failed, rows[0].cu_charged) == (1, 4)
    assert len(runs.service.submitted) == 1


async def test_a_job_that_the_list_no_longer_shows_is_looked_up(runs):
    class ShortList(Remembering):
        async def jobs(self, **asked):
            page = await super().jobs(**asked)
            return replace(page, jobs=tuple(one for one in page.jobs if one.job_id == "job_3"))

    await runs.run()
    runs.service.__class__ = ShortList
    runs.storage.disk.take(runs.output / "meshes/a/a.glb")
    found = await rebuilt(runs)
    assert states(found) == {"a": State.FINISHED, "b": State.DELIVERED, "c": State.DELIVERED}
    assert all(one.asset_ids for one in found.records)


async def test_a_job_that_the_service_hides_for_good_is_asked_for_and_not_made_again_at_once(runs):
    await runs.run()
    runs.service.forget_job("job_1")
    runs.storage.disk.take(runs.output / "meshes/a/a.glb")
    found = await rebuilt(runs)
    assert states(found)["a"] is State.SUBMITTED
    for _ in range(2):
        outcome, _ = await runs.run()
        assert (outcome.unfinished, len(runs.service.submitted)) == (1, 3)
    assert any("does not know job job_1" in one for one in runs.warnings)


async def test_a_job_that_is_looked_up_does_not_show_how_far_the_list_is(runs):
    """Its finish is told at once, while the list lags behind a submission that was lost with the ledger."""

    class ListLags(Remembering):
        async def jobs(self, **asked):
            return replace(await super().jobs(**asked), jobs=())

    await runs.run()
    lost_at = virtual_now() - timedelta(minutes=10)
    runs.add("d")
    runs.service.__class__ = ListLags
    with pytest.raises(SubmissionUncertain, match="may lag"):
        await rebuilt(runs, last_change=lost_at)


async def test_a_job_whose_pictures_are_gone_is_told_and_one_of_somebody_else_is_not(runs):
    await runs.run()
    runs.service.uploads += ["holiday.png", "front-" + "0" * 32 + "-1"]
    theirs, other, silent = (
        runs.service.add_job(echo) for echo in ({"frontImage": "asset_4"}, {"frontImage": "asset_5"}, {})
    )
    lose_results(runs)
    runs.service.forgotten = {runs.service.submitted[0]["frontImage"]}
    found = await rebuilt(runs)
    whys = {one.job_id: one.why for one in found.strangers}
    assert whys.keys() == {"job_1", other.job_id, silent.job_id}
    assert found.others == 1  # counted all the same: a service may give our pictures other names
    assert "no longer at the service" in whys["job_1"]
    assert "no set of this manifest" in whys[other.job_id]
    assert "does not tell its inputs" in whys[silent.job_id]
    assert theirs.job_id not in whys
    assert found.to_make == 1


async def test_other_parameters_are_another_job(runs):
    await runs.run()
    lose_results(runs)
    runs.sections = {"defaults": {"faceCount": 123_456}}
    found = await rebuilt(runs)
    assert (found.records, found.to_make) == ((), 3)
    assert {one.why.partition(",")[2] for one in found.strangers} == {" with other views or parameters"}


@pytest.mark.parametrize("lag_s", [30, 1_700])
async def test_a_list_that_lags_never_makes_a_rebuild_pay_again(runs, lag_s):
    class Lagging(Remembering):
        async def jobs(self, **asked):
            page = await super().jobs(**asked)
            until = virtual_now() - timedelta(seconds=lag_s)
            return replace(page, jobs=tuple(one for one in page.jobs if one.created_at <= until))

    runs.service.__class__ = Lagging
    with pytest.raises(BaseException):  # noqa: B017 - a group of groups around its death
        await runs.run(dies_after=9)
    made = len(runs.service.submitted)
    assert made
    lose_results(runs)
    found = await rebuilt_when_time_has_come(runs, last_change=virtual_now())
    assert len(found.records) == made
    outcome, _ = await run_until_done(runs)
    assert (outcome.delivered, len(runs.service.submitted)) == (3, 3)


async def test_a_rebuild_that_comes_too_early_says_when_to_come_back(runs):
    at = virtual_now()
    await anyio.sleep(3_590)
    with pytest.raises(SubmissionUncertain, match=r"3 work items without a job") as raised:
        await rebuilt(runs, last_change=at)
    assert "2031-05-01 21:00:00 UTC" in raised.value.mend
    await anyio.sleep(10)
    assert (await rebuilt(runs, last_change=at)).to_make == 3


async def test_the_list_is_read_only_when_the_last_submission_has_had_its_time(runs):
    with pytest.raises(BaseException):  # noqa: B017 - a group of groups around its death
        await runs.run(dies_after=9)
    for last_change, waits_s in (
        (virtual_now() - timedelta(seconds=20), 40),
        (virtual_now() + timedelta(days=1), 60),  # a clock that was put back
        (None, 60),
    ):
        began = anyio.current_time()
        with suppress(SubmissionUncertain):
            await rebuilt(runs, last_change=last_change)
        assert waits_s <= anyio.current_time() - began < waits_s + 5


class Losing(Remembering):
    """The answer to the first submission is lost; no job is made."""

    async def generate(self, *, model, inputs):
        if not self.asked.count("lost"):
            self.asked.append("lost")
            raise SubmissionUncertain("cut")
        return await super().generate(model=model, inputs=inputs)


async def uncertain_and_lost(runs, **uncertain):
    runs.service.__class__ = Losing
    runs.sections = {"uncertain": {"settle": "4m", "believe_after": "1h", **uncertain}}
    for name in "bc":
        runs.remove(name)
    assert (await runs.run())[0].uncertain == 1


async def test_what_was_uncertain_stays_so_where_a_person_decides(runs):
    await uncertain_and_lost(runs, policy="ask")
    assert states(await rebuilt(runs, last_change=virtual_now())) == {"a": State.UNCERTAIN}
    await anyio.sleep(4_000)
    outcome, _ = await runs.run()
    assert (outcome.uncertain, runs.service.submitted) == (1, [])


async def test_what_was_uncertain_is_rebuilt_once_its_absence_may_be_believed(runs):
    """Its inputs are lost: a job that is listed later could not be known for its own."""
    await uncertain_and_lost(runs)
    lost_at = virtual_now()
    with pytest.raises(SubmissionUncertain, match="1 work items without a job may have one there"):
        await rebuilt(runs, last_change=lost_at)
    assert await runs.ledger.items() == []
    await anyio.sleep(4_000)
    await rebuilt(runs, last_change=lost_at)
    outcome, _ = await runs.run()
    assert (outcome.delivered, len(runs.service.submitted)) == (1, 1)


async def test_what_was_uncertain_and_is_old_is_submitted_again(runs):
    runs.service.__class__ = Losing
    runs.sections = {"uncertain": {"settle": "1s", "believe_after": "1h"}}
    for name in "bc":
        runs.remove(name)
    await runs.run()
    at = virtual_now()
    await anyio.sleep(3_700)
    found = await rebuilt(runs, last_change=at)
    assert (found.records, found.to_make) == ((), 1)
    assert (await runs.run())[0].delivered == 1


async def test_a_sound_ledger_gets_what_it_lacks_and_loses_nothing(runs):
    """A backup from before the night: it knows of no job; two are there now, one of them delivered."""
    old = simulated_ledger()
    where, known = {"service": "scenario", "project": ""}, UploadEntry(sha256="e" * 64, copy=1, asset_id="asset_of_old")
    await old.record_uploads(**where, entries=[known])
    runs.remove("c")
    await runs.run()
    runs.add("c")
    runs.service.add_job({**runs.service.submitted[0], "frontImage": "asset_3"})
    await runs.plan()
    found = await rebuilt(runs, ledger=old)
    assert states(found) == {"a": State.DELIVERED, "b": State.DELIVERED}
    again = await rebuilt(runs, ledger=old)
    assert again.records == ()
    assert await old.uploads(**where, pictures=[("e" * 64, 1)]) == {("e" * 64, 1): "asset_of_old"}
    assert (await runs.run())[0].delivered == 3


async def test_sets_that_the_manifest_no_longer_names_keep_their_meshes_and_are_not_paid_again(runs):
    await runs.run()
    runs.remove("a")
    found = await rebuilt(runs)
    assert states(found)["a"] is State.DELIVERED
    await runs.run()
    runs.add("a")
    outcome, _ = await runs.run()
    assert (outcome.delivered, len(runs.service.submitted)) == (3, 3)


async def test_rows_of_another_service_are_left_alone(runs):
    await runs.run()
    path = runs.output / RESULTS
    runs.storage.put(path, runs.storage.get(path).replace(b'"backend":"scenario"', b'"backend":"http://x/v1"'))
    found = await rebuilt(runs)
    assert set(states(found).values()) == {State.FINISHED}


async def test_a_row_whose_key_is_none_is_nobodys(runs):
    await runs.run()
    path = runs.output / RESULTS
    key = next(one.key for one in await runs.ledger.items())
    runs.storage.put(path, runs.storage.get(path).replace(key.encode(), b"../" * 20))
    found = await rebuilt(runs)
    assert sorted(states(found).values()) == [State.DELIVERED, State.DELIVERED, State.FINISHED]
    assert all(len(one.key) == 64 for one in found.records)


async def test_a_list_that_is_too_long_is_said_to_be(runs):
    await runs.run()
    lose_results(runs)
    for _ in range(PAGES - 2):
        runs.service.add_job({"prompt": "a dragon"})
    runs.service.page_size = 1
    found = await rebuilt(runs)
    assert (found.is_whole, len(found.records), found.to_make) == (False, 2, 1)


async def test_a_service_that_shows_no_list_ends_the_rebuild_with_nothing_changed(runs):
    class Closed(Remembering):
        async def jobs(self, **_):
            raise RequestRefused("403: not for you")

    await runs.run()
    runs.service.__class__ = Closed
    with pytest.raises(RequestRefused):
        await rebuilt(runs)
    assert await runs.ledger.items() == []
