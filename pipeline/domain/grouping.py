"""From file names to image sets: which file is which view, and what is wrong with a folder. Pure, no I/O."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path, PurePath

from pipeline.domain.items import Finding
from pipeline.domain.views import View, is_view_name, recognise_alike, recognise_all

PICTURE_SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".avif", ".heic", ".heif", ".bmp", ".gif"}
)
"""What counts as a picture when folders are read; preflight then looks inside."""

_NAMES_SHOWN = 6
_HOW_RECOGNISED = (
    "name each file by its view (front.png, chair_left.jpg, back view.webp, 045.png), or say which file is which with "
    "views: {front: FILE} in the manifest"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Grouped:
    """The views of one set by file name, and what stands against it; the findings' files are names too."""

    views: Mapping[View, str]
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Flat:
    """The sets of a flat folder by name, and the pictures that fit none."""

    sets: Mapping[str, Grouped] = field(default_factory=dict)
    strays: tuple[str, ...] = ()


def is_picture(file_name: str) -> bool:
    """By its suffix; hidden files (``.DS_Store``, ``._front.png``) are none."""
    begin = file_name.rfind(".")
    return begin > 0 and file_name[begin:].lower() in PICTURE_SUFFIXES and file_name[0] != "."


def group_folder(pictures: Sequence[str], folder: str) -> Grouped:
    """The views of a folder that holds one object, by its files' names."""
    if not pictures:
        message = f"the folder {folder!r} holds no pictures"
        return Grouped(
            views={}, findings=(Finding(kind="no-pictures", verdict="refuse", message=message, mend=_EMPTY),)
        )
    return _grouped_alike(tuple(pictures)) or _grouped(recognise_all(pictures, folder))


@lru_cache(maxsize=1024)
def _grouped_alike(pictures: tuple[str, ...]) -> Grouped | None:
    """Of names that can be read without the folder's, and are often the same from folder to folder."""
    alike = recognise_alike(pictures)
    return _grouped(alike) if alike else None


def _grouped(views: Mapping[str, View | None]) -> Grouped:
    by_view: dict[View, list[str]] = defaultdict(list)
    unclear = []
    for name, view in views.items():
        if view is None:
            unclear.append(name)
        else:
            by_view[view].append(name)
    return _judged(by_view, unclear)


_EMPTY = "put the pictures of its views there, or leave the folder out with exclude"


def group_mapped(files: Collection[str], mapping: Mapping[View, str]) -> Grouped:
    """The views that the manifest names file by file.

    Args:
        files: the names that exist in the set's folder, at least those of ``mapping`` that do.
        mapping: a file name for each view.
    """
    by_form = {unicodedata.normalize("NFC", name): name for name in files}
    views = {}
    findings = []
    for view, name in mapping.items():
        if found := by_form.get(unicodedata.normalize("NFC", name)):
            views[view] = found
        else:
            findings.append(_missing(view, name, files))
    return Grouped(views=views, findings=tuple(findings))


def _missing(view: View, name: str, files: Collection[str]) -> Finding:
    near = get_close_matches(name.casefold(), [one.casefold() for one in files], n=1)
    nearest = next((one for one in files if near and one.casefold() == near[0]), "")
    mend = f"did you mean {nearest}?" if nearest else f"the folder holds {_listed(files) or 'no pictures'}"
    return Finding(
        kind="missing-file", verdict="refuse", message=f"there is no file {name!r} for {view}", mend=mend, view=view
    )


def group_flat(pictures: Sequence[str], pattern: str) -> Flat:
    """The sets of a flat folder whose file names follow ``pattern``, such as ``{set}_{view}``.

    Where a name can be cut in several ways (``shoe_left_front``), the set that other names speak of clearly decides,
    then the longest name of a view.
    """
    cuts = {name: _cuts(PurePath(name).stem, pattern) for name in pictures}
    known = {found[0][0] for found in cuts.values() if len(found) == 1}
    by_set: dict[str, dict[View, list[str]]] = defaultdict(lambda: defaultdict(list))
    for name, found in cuts.items():
        if found:
            set_name, view = next((cut for cut in found if cut[0] in known), found[0])
            by_set[set_name][view].append(name)
    strays = tuple(name for name, found in cuts.items() if not found)
    return Flat(sets={name: _judged(views, ()) for name, views in sorted(by_set.items())}, strays=strays)


def _cuts(stem: str, pattern: str) -> list[tuple[str, View]]:
    """All ways to cut a stem into set and view, those with the longest names of views first."""
    before, between, after, set_first = _frame(pattern)
    if not (stem.startswith(before) and stem.endswith(after) and len(stem) > len(before) + len(after)):
        return []
    inner = stem[len(before) : len(stem) - len(after)]
    found = []
    for at in (match.start() for match in re.finditer(f"(?={re.escape(between)})", inner)):
        first, second = inner[:at], inner[at + len(between) :]
        set_name, view_name = (first, second) if set_first else (second, first)
        if set_name and (view := is_view_name(view_name)):
            found.append((len(view_name), set_name, view))
    return [(set_name, view) for _, set_name, view in sorted(found, key=lambda cut: (-cut[0], cut[1]))]


def _frame(pattern: str) -> tuple[str, str, str, bool]:
    """The pattern's text before, between and after its two names, and whether the set comes first."""
    before, first, between, _, after = re.split(r"\{(set|view)\}", pattern)
    return before, between, after, first == "set"


def stray(name: str, pattern: str) -> Finding:
    """A picture in a flat folder that belongs to no set."""
    return Finding(
        kind="unrecognised",
        verdict="warn",
        message=f"{name} does not follow {pattern}; it is left out",
        mend=f"rename it, or leave it out with exclude: [{name}]",
        file=Path(name),
    )


def _judged(by_view: Mapping[View, Sequence[str]], unclear: Sequence[str]) -> Grouped:
    """What the recognised names make: views with one file each, and findings for all else."""
    views = {view: by_view[view][0] for view in View if len(by_view.get(view, ())) == 1}
    findings = [_two_candidates(view, by_view[view]) for view in View if len(by_view.get(view, ())) > 1]
    if View.FRONT not in by_view:
        findings.append(_no_front(views, unclear))
    findings += [_unrecognised(name) for name in unclear]
    return Grouped(views=views, findings=tuple(findings))


def _two_candidates(view: View, names: Sequence[str]) -> Finding:
    return Finding(
        kind="two-candidates",
        verdict="refuse",
        message=f"{len(names)} files could be {view}: {_listed(names)}",
        mend=f"keep one of them, or say which it is with views: {{{view}: {names[0]}}} in the manifest",
        view=view,
        file=Path(names[0]),
    )


def _no_front(views: Mapping[View, str], unclear: Sequence[str]) -> Finding:
    found = [f"{view} ({name})" for view, name in views.items()]
    said = f"found {', '.join(found)}" if found else "no picture was recognised as a view"
    other = f"; not recognised: {_listed(unclear)}" if unclear else ""
    return Finding(
        kind="no-front",
        verdict="refuse",
        message=f"no front view: {said}{other}",
        mend=_HOW_RECOGNISED,
        view=View.FRONT,
    )


def _unrecognised(name: str) -> Finding:
    return Finding(
        kind="unrecognised",
        verdict="warn",
        message=f"{name} speaks of no single view; it is left out",
        mend=_HOW_RECOGNISED,
        file=Path(name),
    )


def _listed(names: Iterable[str]) -> str:
    names = sorted(names)
    more = len(names) - _NAMES_SHOWN
    return ", ".join(names[:_NAMES_SHOWN]) + (f" and {more} more" if more > 0 else "")
