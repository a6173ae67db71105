"""What ScoreHOI's trainings draw: noise levels, dropped conditions, turned cameras; what each setting changes in it.

A denoiser that answers nothing, and remembers what it was shown, stands where the network is trained.
"""

import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from scipy.spatial.transform import Rotation

from hoijax.diffusion import cosine_schedule
from hoijax.experiments.scorehoi import prior as prior_training
from hoijax.experiments.scorehoi import stages
from hoijax.experiments.scorehoi import train as training
from hoijax.experiments.scorehoi.stages import Variables
from hoijax.nets.scorehoi import PooledDenoiser, ScoreHOIRegressor

MANY = 4000
SCHEDULE = cosine_schedule()


class Listening(PooledDenoiser):
    """Says that there is no noise, or what `knowing` says; `shown` keeps what it was shown."""

    def __init__(self, shown, knowing=None):
        self.shown, self.knowing = nnx.static(shown), nnx.static(knowing)

    def encode(self, conditions):
        self.shown["conditions"] = conditions
        return conditions

    def __call__(self, x, t, context):
        self.shown["x"], self.shown["t"] = np.asarray(x), np.asarray(t)
        return jnp.zeros_like(x) if self.knowing is None else self.knowing(x, t)


def knows(state):
    """The noise that leads from one clean state to the noisy ones."""

    def noise(x, t):
        kept = np.asarray(SCHEDULE.alphas_cumprod)[np.asarray(t, int)][:, None]
        return jnp.asarray((np.asarray(x) - np.sqrt(kept) * state) / np.sqrt(1 - kept), jnp.float32)

    return noise


@pytest.fixture(scope="module")
def regressor(random_module):
    return random_module(lambda rngs: ScoreHOIRegressor(training.sizes_of("tiny")[0], rngs))


@pytest.fixture
def stage_of(regressor, monkeypatch):
    """The stage that a command's settings make, under a regressor that need not be read from a file."""
    monkeypatch.setattr(stages, "load_network", lambda path, build: regressor)

    def make(**settings):
        where = pathlib.Path("unused")
        return training.make_stage(training.configure(out=where, first=where, stage=2, size="tiny", **settings))

    return make


def seen(stage, state, knowing=None):
    """What one batch of many samples shows to the denoiser, and its loss."""
    shown = {}
    stage.graph = nnx.split(Listening(shown, knowing), nnx.Param, nnx.BatchStat)[0]
    batch = {
        "cells": jnp.ones((MANY, 1, 4), jnp.float32), "object_numbers": jnp.ones((MANY, 8), jnp.float32),
        "state": jnp.broadcast_to(jnp.asarray(state, jnp.float32), (MANY, 331)),
    }  # fmt: skip
    return shown, float(stage.loss(Variables({}, {}), batch, jax.random.key(3))[0])


def test_noise_levels_and_dropped_conditions_of_stage_2_are_those_of_the_command(stage_of):
    state = np.random.default_rng(0).uniform(-1, 1, 331)
    shown, loss = seen(stage_of(levels=40, drop=0.3), state)
    t, conditions = shown["t"], shown["conditions"]
    assert set(t) == set(range(40)) and abs(t.mean() - 19.5) < 0.7
    # Each condition is dropped by itself: both are there as often as chance has it.
    image, geometry = np.asarray(conditions.has_image), np.asarray(conditions.has_geometry)
    assert abs(image.mean() - 0.7) < 0.03 and abs(geometry.mean() - 0.7) < 0.03
    assert abs((image & geometry).mean() - 0.49) < 0.03
    # What is shown is the state under as much noise of unit size as its time says.
    noise = np.asarray(knows(state)(shown["x"], t))
    assert abs(noise.mean()) < 0.01 and abs(noise.std() - 1) < 0.01
    np.testing.assert_allclose(loss, (noise**2).mean(), rtol=1e-3)


def test_stage_2_trains_all_levels_where_none_are_named_and_a_perfect_denoiser_costs_nothing(stage_of):
    state = np.random.default_rng(0).uniform(-1, 1, 331)
    shown, loss = seen(stage_of(), state, knows(state))
    assert shown["t"].min() < 5 and shown["t"].max() > 994 and abs(shown["t"].mean() - 499.5) < 18
    assert loss < 1e-5
    for present in (shown["conditions"].has_image, shown["conditions"].has_geometry):
        assert abs(np.asarray(present).mean() - 0.9) < 0.02
    assert seen(stage_of(drop=0.0), state, knows(state + 0.01))[1] > 1e-3


def test_the_denoiser_is_trained_on_what_it_is_shown_in_use(stage_of, regressor):
    """The cells of the frozen regressor's features, of the same picture at the same size; pooled: their mean."""
    cells, pooled = stage_of(), stage_of(attention="pooled")
    rng = np.random.default_rng(0)
    image = jnp.asarray(rng.uniform(size=(2, 128, 128, 5)), jnp.float32)
    numbers = jnp.asarray(rng.normal(size=(2, 200)), jnp.float32)
    graph, state = nnx.split(regressor)

    def both(state, image, numbers):
        network, batch = nnx.merge(graph, state), {"image": image, "object_numbers": numbers}
        features = network.estimate(image, numbers).body.features
        return features, cells.cells(batch), pooled.cells(batch)

    features, got, mean = jax.jit(both, compiler_options={"xla_backend_optimization_level": 0})(state, image, numbers)
    want = np.reshape(features, (2, 4, 128))  # row by row
    assert np.std(want) > 0.01 and mean.shape == (2, 1, 128)
    np.testing.assert_allclose(got, want, atol=1e-5)
    np.testing.assert_allclose(mean[:, 0], want.mean(axis=1), atol=1e-5)


@pytest.fixture(scope="module")
def states():
    """Six states that the last of their betas tells apart, the first four of scripts, and the objects they are of."""
    rng = np.random.default_rng(0)
    rows = np.zeros((6, 331), np.float32)
    rotations = Rotation.random(6 * 53, rng=rng).as_matrix().reshape(6, 53, 3, 3)
    rows[:, :318] = rotations[..., :2].reshape(6, 318)
    rows[:, 318:321] = rng.normal(size=(6, 3))
    rows[:, -1] = np.arange(6)
    objects = np.array([2, 0, 1, 2, 0, 1], np.int32)
    geometry = np.zeros((3, 64 * 3 + 4), np.float32)
    geometry[:, 0] = [10, 11, 12]
    return rows, objects, geometry


def drawn(states, monkeypatch, **settings):
    """What one large batch of the prior's training shows to its denoiser."""
    config = prior_training.Config(out=pathlib.Path("unused"), width=336, depth=1, features=4, batch=MANY, **settings)
    shown = {}
    unused = nnx.split(nnx.Linear(1, 1, rngs=nnx.Rngs(0)))[0]
    task = prior_training.PriorTask(*(jnp.asarray(x) for x in states), SCHEDULE, 4, unused, config)
    monkeypatch.setattr(prior_training.PriorTask, "network", lambda self, parameters: Listening(shown))
    key = jax.random.fold_in(jax.random.key(config.seed), 0)
    # Not compiled: what is shown is looked at.
    total, _ = task.loss(Variables({}), task.examples({}, key), key, None)
    return shown | {"loss": float(total)}


def cleaned(shown):
    """The clean states, where noise hardly counts: at the lowest time indices."""
    low = shown["t"] < 2
    return shown["x"][low] / np.sqrt(np.asarray(SCHEDULE.alphas_cumprod)[shown["t"][low].astype(int)])[:, None], low


def test_the_prior_sees_the_states_levels_and_objects_that_its_command_names(states, monkeypatch):
    rows, objects, _ = states
    shown = drawn(states, monkeypatch, levels=8, drop=0.4, solved_share=0.25, heading=0.0, tilt=0.0)
    assert set(shown["t"]) == set(range(8)) and abs(shown["t"].mean() - 3.5) < 0.2
    x, low = cleaned(shown)
    which = np.round(x[:, -1]).astype(int)
    np.testing.assert_allclose(x, rows[which], atol=0.25)  # noise of standard deviation 0.01 to 0.03
    assert abs(np.mean(x - rows[which])) < 1e-3
    share = np.bincount(which, minlength=6) / len(which)
    np.testing.assert_allclose(share, [0.75 / 4] * 4 + [0.25 / 2] * 2, atol=0.05)
    # The geometry is that of the state's own object, and dropped as often as asked for.
    conditions = shown["conditions"]
    np.testing.assert_array_equal(np.asarray(conditions.geometry)[low, 0], 10 + objects[which])
    assert conditions.image is None and abs(np.asarray(conditions.has_geometry).mean() - 0.6) < 0.03
    assert abs(shown["loss"] - 1) < 0.01  # of who says that there is no noise


def test_the_prior_turns_its_cameras_as_far_as_its_command_says(states, monkeypatch):
    rows, _, _ = states
    for heading, tilt in ((25.0, 0.0), (0.0, 3.0)):
        x, _ = cleaned(drawn(states, monkeypatch, levels=2, solved_share=0.0, heading=heading, tilt=tilt))
        which = np.round(x[:, -1]).astype(int)
        assert set(which) == {0, 1, 2, 3}
        before, after = rows[which, 318:321], x[:, 318:321]
        # The best turn of each: about the vertical by an even number of degrees, or about the others by normal ones.
        turns = np.array([turn_between(a, b) for a, b in zip(rotations(rows[which]), rotations(x))])
        degrees = np.degrees(turns)
        if heading:
            assert np.abs(degrees[:, 1]).max() < 26.5 and abs(degrees[:, 1].std() - 25 / np.sqrt(3)) < 1
            assert np.abs(degrees[:, ::2]).max() < 4
        else:
            assert np.all(np.abs(degrees[:, ::2].std(axis=0) - 3) < 0.4) and abs(degrees[:, 1].std()) < 1.0
        turned = Rotation.from_rotvec(turns).apply(before)
        assert np.sqrt(np.mean((turned - after) ** 2)) < 0.05  # the object goes along


def rotations(x):
    """Of the object and the root (N, 2, 3, 3)."""
    six = np.stack([x[:, 312:318], x[:, :6]], axis=1).reshape(-1, 2, 3, 2)
    a, b = six[..., 0], six[..., 1]
    a = a / np.linalg.norm(a, axis=-1, keepdims=True)
    b = b - a * np.sum(a * b, axis=-1, keepdims=True)
    b = b / np.linalg.norm(b, axis=-1, keepdims=True)
    return np.stack([a, b, np.cross(a, b)], axis=-1)


def turn_between(before, after):
    """The rotation vector from the left that leads from both rotations to both others, as nearly as it can."""
    u, _, v = np.linalg.svd(np.einsum("kij,klj->il", after, before))
    return Rotation.from_matrix(u @ np.diag([1, 1, np.linalg.det(u @ v)]) @ v).as_rotvec()
