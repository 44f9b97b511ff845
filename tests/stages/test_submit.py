from dataclasses import replace
from datetime import timedelta

import anyio
import pytest
from simulated_ports import SimulatedService, virtual_now, virtual_time

from pipeline.domain.errors import NeverSent, SubmissionUncertain
from pipeline.stages.submit import CLOCK_SKEW, Patience, find_submission, submit

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return virtual_time()


INPUTS = {"frontImage": "asset_1", "faceCount": 50_000, "enablePbr": False}
OTHER = {"frontImage": "asset_2", "faceCount": 50_000, "enablePbr": False}


@pytest.fixture
def service():
    return SimulatedService()


async def settled(service, submitting_at, *, known=(), patience=None, inputs=INPUTS):
    return await find_submission(
        scenario=service,
        inputs=inputs,
        submitting_at=submitting_at,
        known_jobs=set(known),
        patience=patience or Patience(),
        now=virtual_now(),
    )


async def lost(service, inputs=INPUTS):
    """A submission whose job was made and whose answer was lost; when it was begun."""
    began = virtual_now()
    service.lost_answers.append(SubmissionUncertain("cut"))
    with pytest.raises(SubmissionUncertain):
        await submit(scenario=service, model="m", inputs=inputs)
    return began


async def test_a_submission_is_one_post_whatever_comes_of_it(service):
    for trouble in (SubmissionUncertain("lost"), NeverSent("no route")):
        service.troubles.append(trouble)
        with pytest.raises(type(trouble)):
            await submit(scenario=service, model="m", inputs=INPUTS)
        assert service.troubles == []
    job = await submit(scenario=service, model="m", inputs=INPUTS)
    assert (job.job_id, len(service.submitted)) == ("job_1", 1)


async def test_a_lost_submission_is_found_by_its_echo(service):
    await submit(scenario=service, model="m", inputs=OTHER)
    began = await lost(service)
    found = await settled(service, began, known={"job_1"})
    assert found.job is not None
    assert found.job.job_id == "job_2"


async def test_it_is_found_on_any_page(service):
    service.page_size = 3
    began = await lost(service)
    for _ in range(10):
        await submit(scenario=service, model="m", inputs=OTHER)
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
    assert (await settled(service, began, known={"job_1"})).job is None


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


async def test_a_list_that_has_caught_up_is_believed_after_the_settle_time(service):
    service.job_s = 100_000
    began = virtual_now()
    await anyio.sleep(CLOCK_SKEW.total_seconds() + 10)
    service.add_job(OTHER)
    patience = Patience(settle_s=600)
    assert not (await settled(service, began, patience=patience)).is_absent
    await anyio.sleep(600)
    assert (await settled(service, began, patience=patience)).is_absent


async def test_a_job_shortly_after_the_attempt_does_not_show_that_the_list_has_caught_up(service):
    """The service's clock may be ahead of ours by so much."""
    service.job_s = 100_000
    began = virtual_now()
    service.add_job(OTHER)
    await anyio.sleep(900)
    assert not (await settled(service, began)).is_absent


async def test_under_policy_ask_absence_is_never_believed(service):
    began = virtual_now()
    await anyio.sleep(86_400)
    found = await settled(service, began, patience=Patience(ask=True))
    assert not found.is_absent
    assert "ask a person" in found.why


async def test_a_list_that_was_not_read_to_its_end_proves_nothing(service):
    class Endless(SimulatedService):
        async def jobs(self, **asked):
            return replace(await super().jobs(created_after=asked["created_after"]), next_page="again")

    began = virtual_now()
    await anyio.sleep(86_400)
    found = await settled(Endless(), began)
    assert not found.is_absent
    assert "not read to its end" in found.why
