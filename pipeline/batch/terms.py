"""What the manifest says about every work item's way."""

import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pipeline.domain.manifest import Manifest
from pipeline.ports.interfaces import Gallery
from pipeline.stages.deliver import Shelf
from pipeline.stages.submit import Patience

EMBEDDED = "local"
"""The backend that the run itself brings along."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    service: str
    """The service's identity: ``scenario``, ``local`` or its base URL."""
    project: str
    staging: Path
    """Where downloads lie until they are delivered."""
    shelf: Shelf
    shelf_name: str
    """The output folder as the ledger names it: as seen from the state folder, so that both may be moved together."""
    gallery: Gallery
    patience: Patience
    on_low: str
    previews: bool

    def staged(self, key: str, role: str) -> Path:
        """Where a file of a work item lies. One folder holds them all: to make and remove one for each item would cost
        more than its file.
        """
        return self.staging / f"{key[:32]}.{role}.part"


def terms_of(manifest: Manifest, *, service: str, began: datetime) -> Terms:
    """The terms of a run that began at ``began``, on a service of this identity."""
    state = manifest.state_folder
    return Terms(
        service=service,
        project=manifest.project,
        staging=state / "staging",
        shelf=Shelf(output=manifest.output_folder, replaced=state / "replaced" / began.strftime("%Y-%m-%dT%H%M%SZ")),
        shelf_name=shelf_name(manifest),
        gallery=Gallery(hide=manifest.uploads.hide, collections=manifest.uploads.collections),
        patience=_patience(manifest),
        on_low=manifest.acceptance.on_low,
        previews=manifest.previews,
    )


def shelf_name(manifest: Manifest) -> str:
    """The output folder as seen from the state folder; its whole path where there is no way between them (Windows)."""
    try:
        return Path(os.path.relpath(manifest.output_folder, manifest.state_folder)).as_posix()
    except ValueError:
        return str(manifest.output_folder)


def _patience(manifest: Manifest) -> Patience:
    if manifest.backend == EMBEDDED:
        return Patience(settle_s=0, believe_after_s=0)  # its list never lags: it is in this very process
    said = manifest.uncertain
    return Patience(ask=said.policy == "ask", settle_s=said.settle, believe_after_s=said.believe_after)
