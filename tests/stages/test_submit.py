from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import anyio
import pytest
from simulated_ports import SimulatedService, virtual_now, virtual_time

from pipeline.domain.errors import NeverSent, SubmissionUncertain
from pipeline.domain.model import MODEL_ID
from pipeline.stages.submit import CLOCK_SKEW, LostSubmission, Patience, find_submissions, submit

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return virtual_time()


INPUTS = {"frontImage": "asset_1", "faceCount": 50_000, "enablePbr": False}
OTHER = {"frontImage": "asset_2", "faceCount": 50_000, "enablePbr": False}


@pytest.fixture
def service():
    return SimulatedService()


@dataclass
class Lost:
    """A submission that was lost at a moment of virtual time."""

    began: datetime
    key: str = "k"
    inputs: Mapping = field(default_factory=lambda: INPUTS)
    lost_at: datetime | None = None

    def now(self):
        return LostSubmission(
            key=self.key,
            model=MODEL_ID,
            inputs=self.inputs,
            submitting_at=self.began,
            age_s=(virtual_now() - (self.lost_at or self.began)).total_seconds(),
        )


def lost_one(began, **more):
    return Lost(began, **more)


async def find(service, *lost, beside=(), known=None, patience=None):
    """What the list says of these. ``known``: the jobs of the ledger, with what was sent for them; all that are made of
    OTHER, if it is not given.
    """

    async def known_jobs(job_ids):
        if known is None:
            return {one: OTHER for one in job_ids if service._jobs[one][0].echo == OTHER}
        return {one: known[one] for one in job_ids if one in known}

    return await find_submissions(
        [one.now() for one in lost],
        beside=[one.now() for one in beside],
        scenario=service,
        known_jobs=known_jobs,
        patience=patience or Patience(),
        now=virtual_now,
    )


async def settled(service, began, **more):
    return (await find(service, lost_one(began), **more))["k"]


async def lost(service, inputs=INPUTS):
    """A submission whose job was made and whose answer was lost; when it was begun."""
    began = virtual_now()
    service.lost_answers.append(SubmissionUncertain("cut"))
    with pytest.raises(SubmissionUncertain):
        await submit(scenario=service, model=MODEL_ID, inputs=inputs)
    return began


async def test_a_submission_is_one_post_whatever_comes_of_it(service):
    for trouble in (SubmissionUncertain("lost"), NeverSent("no route")):
        service.troubles.append(trouble)
        with pytest.raises(type(trouble)):
            await submit(scenario=service, model=MODEL_ID, inputs=INPUTS)
        assert service.troubles == []
    job = await submit(scenario=service, model=MODEL_ID, inputs=INPUTS)
    assert (job.job_id, len(service.submitted)) == ("job_1", 1)


async def test_a_lost_submission_is_found_by_its_echo(service):
    await submit(scenario=service, model=MODEL_ID, inputs=OTHER)
    began = await lost(service)
    found = await settled(service, began, known={"job_1": {}})
    assert found.job is not None
    assert found.job.job_id == "job_2"


async def test_it_is_found_on_any_page(service):
    service.page_size = 3
    began = await lost(service)
    for _ in range(10):
        await submit(scenario=service, model=MODEL_ID, inputs=OTHER)
    assert (await settled(service, began)).job.job_id == "job_1"


async def test_the_echo_may_come_with_defaults_and_further_fields(service):
    began = virtual_now()
    service.add_job({**INPUTS, "generateType": "Normal", "leftImage": None, "projectId": "p"})
    assert (await settled(service, began)).job.job_id == "job_1"


@pytest.mark.parametrize(
    "echo",
    [
        {},
        OTHER,
        {**INPUTS, "faceCount": 90_000},
        {"frontImage": "asset_1", "faceCount": 50_000},
        {**INPUTS, "leftImage": "asset_9"},
    ],
    ids=["no echo", "another picture", "another parameter", "less", "one more picture"],
)
async def test_a_job_of_other_inputs_is_not_adopted(service, echo):
    """The last: two sets may share their front view, and one of them may have a view more."""
    began = virtual_now()
    service.add_job(echo)
    assert (await settled(service, began)).job is None


async def test_a_job_that_the_ledger_knows_is_not_adopted(service):
    began = await lost(service)
    assert (await settled(service, began, known={"job_1": {}})).job is None


async def test_a_clock_that_is_behind_ours_hides_no_job(service):
    await anyio.sleep(3600)
    service.add_job(INPUTS)
    assert (await settled(service, virtual_now() + CLOCK_SKEW - timedelta(seconds=1))).job is not None


async def test_silence_alone_is_not_believed_before_the_attempt_is_old(service):
    began = virtual_now()
    await anyio.sleep(3500)
    assert not (await settled(service, began)).is_absent
    await anyio.sleep(200)
    assert (await settled(service, began)).is_absent


async def test_a_list_that_shows_what_came_after_the_settle_time_is_believed(service):
    """A request may be done late, and the list may lag: what came soon after the loss tells nothing of either."""
    service.job_s = 100_000
    began, patience = virtual_now(), Patience(settle_s=600)
    await anyio.sleep(590)
    service.add_job(OTHER)
    await anyio.sleep(20)
    assert not (await settled(service, began, patience=patience)).is_absent
    service.add_job(OTHER)
    assert (await settled(service, began, patience=patience)).is_absent


async def test_a_job_of_ours_that_moves_then_shows_it_too(service):
    service.add_job(OTHER)
    began = virtual_now()
    await anyio.sleep(service.job_s + 20)
    assert not (await settled(service, began)).is_absent
    assert (await settled(service, began, patience=Patience(settle_s=50))).is_absent


async def test_a_list_that_shows_nothing_later_than_the_attempt_is_not_believed(service):
    service.job_s = 100_000
    service.add_job(OTHER)
    await anyio.sleep(5)
    began = virtual_now()
    await anyio.sleep(900)
    found = await settled(service, began)
    assert not found.is_absent
    assert "may lag" in found.why


async def test_what_came_while_the_request_was_on_its_way_does_not_show_that_the_list_has_caught_up(service):
    """The job may be made at the last moment of it."""
    service.job_s = 100_000
    began = virtual_now()
    await anyio.sleep(60)
    service.add_job(OTHER)
    await anyio.sleep(60)
    lost = lost_one(began, lost_at=virtual_now())
    await anyio.sleep(300)
    assert not (await find(service, lost))["k"].is_absent


class OffClock(SimulatedService):
    """Its clock is ``off`` from ours; ``tells`` whether its answers have a Date."""

    off = timedelta()
    tells = True

    def _seen(self, job_id):
        job = super()._seen(job_id)
        return replace(job, created_at=job.created_at + self.off, updated_at=job.updated_at + self.off)

    async def jobs(self, **asked):
        page = await super().jobs(**asked)
        return replace(page, told_at=virtual_now() + self.off if self.tells else None)


AHEAD = [timedelta(minutes=4), timedelta(hours=7), timedelta(days=9)]
BEHIND = [timedelta(days=-9), timedelta(hours=-20), timedelta(minutes=-4)]


async def off_by(off):
    """A service whose clock is off, and a submission that was lost at it 200 s ago, after a job of ours."""
    service = OffClock(job_s=100_000)
    service.off = off
    service.add_job(OTHER)
    await anyio.sleep(30)
    began = virtual_now()
    await anyio.sleep(200)
    assert not (await settled(service, began)).is_absent
    service.add_job(OTHER)
    await anyio.sleep(1)
    return service, began


@pytest.mark.parametrize("off", AHEAD)
async def test_a_clock_that_is_ahead_neither_hides_a_job_nor_makes_a_list_look_caught_up(off):
    service, began = await off_by(off)
    assert (await settled(service, began)).is_absent
    service.add_job(INPUTS)
    assert (await settled(service, began)).job is not None


@pytest.mark.parametrize("off", BEHIND)
async def test_a_clock_that_is_behind_hides_no_job_and_shows_nothing(off):
    """As does an answer out of a cache, with the time at which it was put there."""
    service, began = await off_by(off)
    assert not (await settled(service, began)).is_absent
    service.add_job(INPUTS)
    assert (await settled(service, began)).job is not None


async def test_a_job_of_another_model_is_not_adopted_whatever_it_echoes(service):
    began = virtual_now()
    job = service.add_job(INPUTS)
    service._jobs[job.job_id] = replace(job, model_id="model_other"), 10**9
    assert (await settled(service, began)).job is None


async def test_who_has_said_more_chooses_first(service):
    """Of a model whose defaults nobody knows, one variant's inputs are part of another's."""
    began = virtual_now()
    job = service.add_job({**INPUTS, "style": "fine"})
    plain = lost_one(began, key="plain")
    fine = lost_one(began, key="fine", inputs={**INPUTS, "style": "fine"})
    found = await find(service, plain, fine, known={})
    assert found["fine"].job == job
    assert found["plain"].job is None


async def test_a_listed_job_that_cannot_be_read_may_be_it_and_spoils_nothing_else(service):
    class Odd(SimulatedService):
        async def jobs(self, **asked):
            return replace(await super().jobs(**asked), unread=("job_odd",))

    service = Odd()
    began = virtual_now()
    service.add_job(INPUTS)
    await anyio.sleep(4_000)
    found = await find(service, lost_one(began, key="a"), lost_one(began, key="b", inputs=OTHER), known={})
    assert found["a"].job is not None
    assert "job_odd may be it" in found["b"].why


async def test_a_service_that_does_not_tell_the_time_may_be_minutes_ahead():
    service = OffClock(job_s=100_000)
    service.off, service.tells = timedelta(minutes=4), False
    service.add_job(OTHER)
    began = virtual_now()
    await anyio.sleep(900)
    assert not (await settled(service, began)).is_absent
    service.add_job(OTHER)
    assert (await settled(service, began)).is_absent


async def test_an_answer_that_dripped_for_minutes_tells_no_time():
    """The Date was written long before we read it."""

    class Dripping(SimulatedService):
        async def jobs(self, **asked):
            page = await super().jobs(**asked)
            await anyio.sleep(170)
            return page

    service = Dripping(job_s=100_000)
    await anyio.sleep(1)
    began = virtual_now()
    service.add_job(OTHER)
    assert not (await settled(service, began, patience=Patience(settle_s=100))).is_absent


async def test_equal_inputs_share_the_jobs_found_one_each(service):
    began = virtual_now()
    service.add_job(INPUTS)
    found = await find(service, lost_one(began, key="a"), lost_one(began, key="b"))
    assert [one.job.job_id if one.job else None for one in found.values()] == ["job_1", None]
    service.add_job(INPUTS)
    found = await find(service, lost_one(began, key="a"), lost_one(began, key="b"))
    assert {one.job.job_id for one in found.values()} == {"job_1", "job_2"}


async def test_the_list_is_read_once_for_all(service):
    began = virtual_now()
    lost = [lost_one(began, key=str(at), inputs={**INPUTS, "frontImage": f"asset_{at}"}) for at in range(50)]
    for one in lost[::2]:
        service.add_job(one.inputs)
    found = await find(service, *lost, known={})
    assert sum(one.job is not None for one in found.values()) == 25
    assert service.asked == ["jobs"]


async def test_no_page_is_read_that_is_older_than_the_attempt(service):
    service.page_size = 2
    for _ in range(20):
        service.add_job(OTHER)
    await anyio.sleep(1_000)
    began = virtual_now()
    service.add_job(INPUTS)
    assert (await settled(service, began)).job is not None
    assert len(service.asked) <= 2


def silent(service, job_id):
    """The service shows no inputs of this job."""
    job, ends_at = service._jobs[job_id]
    service._jobs[job_id] = replace(job, echo={}), ends_at


async def test_a_job_whose_inputs_are_not_shown_may_be_it_however_old_the_attempt(service):
    began = virtual_now()
    silent(service, service.add_job(INPUTS).job_id)
    await anyio.sleep(86_000)
    found = await settled(service, began)
    assert not found.is_absent
    assert "job_1 may be it" in found.why


async def test_a_job_of_another_model_or_another_time_is_not_it(service):
    silent(service, service.add_job(INPUTS).job_id)
    await anyio.sleep(3_000)
    began = virtual_now()
    other = service.add_job(INPUTS).job_id
    silent(service, other)
    job, ends_at = service._jobs[other]
    service._jobs[other] = replace(job, model_id="another"), ends_at
    await anyio.sleep(4_000)
    assert (await settled(service, began)).is_absent


async def test_a_service_that_has_not_proven_that_it_shows_inputs_as_they_were_sent_proves_no_absence(service):
    """Of a stranger's job it cannot be told whether it is the lost one, until a job of ours shows how they are shown."""
    began = virtual_now()
    service.add_job({**INPUTS, "frontImage": "https://assets/1"})
    service.add_job({**INPUTS, "frontImage": "https://assets/2"})
    await anyio.sleep(4_000)
    for known in ({}, {"job_2": OTHER}, {"job_2": {}}):
        found = await settled(service, began, known=known)
        assert not found.is_absent
        assert "job_1 may be it" in found.why
    service.add_job(OTHER)
    assert not (await settled(service, began, known={"job_2": OTHER, "job_3": OTHER})).is_absent, "not all of them do"
    assert (await settled(service, began, known={"job_3": OTHER})).is_absent, "strangers are strangers now"


async def test_a_lost_job_that_is_found_proves_it_as_well(service):
    began = virtual_now()
    service.add_job(INPUTS)
    service.add_job({**INPUTS, "frontImage": "asset_of_others"})
    await anyio.sleep(4_000)
    found = await find(service, lost_one(began, key="a"), lost_one(began, key="b", inputs=OTHER))
    assert found["a"].job is not None
    assert found["b"].is_absent


async def test_a_job_of_a_submission_that_nobody_looks_for_is_not_taken_for_another_and_proves_it_as_well(service):
    """Of a set whose pictures were drawn anew, say."""
    began = virtual_now()
    service.add_job({**INPUTS, "frontImage": "asset_of_old"})
    await anyio.sleep(4_000)
    assert "job_1 may be it" in (await settled(service, began, known={})).why
    old = lost_one(began, key="old", inputs={**INPUTS, "frontImage": "asset_of_old"})
    assert (await settled(service, began, known={}, beside=[old])).is_absent
    service.add_job({**INPUTS, "frontImage": "https://assets/1"})
    distorted = (await settled(service, began, known={"job_2": INPUTS}, beside=[old])).why
    assert "may be it" not in distorted, "job_1 has its owner"


async def test_a_job_that_may_be_of_who_is_looked_for_is_nobody_elses(service):
    """The service may show what it made of the inputs: without a texture there is no PBR."""
    shape = {**INPUTS, "generateType": "Geometry"}
    old = lost_one(virtual_now(), key="old", inputs=shape)
    await anyio.sleep(86_400 * 3)
    began = virtual_now()
    service.add_job(shape)
    await anyio.sleep(4_000)
    looked_for = lost_one(began, inputs={**shape, "enablePbr": True})
    for beside in ([], [old]):
        found = (await find(service, looked_for, known={}, beside=beside))["k"]
        assert not found.is_absent, found
        assert "job_1 may be it" in found.why


async def test_who_is_not_looked_for_takes_no_job_of_another_time(service):
    old = lost_one(virtual_now(), key="old", inputs={**INPUTS, "frontImage": "asset_of_old"})
    await anyio.sleep(86_400 * 3)
    began = virtual_now()
    service.add_job({**INPUTS, "frontImage": "asset_of_old"})
    await anyio.sleep(4_000)
    assert "job_1 may be it" in (await settled(service, began, known={}, beside=[old])).why


async def test_who_is_looked_for_chooses_before_who_is_not(service):
    began = virtual_now()
    service.add_job({**INPUTS, "generateType": "Normal"})
    beside = lost_one(began, key="old", inputs={**INPUTS, "generateType": "Normal"})
    assert (await settled(service, began, known={}, beside=[beside])).job is not None


async def test_under_policy_ask_absence_is_never_believed(service):
    began = virtual_now()
    await anyio.sleep(86_400)
    found = await settled(service, began, patience=Patience(ask=True))
    assert not found.is_absent
    assert "ask a person" in found.why


async def test_a_list_that_was_not_read_to_its_end_proves_nothing(service):
    class Endless(SimulatedService):
        async def jobs(self, **asked):
            return replace(await super().jobs(created_after=asked["created_after"]), jobs=(), next_page="again")

    began = virtual_now()
    await anyio.sleep(86_400)
    found = await settled(Endless(), began)
    assert not found.is_absent
    assert "not read to its end" in found.why
