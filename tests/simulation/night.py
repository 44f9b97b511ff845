"""One night: runs that are disturbed, then runs that nothing disturbs, and the accounts in the morning."""

import json
import random
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any
from unittest import mock

import anyio
import trio

from pipeline.batch import Batch, Outcome
from pipeline.batch.rebuilding import Rebuilding
from pipeline.batch.terms import terms_of
from pipeline.domain.errors import AbortRun, ServiceUnreachable, SubmissionUncertain
from pipeline.domain.events import ItemMoved, Noted, RunEvent
from pipeline.domain.manifest import Manifest, load_manifest
from pipeline.domain.model import PUBLISHED_SCHEMA
from pipeline.ports.interfaces import Scenario
from pipeline.ports.ledger import SqliteLedger
from simulation.calls import MeshDownloads, ServiceCalls, Weather
from simulation.clock import now_at, virtual_now, virtual_time, without_threads
from simulation.database import MortalDatabase, empty_ledger_file
from simulation.disk import Disk, DiskStorage
from simulation.pictures import TextPictures
from simulation.process import Process
from simulation.promises import Morning, Promises, Violation
from simulation.script import RunOfNight, Script, SetOfNight
from simulation.service import GenerationService

MORNING_RUNS = 12
"""How many undisturbed runs may be needed, hours apart."""
MORNING_RESTS_S = 3 * 3600.0
LONGEST_RUN_S = 2 * 24 * 3600.0
LEAVES_WITHIN_S = 5.0
WINDOW_SLACK_S = 90.0
"""A run asks for the team's limits before its window opens, as patiently as for anything else."""


def as_it_is(port: Any) -> Any:
    return port


@dataclass(frozen=True, slots=True, kw_only=True)
class Wiring:
    """What comes between the flow and its ports: nothing, unless the night is to show that a fault is noticed."""

    manifest: Callable[[Manifest], Manifest] = as_it_is
    database: Callable[[MortalDatabase], Any] = as_it_is
    ledger: Callable[[SqliteLedger], Any] = as_it_is
    storage: Callable[[DiskStorage], Any] = as_it_is
    scenario: Callable[[ServiceCalls], Any] = as_it_is
    stop: Callable[[anyio.Event], anyio.Event] = as_it_is


class Night:
    def __init__(self, script: Script, folder: Path, wiring: Wiring) -> None:
        self.script = script
        self._wiring = wiring
        self.story: list[tuple[float, int, str]] = []
        self.runs = 0
        self._folder = folder
        self._chance = Random(f"night {script.seed}")
        self._weather = script.weather
        self._sets = {one.set_id: one for one in script.sets}
        self._old_names: set[str] = set()
        self._promises = Promises(output=folder / "out")
        self._disk = Disk(watch=self._promises.stands)
        self._ledger = self._promises.ledger = empty_ledger_file()
        self._service = self._promises.service = GenerationService(
            script.temper, Random(f"service {script.seed}"), charged=self._promises.charged
        )
        self._service.bad_orders.update(f'"{one}"' for one in script.bad)
        for at in script.strangers:
            self._service.send({"frontImage": f"asset of a stranger {at}"}, at=at, run=None)
        for one in script.sets:
            self._write(one)
        self._expect()
        self._manifest = self._read_manifest()

    async def spend(self) -> None:
        """All of it.

        Raises:
            Violation: a promise is broken.
        """
        for run in self.script.runs:
            self._befall(run)
            if run.ledger_lost and self.script.is_rebuildable:
                await self._rebuild()
            await self._run(run)
            await anyio.sleep(run.rests_s)
        self._weather = Weather()
        for _ in range(MORNING_RUNS):
            self._tell("-- undisturbed --")
            outcome = await self._run(RunOfNight())
            if outcome is not None and self._is_done(outcome):
                break
            await anyio.sleep(MORNING_RESTS_S)
        Morning(
            self._promises,
            disk=self._disk,
            output=self._manifest.output_folder,
            ours=self._labels(),
            old_names=self._old_names,
            may_stay_uncertain=self._may_stay_uncertain,
        ).check()

    def _is_done(self, outcome: Outcome) -> bool:
        waits = outcome.over_budget or outcome.out_of_time or outcome.unfinished
        return not waits and (self._may_stay_uncertain or not outcome.uncertain) and self._failures_stand()

    @property
    def _may_stay_uncertain(self) -> bool:
        """A person is to be asked, the service does not tell which job is whose, or a stranger's job may be the lost one
        as long as none of ours has proven that the service would tell.
        """
        odd = self.script.temper.echo in {"none", "other"}
        return self.script.asks or odd or bool(self.script.strangers)

    def _failures_stand(self) -> bool:
        """Whether what failed would fail again: its service is well now."""
        failed = self._ledger.execute("SELECT key, record FROM items WHERE state = 'failed'").fetchall()
        jobs = dict(self._ledger.execute("SELECT job_id, key FROM jobs").fetchall())
        bad = [one.job_id for one in self._service.jobs.values() if one.fails or one.lost]
        blamed = {jobs[job_id] for job_id in bad if job_id in jobs}
        return all(row["key"] in blamed for row in failed)

    # What is there.

    def _write(self, one: SetOfNight) -> None:
        for view, text in one.views.items():
            path = self._place(one) / f"{view}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def _place(self, one: SetOfNight) -> Path:
        return self._folder / ("doubled" if one.copies > 1 else "sets") / one.set_id

    def _read_manifest(self) -> Manifest:
        entries = [{"path": "sets/*"}] if any(one.copies == 1 for one in self._sets.values()) else []
        if any(one.copies > 1 for one in self._sets.values()):
            entries.append({"path": "doubled/*", "copies": 2})
        said = {
            "version": 1,
            "name": "night",
            "backend": "scenario",
            "output": "out",
            "previews": False,
            "sets": entries,
            "variants": [{"name": one, "params": {"enablePbr": one == "pbr"}} for one in self.script.variants],
            **self.script.sections,
        }
        return load_manifest(json.dumps(said), file=self._folder / "m.yaml", environ={})

    def _labels(self) -> Mapping[str, str]:
        """What is to be had, by label: its order."""
        found = {}
        for one in self._sets.values():
            for variant in self.script.variants or ("",):
                for copy in range(1, one.copies + 1):
                    label = "@".join(part for part in (one.set_id, variant, f"copy{copy}" if copy > 1 else "") if part)
                    found[label] = "" if one.is_broken else self._order(one, variant)
        return found

    def _order(self, one: SetOfNight, variant: str) -> str:
        params = PUBLISHED_SCHEMA.complete({"enablePbr": True} if variant == "pbr" else {})
        return json.dumps({**{f"{view}Image": text for view, text in one.views.items()}, **params}, sort_keys=True)

    def _expect(self) -> None:
        """What is wanted from now on besides what was wanted before: copies count, not sets of one order."""
        for one in self._sets.values():
            fronts = self._promises.fronts
            fronts[one.views["front"]] = max(one.copies, fronts.get(one.views["front"], 1))
            for variant in self.script.variants or ("",):
                order, wanted = self._order(one, variant), self._promises.wanted
                wanted[order] = max(one.copies, wanted.get(order, 0))

    # What happens.

    async def _rebuild(self) -> None:
        """A new ledger from what is left; a person comes again until the service's list has told enough."""
        self._tell("-- the ledger is lost --")
        changed = now_at(self._promises.committed_at)
        process = Process(0, death=None, full=None, tell=self._tell)
        terms = terms_of(self._manifest, service="scenario", began=virtual_now())
        for _ in range(MORNING_RUNS):
            self._ledger = self._promises.new_ledger(empty_ledger_file())
            batch = self._batch(RunOfNight(), process)
            rebuilding = Rebuilding(
                terms,
                backend=self._manifest.backend,
                model=self._manifest.model,
                scenario=self._calls(process),
                storage=DiskStorage(self._disk, process),
                ledger=batch._ledger,
                now=virtual_now,
                observe=self._hear,
            )
            try:
                found = await rebuilding.carry_out(await batch.plan(), last_change=changed)
            except (SubmissionUncertain, ServiceUnreachable) as error:
                self._tell(f"-- {error} --")
                await anyio.sleep(1800)
            else:
                self._tell(f"-- the ledger is rebuilt: {found} --")
                return
        raise Violation("the ledger was never rebuilt")

    def _befall(self, run: RunOfNight) -> None:
        meshes = self._disk.names(self._manifest.output_folder / "meshes")
        if run.tidied and meshes:
            name = self._chance.choice(meshes)
            self._tell(f"-- somebody removes meshes/{name} --")
            self._disk.take(self._manifest.output_folder / "meshes" / name)
        if run.renamed:
            self._rename(self._chance.choice(list(self._sets.values())))
        if run.redrawn:
            self._redraw(self._chance.choice(list(self._sets.values())))
        if run.ceiling is not None:
            self._service.temper = replace(self._service.temper, ceiling=run.ceiling)

    def _rename(self, one: SetOfNight) -> None:
        after = replace(one, set_id=f"new {one.set_id}")
        self._tell(f"-- somebody renames {one.set_id} to {after.set_id} --")
        shutil.move(self._place(one), self._place(after))
        del self._sets[one.set_id]
        self._old_names.add(one.set_id)
        self._sets[after.set_id] = after

    def _redraw(self, one: SetOfNight) -> None:
        """The old mesh stays paid; the new picture is another order."""
        view = self._chance.choice(list(one.views))
        self._tell(f"-- somebody draws {one.set_id}'s {view} anew --")
        after = self._sets[one.set_id] = replace(one, views={**one.views, view: f"new {one.views[view]}"})
        self._write(after)
        self._expect()

    async def _run(self, run: RunOfNight) -> Outcome | None:
        """One run to its end, by itself or not; None: it did not come to its end."""
        self.runs += 1
        process = Process(self.runs, death=run.death, full=run.full, tell=self._tell)
        self._promises.run_begins()
        self._promises.max_cu[process.number] = run.max_cu
        self._tell(f"-- run {process.number}: {run} --")
        outcome = None
        try:
            async with anyio.create_task_group() as around:
                around.start_soon(self._lose, run)
                with anyio.fail_after(LONGEST_RUN_S):
                    outcome = await self._carry_out(run, process, around)
                around.cancel_scope.cancel()
        except BaseException as error:  # noqa: BLE001 - a death is no Exception
            self._judge_end(error, process)
        if self._promises.violation:
            raise self._promises.violation
        if process.has_died and run.death and run.death.is_power_cut:
            self._disk.power_cut(self._chance)
        process.die()
        self._tell(f"-- run {process.number} ends after {process.steps} steps: {outcome} --")
        return outcome

    def _judge_end(self, error: BaseException, process: Process) -> None:
        """A run may end by its death, or by an error that aborts it: anything else is a bug of ours."""
        if process.has_died or self._promises.violation:
            return
        for one in _leaves(error):
            self._tell(f"-- {one!r} --")
            if not isinstance(one, AbortRun):
                raise Violation(f"run {process.number} ended with {one!r}") from error

    async def _carry_out(self, run: RunOfNight, process: Process, around: anyio.abc.TaskGroup) -> Outcome:
        batch, calls, stop = self._batch(run, process), self._calls(process), anyio.Event()
        async with aclosing(batch.survey(chunk=1)) as looking:
            first = await looking.head() if run.begins_early and batch.can_begin_early() else []
            is_early = bool(first) and not looking.is_whole
            plan = None if is_early else await batch.plan(looking)
            if plan is not None and plan.needs_service:
                plan = await batch.price(plan, calls)
            heard = self._wiring.stop(stop)
            if run.stops_after_s is not None:
                around.start_soon(self._stop, run.stops_after_s, process, stop)
            if run.max_duration_s is not None:
                ends = anyio.current_time() + run.max_duration_s + WINDOW_SLACK_S
                self._promises.windows_end[process.number] = ends
            downloads = MeshDownloads(self._service, process, self._weather, self._chance, self._disk)
            ports = {"scenario": calls, "downloads": downloads}
            if plan is None:
                return (await batch.carry_out_early(looking, first, **ports, stop=heard))[0]
            if not plan.needs_service:
                ports = {"scenario": None, "downloads": None}
            return await batch.carry_out(plan, **ports, stop=heard)

    def _calls(self, process: Process) -> Scenario:
        calls = ServiceCalls(
            self._service,
            process,
            self._weather,
            self._chance,
            about_to_submit=self._promises.about_to_submit,
            about_to_upload=self._promises.about_to_upload,
        )
        return self._wiring.scenario(calls)

    def _batch(self, run: RunOfNight, process: Process) -> Batch:
        database = MortalDatabase(self._ledger, process, committed=self._promises.committed)
        return Batch(
            self._wiring.manifest(self._with(run)),
            service="scenario",
            images=TextPictures(process),
            storage=self._wiring.storage(DiskStorage(self._disk, process)),
            ledger=self._wiring.ledger(SqliteLedger(self._wiring.database(database), virtual_now)),
            compute=None,
            now=virtual_now,
            observe=self._hear,
        )

    def _with(self, run: RunOfNight) -> Manifest:
        limits = self._manifest.limits.model_copy(update={"max_duration": run.max_duration_s})
        budget = self._manifest.budget.model_copy(update={"max_cu": run.max_cu})
        return self._manifest.model_copy(update={"limits": limits, "budget": budget})

    async def _stop(self, after_s: float, process: Process, stop: anyio.Event) -> None:
        await anyio.sleep(after_s)
        self._tell("-- told to stop --")
        self._promises.stopped.add(process.number)
        stop.set()
        await anyio.sleep(LEAVES_WITHIN_S)
        process.die()
        self._promises.require(False, f"run {process.number} has not left {LEAVES_WITHIN_S} s after it was told to")

    async def _lose(self, run: RunOfNight) -> None:
        losses = [(run.loses_picture_after_s, self._lose_picture), (run.loses_mesh_after_s, self._lose_mesh)]
        async with anyio.create_task_group() as tasks:
            for after_s, lose in losses:
                if after_s is not None:
                    tasks.start_soon(_later, after_s, lose)

    def _lose_picture(self) -> None:
        picture = self._service.forget_a_picture()
        self._promises.forgotten[picture] += 1
        self._tell(f"-- the service forgets {picture} --")

    def _lose_mesh(self) -> None:
        self._tell(f"-- the service loses the mesh of {self._service.lose_a_mesh(anyio.current_time())} --")

    def _hear(self, event: RunEvent) -> None:
        match event:
            case ItemMoved():
                self._tell(f"   {event.aliases[0].label}: {event.before} -> {event.after} {event.detail}")
            case Noted():
                self._tell(f"   {event.level}: {event.message}")

    def _tell(self, what: str) -> None:
        self.story.append((anyio.current_time(), self.runs, what))


async def _later(after_s: float, happen: Any) -> None:
    await anyio.sleep(after_s)
    happen()


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for one in error.exceptions:
            yield from _leaves(one)
    else:
        yield error


def spend(script: Script, folder: Path, wiring: Wiring = Wiring()) -> tuple[Night, Violation | None]:
    """The whole night in virtual time: the same for the same script, whatever machine it is spent on."""
    night: list[Night] = []

    async def all_of_it() -> None:
        night.append(Night(script, folder, wiring))
        await night[0].spend()

    with _reproducible(script.seed), without_threads():
        try:
            backend, options = virtual_time()
            anyio.run(all_of_it, backend=backend, backend_options=options)
        except Violation as violation:
            return night[0], violation
    return night[0], None


@contextmanager
def _reproducible(seed: int) -> Iterator[None]:
    """Trio wakes tasks in an order of chance, and pauses have jitter: both from the seed, as Hypothesis does it."""
    random.seed(seed)
    running = trio._core._run
    running._r.seed(seed)
    with mock.patch.object(running, "_ALLOW_DETERMINISTIC_SCHEDULING", True):
        yield
