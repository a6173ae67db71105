"""The terms of InteractAnything's equations against closed forms, and Langevin chains against a Gaussian."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hoijax.geometry import RigidPose
from hoijax.interaction import wrench_loss
from hoijax.interaction.cone import cone_field, cones_of
from hoijax.interaction.set_distance import set_distance
from hoijax.optim.gradient import Floor
from hoijax.optim.gradient.energy import Cloud, Terms
from hoijax.optim.gradient.engine import Carry, Setting
from hoijax.optim.gradient.equations import (
    CONE_DEPTH,
    CONE_HEIGHT,
    DYNAMIC,
    depth_term,
    dynamic,
    ground_loss,
    plane_loss,
)
from hoijax.optim.gradient.langevin import Chain, langevin_step
from hoijax.optim.gradient.state import State

RNG = np.random.default_rng(3)
UP = np.array([0.0, 1.0, 0.0])


def test_the_set_distance_of_equation_7():
    cloud = RNG.normal(size=(7, 3))
    assert float(set_distance(cloud, cloud, np.ones(7))) == pytest.approx(0, abs=1e-12)
    one, other = np.zeros((1, 3)), np.array([[0.3, 0.0, 0.4]])
    assert float(set_distance(one, other, np.ones(1))) == pytest.approx(2 * 0.25, rel=1e-6)
    body, area = RNG.normal(size=(5, 3)), RNG.normal(size=(6, 3))
    square = ((body[:, None] - area[None]) ** 2).sum(-1)
    weights = RNG.random(6)
    want = (weights / weights.sum() * square.min(0)).sum() + square.min(1).mean()
    assert float(set_distance(body, area, weights)) == pytest.approx(want, rel=1e-5)
    # All the weight on one point: the others are padding, both ways.
    lone = np.eye(6)[2]
    assert float(set_distance(body, area, lone)) == pytest.approx(square[:, 2].min() + square[:, 2].mean(), rel=1e-5)
    half = set_distance(body, area, weights, np.array([1.0, 1, 0, 0, 0]))
    want = (weights / weights.sum() * square[:2].min(0)).sum() + square[:2].min(1).mean()
    assert float(half) == pytest.approx(want, rel=1e-5)
    slopes = jax.grad(lambda b: set_distance(b, area, np.zeros(6)))(jnp.asarray(body))
    assert np.all(np.asarray(slopes) == 0)


def test_the_dynamic_area_is_what_is_near():
    area = np.array([[0.0, 0, 0], [DYNAMIC, 0, 0], [2 * DYNAMIC, 0, 0]])
    part = np.array([[0.0, 0, 0], [2 * DYNAMIC, 0, 0]])
    weight = dynamic(part, area, np.array([1.0, 1, 2]), np.array([1.0, 0]))
    want = np.array([1, np.exp(-1), 2 * np.exp(-2)])
    np.testing.assert_allclose(weight, want / want.sum(), rtol=1e-5)
    nobody = dynamic(part, area, np.array([1.0, 1, 2]), np.zeros(2))
    np.testing.assert_allclose(nobody, [0.25, 0.25, 0.5], rtol=1e-5)


def test_equation_9_as_written_is_a_distance_to_planes():
    area, normals = np.array([[0.0, 0, 0], [1.0, 0, 0]]), np.array([UP, UP])
    part = np.array([[0.3, 0.02, 0.1], [0.5, 0.04, 0.0], [9.0, 9.0, 9.0]])
    used = np.array([1.0, 1.0, 0.0])
    assert float(plane_loss(part, area, normals, np.array([0.5, 0.5]), used)) == pytest.approx(0.03**2, rel=1e-4)
    assert float(plane_loss(part - [0, 0.03, 0], area, normals, np.array([0.5, 0.5]), used)) == pytest.approx(
        0, abs=1e-9
    )
    tilted = np.array([UP, [1.0, 0, 0]])
    got = float(plane_loss(part, area, tilted, np.array([0.25, 0.75]), used))
    assert got == pytest.approx(0.25 * 0.03**2 + 0.75 * 0.6**2, rel=1e-4)


def test_the_ground_of_equation_6():
    cube = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)], float)
    floor = Floor.at(0.0)
    assert float(ground_loss(jnp.asarray(cube), floor)) == 0
    assert float(ground_loss(jnp.asarray(cube + 0.2 * UP), floor)) == pytest.approx(0.04, rel=1e-5)
    assert float(ground_loss(jnp.asarray(cube - 0.2 * UP), floor)) == pytest.approx(0.1 + 0.04, rel=1e-5)
    assert float(ground_loss(jnp.asarray(cube), None)) == 0


def test_penetration_is_the_grids_depth_or_the_cones_of_what_is_inside():
    tile = np.array([[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]]])
    cones, turned = cones_of(tile), np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    pose = RigidPose(turned, np.array([0.3, 0.1, 2.0]), np.asarray(2.0))
    local = np.array([[0.0, 0.0, -0.01], [0.2, 0.1, -0.03], [0.0, 0.0, 0.01]])
    points = 2.0 * local @ turned.T + pose.translation
    distance = 2.0 * local[:, 2]
    np.testing.assert_allclose(depth_term(points, distance, pose, None), (0.02 + 0.06) / 3, rtol=1e-6)
    each = cone_field(local[:2], cones, CONE_HEIGHT)
    np.testing.assert_allclose(depth_term(points, distance, pose, cones), CONE_DEPTH * np.sum(each) / 3, rtol=1e-5)
    assert float(depth_term(points, np.abs(distance), pose, cones)) == 0


def test_masked_contacts_do_not_count():
    points, normals, gaps = RNG.normal(size=(6, 3)), RNG.normal(size=(6, 3)), np.abs(RNG.normal(size=6))
    mask = np.array([1.0, 0, 1, 1, 0, 1])
    kept = mask > 0
    for rank in (0.0, 1.0):
        some = wrench_loss(points, normals, gaps, np.zeros(3), 0.5, mask=mask, rank=rank, reach=2.0)
        alone = wrench_loss(points[kept], normals[kept], gaps[kept], np.zeros(3), 0.5, rank=rank, reach=2.0)
        np.testing.assert_allclose(some, alone, rtol=1e-5)
    assert float(wrench_loss(points, normals, gaps, np.zeros(3), 0.5, mask=np.zeros(6))) == 0


MEAN, WIDTH = np.float32([0.5, -0.2, 1.0]), np.float32([0.1, 0.3, 0.05])


def _start():
    eye = np.eye(3, dtype=np.float32)
    return State(eye[None], np.zeros(2, np.float32), MEAN, eye, np.zeros(3, np.float32), np.float32(1.0))


def _energy(state):
    return 0.5 * jnp.sum(((state.translation - MEAN) / WIDTH) ** 2) + 0.5 * jnp.sum(
        (state.object_translation / 0.2) ** 2
    )


@functools.cache
def _chains(temperature):
    """Where 512 chains are after 150 steps of the size of the Gaussian itself, the share taken, and their best."""
    rates, zero = np.zeros(15, np.float32), np.float32(0)
    rates[5:8], rates[11:14] = WIDTH, 0.2
    setting = Setting(Terms(*[zero] * 9), rates, np.int32(150), *[zero] * 5)
    start = _start()
    none = np.zeros((), bool)
    carry = Carry(
        start, Cloud(*[zero] * 4), zero, zero, zero, np.int32(0), np.int32(0), zero, start, np.float32(np.inf), zero,
        none, none,
    )  # fmt: skip
    free = np.stack([np.eye(3), np.diag([1.0, 0, 1])]).astype(np.float32)

    def one(chain):
        def body(c, _):
            after = langevin_step(c, setting, chain, _energy, free)
            return after, (jnp.any(after.state.translation != c.state.translation), c.state.translation)

        return jax.lax.scan(body, carry, None, length=160)

    chain = Chain.many(0, 512, float(np.sqrt(temperature)), temperature, np.float32)
    last, (taken, _) = jax.jit(jax.vmap(one))(chain)
    return jax.tree.map(np.asarray, (last, taken))


@pytest.mark.parametrize("temperature", [1.0, 0.25])
def test_langevin_chains_have_the_mean_and_the_variance_of_a_gaussian(temperature):
    last, taken = _chains(temperature)
    place = (last.state.translation - MEAN) / (WIDTH * np.sqrt(temperature))
    # 512 samples: 0.044 and 0.0625 are standard errors. Without Metropolis' test the variance would be 1.33.
    np.testing.assert_allclose(place.mean(axis=0), 0, atol=0.16)
    np.testing.assert_allclose(place.var(axis=0), 1, atol=0.22)
    thing = last.state.object_translation / (0.2 * np.sqrt(temperature))
    assert np.all(thing[:, 1] == 0)  # not free
    np.testing.assert_allclose(thing[:, [0, 2]].var(axis=0), 1, atol=0.22)
    share = taken[:, :150].mean()
    assert 0.4 < share < 0.9
    assert not taken[:, 150:].any() and np.all(last.step == 150)  # steps are over
    assert np.all(last.lowest <= _batch_energy(last.state) + 1e-6)
    np.testing.assert_allclose(last.lowest, _batch_energy(last.best), rtol=1e-5, atol=1e-6)


def test_what_has_no_rate_stays_bit_for_bit():
    last, _ = _chains(1.0)
    assert np.all(last.state.rotations == np.eye(3)) and np.all(last.state.betas == 0)


def _batch_energy(state):
    return np.asarray(jax.vmap(_energy)(state))
