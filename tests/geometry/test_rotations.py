"""Rotations against SciPy, near and at the identity and half a turn, values and derivatives.

Functions run compiled, whole, because op by op every new shape costs many small compilations; the last test compares
that with the eager call.
"""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from scipy.spatial.transform import Rotation

from hoijax import geometry

axis_angle_from_quaternion = jax.jit(geometry.axis_angle_from_quaternion)
axis_angle_from_rotation = jax.jit(geometry.axis_angle_from_rotation)
quaternion_from_axis_angle = jax.jit(geometry.quaternion_from_axis_angle)
quaternion_from_rotation = jax.jit(geometry.quaternion_from_rotation)
rotation_angle = jax.jit(geometry.rotation_angle)
rotation_from_6d = jax.jit(geometry.rotation_from_6d)
rotation_from_6d_columns = jax.jit(geometry.rotation_from_6d_columns)
rotation_from_axis_angle = jax.jit(geometry.rotation_from_axis_angle)
rotation_from_quaternion = jax.jit(geometry.rotation_from_quaternion)
sixd_columns_from_rotation = jax.jit(geometry.sixd_columns_from_rotation)
sixd_from_rotation = jax.jit(geometry.sixd_from_rotation)
random_rotation = geometry.random_rotation

BATCHES = [(), (1,), (2, 3)]
ANGLES = [
    0.0,
    1e-9,
    1e-6,
    2e-3,
    4e-3,
    0.7,
    2.0,
    3.1,
    np.pi - 1e-4,
    np.pi - 1e-7,
    np.pi,
]  # series and formula meet at 3e-3


def vectors(batch, angle, seed=0):
    axis = np.random.default_rng(seed).normal(size=(*batch, 3))
    return angle * axis / np.linalg.norm(axis, axis=-1, keepdims=True)


def scipy_of(w):
    return Rotation.from_rotvec(np.reshape(w, (-1, 3)))


def close_up_to_sign(got, want, atol):
    sign = np.sign(np.sum(got * want, axis=-1, keepdims=True))
    np.testing.assert_allclose(got * np.where(sign == 0, 1, sign), want, atol=atol)


@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("angle", ANGLES)
def test_conversions_agree_with_scipy(batch, angle):
    w = vectors(batch, angle)
    want = scipy_of(w)
    matrix = want.as_matrix().reshape(*batch, 3, 3)
    quaternion = want.as_quat(scalar_first=True).reshape(*batch, 4)
    np.testing.assert_allclose(rotation_from_axis_angle(w), matrix, atol=1e-14)
    np.testing.assert_allclose(rotation_from_quaternion(3.0 * quaternion), matrix, atol=1e-14)
    close_up_to_sign(np.asarray(quaternion_from_axis_angle(w)), quaternion, 1e-14)
    close_up_to_sign(np.asarray(quaternion_from_rotation(matrix)), quaternion, 1e-14)
    np.testing.assert_allclose(rotation_angle(matrix), angle, atol=1e-14)
    tolerance = 1e-14
    for got in (axis_angle_from_rotation(matrix), axis_angle_from_quaternion(-2.0 * quaternion)):
        if angle > np.pi - 1e-6:  # either sign of the axis
            np.testing.assert_allclose(rotation_from_axis_angle(got), matrix, atol=tolerance)
        else:
            np.testing.assert_allclose(got, w, atol=tolerance)


def test_angles_beyond_half_a_turn_come_back_as_the_shorter_way():
    w = vectors((5,), 4.0)
    np.testing.assert_allclose(
        axis_angle_from_rotation(rotation_from_axis_angle(w)), w * (1 - 2 * np.pi / 4.0), atol=1e-14
    )
    np.testing.assert_allclose(
        axis_angle_from_quaternion(quaternion_from_axis_angle(w)), w * (1 - np.pi / 2), atol=1e-14
    )


@pytest.mark.parametrize("angle", ANGLES)
def test_the_logarithm_keeps_the_digits_of_float32(angle):
    w = vectors((2000,), angle)
    matrix = scipy_of(w).as_matrix().astype(np.float32)
    got = axis_angle_from_rotation(matrix)
    chex.assert_type(got, jnp.float32)
    # The matrix itself is rounded to 6e-8, and half a turn is the worst case: sign of the axis free, digits not.
    close_up_to_sign(np.asarray(got, np.float64), w, 6e-7)
    np.testing.assert_allclose(rotation_angle(matrix), angle, atol=4e-7)


@jax.jit
def to_quaternion_and_back(w):
    return rotation_from_quaternion(quaternion_from_rotation(rotation_from_axis_angle(w)))


@jax.jit
def log_of_exp(w):
    return axis_angle_from_rotation(rotation_from_axis_angle(w))


@jax.jit
def log_of_quaternion(w):
    return axis_angle_from_quaternion(quaternion_from_axis_angle(w))


@functools.cache
def jacobians(function):
    return jax.jit(jax.jacfwd(function)), jax.jit(jax.jacrev(function))


@pytest.mark.parametrize("axis", range(3))
@pytest.mark.parametrize("angle", [0.1, np.pi - 1e-3, np.pi])
def test_every_branch_of_the_quaternion_is_right_and_differentiable(axis, angle):
    tilt = np.array([0.2, -0.3, 0.1])
    for w in (angle * np.eye(3)[axis], angle * np.eye(3)[axis] + 0.1 * tilt):
        # Through the quaternion and back nothing may change, neither the matrix nor its derivative.
        chex.assert_trees_all_close(to_quaternion_and_back(w), rotation_from_axis_angle(w), atol=1e-14)
        want = jacobians(rotation_from_axis_angle)[0](w)
        for jacobian in jacobians(to_quaternion_and_back):
            np.testing.assert_allclose(jacobian(w), want, atol=1e-13)


def test_rotation_jacobian_at_zero_is_the_generators():
    want = np.zeros((3, 3, 3))
    for axis, (i, k) in enumerate([(2, 1), (0, 2), (1, 0)]):
        want[i, k, axis], want[k, i, axis] = 1, -1
    np.testing.assert_array_equal(jacobians(rotation_from_axis_angle)[1](jnp.zeros(3)), want)


def test_second_derivative_at_zero_is_that_of_the_exponential():
    hessian = jax.jit(jax.hessian(rotation_from_axis_angle))(jnp.zeros(3))
    generators = np.asarray(jacobians(rotation_from_axis_angle)[1](jnp.zeros(3)))
    want = np.einsum("ija,jkb->ikab", generators, generators)
    np.testing.assert_allclose(hessian, (want + want.swapaxes(2, 3)) / 2, atol=1e-15)


@pytest.mark.parametrize("angle", [a for a in ANGLES if a < np.pi])
@pytest.mark.parametrize("through", [log_of_exp, log_of_quaternion])
def test_log_of_exp_has_the_identity_as_jacobian(through, angle):
    # Close to half a turn the derivative divides by the distance to it; float64 leaves 1e-9 at 1e-7 from it.
    tolerance = 1e-12 if angle < 3.12 else 1e-7
    for jacobian in jacobians(through):
        np.testing.assert_allclose(jacobian(vectors((), angle, seed=3)), np.eye(3), atol=tolerance)


@pytest.mark.parametrize("angle", [0.0, 1e-6, 0.7, 3.0, np.pi])
@pytest.mark.parametrize("function", [rotation_from_axis_angle, quaternion_from_axis_angle])
def test_gradients_from_axis_angle_match_finite_differences(check_jacobians, function, angle):
    check_jacobians(function, vectors((), angle))


@pytest.mark.parametrize("function", [
    rotation_from_6d, rotation_from_6d_columns, rotation_from_quaternion, axis_angle_from_quaternion,
])  # fmt: skip
def test_gradients_of_the_free_parametrisations_match_finite_differences(check_jacobians, function):
    size = 4 if "quaternion" in function.__name__ else 6
    check_jacobians(function, np.random.default_rng(1).normal(size=size))


def test_gradients_of_the_logarithm_match_finite_differences_off_the_manifold(check_jacobians):
    check_jacobians(axis_angle_from_rotation, scipy_of(vectors((), 2.0)).as_matrix()[0])


def test_angle_has_the_derivative_of_the_geodesic_distance():
    w = jnp.asarray(vectors((), 2.0))
    np.testing.assert_allclose(
        jax.jit(jax.grad(lambda v: rotation_angle(rotation_from_axis_angle(v))))(w), w / 2.0, atol=1e-14
    )
    np.testing.assert_array_equal(jax.jit(jax.grad(rotation_angle))(jnp.eye(3)), 0)


def reference_6d(a1, a2):
    b1 = a1 / np.linalg.norm(a1)
    b2 = a2 - (b1 @ a2) * b1
    b2 = b2 / np.linalg.norm(b2)
    return np.stack([b1, b2, np.cross(b1, b2)], axis=1)


@pytest.mark.parametrize("batch", BATCHES)
def test_6d_is_gram_schmidt_in_the_named_order(batch):
    x = np.random.default_rng(0).normal(size=(*batch, 6))
    rows, columns = rotation_from_6d(x), rotation_from_6d_columns(x)
    for i in np.ndindex(*batch):
        np.testing.assert_allclose(rows[i], reference_6d(x[i][[0, 2, 4]], x[i][[1, 3, 5]]), atol=1e-14)
        np.testing.assert_allclose(columns[i], reference_6d(x[i][:3], x[i][3:]), atol=1e-14)


@pytest.mark.parametrize("batch", BATCHES)
def test_6d_numbers_are_entries_of_the_matrix(batch):
    matrix = np.random.default_rng(0).normal(size=(*batch, 3, 3))
    order = [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (2, 1)]
    np.testing.assert_array_equal(sixd_from_rotation(matrix), np.stack([matrix[..., i, j] for i, j in order], axis=-1))
    order = [(0, 0), (1, 0), (2, 0), (0, 1), (1, 1), (2, 1)]
    want = np.stack([matrix[..., i, j] for i, j in order], axis=-1)
    np.testing.assert_array_equal(sixd_columns_from_rotation(matrix), want)


def test_6d_round_trip_gives_the_rotation_back():
    matrix = scipy_of(vectors((7,), 2.5)).as_matrix()
    np.testing.assert_allclose(rotation_from_6d(sixd_from_rotation(matrix)), matrix, atol=1e-14)
    np.testing.assert_allclose(rotation_from_6d_columns(sixd_columns_from_rotation(matrix)), matrix, atol=1e-14)


@pytest.mark.parametrize("x", [np.zeros(6), np.repeat([1.0, 2.0, 3.0], 2)])  # nothing, and two equal columns
def test_6d_without_a_rotation_stays_finite(x):
    chex.assert_tree_all_finite((rotation_from_6d(x), *(j(x) for j in jacobians(rotation_from_6d))))


def test_zero_quaternion_is_the_identity_with_finite_derivatives():
    zero = jnp.zeros(4)
    np.testing.assert_array_equal(rotation_from_quaternion(zero), np.eye(3))
    np.testing.assert_array_equal(axis_angle_from_quaternion(zero), 0)
    chex.assert_tree_all_finite(
        [j(zero) for f in (rotation_from_quaternion, axis_angle_from_quaternion) for j in jacobians(f)]
    )


def test_random_rotations_are_uniform():
    matrix = np.array(random_rotation(jax.random.key(0), (5, 2000))).reshape(-1, 3, 3)
    np.testing.assert_allclose(matrix @ matrix.swapaxes(1, 2), np.broadcast_to(np.eye(3), matrix.shape), atol=1e-14)
    np.testing.assert_allclose(np.linalg.det(matrix), 1, atol=1e-14)
    # Under the Haar measure the angle has the distribution (t - sin t) / pi, and R v is uniform on the sphere.
    angle = Rotation.from_matrix(matrix).magnitude()
    assert stats.kstest(angle, lambda t: (t - np.sin(t)) / np.pi).pvalue > 0.01
    for entry in (matrix[:, 0, 0], matrix[:, 1, 2], matrix[:, 2, 1]):
        assert stats.kstest(entry, stats.uniform(-1, 2).cdf).pvalue > 0.01


def test_random_rotations_take_shape_and_dtype():
    chex.assert_shape(random_rotation(jax.random.key(0)), (3, 3))
    chex.assert_type(random_rotation(jax.random.key(0), (2,), jnp.float32), jnp.float32)


FUNCTIONS = {
    rotation_from_axis_angle: (3,), axis_angle_from_rotation: (3, 3), rotation_from_6d: (6,),
    sixd_from_rotation: (3, 3),
    rotation_from_6d_columns: (6,), sixd_columns_from_rotation: (3, 3), rotation_from_quaternion: (4,),
    quaternion_from_rotation: (3, 3), quaternion_from_axis_angle: (3,), axis_angle_from_quaternion: (4,),
    rotation_angle: (3, 3),
}  # fmt: skip


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)
def test_eager_jit_and_vmap_agree_and_keep_the_dtype(function):
    shape = FUNCTIONS[function]
    x = (
        np.random.default_rng(2).normal(size=(2, 3, *shape))
        if len(shape) == 1
        else scipy_of(vectors((2, 3), 2.0)).as_matrix()
    )
    x = x.reshape(2, 3, *shape)
    eager = getattr(geometry, function.__name__)
    chex.assert_trees_all_close(eager(x), function(x), jax.jit(jax.vmap(jax.vmap(eager)))(x), atol=1e-14)
    single = function(x.astype(np.float32))
    chex.assert_type(single, jnp.float32)
    np.testing.assert_allclose(single, function(x), atol=2e-6)
