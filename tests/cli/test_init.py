import json
import re
from pathlib import Path

import pytest
from PIL import Image

from pipeline.cli.frame import run
from pipeline.domain.manifest_schema import manifest_schema_text


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_manifest_it_writes_passes_the_check(draw_set, folder: Path, capsys) -> None:
    draw_set("chair")
    draw_set("lamp")
    assert run(["init", "pictures"]) == 0
    shown = capsys.readouterr().out
    assert "2 image sets" in shown
    assert "next: mvmesh check mvmesh.yaml" in shown
    assert run(["check", "mvmesh.yaml"]) == 0


def test_a_manifest_that_is_there_is_replaced_only_by_force(draw_set, folder: Path, capsys) -> None:
    draw_set("chair")
    (folder / "mvmesh.yaml").write_text("mine")
    assert run(["init", "pictures"]) == 2
    assert "--force" in capsys.readouterr().err
    assert (folder / "mvmesh.yaml").read_text() == "mine"
    assert run(["init", "pictures", "--output", "other.yaml", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["manifest"], document["sets"]) == ("other.yaml", 1)
    assert run(["init", "pictures", "--force"]) == 0
    assert (folder / "mvmesh.yaml").read_text() == (folder / "other.yaml").read_text()


def test_the_schema_lies_where_the_manifest_says(draw_set, folder: Path) -> None:
    draw_set("chair")
    assert run(["init", "pictures", "--output", "pictures/chair.yaml"]) == 0
    (named,) = re.findall(r"\$schema=(\S+)", (folder / "pictures/chair.yaml").read_text())
    schema = folder / "pictures" / named
    assert schema.read_text() == manifest_schema_text()
    schema.write_text("{}")
    assert run(["init", "pictures", "--output", "pictures/other.yaml"]) == 0
    assert schema.read_text() == "{}"  # whoever changed it, had a reason
    assert run(["init", "pictures", "--output", "pictures/other.yaml", "--force"]) == 0
    assert schema.read_text() == manifest_schema_text()


def test_pictures_that_name_no_view_are_told_with_their_folder(folder: Path, capsys) -> None:
    (folder / "numbered").mkdir()
    Image.new("RGBA", (160, 160), "teal").save(folder / "numbered" / "img1.png")
    assert run(["init", "numbered"]) == 2
    shown = capsys.readouterr().err
    assert "pictures without a clear front view: numbered" in shown
    assert "front.png" in shown
    assert not list(folder.glob("*.json"))


def test_nothing_is_written_where_nothing_is_recognised(folder: Path, capsys) -> None:
    (folder / "empty").mkdir()
    assert run(["init", "empty"]) == 2
    assert "no image set was recognised" in capsys.readouterr().err
    assert not (folder / "mvmesh.yaml").exists()
    assert run(["init", "nowhere"]) == 2
    assert "nowhere is no folder" in capsys.readouterr().err
