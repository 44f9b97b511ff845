import json
from pathlib import Path

import pytest
from PIL import Image, ImageDraw
from rich.cells import cell_len

from pipeline.cli.check import checks_table, verdict_of
from pipeline.cli.frame import run
from pipeline.cli.tables import as_text
from pipeline.cli.terminal import as_argument
from pipeline.domain.items import CheckedSet, Finding, ImageSet
from pipeline.domain.views import View


def checked(tmp_path, set_id: str, *verdicts: str, kind: str = "too-small") -> CheckedSet:
    views = {View.FRONT: tmp_path / "front.png"}
    findings = tuple(Finding(kind=kind, verdict=one, message="m", view=View.FRONT) for one in verdicts)
    return CheckedSet(image_set=ImageSet(set_id=set_id, folder=tmp_path, views=views), pictures={}, findings=findings)


@pytest.mark.parametrize(
    ("verdicts", "worst"),
    [((), "ok"), (("ok",), "ok"), (("ok", "warn"), "warn"), (("warn", "hold"), "hold"), (("refuse", "hold"), "refuse")],
)
def test_the_worst_finding_is_the_verdict(verdicts: tuple[str, ...], worst: str, tmp_path) -> None:
    assert verdict_of(checked(tmp_path, "x", *verdicts)) == worst


def test_each_set_is_one_line_of_80_columns(tmp_path) -> None:
    names = ["chair", "a/very/long/name/" * 8, "视图" * 40, "[red]brackets[/red]", "\x1b[2Jgone\nnext"]
    sets = [checked(tmp_path, name, "refuse", "warn", kind="some-quite-long-kind-of-finding") for name in names]
    lines = as_text(checks_table(sets), width=80).splitlines()
    assert len(lines) == 1 + len(names)
    assert max(map(cell_len, lines)) <= 80
    assert all(line.startswith("refuse ") for line in lines[1:])
    assert "[red]brackets[/red]" in lines[4]
    assert "\\x1b[2Jgone\\nnext" in lines[5]


def test_all_sets_are_listed_and_a_refused_one_fails_the_call(draw_set, write_manifest, capsys) -> None:
    draw_set("chair")
    draw_set("lamp", size=100)
    draw_set("stool", views=("left", "back"))
    assert run(["check", str(write_manifest())]) == 1
    shown = capsys.readouterr().out
    assert [line.split()[:2] for line in shown.splitlines()[1:4]] == [
        ["ok", "chair"],
        ["refuse", "lamp"],
        ["refuse", "stool"],
    ]
    assert "expected at least 128 px" in shown
    assert "mend" in shown
    assert "3 sets: 1 ok, 2 refuse" in shown
    assert "next:" not in shown


def test_the_document_is_the_agreed_one(draw_set, write_manifest, capsys) -> None:
    folder = draw_set("chair")
    Image.open(folder / "left.png").convert("CMYK").save(folder / "left.jpg")
    (folder / "left.png").unlink()
    draw_set("lamp", size=100, views=("front",))
    assert run(["check", str(write_manifest()), "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert set(document) == {"schema", "compared", "sets"}
    assert (document["schema"], document["compared"]) == (1, True)
    assert [(one["id"], one["verdict"]) for one in document["sets"]] == [("chair", "ok"), ("lamp", "refuse")]
    for one in document["sets"]:
        assert set(one) == {"id", "verdict", "findings"}
        (finding,) = one["findings"]
        assert set(finding) == {"view", "file", "kind", "confidence", "message", "mend"}
    (small,) = document["sets"][1]["findings"]
    assert (small["view"], small["kind"]) == ("front", "too-small")
    assert small["file"].endswith("front.png")


def test_sound_pictures_pass_and_the_next_step_is_named(draw_set, write_manifest, capsys) -> None:
    draw_set("chair")
    manifest = write_manifest()
    assert run(["check", str(manifest)]) == 0
    assert f"next: mvmesh plan {as_argument(manifest)}" in capsys.readouterr().out


def draw_another_back(folder: Path) -> None:
    picture = Image.new("RGBA", (160, 160))
    ImageDraw.Draw(picture).rectangle((40, 100, 90, 126), fill="teal")
    picture.save(folder / "back.png")


@pytest.mark.parametrize(
    ("backend", "extra", "options", "verdict", "code"),
    [
        ("local", "", [], "hold", 1),
        ("local", "", ["--quick"], "ok", 0),
        ("local", "preflight: {consistency: skip}\n", [], "ok", 0),
        ("scenario", "", [], "hold", 1),
        ("scenario", "preflight: {consistency: skip}\n", [], "ok", 0),
    ],
)
def test_a_view_of_something_else_is_told_as_the_manifest_says(  # noqa: PLR0917 - a table, and what pytest hands over
    backend: str, extra: str, options: list[str], verdict: str, code: int, draw_set, write_manifest, capsys
) -> None:
    draw_another_back(draw_set("chair"))
    manifest = write_manifest(backend=backend, extra=extra)
    assert run(["check", str(manifest), *options]) == code
    shown = capsys.readouterr().out
    assert shown.splitlines()[1].split()[:2] == [verdict, "chair"]
    assert ("The back view contradicts the others" in shown) == (verdict != "ok")
    assert ("were not compared" in shown) == (verdict == "ok")


def test_a_mend_of_several_findings_is_told_once(draw_set, write_manifest, capsys) -> None:
    folder = draw_set("numbered", views=())
    for name in ("img1", "img2", "img3"):
        Image.new("RGBA", (160, 160), "teal").save(folder / f"{name}.png")
    assert run(["check", str(write_manifest())]) == 1
    shown = capsys.readouterr().out
    assert shown.count("it is left out") == 3
    assert shown.count("name each file by its view") == 1


def test_what_check_found_out_is_known_to_the_next_one(draw_set, write_manifest, capsys, monkeypatch) -> None:
    draw_another_back(draw_set("chair"))
    manifest = write_manifest(backend="scenario")
    for _ in range(2):
        assert run(["check", str(manifest)]) == 1
        assert "contradicts the others" in capsys.readouterr().out
        monkeypatch.setattr("sys.executable", "/nowhere/python")  # no worker process can be started any more


def test_a_set_has_its_own_say(draw_set, write_manifest, capsys) -> None:
    draw_another_back(draw_set("chair"))
    draw_another_back(draw_set("lamp", colour="olive"))
    manifest = write_manifest(backend="scenario")
    own = "sets: [{path: pictures/*}, {path: pictures/lamp, consistency: skip}]"
    manifest.write_text(manifest.read_text().replace("sets: [{path: pictures/*}]", own))
    assert run(["check", str(manifest), "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert {one["id"]: one["verdict"] for one in document["sets"]} == {"chair": "hold", "lamp": "ok"}
    assert "`consistency: skip`" in document["sets"][0]["findings"][0]["mend"]
