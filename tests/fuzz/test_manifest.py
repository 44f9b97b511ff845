"""Manifests of every kind: read, or refused in words with a place, and nothing else."""

import json
import re
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from pipeline.domain.errors import UsageError
from pipeline.domain.manifest import PROBLEMS_SHOWN, Manifest, load_manifest
from pipeline.domain.manifest_schema import manifest_schema
from pipeline.domain.manifest_text import MESSAGE_MAX_CHARACTERS
from pipeline.domain.views import View

FILE = Path("/projects/props.yaml")
SCHEMA = Draft202012Validator(manifest_schema())
LINE = re.compile(rf"{re.escape(str(FILE))}:([1-9]\d*):([1-9]\d*): ")

PARAMS = st.fixed_dictionaries(
    {},
    optional={
        "faceCount": st.integers(40_000, 1_500_000),
        "generateType": st.sampled_from(["Normal", "Geometry"]),
        "enablePbr": st.booleans(),
    },
)
WORDS = st.from_regex(r"[a-zé東][a-z0-9_é東]{0,11}", fullmatch=True).filter(
    lambda it: not re.match("copy|con|nul|aux|prn|com|lpt", it)
)
PATHS = st.lists(WORDS, min_size=1, max_size=4).map("/".join)
FOLDERS = st.fixed_dictionaries(
    {"path": PATHS},
    optional={
        "id": PATHS,
        "params": PARAMS,
        "copies": st.integers(1, 100),
        "consistency": st.sampled_from(["hold", "warn", "skip"]),
        "views": st.dictionaries(st.sampled_from([one.value for one in View]), WORDS, max_size=8).map(
            lambda it: {view: f"{at}{file}.png" for at, (view, file) in enumerate({"front": "F", **it}.items())}
        ),
    },
)
GLOBS = st.fixed_dictionaries(
    {"path": PATHS.map(lambda it: f"{it}/*")}, optional={"exclude": st.lists(WORDS, max_size=3), "params": PARAMS}
)
FLAT = st.fixed_dictionaries(
    {"path": PATHS, "pattern": st.sampled_from(["{set}_{view}", "{view}-{set}", "x {set} {view} y"])}
)
VARIANTS = st.lists(
    st.fixed_dictionaries({"name": WORDS, "params": PARAMS}), max_size=4, unique_by=lambda it: it["name"]
)
DURATIONS = st.builds(
    lambda number, unit: f"{number}{unit}", st.integers(1, 59), st.sampled_from(["s", " minutes", "m"])
)
MANIFESTS = st.fixed_dictionaries(
    {
        "version": st.just(1),
        "name": WORDS,
        "backend": st.sampled_from(["local", "scenario", "http://127.0.0.1:8080/v1", "https://meshes.example/v1"]),
        "output": PATHS,
        "sets": st.lists(FOLDERS | GLOBS | FLAT, min_size=1, max_size=3),
    },
    optional={
        "project": WORDS,
        "state": PATHS,
        "model": st.just("model_hunyuan-3d-pro-3-1-multiview"),
        "defaults": PARAMS,
        "variants": VARIANTS,
        "limits": st.fixed_dictionaries(
            {}, optional={"in_flight": st.just("auto") | st.integers(1, 1000), "uploads": st.integers(1, 64), "max_duration": DURATIONS}
        ),
        "budget": st.fixed_dictionaries({}, optional={"max_cu": st.integers(0, 10**9) | st.just(0.5)}),
        "preflight": st.fixed_dictionaries({}, optional={"consistency": st.sampled_from(["hold", "warn", "skip"])}),
        "acceptance": st.fixed_dictionaries({}, optional={"min_silhouette_iou": st.floats(0, 1).map(lambda it: round(it, 3))}),
        "uploads": st.fixed_dictionaries({}, optional={"hide": st.booleans(), "collections": st.lists(WORDS, max_size=2)}),
        "uncertain": st.fixed_dictionaries({}, optional={"policy": st.sampled_from(["ask", "reconcile"]), "settle": DURATIONS}),
        "previews": st.booleans(),
    },
)  # fmt: skip
ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["${A}", "${A:-1}", "$${", "${", "~", "1e999", "-.inf", ".nan", "0x1F", "0o17", "2031-05-01", "1:30", "@", "", " ", "a" * 5000, "1" * 400, "..", "/", "~/x", "{set}", "auto", "=1", "\u2028", "\x85", "\x1b[31m"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8) | st.sampled_from(["path", "params", "front"]), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip
NOISE = st.text(max_size=3) | st.sampled_from(
    ["\t", "\ufeff", "\r\n", "\r", "\x00", "\x1b", "\x85", "\u2028", "\ud800", "\ue024", "${", "${A}", "${A:-", "}", "$${", "&a ", "*a", "!!python/object:os.system ", "%YAML 1.1\n", "---\n", "...\n", "? ", ": ", "- ", "{", "[", "]", "'", '"', "#", "|", ">", "<<: ", "!", "@", "`", "\n", "  ", "name: x\n", "9" * 400]
)  # fmt: skip
STYLES = st.sampled_from(
    [
        lambda it: yaml.safe_dump(it, allow_unicode=True, sort_keys=False),
        lambda it: yaml.safe_dump(it, default_flow_style=True, width=40),
        lambda it: yaml.safe_dump(it, allow_unicode=True, indent=8).replace("\n", "\r\n"),
        lambda it: "\ufeff" + json.dumps(it, indent=1, ensure_ascii=False),
    ]
)


def loaded(text: str, **environ: str) -> Manifest | None:
    """The manifest, or None where it is refused: in words, each with a place that is in the text."""
    try:
        return load_manifest(text, file=FILE, environ=environ)
    except UsageError as error:
        problems = error.problems
    assert 0 < len(problems) <= PROBLEMS_SHOWN + 1
    for line in problems[:PROBLEMS_SHOWN]:
        found = LINE.match(line)
        assert found, line
        assert int(found[1]) <= len(text.splitlines()) + 1
        assert len(line) < MESSAGE_MAX_CHARACTERS + 3000
    return None


def quoted(document: Any) -> str:
    """As YAML in which every text is in quotes, and everything else is what YAML 1.2 reads."""
    return json.dumps(document, ensure_ascii=True, indent=1)


def places(document: Any, way: tuple = ()) -> list[tuple]:
    """The ways to all values in a document."""
    inner = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    return [way] * bool(way) + [one for step, value in inner for one in places(value, (*way, step))]


def around(document: Any, way: tuple) -> Any:
    for step in way[:-1]:
        document = document[step]
    return document


@st.composite
def mutated(draw) -> dict[str, Any]:
    """A valid manifest with one thing changed, left out, added, or taken for another."""
    document = deepcopy(draw(MANIFESTS))
    way = draw(st.sampled_from(places(document)))
    parent = around(document, way)
    match draw(st.sampled_from(["other", "gone", "more", "swapped"])):
        case "other":
            parent[way[-1]] = draw(ANYTHING)
        case "gone":
            del parent[way[-1]]
        case "more" if isinstance(parent, dict):
            parent[draw(st.text(max_size=12))] = draw(ANYTHING)
        case "more":
            parent.append(draw(ANYTHING))
        case "swapped":
            other = draw(st.sampled_from(places(document)))
            parent[way[-1]] = deepcopy(around(document, other)[other[-1]])
    return document


@given(MANIFESTS, STYLES, STYLES)
def test_a_valid_manifest_means_the_same_however_it_is_written(document, one, other) -> None:
    first, second = loaded(one(document)), loaded(other(document))
    assert first
    assert second
    assert first.model_dump() == second.model_dump()


@given(MANIFESTS)
def test_what_was_read_can_be_written_and_read_again(document) -> None:
    first = loaded(quoted(document))
    assert first
    said = first.model_dump(mode="json", exclude_unset=True)
    for section, name in (("limits", "max_duration"), ("uncertain", "settle")):
        if name in said.get(section, {}):
            said[section][name] = f"{said[section][name]:g}s"
    again = loaded(quoted(said))
    assert again
    assert again.model_dump() == first.model_dump()


TEXT_TO_THE_LOADER = re.compile(r"e[-+]?\d{3}|Infinity|NaN")
"""In JSON: numbers that no setting could hold."""


@given(mutated(), st.text(max_size=12))
def test_what_the_loader_takes_the_schema_takes(document, variable) -> None:
    """An editor never underlines a good manifest; what it cannot say, the loader does."""
    manifest = loaded(quoted(document), A=variable)
    if manifest and "${" not in quoted(document) and not TEXT_TO_THE_LOADER.search(quoted(document)):
        shown = {key: value for key, value in document.items() if value is not None}
        assert not [error.message for error in SCHEMA.iter_errors(without_empty(shown))]


def without_empty(document: Any) -> Any:
    """A key with nothing behind it is left out: the loader reads it so, the schema does not say it."""
    if isinstance(document, dict):
        return {key: without_empty(value) for key, value in document.items() if value is not None}
    return [without_empty(one) for one in document] if isinstance(document, list) else document


def section(document: Any, way: tuple) -> dict[str, Any]:
    """The mapping at the end of the way, made where it is left out."""
    for step in way:
        document = document.setdefault(step, {}) if isinstance(document, dict) else document[step]
    return document


UNFIT: list[tuple[tuple, Any]] = [
    ((), {"sets": []}),
    ((), {"version": 2}),
    ((), {"version": "1"}),
    ((), {"version": True}),
    ((), {"name": 7}),
    ((), {"output": None}),
    ((), {"backend": "ftp://x"}),
    (("budget",), {"max_cu": -1}),
    (("budget",), {"max_cu": "7"}),
    (("limits",), {"uploads": 65}),
    (("limits",), {"in_flight": 0}),
    (("limits",), {"max_duration": 7}),
    (("uncertain",), {"policy": "hope"}),
    (("uploads",), {"hide": 1}),
    (("uploads",), {"collections": "a"}),
    (("defaults",), {"faceCount": 39_999}),
    (("defaults",), {"enablePbr": "true"}),
    (("sets", 0), {"copies": 101}),
    (("sets", 0), {"path": 3}),
]


@given(MANIFESTS, st.sampled_from(UNFIT))
def test_what_is_out_of_type_or_range_is_refused_by_both(document, unfit) -> None:
    way, change = unfit
    section(document, way).update(change)
    assert loaded(quoted(document)) is None
    assert not SCHEMA.is_valid(document)


SECTIONS = [
    (),
    ("limits",),
    ("budget",),
    ("preflight",),
    ("acceptance",),
    ("uploads",),
    ("uncertain",),
    ("defaults",),
    ("sets", 0),
]


@given(MANIFESTS, st.sampled_from(SECTIONS), st.text(alphabet="abc", min_size=1, max_size=5))
def test_unknown_keys_are_refused_by_both(document, way, key) -> None:
    section(document, way)[f"{key}zz"] = 1
    assert loaded(quoted(document)) is None
    assert not SCHEMA.is_valid(document)


@given(MANIFESTS, STYLES, st.lists(st.tuples(st.floats(0, 1), NOISE), min_size=1, max_size=3), st.text(max_size=6))
def test_noise_anywhere_is_read_or_refused(document, style, noise, variable) -> None:
    text = style(document)
    for where, what in noise:
        at = int(where * len(text))
        text = text[:at] + what + text[at:]
    loaded(text, A=variable)


@given(MANIFESTS, st.floats(0, 1), st.floats(0, 1), STYLES)
def test_a_cut_is_read_or_refused(document, one, other, style) -> None:
    text = style(document)
    start, end = sorted((int(one * len(text)), int(other * len(text))))
    loaded(text[:start] + text[end:])
    loaded(text[start:end])


@given(st.text() | st.binary().map(lambda it: it.decode("latin-1")), st.text())
def test_any_text_is_read_or_refused(text, variable) -> None:
    assert loaded(text, A=variable) is None


@given(ANYTHING, STYLES)
def test_any_document_is_read_or_refused(document, style) -> None:
    assert loaded(style(document)) is None


@given(st.text(), st.booleans())
def test_a_variable_is_never_read_as_yaml(value, is_quoted) -> None:
    """Whatever the environment holds, it stays one value at its place."""
    mark = "'" if is_quoted else ""
    manifest = loaded(
        f"version: 1\nname: a\nbackend: local\noutput: x/${{A}}\nsets: [{{path: a}}]\nproject: {mark}p${{A}}{mark}\n",
        A=value,
    )
    if manifest:
        assert manifest.project == f"p{value}"
        assert manifest.output == f"x/{value}"


HEAD = "version: 1\nname: props\nbackend: local\noutput: out\nsets: [{path: a}]\n"
BOMBS = {
    "a duration of spaces": HEAD + f"limits: {{max_duration: '1d{' ' * 100_000}x'}}",
    "variables without end": HEAD + f"project: '{'${A:-' * 100_000}'",
    "a key without end": HEAD + f"? {'a' * 1_000_000}\n: 1",
    "a parameter without end": HEAD + f"defaults:\n  ? {'a' * 1_000_000}\n  : 1",
    "a value without end": HEAD + f"defaults: {{generateType: {'a' * 1_000_000}}}",
    "lists in lists": "[" * 1_000_000,
    "keys in keys": "? " * 100_000,
    "aliases of aliases": "".join(f"a{at}: &a{at} [{','.join([f'*a{at - 1}'] * 10) if at else 1}]\n" for at in range(12)),
    "an alias without a name": HEAD + f"x: *{'a' * 1_000_000}",
    "problems without end": HEAD + "name: 1\n" * 20_000,
}  # fmt: skip


@pytest.mark.parametrize("bomb", BOMBS)
def test_bombs_are_refused_in_a_few_lines(bomb) -> None:
    """Each of them once took minutes, or filled the screen."""
    assert loaded(BOMBS[bomb]) is None
