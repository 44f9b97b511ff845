import gc
import os
from collections.abc import Iterable
from pathlib import Path

import pytest

from pipeline.domain.errors import UsageError
from pipeline.domain.items import ImageSet
from pipeline.domain.manifest import Manifest, load_manifest
from pipeline.domain.views import View
from pipeline.stages import discover as stage
from pipeline.stages.discover import discover, discovered

pytestmark = pytest.mark.anyio


def make(folder: Path, files: str | Iterable[str]) -> None:
    for name in files.split() if isinstance(files, str) else files:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


async def found(folder: Path, *entries: str) -> list[ImageSet]:
    return await discover(manifest_of(folder, *entries))


def manifest_of(folder: Path, *entries: str) -> Manifest:
    lines = "".join(f"  - {entry}\n" for entry in entries)
    text = f"version: 1\nname: x\nbackend: local\noutput: out\nsets:\n{lines}"
    return load_manifest(text, file=folder / "m.yaml", environ={})


async def problems(folder: Path, *entries: str) -> list[str]:
    with pytest.raises(UsageError) as caught:
        await found(folder, *entries)
    return [line.replace(str(folder), "~") for line in caught.value.problems]


def ids(sets: Iterable[ImageSet]) -> list[str]:
    return [one.set_id for one in sets]


def refused(one: ImageSet) -> list[str]:
    return [finding.kind for finding in one.findings if finding.verdict == "refuse"]


async def test_every_matching_folder_is_a_set_named_by_its_path(tmp_path: Path) -> None:
    make(
        tmp_path, ["a/props/chair/front.png", "a/props/chair/left.png", "a/hero/Möbel 2/front.jpg", "a/props/note.txt"]
    )

    sets = await found(tmp_path, "path: a/*/*")

    assert ids(sets) == ["hero/Möbel 2", "props/chair"]
    assert sets[1].views == {
        View.FRONT: tmp_path / "a/props/chair/front.png",
        View.LEFT: tmp_path / "a/props/chair/left.png",
    }
    assert sets[1].folder == tmp_path / "a/props/chair"
    assert not sets[0].findings


async def test_two_stars_find_sets_at_any_depth(tmp_path: Path) -> None:
    make(tmp_path, "a/front.png a/b/front.png a/b/c/d/front.png a/e/f/note.txt")

    sets = await found(tmp_path, "path: a/**", "path: x/../a/../a/b")

    assert ids(sets) == ["a", "b/c/d", "e/f", "b"]
    assert refused(sets[2]) == ["no-pictures"]


async def test_hidden_folders_excluded_ones_and_our_own_output_are_skipped(tmp_path: Path) -> None:
    make(
        tmp_path, "chair/front.png .git/front.png out/meshes/front.png old_wip/front.png old/x/front.png b/c/front.png"
    )

    assert ids(await found(tmp_path, "{path: '**', exclude: ['*_wip', old, b/c]}")) == ["chair"]


async def test_an_absolute_glob_works_from_anywhere(tmp_path: Path) -> None:
    make(tmp_path, "pictures/chair/front.png pictures/lamp/front.png")

    assert ids(await found(tmp_path / "elsewhere", f"path: {tmp_path}/pictures/[c]*")) == ["chair"]


async def test_a_folder_that_is_called_like_a_glob_is_itself(tmp_path: Path) -> None:
    make(tmp_path, ["a/chair [old]/front.png", "b [1]/lamp/front.png"])

    assert ids(await found(tmp_path, "path: a/chair [old]", "path: b [1]/*")) == ["chair [old]", "lamp"]


async def test_a_folder_spelled_out_keeps_its_own_parameters(tmp_path: Path) -> None:
    make(tmp_path, "a/chair/front.png a/lamp/front.png")

    sets = await found(tmp_path, "{path: a/*, copies: 2}", "{path: a/lamp, id: hero/lamp, params: {faceCount: 90000}}")

    assert [(one.set_id, one.copies, one.params) for one in sets] == [
        ("chair", 2, {}),
        ("hero/lamp", 1, {"faceCount": 90_000}),
    ]


async def test_links_are_followed_but_never_in_circles(tmp_path: Path) -> None:
    make(tmp_path, "a/chair/front.png b/lamp/front.png")
    try:
        (tmp_path / "a/up").symlink_to(tmp_path / "a", target_is_directory=True)
        (tmp_path / "a/b").symlink_to(tmp_path / "b", target_is_directory=True)
        (tmp_path / "b/back-to-a").symlink_to(tmp_path / "a", target_is_directory=True)
        (tmp_path / "a/chair/left.png").symlink_to(tmp_path / "b/lamp/front.png")
        (tmp_path / "a/chair/back.png").symlink_to(tmp_path / "gone.png")
    except OSError:
        pytest.skip("this system makes no symbolic links")

    sets = await found(tmp_path, "path: a/**")

    assert ids(sets) == ["b/lamp", "chair"]
    assert list(sets[1].views) == [View.FRONT, View.LEFT, View.BACK]


async def test_a_flat_folder_is_grouped_by_its_pattern(tmp_path: Path) -> None:
    make(tmp_path, "f/a/chair_front.png f/a/chair_left.png f/a/logo.png f/b/lamp_front.png f/b/old_front.png")

    sets = await found(tmp_path, "{path: f/*, pattern: '{set}_{view}', exclude: [old]}")

    assert ids(sets) == ["a/chair", "b/lamp"]
    (left_out,) = sets[0].findings
    assert (left_out.kind, left_out.verdict, left_out.file) == ("unrecognised", "warn", tmp_path / "f/a/logo.png")


async def test_a_mapping_names_the_files(tmp_path: Path) -> None:
    make(tmp_path, "h/F.png h/raw/B.tga h/left.png")

    (helmet,) = await found(tmp_path, "{path: h, views: {front: F.png, back: raw/B.tga, top: T.png}}")

    assert helmet.views == {View.FRONT: tmp_path / "h/F.png", View.BACK: tmp_path / "h/raw/B.tga"}
    assert refused(helmet) == ["missing-file"]


async def test_a_bad_folder_is_refused_and_its_siblings_are_not(tmp_path: Path) -> None:
    make(
        tmp_path,
        ["a/empty/note.txt", "a/faceless/left.png", "a/good/front.png", "a/twice/front.png", "a/twice/front.webp"],
    )

    sets = await found(tmp_path, "path: a/*")

    assert {one.set_id: refused(one) for one in sets} == {
        "empty": ["no-pictures"],
        "faceless": ["no-front"],
        "good": [],
        "twice": ["two-candidates"],
    }


@pytest.mark.skipif(os.name == "nt", reason="Windows takes no such names")
async def test_a_name_that_cannot_be_printed_is_refused_but_shown(tmp_path: Path) -> None:
    make(tmp_path, ["a/be\x07ll/front.png", "a/chair/front.png"])

    sets = await found(tmp_path, "path: a/*")

    assert ids(sets) == ["be\\x07ll", "chair"]
    assert refused(sets[0]) == ["unprintable-name"]


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="this user may read everything")
async def test_a_folder_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    make(tmp_path, "a/locked/front.png")
    (tmp_path / "a/locked").chmod(0)

    (locked,) = await found(tmp_path, "path: a/*")

    assert refused(locked) == ["unreadable-folder"]


async def test_paths_that_match_nothing_are_all_named_with_what_is_near(tmp_path: Path) -> None:
    make(tmp_path, "assets/props/chair/front.png assets/file.png assets/flat/a.png")

    assert await problems(
        tmp_path,
        "path: assets/prosp/*",
        "path: nowhere",
        "path: assets/file.png",
        "path: assets/props",
        "{path: assets/flat, pattern: '{set}_{view}'}",
    ) == [
        "~/m.yaml:6:11: sets[0].path: 'assets/prosp/*' matches no folder; did you mean '~/assets/props/*'?",
        "~/m.yaml:7:11: sets[1].path: 'nowhere' matches no folder; the nearest folder there is: '~'",
        "~/m.yaml:8:11: sets[2].path: 'assets/file.png' is a file, expected a folder with the views of one object",
        (
            "~/m.yaml:9:11: sets[3].path: 'assets/props' holds folders alone (chair), expected folders with pictures; did "
            "you mean 'assets/props/*'?"
        ),
        "~/m.yaml:10:12: sets[4].path: no picture in 'assets/flat' follows '{set}_{view}': found a.png",
    ]


async def test_a_folder_matched_twice_is_an_error(tmp_path: Path) -> None:
    make(tmp_path, "a/chair/front.png")

    (line,) = await problems(tmp_path, "path: a/*", "path: a/c*")

    assert line.startswith("~/m.yaml:7:11: sets[1].path: '~/a/chair' is matched already by ~/m.yaml:6:11: sets[0].path")


async def test_ids_that_some_file_system_takes_for_one_are_an_error(tmp_path: Path) -> None:
    make(tmp_path, ["a/Chair/front.png", "b/chair/front.png", "a/caf\u00e9/front.png", "b/cafe\u0301/front.png"])

    by_case, by_form = sorted(await problems(tmp_path, "path: a/*", "path: b/*"))

    assert "'Chair' and 'chair'" in by_case
    assert "~/a/Chair and ~/b/chair" in by_case
    assert "~/a/caf\u00e9 and ~/b/cafe\u0301" in by_form


async def test_an_id_names_one_set(tmp_path: Path) -> None:
    make(tmp_path, "a/chair/front.png a/lamp/front.png")

    lines = await problems(tmp_path, "{path: a/*, id: one}")

    assert (
        lines[0] == "~/m.yaml:6:12: sets[0].path: matches 2 folders (chair, lamp, ...), expected one for the id 'one'"
    )
    assert ids(await found(tmp_path, "{path: a/c*, id: one}")) == ["one"]


async def test_names_that_are_no_utf8_are_refused_with_their_set_alone(tmp_path: Path) -> None:
    """Neither SQLite nor JSON can hold them."""
    odd = os.fsdecode(b"\xff")
    make(tmp_path, ["p/bad/front.png", f"p/bad/{odd} back.png", f"p/o{odd}d/front.png", "p/good/front.png"])
    make(tmp_path, [f"p/left over/{odd}.png", "p/left over/front.png"])

    sets = {one.set_id: one for one in await found(tmp_path, "path: p/*")}

    assert {name: refused(one) for name, one in sets.items()} == {
        "bad": ["unprintable-name"],
        r"o\udcffd": ["unprintable-name", "unprintable-name"],
        "good": [],
        "left over": [],
    }
    assert not sets["bad"].views
    for one in sets.values():
        "".join((one.set_id, *(said.message + said.mend for said in one.findings))).encode()


async def test_sets_come_in_chunks_that_are_kept_by_nobody(tmp_path: Path) -> None:
    make(tmp_path, [f"a/{n:03}/front.png" for n in range(50)] + [f"b/{n}/front.png" for n in range(3)])

    def held() -> int:
        return sum(isinstance(one, ImageSet) for one in gc.get_objects())

    before, sizes, names = held(), [], []
    async for some in discovered(manifest_of(tmp_path, "path: a/*", "path: b/*"), chunk=8):
        sizes.append(len(some))
        names += ids(some)
        some.clear()
        assert held() <= before + 1

    assert sizes == [8, 8, 8, 8, 8, 8, 5]
    assert names == ids(await found(tmp_path, "path: a/*", "path: b/*"))


async def until_refused(folder: Path, *entries: str) -> tuple[list[str], int]:
    """The sets that came before, and how many problems there were."""
    came: list[str] = []
    try:
        async for some in discovered(manifest_of(folder, *entries), chunk=1):
            came += ids(some)
    except UsageError as error:
        return came, len(error.problems)
    pytest.fail("nothing was wrong")


async def test_a_path_that_matches_nothing_is_told_before_the_first_set_and_all_else_with_it(tmp_path: Path) -> None:
    make(tmp_path, "a/Chair/front.png a/chair/front.png b/lamp/front.png")

    for nowhere in ("path: c/*", "path: c"):
        assert await until_refused(tmp_path, "path: a/*", nowhere) == ([], 2)

    assert await until_refused(tmp_path, "path: b/*", "path: a/*") == (["lamp", "Chair"], 1)


async def test_two_names_with_one_hash_are_no_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path, "a/chair/front.png b/lamp/front.png")
    monkeypatch.setattr(stage._Seen, "again", lambda *_: True)

    assert ids(await found(tmp_path, "path: a/*", "path: b/*")) == ["chair", "lamp"]


async def test_a_folder_that_a_glob_comes_upon_twice_is_one_set(tmp_path: Path) -> None:
    make(tmp_path, "a/a/a/front.png a/b/front.png b/a/front.png")

    assert ids(await found(tmp_path, "path: '**/a/**'")) == ["a/a/a", "a/b", "b/a"]
    assert ids(await found(tmp_path, "path: '**/a'")) == ["a/a/a", "b/a"]


async def test_folders_of_one_content_by_name_are_read_alike(tmp_path: Path) -> None:
    """The views of equal names are found once; what the folder's own name says about them is not mixed in."""
    make(
        tmp_path,
        [f"{name}/{file}" for name in ("top_hat", "chair") for file in ("top_hat_front.png", "top_hat_left.png")],
    )
    make(tmp_path, "x/left_shoe_front.png x/left_shoe_back.png y/left_shoe_front.png y/left_shoe_back.png")

    for one in await found(tmp_path, "path: '*'"):
        assert next(iter(one.views)) == View.FRONT
        assert len(one.views) == 2
        assert all(path.parent == one.folder for path in one.views.values())
