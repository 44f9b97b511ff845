import hashlib
import json
from pathlib import Path

import pytest

from pipeline.cli.frame import run
from pipeline.domain.lifecycle import State
from pipeline.domain.results import ResultFile, ResultRow, as_jsonl

MESH = b"glTF, more or less"


@pytest.fixture
def output(tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    (folder / "meshes" / "chair").mkdir(parents=True)
    (folder / "meshes" / "chair" / "chair.glb").write_bytes(MESH)
    file = ResultFile(
        role="mesh",
        path="meshes/chair/chair.glb",
        bytes=len(MESH),
        sha256=hashlib.sha256(MESH).hexdigest(),
        media_type="model/gltf-binary",
    )
    row = ResultRow(set="chair", key="k", state=State.DELIVERED, outputs=(file,))
    (folder / "results.jsonl").write_text(as_jsonl([row]))
    return folder


def test_an_output_folder_as_delivered_passes(output: Path, write_manifest, capsys) -> None:
    assert run(["verify", str(output)]) == 0
    assert "all as delivered" in capsys.readouterr().out
    assert run(["verify", str(write_manifest())]) == 0


def test_deviations_fail_the_call_and_name_the_mend(output: Path, capsys) -> None:
    (output / "meshes" / "chair" / "chair.glb").unlink()
    (output / "meshes" / "stray\x1b[1m.glb").write_bytes(MESH)
    assert run(["verify", str(output)]) == 1
    shown = capsys.readouterr().out
    assert "missing     meshes/chair/chair.glb is not there" in shown
    assert "unexpected  meshes/stray\\x1b[1m.glb" in shown
    assert "mend missing: mvmesh run fetches it again, without paying" in shown


def test_the_document_lists_deviations(output: Path, capsys) -> None:
    (output / "meshes" / "chair" / "chair.glb").write_bytes(MESH.upper())
    assert run(["verify", str(output), "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert (document["schema"], document["files"], document["output"]) == (1, 1, str(output))
    (deviation,) = document["deviations"]
    assert set(deviation) == {"fault", "path", "label", "message", "mend"}
    assert (deviation["fault"], deviation["label"]) == ("sha256", "chair")


def test_nothing_delivered_yet_is_told(tmp_path: Path, write_manifest, capsys) -> None:
    assert run(["verify", str(write_manifest())]) == 2
    assert "mvmesh run" in capsys.readouterr().err
