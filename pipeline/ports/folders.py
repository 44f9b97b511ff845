"""Folders on disk: globs of folders, and what a folder holds. One ``scandir`` a folder, no ``stat`` a file."""

import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from pipeline.domain.errors import UsageError
from pipeline.domain.grouping import is_picture
from pipeline.domain.patterns import matcher

FOLDERS_MAX = 1_000_000
DEPTH_MAX = 64

_WILDCARD = re.compile(r"[*?\[]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """What one folder holds, hidden entries left out; names sorted."""

    path: str
    parts: tuple[str, ...]
    """Its way below the glob's fixed part; empty for the fixed part itself."""
    pictures: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    links: frozenset[str] = frozenset()
    """Those of ``folders`` that are symbolic links."""
    error: str = ""
    """Why it could not be read."""

    @property
    def name(self) -> str:
        return os.path.basename(self.path)  # noqa: PTH119 - as in _below


@dataclass(frozen=True, slots=True, kw_only=True)
class Glob:
    """A path whose later parts may hold wildcards."""

    fixed: Path
    parts: tuple[str, ...]

    @property
    def is_literal(self) -> bool:
        return not self.parts


def read_glob(path: Path) -> Glob:
    """Cut a path where its wildcards begin. A part that exists as it is written (``chair [old]``) is no wildcard."""
    fixed = Path(path.anchor)
    names = path.parts[1:] if path.anchor else path.parts
    for at, name in enumerate(names):
        if _WILDCARD.search(name) and not (fixed / name).is_dir():
            return Glob(fixed=fixed, parts=names[at:])
        fixed /= name
    return Glob(fixed=fixed, parts=())


def list_folder(path: str, parts: tuple[str, ...] = ()) -> Listing:
    """What a folder holds; an unreadable one says so in ``error``."""
    pictures, folders, links = [], [], set()
    try:
        with os.scandir(path) as entries:
            for entry in entries:
                if is_picture(entry.name) and _is_file(entry):
                    pictures.append(entry.name)
                elif not entry.name.startswith(".") and entry.is_dir():
                    folders.append(entry.name)
                    if entry.is_symlink():
                        links.add(entry.name)
    except OSError as error:
        return Listing(path=path, parts=parts, error=error.strerror or str(error))
    return Listing(
        path=path,
        parts=parts,
        pictures=tuple(sorted(pictures)),
        folders=tuple(sorted(folders)),
        links=frozenset(links),
    )


def _is_file(entry: os.DirEntry[str]) -> bool:
    """A file, a link to one, or a broken link: that one is for preflight to refuse by name."""
    return entry.is_file() or (entry.is_symlink() and not Path(entry.path).exists())


def matching_folders(
    glob: Glob, *, exclude: Sequence[str] = (), skip: frozenset[str] = frozenset()
) -> Iterator[Listing]:
    """The folders that a glob names, each once, in order.

    Hidden folders are skipped unless the glob names them so (``.*``). Links are followed, but never back into a folder
    they lie in.

    Args:
        glob: where to look.
        exclude: patterns of names, or of paths below the fixed part, that are not entered.
        skip: folders (absolute) that are not entered: our own output.

    Raises:
        UsageError: more folders than a manifest may name.
    """
    parts = _without_repeats(glob.parts)
    walk = _Walk(
        is_left_out=matcher(exclude),
        skip=frozenset(os.path.normcase(path) for path in skip),
        seen=set() if parts.count("**") > 1 else None,
        count=0,
    )
    if glob.fixed.is_dir():
        fixed = str(glob.fixed)
        yield from walk.match(fixed, (), parts, (os.path.realpath(fixed),))


def _without_repeats(parts: Sequence[str]) -> tuple[str, ...]:
    """``**/**`` means ``**``."""
    return tuple(part for at, part in enumerate(parts) if not (part == "**" and parts[at - 1 : at] == ("**",)))


@dataclass(slots=True, kw_only=True)
class _Walk:
    is_left_out: Callable[[str], bool]
    skip: frozenset[str]
    seen: set[str] | None
    """Paths of what was yielded, where there are several ways for the glob to come upon a folder: two ``**`` in it."""
    count: int

    def match(
        self, path: str, parts: tuple[str, ...], wanted: tuple[str, ...], trail: tuple[str, ...]
    ) -> Iterator[Listing]:
        """The folders below ``path`` that ``wanted`` names; ``trail``: the real paths from the fixed part to here."""
        if not wanted:
            if self._is_new(path):
                yield list_folder(path, parts)
            return
        listing = list_folder(path, parts)
        if listing.error:
            yield listing
            return
        head, rest = wanted[0], wanted[1:]
        if head == "**":
            yield from self._here(listing, rest, trail)
            fits, onward = matcher(["*"]), wanted
        else:
            fits, onward = matcher([head]), rest
        for name in self._names(listing, head):
            if fits(name) and (inner := self._entered(listing, name, trail)):
                yield from self.match(_below(path, name), (*parts, name), onward, inner)

    def _here(self, listing: Listing, rest: tuple[str, ...], trail: tuple[str, ...]) -> Iterator[Listing]:
        """``**`` standing for no folder at all."""
        if rest:
            yield from self.match(listing.path, listing.parts, rest, trail)
        elif self._is_new(listing.path):
            yield listing

    def _is_new(self, path: str) -> bool:
        if self.seen is None:
            return True
        before = len(self.seen)
        self.seen.add(path)
        return len(self.seen) > before

    def _names(self, listing: Listing, head: str) -> Sequence[str]:
        """The folder's folders, hidden ones only where the glob asks for them."""
        if not head.startswith("."):
            return listing.folders
        try:
            return sorted(entry.name for entry in os.scandir(listing.path) if entry.is_dir())
        except OSError:
            return ()

    def _entered(self, listing: Listing, name: str, trail: tuple[str, ...]) -> tuple[str, ...]:
        """The trail inside a folder; empty when it is not to be entered."""
        path = _below(listing.path, name)
        if self.is_left_out(name) or self.is_left_out("/".join((*listing.parts, name))):
            return ()
        if os.path.normcase(path) in self.skip or len(trail) > DEPTH_MAX:
            return ()
        self.count += 1
        if self.count > FOLDERS_MAX:
            raise UsageError(
                f"more than {FOLDERS_MAX:,} folders below {listing.path}", mend="name a folder further down, or exclude"
            )
        real = os.path.realpath(path) if name in listing.links else _below(trail[-1], name)
        return () if real in trail else (*trail, real)


def _below(folder: str, name: str) -> str:
    return os.path.join(folder, name)  # noqa: PTH118 - a Path for each of 100,000 folders costs seconds


def existing(folder: Path, names: Sequence[str]) -> list[str]:
    """Those of the names that are files in the folder."""
    return [name for name in names if (folder / name).is_file()]


def nearest_folder(path: PurePath) -> Path:
    """The path itself if it is a folder, or else the nearest one around it."""
    return next((Path(one) for one in (path, *path.parents) if Path(one).is_dir()), Path(path.anchor or "."))
