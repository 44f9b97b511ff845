from pathlib import Path

import pytest

from pipeline.domain.items import ImageSet
from pipeline.domain.manifest import load_manifest
from pipeline.domain.proposal import Proposal
from pipeline.stages.discover import discover
from pipeline.stages.propose import propose

pytestmark = pytest.mark.anyio


def make(folder: Path, *files: str) -> None:
    for name in files:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


async def accepted(proposal: Proposal, file: Path) -> list[ImageSet]:
    """The sets that the proposed manifest really brings."""
    sets = await discover(load_manifest(proposal.text, file=file, environ={}))
    return [one for one in sets if not any(finding.verdict == "refuse" for finding in one.findings)]


@pytest.mark.parametrize(
    ("files", "path", "expected"),
    [
        (["a/chair/front.png", "a/lamp/front.png"], "a/*", ["chair", "lamp"]),
        (["a/x/chair/front.png", "b/y/lamp/front.png"], '"*/*/*"', ["a/x/chair", "b/y/lamp"]),
        (["a/chair/front.png", "lamp/front.png"], '"**"', ["a/chair", "lamp"]),
        (["front.png", "left.png"], ".", ["root"]),
        (["a b/[1] ${X}/front.png"], '"a b/[1] $${X}"', ["[1] ${X}"]),
    ],
)  # fmt: skip
async def test_folders_of_sets(tmp_path: Path, files: list[str], path: str, expected: list[str]) -> None:
    root = tmp_path / "root"
    make(root, *files)

    proposal = propose(root, root / "mvmesh.yaml")

    assert f"  - path: {path}\n" in proposal.text
    assert sorted(one.set_id for one in await accepted(proposal, root / "mvmesh.yaml")) == expected
    assert proposal.set_count == len(expected)


async def test_flat_folders_beside_folders_of_sets(tmp_path: Path) -> None:
    make(tmp_path, "flat/stool_front.png", "flat/stool_left.png", "flat/lamp_front.png", "flat/logo.png")
    make(
        tmp_path, "props/chair/front.png", "props/table/front.png", "props/[empty]/note.txt", "props/faceless/left.png"
    )

    proposal = propose(tmp_path, tmp_path / "jobs" / "m.yaml")

    sets = await accepted(proposal, tmp_path / "jobs" / "m.yaml")
    assert [one.set_id for one in sets] == ["chair", "table", "lamp", "stool"]
    assert proposal.set_count == 4
    assert proposal.notes == (
        "4 image sets: front 4, left 1",
        "flat: 2 sets by {set}_{view}; left out: logo.png",
        "pictures without a clear front view, see mvmesh check: props/faceless",
        "no pictures in: props/[empty]",
    )
    assert "  - path: ../props/*\n    exclude:\n" in proposal.text


def test_the_text_teaches_and_begins_with_the_schema(tmp_path: Path) -> None:
    make(tmp_path, "a/front.png")
    lines = propose(tmp_path, tmp_path / "m.yaml").text.splitlines()

    assert lines[0] == "# yaml-language-server: $schema=./manifest.schema.json"
    assert "backend: local" in lines


def test_a_tree_without_sets_says_so_and_still_shows_a_manifest(tmp_path: Path) -> None:
    make(tmp_path, "notes/readme.txt")

    proposal = propose(tmp_path, tmp_path / "m.yaml")

    assert proposal.set_count == 0
    assert proposal.notes == ("no pictures in: notes",)
    assert load_manifest(proposal.text, file=tmp_path / "m.yaml", environ={}).sets[0].path == "images/*"
