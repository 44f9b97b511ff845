"""Compare: do the silhouettes of a set's views fit one another? Judged as the local engine judges them before it makes
a mesh, and as a person would before a mesh is paid for.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.domain.errors import PictureRefused, WorkerDied
from pipeline.domain.items import CheckedSet, Finding
from pipeline.domain.views import View
from pipeline.ports.interfaces import Compute

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pipeline.geometry.framing import Framings

TIMEOUT_S = 300.0
"""Of one set, which takes a second at most on a machine that is not busy."""
_AGREE = 0.95
"""Silhouettes that agree to less are worth a look, whatever explains them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Remark:
    """One thing that the silhouettes tell."""

    kind: str
    """``contradiction``, ``no-silhouette``, ``disagreement``, or ``framing``, which is no fault."""
    message: str
    mend: str = ""
    views: tuple[View, ...] = ()
    """Those that it is about; empty: all of them."""
    is_fatal: bool = False
    """Whether the local engine makes no mesh of such pictures."""


async def compare(checked: CheckedSet, *, compute: Compute, fatal: str, other: str = "warn") -> CheckedSet:
    """The set with what its silhouettes tell among its findings. One that is refused anyway is left as it is.

    Args:
        checked: the set after preflight.
        compute: worker processes; some tenths of a second of one for eight views.
        fatal: the verdict on pictures that the local engine makes no mesh of.
        other: the verdict on what else speaks against views.
    """
    if checked.is_refused:
        return checked
    paths = {view: str(picture.path) for view, picture in checked.pictures.items()}
    try:
        remarks = await compute.run(silhouette_remarks, paths, timeout_s=TIMEOUT_S)
    except WorkerDied as death:
        remarks = (Remark(kind="not-compared", message=f"the views could not be compared: {death}", mend=death.mend),)
    found = [_finding(one, checked, fatal if one.is_fatal else other) for one in remarks]
    return replace(checked, findings=(*checked.findings, *found))


def _finding(remark: Remark, checked: CheckedSet, verdict: str) -> Finding:
    view = remark.views[0] if len(remark.views) == 1 else None
    return Finding(
        kind=remark.kind,
        verdict="ok" if remark.kind == "framing" else verdict,
        message=remark.message,
        mend=remark.mend,
        view=view,
        file=checked.pictures[view].path if view else None,
    )


def silhouette_remarks(paths: Mapping[View, str]) -> tuple[Remark, ...]:
    """What the silhouettes of a set's pictures tell; for a worker process. Needs the engine extra."""
    os.environ["NUMBA_NUM_THREADS"] = "1"  # read when the library loads, just below; sets go side by side
    from pipeline.geometry.framing import framings  # noqa: PLC0415 - numpy is not in the base install
    from pipeline.geometry.silhouettes import ReconstructionError, silhouettes  # noqa: PLC0415

    try:
        pictures = _read(paths)
        size = max(max(picture.shape[:2]) for picture in pictures.values())
        seen = silhouettes(pictures, size)
    except ReconstructionError as error:
        return (Remark(kind="no-silhouette", message=error.found, mend=error.mend, is_fatal=True),)
    except PictureRefused as error:  # it has changed since preflight
        return (Remark(kind=error.kind, message=str(error), mend=error.mend, is_fatal=True),)
    given = all(one.given for one in seen.values())
    return _remarks(framings({view: one.coverage for view, one in seen.items()}, given=given))


def _read(paths: Mapping[View, str]) -> "dict[View, NDArray[np.uint8]]":
    """As the engine reads them: (H, W, 4) each, no larger than it works on."""
    from pipeline.geometry.reconstruction import SIZE_MAX_PX  # noqa: PLC0415
    from pipeline.ports.images import read_rgba  # noqa: PLC0415
    from pipeline.ports.images.files import read_picture_file  # noqa: PLC0415

    return {
        view: read_rgba(read_picture_file(Path(path)), path, longest_px=SIZE_MAX_PX) for view, path in paths.items()
    }


def _remarks(found: "Framings") -> tuple[Remark, ...]:
    from pipeline.geometry.framing import findings  # noqa: PLC0415

    is_fatal = found.ruined or not found.agreement  # where one view's rays meet nothing there is no solid at all
    kind = "contradiction" if found.doubt else "disagreement" if found.agreement < _AGREE else "framing"
    views = found.doubt.views if found.doubt else ()
    return tuple(
        Remark(
            kind=kind if mend else "framing",
            message=message,
            mend=mend,
            views=views if mend else (),
            is_fatal=is_fatal and bool(mend),
        )
        for message, mend in findings(found)
    )
