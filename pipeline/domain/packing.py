"""Pictures packed: what a plan keeps of a hundred thousand sets must be small."""

import struct
from collections.abc import Iterator, Mapping
from os.path import sep
from pathlib import Path

from pipeline.domain.items import Picture
from pipeline.domain.views import View

_FACTS = struct.Struct("<32sQII")
"""SHA-256, size in bytes, width and height in pixels."""

_ELSEWHERE = "\0"
"""No path has it."""

_Shape = tuple[tuple[View, ...], tuple[str, ...], tuple[str, ...], tuple[tuple[str, ...], ...]]


class PackedPictures(Mapping[View, Picture]):
    """The pictures of one set as a mapping; each ``Picture`` is made when it is asked for.

    About 400 bytes a set of four views, where the pictures themselves take two thousand.
    """

    __slots__ = ("_facts", "_folder", "_shape")

    def __init__(self, folder: str, shape: _Shape, facts: bytes) -> None:
        """As ``Packing.packed`` makes it."""
        self._folder = folder
        self._shape = shape
        self._facts = facts

    def __getitem__(self, view: View) -> Picture:
        views, names, types, changes = self._shape
        try:
            at = views.index(view)
        except ValueError:
            raise KeyError(view) from None
        digest, size_bytes, width, height = _FACTS.unpack_from(self._facts, at * _FACTS.size)
        return Picture(
            path=Path(self._folder, names[at]) if names[at][:1] != _ELSEWHERE else Path(names[at][1:]),
            sha256=digest.hex(),
            size_bytes=size_bytes,
            media_type=types[at],
            width=width,
            height=height,
            changes=changes[at],
        )

    def __iter__(self) -> Iterator[View]:
        return iter(self._shape[0])

    def __len__(self) -> int:
        return len(self._shape[0])

    def __contains__(self, view: object) -> bool:
        return view in self._shape[0]

    def digests(self) -> dict[View, str]:
        """SHA-256 of each picture's bytes."""
        return {view: self._facts[at * _FACTS.size :][:32].hex() for at, view in enumerate(self)}


class Packing:
    """Packs the pictures of sets; what many of them have in common (names, media types) is kept once."""

    def __init__(self) -> None:
        self._shapes: dict[_Shape, _Shape] = {}

    def packed(self, pictures: Mapping[View, Picture], folder: Path) -> PackedPictures:
        """``folder`` is where they lie; a picture elsewhere keeps its whole path."""
        found, place = pictures.values(), str(folder)
        shape = (
            tuple(pictures),
            tuple(_below(place, str(one.path)) for one in found),
            tuple(one.media_type for one in found),
            tuple(one.changes for one in found),
        )
        facts = b"".join(_FACTS.pack(bytes.fromhex(one.sha256), one.size_bytes, one.width, one.height) for one in found)
        return PackedPictures(place, self._shapes.setdefault(shape, shape), facts)


def _below(folder: str, path: str) -> str:
    """The name of what lies in the folder itself; any other path as it is, marked so."""
    place, _, name = path.rpartition(sep)
    return name if place == folder else _ELSEWHERE + path
