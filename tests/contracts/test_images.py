"""The port ``Images``."""

from hashlib import sha256

import pytest
from simulation.pictures import TextPictures
from simulation.process import immortal
from world import draw

from pipeline.domain.errors import PictureRefused
from pipeline.ports.images import PillowImages

pytestmark = pytest.mark.anyio


@pytest.fixture
def images(kind):
    return PillowImages() if kind == "real" else TextPictures(immortal())


async def test_a_picture_is_sent_byte_for_byte(images, tmp_path):
    draw(tmp_path / "front.png", 1)
    data = (tmp_path / "front.png").read_bytes()
    picture = await images.probe(tmp_path / "front.png")
    assert (picture.sha256, picture.size_bytes, picture.changes) == (sha256(data).hexdigest(), len(data), ())
    assert await images.prepare(picture) == (data, "image/png")


async def test_a_picture_that_changed_since_is_refused(images, tmp_path):
    draw(tmp_path / "front.png", 1)
    picture = await images.probe(tmp_path / "front.png")
    draw(tmp_path / "front.png", 2)
    with pytest.raises(PictureRefused) as refused:
        await images.prepare(picture)
    assert refused.value.kind == "changed"


async def test_a_picture_that_vanished_since_is_refused(images, tmp_path):
    draw(tmp_path / "front.png", 1)
    picture = await images.probe(tmp_path / "front.png")
    (tmp_path / "front.png").unlink()
    with pytest.raises(PictureRefused) as refused:
        await images.prepare(picture)
    assert refused.value.kind == "missing"


async def test_of_many_pictures_each_is_told_in_order(images, tmp_path):
    paths = [tmp_path / f"{n}.png" for n in range(200)]
    for n, path in enumerate(paths):
        draw(path, n)
    paths[7].write_bytes(b"broken")
    paths[150].unlink()
    found = await images.probe_all(paths)
    refused = {at: one for at, one in enumerate(found) if isinstance(one, PictureRefused)}
    assert {at: one.kind for at, one in refused.items()} == {7: "not-a-picture", 150: "missing"}
    assert [one.path for one in found if one not in refused.values()] == [
        path for at, path in enumerate(paths) if at not in refused
    ]
    assert found[3] == await images.probe(paths[3])
    assert await images.probe_all([]) == []


@pytest.mark.parametrize(("data", "kind_of_fault"), [(b"", "empty"), (b"broken", "not-a-picture")])
async def test_what_is_no_picture_is_refused_with_its_name_and_a_mend(images, tmp_path, data, kind_of_fault):
    (tmp_path / "front.png").write_bytes(data)
    with pytest.raises(PictureRefused, match=r"front\.png") as refused:
        await images.probe(tmp_path / "front.png")
    assert refused.value.kind == kind_of_fault
    assert refused.value.mend


async def test_a_folder_and_a_missing_file_are_no_pictures(images, tmp_path):
    (tmp_path / "left.png").mkdir()
    for name, fault in (("left.png", "folder"), ("back.png", "missing")):
        with pytest.raises(PictureRefused) as refused:
            await images.probe(tmp_path / name)
        assert refused.value.kind == fault
