import csv
import io
import json
import re
from datetime import UTC, datetime
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.domain.items import Alias, Finding, ItemRecord, MeshFacts, OutputFile, Picture, Verdict, WorkItem
from pipeline.domain.lifecycle import State
from pipeline.domain.planning import RefusedSet
from pipeline.domain.results import ResultRow, as_csv, as_jsonl, refused_rows, results_schema, row_of
from pipeline.domain.views import View

CHAIR = Alias(set_id="props/chair", variant="pbr")
FRONT = Picture(path=Path("f"), sha256="f" * 64, size_bytes=1, media_type="image/png", width=200, height=200)
WORK = WorkItem(key="k" * 64, model="m", params={"faceCount": 50_000}, pictures={View.FRONT: FRONT}, aliases=(CHAIR,))
MESH = OutputFile(
    role="mesh",
    name="meshes/props/chair@pbr/chair.glb",
    size_bytes=1_000,
    sha256="a" * 64,
    media_type="model/gltf-binary",
)
FACTS = MeshFacts(
    face_count=49_000, vertex_count=25_000, texture_count=1, material_count=1, has_uvs=True, has_pbr=False
)


def record(state=State.DELIVERED, **changes):
    return ItemRecord(
        key=WORK.key, state=state, service="local", project="", model="m", params=WORK.params, pictures={}, **changes
    )


def row(known, *, files=(MESH,), alias=CHAIR):
    return row_of(alias, WORK, known, backend="local", files=files, findings=["re-encoded"])


DELIVERED = row(
    record(
        job_id="job_1",
        attempts=2,
        quoted_cu=10,
        charged_cu=9,
        verdict=Verdict(outcome="accepted", reasons=("dark",), facts=FACTS),
        timings={"generate": 12.34567},
        notes=("the depth is guessed", "exposure was evened"),
        updated_at=datetime(2031, 1, 1, tzinfo=UTC),
    )
)


def lines(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_a_delivered_row_tells_all_that_is_known():
    (said,) = (json.loads(line) for line in as_jsonl([DELIVERED]).splitlines())
    assert said["schema"] == 1
    assert (said["set"], said["variant"], said["copy"], said["state"]) == ("props/chair", "pbr", 1, "delivered")
    assert (said["verdict"], said["reasons"], said["job_id"]) == ("accepted", ["dark"], "job_1")
    assert said["mesh"]["faces"] == 49_000
    assert said["outputs"][0] == {
        "role": "mesh",
        "path": MESH.name,
        "bytes": 1_000,
        "sha256": "a" * 64,
        "media_type": "model/gltf-binary",
    }
    assert said["timings"] == {"generate": 12.346}
    assert (said["findings"], said["notes"]) == (["re-encoded"], ["the depth is guessed", "exposure was evened"])
    assert said["error"] is None


def test_a_failure_has_its_class_message_and_mend():
    failed = row(record(State.FAILED, error_class="JobFailed", error="no object", mend="look at it"), files=())
    assert failed.error is not None
    assert (failed.error.kind, failed.error.message, failed.error.mend) == ("JobFailed", "no object", "look at it")
    (line,) = lines(as_csv([failed]))
    assert (line["state"], line["error_kind"], line["mesh_path"]) == ("failed", "JobFailed", "")


def test_a_refused_set_has_a_row_under_each_of_its_names():
    findings = (
        Finding(kind="truncated", verdict="refuse", message="front.png is cut", mend="copy it again"),
        Finding(kind="re-encoded", verdict="ok", message="back.png is large"),
    )
    rows = refused_rows(RefusedSet(aliases=(CHAIR, Alias(set_id="b")), findings=findings), backend="local", model="m")
    assert [one.label for one in rows] == ["props/chair@pbr", "b"]
    assert {one.state for one in rows} == {State.REFUSED}
    assert rows[0].error is not None
    assert (rows[0].error.kind, rows[0].error.message, rows[0].error.mend) == (
        "truncated",
        "front.png is cut",
        "copy it again",
    )


def test_rows_are_as_the_schema_says():
    refused = refused_rows(
        RefusedSet(aliases=(CHAIR,), findings=(Finding(kind="k", verdict="refuse", message="m"),)),
        backend="b",
        model="m",
    )
    validator = jsonschema.Draft202012Validator(results_schema())
    validator.check_schema(results_schema())
    for line in as_jsonl([DELIVERED, *refused]).splitlines():
        validator.validate(json.loads(line))
    with pytest.raises(jsonschema.ValidationError):
        validator.validate({**json.loads(as_jsonl([DELIVERED])), "surprise": 1})


def test_the_csv_is_flat():
    (line,) = lines(as_csv([DELIVERED]))
    assert line["set"] == "props/chair"
    assert line["faceCount"] == "50000"
    assert line["mesh_path"] == MESH.name
    assert line["mesh_faces"] == "49000"
    assert line["seconds"] == "12.346"
    assert line["findings"] == "re-encoded"
    assert line["notes"] == "the depth is guessed; exposure was evened"


def test_a_row_of_a_version_that_knew_no_notes_can_be_read():
    said = json.loads(as_jsonl([DELIVERED]))
    del said["notes"]
    assert ResultRow.model_validate(said).notes == ()


@pytest.mark.parametrize(
    "text",
    [
        *("=cmd|' /C calc'!A0", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "  =1", "\u2028=1", '"=1'),
        *("\uff1d1", "\uff20SUM(A1)"),  # full width
    ],
)
def test_no_text_of_a_service_or_a_folder_is_a_formula(text):
    evil = row(record(State.FAILED, error_class="JobFailed", error=text, mend=text, job_id=text), files=())
    named = ResultRow(set=text, state=State.PLANNED)
    (line, other) = lines(as_csv([evil, named]))
    for cell in (line["error_message"], line["error_mend"], line["job_id"], other["set"]):
        assert cell.startswith("'")


@pytest.mark.parametrize("text", ["a;=1", 'a; "=1', "a;@SUM(A1)"])
def test_no_formula_begins_where_semicolons_separate_cells(text):
    named = ResultRow(set=text, state=State.PLANNED)
    assert not re.search(r';[\s"]*[=@]', as_csv([named]))


def test_no_line_of_the_results_moves_a_cursor_or_turns_writing():
    evil = "\x1b[2J \x9b2J \u202e \u200b \u2028 \x7f \U000e0041"
    rows = [ResultRow(set=evil, state=State.PLANNED)]
    for text in (as_jsonl(rows), as_csv(rows)):
        assert text.replace("\n", "").isprintable()
    assert json.loads(as_jsonl(rows))["set"] == evil


@given(st.text(), st.text(), st.text())
def test_any_text_stays_on_the_line_of_its_row(set_id, message, reason):
    verdict = Verdict(outcome="held", reasons=(reason,))
    made = row(record(State.FAILED, error="e" + message, job_id=message, verdict=verdict), alias=Alias(set_id=set_id))
    assert len(as_csv([made]).splitlines()) == 2
    (line,) = lines(as_csv([made]))
    assert not any(cell.lstrip(" ")[:1] in set("=+-@\t") for cell in line.values() if cell.strip(" "))
    assert json.loads(as_jsonl([made]).removesuffix("\n"))["set"] == set_id
