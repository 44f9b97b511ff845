"""Submit: the one paid request, and finding out what became of those whose answers were lost."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise, starmap
from operator import ge
from typing import Any

from pipeline.domain.jobs import Job, JobPage, JobStatus
from pipeline.domain.views import View
from pipeline.ports.interfaces import Now, Scenario

CLOCK_SKEW = timedelta(minutes=5)
"""How far the service's clock may be from ours where it does not tell the time."""

LOOK_BACK = timedelta(days=1)
"""How far before the attempt the list is asked for: our clock may have been ahead. The echo tells jobs apart."""

DATE_STEP = timedelta(seconds=1)
"""An HTTP date has whole seconds."""

_PAGES = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """When the absence of a job is believed (the manifest's ``uncertain`` section)."""

    ask: bool = False
    """Never believe it: a person decides."""
    settle_s: float = 60.0
    believe_after_s: float = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LostSubmission:
    """A generate POST whose answer was lost."""

    key: str
    model: str
    inputs: Mapping[str, Any]
    submitting_at: datetime
    """Before it could leave, by our clock."""
    age_s: float
    """How long ago, at the least, it had ended without an answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """What the service's job list says of a lost submission."""

    job: Job | None = None
    is_absent: bool = False
    """Neither found nor absent: still uncertain."""
    why: str = ""


KnownJobs = Callable[[Sequence[str]], Awaitable[Mapping[str, Mapping[str, Any]]]]
"""Those of the job ids that the ledger knows, each with the inputs that were sent for it (empty: no longer known)."""


async def submit(*, scenario: Scenario, model: str, inputs: Mapping[str, Any]) -> Job:
    """The one POST. Call it only after the intent is committed.

    Raises:
        SubmissionUncertain: the request may have been read. Never call again before ``find_submissions`` has settled
            it.
        NeverSent, CeilingReached, Throttled, AssetGone: nothing happened at the service.
        RequestRefused, CredentialsError: final.
    """
    return await scenario.generate(model=model, inputs=inputs)


async def find_submissions(
    lost: Sequence[LostSubmission],
    *,
    beside: Sequence[LostSubmission] = (),
    scenario: Scenario,
    known_jobs: KnownJobs,
    patience: Patience,
    now: Now,
) -> dict[str, Settled]:
    """Look for the jobs of lost submissions in the service's list, by their echoed inputs; one reading for all of them.

    A job that the ledger knows belongs to another submission. Absence is believed only when the list shows a job made
    or moved when the settle time had passed (a request may be done late, and the list may lag: now it has caught up
    with both), or when the attempt is old; and never while the list holds a job of unknown origin that may be it, for
    want of a job of ours that proves that the service repeats inputs.

    Args:
        lost: what is looked for; equal inputs share the jobs found, one each.
        beside: others whose outcome is not known, of sets that are as they were no more, perhaps. They are not looked
            for, but a job that fits one of them, made in its time and none that any of ``lost`` may have made of the
            same front picture, is its, and proves what the service repeats: else it might be taken for any of ``lost``
            for ever.
        scenario: the service.
        known_jobs: asks the ledger.
        patience: when absence is believed.
        now: the wall clock.

    Returns:
        by content key, what is known now.
    """
    seen = await _read_list(lost, scenario, known_jobs, now)
    found = _matched(lost, seen.strangers)
    others = _without(seen.strangers, found)
    found_beside = _matched_beside(beside, others, lost, _Times(seen, patience, now()))
    others = _without(others, found_beside)
    seen.echoes += len(found) + len(found_beside)
    settled = {}
    for one in lost:
        if job := found.get(one.key):
            settled[one.key] = Settled(job=job, why=f"the service lists it as {job.job_id}")
        else:
            settled[one.key] = _absence(one, others, _Times(seen, patience, now()))
    return settled


@dataclass(slots=True, kw_only=True)
class _Seen:
    """One reading of the service's list. Times in it are the service's."""

    behind: timedelta = CLOCK_SKEW
    """The service's clock is behind ours by so much at most ..."""
    ahead: timedelta = CLOCK_SKEW
    """... or ahead of it."""
    strangers: list[Job] = field(default_factory=list)
    """Jobs that the ledger does not know."""
    latest: datetime | None = None
    """When the last of the listed jobs was made or moved."""
    echoes: int = 0
    """Jobs of ours that the service shows with the inputs that we sent."""
    distorts: int = 0
    """Jobs of ours that it shows with others."""
    is_whole: bool = False
    """The list was read to its end, or back to before the first attempt."""

    def hear_clock(self, page: JobPage, asked_at: datetime, answered_at: datetime) -> None:
        """The service said the time at some moment between our question and its answer."""
        if page.told_at is not None:
            self.behind = answered_at - page.told_at
            # Never taken for behind: an answer out of a cache tells the time at which it was put there.
            self.ahead = max(page.told_at + DATE_STEP - asked_at, timedelta())

    def hear_jobs(self, jobs: Iterable[Job], known: Mapping[str, Mapping[str, Any]]) -> None:
        for job in jobs:
            told = [at for at in (job.created_at, job.updated_at, self.latest) if at is not None]
            self.latest = max(told, default=None)
            if job.job_id not in known:
                self.strangers.append(job)
            elif sent := known[job.job_id]:
                does_echo = _echoes(job.echo, sent)
                self.echoes += does_echo
                self.distorts += not does_echo

    @property
    def does_echo(self) -> bool:
        """Whether it is proven, by jobs of ours, that the service repeats inputs as they were sent."""
        return self.echoes > 0 and self.distorts == 0

    def has_caught_up(self, moment: datetime) -> bool:
        """Whether the list shows something that came after ``moment`` of our clock."""
        return self.latest is not None and self.latest > moment + self.ahead


async def _read_list(lost: Sequence[LostSubmission], scenario: Scenario, known_jobs: KnownJobs, now: Now) -> _Seen:
    began = min(one.submitting_at for one in lost)
    seen, page, since = _Seen(), None, began - LOOK_BACK
    for _ in range(_PAGES):
        asked_at = now()
        listed = await scenario.jobs(created_after=since, page=page)
        seen.hear_clock(listed, asked_at, now())
        if began - seen.behind < since:  # its clock is far behind: what we asked for has not come yet
            page, since = None, began - seen.behind - LOOK_BACK
            continue
        jobs = [*listed.jobs, *(Job(job_id=one, status=JobStatus.UNKNOWN) for one in listed.unread)]
        seen.hear_jobs(jobs, await known_jobs([job.job_id for job in jobs]))
        page = listed.next_page
        if page is None or _reaches_back(listed, began - seen.behind - CLOCK_SKEW):
            seen.is_whole = True
            break
    return seen


def _reaches_back(page: JobPage, moment: datetime) -> bool:
    """Whether what follows this page is older than ``moment``: the list is sorted by creation, newest first."""
    made = [job.created_at for job in page.jobs if job.created_at is not None]
    is_sorted = len(made) == len(page.jobs) and all(starmap(ge, pairwise(made)))
    return bool(made) and is_sorted and made[-1] < moment


def _matched(lost: Sequence[LostSubmission], strangers: Sequence[Job]) -> dict[str, Job]:
    """A job for each lost submission whose model and inputs it has, the oldest first; no job for two. Who has said more
    chooses first: the inputs of another may be a part of his, the rest left to the service's defaults.
    """
    by_age = sorted(strangers, key=lambda job: (job.created_at is None, job.created_at, job.job_id))
    left = {job.job_id: job for job in by_age}
    found = {}
    for one in sorted(lost, key=lambda it: -len(it.inputs)):
        if job := next((job for job in left.values() if _is_of(job, one)), None):
            found[one.key] = left.pop(job.job_id)
    return found


def _matched_beside(
    beside: Sequence[LostSubmission], strangers: Sequence[Job], lost: Sequence[LostSubmission], times: "_Times"
) -> dict[str, Job]:
    """As ``_matched``, but the service may show a job of a lost one with other inputs than were sent: those of one
    beside, which perhaps never arrived. What may be of a lost one is nobody's.
    """

    def is_open(job: Job) -> bool:
        front = job.echo.get(View.FRONT.field)
        return any(front == one.inputs.get(View.FRONT.field) and times.allow(job, one) for one in lost)

    dated = [job for job in strangers if job.created_at is not None and not is_open(job)]
    found: dict[str, Job] = {}
    for one in sorted(beside, key=lambda it: -len(it.inputs)):
        found |= _matched([one], [job for job in _without(dated, found) if times.allow(job, one)])
    return found


def _without(jobs: Iterable[Job], taken: Mapping[str, Job]) -> list[Job]:
    ids = {job.job_id for job in taken.values()}
    return [job for job in jobs if job.job_id not in ids]


def _is_of(job: Job, one: LostSubmission) -> bool:
    return job.model_id in {"", one.model} and _echoes(job.echo, one.inputs)


@dataclass(frozen=True, slots=True)
class _Times:
    """When a lost submission's job may have been made, by what is ``seen`` of the service's clock."""

    seen: _Seen
    patience: Patience
    now: datetime

    def ended_at(self, one: LostSubmission) -> datetime:
        return self.now - timedelta(seconds=one.age_s)

    def allow(self, job: Job, one: LostSubmission) -> bool:
        """Whether it was made in the submission's time, or doesn't tell when."""
        ended_at, seen = self.ended_at(one), self.seen
        first = min(one.submitting_at, ended_at) - seen.behind - CLOCK_SKEW
        last = ended_at + seen.ahead + CLOCK_SKEW + timedelta(seconds=self.patience.settle_s)
        return job.created_at is None or first <= job.created_at <= last


def _absence(one: LostSubmission, others: Sequence[Job], times: _Times) -> Settled:
    seen, patience = times.seen, times.patience
    waited = f"not listed {one.age_s:,.0f} s after the attempt"
    if not seen.is_whole:
        return Settled(why=f"the service's list has more than {_PAGES} pages: it was not read to its end")
    if suspect := next((job for job in others if _may_be(job, one, times)), None):
        return Settled(why=f"{suspect.job_id} may be it: the service does not show inputs as they were sent")
    if patience.ask:
        return Settled(why="the service does not list it, and the manifest says to ask a person")
    if one.age_s >= patience.believe_after_s:
        return Settled(is_absent=True, why=waited)
    if seen.has_caught_up(times.ended_at(one) + timedelta(seconds=patience.settle_s)):
        return Settled(is_absent=True, why=f"{waited}, while later jobs are")
    return Settled(why=f"{waited}, and the list may lag")


def _may_be(job: Job, one: LostSubmission, times: _Times) -> bool:
    """Whether a job of unknown origin, whose echo does not fit, may be the lost one all the same: made at that time by
    that model, and it shows no inputs, or the service has not proven yet that it shows them as they were sent.
    """
    tells = isinstance(job.echo.get(View.FRONT.field), str) and times.seen.does_echo
    if tells or (job.model_id and job.model_id != one.model):
        return False
    return times.allow(job, one)


def differences(echo: Mapping[str, Any], inputs: Mapping[str, Any]) -> list[str]:
    """In words, what a job's echo has other than these inputs; empty where it echoes them."""
    further = {view.field: None for view in View if echo.get(view.field) and view.field not in inputs}
    return [
        f"{name} is {echo.get(name, 'not told')}, was sent as {'nothing' if value is None else value}"
        for name, value in {**inputs, **further}.items()
        if echo.get(name) != value
    ]


def _echoes(echo: Mapping[str, Any], inputs: Mapping[str, Any]) -> bool:
    """Whether a job's echo is of these inputs: it may have more (defaults, further fields), never less or other.

    A further picture is another job: the same front view may be sent with more views, too.
    """
    if any(echo.get(view.field) and view.field not in inputs for view in View):
        return False
    return bool(echo) and all(name in echo and echo[name] == value for name, value in inputs.items())
