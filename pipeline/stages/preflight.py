"""Judge the pictures of image sets before anything is paid for: many sets at a time, so that a hundred thousand small
ones cost no hundred thousand times the way to a thread and to the ledger.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from os import sep
from pathlib import Path

from anyio import to_thread

from pipeline.domain.errors import PictureRefused
from pipeline.domain.items import CheckedSet, Finding, ImageSet, Picture
from pipeline.domain.views import View
from pipeline.ports.interfaces import Images, Ledger, Stamp

ASPECT_TOLERANCE = 1.05
"""Pictures of one set whose width-to-height ratios differ by less are taken as of one shape."""

_VIEWS = tuple(View)

_Outcome = Picture | PictureRefused


async def preflight(image_set: ImageSet, *, images: Images, ledger: Ledger | None) -> CheckedSet:
    """``preflight_all`` of one set."""
    (checked,) = await preflight_all([image_set], images=images, ledger=ledger)
    return checked


async def preflight_all(sets: Sequence[ImageSet], *, images: Images, ledger: Ledger | None) -> list[CheckedSet]:
    """Probe every picture of some hundred sets at most; what was probed before and is unchanged is not read again.

    Nothing is raised for a bad picture: it becomes a finding that refuses its set, whichever view it is. A set is never
    sent with fewer views than its folder has; the person mends or removes the picture.

    Returns:
        The sets in their order.
    """
    paths = list({str(path): path for one in sets for path in one.views.values()}.values())
    found = await (images.probe_all(paths) if ledger is None else _probed(paths, images=images, ledger=ledger))
    outcomes = {str(path): outcome for path, outcome in zip(paths, found, strict=True)}
    return [_checked(one, outcomes) for one in sets]


async def _probed(paths: Sequence[Path], *, images: Images, ledger: Ledger) -> list[_Outcome]:
    """What the ledger knows of each picture, or what its probe finds."""
    stamps = await to_thread.run_sync(_stamps, paths)
    known = iter(await ledger.pictures([one for one in stamps if one]))
    found: list[_Outcome | None] = [next(known) if stamp else None for stamp in stamps]
    new = [at for at, outcome in enumerate(found) if outcome is None]
    if new:
        probed = await images.probe_all([paths[at] for at in new])
        await _remember([(outcome, stamps[at]) for at, outcome in zip(new, probed, strict=True)], ledger)
        for at, outcome in zip(new, probed, strict=True):
            found[at] = outcome
    return [one for one in found if one is not None]


def _stamps(paths: Sequence[Path]) -> list[Stamp | None]:
    return [_stamp(path) for path in paths]


def _stamp(path: Path) -> Stamp | None:
    """Taken before the picture is read, so that a change in between makes it stale. None: let the probe say why."""
    try:
        facts = path.stat()
    except (OSError, ValueError):
        return None
    return Stamp(path, facts.st_size, facts.st_mtime_ns, facts.st_ino)


async def _remember(probed: Sequence[tuple[_Outcome, Stamp | None]], ledger: Ledger) -> None:
    """All but refusals, and files that were changing while they were read."""
    lasting = [
        (outcome, stamp)
        for outcome, stamp in probed
        if stamp and isinstance(outcome, Picture) and outcome.size_bytes == stamp.size_bytes
    ]
    if lasting:
        await ledger.record_pictures(lasting)


def _checked(image_set: ImageSet, outcomes: Mapping[str, _Outcome]) -> CheckedSet:
    pictures: dict[View, Picture] = {}
    refusals: list[Finding] = []
    for view in _VIEWS:
        if path := image_set.views.get(view):
            outcome = outcomes[str(path)]
            if isinstance(outcome, Picture):
                pictures[view] = outcome
            else:
                refusals.append(_refusal(view, path, outcome))
    findings = (
        *image_set.findings,
        *refusals,
        *_conversions(pictures),
        *_same_pictures(pictures),
        *_different_shapes(pictures),
    )
    named = tuple(_seen_from_the_set(one, image_set.folder) for one in findings)
    return CheckedSet(image_set=image_set, pictures=pictures, findings=named)


def _seen_from_the_set(finding: Finding, folder: Path) -> Finding:
    """The set's id stands beside every message, so files are named from its folder on; results may leave here."""
    return replace(finding, message=finding.message.replace(f"{folder}{sep}", ""))


def _refusal(view: View, path: Path, error: PictureRefused) -> Finding:
    return Finding(kind=error.kind, verdict="refuse", message=str(error), mend=error.mend, view=view, file=path)


def _conversions(pictures: Mapping[View, Picture]) -> Iterator[Finding]:
    for view, picture in pictures.items():
        if picture.changes:
            message = f"{picture.path}: {', '.join(picture.changes)}"
            yield Finding(kind="converted", verdict="ok", message=message, view=view, file=picture.path)


def _same_pictures(pictures: Mapping[View, Picture]) -> Iterator[Finding]:
    if len({picture.sha256 for picture in pictures.values()}) == len(pictures):
        return
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
