"""Image sets, pictures and work items: what is to be turned into what."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from pipeline.domain.consistency import Policy, most_lenient
from pipeline.domain.lifecycle import State
from pipeline.domain.views import View


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSet:
    """The view images of one object, as found on disk; nothing of the pictures has been read yet."""

    set_id: str
    """The path below the glob's fixed part, verbatim, with ``/`` between folders."""
    folder: Path
    views: Mapping[View, Path]
    params: Mapping[str, Any] = field(default_factory=dict)
    """The set's own parameters over the manifest's defaults; variants come on top."""
    copies: int = 1
    consistency: Policy | None = None
    """What becomes of it where its views contradict one another; None: what the manifest says of all sets."""
    findings: tuple["Finding", ...] = ()
    """What discovery has against it: no front view, two candidates for one view."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something about a set that a person should know; ``refuse`` keeps the set from being sent."""

    kind: str
    """A stable word: ``no-front``, ``two-candidates``, ``unreadable``, ``truncated``, ``too-small``, ..."""
    verdict: str
    """``refuse``, ``hold``, ``warn`` or ``ok`` (worth a note, such as a picture that is re-encoded)."""
    message: str
    mend: str = ""
    view: View | None = None
    file: Path | None = None
    confidence: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """One view image that passed preflight."""

    path: Path
    sha256: str
    """Of the file's bytes."""
    size_bytes: int
    media_type: str
    width: int
    height: int
    changes: tuple[str, ...] = ()
    """What has to be done before it is sent, in words; empty: it is sent byte for byte."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedSet:
    """An image set after preflight. ``pictures`` lacks the views that were refused."""

    image_set: ImageSet
    pictures: Mapping[View, Picture]
    findings: tuple[Finding, ...] = ()

    @property
    def is_refused(self) -> bool:
        return any(one.verdict == "refuse" for one in self.findings)


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Alias:
    """The name under which a person asked for a mesh: one row of the results manifest."""

    set_id: str
    variant: str = ""
    copy: int = 1

    @property
    def label(self) -> str:
        """``props/chair``, ``props/chair@pbr``, ``props/chair@copy2``, ``props/chair@pbr@copy2``."""
        return self.set_id + self.suffix

    @property
    def suffix(self) -> str:
        """What sets this name apart from others of the same set: ``@pbr``, ``@pbr@copy2``; often empty."""
        parts = [self.variant, f"copy{self.copy}" if self.copy > 1 else ""]
        return "".join(f"@{part}" for part in parts if part)


class ContentKeys:
    """The identities of the meshes that one choice of parameters gives.

    All that they share is written once: a hundred thousand sets usually have one choice.
    """

    def __init__(self, *, service: str, project: str, model: str, params: Mapping[str, Any]) -> None:
        """``service``: ``scenario``, ``local`` or its base URL. ``project``: empty when none is given. ``params``: all
        of them, defaults filled in.
        """
        self._middle = f'"model":{_canonical(model)},"params":{_canonical(dict(params))},"pictures":'
        self._end = f',"project":{_canonical(project)},"service":{_canonical(service)}}}'

    def key(self, pictures: Mapping[View, str], copy: int = 1) -> str:
        """64 hexadecimal digits over everything that decides the result: SHA-256 of canonical JSON.

        Args:
            pictures: SHA-256 of each picture's bytes.
            copy: counts from 1; a further copy is a mesh of its own.
        """
        digests = _canonical({view.value: digest for view, digest in pictures.items()})
        return hashlib.sha256(f'{{"copy":{copy},{self._middle}{digests}{self._end}'.encode()).hexdigest()


_canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode


def content_key(
    *, service: str, project: str, model: str, params: Mapping[str, Any], pictures: Mapping[View, str], copy: int = 1
) -> str:
    """The identity of one mesh to be had, see ``ContentKeys``."""
    return ContentKeys(service=service, project=project, model=model, params=params).key(pictures, copy)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkItem:
    """One mesh to be had, and every name under which it was asked for."""

    key: str
    model: str
    params: Mapping[str, Any]
    pictures: Mapping[View, Picture]
    copy: int = 1
    aliases: tuple[Alias, ...] = ()
    consistency: Policy = "warn"
    """What becomes of it where its views contradict one another."""

    def also(self, alias: Alias, consistency: Policy) -> "WorkItem":
        policy = most_lenient((self.consistency, consistency))
        return replace(self, aliases=(*self.aliases, alias), consistency=policy)


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputFile:
    """One file of a result. ``name`` is ours (from the set id and what the file is), never the service's."""

    role: str
    """``mesh``, ``albedo``, ``normal``, ``metallic``, ``roughness``, ``preview``, ..."""
    name: str
    size_bytes: int
    sha256: str
    media_type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MeshFacts:
    """What a GLB says of itself, read from its structure alone."""

    face_count: int
    vertex_count: int
    texture_count: int
    material_count: int
    has_uvs: bool
    has_pbr: bool
    bounds: tuple[tuple[float, float, float], tuple[float, float, float]] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What acceptance says of a mesh."""

    outcome: str
    """``accepted``, ``held`` or ``rejected``."""
    reasons: tuple[str, ...] = ()
    facts: MeshFacts | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemRecord:
    """A work item as the ledger knows it."""

    key: str
    state: State
    service: str
    project: str
    model: str
    params: Mapping[str, Any]
    pictures: Mapping[View, str]
    """SHA-256 of each picture's bytes."""
    copy: int = 1
    inputs: Mapping[str, Any] = field(default_factory=dict)
    """The body of the last submission: what the service will echo."""
    job_id: str = ""
    asset_ids: tuple[str, ...] = ()
    """What the job made; not empty once the service has said success."""
    attempts: int = 0
    """Submissions so far, the refunded ones included."""
    submitting_at: datetime | None = None
    """When the intent of the last submission was committed."""
    lost_at: datetime | None = None
    """By when its request had ended without an answer that can be read; None: it was answered."""
    failed_jobs: int = 0
    """Jobs that failed one after the other; a success, or a person who says so, begins anew."""
    quoted_cu: float | None = None
    charged_cu: float | None = None
    """Over all attempts, refunds taken off."""
    job_s: float | None = None
    """How long the last job that ended well took at the service, by its own clock."""
    notes: tuple[str, ...] = ()
    """What the service told of how that job made its mesh."""
    findings: tuple[str, ...] = ()
    """What the comparison of its views told before it was submitted all the same."""
    outputs: tuple[OutputFile, ...] = ()
    verdict: Verdict | None = None
    error_class: str = ""
    error: str = ""
    mend: str = ""
    timings: Mapping[str, float] = field(default_factory=dict)
    """Seconds spent in each stage."""
    updated_at: datetime | None = None
