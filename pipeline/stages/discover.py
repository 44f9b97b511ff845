"""Discover: the manifest's folders become image sets. Nothing of the pictures is read yet.

A folder that an entry spells out belongs to that entry alone, whatever globs match it too: that is how one set among
many gets parameters of its own.
"""

import os
from bisect import bisect
from collections import defaultdict
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple

from anyio import to_thread

from pipeline.domain.errors import UsageError
from pipeline.domain.grouping import Grouped, group_flat, group_folder, group_mapped, stray
from pipeline.domain.items import Finding, ImageSet
from pipeline.domain.manifest import Manifest, SetEntry
from pipeline.domain.naming import identity
from pipeline.domain.patterns import matcher
from pipeline.ports.folders import (
    Glob,
    Listing,
    existing,
    list_folder,
    matching_folders,
    nearest_folder,
    read_glob,
)

PROBLEMS_SHOWN = 50
SETS_A_CHUNK = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    """One entry of ``sets``, its path cut where its wildcards begin."""

    said: SetEntry
    where: str
    """``props.yaml:12:5: sets[0].path``."""
    path: Path
    glob: Glob


class _Named(NamedTuple):
    """What is kept of a set to tell what is wrong with its name."""

    set_id: str
    folder: Path


async def discover(manifest: Manifest) -> list[ImageSet]:
    """All image sets of a manifest, the refused ones with their findings; in the order of its entries, then by path.

    Raises:
        UsageError: a path matches nothing, a folder is matched twice, two sets would share an id; all of it at once.
    """
    return [one async for some in discovered(manifest) for one in some]


async def discovered(manifest: Manifest, *, chunk: int = SETS_A_CHUNK) -> AsyncGenerator[list[ImageSet]]:
    """``discover`` while the folders are walked: up to ``chunk`` sets at a time, none of which is kept here.

    Raises:
        UsageError: as ``discover``: before the first set if a path matches no folder, else before a set that clashes
            with an earlier one, or at the end of an entry that brings none.
    """
    sets = _walked(manifest)
    while some := await to_thread.run_sync(_next, sets, chunk):
        yield some


async def refuse_problems(manifest: Manifest) -> None:
    """Look at all folders for what is wrong with them, before anything is begun.

    Raises:
        UsageError: as ``discover``.
    """
    await to_thread.run_sync(_refuse_problems, manifest)


def _next(sets: Iterator[ImageSet], count: int) -> list[ImageSet]:
    return list(islice(sets, count))


class _Seen:
    """Whether a text was there before, by its 64-bit hash: a hundred thousand sets take a few megabytes."""

    def __init__(self) -> None:
        self._hashes: set[int] = set()

    def again(self, text: str) -> bool:
        before = len(self._hashes)
        self._hashes.add(hash(text))
        return len(self._hashes) == before


def _walked(manifest: Manifest) -> Iterator[ImageSet]:
    """The sets one by one, until something is wrong: what that is, is found by looking at all of them again."""
    walks = [(entry, _begun(entry, listings)) for entry, listings in _walks(manifest)]
    if not all(listings for _, listings in walks):
        _refuse_problems(manifest)
    ids, folders = _Seen(), _Seen()
    for entry, listings in walks:
        count = 0
        for listing in listings:
            if len(walks) > 1 and folders.again(os.path.normcase(listing.path)):
                _refuse_problems(manifest)
            for one in _sets_of(entry, listing):
                count += 1
                if ids.again(identity(one.set_id)):
                    _refuse_problems(manifest)
                yield one
        if count == 0:
            _refuse_problems(manifest)


def _begun(entry: _Entry, listings: Iterator[Listing]) -> Iterable[Listing]:
    """The same, looked into just so far that it is known to have any; empty if not."""
    if entry.glob.is_literal:
        return listings if entry.path.is_dir() else ()
    first = next(listings, None)
    return chain([first], listings) if first else ()


def _walks(manifest: Manifest) -> list[tuple[_Entry, Iterator[Listing]]]:
    entries = [_entry(manifest, at, said) for at, said in enumerate(manifest.sets)]
    spelled_out = {str(entry.path) for entry in entries if entry.glob.is_literal}
    own = frozenset({str(manifest.output_folder), str(manifest.state_folder)})
    return [(entry, _listings(entry, spelled_out, own)) for entry in entries]


def _refuse_problems(manifest: Manifest) -> None:
    """Walk all folders for what is wrong with them; nothing may be, should two hashes have been alike.

    Raises:
        UsageError: all of it.
    """
    found: list[_Named] = []
    problems: list[str] = []
    owners: dict[str, _Entry] = {}
    for entry, listings in _walks(manifest):
        named: list[_Named] = []
        barren: list[Listing] = []
        twice: list[str] = []
        for listing in listings:
            if owners.setdefault(os.path.normcase(listing.path), entry) is not entry:
                twice.append(listing.path)
            sets = [_Named(one.set_id, one.folder) for one in _sets_of(entry, listing)]
            named += sets
            barren += [] if sets else [listing]
        problems += [*_matched_twice(entry, twice, owners), *_several_for_one_id(entry, named)]
        problems += [] if named else [_empty_handed(entry, barren)]
        found += named
    problems += _shared_ids(found)
    if problems:
        raise _all_wrong(problems)


def _entry(manifest: Manifest, at: int, said: SetEntry) -> _Entry:
    path = manifest.resolve(said.path)
    return _Entry(said=said, where=manifest.where("sets", at, "path"), path=path, glob=read_glob(path))


def _listings(entry: _Entry, spelled_out: set[str], own: frozenset[str]) -> Iterator[Listing]:
    if entry.glob.is_literal:
        if entry.path.is_dir():
            yield list_folder(str(entry.path))
        return
    for listing in matching_folders(entry.glob, exclude=entry.said.exclude, skip=own):
        if listing.path not in spelled_out:
            yield listing


def _sets_of(entry: _Entry, listing: Listing) -> Iterator[ImageSet]:
    """The sets in one matched folder: none in a folder of folders, one in a set's folder, many in a flat one."""
    if listing.error:
        yield _made(entry, listing, _set_id(entry, listing), _unreadable(listing))
    elif entry.said.pattern:
        yield from _flat_sets(entry, listing)
    elif listing.pictures or entry.said.views or not listing.folders:
        yield _made(entry, listing, _set_id(entry, listing), _grouped(entry, listing))


def _set_id(entry: _Entry, listing: Listing) -> str:
    """The path below the glob's fixed part, verbatim; the folder's own name where that is empty."""
    return entry.said.id or "/".join(listing.parts) or listing.name


def _grouped(entry: _Entry, listing: Listing) -> Grouped:
    mapping = entry.said.views
    if mapping is None:
        return group_folder(listing.pictures, listing.name)
    return group_mapped([*listing.pictures, *existing(Path(listing.path), list(mapping.values()))], mapping)


def _unreadable(listing: Listing) -> Grouped:
    finding = Finding(
        kind="unreadable-folder",
        verdict="refuse",
        message=f"the folder {listing.path} cannot be read: {listing.error}",
        mend="give this user the right to read it, or leave it out with exclude",
    )
    return Grouped(views={}, findings=(finding,))


def _flat_sets(entry: _Entry, listing: Listing) -> Iterator[ImageSet]:
    pattern = entry.said.pattern or ""
    is_excluded = matcher(entry.said.exclude)
    flat = group_flat([name for name in listing.pictures if not is_excluded(name)], pattern)
    names = [name for name in flat.sets if not is_excluded(name)]
    strays = _near(flat.strays, names)
    for name in names:
        grouped = flat.sets[name]
        left_out = tuple(stray(picture, pattern) for picture in strays[name])
        set_id = "/".join((*listing.parts, name))
        yield _made(entry, listing, set_id, replace(grouped, findings=grouped.findings + left_out))


def _near(strays: Iterable[str], names: list[str]) -> Mapping[str, list[str]]:
    """A picture that fits no set is told with the one whose (sorted) name comes just before its own."""
    near = defaultdict(list)
    for picture in strays if names else ():
        near[names[max(bisect(names, picture) - 1, 0)]].append(picture)
    return near


def _made(entry: _Entry, listing: Listing, set_id: str, grouped: Grouped) -> ImageSet:
    folder = Path(listing.path)
    if not set_id.isprintable():
        grouped = replace(grouped, findings=(*grouped.findings, _unprintable(set_id)))
        set_id = set_id.encode("unicode_escape").decode()
    if odd := next((one for one in (listing.path, *grouped.views.values()) if _legible(one) != one), ""):
        grouped = Grouped(views={}, findings=(*grouped.findings, _undecodable(odd)))
    return ImageSet(
        set_id=set_id,
        folder=folder,
        views={view: folder / name for view, name in grouped.views.items()},
        params=entry.said.params,
        copies=entry.said.copies,
        consistency=entry.said.consistency,
        findings=tuple(_placed(one, folder) for one in grouped.findings),
    )


def _placed(finding: Finding, folder: Path) -> Finding:
    file = folder / finding.file if finding.file else None
    return replace(finding, file=file, message=_legible(finding.message), mend=_legible(finding.mend))


def _legible(text: str) -> str:
    """Without the bytes of a file name that are no UTF-8: neither the ledger nor the results can hold them."""
    return text if text.isascii() else text.encode(errors="backslashreplace").decode()


def _undecodable(name: str) -> Finding:
    return Finding(
        kind="unprintable-name",
        verdict="refuse",
        message=f"the name {_legible(name)!r} is not UTF-8",
        mend="rename it",
    )


def _unprintable(set_id: str) -> Finding:
    return Finding(
        kind="unprintable-name",
        verdict="refuse",
        message=f"the name {set_id.encode('unicode_escape').decode()!r} holds characters that cannot be printed",
        mend="rename the folder, or list it by itself with an id",
    )


def _empty_handed(entry: _Entry, barren: Sequence[Listing]) -> str:
    """Why an entry brings no set at all, and what may have been meant."""
    said = entry.said.path
    if entry.said.pattern and barren:
        seen = [name for listing in barren for name in listing.pictures][:3]
        found = f"found {', '.join(seen)}" if seen else "there are no pictures"
        return f"{entry.where}: no picture in {said!r} follows {entry.said.pattern!r}: {found}"
    if barren:
        inner = ", ".join(barren[0].folders[:3])
        return (
            f"{entry.where}: {said!r} holds folders alone ({inner}), expected folders with pictures; "
            f"did you mean {said.rstrip('/') + '/*'!r}?"
        )
    if entry.path.is_file():
        return f"{entry.where}: {said!r} is a file, expected a folder with the views of one object"
    return f"{entry.where}: {said!r} matches no folder; {_nearest(entry)}"


def _nearest(entry: _Entry) -> str:
    around = nearest_folder(entry.path if entry.glob.is_literal else entry.glob.fixed)
    below = entry.path.relative_to(around).parts
    near = get_close_matches(below[0], list_folder(str(around)).folders, n=1) if below else []
    if near:
        return f"did you mean {str(Path(around, near[0], *below[1:]))!r}?"
    return f"the nearest folder there is: {str(around)!r}"


def _matched_twice(entry: _Entry, twice: Sequence[str], owners: Mapping[str, _Entry]) -> Iterator[str]:
    """Folders that an earlier entry has matched: which parameters would count?"""
    if twice:
        first = owners[os.path.normcase(twice[0])]
        more = f" and {len(twice) - 1:,} more" if len(twice) > 1 else ""
        yield (
            f"{entry.where}: {twice[0]!r}{more} is matched already by {first.where}; exclude it there, or name it once"
        )


def _several_for_one_id(entry: _Entry, found: list[_Named]) -> Iterator[str]:
    if entry.said.id and len(found) > 1:
        yield (
            f"{entry.where}: matches {len(found)} folders ({found[0].folder.name}, {found[1].folder.name}, ...), "
            f"expected one for the id {entry.said.id!r}"
        )


def _shared_ids(sets: Iterable[_Named]) -> Iterator[str]:
    """Ids that some file system would take for one."""
    seen: dict[str, _Named] = {}
    for one in sets:
        other = seen.setdefault(identity(one.set_id), one)
        if other != one:
            yield (
                f"two sets would be called {other.set_id!r} and {one.set_id!r}, which not every file system tells "
                f"apart: {other.folder} and {one.folder}; rename one, or list it by itself with an id"
            )


def _all_wrong(problems: list[str]) -> UsageError:
    more = len(problems) - PROBLEMS_SHOWN
    return UsageError(
        "the folders are not as the manifest says",
        mend="mend the paths of the manifest's sets; mvmesh check shows what they match",
        problems=[*problems[:PROBLEMS_SHOWN], f"and {more:,} more"] if more > 0 else problems,
    )
