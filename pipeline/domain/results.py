"""The results manifest: one row a set id and variant, as JSON Lines and as CSV."""

import csv
import io
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from pipeline.domain.items import Alias, Finding, ItemRecord, MeshFacts, OutputFile, WorkItem
from pipeline.domain.lifecycle import State
from pipeline.domain.planning import RefusedSet
from pipeline.domain.texts import is_shown, visible


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ResultFile(_Row):
    """One file of a result."""

    role: str = Field(description="What it is: mesh, preview, albedo, normal, metallic, roughness, ...")
    path: str = Field(description="Below the output folder, with / between folders.")
    bytes: int = Field(ge=0)
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    media_type: str


class ResultMesh(_Row):
    """What the mesh file says of itself."""

    faces: int
    vertices: int
    textures: int
    materials: int
    has_uvs: bool
    has_pbr: bool


class ResultError(_Row):
    """Why there is no mesh."""

    kind: str = Field(description="The class of the error, or the kind of the first finding against the pictures.")
    message: str
    mend: str = ""


class ResultRow(_Row):
    """One row of the results manifest: one set id and variant.

    A new column is a field here, filled in ``row_of``; the CSV follows by itself.
    """

    schema_version: Literal[1] = Field(default=1, alias="schema", serialization_alias="schema")
    set: str = Field(description="The set id: the folder's path below the glob's fixed part.")
    variant: str = ""
    copy_number: int = Field(default=1, alias="copy", serialization_alias="copy", ge=1)
    key: str = Field(default="", description="The content key; empty for a set that was refused.")
    state: State
    verdict: str = Field(default="", description="accepted, held or rejected; empty before acceptance.")
    reasons: tuple[str, ...] = Field(default=(), description="What acceptance remarked.")
    model: str = ""
    backend: str = ""
    params: dict[str, Any] = Field(default_factory=dict)
    views: tuple[str, ...] = Field(default=(), description="The views that were sent.")
    job_id: str = ""
    cu_quoted: float | None = None
    cu_charged: float | None = None
    attempts: int = 0
    timings: dict[str, float] = Field(default_factory=dict, description="Seconds spent in each stage.")
    outputs: tuple[ResultFile, ...] = ()
    mesh: ResultMesh | None = None
    findings: tuple[str, ...] = Field(
        default=(), description="What was remarked about the pictures before they were sent."
    )
    notes: tuple[str, ...] = Field(
        default=(),
        description="What the service tells of how the mesh was made, such as that its depth is guessed. Our own does.",
    )
    error: ResultError | None = None

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    @property
    def alias(self) -> Alias:
        return Alias(set_id=self.set, variant=self.variant, copy=self.copy_number)

    @property
    def label(self) -> str:
        return self.alias.label


def row_of(
    alias: Alias,
    work: WorkItem,
    record: ItemRecord,
    *,
    backend: str,
    files: Sequence[OutputFile],
    findings: Sequence[str],
) -> ResultRow:
    """The row of a work item under one of its names.

    Args:
        alias: the name.
        work: the item as planned.
        record: the item as the ledger knows it.
        backend: as the manifest names it.
        files: what stands in the output folder under this name; ``name`` is the path below it.
        findings: what preflight remarked about the set's pictures.
    """
    return ResultRow(
        set=alias.set_id,
        variant=alias.variant,
        copy_number=alias.copy,
        key=work.key,
        state=record.state,
        verdict=record.verdict.outcome if record.verdict else "",
        reasons=record.verdict.reasons if record.verdict else (),
        model=work.model,
        backend=backend,
        params=dict(work.params),
        views=tuple(view.value for view in work.pictures),
        job_id=record.job_id,
        cu_quoted=record.quoted_cu,
        cu_charged=record.charged_cu,
        attempts=record.attempts,
        timings={stage: round(seconds, 3) for stage, seconds in record.timings.items()},
        outputs=tuple(_file(one) for one in files),
        mesh=_mesh(record.verdict.facts) if record.verdict and record.verdict.facts else None,
        findings=(*findings, *record.findings),
        notes=record.notes,
        error=ResultError(kind=record.error_class, message=record.error, mend=record.mend) if record.error else None,
    )


def refused_rows(refused: RefusedSet, *, backend: str, model: str) -> list[ResultRow]:
    """The rows of a set whose pictures were refused."""
    against = [one for one in refused.findings if one.verdict == "refuse"]
    return [
        ResultRow(
            set=alias.set_id,
            variant=alias.variant,
            copy_number=alias.copy,
            state=State.REFUSED,
            model=model,
            backend=backend,
            findings=tuple(one.message for one in refused.findings),
            error=_refusal(against),
        )
        for alias in refused.aliases
    ]


def _refusal(against: Sequence[Finding]) -> ResultError:
    return ResultError(
        kind=against[0].kind,
        message="; ".join(one.message for one in against),
        mend="; ".join(dict.fromkeys(one.mend for one in against if one.mend)),
    )


def _file(file: OutputFile) -> ResultFile:
    return ResultFile(
        role=file.role, path=file.name, bytes=file.size_bytes, sha256=file.sha256, media_type=file.media_type
    )


def _mesh(facts: MeshFacts) -> ResultMesh:
    return ResultMesh(
        faces=facts.face_count,
        vertices=facts.vertex_count,
        textures=facts.texture_count,
        materials=facts.material_count,
        has_uvs=facts.has_uvs,
        has_pbr=facts.has_pbr,
    )


def results_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of one line of ``results.jsonl``."""
    schema = ResultRow.model_json_schema(by_alias=True, mode="serialization")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "mvmesh result row"}


def as_jsonl(rows: Iterable[ResultRow]) -> str:
    """One line a row. Signs that a terminal obeys, or that cannot be seen, are written as JSON's escapes."""
    return "".join(_escaped(row.model_dump_json(by_alias=True)) + "\n" for row in rows)


def _escaped(text: str) -> str:
    return text if text.isprintable() else "".join(sign if is_shown(sign) else json.dumps(sign)[1:-1] for sign in text)


def as_csv(rows: Iterable[ResultRow], *, has_head: bool = True) -> str:
    """One line a row for spreadsheets: nested values flattened, texts that a spreadsheet would run made inert. The
    columns' names come first, unless these rows follow others.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, _CSV_COLUMNS, lineterminator="\n")
    if has_head:
        writer.writeheader()
    for row in rows:
        writer.writerow({name: _inert(value) for name, value in _flat(row).items()})
    return text.getvalue()


_PARAM_COLUMNS = ("faceCount", "generateType", "enablePbr")
_PLAIN_COLUMNS = tuple(
    name
    for name in (field.serialization_alias or name for name, field in ResultRow.model_fields.items())
    if name not in {"params", "outputs", "mesh", "error", "timings"}
)
_CSV_COLUMNS = (
    *_PLAIN_COLUMNS,
    *_PARAM_COLUMNS,
    "seconds",
    *(f"mesh_{name}" for name in ResultMesh.model_fields),
    "mesh_path",
    "mesh_bytes",
    "mesh_sha256",
    "preview_path",
    *(f"error_{name}" for name in ResultError.model_fields),
)


def _flat(row: ResultRow) -> dict[str, Any]:
    said = row.model_dump(mode="json", by_alias=True)
    files: dict[str, Mapping[str, Any]] = {one["role"]: one for one in said["outputs"]}
    mesh, preview = files.get("mesh", {}), files.get("preview", {})
    return {
        **{name: "; ".join(said[name]) if isinstance(said[name], list) else said[name] for name in _PLAIN_COLUMNS},
        **{name: said["params"].get(name) for name in _PARAM_COLUMNS},
        "seconds": round(sum(row.timings.values()), 3) or None,
        **{f"mesh_{name}": value for name, value in (said["mesh"] or {}).items()},
        "mesh_path": mesh.get("path"),
        "mesh_bytes": mesh.get("bytes"),
        "mesh_sha256": mesh.get("sha256"),
        "preview_path": preview.get("path"),
        **{f"error_{name}": value for name, value in (said["error"] or {}).items()},
    }


_FORMULA_START = re.compile(r'(^|;)([\s"]*)(?=[=+\-@＝＋－＠])')  # noqa: RUF001 - the full-width forms start formulas, too
"""At the beginning of a cell, or after the sign that separates cells where commas stand in numbers."""


def _inert(value: Any) -> Any:
    """A text on one line, without signs that cannot be seen; what begins like a formula gets an apostrophe before it
    (OWASP, CSV injection).
    """
    if not isinstance(value, str):
        return value
    line = visible(" ".join(value.splitlines()).replace("\t", " "))
    return _FORMULA_START.sub(r"\1'\2", line)
