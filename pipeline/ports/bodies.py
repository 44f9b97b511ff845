"""Bodies of requests that are made while they are sent: of a picture of megabytes no second copy is held."""

from binascii import b2a_base64
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from functools import partial
from math import ceil

PIECE_BYTES = 192 * 1024
"""Base64 takes three bytes at a time: what it makes of pieces of such a length it would make of the whole."""


@dataclass(frozen=True, slots=True)
class Streamed:
    """A body of a known size, made in pieces, and made anew whenever it is sent."""

    size_bytes: int
    pieces: Callable[[], Iterator[bytes | memoryview]]

    async def __aiter__(self) -> AsyncIterator[bytes | memoryview]:
        for piece in self.pieces():
            yield piece


def streamed(data: bytes | memoryview) -> Streamed:
    """The bytes as they are."""
    return Streamed(len(data), partial(_cut, memoryview(data)))


def in_base64(before: bytes, data: bytes, after: bytes) -> bytes | Streamed:
    """The data in base64 between two pieces of text; what is small in one piece, which leaves with its headers."""
    if len(data) <= PIECE_BYTES:
        return b"".join((before, b2a_base64(data, newline=False), after))

    def pieces() -> Iterator[bytes]:
        yield before
        for piece in _cut(memoryview(data)):
            yield b2a_base64(piece, newline=False)
        yield after

    return Streamed(len(before) + 4 * ceil(len(data) / 3) + len(after), pieces)


def _cut(data: memoryview) -> Iterator[memoryview]:
    return (data[at : at + PIECE_BYTES] for at in range(0, len(data), PIECE_BYTES))
