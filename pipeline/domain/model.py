"""The generation model: its parameters, their ranges, and what a choice of them means."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from enum import StrEnum
from math import inf
from typing import Any

from pipeline.domain.views import View

MODEL_ID = "model_hunyuan-3d-pro-3-1-multiview"
"""Scenario's Hunyuan 3D 3.1 Pro (Multiview)."""


class ParameterType(StrEnum):
    NUMBER = "number"
    STRING = "string"
    BOOLEAN = "boolean"
    FILE = "file"


_SPELLED = {ParameterType.BOOLEAN: " (true or false)"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One input of a model, as its schema tells it."""

    name: str
    type: ParameterType
    required: bool = False
    default: Any = None
    min: float | None = None
    max: float | None = None
    allowed: tuple[Any, ...] = ()
    cost_impact: bool = True

    def problem(self, value: Any) -> str | None:
        """Why ``value`` cannot be used, as the end of a sentence; None when it can."""
        match self.type:
            case ParameterType.BOOLEAN:
                fits = isinstance(value, bool)
            case ParameterType.NUMBER:
                fits = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < inf
            case ParameterType.STRING | ParameterType.FILE:
                fits = isinstance(value, str)
        if not fits:
            return f"{value!r} is no {self.type}{_SPELLED.get(self.type, '')}"
        if self.allowed and value not in self.allowed:
            near = get_close_matches(str(value), [str(one) for one in self.allowed], n=1, cutoff=0.4)
            hint = f" (nearest: {near[0]})" if near else ""
            return f"{value!r} is none of {', '.join(map(str, self.allowed))}{hint}"
        if self.min is not None and value < self.min:
            return f"{value} is below {self.min:,.0f}"
        if self.max is not None and value > self.max:
            return f"{value} is above {self.max:,.0f}"
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSchema:
    """All inputs of one model by name, views included."""

    model_id: str
    parameters: Mapping[str, Parameter]

    @property
    def choices(self) -> dict[str, Parameter]:
        """The inputs that are not pictures."""
        return {name: one for name, one in self.parameters.items() if one.type is not ParameterType.FILE}

    def problems(self, params: Mapping[str, Any]) -> list[str]:
        """What is wrong with these parameters, a sentence each; empty when all are in order."""
        found = []
        for name, value in params.items():
            parameter = self.choices.get(name)
            if parameter is None:
                near = get_close_matches(name, self.choices, n=1)
                hint = f"; did you mean {near[0]}?" if near else f"; it has {', '.join(self.choices)}"
                found.append(f"the model has no parameter {name!r}{hint}")
            elif why := parameter.problem(value):
                found.append(f"{name}: {why}")
        return found

    def complete(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """The parameters with the model's defaults filled in, in the schema's order: equal choices, equal values.

        What the schema does not know stays as it is: the service will say.
        """
        return {name: one.default for name, one in self.choices.items()} | dict(params)

    def price_relevant(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Those of the completed parameters that the price depends on."""
        return {
            name: value for name, value in params.items() if name not in self.choices or self.choices[name].cost_impact
        }


PICTURE_MIN_PX = 128
PICTURE_MAX_PX = 5000
PICTURE_MAX_BYTES = 8 * 1024 * 1024

_CHOICES = (
    Parameter(name="faceCount", type=ParameterType.NUMBER, default=500_000, min=40_000, max=1_500_000),
    Parameter(name="generateType", type=ParameterType.STRING, default="Normal", allowed=("Normal", "Geometry")),
    Parameter(name="enablePbr", type=ParameterType.BOOLEAN, default=False),
)

PUBLISHED_SCHEMA = ModelSchema(
    model_id=MODEL_ID,
    parameters={
        **{
            view.field: Parameter(
                name=view.field, type=ParameterType.FILE, required=view is View.FRONT, cost_impact=False
            )
            for view in View
        },
        **{one.name: one for one in _CHOICES},
    },
)
"""The model as its published page tells it: used offline and where the live schema is not to be had."""


def schema_known_of(model: str) -> ModelSchema:
    """What is known of a model without asking: nothing, but for the one whose page is published."""
    return PUBLISHED_SCHEMA if model == MODEL_ID else ModelSchema(model_id=model, parameters={})


def without_ranges(schema: ModelSchema) -> ModelSchema:
    """The schema's names and types alone: a live service may allow other values than its published page says."""
    parameters = {name: replace(one, min=None, max=None, allowed=()) for name, one in schema.parameters.items()}
    return replace(schema, parameters=parameters)


def wants_texture(params: Mapping[str, Any]) -> bool:
    return params.get("generateType") != "Geometry"


def wants_pbr(params: Mapping[str, Any]) -> bool:
    """``enablePbr`` has no effect on a mesh without textures."""
    return bool(params.get("enablePbr")) and wants_texture(params)
