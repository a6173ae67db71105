"""Score distillation against its formulas, and on a mixture whose score is known; Stable Diffusion's schedule."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hoijax import diffusion
from hoijax.diffusion import DistillationConfig, distillation_loss, distillation_times

SCHEDULE = diffusion.scaled_linear_schedule(dtype=np.float64)
rng = np.random.default_rng(0)
X, NOISE = rng.normal(size=(4, 3, 2)), rng.normal(size=(4, 3, 2))


def known(x, t):
    return jnp.tanh(x) + 0.3 * x


def unknown(x, t):
    return 0.2 * jnp.cos(3 * x)


def gradient(t, noise=NOISE, **options):
    config = DistillationConfig(**options)
    return jax.grad(lambda x: distillation_loss(x, known, unknown, SCHEDULE, t, noise, config))(X)


def parts(t):
    abar = float(SCHEDULE.alphas_cumprod[t])
    signal, sigma = abar**0.5, (1 - abar) ** 0.5
    noisy = signal * X + sigma * NOISE
    return signal, sigma, noisy, np.asarray(known(noisy, t)), np.asarray(unknown(noisy, t))


@pytest.mark.parametrize("weighting", ["sds", "uniform", "fantasia3d"])
def test_the_gradient_is_the_weighted_noise_left(weighting):
    for t in (20, 500, 980):
        signal, sigma, _, a, b = parts(t)
        weight = {"sds": sigma**2, "uniform": 1.0, "fantasia3d": signal * sigma**2}[weighting]
        want = weight * (b + 7.5 * (a - b) - NOISE) / 4
        np.testing.assert_allclose(gradient(t, weighting=weighting, strength=7.5), want, atol=1e-9)


def test_what_depends_on_parameters_gets_their_chain_rule_and_the_denoiser_nothing():
    A, theta = rng.normal(size=(24, 5)), rng.normal(size=5)

    def loss(theta, gain):
        x = (A @ theta).reshape(4, 3, 2)
        return distillation_loss(x, lambda x, t: gain * x, unknown, SCHEDULE, 300, NOISE, DistillationConfig())

    to_theta, to_gain = jax.grad(loss, argnums=(0, 1))(theta, 0.7)
    x = (A @ theta).reshape(4, 3, 2)
    config = DistillationConfig()
    to_x = jax.grad(lambda x: distillation_loss(x, lambda x, t: 0.7 * x, unknown, SCHEDULE, 300, NOISE, config))(x)
    np.testing.assert_allclose(to_theta, A.T @ to_x.reshape(-1), rtol=1e-9)
    assert float(to_gain) == 0.0


def test_a_denoiser_that_knows_the_noise_moves_nothing():
    knows = lambda x, t: jnp.asarray(NOISE)  # noqa: E731
    for form in ("noise", "x0"):
        config = DistillationConfig(form=form, rescale=0.0)
        got = jax.grad(lambda x, c=config: distillation_loss(x, knows, knows, SCHEDULE, 400, NOISE, c))(X)
        np.testing.assert_allclose(got, 0.0, atol=1e-12)


def test_the_other_form_is_the_same_with_another_weight():
    for t, weight in ((20, 0.138), (500, 1.618), (980, 13.04)):
        signal, sigma, *_ = parts(t)
        assert sigma / signal == pytest.approx(weight, rel=1e-3)
        plain = gradient(t, weighting="uniform", strength=3.0)
        np.testing.assert_allclose(gradient(t, form="x0", rescale=0.0, strength=3.0), sigma / signal * plain, rtol=1e-8)


@pytest.mark.parametrize("views", [1, 2, 4])
def test_rescaled_estimates_have_the_texts_spread_scene_by_scene(views):
    signal, sigma, noisy, a, b = parts(600)
    x0 = lambda noise: ((noisy - sigma * noise) / signal).reshape(4 // views, -1)  # noqa: E731
    target = X - 4 * np.asarray(gradient(600, form="x0", rescale=1.0, views=views, strength=5.0))
    spread = target.reshape(4 // views, -1).std(axis=1, ddof=1)
    np.testing.assert_allclose(spread, x0(a).std(axis=1, ddof=1), rtol=1e-9)
    half = X - 4 * np.asarray(gradient(600, form="x0", rescale=0.5, views=views, strength=5.0))
    plain = x0(b + 5.0 * (a - b)).reshape(X.shape)
    np.testing.assert_allclose(half, 0.5 * (target + plain), rtol=1e-7, atol=1e-9)


def test_times_fall_and_stay():
    want = {0: (0.98, 0.98), 4000: (0.5, 0.74), 8000: (0.02, 0.5), 9000: (0.02, 0.5)}
    for step, bounds in want.items():
        np.testing.assert_allclose(distillation_times(step), bounds, rtol=1e-12)
    keys = jax.random.split(jax.random.key(0), 400)
    drawn = np.asarray(jax.vmap(lambda key: diffusion.draw_time(key, (0.02, 0.025), SCHEDULE))(keys))
    assert set(drawn) == set(range(20, 26))
    assert int(diffusion.draw_time(keys[0], (0.98, 0.98), SCHEDULE)) == 980


def test_on_a_mixture_it_finds_the_mode():
    places, shares, width = np.array([-1.0, 1.5]), np.array([0.25, 0.75]), 0.15

    def noise_of(x, t):
        signal, sigma = SCHEDULE.coefficients(t, x.dtype)
        variance = signal**2 * width**2 + sigma**2
        away = x[..., None] - signal * places[None, None]
        logits = jnp.log(shares)[None, None] - 0.5 * away**2 / variance
        return sigma * jnp.sum(jax.nn.softmax(logits, axis=-1) * away / variance, axis=-1)

    config = DistillationConfig(strength=1.0)

    def step(x, key):
        first, second = jax.random.split(key)
        t = diffusion.draw_time(first, (0.02, 0.1), SCHEDULE)
        noise = jax.random.normal(second, x.shape, x.dtype)
        move = jax.grad(lambda x: distillation_loss(x, noise_of, noise_of, SCHEDULE, t, noise, config))(x)
        return x - 0.1 * move, None

    start = jnp.array([[0.9], [2.5], [-1.4], [1.0]])
    keys = jax.random.split(jax.random.key(1), 600)
    end = np.asarray(jax.jit(lambda x: jax.lax.scan(step, x, keys)[0])(start))
    np.testing.assert_allclose(end[[0, 1, 3]], 1.5, atol=0.15)
    np.testing.assert_allclose(end[2], -1.0, atol=0.25)


def test_wrong_options_are_refused():
    with pytest.raises(ValueError, match="4 pictures are no multiple of 3 views"):
        gradient(20, views=3)


def test_stable_diffusions_schedule_and_steps():
    wanted = {0: 0.99915, 20: 0.981314, 500: 0.276332, 980: 0.005844, 999: 0.00466}
    for t, value in wanted.items():
        assert float(SCHEDULE.alphas_cumprod[t]) == pytest.approx(value, abs=1e-6 if t else 1e-5)
    times = diffusion.leading_grid(50)
    assert times[:3].tolist() == [0, 1, 21] and times[-1] == 981 and len(times) == 51
    with pytest.raises(ValueError, match="need 0 < steps"):
        diffusion.leading_grid(1000)


def test_sanas_times():
    times = diffusion.flow_time_grid(20, shift=3.0)
    assert times[-1] == pytest.approx(0.99967, abs=1e-5)
    assert diffusion.network_times(np.array([0.0, 0.0019999, 0.75, 0.9996])).tolist() == [0, 1, 750, 999]
    drawn = np.asarray(diffusion.flow_training_times(jax.random.key(0), 4000, shift=3.0))
    table = 3 * np.linspace(0, 0.999, 1000) / (1 + 2 * np.linspace(0, 0.999, 1000))
    assert np.abs(drawn[:, None] - table[None]).min(axis=1).max() < 1e-6
    # A normal number's quartiles through the logistic and the shift.
    even = 1 / (1 + np.exp(-np.array([-0.67449, 0.0, 0.67449])))
    np.testing.assert_allclose(np.quantile(drawn, [0.25, 0.5, 0.75]), 3 * even / (1 + 2 * even), atol=0.012)
    high = np.asarray(diffusion.flow_training_times(jax.random.key(0), 64, mean=30.0))
    np.testing.assert_allclose(high, table[-1], rtol=1e-6)
