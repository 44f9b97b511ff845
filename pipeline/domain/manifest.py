"""The manifest: what a person asks for, checked wholly before anything is done.

The models hold types, ranges and what belongs together; ``load_manifest`` turns a text into one, or says everything
that is wrong with it at once.
"""

import os
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from pipeline.domain.consistency import Policy
from pipeline.domain.errors import UsageError
from pipeline.domain.manifest_problems import explain
from pipeline.domain.manifest_text import UNREADABLE, Document, Loc, Problem, key_path, read_document
from pipeline.domain.manifest_values import (
    Backend,
    ClockWindow,
    FileName,
    InFlight,
    LongDuration,
    ModelId,
    PathText,
    Pattern,
    PortableName,
    SetId,
    ShortDuration,
    did_you_mean,
    refuse,
    shown,
)
from pipeline.domain.model import MODEL_ID, PUBLISHED_SCHEMA, ModelSchema
from pipeline.domain.naming import identity
from pipeline.domain.views import View

PROBLEMS_SHOWN = 50
_WILDCARD = re.compile(r"[*?\[]")


class Section(BaseModel):
    """One mapping of the manifest: no unknown keys, no guessed types, never changed."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    @model_validator(mode="before")
    @classmethod
    def _an_empty_key_is_left_out(cls, data: Any) -> Any:
        """``limits:`` with nothing behind it means the defaults, as when the line were not there."""
        if not isinstance(data, dict):
            return data
        optional = {name for name, one in cls.model_fields.items() if not one.is_required()}
        return {key: value for key, value in data.items() if value is not None or key not in optional}


def _check_params(params: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
    """Parameters that ``info.context["schema"]`` knows and takes; whole numbers come as integers."""
    schema: ModelSchema | None = (info.context or {}).get("schema")
    refuse([((name,), why) for name, value in params.items() if (why := _param_problem(name, value, schema))])
    return {name: _whole(value) for name, value in params.items()}


def _param_problem(name: str, value: Any, schema: ModelSchema | None) -> str:
    if view := next((view for view in View if view.field == name), None):
        return f"the service's pictures are found by file name, expected views: {{{view}: FILE}} on a set"
    if not isinstance(value, str | int | float | bool):
        return f"found {shown(value)}, expected a number, text, true or false"
    if schema is None:
        return ""
    if parameter := schema.choices.get(name):
        return parameter.problem(value) or ""
    return "; ".join(schema.problems({name: value}))


def _whole(value: Any) -> Any:
    """500000.0 is 500000: equal choices are equal texts in a content key."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Params = Annotated[dict[str, Any], AfterValidator(_check_params)]


def _check_view_names(views: Any) -> Any:
    """View names to views; the files below are checked by their own type."""
    if not isinstance(views, dict):
        return views
    names = [view.value for view in View]
    problems: list[tuple[Loc, str]] = [
        ((name,), f"unknown view; {did_you_mean(name.removesuffix('Image'), names)}")
        for name in views
        if name not in names
    ]
    if View.FRONT not in views:
        problems.append(((), "front is missing; every set needs a front view"))
    files = Counter(file for file in views.values() if isinstance(file, str))
    problems += [
        ((name,), f"the file {file!r} stands for several views, expected one file a view")
        for name, file in views.items()
        if isinstance(file, str) and files[file] > 1
    ]
    refuse(problems)
    return {View(name): file for name, file in views.items()}


class SetEntry(Section):
    """Where image sets lie: a folder, a glob of folders, or a flat folder whose files are grouped by name."""

    path: PathText = Field(
        description="A folder with the views of one object, or a glob: every matching folder is a set."
    )
    pattern: Pattern | None = Field(
        default=None, description="For a flat folder: how its file names tell set and view, such as '{set}_{view}'."
    )
    exclude: tuple[Annotated[str, Field(min_length=1)], ...] = Field(
        default=(), description="Folders to leave out, by name or by path below the glob's fixed part; * and ? allowed."
    )
    id: SetId | None = Field(default=None, description="The set's name, where the folder's own does not do.")
    params: Params = Field(default={}, description="Parameters of these sets, over the defaults.")
    copies: int = Field(default=1, ge=1, le=100, description="Meshes wanted of each set, each a paid one of its own.")
    views: Annotated[dict[View, FileName], BeforeValidator(_check_view_names)] | None = Field(
        default=None, description="Which file is which view, where the names do not tell: exactly these files are used."
    )
    consistency: Policy | None = Field(
        default=None,
        description="Of these sets, over preflight.consistency: what becomes of one whose views fit badly.",
    )

    @field_validator("exclude")
    @classmethod
    def _there_is_a_choice(cls, exclude: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if exclude and not (_WILDCARD.search(info.data.get("path", "*")) or info.data.get("pattern")):
            raise ValueError(
                "the path names one folder, expected a glob (such as props/*) or a pattern to exclude from"
            )
        return exclude

    @field_validator("id")
    @classmethod
    def _names_one_set(cls, set_id: str | None, info: ValidationInfo) -> str | None:
        if set_id and info.data.get("pattern"):
            raise ValueError("stands beside pattern, expected one of them: a pattern makes many sets and names each")
        return set_id

    @field_validator("views")
    @classmethod
    def _are_not_read_from_names(cls, views: dict[View, str] | None, info: ValidationInfo) -> dict[View, str] | None:
        if views and info.data.get("pattern"):
            raise ValueError("stands beside pattern, expected one of them: a pattern reads the views from file names")
        return views


def _check_there_are_some(entries: Any) -> Any:
    if entries == ():
        raise ValueError("found an empty list, expected at least one entry with a path")
    return entries


class Variant(Section):
    """One parameter choice; every set is made once per variant."""

    name: PortableName = Field(description="Part of the output's name: set@variant.")
    params: Params = Field(default={}, description="Parameters of this variant, over the defaults and the set's own.")


def _check_variants(variants: tuple[Variant, ...]) -> tuple[Variant, ...]:
    problems: list[tuple[Loc, str]] = []
    seen: dict[str, str] = {}
    for at, variant in enumerate(variants):
        if re.fullmatch(r"copy\d+", variant.name, re.IGNORECASE):
            problems.append(
                ((at, "name"), f"found {variant.name!r}, which names a further copy, expected another name")
            )
        first = seen.setdefault(identity(variant.name), variant.name)
        if at and first is not variant.name:
            problems.append(
                ((at, "name"), f"found {variant.name!r} beside {first!r}, expected names that differ by more than case")
            )
    refuse(problems)
    return variants


class Limits(Section):
    """How much at once, and how long."""

    in_flight: InFlight = Field(
        default="auto", description="Jobs at the service at once; auto: the team's ceiling, then what refusals teach."
    )
    uploads: int = Field(default=8, ge=1, le=64, description="Uploads at once.")
    downloads: int = Field(default=4, ge=1, le=64, description="Downloads at once.")
    max_duration: LongDuration | None = Field(
        default=None, description="After this time nothing more is submitted; what is left is deferred to the next run."
    )
    window: ClockWindow | None = Field(
        default=None,
        description="The hours, by this machine's clock, in which submissions may begin, such as 22:00-06:00; what is "
        "paid is fetched at any hour.",
    )


class Budget(Section):
    """What may be spent."""

    max_cu: float | None = Field(
        default=None, ge=0, le=1e9, allow_inf_nan=False, description="Creative units that one run may spend at most."
    )


class Preflight(Section):
    """What is checked of the pictures before anything is paid."""

    consistency: Policy = Field(
        default="warn",
        description="What becomes of a set whose views fit one another badly: hold (it is not submitted, exit code 1), "
        "warn, or skip the comparison. Views that cannot be of one object are held in any case but skip. Sets may have "
        "a consistency of their own.",
    )


class Acceptance(Section):
    """What is asked of a mesh before it is delivered."""

    on_low: Literal["hold", "warn", "skip"] = Field(
        default="warn", description="What to do with a mesh that is not what was asked for."
    )
    min_silhouette_iou: float = Field(
        default=0.85,
        ge=0,
        le=1,
        allow_inf_nan=False,
        description="Overlap of silhouettes below which a mesh counts as low (not measured yet: no effect).",
    )


class Uploads(Section):
    """How pictures stand in the service's gallery."""

    hide: bool = Field(default=True, description="Keep uploaded pictures out of the service's gallery.")
    collections: tuple[Annotated[str, Field(min_length=1)], ...] = Field(
        default=(), description="Ids of the service's collections that the pictures go into."
    )


class Uncertain(Section):
    """What to do with a submission whose answer was lost."""

    policy: Literal["reconcile", "ask"] = Field(
        default="reconcile", description="reconcile: absence is believed after a while; ask: a person decides."
    )
    settle: ShortDuration = Field(
        default=60.0,
        description="How long after a lost answer its job may still be made; its absence is believed once the list "
        "shows what came later.",
        json_schema_extra={"default": "60s"},
    )
    believe_after: LongDuration = Field(
        default=3600.0,
        description="Age of a submission after which its absence is believed.",
        json_schema_extra={"default": "1h"},
    )

    @field_validator("believe_after")
    @classmethod
    def _settles_first(cls, believe_after: float, info: ValidationInfo) -> float:
        settle = info.data.get("settle", 0.0)
        if believe_after < settle:
            raise ValueError(f"is shorter than settle, expected at least {settle:g}s")
        return believe_after


class Manifest(Section):
    """All that one run is asked for."""

    version: Literal[1] = Field(description="The manifest's format: 1.")
    name: PortableName = Field(description="What this batch is called in reports.")
    backend: Backend = Field(description="local, scenario, or the base URL of a compatible service with its path.")
    project: str = Field(default="", max_length=128, description="The service's project id, sent with every call.")
    output: PathText = Field(description="The folder for meshes and results, relative to the manifest.")
    state: PathText | None = Field(
        default=None, description="Where ledger and lock live, on a local disk. Default: .mvmesh in the output folder."
    )
    model: ModelId = Field(default=MODEL_ID, description="The service's model.")
    defaults: Params = Field(default={}, description="Parameters of every set.")
    sets: Annotated[tuple[SetEntry, ...], BeforeValidator(_check_there_are_some)] = Field(
        description="Where the image sets lie.", json_schema_extra={"minItems": 1}
    )
    variants: Annotated[tuple[Variant, ...], AfterValidator(_check_variants)] = Field(
        default=(), description="Every set once per variant, each a paid generation of its own."
    )
    limits: Limits = Limits()
    budget: Budget = Budget()
    preflight: Preflight = Preflight()
    acceptance: Acceptance = Acceptance()
    uploads: Uploads = Uploads()
    uncertain: Uncertain = Uncertain()
    previews: bool = Field(default=True, description="Render a picture of each mesh beside its front view.")

    _file: Path = PrivateAttr(default=Path("manifest.yaml"))
    _document: Document | None = PrivateAttr(default=None)

    @field_validator("version", mode="before")
    @classmethod
    def _is_a_number(cls, version: Any) -> Any:
        """To Python, ``true`` is 1."""
        if isinstance(version, bool):
            raise ValueError(f"found {shown(version)}, expected 1")  # noqa: TRY004 - pydantic takes ValueError
        return version

    @property
    def folder(self) -> Path:
        """The folder that relative paths are relative to; absolute."""
        return self._file.absolute().parent

    @property
    def output_folder(self) -> Path:
        return self.resolve(self.output)

    @property
    def state_folder(self) -> Path:
        return self.resolve(self.state) if self.state else self.output_folder / ".mvmesh"

    def resolve(self, path: str) -> Path:
        """A path of the manifest (or a glob) as an absolute one, ``..`` taken out."""
        return Path(os.path.normpath(self.folder / path))

    def where(self, *loc: str | int) -> str:
        """``props.yaml:12:5: sets[0].path``: how a later problem with a value names it."""
        place = self._document.value_place(loc) if self._document else None
        return f"{self._file}:{place.line}:{place.column}: {key_path(loc)}" if place else key_path(loc)

    def _read_from(self, file: Path, document: Document) -> "Manifest":
        self._file = file
        self._document = document
        return self


def load_manifest(
    text: str, *, file: Path, environ: Mapping[str, str], schema: ModelSchema = PUBLISHED_SCHEMA
) -> Manifest:
    """The manifest that ``text`` holds.

    Args:
        text: YAML.
        file: where the text comes from; its folder is what relative paths are relative to.
        environ: the environment variables that ``${VAR}`` may name.
        schema: what parameters are checked against, if it is the manifest's model that it describes.

    Raises:
        UsageError: ``problems`` names everything that is wrong, by file, line, column and key.
    """
    document = read_document(text, environ=environ)
    problems = list(document.problems)
    if document.data is not UNREADABLE:
        asked = document.value(("model",)) or MODEL_ID
        try:
            manifest = Manifest.model_validate(
                document.data, context={"schema": schema if asked == schema.model_id else None}
            )
        except ValidationError as error:
            problems += explain(error, document, SECTIONS)
    if problems:
        raise _all_wrong(file, problems)
    return manifest._read_from(file, document)  # noqa: SLF001 - the one maker of manifests


def _all_wrong(file: Path, problems: list[Problem]) -> UsageError:
    lines = [f"{file}:{problem}" for problem in sorted(problems, key=lambda one: one.place)]
    more = len(lines) - PROBLEMS_SHOWN
    return UsageError(
        f"{file} holds {len(lines)} {'error' if len(lines) == 1 else 'errors'}",
        mend="mvmesh schema prints all that a manifest may hold",
        problems=[*lines[:PROBLEMS_SHOWN], f"{file}: and {more} more"] if more > 0 else lines,
    )


SECTIONS: Mapping[tuple[str, ...], type[Section]] = {
    (): Manifest,
    ("sets",): SetEntry,
    ("variants",): Variant,
    ("limits",): Limits,
    ("budget",): Budget,
    ("preflight",): Preflight,
    ("acceptance",): Acceptance,
    ("uploads",): Uploads,
    ("uncertain",): Uncertain,
}
"""The model of every mapping with fixed keys, by its way through the manifest, indices left out."""
