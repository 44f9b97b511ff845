"""The one file that the quick service gives out, small or large."""

import json
import struct
import tempfile
from collections.abc import Callable
from random import Random
from typing import BinaryIO

from quick_http import Answer
from toy_engine import tetrahedron

_SMALL_BYTES = 64 * 1024
"""Files up to here go out with their head, in one write."""

_PLACE = b"job 000000000000"
"""What makes each mesh another one; as long for every job."""


class Mesh:
    """One GLB for every job, alike but for the job's number in it."""

    def __init__(self, size_bytes: int) -> None:
        glb = tetrahedron(1.0, textured=True)
        (text_bytes,) = struct.unpack_from("<I", glb, 12)
        document, binary = json.loads(glb[20 : 20 + text_bytes]), glb[28 + text_bytes :]
        document["asset"]["generator"] = _PLACE.decode()
        room = max(size_bytes - len(glb) - 128, 0) // 4 * 4
        binary_bytes = len(binary) + room
        document["buffers"] = [{"byteLength": binary_bytes}]
        text = json.dumps(document).encode()
        text += b" " * (-len(text) % 4)
        self.size_bytes = 28 + len(text) + binary_bytes
        head = struct.pack("<4sIII4s", b"glTF", 2, self.size_bytes, len(text), b"JSON") + text
        head += struct.pack("<I4s", binary_bytes, b"BIN\0") + binary
        self._before, _, self._after = head.partition(_PLACE)
        self._head_bytes = len(head)
        self._padding: BinaryIO = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the mesh
        noise = Random(1).randbytes(min(room, 1 << 20))
        for start in range(0, room, len(noise) or 1):
            self._padding.write(noise[: room - start])
        self._padding.flush()
        self._small = noise if self.size_bytes <= _SMALL_BYTES else None

    def head(self, number: int) -> bytes:
        return b"%bjob %012d%b" % (self._before, number, self._after)

    def piece(self, number: int, start: int, sent: Callable[[], None]) -> Answer:
        """From ``start`` to the end."""
        headers = b'Content-Type: model/gltf-binary\r\nAccept-Ranges: bytes\r\nETag: "mesh_%d"\r\n' % number
        status, head = 200, self.head(number)
        if start:
            status = 206
            headers += b"Content-Range: bytes %d-%d/%d\r\n" % (start, self.size_bytes - 1, self.size_bytes)
        offset = max(start - len(head), 0)
        count = self.size_bytes - len(head) - offset
        if self._small is not None:
            return Answer(head[start:] + self._small[offset:], status, headers, sent=sent)
        return Answer(head[start:], status, headers, self._padding, offset, count, sent)
