"""What the local service remembers, as values, and how they lie in SQLite rows (a column has its field's name)."""

import json
import secrets
import string
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from pipeline.domain.jobs import JobStatus

_ALPHABET = string.ascii_letters + string.digits
_ID_LENGTH = 24
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def new_id(kind: str) -> str:
    """A random, unguessable id such as ``asset_fR3...``: letters and digits only, so that it can name a file."""
    return f"{kind}_" + "".join(secrets.choice(_ALPHABET) for _ in range(_ID_LENGTH))


def milliseconds(at: datetime) -> int:
    """Since 1970, rounded down: the resolution of all times that the service tells and stores."""
    return (at - _EPOCH) // _MILLISECOND


def moment(ms: int) -> datetime:
    return _EPOCH + ms * _MILLISECOND


@dataclass(frozen=True, slots=True, kw_only=True)
class AssetRecord:
    asset_id: str
    name: str
    kind: str
    """``image`` or ``3d``."""
    source: str
    """``uploaded``, ``img23d``, ``3d:texture:albedo``, ..."""
    media_type: str
    properties: Mapping[str, Any]
    """As the wire shows them; ``size`` (bytes) is always there, ``width`` and ``height`` for pictures."""
    created_at: datetime
    hidden: bool = False
    collection_ids: tuple[str, ...] = ()
    job_id: str | None = None
    output_index: int | None = None


class UploadStatus(StrEnum):
    PENDING = "pending"
    IMPORTED = "imported"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadRecord:
    """A picture that arrives in parts."""

    upload_id: str
    file_name: str
    media_type: str
    size_bytes: int
    parts: int
    created_at: datetime
    updated_at: datetime
    hidden: bool = False
    collection_ids: tuple[str, ...] = ()
    status: UploadStatus = UploadStatus.PENDING
    asset_id: str | None = None
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRecord:
    job_id: str
    model_id: str
    inputs: Mapping[str, Any]
    """As accepted, defaults filled in."""
    cu_cost: float
    created_at: datetime
    updated_at: datetime
    status: JobStatus = JobStatus.QUEUED
    progress: float = 0.0
    asset_ids: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    """What the engine found and a person should know."""
    error: str = ""
    hint: str = ""
    fault: str = ""
    """What a failure is due to, if that is known: ``domain.jobs.PICTURES``."""
    history: tuple[tuple[JobStatus, datetime], ...] = ()

    def moved(self, status: JobStatus, at: datetime, **changes: Any) -> "JobRecord":
        """The job with its new status, which its history remembers."""
        return replace(self, status=status, updated_at=at, history=(*self.history, (status, at)), **changes)


def to_row(record: AssetRecord | UploadRecord | JobRecord) -> dict[str, Any]:
    return {one.name: _encoded(getattr(record, one.name)) for one in fields(record)}


def to_asset(row: Mapping[str, Any]) -> AssetRecord:
    return AssetRecord(**_decoded(row))


def to_upload(row: Mapping[str, Any]) -> UploadRecord:
    return UploadRecord(**_decoded(row) | {"status": UploadStatus(row["status"])})


def to_job(row: Mapping[str, Any]) -> JobRecord:
    return JobRecord(**_decoded(row) | {"status": JobStatus(row["status"])})


def _encoded(value: Any) -> Any:
    if isinstance(value, datetime):
        return milliseconds(value)
    if isinstance(value, tuple | Mapping):
        return json.dumps(value, default=milliseconds)
    return value


def _decoded(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _DECODERS[name](value) if name in _DECODERS else value for name, value in row.items()}


def _strings(text: str) -> tuple[str, ...]:
    return tuple(json.loads(text))


def _history(text: str) -> tuple[tuple[JobStatus, datetime], ...]:
    return tuple((JobStatus(status), moment(ms)) for status, ms in json.loads(text))


_DECODERS: dict[str, Callable[[Any], Any]] = {
    "created_at": moment,
    "updated_at": moment,
    "properties": json.loads,
    "inputs": json.loads,
    "collection_ids": _strings,
    "asset_ids": _strings,
    "notes": _strings,
    "history": _history,
    "hidden": bool,
}
