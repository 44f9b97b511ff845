"""The committed JSON Schema of a results row is the one that the program means."""

import json
from pathlib import Path

import jsonschema

from pipeline.domain.items import Alias, Finding
from pipeline.domain.planning import RefusedSet
from pipeline.domain.results import refused_rows, results_schema

COMMITTED = Path(__file__).parents[2] / "configs" / "results.schema.json"


def test_the_committed_schema_is_current() -> None:
    assert json.loads(COMMITTED.read_text()) == results_schema(), (
        "mvmesh schema --results > configs/results.schema.json"
    )


def test_a_row_validates_and_a_row_with_a_foreign_column_does_not() -> None:
    finding = Finding(kind="truncated", verdict="refuse", message="left.png is cut", mend="export it again")
    refused = RefusedSet(aliases=(Alias(set_id="props/chair"),), findings=(finding,))
    (row,) = refused_rows(refused, backend="local", model="m")
    document = json.loads(row.model_dump_json(by_alias=True))
    validator = jsonschema.Draft202012Validator(results_schema())
    validator.validate(document)
    assert list(validator.iter_errors({**document, "colour": "red"}))
