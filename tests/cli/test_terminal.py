import io
import json
import shlex
from pathlib import Path

import pytest

from pipeline.cli.terminal import as_argument, folded, printable, say, say_json


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Stühle/椅子 👩‍🚀", "Stühle/椅子 👩‍🚀"),
        ("a\nb\tc", "a\\nb\\tc"),
        ("\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m"),
        ("\x9b2J\x7f", "\\x9b2J\\x7f"),
        ("exe\u202egnp.txt", "exe\\u202egnp.txt"),
        ("line\u2028end", "line\\u2028end"),
        ("bytes\udcff", "bytes\\udcff"),
    ],
)
def test_control_characters_of_names_are_escaped(name: str, shown: str) -> None:
    assert printable(name) == shown
    printable(name).encode()


def test_a_document_survives_every_console_encoding(capsys: pytest.CaptureFixture[str]) -> None:
    say_json({"set": "视图\udcff"})
    shown = capsys.readouterr().out
    assert shown.isascii()
    assert json.loads(shown) == {"schema": 1, "set": "视图\udcff"}


def test_colours_are_dropped_for_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    say("\x1b[31mred\x1b[0m")
    assert capsys.readouterr().out == "red\n"


@pytest.mark.parametrize("variable", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_colours_are_dropped_where_nobody_wants_them(variable: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in variable.items():
        monkeypatch.setenv(name, value)
    terminal = Terminal()
    monkeypatch.setattr("sys.stdout", terminal)
    say("\x1b[31mred\x1b[0m")
    assert terminal.getvalue() == "red\n"


def test_a_terminal_gets_lines_that_end_between_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("TERM", "xterm")
    text = "left.png has 100 x 100 px; expected at least 128 px a side"
    assert folded(text, indent=8, stream=Terminal()).split("\n") == [
        "left.png has 100 x 100 px;",
        "        expected at least 128 px a side",
    ]
    assert folded(text, indent=8, stream=io.StringIO()) == text


@pytest.mark.parametrize("name", ["plain.yaml", "two words.yaml", "$(rm -rf x).yaml", "it's.yaml"])
def test_a_path_can_be_pasted_into_a_shell(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert shlex.split(as_argument(tmp_path / name)) == [name]
