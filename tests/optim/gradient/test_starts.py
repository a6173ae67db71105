import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hoijax.body_models import BodyParams
from hoijax.geometry import RigidPose
from hoijax.optim.gradient import RefineMetrics, Starts
from hoijax.optim.gradient.starts import moved_start, moves, shortfall
from hoijax.optim.gradient.state import State

NAMES = ("pelvis", "left_hip", "right_hip", "left_knee", "right_knee")
UP = jnp.asarray([0.0, 1.0, 0.0])


def matrix(*w):
    return Rotation.from_rotvec(w).as_matrix()


@pytest.fixture
def start():
    rotations = np.stack([matrix(0.2, 0.9, 0.1), *(matrix(-1.2, 0.1 * k, 0.2) for k in range(4))])
    params = BodyParams(rotations=jnp.asarray(rotations), betas=jnp.zeros(2), translation=jnp.asarray([1.0, 2.0, 3.0]))
    return State.of(params, RigidPose(jnp.eye(3), jnp.zeros(3), jnp.ones(())))


def go(start, **move):
    order = ("front", "side", "up", "yaw", "lean", "knees")
    return moved_start(start, jnp.asarray([move.get(key, 0.0) for key in order]), UP, NAMES)


def test_the_table_has_the_given_start_once_and_no_start_wrong_in_three_ways():
    table = moves()
    assert len(np.unique(table, axis=0)) == len(table)
    assert (np.abs(table).sum(axis=1) == 0).sum() == 1
    ways = (table[:, :4] != 0).sum(axis=1) + (table[:, 4:] != 0).any(axis=1)
    assert ways.max() == 2
    assert np.abs(table[:, 3:]).max() < np.radians(31)


def test_shifts_are_level_along_the_body_s_own_front_and_left(start):
    left = np.asarray(start.rotations[0][:, 0]) * [1, 0, 1]
    left /= np.linalg.norm(left)
    front = np.asarray(start.rotations[0][:, 2]) * [1, 0, 1]
    got = np.asarray(go(start, front=0.3, side=0.2, up=0.1).translation) - [1, 2, 3]
    np.testing.assert_allclose(got @ left, 0.2, atol=1e-12)
    np.testing.assert_allclose(got[1], 0.1, atol=1e-12)
    along = got - 0.2 * left - [0, 0.1, 0]
    np.testing.assert_allclose(np.linalg.norm(along), 0.3)
    assert along @ front > 0.28 * np.linalg.norm(front)


def test_a_yaw_turns_the_root_about_the_vertical_and_nothing_else(start):
    got = go(start, yaw=0.4)
    np.testing.assert_allclose(got.rotations[0], matrix(0, 0.4, 0) @ np.asarray(start.rotations[0]), atol=1e-12)
    np.testing.assert_array_equal(got.rotations[1:], start.rotations[1:])


def test_who_leans_back_keeps_the_thighs_where_they_are(start):
    got, was = np.asarray(go(start, lean=0.5).rotations), np.asarray(start.rotations)
    spine = got[0][:, 1]
    assert spine[[0, 2]] @ was[0][[0, 2], 2] < was[0][[0, 2], 1] @ was[0][[0, 2], 2]  # farther back
    for hip in (1, 2):
        np.testing.assert_allclose(got[0] @ got[hip], was[0] @ was[hip], atol=1e-12)
    np.testing.assert_array_equal(got[3:], was[3:])


def test_stretched_knees_turn_the_shins_by_the_angle(start):
    got, was = np.asarray(go(start, knees=0.5).rotations), np.asarray(start.rotations)
    np.testing.assert_array_equal(got[:3], was[:3])
    for knee in (3, 4):
        np.testing.assert_allclose(got[knee], matrix(-0.5, 0, 0) @ was[knee], atol=1e-12)


def test_the_shortfall_is_what_is_beyond_the_rule_and_far_parts_do_not_count_more_than_far():
    rule = Starts(deep=0.008, far=0.018)
    metrics = RefineMetrics(
        contact=jnp.asarray([[0.01, 0.0], [0.028, 0.02], [3.0, 0.0]]),
        max_penetration=jnp.asarray([0.007, 0.018, 0.0]),
        mean_penetration=jnp.zeros(3),
        floor=jnp.zeros(3),
    )
    np.testing.assert_allclose(shortfall(metrics, rule), [0.0, 0.032, 0.1], atol=1e-9)
    with pytest.raises(ValueError, match="tries must not be negative"):
        Starts(tries=-1)
