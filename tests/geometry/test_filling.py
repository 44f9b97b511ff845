import numpy as np
import pytest

from pipeline.geometry.filling import extended, spread


def test_colours_pass_smoothly_from_one_end_of_a_strip_to_the_other() -> None:
    count = 12
    faces = np.array([[k, k + 1, k + 2] for k in range(count - 2)], np.int32)
    known = np.zeros(count, bool)
    known[[0, -1]] = True
    colours = np.zeros((count, 3), np.float32)
    colours[0], colours[-1] = (200, 0, 50), (100, 0, 150)
    reds = spread(colours, known, faces)[:, 0]
    assert reds[0] == 200
    assert (np.diff(reds) < 0).all()
    assert np.abs(np.diff(reds)).max() < 25


def test_what_nothing_known_reaches_gets_the_mean() -> None:
    faces = np.array([[0, 1, 2], [3, 4, 5]], np.int32)
    colours = np.zeros((6, 3), np.float32)
    colours[:2] = (90, 60, 30)
    filled = spread(colours, np.arange(6) < 2, faces)
    assert filled[2:] == pytest.approx(np.tile([90, 60, 30], (4, 1)))


def test_a_texture_knows_no_colour_but_the_painted_at_any_mip_level() -> None:
    texels, painted = np.zeros((64, 128, 3), np.uint8), np.zeros((64, 128), bool)
    painted[8:24, 8:40], painted[40:56, 90:120] = True, True
    texels[8:24, 8:40], texels[40:56, 90:120] = (250, 40, 40), (40, 40, 250)
    whole = extended(texels, painted)
    assert (whole[painted] == texels[painted]).all()
    assert (whole[..., 1] == 40).all()
    assert (whole[6:26, 6:42] == (250, 40, 40)).all()
    level = whole.astype(float)
    for _ in range(3):
        level = (level[::2, ::2] + level[1::2, ::2] + level[::2, 1::2] + level[1::2, 1::2]) / 4
    assert level[1:3, 1:5] == pytest.approx(np.tile([250, 40, 40], (2, 4, 1)), abs=2)


def test_nothing_painted_stays_as_it_is() -> None:
    assert (extended(np.zeros((8, 8, 3), np.uint8), np.zeros((8, 8), bool)) == 0).all()
