"""What must hold after every step of every night, and in the morning."""

import hashlib
import json
import sqlite3
from collections import Counter
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import anyio

from pipeline.domain.lifecycle import _AFTER, State
from simulation.disk import Disk
from simulation.process import Process
from simulation.service import NEVER, GenerationService, Made


class Violation(AssertionError):
    """A promise is broken."""


class Promises:
    """Watches the service, the ledger and the disk of one night. The first violation stays in ``violation``."""

    def __init__(self, *, output: Path) -> None:
        self.violation: Violation | None = None
        self.wanted: dict[str, int] = {}
        """How many meshes are wanted of each order; an order is what ``GenerationService.ordered`` says of it."""
        self.fronts: dict[str, int] = {}
        """How many copies are wanted of what has this front picture."""
        self.forgotten: Counter[str] = Counter()
        """How often the service has forgotten a picture."""
        self.max_cu: dict[int, float | None] = {}
        """The budget of each run."""
        self.stopped: set[int] = set()
        """Runs that have been told to stop."""
        self.windows_end: dict[int, float] = {}
        self.service: GenerationService
        self.ledger: sqlite3.Connection
        self._meshes = (f"{output}/meshes/", f"{output}/held/")
        self._states: dict[str, str] = {}
        self._sent: Counter[str] = Counter()
        self.committed_at = 0.0
        self.was_rebuilt = False

    def new_ledger(self, ledger: sqlite3.Connection) -> sqlite3.Connection:
        """What it tells of the past is what could still be found."""
        self.ledger, self._states, self.was_rebuilt = ledger, {}, True
        return ledger

    def require(self, holds: bool, what: str) -> None:  # noqa: FBT001 - reads as a sentence
        if not holds:
            self.violation = self.violation or Violation(what)
            raise self.violation

    def about_to_submit(self, process: Process, inputs: Mapping[str, Any]) -> None:
        """The intent is committed; nobody has said stop; the window is open."""
        rows = self.ledger.execute("SELECT record FROM items WHERE state = 'submitting'")
        intended = [json.loads(row["record"])["inputs"] for row in rows]
        self.require(dict(inputs) in intended, f"submitted before the intent was committed: {inputs}")
        self.require(process.number not in self.stopped, f"run {process.number} submits after it was told to stop")
        ends = self.windows_end.get(process.number)
        now = anyio.current_time()
        self.require(ends is None or now <= ends, f"run {process.number} submits after its window")
        self.require(now >= process.turned_away_until, "submitted before the pause that a 429 asked for was over")

    def run_begins(self) -> None:
        """Pictures that the ledger knows of by now are not sent again."""
        rows = self.ledger.execute("SELECT sha256, COUNT(*) FROM uploads GROUP BY sha256").fetchall()
        self._sent = Counter({row[0]: row[1] for row in rows})

    def about_to_upload(self, process: Process, data: bytes) -> None:
        """Each picture once; a front picture once for each copy that is wanted. Where the service does not name what it
        has forgotten, all pictures of the set are sent again; so are those that a rebuilt ledger does not know.
        """
        if self.was_rebuilt or (self.forgotten and not self.service.temper.names_gone):
            return
        digest = hashlib.sha256(data).hexdigest()
        self._sent[digest] += 1
        allowed = self.fronts.get(data.decode(), 1) + self.forgotten[data.decode()]
        self.require(self._sent[digest] <= allowed, f"run {process.number} sends {data.decode()!r} once more")

    def charged(self, made: Made) -> None:
        """Nothing is charged twice, and no run charges past its budget."""
        if made.run is None:
            return
        now = made.created
        ours = [one for one in self.service.jobs.values() if one.run is not None]
        same = [one for one in ours if one.ordered == made.ordered and one.charged_cu(now)]
        names = ", ".join(f"{one.job_id}{' (failed, not refunded)' if one.fails else ''}" for one in same)
        wanted = self.wanted.get(made.ordered, 0)
        self.require(len(same) <= wanted, f"paid {len(same)} times, {wanted} wanted: {names} for {made.ordered}")
        twins = [one for one in ours if one is not made and one.inputs == made.inputs and not one.is_over(now)]
        self.require(not twins, f"{made.job_id} cannot be told from {[one.job_id for one in twins]}")
        max_cu = self.max_cu.get(made.run)
        spent = sum(one.charged_cu(now) for one in self.service.of_run(made.run))
        self.require(max_cu is None or spent <= max_cu, f"run {made.run} has charged {spent} CU of {max_cu}")

    def committed(self) -> None:
        """States move by the life cycle alone, one move a commit."""
        self.committed_at = anyio.current_time()
        states = {row["key"]: row["state"] for row in self.ledger.execute("SELECT key, state FROM items")}
        for key, state in states.items():
            before = self._states.get(key, state if self.was_rebuilt else State.PLANNED)
            moves = before == state or state in _AFTER[State(before)].values()
            self.require(moves, f"{key[:8]} went from {before} to {state}")
        self.require(self._states.keys() <= states.keys(), "the ledger has lost an item")
        self._states = states

    def stands(self, path: str, data: bytes) -> None:
        """What is visible as a mesh is a whole one."""
        if path.endswith(".glb") and path.startswith(self._meshes) and not path.rpartition("/")[2].startswith("."):
            self.require(data in self.service.meshes, f"{path} is visible and not whole ({len(data)} bytes)")


class Morning:
    """The accounts after the last run."""

    def __init__(
        self,
        promises: Promises,
        *,
        disk: Disk,
        output: Path,
        ours: Mapping[str, str],
        old_names: Collection[str],
        may_stay_uncertain: bool,
    ) -> None:
        """``ours``: what is to be had, by label: its order, or nothing where its pictures are refused. ``old_names``:
        what is no longer asked for; a run that was killed before it recorded a delivery may have left a mesh there.
        """
        self._promises = promises
        self._service = promises.service
        self._disk = disk
        self._output = output
        self._ours = ours
        self._old_names = old_names
        self._may_stay_uncertain = may_stay_uncertain
        self._rows = {_label(row): row for row in self._read_rows()}
        self._items = {
            row["key"]: json.loads(row["record"]) for row in promises.ledger.execute("SELECT key, record FROM items")
        }
        self._jobs = dict(promises.ledger.execute("SELECT job_id, key FROM jobs").fetchall())

    def _read_rows(self) -> list[dict[str, Any]]:
        text = self._disk.get(self._output / "results.jsonl") or b""
        return [json.loads(line) for line in text.decode().splitlines()]

    def check(self) -> None:
        require = self._promises.require
        labels = sorted(map(_label, self._read_rows()))
        require(labels == sorted(self._ours), f"the results tell of {labels}, expected {sorted(self._ours)}")
        for label, row in self._rows.items():
            self._check_row(label, row)
        self._check_files()
        self._check_jobs()

    def _check_row(self, label: str, row: Mapping[str, Any]) -> None:
        require = self._promises.require
        if not self._ours[label]:
            require(row["state"] == State.REFUSED, f"{label} has broken pictures and is {row['state']}")
            return
        item = self._items.get(row["key"])
        require(item is not None, f"{label} is in the results, but not in the ledger: {row}")
        assert item is not None
        require(row["state"] == item["state"], f"{label}: the results say {row['state']}, the ledger {item['state']}")
        require(row["job_id"] == item["job_id"], f"{label}: the results and the ledger name different jobs")
        if row["state"] in {State.DELIVERED, State.HELD}:
            self._check_delivered(label, row)
        else:
            self._check_excuse(label, row, item)

    def _check_delivered(self, label: str, row: Mapping[str, Any]) -> None:
        require = self._promises.require
        said = row["outputs"][0]
        data = self._disk.get(self._output / said["path"]) or b""
        require(
            (len(data), hashlib.sha256(data).hexdigest()) == (said["bytes"], said["sha256"]),
            f"{label}: the file is not what its row says: {said}",
        )
        made = self._service.meshes[data]
        require(made.ordered == self._ours[label], f"{label}: this is another set's mesh: {made.ordered}")
        require(row["job_id"] == made.job_id, f"{label}: {row['job_id']} did not make it, but {made.job_id}")
        if self._promises.was_rebuilt:
            return
        charged = sum(
            self._service.jobs[job_id].charged_cu(NEVER) for job_id, key in self._jobs.items() if key == row["key"]
        )
        require(abs(row["cu_charged"] - charged) < 1e-6, f"{label}: charged {charged} CU, told {row['cu_charged']}")

    def _check_excuse(self, label: str, row: Mapping[str, Any], item: Mapping[str, Any]) -> None:
        """Why there is no mesh in the end: the night must contain a reason."""
        now = anyio.current_time()
        theirs = [self._service.jobs[job_id] for job_id, key in self._jobs.items() if key == row["key"]]
        failed = [one for one in theirs if one.fails or one.lost]
        stuck = [one for one in theirs if not one.is_over(now)]
        excused = (
            (row["state"] == State.FAILED and bool(failed))
            or (row["state"] == State.SUBMITTED and bool(stuck))
            or (row["state"] == State.UNCERTAIN and self._may_stay_uncertain)
        )
        self._promises.require(excused, f"{label} is {row['state']} in the morning: {row['error']}; {item['job_id']}")

    def _check_files(self) -> None:
        here = [row for row in self._rows.values() if row["state"] in {State.DELIVERED, State.HELD}]
        told = {one["path"] for row in here for one in row["outputs"] if one["path"].endswith(".glb")}
        seen = {
            f"{kind}/{name}"
            for kind in ("meshes", "held")
            for name in self._disk.names(self._output / kind)
            if name.endswith(".glb")
        }
        self._promises.require(told <= seen, f"rows without a mesh: {sorted(told - seen)}")
        deliveries = [json.loads(row["files"]) for row in self._promises.ledger.execute("SELECT files FROM deliveries")]
        kept = {one["name"] for files in deliveries for one in files}  # until what was asked for instead is here
        nameless = seen - told - kept
        strays = [path for path in nameless if path.split("/")[1].partition("@")[0] not in self._old_names]
        self._promises.require(not strays, f"meshes without a row: {strays}")

    def _check_jobs(self) -> None:
        """Every job is known, unless its submission is still uncertain; after a rebuild every one that was charged."""
        ours = [
            one
            for one in self._service.jobs.values()
            if one.run is not None and (one.charged_cu(NEVER) or not self._promises.was_rebuilt)
        ]
        unknown = [one for one in ours if one.job_id not in self._jobs]
        open_inputs = Counter(
            json.dumps(item["inputs"], sort_keys=True)
            for item in self._items.values()
            if item["state"] in {State.UNCERTAIN, State.SUBMITTING}
        )
        lost = [one for one in unknown if not open_inputs[json.dumps(one.inputs, sort_keys=True)]]
        self._promises.require(not lost, f"charged, and unknown to the ledger: {[one.job_id for one in lost]}")


def _label(row: Mapping[str, Any]) -> str:
    return (
        row["set"]
        + (f"@{row['variant']}" if row["variant"] else "")
        + (f"@copy{row['copy']}" if row["copy"] > 1 else "")
    )
