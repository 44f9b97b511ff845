from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from pipeline.domain.manifest_schema import manifest_schema, manifest_schema_text

ROOT = Path(__file__).parents[2]
GOOD = """
version: 1
name: props
backend: local
output: out/props
defaults: {faceCount: 500000, generateType: Normal, enablePbr: false}
sets:
  - path: assets/props/*
    exclude: ["*_wip"]
  - {path: assets/flat, pattern: "{set}_{view}"}
  - {path: helmet, id: hero, params: {faceCount: 1200000}, copies: 2, views: {front: F.png}}
variants: [{name: pbr, params: {enablePbr: true}}]
limits: {in_flight: auto, uploads: 8, max_duration: 6h, window: "22:00-06:00"}
budget: {max_cu: 5000}
uncertain: {policy: reconcile, settle: 60s, believe_after: 1h30m}
previews: true
"""


def errors(text: str) -> list[str]:
    return [error.message for error in Draft202012Validator(manifest_schema()).iter_errors(yaml.safe_load(text))]


def test_it_is_a_schema_of_its_dialect() -> None:
    Draft202012Validator.check_schema(manifest_schema())


def test_the_committed_schema_is_current() -> None:
    committed = (ROOT / "configs" / "manifest.schema.json").read_text(encoding="utf-8")
    assert committed == manifest_schema_text(), "write it again: mvmesh schema > configs/manifest.schema.json"


def test_a_good_manifest_passes() -> None:
    assert errors(GOOD) == []


def test_variables_may_stand_where_numbers_do() -> None:
    assert errors(GOOD.replace("500000", "'${FACES:-500000}'").replace("previews: true", "previews: ${P}")) == []


@pytest.mark.parametrize(
    ("was", "becomes"),
    [
        ("version: 1", "version: 2"),
        ("name: props", "nam: props"),
        ("backend: local", "backend: locale"),
        ("faceCount: 500000", "faceCount: 5"),
        ("generateType: Normal", "generateType: Normall"),
        ("enablePbr: false", "enablePBR: false"),
        ("copies: 2", "copies: 0"),
        ("front: F.png", "fronnt: F.png"),
        ("{set}_{view}", "{set}"),
        ("max_duration: 6h", "max_duration: 6"),
        ("in_flight: auto", "in_flight: many"),
        ("previews: true", "previews: 'yes'"),
    ],
)
def test_a_bad_manifest_does_not(was: str, becomes: str) -> None:
    assert was in GOOD
    assert errors(GOOD.replace(was, becomes))


def test_every_key_explains_itself() -> None:
    schema = manifest_schema()
    sections = [schema, *(one for one in schema["$defs"].values() if "properties" in one)]
    silent = [
        name
        for section in sections
        for name, one in section["properties"].items()
        if "description" not in (one | schema["$defs"].get(one.get("$ref", "").removeprefix("#/$defs/"), {}))
    ]
    assert silent == []
