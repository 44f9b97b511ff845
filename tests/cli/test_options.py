"""The options of ``run`` and ``plan`` as a person types them."""

import json
import shlex
from pathlib import Path

import pytest

from pipeline.cli.frame import run
from pipeline.cli.options import selection_arguments
from pipeline.domain.selection import Selection


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--max-cu", "nan"], "found 'nan', expected a number of creative units"),
        (["--max-cu", "-1"], "found '-1'"),
        (["--max-cu", "inf"], "found 'inf'"),
        (["--max-duration", "5"], "found '5', expected a duration from 1s to 30d"),
        (["--window", "22-6"], "found '22-6', expected times of day"),
        (["--window", "06:00-06:00"], "for the whole day leave it out"),
        (["--limit", "0"], "--limit"),
    ],
    ids=str,
)
def test_a_value_that_means_nothing_is_refused_before_anything_is_read(
    options: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["run", "no.yaml", *options]) == 2
    assert said in capsys.readouterr().err


def plan(manifest: Path, *options: str, capsys: pytest.CaptureFixture[str]) -> dict:
    assert run(["plan", str(manifest), "--json", *options]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_plan_shows_the_selection(draw_set, write_manifest, capsys: pytest.CaptureFixture[str]) -> None:
    for name, colour in (("chair", "teal"), ("lamp", "olive"), ("sofa", "navy")):
        draw_set(name, colour=colour)
    draw_set("tiny", size=100)
    manifest = write_manifest()
    assert plan(manifest, capsys=capsys)["totals"]["generate"] == 3
    chosen = plan(manifest, "--only", "chair", "--only", "so*", capsys=capsys)
    assert [one["names"] for one in chosen["items"] if one["action"] == "generate"] == [["chair"], ["sofa"]]
    assert chosen["totals"]["skip"] == 1
    assert not chosen["refused"]
    assert plan(manifest, "--exclude", "chair", "--limit", "1", capsys=capsys)["totals"]["generate"] == 1

    assert run(["plan", str(manifest), "--only", "lamp"]) == 0
    shown = capsys.readouterr().out
    assert "lamp" in shown
    assert "chair" not in shown
    assert "2 skip      outside the selection" in shown
    assert "--only lamp" in shown.splitlines()[-1]


def test_a_pattern_that_fits_nothing_names_the_nearest_set(
    draw_set, write_manifest, capsys: pytest.CaptureFixture[str]
) -> None:
    draw_set("chair")
    assert run(["plan", str(write_manifest()), "--only", "chiar"]) == 2
    assert "did you mean 'chair'?" in capsys.readouterr().err


def test_the_options_of_a_selection_can_be_typed_again() -> None:
    said = selection_arguments(Selection(only=("a b", "*'s"), exclude=("c@pbr",), limit=3))
    assert shlex.split(said) == ["--only", "a b", "--only", "*'s", "--exclude", "c@pbr", "--limit", "3"]
