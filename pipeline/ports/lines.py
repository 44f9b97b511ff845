"""Files of lines, read a piece at a time: a results manifest may have a hundred thousand."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path

from pipeline.ports.interfaces import Storage

_PIECE_BYTES = 1 << 20


async def lines_of(path: Path, *, storage: Storage) -> AsyncGenerator[bytes]:
    """The lines of a file without their ends; none of a file that is not there. As bytes: a text would be cut at U+2028
    as well.

    Raises:
        LocalIoError: it is there and cannot be read.
    """
    if (await storage.sizes([path]))[0] is None:
        return
    rest = b""
    async with aclosing(storage.pieces(path, _PIECE_BYTES)) as pieces:
        async for piece in pieces:
            *whole, rest = (rest + piece).split(b"\n")
            for line in whole:
                yield line
    if rest:
        yield rest
