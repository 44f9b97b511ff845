"""Whether a file is whole is read from a few pieces of it."""

from pathlib import Path

import pytest
from simulated_ports import SimulatedStorage, glb, virtual_time

from pipeline.domain.errors import MeshDamaged
from pipeline.ports.wholeness import mesh_facts

pytestmark = pytest.mark.anyio

MESH = Path("/staging/mesh.part")
AT_FIRST = 64 * 1024


class Counting(SimulatedStorage):
    """Knows how much was read of a file."""

    read_bytes = 0

    async def head(self, path, length):
        data, size = await super().head(path, length)
        self.read_bytes += len(data)
        return data, size

    async def read_part(self, path, start, length):
        data = await super().read_part(path, start, length)
        self.read_bytes += len(data)
        return data


@pytest.fixture
def anyio_backend():
    return virtual_time()


@pytest.fixture
def storage():
    return Counting()


def mesh_with_json_of(length: int, binary: bytes = bytes(200_000)) -> bytes:
    """A GLB whose JSON chunk has exactly so many bytes."""
    document = {
        "accessors": [{"componentType": 5126, "type": "VEC3", "count": 36}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}}]}],
        "extras": "",
    }
    base = glb(document)
    return glb({**document, "extras": "x" * (length - (len(base) - 20))}, binary)


@pytest.mark.parametrize(
    "json_bytes", [400, *(AT_FIRST - 20 + more for more in (-12, -8, -4, 0, 4)), AT_FIRST, 3 * AT_FIRST]
)
async def test_a_mesh_is_read_to_the_end_of_its_json_chunk_however_long(storage, json_bytes):
    data = mesh_with_json_of(json_bytes)
    assert int.from_bytes(data[12:16], "little") == json_bytes
    storage.put(MESH, data)
    assert (await mesh_facts(MESH, storage)).face_count == 12
    assert storage.read_bytes == max(AT_FIRST, 20 + json_bytes + 8)


async def test_a_mesh_without_a_binary_chunk_ends_with_its_json(storage):
    for faces in (12, AT_FIRST):
        data = glb(faces=faces)
        storage.put(MESH, data)
        assert (await mesh_facts(MESH, storage)).face_count == faces


@pytest.mark.parametrize("json_bytes", [400, AT_FIRST, 3 * AT_FIRST])
@pytest.mark.parametrize("change", [lambda data: data[:-1], lambda data: data + b"\0", lambda data: data[:40]])
async def test_a_file_of_another_size_than_its_header_says_is_damaged(storage, json_bytes, change):
    storage.put(MESH, change(mesh_with_json_of(json_bytes)))
    with pytest.raises(MeshDamaged, match="cut or damaged"):
        await mesh_facts(MESH, storage)
