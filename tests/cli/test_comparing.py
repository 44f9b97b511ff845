"""``mvmesh run`` as a real process on a real service: wrong pictures are caught before anything of them leaves."""

import json
import time
from hashlib import sha256
from pathlib import Path

from nights import KILLED, Night, serving
from PIL import Image, ImageDraw

from pipeline.cli.exit_codes import ExitCode
from pipeline.cli.frame import run


def digests(folder: Path) -> set[str]:
    return {sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def block(path: Path, box: tuple[int, int, int, int], *, shade: int) -> None:
    picture = Image.new("RGBA", (129, 129))
    ImageDraw.Draw(picture).rectangle(box, fill=(200, 90, shade), outline=(sum(path.stem.encode()) % 256, 20, 20))
    picture.save(path)


def test_a_wrong_set_is_held_by_check_and_run_alike_also_after_a_death_within_its_comparison(
    tmp_path: Path, capsys
) -> None:
    with serving(tmp_path / "service") as service:
        night = Night(folder=tmp_path, service=service, views=("front", "left", "back", "right"))
        night.prepare(sets=2, preflight={"consistency": "warn"})
        night._draw("sets", "wrong", 7)
        wrong = night.labels["wrong"]
        for at, folder in enumerate(night.labels.values()):
            for view in night.views:
                is_other = (folder, view) == (wrong, "back")
                block(folder / f"{view}.png", (40, 100, 70, 120) if is_other else (40, 30, 88, 100), shade=at)

        process = night.started()
        while not (night.output / ".mvmesh" / "comparisons.sqlite3").exists():
            assert process.poll() is None
            time.sleep(0.01)  # noqa: TID251 - a process is waited for
        process.kill()
        assert night.ended(process) == KILLED
        assert service.jobs() == []  # nothing is submitted before it is compared

        for _ in range(2):
            assert night.run() == ExitCode.INCOMPLETE
        rows = {row["set"]: row for row in night.rows()}
        assert {name: row["state"] for name, row in rows.items()} == {
            "set 00": "delivered",
            "set 01": "delivered",
            "wrong": "refused",
        }
        assert rows["wrong"]["error"]["kind"] == "contradiction"
        assert len(service.jobs()) == 2
        assert not digests(wrong) & digests(tmp_path / "service" / "assets")

    capsys.readouterr()
    assert run(["check", str(night.manifest), "--json"]) == 1
    found = {one["id"]: one for one in json.loads(capsys.readouterr().out)["sets"]}
    assert [one["verdict"] for one in found.values()] == ["ok", "ok", "hold"]
    (finding,) = found["wrong"]["findings"]
    error = rows["wrong"]["error"]
    assert error["message"] == finding["message"]
    assert error["mend"] == finding["mend"] + "; after an update `mvmesh retry` has it compared anew"
    assert run(["status", str(night.manifest)]) == 0
    shown = capsys.readouterr().out
    assert "2 of 3 done, 0 left, 1 wants a person" in shown
    assert "next: mvmesh check" in shown
