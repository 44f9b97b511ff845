"""What the manifest says about every work item's way."""

from dataclasses import dataclass
from pathlib import Path

from pipeline.stages.deliver import Shelf
from pipeline.stages.submit import Patience
from pipeline.stages.upload import Gallery


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    service: str
    """The service's identity: ``scenario``, ``local`` or its base URL."""
    project: str
    staging: Path
    """Where downloads lie until they are delivered; a folder a work item."""
    shelf: Shelf
    gallery: Gallery
    patience: Patience
    on_low: str
    previews: bool

    def staging_of(self, key: str) -> Path:
        return self.staging / key[:32]
