"""The manifest's JSON Schema: what an editor needs to complete, explain and check a manifest while it is written."""

import json
from typing import Any

from pipeline.domain.manifest import Manifest
from pipeline.domain.model import MODEL_ID, PUBLISHED_SCHEMA, Parameter, ParameterType

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_VARIABLE = {
    "type": "string",
    "pattern": r"\$\{[A-Za-z_]",
    "description": "An environment variable: ${VAR}, ${VAR:-default}.",
}
_ABOUT = {
    "faceCount": "Target number of faces; higher values keep finer detail.",
    "generateType": "Normal: a textured mesh. Geometry: the shape alone, without textures.",
    "enablePbr": "Materials for physically based rendering (metallic, roughness); no effect with Geometry.",
}


def manifest_schema() -> dict[str, Any]:
    """JSON Schema, draft 2020-12, of the manifest; parameters as the model's published page tells them."""
    schema = Manifest.model_json_schema()
    definitions = schema.pop("$defs")
    definitions |= {"Params": _params(), "Variable": dict(_VARIABLE)}
    for section in (schema, *definitions.values()):
        _mend(section.get("properties", {}))
    return {"$schema": _DIALECT, "title": "mvmesh manifest", **_untitled(schema), "$defs": _untitled(definitions)}


def manifest_schema_text() -> str:
    """The schema as text, the same for the same program."""
    return json.dumps(manifest_schema(), indent=2, ensure_ascii=False) + "\n"


def _params() -> dict[str, Any]:
    return {
        "type": "object",
        "description": f"Parameters of {MODEL_ID}.",
        "additionalProperties": False,
        "properties": {name: _parameter(one) for name, one in PUBLISHED_SCHEMA.choices.items()},
    }


def _parameter(one: Parameter) -> dict[str, Any]:
    said: dict[str, Any] = {"description": _ABOUT.get(one.name, one.name), "default": one.default}
    if one.type is not ParameterType.FILE:
        said["type"] = one.type.value
    limits = {"minimum": one.min, "maximum": one.max, "enum": list(one.allowed) or None}
    return said | {name: limit for name, limit in limits.items() if limit is not None}


def _mend(properties: dict[str, Any]) -> None:
    """Params by reference, and a variable wherever a value is more than any text."""
    for name, one in properties.items():
        if name in {"params", "defaults"}:
            properties[name] = {"$ref": "#/$defs/Params", "description": one["description"]}
        elif one.get("default") is None or isinstance(one["default"], dict):
            one.pop("default", None)
        if _is_narrow(one):
            about = {key: one.pop(key) for key in ("description", "default", "title") if key in one}
            properties[name] = {**about, "anyOf": [*_choices(one), {"$ref": "#/$defs/Variable"}]}


def _is_narrow(value: dict[str, Any]) -> bool:
    """Whether the schema of one scalar would refuse ``${VAR}``."""
    return any(
        choice.get("type") in {"integer", "number", "boolean"} or choice.keys() & {"enum", "const", "pattern"}
        for choice in _choices(value)
    )


def _choices(value: dict[str, Any]) -> list[dict[str, Any]]:
    return list(value.get("anyOf", [value]))


def _untitled(value: Any) -> Any:
    """Without the titles that pydantic derives from names: editors show them as noise."""
    if isinstance(value, dict):
        return {key: _untitled(one) for key, one in value.items() if not (key == "title" and isinstance(one, str))}
    return [_untitled(one) for one in value] if isinstance(value, list) else value
