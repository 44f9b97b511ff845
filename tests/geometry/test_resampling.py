import numpy as np
import pytest

from pipeline.geometry.resampling import resampled


@pytest.mark.parametrize(("height", "width"), [(4, 6), (5, 7), (12, 4), (30, 31), (1, 1)])
def test_the_mean_and_a_constant_survive(height: int, width: int) -> None:
    flat = resampled(np.full((12, 10, 3), 7, np.uint8), height, width)
    assert flat.shape == (height, width, 3)
    assert flat == pytest.approx(7)
    noise = np.random.default_rng(0).random((12, 10))
    if height <= 12 and width <= 10:
        assert resampled(noise, height, width).mean() == pytest.approx(noise.mean(), abs=1e-6)


def test_a_slope_keeps_its_place_in_the_frame() -> None:
    slope = np.add.outer(np.arange(24.0) + 0.5, np.zeros(24))
    assert resampled(slope, 8, 24)[:, 0] == pytest.approx(3 * (np.arange(8) + 0.5))
    assert resampled(slope, 48, 24)[1:-1, 0] == pytest.approx((np.arange(48) + 0.5)[1:-1] / 2)


def test_the_same_size_changes_nothing() -> None:
    plane = np.random.default_rng(0).random((5, 6)).astype(np.float32)
    assert np.array_equal(resampled(plane, 5, 6), plane)
