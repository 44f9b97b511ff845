"""What the service tells of its jobs, assets, prices and limits, as values (the wire is translated in ports)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

PICTURES = "pictures"
"""What our own service says a failure is due to where the same pictures would fail again."""


class JobStatus(StrEnum):
    """The service's word for a job. UNKNOWN stands for a word that this version has not met: treated as in progress."""

    PENDING = "pending"
    QUEUED = "queued"
    WARMING_UP = "warming-up"
    IN_PROGRESS = "in-progress"
    FINALIZING = "finalizing"
    SUCCESS = "success"
    FAILURE = "failure"
    CANCELED = "canceled"
    UNKNOWN = "unknown"

    @property
    def is_final(self) -> bool:
        return self in {JobStatus.SUCCESS, JobStatus.FAILURE, JobStatus.CANCELED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One generation request at the service, as last seen."""

    job_id: str
    status: JobStatus
    model_id: str = ""
    """Empty where the service does not say."""
    progress: float = 0.0
    created_at: datetime | None = None
    updated_at: datetime | None = None
    asset_ids: tuple[str, ...] = ()
    echo: Mapping[str, Any] = field(default_factory=dict)
    """The inputs as the service repeats them; may hold defaults filled in and further fields."""
    notes: tuple[str, ...] = ()
    """What a person should know of how it was made; our own service tells it, others need not."""
    error: str = ""
    hint: str = ""
    blames_pictures: bool = False
    """It failed, and would fail again: the service says that its pictures are at fault. Ours does, others need not."""
    cu_charged: float | None = None

    @property
    def reason(self) -> str:
        """Why it failed."""
        return self.error or self.hint or "the service gives no reason"

    @property
    def mend(self) -> str:
        """What a person can do after a failure: the service's own hint where it has one."""
        return (self.hint if self.error else "") or "look at its pictures"

    @property
    def took_s(self) -> float | None:
        """From its creation to its last change, by the service's clock; None where it does not say."""
        if self.created_at is None or self.updated_at is None:
            return None
        return max((self.updated_at - self.created_at).total_seconds(), 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobPage:
    jobs: tuple[Job, ...]
    unread: tuple[str, ...] = ()
    """The ids of jobs that it lists and that cannot be read; empty where even the id cannot."""
    next_page: str | None = None
    told_at: datetime | None = None
    """The service's own clock when it answered; None where it does not say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asset:
    """A file at the service. ``url`` is signed and short-lived: use it at once."""

    asset_id: str
    url: str
    name: str = ""
    """As it was called when it was uploaded; empty where the service does not say."""
    kind: str = ""
    media_type: str = ""
    source: str = ""
    """What it is: ``img23d`` (the mesh), ``3d:texture:albedo``, ..."""
    size_bytes: int | None = None
    face_count: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """The price of one job, in creative units."""

    cu: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TeamLimits:
    """``parallel_jobs`` is the ceiling for generation jobs at one time; None: the service does not say."""

    parallel_jobs: int | None = None
