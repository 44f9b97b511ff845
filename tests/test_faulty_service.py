"""The faults are what they say, and the same for the same seed; and what they cost ``mvmesh run``: nothing."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from fault_plan import ORDINARY, Fault, FaultPlan, Kind, evenly, possible
from fault_toll import toll_of
from nights import KEY, SECRET, Night, Service, serving

from pipeline.cli.exit_codes import ExitCode

HURRY = 60.0
LOST = (httpx.RemoteProtocolError, httpx.ReadError, httpx.ReadTimeout)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with serving(tmp_path_factory.mktemp("service") / "service", faults=FaultPlan(), hurry=HURRY) as running:
        yield running


@pytest.fixture
def api(service: Service) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=service.url, auth=(KEY, SECRET), timeout=5, verify=False) as client:
        yield client


def test_what_befalls_a_request_depends_on_the_seed_and_on_what_is_asked() -> None:
    plan = FaultPlan(seed=3, requests=evenly(0.5))
    asked = [(kind, content, nth) for kind in Kind for content in ("", "a chair") for nth in range(20)]
    once = {one: plan.fault(*one)[0] for one in asked}
    assert {one: plan.fault(*one)[0] for one in reversed(asked)} == once
    assert {one: replace(plan, seed=4).fault(*one)[0] for one in asked} != once
    assert {fault for (kind, *_), fault in once.items() if kind is Kind.FILE} - {None} <= set(possible(Kind.FILE))
    assert 0.3 < sum(fault is not None for fault in once.values()) / len(once) < 0.7


@pytest.mark.parametrize(
    "fault", [Fault.RESET_BEFORE, Fault.RESET_AFTER, Fault.HANG_BEFORE, Fault.HANG_AFTER, Fault.CUT_OFF]
)
def test_an_answer_is_lost(service: Service, api: httpx.Client, fault: Fault) -> None:
    service.arrange(other=[fault])
    with pytest.raises(LOST):
        api.get("teams", timeout=0.5)
    assert api.get("teams").json()["teams"]


@pytest.mark.parametrize(
    ("fault", "statuses"),
    [
        (Fault.ERROR_BEFORE, {500, 502, 503, 504}),
        (Fault.ERROR_AFTER, {500, 502, 503, 504}),
        (Fault.CONFLICT_BEFORE, {408, 409}),
        (Fault.CONFLICT_AFTER, {408, 409}),
        (Fault.BUSY, {429, 503}),
        (Fault.DRIP, {200}),
    ],
)
def test_an_answer_has_another_status(service: Service, api: httpx.Client, fault: Fault, statuses: set[int]) -> None:
    service.arrange(other=[fault])
    assert api.get("teams").status_code in statuses


@pytest.mark.parametrize("fault", [Fault.HTML, Fault.CUT_JSON])
def test_an_answer_is_no_json(service: Service, api: httpx.Client, fault: Fault) -> None:
    service.arrange(other=[fault])
    answer = api.get("teams")
    assert answer.status_code == 200
    with pytest.raises(ValueError, match="line 1"):
        answer.json()


@pytest.mark.parametrize(("fault", "made"), [(Fault.ERROR_BEFORE, 0), (Fault.ERROR_AFTER, 1), (Fault.HTML, 1)])
def test_the_work_is_done_or_not(service: Service, api: httpx.Client, fault: Fault, made: int, tmp_path: Path) -> None:
    night = Night(folder=tmp_path, service=service)
    night.prepare(sets=1)
    service.arrange(upload=[fault])
    before = service.truth()["uploads"]
    api.post("assets", json={"name": "front.png", "image": night.picture("set 00")})
    assert sum(service.truth()["uploads"].values()) - sum(before.values()) == made


def test_every_fault_is_survived_within_one_run(tmp_path: Path) -> None:
    """One after the other, each followed by a request that goes well."""
    with serving(tmp_path / "service", faults=FaultPlan(), hurry=HURRY, ceiling=8) as service:
        night = Night(folder=tmp_path, service=service)
        night.prepare(sets=20)
        service.arrange(**{kind: [one for fault in possible(kind) for one in (fault, None)] for kind in Kind})
        assert night.run() == ExitCode.OK
        assert set(service.truth()["faults"]) == {fault for kind in Kind for fault in possible(kind)}
        night.check()


def test_a_run_pays_once_for_every_set_on_an_ordinary_bad_day(tmp_path: Path) -> None:
    toll = toll_of("run", tmp_path / "run", replace(ORDINARY, seed=3), sets=20, hurry=HURRY)
    assert (toll.finished, toll.charged, toll.extra, toll.broken, toll.never_fetched) == (20, 20, 0, 0, 0)
