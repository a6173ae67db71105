"""GRAFT can learn: one start in one room is undone after some hundred steps (specs/graft.md 17.19)."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from hoijax.body_models import free_body
from hoijax.experiments.graft.losses import LossWeights, rollout_loss
from hoijax.experiments.graft.queries import QueryConfig, imitate_estimate
from hoijax.experiments.graft.rooms import Rooms
from hoijax.experiments.graft.samples import sample_points
from hoijax.geometry import nearest_host
from hoijax.metrics import contact_set_weights, v2s_mm
from hoijax.nets.graft import Graft, GraftConfig
from hoijax.optim.graft import GraftState, RolloutOptions, body_spec, pose_state, rollout


@pytest.mark.slow
def test_one_start_is_learned_by_heart():
    """V2S under 5 mm, from several centimetres."""
    model = free_body("test")
    spec = body_spec(model)
    sample = Rooms(model, spec, count=1, points=1024, seed=3)[0]
    truth = jax.tree.map(jnp.asarray, sample.truth)
    config = dataclasses.replace(GraftConfig.small(), width=64, layers=2, feedforward=64, head_hidden=64)
    graph, weights = nnx.split(Graft(config, nnx.Rngs(0)))
    optimiser = optax.adam(optax.cosine_decay_schedule(3e-3, 400))
    options = RolloutOptions(steps=2, detach=True)

    @jax.jit
    def learn(weights, start):
        def loss(weights):
            steps = rollout(nnx.merge(graph, weights), spec, sample.scene, start, options=options).steps
            return rollout_loss(spec, spec.probe_model, steps, truth, LossWeights(rounding=0.002)).total

        def once(carry, _):
            weights, memory = carry
            value, gradient = jax.value_and_grad(loss)(weights)
            with jax.numpy_dtype_promotion("standard"):
                updates, memory = optimiser.update(gradient, memory)
            return (optax.apply_updates(weights, updates), memory), value

        (weights, _), losses = jax.lax.scan(once, (weights, optimiser.init(weights)), None, length=400)
        final = rollout(nnx.merge(graph, weights), spec, sample.scene, start, options=options).final
        states = jax.tree.map(lambda *x: jnp.stack(x), start, final, GraftState.of(truth))
        return losses, jax.vmap(lambda state: pose_state(model, state).vertices)(states)

    start = GraftState.of(imitate_estimate(jax.random.key(1), spec, truth, QueryConfig()))
    losses, surfaces = learn(weights, start)
    assert losses[-1] < 0.1 * losses[0]
    points, _ = sample_points(sample)
    chosen = np.asarray(spec.contact_vertices)
    offsets = [points[np.asarray(nearest_host(x, points).index)] - x for x in np.asarray(surfaces)[:, chosen]]
    area = np.asarray(contact_set_weights(model.v_template, model.faces, chosen))
    before, after = (float(v2s_mm(x, offsets[2], area)) for x in offsets[:2])
    assert before > 25 and after < 5, (before, after)
