import json
import pkgutil
import shlex
import subprocess
import sys
from importlib.metadata import version

import click
import pytest

import pipeline.cli
from pipeline.cli.command import Command
from pipeline.cli.exit_codes import ExitCode
from pipeline.cli.frame import EXIT_CODES, SECTIONS, mvmesh, run

COMMANDS = [name for commands in SECTIONS.values() for name in commands]
HEAVY = ("pydantic", "aiohttp", "rich", "PIL", "numpy", "yaml", "asyncio", "anyio", "sqlite3", "pipeline.batch")


def command(name: str) -> Command:
    found = mvmesh.get_command(click.Context(mvmesh), name)
    assert isinstance(found, Command)
    return found


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], []], ids=str)
def test_the_first_answers_import_nothing_heavy(arguments: list[str]) -> None:
    code = (
        "import sys\nfrom pipeline.cli.frame import run\n"
        f"assert run({arguments}) == 0\n"
        f"print([name for name in {HEAVY} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"
    assert done.stdout


def test_the_module_and_the_script_are_the_same_command() -> None:
    done = subprocess.run([sys.executable, "-m", "pipeline", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"mvmesh {version('mvmesh')}\n"


def test_without_arguments_the_way_to_a_first_mesh_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([]) == 0
    shown = capsys.readouterr().out
    lines = [line.split("  ")[1] for line in shown.splitlines() if line.startswith("  mvmesh")]
    for line in lines:
        name, *arguments = shlex.split(line.split("    ")[0])[1:]
        command(name).make_context(name, arguments)
    assert [line.split()[1] for line in lines] == ["init", "run"]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_documented(name: str) -> None:
    documented = command(name)
    assert documented.help
    assert all(option.help for option in documented.params if isinstance(option, click.Option)), name


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_teaches_by_examples_that_parse(name: str) -> None:
    documented = command(name)
    assert 2 <= len(documented.examples) <= 4
    for want, line in documented.examples:
        assert want
        for call in line.split("&&"):
            words = shlex.split(call.split("|")[0].split("2>")[0].split(">")[0])
            words = words[words.index("mvmesh") + 1 :]
            command(words[0]).make_context(words[0], words[1:])
        assert f" mvmesh {name}" in f" {line}"


@pytest.mark.parametrize("name", COMMANDS)
def test_help_fits_80_columns_and_ends_with_the_examples(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([name, "--help"]) == 0
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= 80
    assert shown.rstrip().endswith(command(name).examples[-1][1])


def test_every_module_with_a_command_is_listed() -> None:
    modules = [one.name for one in pkgutil.iter_modules(pipeline.cli.__path__)]
    with_command = [name for name in modules if name not in {"command", "frame"} and _has_command(name)]
    assert sorted(with_command) == sorted(COMMANDS)


def _has_command(name: str) -> bool:
    module = __import__(f"pipeline.cli.{name}", fromlist=["command"])
    return isinstance(getattr(module, "command", None), click.Command)


def test_the_help_lists_every_command_and_every_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    shown = capsys.readouterr().out
    assert all(f"  {name} " in shown for name in COMMANDS)
    assert set(EXIT_CODES) == set(ExitCode)
    assert max(map(len, shown.splitlines())) <= 80


def test_a_mistyped_command_is_told_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["chekc"]) == 2
    told = capsys.readouterr()
    assert "'chekc'; did you mean 'check'?" in told.err
    assert "mend:" in told.err
    assert not told.out


def test_a_wrong_option_is_a_json_document_where_json_is_wanted(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["check", "a.yaml", "--json", "--fast"]) == 2
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == 1
    assert document["error"]["kind"] == "UsageError"
    assert document["error"]["exit_code"] == 2
    assert "--fast" in document["error"]["message"]


@pytest.mark.parametrize("name", [one for one in COMMANDS if one not in {"init", "schema", "serve"}])
def test_a_manifest_that_is_not_there_ends_every_command_alike(
    name: str, capsys: pytest.CaptureFixture[str], tmp_path
) -> None:
    assert run([name, str(tmp_path / "no.yaml")]) == 2
    told = capsys.readouterr()
    assert "no.yaml cannot be read" in told.err
    assert "mvmesh init" in told.err


def test_all_errors_of_a_manifest_are_shown_at_once(capsys: pytest.CaptureFixture[str], tmp_path) -> None:
    manifest = tmp_path / "m.yaml"
    manifest.write_text("version: 1\nname: x\nbackend: locl\noutput: out\nsets: [{path: a, copes: 2}]\n")
    assert run(["check", str(manifest), "--json"]) == 2
    told = capsys.readouterr()
    problems = json.loads(told.out)["error"]["problems"]
    assert any("m.yaml:3" in one and "locl" in one for one in problems)
    assert any("m.yaml:5" in one and "copes" in one for one in problems)
    assert all(one in told.err for one in problems)
