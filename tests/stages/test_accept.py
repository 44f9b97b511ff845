from pathlib import Path

import pytest
from simulated_ports import SimulatedStorage, glb, virtual_time

from pipeline.domain.errors import MeshDamaged
from pipeline.domain.items import MeshFacts
from pipeline.stages.accept import accept, shortfalls

pytestmark = pytest.mark.anyio

MESH = Path("/staging/k/mesh.part")
TEXTURED = {"faceCount": 50_000, "generateType": "Normal", "enablePbr": False}
GEOMETRY = {**TEXTURED, "generateType": "Geometry"}
GOOD = {
    "face_count": 50_000,
    "vertex_count": 9,
    "texture_count": 1,
    "material_count": 1,
    "has_uvs": True,
    "has_pbr": False,
}


@pytest.fixture
def anyio_backend():
    return virtual_time()


async def judged(data, *, params=GEOMETRY, on_low="warn"):
    storage = SimulatedStorage()
    storage.put(MESH, data)
    return await accept(MESH, facts=None, params=params, on_low=on_low, storage=storage)


def facts(**changes):
    return MeshFacts(**{**GOOD, **changes})


async def test_a_mesh_as_asked_for_is_accepted():
    verdict = await judged(glb(faces=49_000))
    assert (verdict.outcome, verdict.reasons) == ("accepted", ())
    assert verdict.facts is not None
    assert verdict.facts.face_count == 49_000


@pytest.mark.parametrize(("on_low", "outcome"), [("hold", "held"), ("warn", "accepted")])
async def test_a_mesh_that_falls_short_is_held_or_remarked(on_low, outcome):
    verdict = await judged(glb(faces=60_000), on_low=on_low)
    assert (verdict.outcome, verdict.reasons) == (outcome, ("60,000 faces, asked for 50,000",))


async def test_skip_leaves_the_container_alone_in_force():
    verdict = await judged(glb(faces=60_000), on_low="skip", params=TEXTURED)
    assert (verdict.outcome, verdict.reasons) == ("accepted", ())
    with pytest.raises(MeshDamaged):
        await judged(glb(faces=60_000)[:-1], on_low="skip")


@pytest.mark.parametrize("data", [b"", b"glTF", b"<html></html>" * 9, glb() + b"\0\0\0", glb(faces=0)])
async def test_what_is_no_whole_mesh_is_never_accepted(data):
    with pytest.raises(MeshDamaged):
        await judged(data, on_low="skip")


async def test_a_file_that_is_gone_is_damage_too():
    with pytest.raises(Exception, match="cannot be read"):
        await accept(MESH, facts=None, params=GEOMETRY, on_low="skip", storage=SimulatedStorage())


async def test_a_mesh_that_was_read_is_not_read_again():
    nowhere = SimulatedStorage()
    verdict = await accept(MESH, facts=facts(), params=TEXTURED, on_low="hold", storage=nowhere)
    assert (verdict.outcome, verdict.facts) == ("accepted", facts())


@pytest.mark.parametrize(
    ("found", "params", "says"),
    [
        (facts(), TEXTURED, ()),
        (facts(face_count=55_000), TEXTURED, ()),
        (facts(face_count=55_001), TEXTURED, ("55,001 faces, asked for 50,000",)),
        (facts(texture_count=0, has_uvs=False), TEXTURED, ("no texture, asked for a textured mesh",)),
        (facts(has_uvs=False), TEXTURED, ("textures, but no texture coordinates",)),
        (facts(), {**TEXTURED, "enablePbr": True}, ("no metallic-roughness texture, asked for PBR",)),
        (facts(has_pbr=True), {**TEXTURED, "enablePbr": True}, ()),
        (facts(), GEOMETRY, ("textures, asked for geometry alone",)),
        (facts(texture_count=0), {**GEOMETRY, "enablePbr": True}, ()),
    ],
)
def test_shortfalls(found, params, says):
    assert shortfalls(found, params) == says
