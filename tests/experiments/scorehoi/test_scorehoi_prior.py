"""The prior on states: what it learns from, that it learns, and that a stopped run ends with the same bytes."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from hoijax.data.synth import SynthConfig
from hoijax.diffusion import cosine_schedule
from hoijax.errors import InputError
from hoijax.experiments.scorehoi import prior as training
from hoijax.experiments.scorehoi.states import StateSet, facing_state, join_sets, object_numbers, scripted_states
from hoijax.geometry import rotation_from_6d
from hoijax.nets.scorehoi import Conditions, DenoiserConfig, PooledDenoiser, PooledDenoiserConfig, make_denoiser
from hoijax.nets.scorehoi.state import unpack
from hoijax.nets.weights import load_network, read_facts


@pytest.fixture(scope="module")
def scripted():
    return scripted_states(SynthConfig(), 12, features=8)


def test_scripted_states_are_interactions_seen_from_the_front(scripted):
    state = unpack(scripted.states)
    roots = np.asarray(rotation_from_6d(state.pose[:, 0]))
    # Whoever stands or sits looks at the camera, whose z axis points forward, and has the head up, which is -y.
    upright = -roots[:, 1, 1] > 0.8
    assert upright.sum() >= 6
    assert np.all(roots[upright][:, 2, 2] < -0.8)
    # Objects are within reach, and known by their own points.
    assert np.all(np.linalg.norm(state.object_translation, axis=-1) < 2.5)
    assert scripted.geometry.shape[1] == 64 * 3 + 8 and scripted.objects.max() == len(scripted.geometry) - 1
    assert np.all(np.abs(state.betas) <= 1)
    both = join_sets([scripted, scripted])
    np.testing.assert_array_equal(both.geometry[both.objects[12:]], scripted.geometry[scripted.objects])
    np.testing.assert_array_equal(object_numbers("chair", 1, 8), object_numbers("chair", 1, 8))


def test_turning_the_camera_turns_body_and_object_alike(scripted):
    x = jnp.asarray(scripted.states)
    turned = jax.jit(lambda k, x: training.turn_states(k, x, 25.0, 0.0))(jax.random.key(0), x)
    before, after = unpack(x), unpack(turned)
    np.testing.assert_array_equal(before.pose[:, 1:], after.pose[:, 1:])
    # About the vertical: heights stay; the object keeps its place in the pelvis's frame.
    np.testing.assert_allclose(after.object_translation[:, 1], before.object_translation[:, 1], atol=1e-5)
    own = [
        np.einsum("bji,bj->bi", rotation_from_6d(s.pose[:, 0]), s.object_translation) for s in (before, after)
    ]  # fmt: skip
    np.testing.assert_allclose(own[1], own[0], atol=1e-5)
    angle = np.abs(np.asarray(after.object_translation - before.object_translation)).max(axis=1)
    assert np.max(angle) > 0.01


def test_a_facing_state_does_not_depend_on_the_worlds_heading():
    rng = np.random.default_rng(0)
    turn = np.array([[0.6, 0, 0.8], [0, 1.0, 0], [-0.8, 0, 0.6]])
    rotations = np.tile(np.eye(3), (52, 1, 1))
    pelvis, place = rng.normal(size=(2, 3))
    first = facing_state(rotations, np.zeros(10), pelvis, np.eye(3), place)
    rotations[0] = turn
    second = facing_state(rotations, np.zeros(10), turn @ pelvis, turn, turn @ place)
    np.testing.assert_allclose(first, second, atol=1e-6)


@pytest.fixture
def settings(tmp_path, monkeypatch):
    """A run on two kinds of made-up states that few numbers tell apart."""
    rng = np.random.default_rng(0)
    kinds = rng.normal(size=(2, 331)).astype(np.float32)
    objects = rng.integers(0, 2, 64).astype(np.int32)
    whole = StateSet(kinds[objects], objects, rng.normal(size=(2, 64 * 3 + 4)).astype(np.float32))
    monkeypatch.setattr(training, "gather_states", lambda config: (whole, 40))
    return training.Config(
        out=tmp_path / "whole", width=336, depth=1, features=4, steps=120, rate=5e-3, batch=16, levels=100,
        heading=0.0, tilt=0.0, log_every=1, save_every=100,
    )  # fmt: skip


def run(config, trainer):
    # Optax mixes dtypes, as it may outside this suite.
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"), jax.enable_x64(False):
        return training.train(config, trainer=trainer)


@pytest.mark.slow
def test_the_prior_learns_and_a_stopped_run_ends_the_same(settings, tmp_path):
    with jax.enable_x64(False):
        trainer = training.make_trainer(settings)
    run(settings, trainer)
    rows = [json.loads(line) for line in (settings.out / "metrics.jsonl").read_text().splitlines()]
    assert np.mean([r["total"] for r in rows[-5:]]) < 0.6 * np.mean([r["total"] for r in rows[:3]])
    halves = dataclasses.replace(settings, out=tmp_path / "halves")
    run(dataclasses.replace(halves, until=7), trainer)
    assert not (halves.out / "weights.safetensors").exists()
    run(halves, trainer)
    path = settings.out / "weights.safetensors"
    assert path.read_bytes() == (halves.out / "weights.safetensors").read_bytes()
    facts = read_facts(path)
    assert facts["states"] == {"scripted": 40, "solved": 24, "objects": 2} and facts["levels"] == 100
    # On disk in half precision, in memory in single.
    network = load_network(path, lambda rngs: PooledDenoiser(settings.network(), rngs))
    count = sum(leaf.size for leaf in jax.tree.leaves(nnx.state(network, nnx.Param)))
    assert network.tokens.kernel[...].dtype == jnp.float32 and path.stat().st_size < 2.1 * count
    with pytest.raises(InputError, match="another rate"):
        run(dataclasses.replace(settings, rate=1e-4), trainer)


def test_conditions_reach_the_pooled_denoiser_and_may_be_absent():
    config = PooledDenoiserConfig(width=32, depth=1, embedding=8, image_features=4, object_features=4)
    net = make_denoiser(DenoiserConfig(attention_mode="pooled", pooled=config), nnx.Rngs(0))
    rng = np.random.default_rng(0)
    for layer in (net.state, net.gain):  # which start at zero
        layer.kernel[...] = jnp.asarray(rng.normal(size=layer.kernel.shape), jnp.float32)
    image, geometry = (jnp.asarray(rng.normal(size=s), jnp.float32) for s in ((3, 5, 4), (3, 196)))
    x, t = jnp.asarray(rng.normal(size=(3, 331)), jnp.float32), jnp.full(3, 20.0, jnp.float32)

    @jax.jit
    def answers(image, geometry, has):
        cases = {
            "both": Conditions(image, geometry), "other image": Conditions(image + 1.0, geometry),
            "other object": Conditions(image, jnp.roll(geometry, 1, 0)), "no image": Conditions(None, geometry),
            "absent": Conditions(image, geometry, has_image=has), "none": Conditions(None, None),
        }  # fmt: skip
        return {name: net(x, t, net.encode(c)) for name, c in cases.items()}

    got = answers(image, geometry, jnp.zeros(3, bool))
    for name in ("other image", "other object", "no image", "none"):
        assert np.all(np.any(got[name] != got["both"], axis=1)), name
    # Float32 sums of tens, in one order or another.
    np.testing.assert_allclose(got["absent"], got["no image"], rtol=1e-6, atol=1e-5)
    broken = answers(image * jnp.nan, geometry, jnp.zeros(3, bool))
    np.testing.assert_allclose(broken["absent"], got["no image"], rtol=1e-6, atol=1e-5)
    full = nnx.eval_shape(lambda: PooledDenoiser(PooledDenoiserConfig(image_features=1), nnx.Rngs(0)))
    count = sum(np.prod(leaf.shape) for leaf in jax.tree.leaves(nnx.state(full, nnx.Param)))
    assert 2.5e6 < count < 3e6


def test_wrong_settings_are_refused(tmp_path):
    for changes, message in (({"steps": 0}, "steps must be at least 1"), ({"solved_share": 2.0}, "is a fraction")):
        with pytest.raises(InputError, match=message):
            training.Config(out=tmp_path, **changes)
    assert cosine_schedule().num_steps > training.Config(out=tmp_path).levels
