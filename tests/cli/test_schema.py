import json

from jsonschema import Draft202012Validator

from pipeline.cli.frame import run


def test_both_schemas_are_sound(capsys) -> None:
    titles = []
    for arguments in (["schema"], ["schema", "--results"]):
        assert run(arguments) == 0
        schema = json.loads(capsys.readouterr().out)
        Draft202012Validator.check_schema(schema)
        titles.append(schema["title"])
    assert titles == ["mvmesh manifest", "mvmesh result row"]
