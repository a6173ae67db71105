"""Force closure against closed forms (spec of InteractAnything, section 15)."""

import jax
import numpy as np
import pytest
from jax.test_util import check_grads
from scipy.spatial.transform import Rotation

from hoijax.interaction import (
    ferrari_canny,
    friction_cone,
    grasp_map,
    is_closed,
    literal_force_loss,
    literal_plane_loss,
    rank_energy,
    residual_wrench,
    support_residual,
    wrench_loss,
)

OPPOSITE = np.array([[0.5, 0, 0], [-0.5, 0, 0]])
INWARD = np.array([[-1.0, 0, 0], [1, 0, 0]])
ANGLE = np.radians([0, 120, 240])
TRIPOD = 0.5 * np.stack([np.cos(ANGLE), np.sin(ANGLE), 0 * ANGLE], axis=1)
FOUR = np.array([[0.5, 0, 0], [-0.5, 0, 0], [0, 0.5, 0], [0, -0.5, 0]])


def left(points, normals, **how):
    return float(np.linalg.norm(residual_wrench(points, normals, **how)))


def eigenvalues(points):
    g = np.asarray(grasp_map(points), np.float64)
    return np.linalg.eigvalsh(g @ g.T)


def test_the_grasp_map_is_force_and_torque():
    rng = np.random.default_rng(0)
    points, forces, origin = rng.normal(size=(5, 3)), rng.normal(size=(5, 3)), rng.normal(size=3)
    wrench = np.asarray(grasp_map(points, origin)) @ forces.reshape(-1)
    np.testing.assert_allclose(wrench[:3], forces.sum(axis=0), rtol=1e-12)
    np.testing.assert_allclose(wrench[3:], np.cross(points - origin, forces).sum(axis=0), rtol=1e-10)
    weights = rng.random(5)
    expected = np.asarray(grasp_map(points, origin)) @ (weights[:, None] * forces).reshape(-1)
    np.testing.assert_allclose(residual_wrench(points, forces, weights, origin), expected, rtol=1e-10)


def test_two_opposite_contacts():
    assert left(OPPOSITE, INWARD) == 0
    np.testing.assert_allclose(eigenvalues(OPPOSITE), [0, 0.5, 0.5, 2, 2, 2], atol=1e-12)
    np.testing.assert_allclose(rank_energy(OPPOSITE), 1e-4, rtol=1e-6)
    np.testing.assert_allclose(left(OPPOSITE + [[0, 0.1, 0], [0, 0, 0]], INWARD), 0.1, rtol=1e-9)
    np.testing.assert_allclose(left(OPPOSITE + [[0, 0.2, 0], [0, -0.2, 0]], INWARD), 0.4, rtol=1e-9)
    same = np.array([[0.5, 0, 0], [0.5, 0.2, 0]])
    np.testing.assert_allclose(left(same, INWARD[[0, 0]]), np.sqrt(4.04), rtol=1e-9)


def test_tripod_and_four_faces():
    assert left(TRIPOD, -2 * TRIPOD) < 1e-12
    np.testing.assert_allclose(eigenvalues(TRIPOD), [0.375, 0.375, 0.75, 3, 3, 3], atol=1e-12)
    assert float(rank_energy(TRIPOD)) == 0
    assert left(FOUR, -2 * FOUR) < 1e-12
    np.testing.assert_allclose(eigenvalues(FOUR)[0], 0.5, atol=1e-12)


def test_on_a_sphere_only_the_sum_counts_and_balanced_pushes_have_no_origin():
    rng = np.random.default_rng(1)
    points = rng.normal(size=(6, 3))
    points *= 0.3 / np.linalg.norm(points, axis=1, keepdims=True)
    np.testing.assert_allclose(left(points, -points / 0.3), np.linalg.norm(points.sum(axis=0) / 0.3), rtol=1e-9)
    shift = np.array([3.0, 0, 0])
    assert left(TRIPOD + shift, -2 * TRIPOD) < 1e-12
    wrench, moved = (np.asarray(residual_wrench(p, -points / 0.3)) for p in (points, points + shift))
    np.testing.assert_allclose(moved[3:] - wrench[3:], np.cross(shift, -points.sum(axis=0) / 0.3), atol=1e-12)


def test_the_loss_knows_neither_place_nor_turn_nor_scale():
    rng = np.random.default_rng(2)
    points, normals = rng.normal(size=(5, 3)), rng.normal(size=(5, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    centre, radius, zero = rng.normal(size=3), 1.3, np.zeros(5)
    here = float(wrench_loss(points, normals, zero, centre, radius))
    turn = Rotation.random(random_state=3).as_matrix()
    there = float(wrench_loss(2 * points @ turn.T + 1, normals @ turn.T, zero, 2 * centre @ turn.T + 1, 2 * radius))
    np.testing.assert_allclose(there, here, rtol=1e-9)
    arm = (points - centre) / radius
    expected = (np.sum(normals.sum(0) ** 2) + np.sum(np.cross(arm, normals).sum(0) ** 2)) / 25 + float(rank_energy(arm))
    np.testing.assert_allclose(here, expected, rtol=1e-9)


def test_far_contacts_lose_their_say():
    gaps = np.array([0.0, 0.03])
    weight = np.exp(-(gaps**2) / (2 * 0.03**2))
    weight *= 2 / weight.sum()
    expected = (weight[0] - weight[1]) ** 2 / 4 + np.mean(gaps**2)
    np.testing.assert_allclose(wrench_loss(OPPOSITE, INWARD, gaps, np.zeros(3), 1.0), expected, rtol=1e-9)


def test_gradients():
    rng = np.random.default_rng(4)
    points, normals, gaps = rng.normal(size=(4, 3)), rng.normal(size=(4, 3)), 0.02 * rng.random(4)
    loss = jax.jit(lambda p, n, d: wrench_loss(p, n, d, np.zeros(3), 1.0))
    check_grads(loss, (points, normals, gaps), 1, modes=("rev",), rtol=1e-4)
    assert np.all(
        np.asarray(jax.grad(lambda p: np.float64(1) * jax.numpy.sum(residual_wrench(p, INWARD) ** 2))(OPPOSITE)) == 0
    )


def test_equation_nine_as_written_is_no_force_closure():
    body, object, normals = np.zeros((1, 3)), np.array([[0.3, 0.4, 0.0]]), np.array([[0.0, 0, 1]])
    assert float(literal_plane_loss(body, object, normals)) == 0  # in the plane
    np.testing.assert_allclose(literal_plane_loss(body + [0, 0, 0.2], object, normals), 0.04, rtol=1e-9)
    one = np.array([[[0.0, 0, 1]]])
    assert float(literal_force_loss(one, normals)) == 1
    assert float(literal_force_loss(np.stack([INWARD, 0 * INWARD]), INWARD)) == 2  # opposite contacts do not cancel
    assert float(literal_force_loss(0 * one, normals)) == 0  # least where nothing pushes


def test_friction_cones():
    normals = np.array([[0.0, 0, 1], [0.6, 0.8, 0]])
    cone = friction_cone(normals, 0.5, 6)
    np.testing.assert_allclose(np.einsum("nec,nc->ne", cone, normals), 1.0)
    side = cone - normals[:, None]
    np.testing.assert_allclose(np.linalg.norm(side, axis=-1), 0.5)
    np.testing.assert_allclose(side.sum(axis=1), 0, atol=1e-12)


@pytest.mark.parametrize("points, normals, friction, closed", [
    (OPPOSITE, INWARD, 0.5, False),  # free to spin about the line between them
    (TRIPOD, -2 * TRIPOD, 0.5, True),
    (TRIPOD, -2 * TRIPOD, 0.0, False),
    (FOUR, np.tile([[0.0, 0, 1]], (4, 1)), 0.0, False),
    (FOUR, np.tile([[0.0, 0, 1]], (4, 1)), 0.9, False),
])  # fmt: skip
def test_the_exact_test(points, normals, friction, closed):
    assert is_closed(points, normals, friction) == closed
    assert (ferrari_canny(points, normals, friction) > 1e-6) == closed


def test_ferrari_canny_grows_with_friction():
    radii = [ferrari_canny(TRIPOD, -2 * TRIPOD, mu, 12) for mu in (0.2, 0.5, 1.0)]
    assert 0 < radii[0] < radii[1] < radii[2] < 0.5 * np.sqrt(2)


def test_support_bears_a_weight_above_it():
    legs = np.array([[x, 0.0, z] for x in (-0.2, 0.2) for z in (-0.2, 0.2)])
    up = np.tile([[0.0, 1, 0]], (4, 1))
    assert support_residual(legs + [1.0, 0, 0], up, np.array([1.1, 0.6, 0.1])) < 1e-9
    # Beside the legs a moment is left: no push from below lowers it without lifting too little.
    beside = support_residual(legs, up, np.array([0.5, 0.6, 0.0]), friction=0.0)
    arm = 0.3
    np.testing.assert_allclose(beside, arm / np.sqrt(1 + arm**2), rtol=1e-6)
    assert support_residual(legs[:0], up[:0], np.zeros(3)) == 1
