"""What a person says of uncertain and failed items is recorded, and the next run acts on it. In virtual time."""

import anyio
import pytest
from simulated_ports import SimulatedService, virtual_now, virtual_time
from simulated_run import SimulatedRuns

from pipeline.batch.decisions import UNSETTLED, Finding, Reconciling, retry
from pipeline.domain.errors import RequestRefused, SubmissionUncertain, UsageError
from pipeline.domain.lifecycle import Event, State
from pipeline.domain.planning import FAILED_JOBS_MAX

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return virtual_time()


class Losing(SimulatedService):
    """Loses the answers to the first ``lose`` submissions; ``makes``: the jobs are there all the same."""

    lose = 1
    makes = True
    is_listed = False

    async def generate(self, *, model, inputs):
        if not self.lose:
            return await super().generate(model=model, inputs=inputs)
        self.lose -= 1
        if self.makes:
            self.add_job(inputs)
        raise SubmissionUncertain("cut")

    async def jobs(self, **asked):
        if asked.get("created_after") and not self.is_listed:
            raise RequestRefused("503: come back tomorrow")
        return await super().jobs(**asked)


@pytest.fixture
async def runs(tmp_path):
    """Sets whose submissions are uncertain."""
    runs = SimulatedRuns(tmp_path, service=Losing())
    runs.sections = {"uncertain": {"policy": "ask"}}
    runs.add("a")
    outcome, _ = await runs.run()
    assert outcome.uncertain == 1
    return runs


async def reconcile(runs, *, jobs=None, absent=(), is_listed=False):
    runs.service.is_listed = is_listed
    records = [one for one in await runs.ledger.items() if one.state in UNSETTLED]
    patience = runs.batch()._terms.patience
    reconciling = Reconciling(runs.ledger, runs.service, patience=patience, now=virtual_now)
    return await reconciling.carry_out(records, jobs=jobs or {}, absent=absent)


async def finished(runs):
    outcome, rows = await runs.run()
    return outcome.delivered, len(runs.service.submitted), rows[0].error


async def test_a_job_that_is_listed_by_now_is_the_items(runs):
    (one,) = await reconcile(runs, is_listed=True)
    assert (one.finding, one.record.state, one.record.job_id) == (Finding.FOUND, State.SUBMITTED, "job_1")
    assert one.record.error == ""
    assert await reconcile(runs, is_listed=True) == []
    assert await finished(runs) == (1, 1, None)


async def test_a_list_that_is_not_shown_leaves_the_item_uncertain(runs):
    (one,) = await reconcile(runs)
    assert (one.finding, one.record.state) == (Finding.UNCERTAIN, State.UNCERTAIN)
    assert "does not show its list" in one.why


async def test_under_the_policy_ask_an_absence_is_a_persons_word(tmp_path):
    runs = SimulatedRuns(tmp_path, service=Losing())
    runs.service.makes = False
    runs.sections = {"uncertain": {"policy": "ask"}}
    runs.add("a")
    await runs.run()
    await anyio.sleep(10_000)
    (one,) = await reconcile(runs, is_listed=True)
    assert (one.finding, one.why) == (
        Finding.UNCERTAIN,
        "the service does not list it, and the manifest says to ask a person",
    )
    (one,) = await reconcile(runs, absent=[one.record.key], is_listed=True)
    assert (one.finding, one.record.state, one.record.job_id) == (Finding.ABSENT, State.READY, "")
    assert ("submission absent", "ready", "a person has looked: the service has no job of it") in (
        await runs.ledger.history(one.record.key)
    )
    assert await finished(runs) == (1, 1, None)


async def test_otherwise_an_absence_is_believed_in_time_and_not_before(tmp_path):
    runs = SimulatedRuns(tmp_path, service=Losing())
    runs.service.makes = False
    runs.add("a")
    await runs.run()
    (one,) = await reconcile(runs, is_listed=True)
    assert one.finding is Finding.UNCERTAIN
    await anyio.sleep(3_600)
    (one,) = await reconcile(runs, is_listed=True)
    assert one.finding is Finding.ABSENT
    assert runs.service.submitted == []


async def test_what_the_list_shows_is_believed_before_a_person_who_has_not_seen_it(runs):
    record = await runs.record()
    (one,) = await reconcile(runs, absent=[record.key], is_listed=True)
    assert (one.finding, one.record.job_id) == (Finding.FOUND, "job_1")


async def test_a_person_may_name_the_job(runs):
    record = await runs.record()
    (one,) = await reconcile(runs, jobs={record.key: "job_1"})
    assert (one.finding, one.record.state, one.record.job_id) == (Finding.FOUND, State.SUBMITTED, "job_1")
    assert await finished(runs) == (1, 1, None)


async def test_a_job_of_other_inputs_is_refused_with_what_differs(runs):
    record = await runs.record()
    runs.service.add_job({**record.inputs, "faceCount": 60_000, "backImage": "asset_9"})
    with pytest.raises(UsageError, match="other inputs") as raised:
        await reconcile(runs, jobs={record.key: "job_2"})
    assert raised.value.problems == (
        "faceCount is 60000, was sent as 500000",
        "backImage is asset_9, was sent as nothing",
    )
    assert (await runs.record()).state is State.UNCERTAIN


async def test_a_job_that_tells_no_inputs_is_taken_at_a_persons_word(runs):
    record = await runs.record()
    runs.service.add_job({})
    (one,) = await reconcile(runs, jobs={record.key: "job_2"})
    assert (one.record.job_id, "does not tell its inputs" in one.why) == ("job_2", True)


async def test_a_job_that_nobody_knows_or_that_is_anothers_is_refused(runs):
    record = await runs.record()
    with pytest.raises(UsageError, match="knows no job job_77"):
        await reconcile(runs, jobs={record.key: "job_77"})
    runs.add("b")
    await runs.run()
    with pytest.raises(UsageError, match="job_2 is another item's"):
        await reconcile(runs, jobs={record.key: "job_2"})


async def test_an_item_left_within_its_submission_is_looked_for_as_well(tmp_path):
    runs = SimulatedRuns(tmp_path)
    runs.add("a")
    with pytest.raises(BaseException):  # noqa: B017 - a group of groups around its death
        await runs.run(dies_after=2)
    record = await runs.record()
    assert record.state is State.SUBMITTING
    runs.service.add_job(record.inputs)
    runs.service.__class__ = Losing
    (one,) = await reconcile(runs, is_listed=True)
    assert (one.finding, one.record.job_id) == (Finding.FOUND, "job_1")


async def failed(tmp_path, *, failures):
    runs = SimulatedRuns(tmp_path)
    runs.add("a")
    runs.service.failures = failures
    while (await runs.run())[0].failed and runs.service.failures:
        pass
    return runs


async def test_what_failed_too_often_is_tried_again_after_a_persons_word(tmp_path):
    runs = await failed(tmp_path, failures=FAILED_JOBS_MAX)
    await runs.run()
    assert len(runs.service.submitted) == FAILED_JOBS_MAX
    (after,) = await retry([await runs.record()], anew=False, ledger=runs.ledger)
    assert (after.state, after.failed_jobs, after.error) == (State.PLANNED, 0, "")
    assert await finished(runs) == (1, FAILED_JOBS_MAX + 1, None)


async def test_what_is_paid_and_could_not_be_fetched_is_never_thrown_away(tmp_path):
    runs = SimulatedRuns(tmp_path)
    runs.add("a")
    await runs.run()
    record = await runs.record()
    await runs.ledger.advance(record.key, Event.MISSING)
    await runs.ledger.advance(record.key, Event.FAIL, error="the disk said no")
    before = await runs.record()
    assert await retry([before], anew=False, ledger=runs.ledger) == [before]
    assert (await runs.run())[0].delivered == 1
    assert len(runs.service.submitted) == 1
