"""Umeyama's alignment against SciPy, and its derivative where that of the SVD is infinite."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hoijax.geometry import RigidPose, procrustes_rotation, transform_points, umeyama

align = jax.jit(umeyama, static_argnames="with_scale")
MIRROR = np.diag([1.0, 1.0, -1.0])
CUBE = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], float)  # three equal singular values


def cloud(shape, seed=0):
    return np.random.default_rng(seed).normal(size=(*shape, 3))


@pytest.mark.parametrize("batch", [(), (1,), (2, 3)])
@pytest.mark.parametrize("with_scale", [True, False])
def test_recovers_the_pose_that_moved_the_points(batch, with_scale):
    rng = np.random.default_rng(1)
    rotation = Rotation.random(int(np.prod(batch)), rng=rng).as_matrix().reshape(*batch, 3, 3)
    scale = rng.uniform(0.3, 3.0, size=batch) if with_scale else np.ones(batch)
    pose = RigidPose(rotation, rng.normal(size=(*batch, 3)), np.asarray(scale))
    source = cloud((*batch, 12))
    target = np.asarray(transform_points(pose, source))
    chex.assert_trees_all_close(align(source, target, with_scale=with_scale), pose, atol=1e-12)


def reference(source, target, weights):
    """Rotation by SciPy (Kabsch with weights), scale and translation by least squares given it."""
    weights = weights / weights.sum()
    s, t = source - weights @ source, target - weights @ target
    rotation = Rotation.align_vectors(t, s, weights)[0].as_matrix()
    scale = np.sum(weights[:, None] * t * (s @ rotation.T)) / np.sum(weights[:, None] * s * s)
    return rotation, weights @ target - scale * rotation @ (weights @ source), scale


@pytest.mark.parametrize("mirrored", [False, True])
def test_noisy_weighted_points_agree_with_scipy(mirrored):
    source, noise = cloud((20,)), 0.3 * cloud((20,), 1)
    target = 1.7 * source @ Rotation.from_rotvec([0.5, -1.0, 2.0]).as_matrix().T + noise + [1.0, 2.0, 3.0]
    if mirrored:
        target = target @ MIRROR
    weights = np.random.default_rng(2).uniform(size=20)
    pose = align(source, target, weights)
    rotation, translation, scale = reference(source, target, weights)
    np.testing.assert_allclose(pose.rotation, rotation, atol=1e-12)
    np.testing.assert_allclose(pose.translation, translation, atol=1e-12)
    np.testing.assert_allclose(pose.scale, scale, atol=1e-12)
    np.testing.assert_allclose(np.linalg.det(pose.rotation), 1, atol=1e-12)


def test_weight_zero_leaves_a_point_out():
    source, target = cloud((10,)), cloud((10,), 1)
    weights = np.ones(10)
    weights[7:] = 0
    target[7:] += 100
    chex.assert_trees_all_close(align(source, target, weights), umeyama(source[:7], target[:7]), atol=1e-12)


def pose_numbers(flat, with_scale=True, weights=None):
    source, target = jnp.moveaxis(flat.reshape(2, -1, 3), 0, 0)
    pose = umeyama(source, target, weights, with_scale=with_scale)
    return jnp.concatenate([pose.rotation.reshape(-1), pose.translation, pose.scale[None]])


def rigid_numbers(flat):
    return pose_numbers(flat, with_scale=False, weights=jnp.arange(1.0, 1.0 + flat.size // 6))


SOURCES = {
    "general": (cloud((8,)), 0.2 * cloud((8,), 1)),
    "repeated singular values": (CUBE, 0.0),
    "planar": (cloud((8,)) * [1, 1, 0], 0.0),
    "nearly planar": (cloud((8,)) * [1, 1, 1e-4], 0.0),
    "planar square": (np.array([[1, 1, 0], [-1, 1, 0], [-1, -1, 0], [1, -1, 0]] * 2, float), 0.0),
}


@pytest.mark.parametrize("case", SOURCES)
@pytest.mark.parametrize("function", [pose_numbers, rigid_numbers])
def test_gradients_match_finite_differences(check_jacobians, case, function):
    source, noise = SOURCES[case]
    target = 1.3 * source @ Rotation.from_rotvec([0.3, 2.0, -0.4]).as_matrix().T + noise + [0.5, 0.0, -1.0]
    check_jacobians(function, np.stack([source, target]).reshape(-1), atol=1e-6)


def test_gradients_of_a_mirrored_cloud_match_finite_differences(check_jacobians):
    source = cloud((8,)) * [2.0, 1.5, 0.7]
    check_jacobians(pose_numbers, np.stack([source, source @ MIRROR]).reshape(-1), atol=1e-6)


def test_second_derivatives_match_finite_differences(check_jacobians):
    matrix = np.eye(3) + 0.1 * np.random.default_rng(0).normal(size=(3, 3))
    check_jacobians(jax.jacrev(procrustes_rotation), matrix)


@pytest.mark.parametrize("source", [np.zeros((5, 3)), np.arange(5.0)[:, None] * [1.0, 2.0, 3.0]], ids=["point", "line"])
def test_clouds_without_a_unique_rotation_give_a_rotation_and_finite_gradients(source):
    flat = np.stack([source, source + 1.0]).reshape(-1)
    numbers = np.asarray(jax.jit(pose_numbers)(flat))
    rotation = numbers[:9].reshape(3, 3)
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(source @ rotation.T * numbers[12] + numbers[9:12], source + 1.0, atol=1e-12)
    chex.assert_tree_all_finite(jax.jit(jax.jacrev(pose_numbers))(flat))


def test_no_weight_at_all_gives_the_identity():
    pose = align(cloud((4,)), cloud((4,), 1), np.zeros(4))
    chex.assert_trees_all_close(pose, RigidPose.identity(), atol=0)


def test_eager_jit_and_vmap_agree():
    args = cloud((2, 3, 6)), cloud((2, 3, 6), 1), np.random.default_rng(2).uniform(size=(2, 3, 6))
    mapped = jax.jit(jax.vmap(jax.vmap(umeyama)))
    chex.assert_trees_all_close(umeyama(*args), align(*args), mapped(*args), atol=1e-12)


def test_float32_keeps_its_digits_far_from_the_origin():
    source = cloud((50,)).astype(np.float32)
    rotation = Rotation.from_rotvec([0.5, -1.0, 2.0]).as_matrix()
    target = (source @ rotation.T + 10.0).astype(np.float32)
    pose = align(source + np.float32(5.0), target)
    chex.assert_type(jax.tree.leaves(pose), jnp.float32)
    np.testing.assert_allclose(pose.rotation, rotation, atol=3e-6)


def test_no_points_is_an_error():
    with pytest.raises(ValueError, match="at least one pair of points, got 0"):
        umeyama(np.zeros((0, 3)), np.zeros((0, 3)))
