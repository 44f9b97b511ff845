"""Whether a file that was downloaded is whole, read through the port ``Storage``: a few pieces of it, never all."""

from pathlib import Path

from pipeline.domain.errors import MeshDamaged
from pipeline.domain.glb import PREFIX_BYTES, glb_facts, json_length
from pipeline.domain.items import MeshFacts
from pipeline.domain.media import HEAD_BYTES, TAIL_BYTES, picture_fault
from pipeline.ports.interfaces import Storage

_CHUNK_HEADER_BYTES = 8


async def mesh_facts(mesh: Path, storage: Storage) -> MeshFacts:
    """What a GLB says of itself.

    Raises:
        MeshDamaged: no whole, readable GLB.
    """
    size = (await storage.sizes([mesh]))[0] or 0
    prefix = await storage.read_part(mesh, 0, PREFIX_BYTES)
    length = json_length(prefix, size)
    text = await storage.read_part(mesh, PREFIX_BYTES, length)
    rest = await storage.read_part(mesh, PREFIX_BYTES + length, _CHUNK_HEADER_BYTES)
    return glb_facts(text, rest, size)


async def refuse_damaged_picture(picture: Path, storage: Storage) -> None:
    """Raises MeshDamaged when the file is no PNG, JPEG or WebP from its signature to its end."""
    size = (await storage.sizes([picture]))[0] or 0
    head = await storage.read_part(picture, 0, HEAD_BYTES)
    tail = await storage.read_part(picture, max(size - TAIL_BYTES, 0), TAIL_BYTES)
    if fault := picture_fault(head, tail, size):
        raise MeshDamaged(f"the texture {fault}")
