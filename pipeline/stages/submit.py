"""Submit: the one paid request, and finding out what became of one whose answer was lost."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pipeline.domain.jobs import Job
from pipeline.domain.views import View
from pipeline.ports.interfaces import Scenario

CLOCK_SKEW = timedelta(minutes=5)
"""How far the service's clock may be from ours when it says that its list has caught up."""

LOOK_BACK = timedelta(days=1)
"""How far before the attempt the list is read: however wrong a clock is, the echo tells jobs apart."""

_PAGES = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """When the absence of a job is believed (the manifest's ``uncertain`` section)."""

    ask: bool = False
    """Never believe it: a person decides."""
    settle_s: float = 60.0
    believe_after_s: float = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """What the service's job list says of an uncertain submission."""

    job: Job | None = None
    is_absent: bool = False
    """Neither found nor absent: still uncertain."""
    why: str = ""


async def submit(*, scenario: Scenario, model: str, inputs: Mapping[str, Any]) -> Job:
    """The one POST. Call it only after the intent is committed.

    Raises:
        SubmissionUncertain: the request may have been read. Never call again before ``find_submission`` has settled it.
        NeverSent, CeilingReached, Throttled, AssetGone: nothing happened at the service.
        RequestRefused, CredentialsError: final.
    """
    return await scenario.generate(model=model, inputs=inputs)


async def find_submission(
    *,
    scenario: Scenario,
    inputs: Mapping[str, Any],
    submitting_at: datetime,
    known_jobs: Collection[str],
    patience: Patience,
    now: datetime,
) -> Settled:
    """Look for the job of an uncertain submission in the service's list, by its echoed inputs.

    Jobs that the ledger knows belong to other submissions. Absence is believed only when the list shows a job made or
    moved after the attempt (it has caught up) and the settle time has passed, or when the attempt is old.
    """
    caught_up, page = False, None
    for _ in range(_PAGES):
        listed = await scenario.jobs(created_after=submitting_at - LOOK_BACK, page=page)
        for job in listed.jobs:
            if job.job_id not in known_jobs and _echoes(job.echo, inputs):
                return Settled(job=job, why=f"the service lists it as {job.job_id}")
            caught_up = caught_up or _is_after(job, submitting_at)
        page = listed.next_page
        if page is None:
            return _absence((now - submitting_at).total_seconds(), patience, caught_up=caught_up)
    return Settled(why=f"the service's list has more than {_PAGES} pages: it was not read to its end")


def _absence(age_s: float, patience: Patience, *, caught_up: bool) -> Settled:
    if patience.ask:
        return Settled(why="the service does not list it, and the manifest says to ask a person")
    if age_s >= patience.believe_after_s:
        return Settled(is_absent=True, why=f"not listed {age_s:,.0f} s after the attempt")
    if caught_up and age_s >= patience.settle_s:
        return Settled(is_absent=True, why=f"not listed {age_s:,.0f} s after the attempt, while later jobs are")
    return Settled(why=f"not listed {age_s:,.0f} s after the attempt, and the list may lag")


def _is_after(job: Job, moment: datetime) -> bool:
    """Whether the list has caught up with ``moment``, on the service's clock, which may be behind ours or ahead."""
    return any(at is not None and at > moment + CLOCK_SKEW for at in (job.created_at, job.updated_at))


def _echoes(echo: Mapping[str, Any], inputs: Mapping[str, Any]) -> bool:
    """Whether a job's echo is of these inputs: it may have more (defaults, further fields), never less or other.

    A further picture is another job: the same front view may be sent with more views, too.
    """
    if any(echo.get(view.field) and view.field not in inputs for view in View):
        return False
    return bool(echo) and all(name in echo and echo[name] == value for name, value in inputs.items())
