import io
import json
import struct

import numpy as np
import pytest
import trimesh
from PIL import Image
from trimesh.visual import ColorVisuals, TextureVisuals
from trimesh.visual.material import PBRMaterial

from pipeline.domain.errors import MeshDamaged
from pipeline.ports.meshes import read_glb

CHECKS = Image.fromarray(np.array([[[250, 0, 0], [0, 250, 0]], [[0, 0, 250], [250, 250, 250]]], np.uint8))


def triangle(**visual: object) -> trimesh.Trimesh:
    return trimesh.Trimesh(vertices=[[0, 0, 0], [1, 0, 0], [0, 1, 0]], faces=[[0, 1, 2]], process=False, **visual)


def textured(**material: object) -> trimesh.Trimesh:
    uvs = [[0.0, 0.0], [1.0, 0.0], [0.0, 0.75]]
    return triangle(visual=TextureVisuals(uv=uvs, material=PBRMaterial(**material)))


def glb(*meshes: trimesh.Trimesh) -> bytes:
    return trimesh.Scene(meshes).export(file_type="glb")


def rewritten(data: bytes, change) -> bytes:
    """The same GLB with its JSON changed by hand."""
    length = struct.unpack_from("<I", data, 12)[0]
    document = json.loads(data[20 : 20 + length])
    change(document)
    text = json.dumps(document).encode()
    text += b" " * (-len(text) % 4)
    rest = data[20 + length :]
    return (
        struct.pack("<4sII", b"glTF", 2, 20 + len(text) + len(rest))
        + struct.pack("<I4s", len(text), b"JSON")
        + text
        + rest
    )


def test_a_textured_mesh_comes_with_pixels_and_uvs_from_the_top() -> None:
    loaded = read_glb(glb(textured(baseColorTexture=CHECKS)))
    (part,) = loaded.parts
    assert (loaded.face_count, loaded.textured, loaded.pbr) == (1, True, False)
    np.testing.assert_array_equal(part.texture, np.asarray(CHECKS))
    np.testing.assert_allclose(part.mesh.uvs, [[0, 1], [1, 1], [0, 0.25]])
    np.testing.assert_allclose(part.mesh.normals, [[0, 0, 1]] * 3)
    assert part.mesh.positions.dtype == np.float32
    assert part.mesh.faces.dtype == np.uint32


def test_pbr_is_told_by_its_maps() -> None:
    assert read_glb(glb(textured(baseColorTexture=CHECKS, metallicRoughnessTexture=CHECKS))).pbr


def test_a_mesh_without_any_material_is_bare() -> None:
    loaded = read_glb(rewritten(glb(triangle()), lambda document: document.pop("materials", None)))
    assert loaded.parts[0].texture is None
    assert loaded.parts[0].colours is None
    assert not loaded.textured


def test_vertex_colours_are_read_as_linear() -> None:
    colours = ColorVisuals(vertex_colors=[[55, 0, 0, 255], [0, 255, 0, 255], [0, 0, 255, 255]])
    part = read_glb(glb(triangle(visual=colours))).parts[0]
    np.testing.assert_array_equal(part.colours, [[128, 0, 0], [0, 255, 0], [0, 0, 255]])


def test_a_factor_alone_colours_the_vertices_and_beside_a_texture_tints_it() -> None:
    tint = [55, 255, 0, 255]
    factor = triangle(visual=TextureVisuals(material=PBRMaterial(baseColorFactor=tint)))
    np.testing.assert_array_equal(read_glb(glb(factor)).parts[0].colours, [[128, 255, 0]] * 3)
    both = read_glb(glb(textured(baseColorTexture=CHECKS, baseColorFactor=tint))).parts[0]
    np.testing.assert_array_equal(both.texture[0, 1], [0, 250, 0])
    np.testing.assert_allclose(both.texture[0, 0], [124, 0, 0], atol=2)


def test_vertex_colours_and_texture_stay_side_by_side() -> None:
    mesh = textured(baseColorTexture=CHECKS)
    mesh.visual.vertex_attributes["color"] = np.array([[255, 0, 0, 255]] * 3, np.uint8)
    part = read_glb(glb(mesh)).parts[0]
    assert part.texture is not None
    np.testing.assert_array_equal(part.colours, [[255, 0, 0]] * 3)


def test_nodes_place_and_repeat_their_meshes() -> None:
    scene = trimesh.Scene()
    for k in range(2):
        scene.add_geometry(
            triangle(), geom_name="one", transform=trimesh.transformations.translation_matrix([0, 5 * k, 0])
        )
    scene.add_geometry(textured(baseColorTexture=CHECKS), geom_name="other")
    loaded = read_glb(scene.export(file_type="glb"))
    assert loaded.face_count == 3
    assert sorted(float(part.mesh.positions[:, 1].min()) for part in loaded.parts) == [0, 0, 5]
    assert sum(part.texture is not None for part in loaded.parts) == 1


def test_a_mirroring_node_keeps_faces_and_normals_outwards() -> None:
    scene = trimesh.Scene()
    scene.add_geometry(triangle(), transform=np.diag([-2.0, 1, 3, 1]))
    mesh = read_glb(scene.export(file_type="glb")).parts[0].mesh
    a, b, c = mesh.positions[mesh.faces[0]]
    assert mesh.positions[:, 0].min() == -2
    np.testing.assert_allclose(mesh.normals, [[0, 0, 1]] * 3)
    assert np.cross(b - a, c - a)[2] > 0


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "cannot be read"),
        (b"<html>not found</html>", "cannot be read"),
        (b"glTF" + bytes(60), "cannot be read"),
        (glb(triangle())[:-40], "cannot be read"),
    ],
)
def test_bytes_that_are_no_mesh_are_refused(data: bytes, says: str) -> None:
    with pytest.raises(MeshDamaged, match=says) as refusal:
        read_glb(data)
    assert refusal.value.mend


def test_a_scene_without_triangles_is_refused() -> None:
    cloud = trimesh.Scene([trimesh.PointCloud([[0, 0, 0], [1, 1, 1]])]).export(file_type="glb")
    with pytest.raises(MeshDamaged, match="no triangles"):
        read_glb(cloud)


def test_positions_and_indices_that_cannot_be_are_refused() -> None:
    nowhere = triangle()
    nowhere.vertices = [[0, 0, 0], [np.nan, 0, 0], [0, 1, 0]]
    with pytest.raises(MeshDamaged, match="finite"):
        read_glb(glb(nowhere))
    outside = glb(triangle()).replace(struct.pack("<3I", 0, 1, 2), struct.pack("<3I", 0, 1, 9))
    with pytest.raises(MeshDamaged):
        read_glb(outside)


def test_a_texture_in_a_broken_file_counts_as_damage() -> None:
    picture = io.BytesIO()
    noise = np.random.default_rng(1).integers(0, 255, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(picture, "PNG")
    data = glb(textured(baseColorTexture=Image.fromarray(noise)))
    at = data.index(b"IDAT") + 400
    with pytest.raises(MeshDamaged):
        read_glb(data[:at] + bytes(2000) + data[at + 2000 :])
