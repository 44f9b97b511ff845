import pytest

from pipeline.domain.manifest_text import NODES_MAX, TEXT_MAX_CHARACTERS, read_document


def data(text: str, **environ: str) -> object:
    document = read_document(text, environ=environ)
    assert not document.problems
    return document.data


def problems(text: str, **environ: str) -> list[str]:
    return [str(one) for one in read_document(text, environ=environ).problems]


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("on", "on"),
        ("yes", "yes"),
        ("NO", "NO"),
        ("true", True),
        ("False", False),
        ("010", 10),
        ("0o10", 8),
        ("0x1F", 31),
        ("1:30", "1:30"),
        ("2024-01-02", "2024-01-02"),
        ("1_000", "1_000"),
        ("1e3", 1000.0),
        (".5", 0.5),
        (".nan", ".nan"),
        ("1e999", "1e999"),
        ("9" * 5000, "9" * 5000),
        ("null", None),
        ("", None),
        ("'12'", "12"),
        ('"true"', "true"),
    ],
)
def test_scalars_mean_what_yaml_1_2_says(said: str, meant: object) -> None:
    found = data(f"a: {said}")
    assert found == {"a": meant}
    assert type(found["a"]) is type(meant)


def test_variables_are_numbers_where_plain_and_text_where_quoted() -> None:
    text = "a: ${N:-100000}\nb: '${N:-100000}'\nc: {d: ${N:-5}, e: [${M}]}\nf: v${M}\ng: ${E:-}\nh: ${M:-9}"

    assert data(text, M="7") == {"a": 100_000, "b": "100000", "c": {"d": 5, "e": (7,)}, "f": "v7", "g": "", "h": 7}


def test_an_empty_variable_takes_its_default_and_values_are_never_read_as_yaml() -> None:
    assert data("a: ${A:-x}\nb: ${B}", A="", B="{c: [1]}") == {"a": "x", "b": "{c: [1]}"}


def test_a_dollar_can_be_written_and_keys_are_left_alone() -> None:
    assert data("a: $${HOME}\n${A}: 1\nc: $5", HOME="x", A="y") == {"a": "${HOME}", "${A}": 1, "c": "$5"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a:\n  b: ${NO}", "2:6: a.b: the environment variable NO is not set: set it, or write ${NO:-default}"),
        ("a: ${1}", "1:4: a: found a ${ that names no variable, expected ${NAME} or ${NAME:-default}; $${ stands for ${ itself"),
        ("a: x${", "1:4: a: found a ${ that names no variable, expected ${NAME} or ${NAME:-default}; $${ stands for ${ itself"),
        (
            "a: ${SCENARIO_SDK_API_SECRET}",
            ("1:4: a: ${SCENARIO_SDK_API_SECRET}: credentials are read from the environment by themselves and never "
            "stand in a manifest"),
        ),
        ("", "1:1: the text is empty, expected a mapping of keys and values"),
        ("# nothing", "1:1: the text is empty, expected a mapping of keys and values"),
        ("a: 1\n---\nb: 2", "2:1: a second document begins here, expected one document in the file"),
        ("a: 1\n\tb: 2", "2:1: a tab, expected spaces: YAML indents with spaces alone"),
        ("a: 1\nb: \x07", "2:4: a control character, expected printable text saved as UTF-8"),
        ("a: 1\nb: {a: 1, a: 2}", "2:11: b.a: this key stands already at 2:5"),
        ("a: *b", "1:4: a: *b names no value above; text that begins with * stands in quotes"),
        ("a: !!int 3", "1:4: a: found the tag tag:yaml.org,2002:int, expected a value without one"),
        ("[a]: 1", "1:1: found a key that is no text, expected a word"),
        ("~: 1", "1:1: found the key ~, expected text: write '~' in quotes"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_its_place(text: str, expected: str) -> None:
    assert problems(text, SCENARIO_SDK_API_SECRET="hidden") == [expected]


def test_syntax_errors_have_a_place() -> None:
    (line,) = problems("a: [1, 2\nb: 3")
    assert line.startswith("2:2: no YAML: ")


def test_a_byte_order_mark_and_windows_lines_are_fine() -> None:
    assert data("\ufeffa: 1\r\nb: x\r\n") == {"a": 1, "b": "x"}


def test_aliases_stand_for_what_they_name() -> None:
    assert data("a: &p {b: 1}\nc: *p\nd: [*p]") == {"a": {"b": 1}, "c": {"b": 1}, "d": ({"b": 1},)}


def test_a_bomb_of_aliases_is_stopped() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{at}: &a{at} [{', '.join([f'*a{at - 1}'] * 10)}]" for at in range(1, 9)]

    (line,) = problems("\n".join(lines))
    assert f"more than {NODES_MAX:,} values" in line


def test_depth_and_length_are_bounded() -> None:
    assert problems("[" * 50_000) == ["1:34: values are nested more than 32 deep"]
    (line,) = problems("#" * (TEXT_MAX_CHARACTERS + 1))
    assert line.endswith("expected at most 16,777,216")


def test_every_value_and_key_has_its_place() -> None:
    document = read_document("a:\n  - b: 1\n    c: ${X}\n", environ={"X": "1"})

    assert (document.key_place(("a", 0, "c")).line, document.key_place(("a", 0, "c")).column) == (3, 5)
    assert (document.value_place(("a", 0, "c")).line, document.value_place(("a", 0, "c")).column) == (3, 8)
    assert document.value_place(("a", 0, "missing")).line == 2
