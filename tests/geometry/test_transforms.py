import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree
from scipy.spatial.transform import Rotation

from hoijax.geometry import RigidPose, compose, inverse, transform_points

BATCHES = [(), (1,), (2, 3)]


def random_pose(batch, seed):
    rng = np.random.default_rng(seed)
    rotation = Rotation.random(int(np.prod(batch)), rng=rng).as_matrix().reshape(*batch, 3, 3)
    return RigidPose(rotation, rng.normal(size=(*batch, 3)), rng.uniform(0.5, 2.0, size=batch))


def homogeneous(pose, i):
    matrix = np.eye(4)
    matrix[:3, :3] = pose.scale[i] * np.asarray(pose.rotation[i])
    matrix[:3, 3] = pose.translation[i]
    return matrix


@pytest.mark.parametrize("batch", BATCHES)
def test_poses_act_like_homogeneous_matrices(batch):
    a, b = random_pose(batch, 0), random_pose(batch, 1)
    points = np.random.default_rng(2).normal(size=(*batch, 5, 3))
    moved, both, back = transform_points(a, points), compose(a, b), inverse(a)
    for i in np.ndindex(*batch):
        extended = np.concatenate([points[i], np.ones((5, 1))], axis=1)
        np.testing.assert_allclose(moved[i], (extended @ homogeneous(a, i).T)[:, :3], atol=1e-13)
        np.testing.assert_allclose(homogeneous(both, i), homogeneous(a, i) @ homogeneous(b, i), atol=1e-13)
        np.testing.assert_allclose(homogeneous(back, i), np.linalg.inv(homogeneous(a, i)), atol=1e-13)


def test_one_pose_moves_many_clouds_and_many_poses_one_cloud():
    poses, points = random_pose((4,), 0), np.random.default_rng(1).normal(size=(6, 3))
    first = jax.tree.map(lambda x: x[0], poses)
    many = transform_points(poses, points)
    chex.assert_shape(many, (4, 6, 3))
    np.testing.assert_allclose(many[0], transform_points(first, points), atol=1e-14)
    np.testing.assert_allclose(transform_points(first, np.stack([points, points]))[1], many[0], atol=1e-14)


def test_identity_moves_nothing_and_takes_shape_and_dtype():
    pose = RigidPose.identity((2,), jnp.float32)
    chex.assert_type(jax.tree.leaves(pose), jnp.float32)
    chex.assert_shape([pose.rotation, pose.translation, pose.scale], [(2, 3, 3), (2, 3), (2,)])
    points = jnp.ones((2, 4, 3), jnp.float32)
    np.testing.assert_array_equal(transform_points(pose, points), points)


@pytest.mark.parametrize("function", [
    lambda a, b, p: transform_points(a, p), lambda a, b, p: compose(a, b), lambda a, b, p: inverse(a)
], ids=["transform_points", "compose", "inverse"])  # fmt: skip
def test_eager_jit_and_vmap_agree(function):
    args = random_pose((2, 3), 0), random_pose((2, 3), 1), np.random.default_rng(2).normal(size=(2, 3, 5, 3))
    mapped = jax.jit(jax.vmap(jax.vmap(function)))
    chex.assert_trees_all_close(function(*args), jax.jit(function)(*args), mapped(*args), atol=1e-14)


def test_gradients_match_finite_differences(check_jacobians):
    pose, points = random_pose((), 0), np.random.default_rng(1).normal(size=(2, 3))
    flat, unravel = ravel_pytree((pose, points))
    check_jacobians(lambda x: transform_points(inverse(unravel(x)[0]), unravel(x)[1]), flat)
