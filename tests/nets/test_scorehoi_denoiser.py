"""The conditional denoiser: what it learns from its conditions, and that the released one cannot."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from hoijax import diffusion
from hoijax.nets.blocks.attention import Attention
from hoijax.nets.scorehoi import (
    ConditionalDenoiserConfig,
    Conditions,
    DenoiserConfig,
    ReleasedDenoiserConfig,
    drop_conditions,
    make_denoiser,
    noise_function,
)
from hoijax.nets.scorehoi.released_denoiser import LengthOneAttention

SCHEDULE = diffusion.cosine_schedule()
IP = ConditionalDenoiserConfig(
    width=24, depth=1, heads=2, expansion=2, image_features=6, image_tokens=2, object_points=2, object_features=4
)
RELEASED = ReleasedDenoiserConfig(
    blocks=1, betas_blocks=1, width=32, image_features=32, object_features=8, geometry_width=8
)
CONFIG = DenoiserConfig(ip_adapter=IP, released=RELEASED)
TIME = 300
ABAR = float(SCHEDULE.alphas_cumprod[TIME])


def jit(function):
    """Compiled in a hurry: these programs run for milliseconds."""
    return jax.jit(function, compiler_options={"xla_backend_optimization_level": 0})


def sample(key, count):
    """Translations that the conditions determine: x and y by the image, z by the geometry; the rest is noise.

    The points of an object are a set, so what they determine is their mean.
    """
    keys = jax.random.split(key, 4)
    image = jax.random.normal(keys[0], (count, 2, 6), jnp.float32)
    geometry = jax.random.normal(keys[1], (count, 10), jnp.float32)
    x0 = jax.random.normal(keys[2], (count, 331), jnp.float32)
    # The first entry of each of two image cells, and one coordinate of two points.
    translation = jnp.stack([image[:, 0, 0], image[:, 1, 0], (geometry[:, 0] + geometry[:, 3]) / 2**0.5], axis=-1)
    x0 = jnp.concatenate([x0[:, :318], translation, x0[:, 321:]], axis=1)
    present = jnp.ones(count, bool)
    conditions = Conditions(image=image, geometry=geometry, has_image=present, has_geometry=present)
    return x0, conditions, jax.random.normal(keys[3], x0.shape, jnp.float32)


def error(net, x0, conditions, noise):
    """Squared error of the noise on x, y and z, (3,)."""
    x = diffusion.q_sample(SCHEDULE, x0, TIME, noise)
    found = net(x, jnp.full(x.shape[:1], float(TIME), jnp.float32), net.encode(conditions))
    return jnp.mean((found - noise)[:, 318:321] ** 2, axis=0)


# The best error without conditions: translations are N(0, 1), so the noise given x_t has variance abar_t.
OPTIMUM = ABAR


@pytest.fixture(scope="module")
def trained(random_module):
    """The conditional denoiser after two hundred steps, each condition dropped one time in five, and its errors."""
    net = random_module(lambda rngs: make_denoiser(CONFIG, rngs))
    for block in net.blocks:  # where training starts
        block.modulation.kernel[...] = jnp.zeros_like(block.modulation.kernel[...])
        block.modulation.bias[...] = jnp.zeros_like(block.modulation.bias[...])
    graph, params = nnx.split(net)
    optimiser = optax.adam(optax.cosine_decay_schedule(1e-2, 200))

    @jax.jit
    def run(params, keys):
        def step(carry, key):
            params, state = carry
            x0, conditions, noise = sample(key, 48)
            conditions = drop_conditions(jax.random.fold_in(key, 1), conditions, rate=0.2)
            grad = jax.grad(lambda p: jnp.sum(error(nnx.merge(graph, p), x0, conditions, noise)))(params)
            update, state = optimiser.update(grad, state)
            return (optax.apply_updates(params, update), state), None

        return jax.lax.scan(step, (params, optimiser.init(params)), keys)[0][0]

    # Optax's Adam mixes dtypes, as it may outside this suite.
    with jax.numpy_dtype_promotion("standard"), jax.enable_x64(False):
        net = nnx.merge(graph, run(params, jax.random.split(jax.random.key(0), 200)))
    x0, conditions, noise = sample(jax.random.key(99), 768)
    held_out = jit(lambda c: error(net, x0, c, noise))
    absent = jnp.zeros(768, bool)
    cases = {
        "both": conditions,
        "no image": conditions.replace(has_image=absent),
        "no geometry": conditions.replace(has_geometry=absent),
        "neither": conditions.replace(has_image=absent, has_geometry=absent),
    }
    return net, {name: held_out(c) for name, c in cases.items()}


@pytest.mark.slow
def test_conditions_bring_the_loss_below_the_unconditional_optimum(trained):
    assert np.all(trained[1]["both"] < 0.85 * OPTIMUM)


@pytest.mark.slow
def test_each_condition_carries_what_it_knows_and_null_tokens_stand_in(trained):
    errors = trained[1]
    # Nobody beats the optimum without knowing; 768 samples scatter by five per cent.
    assert np.all(errors["no image"][:2] > 0.9 * OPTIMUM) and errors["no image"][2] < 0.9 * OPTIMUM
    assert np.all(errors["no geometry"][:2] < 0.85 * OPTIMUM) and errors["no geometry"][2] > 0.9 * OPTIMUM
    assert np.all(errors["neither"] > 0.9 * OPTIMUM)


@pytest.mark.slow
def test_gradient_reaches_each_condition_and_none_of_the_released_denoiser(trained, random_module):
    x0, conditions, _ = sample(jax.random.key(5), 3)
    t = jnp.full((3,), float(TIME), jnp.float32)

    def gradient(net):
        def answer(image, geometry):
            return jnp.sum(net(x0, t, net.encode(Conditions(image=image, geometry=geometry))) ** 2)

        return jit(jax.grad(answer, (0, 1)))(conditions.image, conditions.geometry)

    for leaf in gradient(trained[0]):
        assert np.all(np.any(leaf != 0, axis=tuple(range(1, leaf.ndim))))
    # So its loss is that of some unconditional denoiser, whatever its weights: never below the optimum.
    released = dataclasses.replace(CONFIG, attention_mode="released")
    for leaf in gradient(random_module(lambda rngs: make_denoiser(released, rngs))):
        np.testing.assert_array_equal(leaf, 0)


def test_the_released_attention_written_out_has_no_gradient_in_its_condition(random_module):
    """The literal computation, query of the condition and one key: what `LengthOneAttention` may leave out."""
    net = random_module(lambda rngs: LengthOneAttention(8, rngs))
    h, c = jax.random.normal(jax.random.key(0), (2, 5, 8), jnp.float32)

    def literal(c):
        attention = Attention.__call__
        parts = (net.query_proj(c), net.key_proj(h), net.value_proj(h))
        return attention(net.attn, *(p[:, None] for p in parts))[:, 0]

    run = jit(literal)
    np.testing.assert_allclose(run(c), net(h), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(run(c), run(-3.0 * c))
    np.testing.assert_array_equal(jit(jax.jacrev(literal))(c), 0)


def test_an_absent_condition_may_hold_anything(random_module):
    net = random_module(lambda rngs: make_denoiser(CONFIG, rngs))
    graph, params = nnx.split(net)
    x0, conditions, _ = sample(jax.random.key(6), 2)
    t = jnp.full((2,), 10.0, jnp.float32)
    present = jnp.asarray([True, False])

    @jit
    def run(params, image):
        def answer(params):
            net = nnx.merge(graph, params)
            out = net(x0, t, net.encode(conditions.replace(image=image, has_image=present)))
            return jnp.sum(out), out

        return jax.grad(answer, has_aux=True)(params)

    broken = conditions.image.at[1].set(jnp.nan)
    (grads, got), (_, want) = run(params, broken), run(params, conditions.image)
    np.testing.assert_array_equal(got, want)
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(grads))


def test_conditions_are_dropped_at_the_rate_asked_for_and_absence_stays():
    conditions = Conditions(image=jnp.ones((4000, 1, 1)), geometry=None, has_image=jnp.arange(4000) >= 1000)
    dropped = drop_conditions(jax.random.key(0), conditions, rate=0.25)
    assert dropped.has_geometry is None
    assert not np.any(dropped.has_image[:1000])
    np.testing.assert_allclose(np.mean(dropped.has_image[1000:]), 0.75, atol=0.05)


def test_noise_function_serves_the_samplers(random_module):
    net = random_module(lambda rngs: make_denoiser(CONFIG, rngs), 3)
    x0, conditions, _ = sample(jax.random.key(7), 2)
    times = diffusion.time_grid(10, 5)

    @jit
    def run(x0, conditions):
        denoise = noise_function(net, conditions)
        back = diffusion.ddim_sample(denoise, diffusion.ddim_invert(denoise, x0, SCHEDULE, times), SCHEDULE, times)
        one = net(x0, jnp.full((2,), 7.0, jnp.float32), net.encode(conditions))
        return back.xt, denoise(x0, 7), one

    back, got, want = run(x0, conditions)
    assert back.shape == x0.shape and back.dtype == jnp.float32
    np.testing.assert_allclose(got, want, atol=1e-5)


def test_sizes_of_the_configurations():
    for config, want in ((DenoiserConfig(), 27e6), (DenoiserConfig.small(), 1.4e6)):
        shapes = nnx.state(nnx.eval_shape(lambda c=config: make_denoiser(c, nnx.Rngs(0))), nnx.Param)
        assert abs(sum(np.prod(x.shape) for x in jax.tree.leaves(shapes)) / want - 1) < 0.05


def test_wrong_choices_are_refused(random_module):
    with pytest.raises(ValueError, match="attention_mode must be"):
        DenoiserConfig(attention_mode="none")
    net = random_module(lambda rngs: make_denoiser(CONFIG, rngs))
    with pytest.raises(ValueError, match="takes 2 image tokens, got 3"):
        net.encode(Conditions(image=jnp.zeros((1, 3, 6), jnp.float32), geometry=None))
