"""The denoiser of poses: what its numbers mean, what it may and may not see of a condition, its files."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from hoijax.errors import InputError
from hoijax.nets.interactanything import (
    Condition,
    Config,
    Model,
    PosePrior,
    PriorConfig,
    State,
    load_prior,
    pack,
    save,
    save_prior,
    unpack,
)

RNG = np.random.default_rng(11)
SMALL = PriorConfig(options=(5, 4), parts=7, hands=6, width=16, blocks=2, condition=12, token=8, times=8)


@pytest.fixture(scope="module")
def prior():
    made = PosePrior(SMALL, nnx.Rngs(0))
    graph, state = nnx.split(made)
    keys = iter(jax.random.split(jax.random.key(1), len(jax.tree.leaves(state))))
    # Layers that start at zero would hide what they do.
    made = nnx.merge(graph, jax.tree.map(lambda x: x + 0.3 * jax.random.normal(next(keys), x.shape, x.dtype), state))
    basis = np.linalg.qr(RNG.normal(size=(180, 6)))[0].T
    made.hand_basis[...] = jnp.asarray(basis, jnp.float32)
    made.spread[...] = jnp.asarray(RNG.uniform(0.2, 2.0, SMALL.size), jnp.float32)
    return made


def condition(count=3):
    return Condition(
        choices=RNG.integers(0, 4, (count, 2)).astype(np.int32),
        size=RNG.uniform(0.2, 1.0, (count, 3)).astype(np.float32),
        part=RNG.integers(0, 7, (count, 5)).astype(np.int32),
        place=RNG.normal(size=(count, 5, 6)).astype(np.float32),
        asked=np.arange(5)[None] < np.array([[0], [2], [5]][:count]),
        points=RNG.normal(size=(count, 9, 6)).astype(np.float32),
        refined=np.ones(count, np.float32),
    )


def test_numbers_and_what_they_mean_are_each_others_inverse(prior):
    flat = np.asarray(prior.hand_mean[...]) + RNG.normal(size=(4, 6)).astype(np.float32) @ np.asarray(
        prior.hand_basis[...]
    )
    parts = {"joints": (22, 6), "height": (1,), "turn": (6,), "middle": (3,), "feet": (1,)}
    state = State(fingers=flat.reshape(4, 30, 6), **{
        k: RNG.normal(size=(4, *shape)).astype(np.float32) for k, shape in parts.items()
    })  # fmt: skip
    numbers = pack(prior, state)
    assert numbers.shape == (4, SMALL.size) and SMALL.size == 132 + 6 + 1 + 6 + 3 + 1
    back = unpack(prior, numbers)
    for field in dataclasses.fields(State):
        np.testing.assert_allclose(getattr(back, field.name), getattr(state, field.name), atol=1e-5)
    np.testing.assert_allclose(prior.unnormalised(prior.normalised(numbers)), numbers, atol=1e-5)
    np.testing.assert_allclose(
        prior.normalised(numbers),
        (np.asarray(numbers) - np.asarray(prior.mean[...])) / np.asarray(prior.spread[...]),
        atol=1e-5,
    )


def test_order_of_places_and_points_and_places_not_asked_for_say_nothing(prior):
    told = condition()
    c = np.asarray(prior.encode(told))
    order = [4, 2, 0, 1, 3]
    mixed = told.replace(
        part=told.part[:, order], place=told.place[:, order], asked=told.asked[:, order], points=told.points[:, ::-1]
    )
    np.testing.assert_allclose(prior.encode(mixed), c, atol=1e-5)
    other = told.replace(
        place=np.where(told.asked[..., None], told.place, 9.0), part=np.where(told.asked, told.part, 6)
    )
    np.testing.assert_allclose(prior.encode(other), c, atol=1e-5)


@pytest.mark.parametrize("name", ["choices", "size", "part", "place", "points", "refined"])
def test_everything_that_is_asked_for_is_heard(prior, name):
    told = condition()
    value = np.array(getattr(told, name))
    value[2] = (value[2] + 1) % 4 if value.dtype == np.int32 else value[2] * 0.5
    moved = np.abs(np.asarray(prior.encode(told.replace(**{name: value}))) - np.asarray(prior.encode(told))).max(axis=1)
    assert moved[2] > 1e-3 and moved[0] == moved[1] == 0


def test_samples_of_a_batch_do_not_see_each_other_and_time_and_condition_are_seen(prior):
    x, c = RNG.normal(size=(3, SMALL.size)).astype(np.float32), np.asarray(prior.encode(condition()))
    time = np.float32([0.1, 0.5, 0.9])
    all_of_them = np.asarray(prior(x, time, c))
    np.testing.assert_allclose(all_of_them[1], prior(x[1], np.asarray(time[1]), c[1]), atol=1e-5)
    assert np.abs(np.asarray(prior(x, time[::-1].copy(), c)) - all_of_them)[0].max() > 1e-3
    assert np.abs(np.asarray(prior(x, time, prior.unconditional(3))) - all_of_them).max() > 1e-3


def test_files_keep_half_precision_and_others_are_refused(prior, tmp_path):
    save_prior(tmp_path / "prior.safetensors", prior, {"rows": 3})
    back = load_prior(tmp_path / "prior.safetensors")
    assert back.config == SMALL
    for a, b in zip(jax.tree.leaves(nnx.state(back)), jax.tree.leaves(nnx.state(prior))):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-6)
    save(tmp_path / "touch.safetensors", Model(Config(width=8, blocks=1, condition=4), nnx.Rngs(0)))
    with pytest.raises(InputError):
        load_prior(tmp_path / "touch.safetensors")
    with pytest.raises(InputError, match="blocks is a whole number"):
        PriorConfig(blocks=0)
