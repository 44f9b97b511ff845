"""Whether a file that was downloaded is whole, read through the port ``Storage``: a few pieces of it, never all."""

from pathlib import Path

from pipeline.domain.errors import MeshDamaged
from pipeline.domain.glb import PREFIX_BYTES, glb_facts, json_length
from pipeline.domain.items import MeshFacts
from pipeline.domain.media import HEAD_BYTES, TAIL_BYTES, picture_fault
from pipeline.ports.interfaces import Storage

_CHUNK_HEADER_BYTES = 8

HEAD_OF_MESH_BYTES = 64 * 1024
"""Of a mesh, at first: the JSON chunk of all but the most elaborate ones is in it."""


async def mesh_facts(mesh: Path, storage: Storage, *, head: bytes = b"", size_bytes: int = 0) -> MeshFacts:
    """What a GLB says of itself.

    Args:
        mesh: the file.
        storage: reads what is not known of it yet.
        head: its first bytes, if they are known, together with ``size_bytes``.
        size_bytes: of all of it.

    Raises:
        MeshDamaged: no whole, readable GLB.
    """
    if not head:
        head, size_bytes = await storage.head(mesh, HEAD_OF_MESH_BYTES)
    json_end = PREFIX_BYTES + json_length(head, size_bytes)
    end = json_end + _CHUNK_HEADER_BYTES
    if end > len(head) and len(head) < size_bytes:
        head += await storage.read_part(mesh, len(head), end - len(head))
    return glb_facts(head[PREFIX_BYTES:json_end], head[json_end:end], size_bytes)


async def refuse_damaged_picture(picture: Path, storage: Storage) -> None:
    """Raises MeshDamaged when the file is no PNG, JPEG or WebP from its signature to its end."""
    head, size_bytes = await storage.head(picture, HEAD_BYTES)
    tail = await storage.read_part(picture, max(size_bytes - TAIL_BYTES, 0), TAIL_BYTES)
    if fault := picture_fault(head, tail, size_bytes):
        raise MeshDamaged(f"the texture {fault}")
