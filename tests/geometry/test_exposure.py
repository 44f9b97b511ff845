import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.geometry.exposure import Exposure, evened, exposure

VIEWS, POINTS = 5, 3_000


@pytest.fixture
def seen() -> NDArray[np.float32]:
    """Every view sees half of the points: a ring, so that opposite views share nothing."""
    at = np.arange(POINTS) / POINTS * 2 * np.pi
    towards = np.arange(VIEWS) / VIEWS * 2 * np.pi
    return np.maximum(np.cos(at[None] - towards[:, None]), 0).astype(np.float32)


def shown(gains: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Points of many colours as the views show them whose gains are to be found."""
    random = np.random.default_rng(4)
    colours = np.repeat(random.integers(70, 190, (1, POINTS, 3)).astype(np.uint8), VIEWS, axis=0)
    return evened(colours, Exposure(gains=1 / gains))


def test_gains_of_every_channel_are_found(seen: NDArray[np.float32]) -> None:
    gains = np.exp(np.random.default_rng(2).normal(0, 0.15, (VIEWS, 3)))
    gains /= gains[0]
    found = exposure(shown(gains), seen)
    assert found.differs
    assert found.gains == pytest.approx(gains, rel=0.02)


def test_parallax_at_some_points_doesn_t_pass_for_an_exposure(seen: NDArray[np.float32]) -> None:
    samples = shown(np.ones((VIEWS, 3)))
    wrong = np.random.default_rng(3).random(samples.shape[:2]) < 0.15
    samples[wrong] = 30
    assert not exposure(samples, seen).differs


def test_views_that_share_no_point_keep_their_exposure() -> None:
    apart = np.kron(np.eye(VIEWS), np.ones(POINTS // VIEWS)).astype(np.float32)
    samples = shown(np.exp(np.linspace(0, 0.5, VIEWS))[:, None] * np.ones(3))
    assert (exposure(samples, apart).gains == 1).all()


def test_pictures_are_evened_in_linear_light() -> None:
    pictures = np.full((2, 4, 4, 3), 128, np.uint8)
    gains = np.array([[1, 1, 1], [2, 1, 0.5]], float)
    even = evened(pictures, Exposure(gains=gains))
    assert (even[0] == 128).all()
    # Half the light of 128 is 93, twice is 175 (IEC 61966-2-1).
    assert even[1, 0, 0].tolist() == pytest.approx([175, 128, 93], abs=1)
