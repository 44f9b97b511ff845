from pathlib import PurePosixPath

import pytest

from pipeline.domain.errors import MeshDamaged
from pipeline.domain.items import Alias
from pipeline.domain.jobs import Asset
from pipeline.domain.outputs import GLB_TYPE, MESH, file_name, has_mesh, mesh_folder, preview_path, wanted

CHAIR = Alias(set_id="props/chair")
PBR = Alias(set_id="props/chair", variant="pbr", copy=2)


def asset(asset_id, kind="3d", media_type=GLB_TYPE, source="img23d"):
    return Asset(asset_id=asset_id, url="https://files/x", kind=kind, media_type=media_type, source=source)


def test_the_mesh_and_its_textures_are_wanted_and_nothing_else():
    assets = [
        asset("thumb", "image", "image/png", "preview"),
        asset("mesh"),
        asset("albedo", "image", "image/png", "3d:texture:albedo"),
        asset("normal", "image", "image/jpeg", "3d:texture:normal"),
        asset("evil", "image", "image/png", "3d:texture:../../etc/passwd"),
        asset("fbx", "3d", "model/fbx"),
    ]
    assert [(one.role, one.asset.asset_id, one.suffix) for one in wanted(assets)] == [
        (MESH, "mesh", ".glb"),
        ("albedo", "albedo", ".png"),
        ("normal", "normal", ".jpg"),
    ]


def test_of_two_in_one_role_the_first_is_taken():
    assert [one.asset.asset_id for one in wanted([asset("first"), asset("second")])] == ["first"]


@pytest.mark.parametrize(
    ("assets", "says"),
    [([], "nothing"), ([asset("fbx", "3d", "model/fbx")], "model/fbx"), ([asset("x", "audio", "")], "audio")],
)
def test_a_job_without_a_glb_is_told_with_what_it_made(assets, says):
    assert not has_mesh(assets)
    with pytest.raises(MeshDamaged, match=f"no GLB mesh but {says}") as raised:
        wanted(assets)
    assert raised.value.mend


def test_names_come_from_set_ids():
    assert mesh_folder(CHAIR, held=False) == PurePosixPath("meshes/props/chair")
    assert mesh_folder(PBR, held=True) == PurePosixPath("held/props/chair@pbr@copy2")
    assert file_name(CHAIR, MESH, ".glb") == file_name(PBR, MESH, ".glb") == "chair.glb"
    assert file_name(CHAIR, "albedo", ".png") == "albedo.png"
    assert preview_path(PBR) == PurePosixPath("previews/props/chair@pbr@copy2.webp")


@pytest.mark.parametrize(
    "evil",
    ["../../x", "..\\x", "C:\\x", "C:", "/etc/passwd", "a\0b", "a\nb", "\u202e", ".", "..", "con", "x" * 70_000, ""],
)
def test_no_word_of_the_service_becomes_a_name(evil):
    textures = [
        asset(evil, evil, evil, f"3d:texture:{source}")
        for source in (evil, f"albedo/{evil}", f"{evil}/albedo", "normal")
    ]
    for one in wanted([asset(evil, source=evil), *textures]):
        assert (one.role, one.suffix) in {(MESH, ".glb"), ("normal", ".bin")}
    with pytest.raises(MeshDamaged) as caught:
        wanted(textures)
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize("set_id", ["../../etc", "a/../../b", "/etc/passwd", "C:/x", "con", "a\\b", "x/./y", "a\nb"])
def test_no_set_id_leads_out_of_the_output_folder(set_id):
    for place in (mesh_folder(Alias(set_id=set_id), held=False), preview_path(Alias(set_id=set_id))):
        assert not place.is_absolute()
        assert ".." not in place.parts
        assert place.parts[0] in {"meshes", "previews"}


def test_a_set_id_that_looks_like_a_variant_is_not_one():
    looks = mesh_folder(Alias(set_id="chair@pbr"), held=False)
    assert looks != mesh_folder(Alias(set_id="chair", variant="pbr"), held=False)
