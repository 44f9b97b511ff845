import base64
import os

import pytest

from pipeline.ports.bodies import PIECE_BYTES, Streamed, in_base64, streamed

pytestmark = pytest.mark.anyio


async def sent(body: Streamed) -> list[bytes]:
    return [bytes(piece) async for piece in body]


@pytest.mark.parametrize("size", [PIECE_BYTES + 1, PIECE_BYTES * 2 - 1, PIECE_BYTES * 2, PIECE_BYTES * 2 + 2])
async def test_pieces_in_base64_are_the_whole_in_base64_whenever_they_are_sent(size):
    data = os.urandom(size)
    body = in_base64(b"<", data, b">")
    for _ in range(2):
        pieces = await sent(body)
        assert b"".join(pieces) == b"<" + base64.b64encode(data) + b">"
        assert sum(map(len, pieces)) == body.size_bytes
        assert max(map(len, pieces)) <= PIECE_BYTES * 4 // 3


@pytest.mark.parametrize("size", [0, 1, 2, PIECE_BYTES])
def test_what_is_small_is_one_piece(size):
    data = os.urandom(size)
    assert in_base64(b"<", data, b">") == b"<" + base64.b64encode(data) + b">"


@pytest.mark.parametrize("size", [0, 5, PIECE_BYTES, PIECE_BYTES + 1])
async def test_bytes_go_as_they_are(size):
    data = os.urandom(size)
    body = streamed(memoryview(b"--" + data)[2:])
    assert b"".join(await sent(body)) == data
    assert body.size_bytes == size
