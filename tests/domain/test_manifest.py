from pathlib import Path
from textwrap import dedent, indent

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pipeline.domain.errors import UsageError
from pipeline.domain.manifest import Manifest, load_manifest
from pipeline.domain.model import PUBLISHED_SCHEMA, ModelSchema, Parameter, ParameterType
from pipeline.domain.views import View

FILE = Path("/projects/props.yaml")
WHOLE = """\
# yaml-language-server: $schema=./manifest.schema.json
version: 1
name: props
backend: local
project: proj_abc
output: out/props
state: state
model: model_hunyuan-3d-pro-3-1-multiview
defaults: {faceCount: 500000, generateType: Normal, enablePbr: false}
sets:
  - path: assets/props/*
    exclude: ["*_wip"]
  - path: assets/flat
    pattern: "{set}_{view}"
  - path: assets/hero/helmet
    id: hero-helmet
    params: {faceCount: 1200000, enablePbr: true}
    copies: 2
    views: {front: F.png, back: B.png}
variants:
  - {name: normal, params: {}}
  - {name: pbr, params: {enablePbr: true}}
limits: {in_flight: auto, uploads: 8, downloads: 4, max_duration: 6h}
budget: {max_cu: 5000}
preflight: {consistency: hold}
acceptance: {on_low: skip, min_silhouette_iou: 0.5}
uploads: {hide: false, collections: [props]}
uncertain: {policy: ask, settle: 2m, believe_after: 1h30m}
previews: false
"""
HEAD = "version: 1\nname: props\nbackend: local\noutput: out\n"
SETS = "sets: [{path: a}]\n"


def load(text: str, environ: dict[str, str] | None = None, **more: ModelSchema) -> Manifest:
    return load_manifest(text, file=FILE, environ=environ or {}, **more)


def problems(text: str, environ: dict[str, str] | None = None) -> list[str]:
    with pytest.raises(UsageError) as caught:
        load(text, environ)
    assert caught.value.problems
    return [line.removeprefix(f"{FILE}:") for line in caught.value.problems]


def test_everything_that_a_manifest_may_say_is_read() -> None:
    manifest = load(WHOLE)

    assert manifest.output_folder == Path("/projects/out/props")
    assert manifest.state_folder == Path("/projects/state")
    assert manifest.defaults == {"faceCount": 500_000, "generateType": "Normal", "enablePbr": False}
    props, flat, helmet = manifest.sets
    assert props.exclude == ("*_wip",)
    assert flat.pattern == "{set}_{view}"
    assert helmet.views == {View.FRONT: "F.png", View.BACK: "B.png"}
    assert (helmet.id, helmet.copies) == ("hero-helmet", 2)
    assert [one.name for one in manifest.variants] == ["normal", "pbr"]
    assert manifest.limits.max_duration == 6 * 3600
    assert manifest.budget.max_cu == 5000
    assert (manifest.uncertain.settle, manifest.uncertain.believe_after) == (120, 5400)
    assert not manifest.previews


def test_the_short_form_has_the_defaults_of_the_design() -> None:
    manifest = load(HEAD + SETS + "limits:\nbudget:\n")

    assert manifest.state_folder == Path("/projects/out/.mvmesh")
    assert manifest.model == PUBLISHED_SCHEMA.model_id
    assert manifest.limits.in_flight == "auto"
    assert manifest.limits.max_duration is None
    assert manifest.budget.max_cu is None
    assert (manifest.preflight.consistency, manifest.acceptance.on_low) == ("warn", "warn")
    assert (manifest.uncertain.policy, manifest.uncertain.settle) == ("reconcile", 60)
    assert manifest.uploads.hide
    assert manifest.previews


def test_a_place_in_the_text_can_be_named_later() -> None:
    assert load(WHOLE).where("sets", 1, "path") == f"{FILE}:13:11: sets[1].path"


LINES = [
    ("", "{HEAD}", "1:1: sets: is missing. Where the image sets lie."),
    ("nam: x", "{HEAD}{SETS}", "6:1: nam: unknown key; did you mean 'name'?"),
    ("limits: {upload: 3}", "{HEAD}{SETS}", "6:10: limits.upload: unknown key; did you mean 'uploads'?"),
    ("version: 1", "{HEAD}{SETS}", "6:1: version: this key stands already at 1:1"),
    ("7: x", "{HEAD}{SETS}", "6:1: found the key 7, expected text: write '7' in quotes"),
    ("previews: yes", "{HEAD}{SETS}", "6:11: previews: found 'yes', expected true or false"),
    ("project: 12", "{HEAD}{SETS}", "6:10: project: found the number 12, expected text; in quotes it is text"),
    ("uploads: []", "{HEAD}{SETS}", "6:10: uploads: found a list, expected a mapping of keys and values"),
    ("output: x\nstate: ~/x", "version: 1\nname: props\nbackend: local\n{SETS}", "6:8: state: found '~/x', expected a path without ~: write ${{HOME}} in its place"),
    ("budget: {max_cu: -1}", "{HEAD}{SETS}", "6:18: budget.max_cu: found the number -1, expected at least 0"),
    ("budget: {max_cu: .inf}", "{HEAD}{SETS}", "6:18: budget.max_cu: found '.inf', expected a number"),
    ("acceptance: {min_silhouette_iou: 85}", "{HEAD}{SETS}", "6:34: acceptance.min_silhouette_iou: found the number 85, expected at most 1"),
    ("preflight: {consistency: holdd}", "{HEAD}{SETS}", "6:26: preflight.consistency: found 'holdd', expected 'hold', 'warn' or 'skip'; did you mean 'hold'?"),
    ("limits: {in_flight: many}", "{HEAD}{SETS}", "6:21: limits.in_flight: found 'many', expected auto or a whole number from 1 to 1000"),
    ("limits: {max_duration: 6}", "{HEAD}{SETS}", "6:24: limits.max_duration: found the number 6 without a unit, expected a duration from 1s to 30d, such as 90s, 1h30m, 2d"),
    ("uncertain: {settle: 1h, believe_after: 5s}", "{HEAD}{SETS}", "6:40: uncertain.believe_after: is shorter than settle, expected at least 3600s"),
    ("defaults: {faceCount: 5}", "{HEAD}{SETS}", "6:12: defaults.faceCount: 5 is below 40,000"),
    ("defaults: {facecount: 50000}", "{HEAD}{SETS}", "6:12: defaults.facecount: the model has no parameter 'facecount'; did you mean faceCount?"),
    ("defaults: {frontImage: a.png}", "{HEAD}{SETS}", "6:12: defaults.frontImage: the service's pictures are found by file name, expected views: {{front: FILE}} on a set"),
    ("defaults: {faceCount: [1]}", "{HEAD}{SETS}", "6:12: defaults.faceCount: found a list, expected a number, text, true or false"),
    ("sets: []", "{HEAD}", "5:7: sets: found an empty list, expected at least one entry with a path"),
    ("sets: [{path: a, copies: 0}]", "{HEAD}", "5:26: sets[0].copies: found the number 0, expected at least 1"),
    ("sets: [{path: a, copies: true}]", "{HEAD}", "5:26: sets[0].copies: found true, expected a whole number"),
    ("sets: [{path: a, exclude: [b]}]", "{HEAD}", "5:27: sets[0].exclude: the path names one folder, expected a glob (such as props/*) or a pattern to exclude from"),
    ("sets: [{path: a, id: ../b}]", "{HEAD}", "5:22: sets[0].id: found '../b', expected names with one / between them, none empty, none . or .."),
    ("sets: [{path: a, pattern: '{set}{view}'}]", "{HEAD}", "5:27: sets[0].pattern: found '{set}{view}', expected {set} and {view} once each with text between them, such as '{set}_{view}'"),
    ("sets: [{path: a, pattern: '{set}_{view}.png'}]", "{HEAD}", "5:27: sets[0].pattern: found '{set}_{view}.png', expected a pattern without the file's suffix"),
    ("sets: [{path: a, pattern: '{set}_{view}', id: b}]", "{HEAD}", "5:47: sets[0].id: stands beside pattern, expected one of them: a pattern makes many sets and names each"),
    ("sets: [{path: a, pattern: '{set}_{view}', views: {front: b}}]", "{HEAD}", "5:50: sets[0].views: stands beside pattern, expected one of them: a pattern reads the views from file names"),
    ("sets: [{path: a, views: {left: b}}]", "{HEAD}", "5:18: sets[0].views: front is missing; every set needs a front view"),
    ("sets: [{path: a, views: {front: /b}}]", "{HEAD}", "5:33: sets[0].views.front: found '/b', expected a file inside the set's folder"),
    ("variants: [{name: A}, {name: a}]", "{HEAD}{SETS}", "6:24: variants[1].name: found 'a' beside 'A', expected names that differ by more than case"),
    ("variants: [{name: copy2}]", "{HEAD}{SETS}", "6:13: variants[0].name: found 'copy2', which names a further copy, expected another name"),
    ("variants: [{name: 'a/b'}]", "{HEAD}{SETS}", "6:19: variants[0].name: found 'a/b', expected a name that can be a file's on every system (letters, digits, and . _ - within)"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "before", "expected"), LINES)
def test_one_wrong_line_is_named_with_its_place_and_the_mend(line: str, before: str, expected: str) -> None:
    text = before.replace("{HEAD}", HEAD).replace("{SETS}", SETS) + line + "\n"

    assert problems(text) == [expected.replace("{{", "{").replace("}}", "}")]


BACKENDS = [
    ("locale", "did you mean 'local'?"),
    ("ftp://host/v1", "expected local, scenario, or the base URL"),
    ("http://", "expected local, scenario, or the base URL"),
    ("http://host:port/v1", "expected local, scenario, or the base URL"),
    ("https://key:secret@host/v1", "expected a URL without"),
    ("https://host/v1?a=b", "expected a base URL alone"),
]


@pytest.mark.parametrize(("backend", "expected"), BACKENDS)
def test_a_backend_that_is_none_is_refused_without_showing_credentials(backend: str, expected: str) -> None:
    (line,) = problems(f"version: 1\nname: x\nbackend: {backend}\noutput: out\n{SETS}")

    assert line.startswith("3:10: backend: ")
    assert expected in line
    assert "secret@" not in line


def test_the_base_url_of_a_service_loses_its_last_slash() -> None:
    assert (
        load(f"version: 1\nname: x\nbackend: http://127.0.0.1:8080/v1/\noutput: o\n{SETS}").backend
        == "http://127.0.0.1:8080/v1"
    )


def test_all_errors_come_at_once_in_the_order_of_the_text() -> None:
    text = dedent("""\
        version: 2
        nam: props
        backend: locale
        output: out
        defaults: {generateType: Normall}
        sets:
          - parth: assets
            copies: 0
          - nothing
        """)

    assert problems(text) == [
        "1:1: name: is missing. What this batch is called in reports.",
        "1:10: version: found the number 2, expected 1",
        "2:1: nam: unknown key; did you mean 'name'?",
        (
            "3:10: backend: found 'locale', expected local, scenario, or the base URL of a compatible service "
            "(http://127.0.0.1:8080/v1); did you mean 'local'?"
        ),
        "5:12: defaults.generateType: 'Normall' is none of Normal, Geometry (nearest: Normal)",
        "7:5: sets[0].path: is missing. A folder with the views of one object, or a glob: every matching folder is a set.",
        "7:5: sets[0].parth: unknown key; did you mean 'path'?",
        "8:13: sets[0].copies: found the number 0, expected at least 1",
        "9:5: sets[1]: found 'nothing', expected a mapping of keys and values",
    ]


def test_a_thousand_errors_are_told_in_bounded_length() -> None:
    found = problems(HEAD + "sets:\n" + "  - {path: a, x: 1}\n" * 1000)

    assert len(found) == 51
    assert found[-1].endswith("and 950 more")


def test_unknown_views_are_named_with_the_nearest() -> None:
    found = problems(HEAD + "sets: [{path: a, views: {frontImage: a.png, lefft: b.png, back: b.png}}]\n")

    assert "5:26: sets[0].views.frontImage: unknown view; did you mean 'front'?" in found
    assert "5:45: sets[0].views.lefft: unknown view; did you mean 'left'?" in found
    assert "5:59: sets[0].views.back: the file 'b.png' stands for several views, expected one file a view" in found


def test_whole_numbers_are_the_same_however_they_are_written() -> None:
    params = load(HEAD + SETS + "defaults: {faceCount: 5e5}\n").defaults

    assert params == {"faceCount": 500_000}
    assert isinstance(params["faceCount"], int)


def test_another_models_parameters_are_left_to_its_live_schema() -> None:
    text = HEAD + SETS + "model: model_other\ndefaults: {steps: 3}\n"
    other = ModelSchema(
        model_id="model_other",
        parameters={"steps": Parameter(name="steps", type=ParameterType.NUMBER, min=5)},
    )

    assert load(text).defaults == {"steps": 3}
    with pytest.raises(UsageError) as caught:
        load(text, schema=other)
    assert caught.value.problems == (f"{FILE}:7:12: defaults.steps: 3 is below 5",)


@pytest.mark.parametrize(
    ("said", "seconds"),
    [("90s", 90), ("1h30m", 5400), ("2 days", 172_800), ("1.5h", 5400), ("1d 2h 3m 4s", 93_784), ("10 minutes", 600)],
)
def test_durations(said: str, seconds: float) -> None:
    assert load(HEAD + SETS + f"limits: {{max_duration: {said}}}\n").limits.max_duration == seconds


@pytest.mark.parametrize("said", ["0s", "31d", "1x", "h", "-5s", "30m1h", "''", "true", "[1s]"])
def test_what_is_no_sane_duration(said: str) -> None:
    (line,) = problems(HEAD + SETS + f"limits: {{max_duration: {said}}}\n")
    assert "expected a duration from 1s to 30d" in line


def test_a_relative_manifest_is_relative_to_the_current_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    manifest = load_manifest(HEAD + SETS, file=Path("jobs/props.yaml"), environ={})

    assert manifest.output_folder == tmp_path / "jobs" / "out"
    assert manifest.resolve("../pictures/*") == tmp_path / "pictures" / "*"


KEYS = st.sampled_from(
    ["version", "name", "backend", "output", "sets", "path", "params", "views", "limits", "variants"]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(["local", "${A}"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS | st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


def written(value: object, depth: int = 0) -> str:
    if isinstance(value, dict):
        return "".join(f"\n{'  ' * depth}{key}: {written(one, depth + 1)}" for key, one in value.items()) or "{}"
    if isinstance(value, list):
        return "".join(f"\n{'  ' * depth}- {written(one, depth + 1)}" for one in value) or "[]"
    return str(value)


# The first draw builds tables of Unicode, which a busy machine needs a second for.
unhurried = settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])


@unhurried
@given(st.dictionaries(KEYS, VALUES, max_size=6))
def test_shapes_of_any_kind_are_read_or_refused_in_words(shape: dict[str, object]) -> None:
    loaded_or_refused(HEAD + written(shape))


@unhurried
@given(st.text() | st.text(alphabet="a-:[]{}&*!|>'\"%@`,?#$ \n\t<=~01.\\"))
@example("sets: &a [*a]")
@example("\x00")
@example("a: !!python/object:os.system x")
@example("? ? ? ?")
@example("- " * 5000)
@example('{"a": ' * 3000)
def test_text_of_any_kind_is_read_or_refused_in_words(text: str) -> None:
    loaded_or_refused(text)
    loaded_or_refused(HEAD + "sets:\n" + indent(text, "  "))


def loaded_or_refused(text: str) -> None:
    try:
        load(text, {"A": "1"})
    except UsageError as error:
        told = error.problems
    else:
        return
    assert told
    assert all(line.startswith(f"{FILE}:") for line in told)


@pytest.mark.parametrize("said", ["22:00-06:00", '"22:00-06:00"', "9:00 - 17:30"])
def test_a_window_may_stand_in_the_manifest(said: str) -> None:
    window = load(HEAD + SETS + f"limits: {{window: {said}}}\n").limits.window
    assert str(window) in {"22:00-06:00", "09:00-17:30"}


@pytest.mark.parametrize("said", ["22-6", "7", "[1]", '"24:00-06:00"', '"05:00-05:00"'])
def test_what_is_no_window(said: str) -> None:
    (line,) = problems(HEAD + SETS + f"limits: {{window: {said}}}\n")
    assert "limits.window: found" in line
    assert "such as 22:00-06:00" in line
