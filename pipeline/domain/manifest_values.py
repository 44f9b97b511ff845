"""The kinds of values that a manifest holds, each with its check.

A ValueError says what was found and what is expected.
"""

import re
import unicodedata
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from pathlib import PurePosixPath, PureWindowsPath
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from pipeline.domain.manifest_text import Loc
from pipeline.domain.naming import is_portable
from pipeline.domain.window import Window, window_of

IN_FLIGHT_MAX = 1000
NAME_MAX_BYTES = 64

RULES = "rules"
"""The type of the validation error that carries several problems, each at its own place."""


def refuse(problems: Sequence[tuple[Loc, str]]) -> None:
    """Raise all ``problems`` (places relative to the value being checked) at once; no problem, no error."""
    if problems:
        raise PydanticCustomError(RULES, "{count} problems", {"count": len(problems), "problems": tuple(problems)})


def shown(value: Any) -> str:
    """A value as a person would write it, shortened."""
    match value:
        case None:
            return "nothing"
        case bool():
            return str(value).lower()
        case int() | float():
            return f"the number {value}"
        case str():
            return repr(value if len(value) <= 60 else value[:57] + "...")  # noqa: PLR2004 - a line stays readable
        case dict():
            return "a mapping"
        case _:
            return "a list"


def nearest(word: str, names: Sequence[str], *, cutoff: float = 0.6) -> str:
    """The name that looks most like ``word``, case ignored; empty when none does."""
    by_fold = {name.casefold(): name for name in names}
    found = get_close_matches(word.casefold(), by_fold, n=1, cutoff=cutoff)
    return by_fold[found[0]] if found else ""


def did_you_mean(word: str, names: Sequence[str]) -> str:
    """``did you mean 'params'?``, or all names when none is near."""
    near = nearest(word, names)
    return f"did you mean {near!r}?" if near else f"expected one of {', '.join(names)}"


_DURATION = re.compile(
    r"(?:(?P<d>\d+(?:\.\d+)?) *(?:d|days?) *)?(?:(?P<h>\d+(?:\.\d+)?) *(?:h|hours?) *)?"
    r"(?:(?P<m>\d+(?:\.\d+)?) *(?:m|min|minutes?) *)?(?:(?P<s>\d+(?:\.\d+)?) *(?:s|sec|seconds?))?",
    re.ASCII,
)
"""Every space has one place where it can be taken: a text that is no duration is refused in linear time."""
_SECONDS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
DAY_S = 86_400.0


def duration_s(text: str) -> float:
    """Seconds of ``90s``, ``1h30m``, ``2 days``.

    Raises:
        ValueError: no such text.
    """
    found = _DURATION.fullmatch(text.strip())
    if not found or not any(found.groups()):
        raise ValueError(f"{text!r} is no duration")
    return sum(float(number) * _SECONDS[unit] for unit, number in found.groupdict().items() if number)


def _duration(at_least_s: float, at_most_s: float) -> Callable[[Any], Any]:
    expected = (
        f"expected a duration from {duration_text(at_least_s)} to {duration_text(at_most_s)}, such as 90s, 1h30m, 2d"
    )

    def check(value: Any) -> Any:
        if isinstance(value, int | float) and not isinstance(value, bool):
            raise ValueError(f"found the number {value} without a unit, {expected}")  # noqa: TRY004 - pydantic takes ValueError
        if not isinstance(value, str):
            raise ValueError(f"found {shown(value)}, {expected}")  # noqa: TRY004 - pydantic takes ValueError
        try:
            seconds = duration_s(value)
        except ValueError:
            raise ValueError(f"found {shown(value)}, {expected}") from None
        if not at_least_s <= seconds <= at_most_s:
            raise ValueError(f"found {shown(value)}, {expected}")
        return seconds

    return check


def duration_text(seconds: float) -> str:
    """``90s``, ``2h``: what ``duration_s`` reads."""
    unit = next((unit for unit, size in _SECONDS.items() if seconds >= size and seconds % size == 0), "s")
    return f"{seconds / _SECONDS[unit]:g}{unit}"


_WINDOW_PATTERN = r"^ *([01]?\d|2[0-3]):[0-5]\d *- *(([01]?\d|2[0-3]):[0-5]\d|24:00) *$"
_DURATION_SCHEMA = WithJsonSchema(
    {
        "type": "string",
        "pattern": r"^(\d+(\.\d+)? *(d|days?|h|hours?|m|min|minutes?|s|sec|seconds?) *)+$",
        "examples": ["90s", "1h30m", "2d"],
    }
)
long_duration_s = _duration(1.0, 30 * DAY_S)
"""Seconds of a duration's text, from a second to 30 days; a ValueError otherwise."""

ShortDuration = Annotated[float, BeforeValidator(_duration(0.0, 3600.0)), _DURATION_SCHEMA]
LongDuration = Annotated[float, BeforeValidator(long_duration_s), _DURATION_SCHEMA]


def clock_window(value: Any) -> Window:
    """The window of a text; a ValueError otherwise."""
    expected = "expected times of day in which submissions may begin, such as 22:00-06:00"
    try:
        return window_of(value if isinstance(value, str) else "")
    except ValueError as error:
        why = "" if "no window" in str(error) else f" ({error})"
        raise ValueError(f"found {shown(value)}{why}, {expected}") from None


ClockWindow = Annotated[
    Window,
    PlainValidator(clock_window),
    WithJsonSchema({"type": "string", "pattern": _WINDOW_PATTERN, "examples": ["22:00-06:00"]}),
]


def _clean(text: str, expected: str) -> str:
    """The text, when it holds something printable and nothing else."""
    if not text.strip():
        raise ValueError(f"found {shown(text)}, expected {expected}")
    odd = next((sign for sign in text if unicodedata.category(sign) in {"Cc", "Cs", "Zl", "Zp"}), "")
    if odd:
        raise ValueError(f"found the control character U+{ord(odd):04X}, expected {expected}")
    return text


def _path(text: str) -> str:
    _clean(text, "a path, relative to the manifest or absolute")
    if text.startswith("~"):
        raise ValueError(f"found {shown(text)}, expected a path without ~: write ${{HOME}} in its place")
    return text


def _portable(text: str) -> str:
    if not is_portable(text) or "@" in text or len(text.encode()) > NAME_MAX_BYTES:
        expected = "a name that can be a file's on every system (letters, digits, and . _ - within)"
        raise ValueError(f"found {shown(text)}, expected {expected}")
    return text


def _set_id(text: str) -> str:
    _clean(text, "a set id such as hero/helmet")
    if any(part.strip(" .") == "" for part in text.split("/")):
        raise ValueError(f"found {shown(text)}, expected names with one / between them, none empty, none . or ..")
    return text


def _file_name(text: str) -> str:
    _clean(text, "a file name")
    parts = (PurePosixPath(text), PureWindowsPath(text))
    if any(path.is_absolute() or path.drive or ".." in path.parts for path in parts):
        raise ValueError(f"found {shown(text)}, expected a file inside the set's folder")
    return text


def _model(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", text):
        raise ValueError(f"found {shown(text)}, expected a model id such as model_hunyuan-3d-pro-3-1-multiview")
    return text


def _backend(text: str) -> str:
    if text in {"local", "scenario"}:
        return text
    expected = "expected local, scenario, or the base URL of a compatible service (http://127.0.0.1:8080/v1)"
    if "://" not in text:
        near = nearest(text, ("local", "scenario"))
        raise ValueError(f"found {shown(text)}, {expected}" + (f"; did you mean {near!r}?" if near else ""))
    try:
        url = urlsplit(text)
        usable = url.scheme in {"http", "https"} and url.hostname and (url.port or 1)
    except ValueError:
        usable = False
    if not usable:
        raise ValueError(f"found {shown(text)}, {expected}")
    if url.username is not None or url.password is not None:
        raise ValueError("the URL holds a user name or password, expected a URL without: set the environment variables")
    if url.query or url.fragment or re.search(r"\s", text):
        raise ValueError("the URL holds a query, a fragment or a space, expected a base URL alone")
    return text.rstrip("/")


_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_PICTURE_SUFFIX = re.compile(r"\.(png|jpe?g|webp|tiff?|avif|hei[cf])$", re.IGNORECASE)


def _pattern(text: str) -> str:
    expected = "expected {set} and {view} once each with text between them, such as '{set}_{view}'"
    names = _PLACEHOLDER.findall(text)
    if sorted(names) != ["set", "view"] or re.search(r"[{}]", _PLACEHOLDER.sub("", text)) or "}{" in text:
        raise ValueError(f"found {shown(text)}, {expected}")
    if "/" in text or "\\" in text:
        raise ValueError(f"found {shown(text)}, expected the pattern of a file name without folders")
    if _PICTURE_SUFFIX.search(text):
        raise ValueError(f"found {shown(text)}, expected a pattern without the file's suffix")
    return text


def _in_flight(value: Any) -> Any:
    if value == "auto" or (isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= IN_FLIGHT_MAX):
        return value
    raise ValueError(f"found {shown(value)}, expected auto or a whole number from 1 to {IN_FLIGHT_MAX}")


PathText = Annotated[str, AfterValidator(_path)]
PortableName = Annotated[str, Field(min_length=1, max_length=NAME_MAX_BYTES), AfterValidator(_portable)]
SetId = Annotated[str, Field(min_length=1, max_length=400), AfterValidator(_set_id)]
FileName = Annotated[str, AfterValidator(_file_name)]
ModelId = Annotated[str, AfterValidator(_model)]
Backend = Annotated[
    str,
    AfterValidator(_backend),
    WithJsonSchema({"anyOf": [{"enum": ["local", "scenario"]}, {"type": "string", "pattern": "^https?://"}]}),
]
Pattern = Annotated[
    str, AfterValidator(_pattern), WithJsonSchema({"type": "string", "pattern": r"\{set\}.+\{view\}|\{view\}.+\{set\}"})
]
InFlight = Annotated[
    int | Literal["auto"],
    BeforeValidator(_in_flight),
    WithJsonSchema({"anyOf": [{"const": "auto"}, {"type": "integer", "minimum": 1, "maximum": IN_FLIGHT_MAX}]}),
]
