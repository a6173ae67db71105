"""The whole of ScoreHOI at a tiny size with random weights: stages, shapes, and that the parts are wired together."""

import dataclasses

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from hoijax.body_models import free_body, resample_vertices
from hoijax.nets.scorehoi import (
    ConditionalDenoiserConfig,
    DenoiserConfig,
    Hand4WholeConfig,
    RegressorConfig,
    ScoreHOIRegressor,
    make_denoiser,
)
from hoijax.nets.scorehoi.state import BetasRange
from hoijax.systems.scorehoi import GuidedConfig, compile_reconstruction, guided_body, guided_scene

K, B = 24, 2
HAND4WHOLE = Hand4WholeConfig(
    crop=128, blocks=(1, 1, 1, 1), channels=4, box_width=4, joint_width=4, object_features=64 * 3 + 4
)
REGRESSOR = RegressorConfig(hand4whole=HAND4WHOLE, object_width=8, token=5, depth=1)
DENOISER = DenoiserConfig(
    ip_adapter=ConditionalDenoiserConfig(
        width=8, depth=1, heads=1, image_features=HAND4WHOLE.features, image_tokens=4, object_features=4
    )
)


@pytest.mark.slow
def test_image_to_meshes(template, random_module):
    regressor = random_module(lambda rngs: ScoreHOIRegressor(REGRESSOR, rngs))
    denoiser = random_module(lambda rngs: make_denoiser(DENOISER, rngs))
    model = free_body("test")
    limits = np.full(10, 3.0, np.float32)
    body = guided_body(model, resample_vertices(model, K), BetasRange(low=-limits, high=limits))
    scene = guided_scene([template] * B)
    settings = GuidedConfig(iterations=2, step=25)
    run = compile_reconstruction(regressor, denoiser, config=settings)
    image = jax.random.uniform(jax.random.key(0), (B, 128, 128, 5), jnp.float32)
    feature = jnp.concatenate([jnp.asarray(scene.points).reshape(B, -1), jnp.ones((B, 4), jnp.float32)], axis=1)
    got = run(body, scene, image, feature)
    chex.assert_tree_all_finite(got)
    chex.assert_shape(got.initial.vertices, (B, K, 3))
    chex.assert_shape(got.guided.x, (B, 331))
    chex.assert_shape(got.vertices, (B, model.num_vertices, 3))
    np.testing.assert_allclose(
        jnp.swapaxes(got.object.rotation, 1, 2) @ got.object.rotation, np.tile(np.eye(3), (B, 1, 1)), atol=1e-4
    )
    # The estimate is the start, and the shape that the refinement ends with is its own.
    np.testing.assert_allclose(got.initial.object.translation, got.estimate.object_translation, atol=1e-6)
    assert np.any(got.guided.x[:, 321:] != body.betas.normalise(got.estimate.body.betas))
    # The image reaches the refinement, and so do blank images without masks.
    other = run(body, scene, jnp.zeros_like(image), feature)
    chex.assert_tree_all_finite(other)
    assert np.all(np.any(other.guided.x != got.guided.x, axis=1))
    # A broken picture says so itself and leaves the others of its batch alone.
    broken = run(body, scene, image.at[1].set(jnp.nan), feature)
    assert not np.isfinite(broken.guided.x[1]).all() and broken.guided.iterations[1] == 0
    np.testing.assert_allclose(broken.guided.x[0], got.guided.x[0], atol=1e-5)
    np.testing.assert_allclose(broken.vertices[0], got.vertices[0], atol=1e-5)
    # Weights and conditions change without another program, and are those of one that was made for them.
    silent = dataclasses.replace(settings, contact=0.0, floor=0.0, penetration=0.0)
    alone = run.with_settings(silent, ("geometry",))(body, scene, image, feature)
    made = compile_reconstruction(regressor, denoiser, config=silent, conditions=("geometry",))
    np.testing.assert_allclose(alone.guided.x, made(body, scene, image, feature).guided.x, atol=1e-5)
    assert np.any(alone.guided.x != got.guided.x)
    with pytest.raises(ValueError, match="differs from"):
        run.with_settings(dataclasses.replace(settings, iterations=3))
    # An object that the regressor puts behind the camera.
    away = nnx.clone(regressor)
    away.objregressor.obj_trans_out.bias[...] = jnp.asarray([0.0, 0.0, -60.0], jnp.float32)
    behind = run.with_networks(away, denoiser)(body, scene, image, feature)
    assert np.all(behind.initial.points[..., 2] + behind.estimate.body.camera[:, None, 2] < 0)
    chex.assert_tree_all_finite(behind)
    # All masks full, and one pixel of a mask.
    for masks in (jnp.ones_like(image[..., 3:]), jnp.zeros_like(image[..., 3:]).at[:, 5, 5].set(1.0)):
        chex.assert_tree_all_finite(run(body, scene, image.at[..., 3:].set(masks), feature))
