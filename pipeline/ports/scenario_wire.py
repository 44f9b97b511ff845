"""The service's JSON as it travels, and its translation to domain values.

Unknown fields are ignored; a field that we cannot do without is refused when it is missing. Field names follow the
official SDK's types (scenario-sdk 2.4.0).
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from math import isfinite
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from pipeline.domain.errors import ServiceFault
from pipeline.domain.jobs import PICTURES, Asset, Job, JobPage, JobStatus, Quote, TeamLimits
from pipeline.domain.model import ModelSchema, Parameter, ParameterType
from pipeline.domain.texts import one_line

W = TypeVar("W", bound="Wire")

Id = Annotated[str, Field(min_length=1, max_length=512)]


_YEARS = range(2000, 2200)


def _in_utc(moment: datetime | None) -> datetime | None:
    """A time of another age counts as not told: nothing can be reckoned with it, nor may it spoil the whole list."""
    if moment is None or moment.year not in _YEARS:
        return None
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


Moment = Annotated[datetime | None, AfterValidator(_in_utc)]
"""ISO 8601; without an offset it is read as UTC."""


class Wire(BaseModel):
    """One JSON object. Errors never show the input, which may hold signed URLs."""

    model_config = ConfigDict(
        frozen=True,
        extra="ignore",
        alias_generator=to_camel,
        protected_namespaces=(),
        hide_input_in_errors=True,
        allow_inf_nan=False,
    )


def parse(wire: type[W], body: bytes, what: str, request_id: Callable[[], str]) -> W:
    """Read an answer's body. ``request_id`` is asked where there is something to complain of.

    Raises:
        ServiceFault: not JSON, or without a field that was agreed; names the call, the fields and the request.
    """
    try:
        return wire.model_validate_json(body)
    except ValidationError as error:
        found = "; ".join(_complaint(one["loc"], one["msg"]) for one in error.errors(include_input=False)[:3])
        named = request_id()
        request = f" (request {named})" if named else ""
        raise ServiceFault(f"{what}: the answer is not what was agreed: {found}{request}") from error


def _complaint(place: Sequence[int | str], message: str) -> str:
    return f"{'.'.join(map(str, place))}: {message}" if place else message


class _JobMetadata(Wire):
    model_id: str | None = None
    asset_ids: list[str] | None = None
    input: dict[str, Any] | None = None
    error: str | None = None
    hint: str | None = None
    notes: Any = None
    fault: Any = None
    """Our own service's: the published API knows neither of these, so whatever else stands there is passed over."""


class _JobBilling(Wire):
    cu_cost: float | None = None
    cu_cost_details: dict[str, float | None] | None = None
    disable_refund: bool | None = None

    def charged(self, status: JobStatus) -> float | None:
        """What the job costs in the end. ``cuCost`` is the main action after its discount, to which the details add;
        it stays as it was when a failed or cancelled job has been refunded. A sum that is no price counts as not told.
        """
        if status in {JobStatus.FAILURE, JobStatus.CANCELED} and not self.disable_refund:
            return 0.0
        if self.cu_cost is None:
            return None
        told = self.cu_cost + sum(cost or 0.0 for cost in (self.cu_cost_details or {}).values())
        return told if told >= 0 and isfinite(told) else None


class _Job(Wire):
    job_id: Id
    status: str
    progress: float | None = None
    created_at: Moment = None
    updated_at: Moment = None
    metadata: _JobMetadata | None = None
    billing: _JobBilling | None = None

    def to_domain(self) -> Job:
        status = _status(self.status)
        metadata = self.metadata or _JobMetadata()
        return Job(
            job_id=self.job_id,
            status=status,
            model_id=metadata.model_id or "",
            progress=min(max(self.progress or 0.0, 0.0), 1.0),
            created_at=self.created_at,
            updated_at=self.updated_at,
            asset_ids=tuple(metadata.asset_ids or ()),
            echo=metadata.input or {},
            notes=_texts(metadata.notes),
            error=one_line(metadata.error or ""),
            hint=one_line(metadata.hint or ""),
            blames_pictures=metadata.fault == PICTURES,
            cu_charged=self.billing.charged(status) if self.billing else None,
        )


_NOTES_MAX = 20


def _texts(told: Any) -> tuple[str, ...]:
    """The texts of a list, made safe to print; none where it is something else."""
    texts = [one_line(one) for one in told if isinstance(one, str)] if isinstance(told, list) else []
    return tuple(one for one in texts if one)[:_NOTES_MAX]


def _status(word: str) -> JobStatus:
    try:
        return JobStatus(word)
    except ValueError:
        return JobStatus.UNKNOWN


class JobAnswer(Wire):
    """``POST /generate/custom/{modelId}``, ``GET /jobs/{jobId}``."""

    job: _Job

    def to_domain(self) -> Job:
        return self.job.to_domain()


def _read_job(entry: Any) -> Job | str:
    """The job; its id alone (empty, if even that is missing) where it cannot be read."""
    try:
        return _Job.model_validate(entry).to_domain()
    except ValidationError:
        job_id = entry.get("jobId") if isinstance(entry, dict) else None
        return job_id if isinstance(job_id, str) else ""


class JobsAnswer(Wire):
    """``GET /jobs``."""

    jobs: list[Any]
    """Read one by one: a project's list holds jobs of other kinds, too, and one that cannot be read spoils no other."""
    next_pagination_token: str | None = None

    def to_domain(self, told_at: datetime | None = None) -> JobPage:
        read = [_read_job(one) for one in self.jobs]
        return JobPage(
            jobs=tuple(one for one in read if isinstance(one, Job)),
            unread=tuple(one for one in read if isinstance(one, str)),
            next_page=self.next_pagination_token or None,
            told_at=told_at,
        )


class QuoteAnswer(Wire):
    """``POST /generate/custom/{modelId}?dryRun=...``, status 269."""

    creative_units_cost: Annotated[float, Field(ge=0)]

    def to_domain(self) -> Quote:
        return Quote(cu=self.creative_units_cost)


class _AssetProperties(Wire):
    size: float | None = None
    face_count: float | None = None


class _AssetMetadata(Wire):
    name: str | None = None


class _Asset(Wire):
    id: Id
    url: str
    metadata: _AssetMetadata | None = None
    kind: str | None = None
    mime_type: str | None = None
    source: str | None = None
    properties: _AssetProperties | None = None

    def to_domain(self) -> Asset:
        properties = self.properties or _AssetProperties()
        return Asset(
            asset_id=self.id,
            url=self.url,
            name=(self.metadata.name or "") if self.metadata else "",
            kind=self.kind or "",
            media_type=self.mime_type or "",
            source=self.source or "",
            size_bytes=_count(properties.size),
            face_count=_count(properties.face_count),
        )


def _count(told: float | None) -> int | None:
    """A number of bytes or faces; what no file has counts as not told."""
    return int(told) if told is not None and 1 <= told < _COUNT_MAX else None


_COUNT_MAX = 2**53


class AssetsAnswer(Wire):
    """``POST /assets/get-bulk``."""

    assets: list[_Asset]

    def to_domain(self) -> list[Asset]:
        return [one.to_domain() for one in self.assets]


class _Uploaded(Wire):
    id: Id


class UploadedAnswer(Wire):
    """``POST /assets``."""

    asset: _Uploaded


class UploadPart(Wire):
    """One part of a multipart upload; ``number`` counts from 1."""

    number: int
    url: str


class Upload(Wire):
    """A multipart upload and how far it is: pending, complete, validating, validated, imported, failed."""

    id: Id
    status: str
    entity_id: str | None = None
    error_message: str | None = None
    parts: list[UploadPart] | None = None


class UploadAnswer(Wire):
    """``POST /uploads``, ``GET /uploads/{id}``, ``POST /uploads/{id}/action``."""

    upload: Upload


class _Required(Wire):
    always: bool | None = None


_TYPES = {
    "boolean": ParameterType.BOOLEAN,
    "number": ParameterType.NUMBER,
    "string": ParameterType.STRING,
    "file": ParameterType.FILE,
    "file_array": ParameterType.FILE,
}


class _Input(Wire):
    name: Id
    type: str
    required: _Required | bool | None = None
    default: Any = None
    min: float | None = None
    max: float | None = None
    allowed_values: list[Any] | None = None
    cost_impact: bool | None = None

    def to_domain(self, kind: ParameterType) -> Parameter:
        is_file = kind is ParameterType.FILE
        return Parameter(
            name=self.name,
            type=kind,
            required=bool(self.required.always if isinstance(self.required, _Required) else self.required),
            default=_choice(self.default),
            min=self.min,
            max=self.max,
            allowed=tuple(_choice(one) for one in self.allowed_values or ()),
            cost_impact=not is_file if self.cost_impact is None else self.cost_impact,
        )


def _choice(value: Any) -> str | int | float | bool | None:
    """500000.0 and 500000 are one choice, and must get the same content key. What is no scalar of JSON is none."""
    if isinstance(value, float) and isfinite(value):
        return int(value) if value.is_integer() else value
    return value if isinstance(value, str | int) else None


class _Model(Wire):
    inputs: list[_Input] | None = None


class ModelAnswer(Wire):
    """``GET /models/{modelId}``."""

    model: _Model

    def to_domain(self, model_id: str) -> ModelSchema:
        """The inputs of the types that our parameters know; others stay at the service's defaults."""
        known = ((one, _TYPES[one.type]) for one in self.model.inputs or () if one.type in _TYPES)
        return ModelSchema(model_id=model_id, parameters={one.name: one.to_domain(kind) for one, kind in known})


class _Project(Wire):
    id: str


class _Team(Wire):
    id: Id
    projects: list[_Project] | None = None


class TeamsAnswer(Wire):
    """``GET /teams``."""

    teams: list[_Team]

    def team_of(self, project: str) -> str | None:
        """The id of the team that has the project; of the first one when none says so."""
        holders = [team.id for team in self.teams if any(one.id == project for one in team.projects or ())]
        return next(iter([*holders, *(team.id for team in self.teams)]), None)


class _Limits(Wire):
    parallel_custom_jobs: float | None = None


class TeamLimitsAnswer(Wire):
    """``GET /teams/{teamId}/limits``."""

    limits: _Limits | None = None

    def to_domain(self) -> TeamLimits:
        ceiling = self.limits.parallel_custom_jobs if self.limits else None
        return TeamLimits(parallel_jobs=int(ceiling) if ceiling is not None and ceiling >= 1 else None)
