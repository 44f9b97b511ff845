"""Judge the pictures of one image set before anything is paid for."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace
from os import sep, stat_result
from pathlib import Path

import anyio

from pipeline.domain.errors import PictureRefused
from pipeline.domain.items import CheckedSet, Finding, ImageSet, Picture
from pipeline.domain.views import View
from pipeline.ports.interfaces import Images, Ledger

ASPECT_TOLERANCE = 1.05
"""Pictures of one set whose width-to-height ratios differ by less are taken as of one shape."""


async def preflight(image_set: ImageSet, *, images: Images, ledger: Ledger | None) -> CheckedSet:
    """Probe every picture of a set; what was probed before and is unchanged is not read again.

    Nothing is raised for a bad picture: it becomes a finding that refuses the set, whichever view it is. A set is never
    sent with fewer views than its folder has; the person mends or removes the picture.
    """
    pictures: dict[View, Picture] = {}
    refusals: dict[View, Finding] = {}

    async def judge(view: View, path: Path) -> None:
        try:
            pictures[view] = await _probed(path, images=images, ledger=ledger)
        except PictureRefused as error:
            refusals[view] = _refusal(view, path, error)

    async with anyio.create_task_group() as views:
        for view, path in image_set.views.items():
            views.start_soon(judge, view, path)

    ordered = {view: pictures[view] for view in View if view in pictures}
    findings = (
        *image_set.findings,
        *(refusals[view] for view in View if view in refusals),
        *_conversions(ordered),
        *_same_pictures(ordered),
        *_different_shapes(ordered),
    )
    named = tuple(_seen_from_the_set(one, image_set.folder) for one in findings)
    return CheckedSet(image_set=image_set, pictures=ordered, findings=named)


def _seen_from_the_set(finding: Finding, folder: Path) -> Finding:
    """The set's id stands beside every message, so files are named from its folder on; results may leave here."""
    return replace(finding, message=finding.message.replace(f"{folder}{sep}", ""))


async def _probed(path: Path, *, images: Images, ledger: Ledger | None) -> Picture:
    stamp = _stamp(path)
    if ledger is None or stamp is None:
        return await images.probe(path)
    known = await ledger.picture(path, size_bytes=stamp.st_size, mtime_ns=stamp.st_mtime_ns, inode=stamp.st_ino)
    if known is not None:
        return known
    picture = await images.probe(path)
    if picture.size_bytes == stamp.st_size:
        await ledger.record_picture(picture, mtime_ns=stamp.st_mtime_ns, inode=stamp.st_ino)
    return picture


def _stamp(path: Path) -> stat_result | None:
    """Taken before the picture is read, so that a change in between makes it stale. None: let the probe say why."""
    try:
        return path.stat()
    except (OSError, ValueError):
        return None


def _refusal(view: View, path: Path, error: PictureRefused) -> Finding:
    return Finding(kind=error.kind, verdict="refuse", message=str(error), mend=error.mend, view=view, file=path)


def _conversions(pictures: Mapping[View, Picture]) -> Iterator[Finding]:
    for view, picture in pictures.items():
        if picture.changes:
            message = f"{picture.path}: {', '.join(picture.changes)}"
            yield Finding(kind="converted", verdict="ok", message=message, view=view, file=picture.path)


def _same_pictures(pictures: Mapping[View, Picture]) -> Iterator[Finding]:
    by_content: dict[str, list[View]] = defaultdict(list)
    for view, picture in pictures.items():
        by_content[picture.sha256].append(view)
    for views in by_content.values():
        if len(views) > 1:
            files = ", ".join(f"{view} ({pictures[view].path})" for view in views)
            yield Finding(
                kind="same-picture",
                verdict="warn",
                message=f"one and the same picture is used for {len(views)} views: {files}; expected one for each",
                mend="export the views again; leave out a view rather than repeat another",
                view=views[-1],
                file=pictures[views[-1]].path,
            )


def _different_shapes(pictures: Mapping[View, Picture]) -> Iterator[Finding]:
    """Views of one object that were drawn with one camera have one shape of frame."""
    aspects = {view: picture.width / picture.height for view, picture in pictures.items()}
    if not aspects or max(aspects.values()) < min(aspects.values()) * ASPECT_TOLERANCE:
        return
    shapes = ", ".join(f"{view} {pictures[view].width} x {pictures[view].height}" for view in aspects)
    yield Finding(
        kind="aspect-differs",
        verdict="warn",
        message=f"the pictures differ in shape: {shapes} px; expected one ratio of width to height",
        mend="render all views with the same frame; pictures cropped one by one lose their common scale",
    )
