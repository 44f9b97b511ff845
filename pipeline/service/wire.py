"""The shapes of the API's answers (the official SDK's ``types`` are the last word on them). Pure."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pipeline.domain.jobs import JobStatus
from pipeline.domain.model import PICTURE_MAX_BYTES, PUBLISHED_SCHEMA, ModelSchema, Parameter, ParameterType
from pipeline.ports.job_records import AssetRecord, JobRecord, UploadRecord

TEAM_ID = "team_local"
AUTHOR_ID = "user_local"
PROJECT_ID = "proj_local"
_BORN = "2026-01-01T00:00:00.000Z"
"""Of what has no date of its own: the team, the model."""

_ASSET_TYPES = {f"3d:texture:{one}": f"3d-texture-{one}" for one in ("albedo", "normal", "metallic", "roughness")}


def time_text(at: datetime) -> str:
    """ISO 8601 in UTC with milliseconds: ``2023-02-03T11:19:41.579Z``."""
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def job_document(job: JobRecord) -> dict[str, Any]:
    metadata: dict[str, Any] = {"modelId": job.model_id, "input": dict(job.inputs), "assetIds": list(job.asset_ids)}
    if job.notes:  # ours alone: the published API has no such field, and its clients pass over it
        metadata["notes"] = list(job.notes)
    if job.status is JobStatus.FAILURE:
        metadata |= {"error": job.error, "hint": job.hint}
        if job.fault:  # ours alone, too
            metadata["fault"] = job.fault
    return {
        "jobId": job.job_id,
        "jobType": "custom",
        "status": job.status,
        "progress": job.progress,
        "statusHistory": [{"status": status, "date": time_text(at)} for status, at in job.history],
        "createdAt": time_text(job.created_at),
        "updatedAt": time_text(job.updated_at),
        "authorId": AUTHOR_ID,
        "ownerId": PROJECT_ID,
        "metadata": metadata,
        # A failed job shows its original charge, refunded unless disableRefund is set: the API's own convention.
        "billing": {"cuCost": job.cu_cost, "cuDiscount": 0},
    }


def cost_document(cu: float) -> dict[str, Any]:
    """What a quote and a launch say of the price; actions that cost nothing are left out of the details."""
    details = {"custom-generation": cu} if cu else {}
    return {"creativeUnitsCost": cu, "creativeUnitsDiscount": 0, "costDetails": details}


def asset_document(asset: AssetRecord, *, url: str) -> dict[str, Any]:
    created_at = time_text(asset.created_at)
    metadata: dict[str, Any] = {
        "kind": asset.kind,
        "type": _ASSET_TYPES.get(asset.source, asset.source),
        "name": asset.name,
    }
    document = {
        "id": asset.asset_id,
        "kind": asset.kind,
        "mimeType": asset.media_type,
        "source": asset.source,
        "status": "success",
        "privacy": "private",
        "url": url,
        "properties": dict(asset.properties),
        "metadata": metadata,
        "isHidden": asset.hidden,
        "collectionIds": list(asset.collection_ids),
        "editCapabilities": [],
        "tags": [],
        "authorId": AUTHOR_ID,
        "ownerId": PROJECT_ID,
        "createdAt": created_at,
        "updatedAt": created_at,
    }
    if asset.job_id is not None:
        metadata["parentJobId"] = asset.job_id
        document["outputIndex"] = asset.output_index
    return document


def upload_document(upload: UploadRecord, *, parts: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    document: dict[str, Any] = {
        "id": upload.upload_id,
        "kind": "image",
        "source": "multipart",
        "status": upload.status,
        "fileName": upload.file_name,
        "originalFileName": upload.file_name,
        "fileSize": upload.size_bytes,
        "contentType": upload.media_type,
        "partsCount": upload.parts,
        "assetOptions": {"hide": upload.hidden, "collectionIds": list(upload.collection_ids)},
        "authorId": AUTHOR_ID,
        "ownerId": PROJECT_ID,
        "createdAt": time_text(upload.created_at),
        "updatedAt": time_text(upload.updated_at),
    }
    if parts is not None:
        document["parts"] = parts
    if upload.asset_id is not None:
        document["entityId"] = upload.asset_id
    if upload.error:
        document["errorMessage"] = upload.error
    return document


def model_document(schema: ModelSchema = PUBLISHED_SCHEMA) -> dict[str, Any]:
    return {
        "id": schema.model_id,
        "name": "Multiview reconstruction (local)",
        "shortDescription": "Meshes from pictures of up to eight sides, made by mvmesh's own engine.",
        "type": "custom",
        "custom": True,
        "capabilities": ["img23d"],
        "inputs": [_input_document(parameter) for parameter in schema.parameters.values()],
        "status": "trained",
        "source": "other",
        "privacy": "public",
        "collectionIds": [],
        "exampleAssetIds": [],
        "tags": [],
        "trainingImagesNumber": 0,
        "createdAt": _BORN,
        "updatedAt": _BORN,
    }


def _input_document(parameter: Parameter) -> dict[str, Any]:
    document: dict[str, Any] = {
        "name": parameter.name,
        "type": parameter.type,
        "required": {"always": parameter.required},
        "costImpact": parameter.cost_impact,
    }
    optional = {"default": parameter.default, "min": parameter.min, "max": parameter.max}
    document |= {name: value for name, value in optional.items() if value is not None}
    if parameter.allowed:
        document["allowedValues"] = list(parameter.allowed)
    if parameter.type is ParameterType.FILE:
        document |= {"kind": "image", "maxSize": PICTURE_MAX_BYTES}
    return document


def team_document() -> dict[str, Any]:
    return {
        "id": TEAM_ID,
        "name": "mvmesh local service",
        "plan": "enterprise",
        "type": "personal",
        "context": {"invitationsCount": 0, "keysCount": 1, "userRole": "key", "usersCount": 1},
        "projects": [{"id": PROJECT_ID, "name": "Local", "createdAt": _BORN, "updatedAt": _BORN}],
        "createdAt": _BORN,
        "updatedAt": _BORN,
    }


_UNLIMITED = (
    *("apiKeys", "canvasAssetLayers", "canvasAssets", "collections", "creativeUnits", "defaultSeats"),
    *("downloadAssets", "downloadModel", "inferenceBatchSize", "maxCooldown", "maxTrainingDatasets", "minCooldown"),
    *("models", "OTPSessions", "parallelInferences", "parallelTraining", "parallelWorkflowRuns"),
    *("premiumGenerationSamples", "projects", "scalingFactor", "seats", "snapshotsRetention", "upload"),
)
_UNUSED = ("apiKeys", "canvasAssets", "collections", "projects", "seats")


def limits_document(*, ceiling: int, cu_spent: float) -> Mapping[str, Any]:
    """The team's limits: -1 stands for none."""
    return {
        "plan": "enterprise",
        "limits": dict.fromkeys(_UNLIMITED, -1) | {"parallelCustomJobs": ceiling},
        "values": dict.fromkeys(_UNUSED, 0) | {"creativeUnits": cu_spent},
        "oneShotCreativeUnits": [],
        "period": {"start": _BORN, "end": "2126-01-01T00:00:00.000Z"},
    }
