from itertools import combinations

import numpy as np

from pipeline.geometry.atlas import LARGEST, packed


def test_rectangles_lie_inside_and_apart() -> None:
    sizes = [(int(w), int(h)) for w, h in np.random.default_rng(5).integers(1, 900, (9, 2))]
    atlas = packed(sizes)
    assert atlas is not None
    boxes = [(x, y, x + w, y + h) for (x, y), (w, h) in zip(atlas.corners, sizes, strict=True)]
    assert all(right <= atlas.width and bottom <= atlas.height for _, _, right, bottom in boxes)
    for a, b in combinations(boxes, 2):
        assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]


def test_the_texture_is_as_small_as_a_power_of_two_can_be() -> None:
    small, wide = packed([(100, 100)]), packed([(128, 60), (128, 64)])
    assert small is not None
    assert (small.width, small.height) == (128, 128)
    assert wide is not None
    assert wide.width * wide.height == 128 * 128


def test_what_no_texture_holds_is_refused() -> None:
    assert packed([(LARGEST, LARGEST), (1, 1)]) is None
    assert packed([(LARGEST + 1, 1)]) is None
