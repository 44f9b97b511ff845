"""A night: ``mvmesh run`` is killed again and again, and its service as well; in the morning everything must be right.

Runs and service are real processes (``dying.py``, ``service/launch.py``) with a cheap engine; a service may have faults
(``faulty_service.py``). A violated promise raises ``Violation``.
"""

import hashlib
import json
import os
import shutil
import signal
import sqlite3
import struct
import subprocess
import sys
import threading
import time
from base64 import b64encode
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit, urlunsplit

import httpx
import toy_engine
import yaml
from fault_plan import Fate, Fault, FaultPlan
from hurried_clock import HurriedClock
from world import VIEWS, draw

from pipeline.cli.exit_codes import ExitCode
from pipeline.domain.views import View
from pipeline.service.engine import Engine, EngineTask

TESTS = Path(__file__).parent
KEY, SECRET = "key", "s3cret"
PRICE_CU = 7
FACE_COUNT = 60_000
MORNING_S = 180.0
"""How long undisturbed runs may go on: until absences may be believed, and through all faults."""

KILLED = -getattr(signal, "SIGKILL", signal.SIGTERM)
WILL_GO_ON = frozenset({ExitCode.OK, ExitCode.UNCERTAIN})
TROUBLED = WILL_GO_ON | {ExitCode.INCOMPLETE, ExitCode.UNREACHABLE}
"""How a run may end on a service with faults."""
_FAILED = frozenset({Fate.FAILS, Fate.FAILS_KEPT})
DISTURBED = WILL_GO_ON | {ExitCode.UNREACHABLE, KILLED}


class Violation(AssertionError):
    """A promise is broken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Death:
    """When a run dies; see ``dying.py``."""

    effect: int = 0
    event: str = ""
    moment: Literal["before", "after"] = "after"
    delay_s: float = 0.0


class Service:
    """The local service in a process of its own: one address, one data folder, many lives.

    With a plan of faults it has them, lives by a clock that may hurry, and tells the truth beside them.
    """

    def __init__(self, folder: Path, *, faults: FaultPlan | None = None, hurry: float = 1.0, **setup: Any) -> None:
        self._setup = {"data": str(folder), "credentials": (KEY, SECRET), "engine": "toy_engine:make", **setup}
        self.clock = HurriedClock(times=hurry)
        if faults is not None:
            log = str(folder.with_suffix(".log"))
            self._setup["faults"] = {"plan": asdict(faults), "clock": asdict(self.clock), "log": log}
        self.has_faults = faults is not None
        self._process: subprocess.Popen[str] | None = None
        self.url = ""
        self.deaths = 0

    def start(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(TESTS / "service" / "launch.py"), json.dumps(self._setup)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")])},
        )
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().strip()
        assert self.url, "the service did not start"
        self._setup["port"] = urlsplit(self.url).port

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()

    def restart(self) -> None:
        """As after a power cut: no time to tidy up."""
        self.deaths += 1
        self.kill()
        self.start()

    def truth(self) -> dict[str, Any]:
        """What really happened, from a service with faults."""
        return httpx.get(self._beside("/truth"), timeout=20, verify=False).raise_for_status().json()

    def arrange(self, *fates: Fate, **faults: Sequence[Fault | None]) -> None:
        """What befalls the next requests of these kinds (None: nothing), and the next jobs, in place of what was
        arranged before.
        """
        said = {"requests": faults, "jobs": fates}
        httpx.post(self._beside("/arrange"), json=said, timeout=20, verify=False).raise_for_status()

    def kept_jobs(self) -> list[dict[str, Any]]:
        """Every job that was ever made and did not fail."""
        if not self.has_faults:
            return [{"job_id": one["jobId"], "inputs": one["metadata"]["input"]} for one in self.jobs()]
        return [one for one in self.truth()["jobs"] if one["fate"] not in _FAILED]

    def forget(self, asset_ids: Sequence[str]) -> None:
        """Delete assets at the service, as a person does who tidies up."""
        with httpx.Client(base_url=self.url, auth=(KEY, SECRET), timeout=20, verify=False) as client:
            client.request("DELETE", "assets", json={"assetIds": list(asset_ids)}).raise_for_status()

    def _beside(self, path: str) -> str:
        return urlunsplit((*urlsplit(self.url)[:2], path, "", ""))

    def jobs(self) -> list[dict[str, Any]]:
        """Every job that was ever made, from a service without faults."""
        found, page = [], {}
        with httpx.Client(base_url=self.url, auth=(KEY, SECRET), timeout=20, verify=False) as client:
            while True:
                answer = client.get("jobs", params={"pageSize": 100, **page}).raise_for_status().json()
                found += answer["jobs"]
                if "nextPaginationToken" not in answer:
                    return found
                page = {"paginationToken": answer["nextPaginationToken"]}


@contextmanager
def serving(folder: Path, **setup: Any) -> Iterator[Service]:
    service = Service(folder, **{"workers": 1, "ceiling": 3, "prices": {"base": PRICE_CU}, **setup})
    service.start()
    try:
        yield service
    finally:
        service.kill()


@dataclass(slots=True, kw_only=True)
class Night:
    """Image sets, a manifest over them, and what a run over it must come to."""

    folder: Path
    service: Service
    labels: dict[str, Path] = field(default_factory=dict)
    """What is to be delivered, and the folder that it is made of."""
    items: int = 0
    """How many meshes are to be paid."""
    runs: int = 0
    state: str = "delivered"
    """Where every item is to end: ``delivered`` or ``held``."""
    options: Sequence[str] = ()
    """What a run is told beside its manifest."""
    engine: Engine = toy_engine.make
    """What the service makes meshes with."""
    views: Sequence[str] = VIEWS
    longest_run_s: float = 120.0

    @property
    def manifest(self) -> Path:
        return self.folder / "night.yaml"

    @property
    def output(self) -> Path:
        return self.folder / "out"

    def prepare(self, *, sets: int, twins: int = 0, doubled: int = 0, **sections: Any) -> None:
        """Write the sets: so many single ones, so many with the pictures of another, so many that two meshes are
        wanted of; and the manifest.
        """
        for _ in range(sets):
            self.add_set()
        for at in range(twins):
            shutil.copytree(self.labels[f"set {at:02}"], self.folder / "sets" / f"twin {at:02}")
            self.labels[f"twin {at:02}"] = self.folder / "sets" / f"twin {at:02}"
        for at in range(doubled):
            name = f"doubled {at:02}"
            self._draw("doubled", name, sets + at)
            self.labels[f"{name}@copy2"] = self.labels[name]
        self.items += 2 * doubled
        self.ask(**sections)

    def add_set(self) -> None:
        self._draw("sets", f"set {self.items:02}", self.items)
        self.items += 1

    def ask(self, **sections: Any) -> None:
        """Write the manifest.

        An absence is believed after a (real) second: unless its list lags, this service lists a job as soon as it has
        made it, so a submission that is a second old and not in the list never arrived.
        """
        settled = f"{self.service.clock.times:g}s"
        is_doubled = (self.folder / "doubled").exists()
        entries = [{"path": "sets/*"}, *([{"path": "doubled/*", "copies": 2}] if is_doubled else [])]
        said = {
            "version": 1,
            "name": "night",
            "backend": self.service.url,
            "output": "out",
            "defaults": {"faceCount": FACE_COUNT},
            "sets": entries,
            "uncertain": {"settle": settled, "believe_after": settled},
            "previews": False,
            "preflight": {"consistency": "skip"},  # a second of a worker process for each run
            **sections,
        }
        self.manifest.write_text(yaml.safe_dump(said))

    def _draw(self, group: str, name: str, shade: int) -> None:
        for at, view in enumerate(self.views):
            draw(self.folder / group / name / f"{view}.png", shade * len(self.views) + at)
        self.labels[name] = self.folder / group / name

    def started(self, death: Death | None = None) -> subprocess.Popen[bytes]:
        """One run; what it tells lies in ``run-NN.log``."""
        self.runs += 1
        spec: dict[str, Any] = {name: value for name, value in asdict(death).items() if value} if death else {}
        if self.service.has_faults:
            spec["clock"] = asdict(self.service.clock)
        mvmesh = (sys.executable, "-W", "error", str(TESTS / "dying.py"), json.dumps(spec))
        with (self.folder / f"run-{self.runs:02}.log").open("wb") as log:
            return subprocess.Popen(
                [*mvmesh, "run", str(self.manifest), "--yes", *self.options],
                env={**os.environ, "SCENARIO_SDK_API_KEY": KEY, "SCENARIO_SDK_API_SECRET": SECRET},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def ended(self, process: subprocess.Popen[bytes]) -> int:
        """How a run ended; what is visible then is whole."""
        try:
            code = process.wait(self.longest_run_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise Violation(f"run {self.runs} was not over after {self.longest_run_s:g} s") from None
        for path in self._meshes():
            if not _is_whole(path):
                raise Violation(f"{path} is visible and not whole after run {self.runs}")
        return code

    def run(self, death: Death | None = None, *, service_dies_after_s: float | None = None) -> int:
        """One run to its end, disturbed or not."""
        process = self.started(death)
        if service_dies_after_s is None:
            return self.ended(process)
        trouble = threading.Timer(service_dies_after_s, self.service.restart)
        trouble.start()
        try:
            return self.ended(process)
        finally:
            trouble.join()

    def finish(self) -> None:
        """Undisturbed runs until all is done."""
        deadline = time.monotonic() + MORNING_S
        while time.monotonic() < deadline:
            code = self.run()
            if code == ExitCode.OK:
                return
            if code not in (TROUBLED if self.service.has_faults else WILL_GO_ON):
                raise Violation(f"run {self.runs}, which nothing disturbed, ended with {code}")
        raise Violation(f"not done after {self.runs} runs")

    def rows(self) -> list[dict[str, Any]]:
        """The results manifest."""
        return [json.loads(line) for line in (self.output / "results.jsonl").read_text().splitlines()]

    def picture(self, label: str) -> str:
        """A view image in base64."""
        return b64encode((self.labels[label] / f"{self.views[0]}.png").read_bytes()).decode()

    def ready_pictures(self) -> list[str]:
        """The asset ids of the pictures of an item that is ready to be submitted, by the ledger."""
        place = (self.output / ".mvmesh" / "ledger.sqlite3").as_uri()
        with closing(sqlite3.connect(f"{place}?mode=ro", uri=True)) as ledger:  # which leaves its log alone
            (record,) = ledger.execute("SELECT record FROM items WHERE state = 'ready'").fetchone()
        return [str(value) for name, value in json.loads(record)["inputs"].items() if name.endswith("Image")]

    def check(self) -> None:
        """Everything is delivered, as ordered, paid once, and told."""
        rows = self.rows()
        told = {_label(row): row for row in rows}
        if len(told) != len(rows) or told.keys() != self.labels.keys():
            raise Violation(f"the results tell of {sorted(map(_label, rows))}, expected {sorted(self.labels)}")
        for label, row in told.items():
            self._check_row(label, row)
        visible = {str(path.relative_to(self.output).as_posix()) for path in self._meshes()}
        if visible != {row["outputs"][0]["path"] for row in rows}:
            raise Violation(f"meshes that no row tells of, or rows without: {sorted(visible)}")
        self._check_jobs(rows)

    def _check_row(self, label: str, row: dict[str, Any]) -> None:
        if row["state"] != self.state or row["error"] or [one["role"] for one in row["outputs"]] != ["mesh"]:
            raise Violation(f"{label} is not {self.state}: {row}")
        made = (self.output / row["outputs"][0]["path"]).read_bytes()
        said = row["outputs"][0]
        if (said["bytes"], said["sha256"]) != (len(made), hashlib.sha256(made).hexdigest()):
            raise Violation(f"{label}: the file is not what its row says: {said}")
        if made != self.ordered(label):
            raise Violation(f"{label}: this is another set's mesh")

    def ordered(self, label: str) -> bytes:
        """What the cheap engine makes of the pictures that the label stands for."""
        folder = self.labels[label]
        place = self.folder / "ordered"
        place.mkdir(exist_ok=True)
        pictures = {View(view): folder / f"{view}.png" for view in self.views}
        task = EngineTask(
            pictures=pictures,
            face_count=FACE_COUNT,
            textured=True,
            pbr=False,
            folder=place,
            progress=place / "progress",
            threads=1,
        )
        return self.engine(task).files[0].path.read_bytes()

    def _check_jobs(self, rows: list[dict[str, Any]]) -> None:
        jobs = self.service.kept_jobs()
        if len(jobs) != self.items:
            raise Violation(f"{len(jobs)} jobs were paid for {self.items} work items")
        inputs = Counter(json.dumps(job["inputs"], sort_keys=True) for job in jobs)
        if twice := [one for one, times in inputs.items() if times > 1]:
            raise Violation(f"submitted twice: {twice}")
        if {row["job_id"] for row in rows} != {job["job_id"] for job in jobs}:
            raise Violation("the rows name other jobs than the service has")
        if self.service.has_faults:
            self._check_truth(rows)
        elif wrong := [row for row in rows if row["cu_charged"] != PRICE_CU]:
            raise Violation(f"charged other than {PRICE_CU} CU: {wrong}")

    def _check_truth(self, rows: list[dict[str, Any]]) -> None:
        truth = self.service.truth()
        charged = sum(job["cu"] for job in truth["jobs"] if job["fate"] != Fate.FAILS)
        told = sum({row["job_id"]: row["cu_charged"] for row in rows}.values())
        if charged != told:
            raise Violation(f"the service charged {charged:g} CU, the rows tell of {told:g}")
        if truth["files_with_credentials"] or truth["elsewhere"]:
            raise Violation(f"credentials went to files, or a request to another host: {truth}")

    def _meshes(self) -> list[Path]:
        found = [*(self.output / "meshes").rglob("*.glb"), *(self.output / "held").rglob("*.glb")]
        return [one for one in found if one.is_file()]


def _label(row: dict[str, Any]) -> str:
    return row["set"] + (f"@copy{row['copy']}" if row["copy"] > 1 else "")


def _is_whole(path: Path) -> bool:
    """Whether a GLB is as long as its header says."""
    head = path.read_bytes()[:12]
    return len(head) == 12 and struct.unpack("<4sII", head) == (b"glTF", 2, path.stat().st_size)
