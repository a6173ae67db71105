"""Joint limits: natural poses cost nothing, broken ones cost the square of their excess."""

import chex
import jax
import numpy as np
import pytest
from jax.test_util import check_grads
from scipy.spatial.transform import Rotation

from hoijax.body_models import (
    JOINT_NAMES,
    NAMED_HAND_POSES,
    NAMED_POSES,
    BodyParams,
    JointLimits,
    free_body,
    joint_limit_penalty,
    joint_limits,
    named_hand_pose,
    named_pose,
)
from hoijax.geometry import rotation_from_axis_angle

PENALTY = jax.jit(joint_limit_penalty)
JOINTS = JOINT_NAMES["free"]


@pytest.fixture(scope="module")
def body():
    return free_body("test")


@pytest.fixture(scope="module")
def limits(body):
    return joint_limits(body)


def turned(joint, degrees):
    """Rotations (52, 3, 3) with one joint turned by an axis-angle vector in degrees."""
    vectors = np.zeros((52, 3))
    vectors[JOINTS.index(joint)] = np.radians(degrees)
    return Rotation.from_rotvec(vectors).as_matrix().astype(np.float32)


def test_named_poses_are_within_the_limits(body, limits):
    poses = [named_pose(name) for name in NAMED_POSES]
    hands = [{f"{s}_hand_pose": named_hand_pose(name, s) for s in ("left", "right")} for name in NAMED_HAND_POSES]
    rows = [BodyParams.from_axis_angle(body, **keys).rotations for keys in (*poses, *hands)]
    cost = PENALTY(np.stack(rows), limits)
    np.testing.assert_allclose(cost, 0.0, atol=1e-9, err_msg=str((*NAMED_POSES, *NAMED_HAND_POSES)))


@pytest.mark.parametrize(
    ("joint", "bent", "broken"),
    [
        ("left_knee", (120, 0, 0), (-40, 0, 0)),
        ("right_knee", (120, 0, 0), (-40, 0, 0)),
        ("left_elbow", (0, -130, 0), (0, 60, 0)),
        ("right_elbow", (0, 130, 0), (0, -60, 0)),
        ("left_hip", (-110, 0, 0), (80, 0, 0)),
        ("head", (20, 0, 0), (0, 120, 0)),
        ("left_index2", (0, 0, -90), (0, 0, 60)),
        ("right_index2", (0, 0, 90), (0, 0, -60)),
        ("left_shoulder", (0, 0, 80), (0, 0, 170)),
    ],
)
def test_joints_bend_one_way(limits, joint, bent, broken):
    assert PENALTY(turned(joint, bent), limits) == 0.0
    assert PENALTY(turned(joint, broken), limits) > 0.1


def test_limits_are_mirror_symmetric(limits):
    mirror = [
        JOINTS.index("_".join({"left": "right", "right": "left"}.get(w, w) for w in n.split("_"))) for n in JOINTS
    ]
    np.testing.assert_array_equal(limits.lower[mirror][:, 0], limits.lower[:, 0])
    np.testing.assert_array_equal(limits.lower[mirror][:, 1:], -limits.upper[:, 1:])


def test_every_joint_but_the_root_is_limited(limits):
    span = np.asarray(limits.upper - limits.lower)
    assert (span[0] == 8.0).all() and (span[1:] < 2 * np.pi).all() and (span[1:] > 0).all()
    assert (np.asarray(limits.lower)[1:] <= 0).all() and (np.asarray(limits.upper)[1:] >= 0).all()


def test_penalty_is_the_squared_excess():
    limits = JointLimits(lower=np.full((2, 3), -0.5), upper=np.full((2, 3), 0.25))
    vectors = np.array([[0.1, -0.7, 0.0], [0.3, 0.0, 0.2]])
    want = 0.2**2 + 0.05**2
    got = PENALTY(Rotation.from_rotvec(vectors).as_matrix(), limits)
    np.testing.assert_allclose(got, want, atol=1e-12)


@pytest.mark.parametrize("scale", [0.0, 1e-6, 0.7, 3.0])
def test_gradients_match_finite_differences(scale):
    limits = JointLimits(lower=np.full((4, 3), -0.3), upper=np.full((4, 3), 0.2))
    vectors = np.random.default_rng(0).normal(size=(4, 3))
    rotations = Rotation.from_rotvec(scale * vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).as_matrix()

    def cost(w):  # along rotations only: off them the logarithm is not defined
        return joint_limit_penalty(rotations @ rotation_from_axis_angle(w), limits)

    check_grads(jax.jit(cost), (np.zeros((4, 3)),), order=1, modes=("rev",), atol=1e-5, rtol=1e-5)


def test_batches_agree(limits):
    rows = np.stack([turned("left_knee", (-40, 0, 0)), turned("head", (0, 120, 0))])
    batch = np.stack([rows, rows, rows])
    eager = joint_limit_penalty(batch, limits)
    assert eager.shape == (3, 2)
    mapped = jax.vmap(jax.vmap(lambda r: joint_limit_penalty(r, limits)))(batch)
    chex.assert_trees_all_close(eager, PENALTY(batch, limits), mapped, atol=1e-6)
