import numpy as np

from pipeline.geometry.volumes import levelled, volume_at

RNG = np.random.default_rng(0)


def test_between_the_points_a_volume_is_linear_and_beyond_them_constant() -> None:
    z, y, x = np.mgrid[0:4, 0:5, 0:6].astype(np.float32)
    values, lattice = 2 * x - y + 3 * z, np.array([1.0, 2.0, 3.0, 0.5])
    assert volume_at(values, lattice, 1.7, 2.3, 3.2) == np.float32(2 * 1.4 - 0.6 + 3 * 0.4)
    assert volume_at(values, lattice, -9.0, 2.0, 3.0) == 0
    assert volume_at(values, lattice, 9.0, 9.0, 9.0) == 2 * 5 - 4 + 3 * 3


def test_a_jump_becomes_a_slope_that_only_adds_to_the_solid() -> None:
    values = np.where(np.arange(20)[:, None, None] < 10, -5.0, 3.0).astype(np.float32) + np.zeros(
        (20, 4, 4), np.float32
    )
    level = levelled(values, 0.1)
    assert (level[values < 0] < 0).all()
    assert np.abs(np.diff(level, axis=0)).max() <= 0.1 + 1e-6
    # The solid grows by the band at the most.
    assert (level[:, 0, 0] < 0).sum() <= 10 + 4


def test_no_two_neighbours_differ_by_more_than_a_step() -> None:
    level = levelled(RNG.normal(size=(12, 13, 14)).astype(np.float32), 0.2)
    assert max(np.abs(np.diff(level, axis=axis)).max() for axis in range(3)) <= 0.2 + 1e-6


def test_in_no_direction_does_a_levelled_field_grow_faster_than_the_surface_is_looked_for_with() -> None:
    spacing = 0.2
    cliffs = np.where(RNG.random((14, 15, 16)) < 0.02, -3.0, 3.0)
    for raw in (cliffs, RNG.normal(size=(14, 15, 16))):
        level = levelled(raw.astype(np.float32), spacing)
        lattice = np.array([0, 0, 0, spacing])
        size = spacing * (np.array(level.shape[::-1]) - 1)
        starts = RNG.random((20_000, 3)) * size
        steps = RNG.normal(size=(20_000, 3))
        steps *= (RNG.uniform(1, 4, 20_000) * spacing / np.linalg.norm(steps, axis=1))[:, None]
        ends = starts + steps
        ends, starts = (kept[((ends >= 0) & (ends <= size)).all(axis=1)] for kept in (ends, starts))
        rise = [
            volume_at(level, lattice, *end) - volume_at(level, lattice, *start)
            for start, end in zip(starts, ends, strict=True)
        ]
        steepest = np.abs(rise / np.linalg.norm(ends - starts, axis=1)).max()
        assert steepest <= 1.25
