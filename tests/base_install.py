"""What a base install of mvmesh is made of: its declared dependencies and theirs, without extras."""

from collections.abc import Iterator
from importlib.metadata import Distribution, PackagePath, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import pipeline

PACKAGE = Path(str(pipeline.__file__)).parent
"""Where mvmesh is installed for development, its files are the checkout's, and none of its distribution's."""
CACHE = "__pycache__"


def closure(name: str) -> list[Distribution]:
    """A distribution and all that it needs on this machine, extras left out unless they are asked for."""
    found: dict[str, Distribution] = {}
    waiting = [Requirement(name)]
    while waiting:
        wanted = waiting.pop()
        known_as = canonicalize_name(wanted.name)
        if known_as not in found or wanted.extras:
            found[known_as] = distribution(wanted.name)
            waiting += _needs(found[known_as], wanted.extras)
    return list(found.values())


def installed_files(name: str) -> Iterator[PackagePath]:
    """What pip would put into site-packages, without compiled byte code."""
    for one in closure(name):
        for file in one.files or ():
            if ".." not in file.parts and CACHE not in file.parts:
                yield file


def package_files() -> Iterator[Path]:
    """Our own package's files."""
    return (path for path in PACKAGE.rglob("*") if path.is_file() and CACHE not in path.parts)


def size_bytes() -> int:
    """Of the base install, without compiled byte code."""
    others = sum(Path(str(file.locate())).stat().st_size for file in installed_files("mvmesh"))
    return others + sum(path.stat().st_size for path in package_files())


def _needs(needy: Distribution, extras: set[str]) -> Iterator[Requirement]:
    for text in needy.requires or ():
        needed = Requirement(text)
        if needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in ("", *extras)):
            yield needed
