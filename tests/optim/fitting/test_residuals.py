"""Residuals against loops over points in NumPy, and their Jacobian against finite differences; all in float64."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hoijax.body_models import free_body
from hoijax.optim.fitting import MEDIAPIPE_BODY, Intrinsics, Observation, place_points, prepare_body
from hoijax.optim.fitting.residuals import Evidence, num_observed, residuals, robust_loss, view_rotation
from hoijax.optim.fitting.unknowns import DISTANCE, fitted_matrix, unpack

NAMES = tuple(name for name in MEDIAPIPE_BODY if name)
COUNT = len(NAMES)
GROUPS = tuple(1 if name == "left_index1" else 0 for name in NAMES)


@pytest.fixture(scope="module")
def body():
    return prepare_body(free_body("test").astype(np.float64), NAMES)


@pytest.fixture(scope="module")
def case(body):
    """Random unknowns and an observation that has nothing to do with them."""
    rng = np.random.default_rng(3)
    z = 0.6 * rng.normal(size=body.size)
    weights = rng.uniform(0.2, 1.0, COUNT)
    weights[[2, 9]] = 0
    seen = Observation(
        pixels=rng.uniform(100, 500, (COUNT, 2)), weights=weights, pixel_std=rng.uniform(1, 4, COUNT),
        spread=rng.uniform(0, 0.03, COUNT), metric=rng.normal(0, 0.4, (COUNT, 3)),
        metric_weights=weights[::-1].copy(), metric_std=rng.uniform(0.02, 0.06, COUNT), names=NAMES, groups=GROUPS,
        metric_frame="view",
    )  # fmt: skip
    matrix = np.array([[600.0, 0, 310], [0, 620, 250], [0, 0, 1]])
    root = np.diag([1.0, -1, -1]) @ Rotation.from_rotvec([0.1, 0.5, -0.2]).as_matrix()
    return jnp.asarray(z), Evidence(seen, Intrinsics(matrix, np.float64(0.2), ""), root)


@pytest.fixture(scope="module")
def many():
    """Residuals of as many unknowns as finite differences need."""
    return jax.jit(jax.vmap(residuals, in_axes=(0, None, None)))


@pytest.fixture(scope="module")
def compiled(many, body):
    """Residuals of one vector of unknowns, by the same program."""

    def one(z, body, evidence):
        return many(jnp.broadcast_to(z, (2 * body.size, body.size)), body, evidence)[0]

    return one


@pytest.fixture(scope="module")
def placed(body):
    """Points of unknowns."""
    return jax.jit(lambda z, root: place_points(body.table, unpack(body, z, root)))


def test_pixels_and_metres_are_what_a_loop_says(body, case, compiled, placed):
    z, evidence = case
    got = np.asarray(compiled(z, body, evidence))
    points = np.asarray(placed(z, evidence.root)[0])
    seen, factor = evidence.observation, np.exp(0.2 * float(z[-1]))
    matrix = np.asarray(evidence.intrinsics.matrix) * [[factor, factor, 1]]
    middle = np.average(seen.pixels, axis=0, weights=seen.weights)
    ray = np.linalg.solve(matrix, [*middle, 1.0])
    view = Rotation.align_vectors(ray[None] / np.linalg.norm(ray), [[0, 0, 1.0]])[0]
    target = view.apply(seen.metric)
    error = points - target
    for group in (0, 1):
        members = [i for i in range(COUNT) if GROUPS[i] == group]
        error[members] -= np.average(error[members], axis=0, weights=seen.metric_weights[members])
    for i in range(COUNT):
        pixel = (matrix @ points[i])[:2] / points[i, 2]
        std = np.hypot(seen.pixel_std[i], seen.spread[i] * matrix[0, 0] / points[i, 2])
        want = np.sqrt(seen.weights[i]) * (pixel - seen.pixels[i]) / std
        np.testing.assert_allclose(got[2 * i : 2 * i + 2], want, rtol=1e-8, atol=1e-10)
        std = np.hypot(seen.metric_std[i], seen.spread[i])
        want = np.sqrt(seen.metric_weights[i]) * error[i] / std
        np.testing.assert_allclose(got[2 * COUNT + 3 * i :][:3], want, rtol=1e-7, atol=1e-9)
    np.testing.assert_array_equal(got[5 * COUNT :][: body.size - 3], z[3:])
    assert num_observed(body) == 5 * COUNT


def test_the_view_rotation_is_the_shortest_to_the_seen_middle(case):
    _, evidence = case
    matrix = np.asarray(evidence.intrinsics.matrix)
    turn = np.asarray(view_rotation(evidence.observation, jnp.asarray(matrix)))
    np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-12)
    middle = np.average(evidence.observation.pixels, axis=0, weights=evidence.observation.weights)
    ray = np.linalg.solve(matrix, [*middle, 1.0])
    np.testing.assert_allclose(turn[:, 2], ray / np.linalg.norm(ray), atol=1e-12)
    assert abs(turn[1, 0] - turn[0, 1]) < 1e-12  # no turn about the optical axis
    camera = evidence.observation.replace(metric_frame="camera")
    np.testing.assert_array_equal(view_rotation(camera, jnp.asarray(matrix)), np.eye(3))


def test_a_perfect_estimate_costs_nothing_and_each_label_counts(body, case, compiled, placed):
    z, evidence = case
    points, _ = placed(z, evidence.root)
    matrix = fitted_matrix(z, evidence.intrinsics)
    pixels = points @ matrix.T
    pixels = pixels[:, :2] / pixels[:, 2:]
    # The view's rotation looks at the mean of these pixels.
    aimed = evidence.observation.replace(pixels=pixels, weights=np.ones(COUNT))
    view = np.asarray(view_rotation(aimed, matrix))
    true = evidence.observation.replace(
        pixels=pixels, weights=np.ones(COUNT), metric=(points + 0.3) @ view, metric_weights=np.ones(COUNT)
    )
    at = functools.partial(compiled, z, body)
    perfect = np.asarray(at(evidence.replace(observation=true)))[: 5 * COUNT]
    np.testing.assert_allclose(perfect, 0, atol=1e-9)
    moved = at(evidence.replace(observation=true.replace(pixels=pixels.at[4, 1].add(3.0))))
    assert np.flatnonzero(np.abs(np.asarray(moved)[: 2 * COUNT]) > 1e-6).tolist() == [9]
    moved = at(evidence.replace(observation=true.replace(metric=((points + 0.3) @ view).at[5, 2].add(0.1))))
    assert np.abs(np.asarray(moved)[2 * COUNT :][15:18]).max() > 0.5


def test_the_jacobian_is_that_of_finite_differences(body, case, many):
    z, evidence = case
    evidence = evidence.replace(observation=evidence.observation.replace(spread=np.zeros(COUNT)))  # held in derivatives
    step = 1e-5
    moves = step * np.concatenate([np.eye(body.size), -np.eye(body.size)])
    ahead, behind = np.split(np.asarray(many(z[None] + moves, body, evidence)), 2)
    want = ((ahead - behind) / (2 * step)).T
    got = jax.jit(jax.jacfwd(residuals))(z, body, evidence)
    np.testing.assert_allclose(got, want, atol=2e-5 * np.abs(want).max())
    assert np.abs(want).max(axis=0).min() > 0.01  # every unknown is felt


def test_the_robust_loss_and_its_weights(body):
    rng = np.random.default_rng(0)
    r = 5 * rng.normal(size=5 * 3 + 4)
    scale = jnp.asarray(4.0)
    cost, weights = robust_loss(jnp.asarray(r), 3, scale)
    groups = [r[0:2], r[2:4], r[4:6], r[6:9], r[9:12], r[12:15]]
    squares = np.array([g @ g for g in groups])
    np.testing.assert_allclose(cost, np.sum(squares / (1 + squares / 16)) + r[15:] @ r[15:])
    gradient = jax.grad(lambda r: robust_loss(r, 3, scale)[0])(jnp.asarray(r))
    np.testing.assert_allclose(gradient, 2 * weights * r, rtol=1e-10)


def test_limits_bind_beyond_the_range_only(body, case, compiled):
    _z, evidence = case
    knee = body.joints.index(free_body("test").joint_names.index("left_knee"))
    place = 3 + 3 * knee
    first = 5 * COUNT + body.size - 3 + 3
    inside = np.asarray(compiled(jnp.zeros(body.size), body, evidence))[first:-12]
    assert not inside.any()
    std = float(np.asarray(body.prior.std)[body.joints[knee], 0])
    bent = jnp.zeros(body.size).at[place].set(-np.radians(28) / std)  # a knee bent 20 degrees the wrong way
    over = np.asarray(compiled(bent, body, evidence))[first:-12]
    np.testing.assert_allclose(over[np.flatnonzero(over)], [np.radians(20) / 0.1], rtol=0.02)


def test_unknowns_of_zero_are_the_resting_person_on_the_optical_axis(body, placed):
    params = unpack(body, jnp.zeros(body.size), np.diag([1.0, -1, -1]))
    _, joints = placed(jnp.zeros(body.size), np.diag([1.0, -1, -1]))
    np.testing.assert_allclose(joints[0], [0, 0, DISTANCE], atol=1e-12)
    want = Rotation.from_rotvec(np.asarray(body.prior.mean)[1:]).as_matrix()
    np.testing.assert_allclose(params.rotations[1:], want, atol=1e-9)
