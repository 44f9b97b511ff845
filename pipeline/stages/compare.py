"""Compare: do the silhouettes of a set's views fit one another? Judged as the local engine judges them before it makes
a mesh, and as a person would before a mesh is paid for.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from anyio import to_thread

from pipeline.domain.consistency import (
    CONTRADICTION,
    DISAGREEMENT,
    FRAMING,
    NO_SILHOUETTE,
    NOT_COMPARED,
    Policy,
    Remark,
    override_of,
    verdict_on,
)
from pipeline.domain.errors import LocalIoError, MvmeshError, PictureRefused
from pipeline.domain.items import Finding, Picture
from pipeline.domain.views import View
from pipeline.ports.images.files import read_picture_file
from pipeline.ports.interfaces import Comparisons, Compute

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pipeline.geometry.framing import Framings

TIMEOUT_S = 120.0
"""Of one set, which takes a second at most on a machine that is not busy."""
AT_ONCE = min(4, os.cpu_count() or 1)
"""Sets that are compared side by side: some twenty a second, in up to 300 MB each."""
_CHANGED = "changed"
_LOOK = "look at the pictures yourself"


async def compare(
    pictures: Mapping[View, Picture],
    *,
    policy: Policy,
    is_local: bool,
    compute: Compute,
    memory: Comparisons | None,
) -> tuple[Finding, ...]:
    """What the silhouettes of a set's pictures tell. Nothing is raised: what cannot be compared is a finding, too.

    Args:
        pictures: of the set, after preflight.
        policy: what the manifest says of views that contradict one another; ``skip`` compares nothing.
        is_local: whether the set is for the local service.
        compute: worker processes; some tenths of a second of one for eight views.
        memory: what was told before; None: nothing is known, and nothing remembered.
    """
    if policy == "skip":
        return ()
    key = await _known_as(pictures)
    remarks = await _remembered(key, memory)
    if remarks is None:
        remarks = await _told(pictures, compute)
        if memory is not None and not any(one.kind == NOT_COMPARED for one in remarks):
            with suppress(LocalIoError):  # it is found out again
                await memory.record(key, remarks)
    return tuple(_finding(one, pictures, policy, is_local=is_local) for one in remarks)


async def _known_as(pictures: Mapping[View, Picture]) -> str:
    """By what the comparison of these pictures is remembered: their bytes, and the code that judges them."""
    digests = {view.value: one.sha256 for view, one in pictures.items()}
    said = json.dumps([await to_thread.run_sync(_code), digests], sort_keys=True)
    return hashlib.sha256(said.encode()).hexdigest()


@cache
def _code() -> str:
    """A digest of all that decides how pictures are judged."""
    rooms = (Path(__file__).parents[1] / room for room in ("geometry", "ports/images"))
    files = [Path(__file__), *(file for room in rooms for file in sorted(room.glob("*.py")))]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


async def _remembered(key: str, memory: Comparisons | None) -> tuple[Remark, ...] | None:
    with suppress(LocalIoError):  # it is found out again
        return await memory.known(key) if memory else None
    return None


async def _told(pictures: Mapping[View, Picture], compute: Compute) -> tuple[Remark, ...]:
    files = {view: (str(one.path), one.sha256) for view, one in pictures.items()}
    try:
        return await compute.run(comparison, files, timeout_s=TIMEOUT_S)
    except Exception as error:  # noqa: BLE001 - whatever befalls a worker over these pictures, nobody loses a set by it
        what = str(error) if isinstance(error, MvmeshError) else f"{type(error).__name__}: {error}"
        return (Remark(kind=NOT_COMPARED, message=f"the views could not be compared: {what}", mend=_LOOK),)


def _finding(remark: Remark, pictures: Mapping[View, Picture], policy: Policy, *, is_local: bool) -> Finding:
    verdict = verdict_on(remark.kind, policy=policy, is_local=is_local)
    mends = (remark.mend, override_of(remark.kind, is_local=is_local) if verdict == "hold" else "")
    view = remark.views[0] if len(remark.views) == 1 else None
    return Finding(
        kind=remark.kind,
        verdict=verdict,
        message=remark.message,
        mend="; ".join(one for one in mends if one),
        view=view,
        file=pictures[view].path if view else None,
    )


def comparison(files: Mapping[View, tuple[str, str]]) -> tuple[Remark, ...]:
    """What the silhouettes of a set's pictures tell; for a worker process. Needs the engine extra.

    Args:
        files: of each view, the picture's path, and the SHA-256 that its bytes had in preflight.
    """
    os.environ["NUMBA_NUM_THREADS"] = "1"  # read when the library loads, just below; sets go side by side
    from pipeline.geometry.framing import framings  # noqa: PLC0415 - numpy is not in the base install
    from pipeline.geometry.silhouettes import ReconstructionError, silhouettes  # noqa: PLC0415

    try:
        pictures = _read(files)
        size = max(max(picture.shape[:2]) for picture in pictures.values())
        seen = silhouettes(pictures, size)
    except ReconstructionError as error:
        return (Remark(kind=NO_SILHOUETTE, message=error.found, mend=error.mend),)
    except PictureRefused as error:
        kind = NOT_COMPARED if error.kind == _CHANGED else error.kind
        return (Remark(kind=kind, message=str(error), mend=error.mend),)
    given = all(one.given for one in seen.values())
    return _remarks(framings({view: one.coverage for view, one in seen.items()}, given=given))


def _read(files: Mapping[View, tuple[str, str]]) -> "dict[View, NDArray[np.uint8]]":
    """As the engine reads them: (H, W, 4) each, no larger than it works on."""
    from pipeline.geometry.reconstruction import SIZE_MAX_PX  # noqa: PLC0415
    from pipeline.ports.images import read_rgba  # noqa: PLC0415

    return {
        view: read_rgba(_as_in_preflight(Path(path), sha256), Path(path).name, longest_px=SIZE_MAX_PX)
        for view, (path, sha256) in files.items()
    }


def _as_in_preflight(path: Path, sha256: str) -> bytes:
    """Raises PictureRefused of the kind ``changed`` where the file's bytes are not, or no longer, these."""
    try:
        data = read_picture_file(path)
    except PictureRefused as error:
        raise PictureRefused(str(error), mend=error.mend, kind=_CHANGED) from error
    if hashlib.sha256(data).hexdigest() != sha256:
        what = f"{path.name} has changed since it was looked at"
        raise PictureRefused(what, mend="let the pictures rest meanwhile", kind=_CHANGED)
    return data


def _remarks(found: "Framings") -> tuple[Remark, ...]:
    from pipeline.geometry.framing import findings  # noqa: PLC0415

    is_certain = found.ruined or not found.agreement  # where one view's rays meet nothing there is no solid at all
    kind = CONTRADICTION if is_certain else DISAGREEMENT
    views = found.doubt.views if found.doubt else ()
    return tuple(
        Remark(kind=kind, message=message, mend=mend, views=views) if mend else Remark(kind=FRAMING, message=message)
        for message, mend in findings(found)
    )
