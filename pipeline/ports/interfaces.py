"""All that the flow asks of the outside, one Protocol a port. Real adapters stand beside this file.

Every method may be repeated safely, but for ``Scenario.generate``. Foreign exceptions never pass: they come out as
``pipeline.domain.errors``.
"""

from collections.abc import AsyncGenerator, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar, TypeVarTuple

from pipeline.domain.consistency import Remark
from pipeline.domain.errors import PictureRefused
from pipeline.domain.items import Alias, ItemRecord, OutputFile, Picture
from pipeline.domain.jobs import Asset, Job, JobPage, Quote, TeamLimits
from pipeline.domain.lifecycle import Event, State
from pipeline.domain.model import ModelSchema

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

Now = Callable[[], datetime]
"""The wall clock, in UTC."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gallery:
    """How uploaded pictures show in the service's gallery."""

    hide: bool = True
    collections: Sequence[str] = ()


class Scenario(Protocol):
    """The generation service's API.

    Raises, from every method: CredentialsError (401), RequestRefused (final answers, and requests that fail again and
    again while others are answered), ServiceUnreachable (all bounded tries failed), and the TryAgain errors only where
    a method says so.
    """

    def turn(self) -> AbstractAsyncContextManager[None]:
        """Wait until the service takes requests: after a 429 all callers pause together, then one goes first. A
        Throttled that is raised within the block closes the gate again.

        All other methods wait for their turn by themselves; ``generate`` is to be called within one, entered before its
        intent is recorded.
        """
        ...

    async def create_asset(self, *, name: str, data: bytes, media_type: str, gallery: Gallery) -> str:
        """Upload one picture, in one request or in parts as its size demands; the asset's id."""
        ...

    async def quote(self, *, model: str, inputs: Mapping[str, Any]) -> Quote:
        """What one job with these inputs would cost (the larger of both tiers); creates nothing.

        Raises:
            AssetGone: the service does not know an asset among the inputs.
        """
        ...

    async def generate(self, *, model: str, inputs: Mapping[str, Any]) -> Job:
        """Submit one job, with exactly one POST: the only paid call, never repeated by any layer below.

        Raises:
            NeverSent: the request did not leave; another try is no repetition.
            CeilingReached, Throttled: the service said no before doing anything.
            AssetGone: an asset among the inputs is not known to the service.
            SubmissionUncertain: the answer was lost, cut or not the agreed one.
            RequestRefused: final.
        """
        ...

    async def job(self, job_id: str) -> Job: ...

    async def jobs(
        self, *, updated_after: datetime | None = None, created_after: datetime | None = None, page: str | None = None
    ) -> JobPage:
        """One page of the generation jobs, newest first. With ``updated_after`` it is the change feed of jobs of type
        *custom*; with ``created_after`` (never both) all jobs by creation time.
        """
        ...

    async def assets(self, asset_ids: Sequence[str]) -> list[Asset]:
        """These assets, any number, with fresh signed URLs; those the service does not know are left out."""
        ...

    async def model_schema(self, model: str) -> ModelSchema: ...

    async def team_limits(self) -> TeamLimits:
        """The team's ceilings; an empty value where the service does not tell or forbids to ask."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Downloaded:
    size_bytes: int
    sha256: str
    media_type: str
    """As the host declared it."""
    head: bytes = b""
    """The file's first bytes: it need not be read again to know what it is. Empty: not kept."""


class Downloads(Protocol):
    async def fetch(self, url: str, target: Path, *, expected_bytes: int | None) -> Downloaded:
        """Stream one file to ``target``, hashing on the way; one try. What an earlier try left in ``target`` is resumed
        where the host allows it. No credentials are sent. A host that is busy makes all wait that fetch from it.

        Raises:
            UrlExpired: ask the service for a fresh URL.
            ConnectionLost, Throttled, ServiceFault: try again.
            MeshDamaged: a whole body, but of the wrong size, an HTML page, or other bytes than those whose checksum the
                host tells. Nothing of it is resumed.
            LocalIoError: disk full, permission.
        """
        ...


class Images(Protocol):
    async def probe(self, path: Path) -> Picture:
        """Read and decode one picture wholly.

        Raises:
            PictureRefused: unreadable, truncated, animated, too small, not a picture; names the file and the mend.
        """
        ...

    async def probe_all(self, paths: Sequence[Path]) -> list[Picture | PictureRefused]:
        """``probe`` for many pictures: what became of each, in their order; a refusal is handed back, not raised."""
        ...

    async def prepare(self, picture: Picture) -> tuple[bytes, str]:
        """The bytes to send and their media type: the file's own bytes unless ``picture.changes`` says otherwise.

        Raises:
            PictureRefused: the file is gone or is no longer the one that was probed.
        """
        ...


class Storage(Protocol):
    """Output files. A visible file is whole: temporary name, fsync, rename, fsync of the folder."""

    async def publish(self, source: Path, target: Path) -> None:
        """Move a finished temporary file to its place; across file systems by copy, fsync and rename."""
        ...

    async def publish_new(self, source: Path, target: Path, *, unless: Path | None = None) -> bool:
        """``publish`` where nothing stands yet. False, and nothing is done: something stands there, or at ``unless``,
        or there is no source.
        """
        ...

    async def copy(self, source: Path, target: Path) -> None: ...

    async def write(self, target: Path, data: bytes) -> None: ...

    async def append(self, path: Path, data: bytes, *, anew: bool) -> None:
        """More of a temporary file, which ``publish`` brings to its place once it is whole; ``anew``: its beginning."""
        ...

    async def stamps(self, paths: Sequence[Path]) -> list[str | None]:
        """What tells a file's state from any other, without reading it: size, inode and time of the last change; None
        where there is no such file.
        """
        ...

    async def read(self, path: Path) -> bytes: ...

    async def sizes(self, paths: Sequence[Path]) -> list[int | None]:
        """The size of each file in bytes; None where there is no such file."""
        ...

    async def head(self, path: Path, length: int) -> tuple[bytes, int]:
        """A file's first bytes, up to ``length`` of them, and the size of all of it."""
        ...

    async def read_part(self, path: Path, start: int, length: int) -> bytes:
        """``length`` bytes from ``start``; fewer where the file ends."""
        ...

    def pieces(self, path: Path, length: int) -> AsyncGenerator[bytes]:
        """All of a file, ``length`` bytes at a time. What takes its place meanwhile is not seen."""
        ...

    async def digest(self, path: Path) -> str | None:
        """SHA-256 of a file's bytes; None when there is no such file."""
        ...

    async def retire(self, path: Path, into: Path) -> None:
        """Move a file that is about to be replaced into the folder ``into``, keeping its name plus ``.replaced``."""
        ...

    async def remove(self, paths: Iterable[Path]) -> None:
        """Remove files, and the folders that become empty by it; missing ones are fine."""
        ...


class Compute(Protocol):
    async def run(self, function: Callable[[*Ts], T], *args: *Ts, timeout_s: float) -> T:
        """Call a module-level function in a worker process.

        Raises:
            WorkerDied: the process crashed or was killed by the time limit (``pipeline.ports.compute``).
        """
        ...


class Comparisons(Protocol):
    """What comparisons of views told before. Nothing but time is lost with it: its LocalIoErrors may be passed over."""

    async def known(self, key: str) -> tuple[Remark, ...] | None:
        """What was told of these pictures; None: they were not compared yet."""
        ...

    async def record(self, key: str, remarks: Sequence[Remark]) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """Files of one work item that stand in the output folder under one alias."""

    output: str
    """The output folder, by the name that the batch gives it."""
    alias: Alias
    key: str
    held: bool
    files: Sequence[OutputFile]
    """``name`` is the path below the output folder, with ``/``."""
    delivered_at: datetime


class Stamp(NamedTuple):
    """By what a file is known to be the one that was read before."""

    path: Path
    size_bytes: int
    mtime_ns: int
    inode: int


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadEntry:
    """A picture that a service has."""

    sha256: str
    copy: int
    asset_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Restoration:
    """What a rebuild found out; put into a ledger as one."""

    service: str
    project: str
    items: Sequence[ItemRecord] = ()
    """They take the place of what the ledger has under their keys."""
    jobs: Mapping[str, str] = field(default_factory=dict)
    """By job id: the key of the item that it was made for."""
    deliveries: Sequence[Delivery] = ()
    uploads: Sequence[UploadEntry] = ()
    detail: str = ""
    """For the items' histories: where it comes from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobDuration:
    """How long a job that ended well took, and what it was made with."""

    params: Mapping[str, Any]
    took_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """What was last published in an output folder."""

    plan: str
    """A digest of all names and findings that it speaks of."""
    files: tuple[str | None, ...]
    """The stamps of the published files, see ``Storage.stamps``."""
    is_latest: bool
    """Nothing was committed to the ledger since."""


class Ledger(Protocol):
    """The durable record of every intent and outcome. A method returns when its row is committed."""

    async def open_item(self, record: ItemRecord) -> ItemRecord:
        """The item's record; made from ``record`` when the key is new."""
        ...

    async def item(self, key: str) -> ItemRecord | None: ...

    async def items(self, keys: Sequence[str] | None = None) -> list[ItemRecord]:
        """The records of these keys (those that exist), or all."""
        ...

    async def keys(self) -> list[str]:
        """Of all items."""
        ...

    async def states(self, keys: Sequence[str]) -> Mapping[str, State]:
        """By key, of those that exist: where they stand."""
        ...

    async def advance(self, key: str, event: Event, *, detail: str = "", **changes: Any) -> ItemRecord:
        """Move an item by the life cycle's one transition function, change fields of its record in the same
        transaction, and append to its history. The record after it.
        """
        ...

    async def unsettled(self, *, service: str, project: str) -> list[ItemRecord]:
        """The records of all items there whose submission has begun and not been answered yet, or never was."""
        ...

    async def known_jobs(self, job_ids: Sequence[str]) -> Mapping[str, Mapping[str, Any]]:
        """Those of the job ids that any item ever had, each with the inputs that were sent for it (empty where the item
        has been submitted anew since): a job of the service that is not among them is nobody's.
        """
        ...

    async def job_durations(self, *, service: str, model: str, at_most: int) -> list[JobDuration]:
        """How long the newest ``at_most`` successes of the model at this service took, the newest last. Those that many
        moves of others have followed are left out: the cost does not grow with the ledger.
        """
        ...

    async def uploads(
        self, *, service: str, project: str, pictures: Collection[tuple[str, int]]
    ) -> Mapping[tuple[str, int], str]:
        """The asset ids of those pictures that the service has, by the picture's SHA-256 and the number of the copy."""
        ...

    async def record_uploads(
        self, *, service: str, project: str, entries: Sequence[UploadEntry]
    ) -> Mapping[UploadEntry, int]:
        """Record all but those whose asset stands for another copy of the same picture already: these are the answer,
        each with the number of that copy.
        """
        ...

    async def forget_uploads(self, *, service: str, project: str, asset_ids: Sequence[str]) -> None: ...

    async def quote(self, *, service: str, project: str, model: str, params: Mapping[str, Any]) -> Quote | None:
        """The last known price for these price-relevant parameters."""
        ...

    async def record_quote(
        self, *, service: str, project: str, model: str, params: Mapping[str, Any], quote: Quote
    ) -> None: ...

    async def deliveries(self, output: str) -> list[Delivery]: ...

    async def deliveries_of(self, output: str, keys: Sequence[str]) -> list[Delivery]:
        """Those of the deliveries that are of these items."""
        ...

    async def delivered_names(self, output: str) -> list[Alias]: ...

    async def delivery(self, output: str, alias: Alias) -> Delivery | None: ...

    async def record_delivery(self, delivery: Delivery) -> None:
        """Replaces what was recorded for the same output and alias."""
        ...

    async def forget_delivery(self, output: str, alias: Alias) -> None: ...

    async def restore(self, found: Restoration) -> None:
        """Put in what a rebuild found: all of it or nothing. Jobs, deliveries and uploads that are there stay."""
        ...

    async def publication(self, output: str) -> Publication | None: ...

    async def record_publication(self, output: str, *, plan: str, files: Sequence[str | None], commits: int) -> None:
        """Remember what was published in an output folder: it need not be made anew while nothing changes. What was
        published is what the ledger had after so many ``commits``.
        """
        ...

    async def commits(self) -> int:
        """How many there were."""
        ...

    async def check(self, *, thoroughly: bool = False) -> None:
        """Read all of it; unless ``thoroughly``, not if it is as a run left it that had read all of it, or made it.

        Raises:
            DatabaseDamaged: it cannot be read whole (``pipeline.ports.sqlite``).
        """
        ...

    async def pictures(self, stamps: Sequence[Stamp]) -> list[Picture | None]:
        """What an earlier probe found of each file, in their order; None where it is new or has changed since."""
        ...

    async def record_pictures(self, probed: Sequence[tuple[Picture, Stamp]]) -> None:
        """Remember what was probed, each with its file's stamp from before it was read."""
        ...
