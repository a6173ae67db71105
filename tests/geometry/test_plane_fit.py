"""The floor of made-up rooms, whose plane is known."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hoijax.errors import InputError
from hoijax.geometry import fit_floor

UP = np.array([0.0, 1.0, 0.0])


def room(lean=0.0, floor=1500, table=5000, ceiling=6000, stray=200, seed=0):
    """Points of a room of 4 m by 4 m whose floor passes through (0, 0.3, 0), and its normal."""
    rng = np.random.default_rng(seed)

    def level(count, height, x, z):
        return np.stack([rng.uniform(-x, x, count), np.full(count, height), rng.uniform(-z, z, count)], axis=1)

    wall = np.stack([np.full(4000, 2.0), rng.uniform(0, 2.5, 4000), rng.uniform(-2, 2, 4000)], axis=1)
    points = np.concatenate([level(floor, 0, 2, 2), level(table, 0.75, 0.8, 0.5), level(ceiling, 2.5, 2, 2), wall])
    points += rng.normal(0, 0.004, points.shape)
    points = np.concatenate([points, rng.uniform([-3, -1, -3], [3, 4, 3], (stray, 3))])
    turn = Rotation.from_rotvec([lean, 0, 0.5 * lean]).as_matrix()
    return points @ turn.T + [0, 0.3, 0], turn[:, 1]


@pytest.mark.parametrize("lean", [0.0, 0.1, 0.3])
def test_the_floor_is_found_below_a_larger_table_and_ceiling(lean):
    points, normal = room(lean)
    got = fit_floor(points, UP)
    np.testing.assert_allclose(got.normal, normal, atol=0.003)
    np.testing.assert_allclose(got.level, 0.3 * normal[1], atol=0.003)
    np.testing.assert_allclose(got.angle, np.arccos(normal[1]), atol=0.005)
    np.testing.assert_allclose(got.share, 1500 / len(points), rtol=0.2)
    np.testing.assert_allclose(got.spread, 0.004, rtol=0.2)


def test_up_says_which_side_is_above():
    """Upside down, the ceiling is the floor."""
    points, _ = room()
    got = fit_floor(points, -UP)
    np.testing.assert_allclose(got.normal, -UP, atol=0.003)
    np.testing.assert_allclose(got.level, -2.8, atol=0.003)


def test_the_same_points_give_the_same_floor_and_float32_will_do():
    points, _ = room(0.1)
    first, again = (fit_floor(points.astype(np.float32), UP) for _ in range(2))
    np.testing.assert_array_equal(first.normal, again.normal)
    assert first.level == again.level


def test_many_points_are_thinned_evenly(monkeypatch):
    """A floor whose points come last in the file is found all the same."""
    from hoijax.geometry import plane_fit

    points, _ = room()
    monkeypatch.setattr(plane_fit, "MOST", 3000)
    got = fit_floor(points[::-1], UP)
    np.testing.assert_allclose(got.level, 0.3, atol=0.005)


def test_no_floor_is_said():
    rng = np.random.default_rng(0)
    with pytest.raises(InputError, match="no floor was found"):
        fit_floor(rng.uniform(-2, 2, (5000, 3)), UP)
    wall = np.stack([rng.uniform(0, 0.01, 3000), *rng.uniform(-1, 1, (2, 3000))], axis=1)
    with pytest.raises(InputError, match="no floor was found"):
        fit_floor(wall, UP)
    with pytest.raises(InputError, match="at least 3 points, got 2"):
        fit_floor(np.zeros((2, 3)), UP)
