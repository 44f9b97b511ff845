"""What uploaded pictures are called at the service: enough to know them again when the ledger is lost."""

import re
from dataclasses import dataclass

from pipeline.domain.items import Picture
from pipeline.domain.views import View

_DIGITS = 32
"""Of the picture's SHA-256: no two pictures share so many by chance."""

_NAME = re.compile(rf"[A-Za-z]+-([0-9a-f]{{{_DIGITS}}})-([1-9][0-9]{{0,5}})(?![0-9])")


@dataclass(frozen=True, slots=True)
class NamedPicture:
    """What an asset's name tells of the picture behind it."""

    digest: str
    """The beginning of its SHA-256."""
    copy: int = 1

    def is_of(self, picture: Picture) -> bool:
        return picture.sha256.startswith(self.digest)


def asset_name(view: View, picture: Picture, copy: int) -> str:
    return f"{view.value}-{_digest(picture)}-{copy}"


def named(picture: Picture, copy: int = 1) -> NamedPicture:
    """What the name of this picture's asset tells."""
    return NamedPicture(_digest(picture), copy)


def picture_of(name: str) -> NamedPicture | None:
    """What an asset's name tells; None for one that we have not given. The view is no part of it: one picture may serve
    as several. The service may have put something behind the name.
    """
    found = _NAME.match(name)
    return NamedPicture(found[1], int(found[2])) if found else None


def _digest(picture: Picture) -> str:
    return picture.sha256[:_DIGITS]
