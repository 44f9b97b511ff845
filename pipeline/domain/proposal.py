"""What a folder tree looks like to ``mvmesh init``, and the manifest that it proposes. Pure, no I/O."""

import glob
import json
import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pipeline.domain.grouping import Flat, group_flat, group_folder
from pipeline.domain.naming import portable_path
from pipeline.domain.views import View

PATTERNS = ("{set}_{view}", "{set}-{view}", "{set} {view}", "{set}.{view}", "{view}_{set}", "{view}-{set}")
_NAMES_SHOWN = 8

SCHEMA_FILE = "manifest.schema.json"
"""What the proposed manifest's first line points at: the JSON Schema, to be written beside it."""

Parts = tuple[str, ...]
"""The way of a folder below the tree's root; empty for the root itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """A manifest for a folder tree, and what was seen there."""

    text: str
    notes: tuple[str, ...]
    set_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """The folders of a tree, by what they seem to be."""

    sets: Mapping[Parts, Sequence[View]]
    flat: Mapping[Parts, tuple[str, Flat]]
    unclear: Sequence[Parts]
    """Pictures, but neither a set with a front view nor a flat folder of sets."""
    empty: Sequence[Parts]
    """Neither pictures nor folders."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    """One entry of ``sets`` to be."""

    comment: str
    parts: Parts
    exclude: tuple[str, ...] = ()
    pattern: str = ""


def propose_manifest(tree: Mapping[Parts, tuple[Sequence[str], bool]], *, root: Path, manifest: Path) -> Proposal:
    """A manifest for the image sets of a folder tree.

    Args:
        tree: for every folder, the names of its pictures and whether it holds folders.
        root: where the tree stands; absolute.
        manifest: where the proposal is to be written; its paths are relative to that folder; absolute.
    """
    seen = _look(tree, root.name)
    entries = [*_folder_entries(seen), *_flat_entries(seen)]
    count = len(seen.sets) + sum(len(flat.sets) for _, flat in seen.flat.values())
    text = _text(entries, root=root, folder=manifest.parent)
    return Proposal(text=text, notes=tuple(_notes(seen, count, root)), set_count=count)


def _look(tree: Mapping[Parts, tuple[Sequence[str], bool]], root_name: str) -> _Seen:
    sets: dict[Parts, Sequence[View]] = {}
    flat: dict[Parts, tuple[str, Flat]] = {}
    unclear, empty = [], []
    for parts, (pictures, has_folders) in sorted(tree.items()):
        if not pictures:
            empty += [] if has_folders else [parts]
        elif views := _set_views(pictures, parts[-1] if parts else root_name):
            sets[parts] = views
        elif found := _flat(pictures):
            flat[parts] = found
        else:
            unclear.append(parts)
    return _Seen(sets=sets, flat=flat, unclear=unclear, empty=empty)


def _set_views(pictures: Sequence[str], folder: str) -> Sequence[View]:
    """The views of a folder that holds one object; empty when it does not seem to."""
    grouped = group_folder(pictures, folder)
    return () if any(one.verdict == "refuse" for one in grouped.findings) else tuple(grouped.views)


def _flat(pictures: Sequence[str]) -> tuple[str, Flat] | None:
    """The pattern that most pictures of a flat folder follow, if it makes a set with a front view."""
    found = [(pattern, group_flat(pictures, pattern)) for pattern in PATTERNS]
    pattern, flat = min(found, key=lambda one: len(one[1].strays))
    return (pattern, flat) if any(View.FRONT in one.views for one in flat.sets.values()) else None


def _folder_entries(seen: _Seen) -> Iterable[_Entry]:
    """One glob for all sets' folders: at one depth as ``*``, at several as ``**``."""
    if not seen.sets:
        return
    if len(seen.sets) == 1:
        yield _Entry(comment="one folder with the views of one object", parts=next(iter(seen.sets)))
        return
    common = Path(os.path.commonpath([PurePosixPath("/", *parts[:-1]) for parts in seen.sets])).parts[1:]
    depths = {len(parts) - len(common) for parts in seen.sets}
    wanted = ("*",) * depths.pop() if len(depths) == 1 else ("**",)
    below = ("/".join(parts[len(common) :]) for parts in seen.empty if _is_matched(parts, common, wanted))
    yield _Entry(
        comment="every matching folder is one image set",
        parts=(*common, *wanted),
        exclude=tuple(glob.escape(path) for path in below),
    )


def _is_matched(parts: Parts, common: Parts, wanted: Parts) -> bool:
    return parts[: len(common)] == common and (wanted == ("**",) or len(parts) - len(common) == len(wanted))


def _flat_entries(seen: _Seen) -> Iterable[_Entry]:
    for parts, (pattern, _) in seen.flat.items():
        yield _Entry(comment="a flat folder: files are grouped into sets by name", parts=parts, pattern=pattern)


def _notes(seen: _Seen, count: int, root: Path) -> Iterable[str]:
    if count:
        yield f"{count:,} image {'set' if count == 1 else 'sets'}: {_counted(seen)}"
    for parts, (pattern, flat) in seen.flat.items():
        yield f"{_shown(parts, root)}: {len(flat.sets)} sets by {pattern}" + (
            f"; left out: {_listed(flat.strays)}" if flat.strays else ""
        )
    if seen.unclear:
        see = ", see mvmesh check" if count else ""
        yield f"pictures without a clear front view{see}: {_listed(_shown(parts, root) for parts in seen.unclear)}"
    if seen.empty:
        yield f"no pictures in: {_listed(_shown(parts, root) for parts in seen.empty)}"


def _shown(parts: Parts, root: Path) -> str:
    return "/".join(parts) or root.name or root.as_posix()


def _counted(seen: _Seen) -> str:
    views = Counter(view for found in seen.sets.values() for view in found)
    views.update(view for _, flat in seen.flat.values() for one in flat.sets.values() for view in one.views)
    return ", ".join(f"{view} {views[view]:,}" for view in View if views[view])


def _listed(names: Iterable[str]) -> str:
    names = list(names)
    more = len(names) - _NAMES_SHOWN
    return ", ".join(names[:_NAMES_SHOWN]) + (f" and {more:,} more" if more > 0 else "")


_HEAD = """\
# yaml-language-server: $schema=./{schema}
# By the line above an editor completes and explains this file. Anew: mvmesh schema > {schema}
version: 1
name: {name}

# local: on this machine, free. scenario: the paid service, with its key and secret in the environment.
backend: local

# Meshes and results; relative to this file, like every path here.
output: {output}

# Parameters of every mesh: faceCount 40000 to 1500000, generateType Normal or Geometry, enablePbr true or false.
defaults:
  faceCount: 500000

sets:
"""

_TAIL = """
# Creative units that one run may spend at most. Only a paid service asks for any.
# budget:
#   max_cu: 100
"""


def _text(entries: Sequence[_Entry], *, root: Path, folder: Path) -> str:
    name = portable_path(root.name.replace("@", "_") or "meshes").name
    name = name if len(name.encode()) <= 64 else "meshes"  # noqa: PLR2004 - the longest name that a manifest takes
    lines = [line for entry in entries for line in _entry_lines(entry, _relative(root, folder))]
    lines = lines or ["  # every matching folder is one image set", f"  - path: {_scalar('images/*')}"]
    head = _HEAD.format(schema=SCHEMA_FILE, name=_scalar(name), output=_scalar(f"out/{name}"))
    return head + "\n".join(lines) + "\n" + _TAIL


def _entry_lines(entry: _Entry, base: str) -> Iterable[str]:
    path = "/".join(part for part in (base if base != "." else "", *entry.parts) if part) or "."
    yield f"  # {entry.comment}"
    yield f"  - path: {_scalar(path)}"
    if entry.pattern:
        yield f"    pattern: {_scalar(entry.pattern)}"
    if entry.exclude:
        yield "    exclude:"
        yield from (f"      - {_scalar(one)}" for one in entry.exclude)


def _relative(root: Path, folder: Path) -> str:
    """The root as the manifest names it; absolute where no relative path leads there (another drive)."""
    try:
        return Path(os.path.relpath(root, folder)).as_posix()
    except ValueError:
        return root.as_posix()


def _scalar(text: str) -> str:
    """YAML that reads as this text: plain where that is safe, quoted elsewhere."""
    text = text.replace("${", "$${")
    plain = re.fullmatch(r"[A-Za-z./][\w./*-]*", text, re.ASCII) and text.lower() not in {"true", "false", "null"}
    return text if plain else json.dumps(text, ensure_ascii=False)
