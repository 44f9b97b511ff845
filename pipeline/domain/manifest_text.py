"""Strict YAML: text in, plain data out, with the place of every key and value and every problem found on the way.

Scalars mean what YAML 1.2's core schema says: ``on``, ``yes``, dates and ``1:30`` are text, ``010`` is ten. Values may
name environment variables: ``${VAR}``, ``${VAR:-default}``; ``$${`` stands for ``${``.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import yaml

Loc = tuple[str | int, ...]
"""The way to a value: keys and indices, such as ``("sets", 0, "path")``."""

TEXT_MAX_CHARACTERS = 16 * 1024 * 1024
DEPTH_MAX = 32
NODES_MAX = 1_000_000
"""Values in a whole manifest, each alias counted as often as it is used."""
KEY_MAX_CHARACTERS = 80
MESSAGE_MAX_CHARACTERS = 600
"""Of a key and of what is said of it: a line stays one that a person can read."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Place:
    """Where something stands in a text; both count from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong with a document, as the end of a line that begins with its place."""

    place: Place
    loc: Loc
    message: str

    def __str__(self) -> str:
        where = f"{self.place.line}:{self.place.column}: "
        return (
            where + (f"{key_path(self.loc)}: " if self.loc else "") + _shortened(self.message, MESSAGE_MAX_CHARACTERS)
        )


class Unreadable:
    """Stands where a value could not be read; the problem is told already."""


UNREADABLE: Final = Unreadable()


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """What a text says. Lists come as tuples. ``data`` is UNREADABLE when the text is no YAML at all."""

    data: Any
    problems: tuple[Problem, ...]
    keys: Mapping[Loc, Place]
    values: Mapping[Loc, Place]

    def key_place(self, loc: Loc) -> Place:
        """Where the key that ends ``loc`` stands, or else the value."""
        return self.keys.get(loc) or self.value_place(loc)

    def value_place(self, loc: Loc) -> Place:
        """Where the value at ``loc`` stands, or else the nearest value around it."""
        while loc and loc not in self.values:
            loc = loc[:-1]
        return self.values.get(loc, Place(line=1, column=1))

    def value(self, loc: Loc) -> Any:
        """The value at ``loc``; None where there is none."""
        found = self.data
        for step in loc:
            try:
                found = found[step]
            except (KeyError, IndexError, TypeError):
                return None
        return found


def key_path(loc: Loc) -> str:
    """``sets[0].params.faceCount``; what no key is as long as is shortened."""
    text = ""
    for step in loc:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            text += ("." if text else "") + _shortened(step, KEY_MAX_CHARACTERS)
    return text


def _shortened(text: str, most_characters: int) -> str:
    return text if len(text) <= most_characters else text[: most_characters - 3] + "..."


def read_document(text: str, *, environ: Mapping[str, str]) -> Document:
    """Read one YAML document. Never raises: what is wrong stands in ``problems``."""
    reading = _Reading(environ=environ)
    try:
        data = reading.document(_checked(text))
    except _Stop as stop:
        reading.problems.append(stop.problem)
        data = UNREADABLE
    return Document(data=data, problems=tuple(reading.problems), keys=reading.keys, values=reading.values)


class _Stop(Exception):
    """Reading cannot go on after this problem."""

    def __init__(self, place: Place, message: str, loc: Loc = ()) -> None:
        super().__init__(message)
        self.problem = Problem(place=place, loc=loc, message=message)


def _checked(text: str) -> str:
    if len(text) > TEXT_MAX_CHARACTERS:
        raise _Stop(
            Place(line=1, column=1), f"the text has {len(text):,} characters, expected at most {TEXT_MAX_CHARACTERS:,}"
        )
    return text.removeprefix("\ufeff")


@dataclass(slots=True, kw_only=True)
class _Built:
    """A value that an alias may name again, and how many values it is made of."""

    value: Any
    nodes: int


@dataclass(slots=True, kw_only=True)
class _Reading:
    """The state of one pass over a text: events become plain data, places and problems are noted on the way."""

    environ: Mapping[str, str]
    problems: list[Problem] = field(default_factory=list)
    keys: dict[Loc, Place] = field(default_factory=dict)
    values: dict[Loc, Place] = field(default_factory=dict)
    anchors: dict[str, _Built] = field(default_factory=dict)
    nodes: int = 0
    is_shielded: bool = False

    def document(self, text: str) -> Any:
        shielded, self.is_shielded = _shield(text)
        events = _events(text, shielded)
        first = next((event for event in events if not isinstance(event, _STRUCTURE)), None)
        if first is None:
            raise _Stop(Place(line=1, column=1), "the text is empty, expected a mapping of keys and values")
        data = self._node(first, events, ())
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                raise _Stop(_place(event), "a second document begins here, expected one document in the file")
        return data

    def _note(self, place: Place, loc: Loc, message: str) -> None:
        self.problems.append(Problem(place=place, loc=loc, message=message))

    def _node(self, event: yaml.Event, events: Iterator[yaml.Event], loc: Loc) -> Any:
        before = self.nodes
        place = self.values[loc] = _place(event)
        self._count(1, place, loc)
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, place, loc)
        assert isinstance(event, yaml.ScalarEvent | yaml.SequenceStartEvent | yaml.MappingStartEvent)
        if event.tag is not None:
            self._note(place, loc, f"found the tag {event.tag}, expected a value without one")
        value = self._value(event, events, loc)
        if event.anchor:
            self.anchors[event.anchor] = _Built(value=value, nodes=self.nodes - before)
        return value

    def _value(
        self,
        event: yaml.ScalarEvent | yaml.SequenceStartEvent | yaml.MappingStartEvent,
        events: Iterator[yaml.Event],
        loc: Loc,
    ) -> Any:
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(events, loc)
        if isinstance(event, yaml.MappingStartEvent):
            return self._mapping(events, loc)
        return self._scalar(event, loc)

    def _count(self, nodes: int, place: Place, loc: Loc) -> None:
        self.nodes += nodes
        if self.nodes > NODES_MAX:
            raise _Stop(place, f"more than {NODES_MAX:,} values, aliases counted as often as they are used", loc)
        if len(loc) > DEPTH_MAX:
            raise _Stop(place, f"values are nested more than {DEPTH_MAX} deep")

    def _alias(self, event: yaml.AliasEvent, place: Place, loc: Loc) -> Any:
        built = self.anchors.get(event.anchor or "")
        if built is None:
            self._note(place, loc, f"*{event.anchor} names no value above; text that begins with * stands in quotes")
            return UNREADABLE
        self._count(built.nodes, place, loc)
        return built.value

    def _sequence(self, events: Iterator[yaml.Event], loc: Loc) -> tuple[Any, ...]:
        found: list[Any] = []
        for event in events:
            if isinstance(event, yaml.SequenceEndEvent):
                break
            found.append(self._node(event, events, (*loc, len(found))))
        return tuple(found)

    def _mapping(self, events: Iterator[yaml.Event], loc: Loc) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for event in events:
            if isinstance(event, yaml.MappingEndEvent):
                break
            key = self._key(event, events, loc)
            is_new = key is not None and key not in found
            inner = (*loc, key if is_new else "") if key is not None else (*loc, "?")
            if is_new:
                self.keys[inner] = _place(event)
            elif key is not None:
                first = self.keys[(*loc, key)]
                self._note(_place(event), (*loc, key), f"this key stands already at {first.line}:{first.column}")
            value = self._node(next(events), events, inner)
            if key is not None and is_new:
                found[key] = value
        return found

    def _key(self, event: yaml.Event, events: Iterator[yaml.Event], loc: Loc) -> str | None:
        """The key's text; None, with its problem noted, when it is no text."""
        if isinstance(event, yaml.ScalarEvent):
            text = _unshield(event.value) if self.is_shielded else event.value
            if event.style or isinstance(_resolve(text), str):
                return str(text)
            self._note(_place(event), loc, f"found the key {text or 'null'}, expected text: write {text!r} in quotes")
        else:
            hint = "; a value that begins with ${ stands in quotes" if isinstance(event, yaml.MappingStartEvent) else ""
            self._note(_place(event), loc, f"found a key that is no text, expected a word{hint}")
            self._node(event, events, (*loc, "?"))
        return None

    def _scalar(self, event: yaml.ScalarEvent, loc: Loc) -> Any:
        text = _unshield(event.value) if self.is_shielded else event.value
        is_plain = not event.style
        if "${" not in text:
            return _resolve(text) if is_plain else text
        filled, why = _fill(text, self.environ)
        if why:
            self._note(self.values[loc], loc, why)
            return UNREADABLE
        return _resolve(filled) if is_plain and filled else filled


_STRUCTURE = (yaml.StreamStartEvent, yaml.StreamEndEvent, yaml.DocumentStartEvent, yaml.DocumentEndEvent)
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def _place(event: yaml.Event) -> Place:
    return _place_of(event.start_mark)


def _place_of(mark: Any) -> Place:
    """The place of a parser's mark; the text's beginning where the parser gives none."""
    return Place(line=mark.line + 1, column=mark.column + 1) if mark else Place(line=1, column=1)


def _events(text: str, shielded: str) -> Iterator[yaml.Event]:
    """The parser's events; its errors as _Stop, in our words."""
    try:
        yield from yaml.parse(shielded, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        raise _syntax(error, text) from error
    except yaml.reader.ReaderError as error:
        place = _place_of_character(text)
        raise _Stop(place, "a control character, expected printable text saved as UTF-8") from error
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        raise _Stop(_place_of_character(text), f"no YAML: {error}") from error


def _syntax(error: yaml.MarkedYAMLError, text: str) -> _Stop:
    place = _place_of(error.problem_mark or error.context_mark)
    lines = text.splitlines()
    line = lines[place.line - 1] if place.line <= len(lines) else ""
    if "\t" in line[: place.column]:
        return _Stop(place, "a tab, expected spaces: YAML indents with spaces alone")
    what = " ".join(part for part in (error.problem, error.context) if part) or "cannot be read"
    return _Stop(place, f"no YAML: {_unshield(what)}")


_UNPRINTABLE = re.compile(r"[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def _place_of_character(text: str) -> Place:
    found = _UNPRINTABLE.search(text)
    before = text[: found.start()] if found else ""
    return Place(line=before.count("\n") + 1, column=len(before) - before.rfind("\n"))


_NULL = re.compile(r"|~|null|Null|NULL")
_TRUE = re.compile(r"true|True|TRUE")
_FALSE = re.compile(r"false|False|FALSE")
_INTEGER = re.compile(r"[-+]?[0-9]{1,18}")
_BASED = re.compile(r"0o[0-7]{1,18}|0x[0-9a-fA-F]{1,15}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]{1,40}|[0-9]{1,40}(\.[0-9]{0,40})?)([eE][-+]?[0-9]{1,2})?")


def _resolve(text: str) -> str | int | float | bool | None:
    """What a plain scalar means. Numbers that no setting could hold (infinite, too long) stay text."""
    if _NULL.fullmatch(text):
        return None
    if _TRUE.fullmatch(text):
        return True
    if _FALSE.fullmatch(text):
        return False
    if _INTEGER.fullmatch(text):
        return int(text)
    if _BASED.fullmatch(text):
        return int(text, 0)
    return float(text) if _FLOAT.fullmatch(text) else text


_VARIABLE = re.compile(
    r"(?P<escaped>\$\$\{)|\$\{(?:(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>(?:[^}$]|\$(?!\{))*))?\})?"
)
_CREDENTIALS = frozenset({"SCENARIO_SDK_API_KEY", "SCENARIO_SDK_API_SECRET"})


def _fill(text: str, environ: Mapping[str, str]) -> tuple[str, str]:
    """The text with its variables filled in, or why that cannot be done."""
    why = ""

    def one(found: re.Match[str]) -> str:
        nonlocal why
        if found["escaped"]:
            return "${"
        name = found["name"]
        if not name:
            why = "found a ${ that names no variable, expected ${NAME} or ${NAME:-default}; $${ stands for ${ itself"
        elif name in _CREDENTIALS:
            why = f"${{{name}}}: credentials are read from the environment by themselves and never stand in a manifest"
        elif name in environ and (environ[name] or found["default"] is None):
            return environ[name]
        elif found["default"] is None:
            why = f"the environment variable {name} is not set: set it, or write ${{{name}:-default}}"
        return found["default"] or ""

    filled = _VARIABLE.sub(one, text)
    return filled, why


_NAMED = re.compile(r"\$\{[^{}\n\"'\\]*\}")
_SHIELD = {ord(sign): 0xE000 + ord(sign) for sign in "{}[],:#&*!|>%@` "}
_SHIELDED = re.compile("[\ue020-\ue07f]")


def _shield(text: str) -> tuple[str, bool]:
    """Hide the signs inside ``${...}`` from YAML, one for one, so that ``{faceCount: ${FACES:-1}}`` can be written."""
    if "${" not in text or _SHIELDED.search(text):
        return text, False
    return _NAMED.sub(lambda found: found[0].translate(_SHIELD), text), True


def _unshield(text: str) -> str:
    return _SHIELDED.sub(lambda found: chr(ord(found[0]) - 0xE000), text)
