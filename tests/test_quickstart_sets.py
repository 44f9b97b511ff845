"""The sample image sets in configs/quickstart are what their script makes, and what the README promises of them."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.domain.views import View, recognise

QUICKSTART = Path(__file__).parents[1] / "configs" / "quickstart"
SETS = sorted(path.parent for path in QUICKSTART.glob("*/*front.png") if recognise(path.name) is View.FRONT)


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture)


def test_there_are_a_few_small_sets() -> None:
    assert 3 <= len(SETS) <= 5
    assert sorted(SETS) == sorted(path for path in QUICKSTART.iterdir() if path.is_dir() and path.name[0] not in "._")
    assert sum(path.stat().st_size for path in QUICKSTART.rglob("*.png")) < 2_000_000


@pytest.mark.parametrize("folder", SETS, ids=lambda folder: folder.name)
def test_every_picture_is_one_view_of_an_object_within_the_limits(folder: Path) -> None:
    views = [recognise(path.name) for path in folder.iterdir()]
    assert None not in views
    assert len(set(views)) == len(views) >= 4
    for path in folder.iterdir():
        picture = pixels(path)
        assert picture.shape == (512, 512, 4)
        opaque = picture[..., 3] == 255
        assert 0.05 < opaque.mean() < 0.9
        assert not picture[[0, -1], :, 3].any()
        assert not picture[:, [0, -1], 3].any()


def test_a_set_is_made_again_byte_for_byte(tmp_path: Path) -> None:
    script = [sys.executable, QUICKSTART / "make_sets.py", "--out", tmp_path, "tugboat"]
    subprocess.run(script, check=True, capture_output=True, timeout=120)
    made, kept = (
        {path.name: path for path in sorted(folder.iterdir())}
        for folder in (tmp_path / "tugboat", QUICKSTART / "tugboat")
    )
    assert made.keys() == kept.keys()
    for name, path in made.items():
        np.testing.assert_array_equal(pixels(path), pixels(kept[name]), err_msg=name)
        assert path.read_bytes() == kept[name].read_bytes(), (
            f"{name}: the same pixels, packed differently: another Pillow?"
        )
