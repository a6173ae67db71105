"""Turns from a box's corners: boxes are drawn at known turns, with and without noise."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hoijax.errors import InputError
from hoijax.optim.fitting.box_turns import turns_of_box, upright_turns

MATRIX = np.array([[900.0, 0, 500], [0, 880, 400], [0, 0, 1]])
CORNERS = np.array([(0, 0, 0), *((x, y, z) for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5))])


def drawn(turn, sides, place):
    points = turn.apply(CORNERS * sides) + place
    return points[:, :2] / points[:, 2:] * MATRIX[[0, 1], [0, 1]] + MATRIX[:2, 2]


def upright(yaw, above):
    return (
        Rotation.from_euler("x", above) * Rotation.from_matrix(np.diag([1.0, -1, -1])) * Rotation.from_euler("y", yaw)
    )


def angles(turns, want):
    return np.degrees((Rotation.from_matrix(turns).inv() * want).magnitude())


@pytest.mark.parametrize("yaw", [0.3, 1.9, 3.4, 5.0])
@pytest.mark.parametrize("sides, place", [((0.5, 0.9, 0.55), (0.3, 0.2, 2.5)), ((0.2, 0.1, 0.15), (-0.4, 0.1, 1.2))])
def test_a_box_is_turned_as_it_was_drawn(yaw, sides, place):
    """The first answer is the box's own front, whatever its size and distance."""
    turn = upright(yaw, 0.3)
    turns = turns_of_box(drawn(turn, sides, place), MATRIX, CORNERS)
    assert turns.shape == (4, 3, 3) and turns.dtype == np.float32
    assert angles(turns[0], turn) < 3  # sides are drawn towards each other a little
    # The others are quarter turns about the box's upright axis.
    for k in range(1, 4):
        assert angles(turns[k], turn * Rotation.from_euler("y", 0.5 * np.pi * k)) < 3
    noisy = drawn(turn, sides, place) + 3 * np.random.default_rng(0).normal(size=(9, 2))
    assert angles(turns_of_box(noisy, MATRIX, CORNERS)[0], turn) < 12


def test_upright_turns_stand_before_a_level_camera():
    turns = upright_turns()
    np.testing.assert_allclose(np.linalg.det(turns), 1, atol=1e-6)
    np.testing.assert_allclose(turns[:, :, 1], [[0, -1, 0]] * 4, atol=1e-6)
    np.testing.assert_allclose(turns[0][:, 2], [0, 0, -1], atol=1e-6)  # its front is towards the viewer
    np.testing.assert_allclose(turns[1][:, 2], [1, 0, 0], atol=1e-6)


def test_points_that_are_none_are_refused():
    with pytest.raises(InputError, match="wanted are 9 finite ones"):
        turns_of_box(np.full((9, 2), np.nan), MATRIX, CORNERS)
