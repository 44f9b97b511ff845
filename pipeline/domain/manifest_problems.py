"""What pydantic has against a manifest, in the words of the person who wrote it."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from pipeline.domain.manifest_text import Document, Loc, Problem, Unreadable
from pipeline.domain.manifest_values import RULES, did_you_mean, nearest, shown

Sections = Mapping[tuple[str, ...], type[BaseModel]]

_EXPECTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "finite_number": "a number",
    "bool_type": "true or false",
    "dict_type": "a mapping of keys and values",
    "model_type": "a mapping of keys and values",
    "model_attributes_type": "a mapping of keys and values",
    "tuple_type": "a list",
    "literal_error": "{expected}",
    "greater_than_equal": "at least {ge:,g}",
    "less_than_equal": "at most {le:,g}",
    "string_too_short": "at least one character",
    "string_too_long": "at most {max_length} characters",
}
"""What is expected, by pydantic's type of error; filled in from the error's context."""


def explain(error: ValidationError, document: Document, sections: Sections) -> Iterable[Problem]:
    """Each error with its place in the text. What could not even be read is left out: that is told already."""
    for one in error.errors(include_url=False):
        for loc, message in _told(one, sections):
            if not isinstance(document.value(loc), Unreadable):
                is_about_key = one["type"] in {"extra_forbidden", RULES}
                place = document.key_place(loc) if is_about_key else document.value_place(loc)
                yield Problem(place=place, loc=loc, message=message)


def _told(error: Any, sections: Sections) -> list[tuple[Loc, str]]:
    loc: Loc = tuple(str(step) if isinstance(step, str) else step for step in error["loc"])
    context = error.get("ctx", {})
    if error["type"] == RULES:
        return [((*loc, *inner), message) for inner, message in context["problems"]]
    return [(loc, _message(error["type"], error, context, _section(loc[:-1], sections)))]


def _section(loc: Loc, sections: Sections) -> type[BaseModel] | None:
    return sections.get(tuple(step for step in loc if isinstance(step, str)))


def _message(kind: str, error: Any, context: Mapping[str, Any], section: type[BaseModel] | None) -> str:
    key = str(error["loc"][-1]) if error["loc"] else ""
    if kind == "extra_forbidden":
        return f"unknown key; {did_you_mean(key, list(section.model_fields) if section else [])}"
    if kind == "missing":
        field = section.model_fields.get(key) if section else None
        return "is missing. " + ((field.description if field else "") or "")
    if kind == "value_error":
        return str(context["error"])
    found = f"found {shown(error['input'])}"
    if kind not in _EXPECTED:
        return f"{found}: {error['msg']}"
    return f"{found}, expected {_EXPECTED[kind].format(**context)}{_hint(kind, error['input'], context)}"


def _hint(kind: str, value: Any, context: Mapping[str, Any]) -> str:
    if kind == "string_type" and isinstance(value, int | float):
        return "; in quotes it is text"
    if kind == "literal_error" and isinstance(value, str):
        near = nearest(value, re.findall(r"'([^']*)'", context["expected"]))
        return f"; did you mean {near!r}?" if near else ""
    return ""
