"""The life cycle as a whole: the real ledger, planner and budget, beside a service that charges for what it makes.

Hypothesis plays the flow, the network, the power cuts and the person; what is promised is checked after every step.
"""

import sqlite3
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from pipeline.domain.budget import Budget
from pipeline.domain.items import Alias, ItemRecord, OutputFile, Verdict, WorkItem, content_key
from pipeline.domain.lifecycle import Event, State, advance, is_paid
from pipeline.domain.model import MODEL_ID
from pipeline.domain.planning import Action, PlannedItem, decide
from pipeline.domain.views import View
from pipeline.ports.ledger import MIGRATIONS, SqliteLedger

PRICE_CU = 10.0
NAMES = ("chair", "lamp")
ENDS = st.sampled_from(["success", "success", "success", "refunded", "kept", ""])
UNPAID = [Event.PLAN, Event.REFUSE, Event.DEFER, Event.FAIL]
UNSENT = [Event.NOT_SENT, Event.ASSET_LOST, Event.FAIL]
UNPLACED = [Event.MISSING, Event.FAIL]
RESTING = {
    (State.DELIVERED, Action.NOTHING),
    (State.HELD, Action.LEAVE),
    (State.DROPPED, Action.LEAVE),
}
MESH = OutputFile(role="mesh", name="mesh.glb", size_bytes=1, sha256="a" * 64, media_type="model/gltf-binary")


class PowerCut(BaseException):
    """Everything in memory is gone."""


class CrashingDatabase:
    """``Database`` on a file, inline. With ``cut`` the power goes after the work, before it is committed."""

    def __init__(self, path: Path) -> None:
        self.cut = False
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._connection.row_factory = sqlite3.Row
        self._connection.execute("PRAGMA synchronous=OFF")

    def migrate(self) -> None:
        for migration in MIGRATIONS:
            self._connection.executescript(migration.script)

    async def write(self, work):
        self._connection.execute("BEGIN IMMEDIATE")
        result = work(self._connection)
        if self.cut:
            raise PowerCut
        self._connection.execute("COMMIT")
        return result

    async def read(self, work):
        return work(self._connection)

    glance = read

    def close(self) -> None:
        self._connection.close()


def run(coroutine):
    """The result of a coroutine that never waits."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("it waits")


@dataclass(slots=True, kw_only=True)
class ServiceJob:
    """A job as the service knows it."""

    job_id: str
    key: str
    ended: str = ""
    """``success``, ``refunded``, ``kept`` (failed, and charged all the same); empty: it runs."""
    is_lost: bool = False
    """The service no longer has what it made."""
    is_rejected: bool = False

    @property
    def is_owed(self) -> bool:
        """Whether its money is spent with nothing to excuse a second job for the same item."""
        return self.ended in {"", "success"} and not (self.is_lost or self.is_rejected)


@dataclass(slots=True, kw_only=True)
class Watched:
    """What has been seen of one item so far: none of it may be taken back."""

    work: WorkItem
    jobs: set[str] = field(default_factory=set)
    charged_cu: float = 0.0
    in_place: bool = False


class LifeCycle(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self._folder = TemporaryDirectory()
        self._path = Path(self._folder.name, "ledger.sqlite3")
        self._now = datetime(2031, 5, 1, tzinfo=UTC)
        self._jobs: list[ServiceJob] = []
        self._seen: dict[str, Watched] = {}
        self._database = CrashingDatabase(self._path)
        self._database.migrate()
        self._ledger = SqliteLedger(self._database, lambda: self._now)
        self._budget = Budget()

    def teardown(self) -> None:
        self._database.close()
        self._folder.cleanup()

    # What one has at hand.

    def record(self, key: str) -> ItemRecord:
        return run(self._ledger.item(key))

    def having(self, *states: State) -> list[str]:
        return sorted(key for key in self._seen if self.record(key).state in states)

    def known_jobs(self) -> set[str]:
        return set(run(self._ledger.known_jobs([*(one.job_id for one in self._jobs), "job_never"])))

    def job_of(self, key: str) -> ServiceJob:
        job_id = self.record(key).job_id
        return next(one for one in self._jobs if one.job_id == job_id)

    def move(self, key: str, event: Event, **changes) -> ItemRecord:
        self._now += timedelta(seconds=1)
        after = run(self._ledger.advance(key, event, **changes))
        self.all_is_as_promised()
        return after

    def start(self) -> None:
        """A run begins: what is in memory comes from the ledger alone."""
        self._database.close()
        self._database = CrashingDatabase(self._path)
        self._ledger = SqliteLedger(self._database, lambda: self._now)
        self._budget = Budget(max_cu=self._budget.max_cu)
        for key in self.having(State.SUBMITTING, State.UNCERTAIN, State.SUBMITTED):
            self._budget.owe(key, self.record(key).quoted_cu)

    def plan(self, key: str, *, results_last: bool = True) -> PlannedItem:
        seen = self._seen[key]
        intact = seen.work.aliases if seen.in_place else ()
        return decide(seen.work, self.record(key), intact=intact, has_source=False, results_last=results_last)

    # Rules: the flow.

    @initialize(max_cu=st.none() | st.integers(0, 60))
    def begin(self, max_cu) -> None:
        self._budget = Budget(max_cu=max_cu)

    @precondition(lambda self: len(self._seen) < len(NAMES))
    @rule()
    def open_another(self) -> None:
        name = NAMES[len(self._seen)]
        pictures = {View.FRONT: name * 8}
        key = content_key(service="scenario", project="", model=MODEL_ID, params={}, pictures=pictures)
        work = WorkItem(key=key, model=MODEL_ID, params={}, pictures={}, aliases=(Alias(set_id=name),))
        record = ItemRecord(
            key=key, state=State.PLANNED, service="scenario", project="", model=MODEL_ID, params={}, pictures=pictures
        )
        assert decide(work, None, intact=(), has_source=False, results_last=True).action is Action.GENERATE
        assert run(self._ledger.open_item(record)) == record
        assert run(self._ledger.open_item(replace(record, state=State.DROPPED))) == record, "opened once"
        self._seen[key] = Watched(work=work)

    @precondition(lambda self: self._seen)
    @rule(data=st.data(), which=st.integers(0, 1), steps=st.integers(1, 8), ends=ENDS)
    def go_on(self, data, which, steps, ends) -> None:
        """A run brings one item on, some steps far, each with what may become of it."""
        key = sorted(self._seen)[which % len(self._seen)]
        for _ in range(steps):
            self.step(key, data)
            job = next((one for one in self._jobs if one.key == key and not one.ended), None)
            if job and ends:
                job.ended = ends

    def step(self, key: str, data) -> None:
        match self.record(key).state:
            case State.PLANNED:
                self.move(key, data.draw(st.sampled_from([Event.UPLOAD] * 5 + UNPAID)))
            case State.UPLOADING:
                inputs = {View.FRONT.field: f"asset_of_{key[:8]}"}
                self.move(key, data.draw(st.sampled_from([Event.UPLOADED] * 5 + UNPAID)), inputs=inputs)
            case State.READY:
                self.submit(
                    key, data.draw(st.sampled_from(["well"] * 5 + ["lost", "cut before", "cut after", *UNSENT]))
                )
            case State.UNCERTAIN:
                self.reconcile(key)
            case State.SUBMITTED:
                self.watch(key)
            case State.FINISHED:
                self.download(key, breaks=data.draw(st.sampled_from([False] * 4 + [True])))
            case State.DOWNLOADED:
                self.deliver(key, data.draw(st.sampled_from([Event.ACCEPT] * 3 + [Event.HOLD] * 3 + UNPLACED)))
            case _:
                self.take_up(key, results_last=data.draw(st.sampled_from([True] * 3 + [False])))

    def take_up(self, key: str, *, results_last: bool) -> None:
        """What a new run makes of an item that rests, as ``Flow`` does."""
        planned, before = self.plan(key, results_last=results_last), self.record(key)
        match before.state, planned.action:
            case State.SUBMITTING, Action.RESUME:
                self.move(key, Event.ANSWER_LOST)
            case State.FAILED, Action.RESUME:
                self.move(key, Event.TRY_AGAIN)
            case State.FAILED | State.DEFERRED | State.REFUSED, Action.GENERATE:
                self.move(key, Event.PLAN)
            case State.DELIVERED | State.HELD, Action.GENERATE:
                self.job_of(key).is_lost = True  # the embedded service clears what is delivered
                self.move(key, Event.RESULT_LOST, asset_ids=(), job_id="")
            case State.DELIVERED | State.HELD, Action.FETCH:
                self.move(key, Event.MISSING)
            case state, action:
                assert (state, action) in RESTING

    def submit(self, key: str, goes: str) -> None:
        """Intent, the one POST, outcome, with all that may happen between them."""
        before = self.record(key)
        if not self._budget.reserve(key, PRICE_CU):
            self.move(key, Event.DEFER)
            return
        assert self._budget.max_cu is None or self._budget.committed_cu <= self._budget.max_cu
        self.move(
            key, Event.INTEND, submitting_at=self._now, attempts=before.attempts + 1, quoted_cu=PRICE_CU, job_id="",
            asset_ids=(), outputs=(),
        )  # fmt: skip
        if goes == "cut before":
            self.start()
        elif goes in UNSENT:
            self._budget.release(key)
            self.move(key, Event(goes), attempts=before.attempts)
        else:
            self.hear_of(key, self.make_job(key), goes)

    def make_job(self, key: str) -> ServiceJob:
        assert not any(one.is_owed for one in self._jobs if one.key == key), "a second job is made while one is owed"
        self._jobs.append(ServiceJob(job_id=f"job_{len(self._jobs)}", key=key))
        return self._jobs[-1]

    def hear_of(self, key: str, job: ServiceJob, goes: str) -> None:
        if goes == "well":
            self.move(key, Event.ACCEPTED_BY_SERVICE, job_id=job.job_id)
        elif goes == "lost":
            self.move(key, Event.ANSWER_LOST)
        else:
            self.start()

    def reconcile(self, key: str) -> None:
        """The service's list is whole: a job that the ledger does not know is found, absence is true."""
        known = self.known_jobs()
        match [one for one in self._jobs if one.key == key and one.job_id not in known]:
            case [job]:
                self.move(key, Event.SUBMISSION_FOUND, job_id=job.job_id)
            case []:
                self._budget.release(key)
                self.move(key, Event.SUBMISSION_ABSENT)
            case several:
                raise AssertionError(f"the ledger has forgotten all but one of {several}")

    def watch(self, key: str) -> None:
        job, before = self.job_of(key), self.record(key)
        charged_cu = {"success": PRICE_CU, "kept": PRICE_CU, "refunded": 0.0}.get(job.ended)
        if charged_cu is None:
            return
        self._budget.settle(key, charged_cu)
        charged = {"charged_cu": (before.charged_cu or 0.0) + charged_cu}
        if job.ended == "success":
            self.move(key, Event.JOB_SUCCEEDED, asset_ids=(f"mesh_of_{job.job_id}",), failed_jobs=0, **charged)
        else:
            self.move(key, Event.FAIL, error="no object", failed_jobs=before.failed_jobs + 1, **charged)

    def download(self, key: str, *, breaks: bool) -> None:
        if self.job_of(key).is_lost:
            self.move(key, Event.RESULT_LOST, job_id="", asset_ids=())
        elif breaks:
            self.move(key, Event.FAIL, error="the mesh is damaged")
        else:
            self.move(key, Event.DOWNLOADED, outputs=(MESH,))

    def deliver(self, key: str, event: Event) -> None:
        verdicts = {Event.ACCEPT: Verdict(outcome="accepted"), Event.HOLD: Verdict(outcome="held")}
        if event in verdicts:
            self._seen[key].in_place = True
            self.move(key, event, verdict=verdicts[event])
        else:
            self.move(key, event)

    # Rules: the world.

    @precondition(lambda self: any(one.ended == "success" for one in self._jobs))
    @rule(data=st.data())
    def service_loses_a_result(self, data) -> None:
        data.draw(st.sampled_from([one for one in self._jobs if one.ended == "success"])).is_lost = True

    @precondition(lambda self: self.having(State.HELD))
    @rule(which=st.integers(0, 1), event=st.sampled_from([Event.APPROVE, Event.REJECT, Event.DROP]))
    def person_decides(self, which, event) -> None:
        held = self.having(State.HELD)
        key = held[which % len(held)]
        if event is Event.REJECT:
            self.job_of(key).is_rejected = True
            self._seen[key].in_place = False
            self.move(key, event, job_id="", asset_ids=())
        else:
            self.move(key, event)

    @precondition(lambda self: any(one.in_place for one in self._seen.values()))
    @rule()
    def files_vanish(self) -> None:
        for one in self._seen.values():
            one.in_place = False

    @rule()
    def power_cut(self) -> None:
        self.start()

    @precondition(lambda self: self._seen)
    @rule(data=st.data(), event=st.sampled_from(Event))
    def power_cut_within_a_write(self, data, event) -> None:
        """Nothing of a move that was not committed is left, and nothing else is lost."""
        key = data.draw(st.sampled_from(sorted(self._seen)))
        before, history = self.record(key), run(self._ledger.history(key))
        self._database.cut = True
        try:
            self.move(key, event, job_id="job_never", charged_cu=1e6)
        except (PowerCut, AssertionError):
            self.start()
        assert (self.record(key), run(self._ledger.history(key))) == (before, history)

    # What is promised.

    @invariant()
    def all_is_as_promised(self) -> None:
        self.history_tells_how_the_state_came_about()
        self.all_records_load()
        self.what_is_paid_is_never_begun_anew()
        self.jobs_and_charges_are_never_forgotten()
        self.money_and_ledger_agree()

    def history_tells_how_the_state_came_about(self) -> None:
        for key in self._seen:
            state = State.PLANNED
            for event, after, _ in run(self._ledger.history(key)):
                state = advance(state, Event(event))
                assert state == after
            assert state is self.record(key).state

    def all_records_load(self) -> None:
        assert {one.key for one in run(self._ledger.items())} == self._seen.keys()

    def what_is_paid_is_never_begun_anew(self) -> None:
        for key in self._seen:
            record, owed = self.record(key), [one for one in self._jobs if one.key == key and one.is_owed]
            planned = self.plan(key)
            assert not (is_paid(record.state) and planned.action is Action.GENERATE)
            assert not (owed and planned.action is Action.GENERATE), f"{owed} would be paid again"
            assert len(owed) <= 1
            if planned.action is Action.GENERATE or record.state in {State.SUBMITTING, State.UNCERTAIN}:
                assert planned.may_spend

    def jobs_and_charges_are_never_forgotten(self) -> None:
        known = self.known_jobs()
        assert known <= {one.job_id for one in self._jobs}
        for key, seen in self._seen.items():
            record = self.record(key)
            seen.jobs |= {record.job_id} - {""}
            assert seen.jobs <= known
            assert (record.charged_cu or 0.0) >= seen.charged_cu
            seen.charged_cu = record.charged_cu or 0.0

    def money_and_ledger_agree(self) -> None:
        """Every charge that the service has made is in the ledger, or its job is still to be heard of."""
        for key in self._seen:
            record = self.record(key)
            charged = [one for one in self._jobs if one.key == key and one.ended in {"success", "kept"}]
            unheard = record.state in {State.SUBMITTING, State.UNCERTAIN, State.SUBMITTED}
            told_cu = record.charged_cu or 0.0
            assert told_cu in {PRICE_CU * len(charged), PRICE_CU * (len(charged) - unheard)}


LifeCycle.TestCase.settings = settings(stateful_step_count=25)
TestLifeCycle = LifeCycle.TestCase
