import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hoijax import diffusion
from hoijax.diffusion import Guidance, ddim_invert, ddim_sample, time_grid

SCHEDULE = diffusion.cosine_schedule(dtype=np.float64)

# Relative round-trip error of the state, and of the clean estimate, for data N(0, s^2) (specs/scorehoi.md 13.5).
ROUND_TRIP = {
    (1.0, 25): (-3.59e-3, -3.90e-3), (1.0, 10): (-1.45e-3, -1.60e-3), (1.0, 5): (-7.28e-4, -8.22e-4),
    (1.0, 2): (-2.92e-4, -3.47e-4), (1.0, 1): (-1.46e-4, -1.86e-4),
    (0.3, 25): (-3.73e-2, -4.08e-2), (0.3, 10): (-1.52e-2, -1.70e-2), (0.3, 5): (-7.64e-3, -8.89e-3),
    (0.3, 2): (-3.07e-3, -3.89e-3), (0.3, 1): (-1.54e-3, -2.19e-3),
    (0.1, 25): (-2.18e-1, -2.43e-1), (0.1, 10): (-9.37e-2, -1.09e-1), (0.1, 5): (-4.83e-2, -5.91e-2),
    (0.1, 2): (-1.97e-2, -2.70e-2), (0.1, 1): (-9.91e-3, -1.58e-2),
}  # fmt: skip


def gaussian_denoiser(s):
    """The exact noise estimate for data N(0, s^2)."""
    abar = jnp.asarray(SCHEDULE.alphas_cumprod)
    return lambda x, t: jnp.sqrt(1 - abar[t]) / (abar[t] * s**2 + 1 - abar[t]) * x


@pytest.mark.parametrize(("s", "step"), ROUND_TRIP)
def test_round_trip_error_of_gaussian_data(s, step):
    times, denoise = time_grid(50, step), gaussian_denoiser(s)
    got = ddim_sample(denoise, ddim_invert(denoise, jnp.ones(()), SCHEDULE, times), SCHEDULE, times)
    want = ROUND_TRIP[s, step]
    np.testing.assert_allclose([got.xt - 1, got.x0 - 1], want, atol=0.0051 * abs(want[0]))


def test_ten_rounds_compound():
    times, denoise, x = time_grid(50, 2), gaussian_denoiser(0.1), jnp.ones(())
    for _ in range(10):
        x = ddim_sample(denoise, ddim_invert(denoise, x, SCHEDULE, times), SCHEDULE, times).xt
    np.testing.assert_allclose(x - 1, -0.18, atol=0.005)


@pytest.mark.parametrize("step", [1, 7, 25])
def test_constant_noise_returns_to_the_start(step):
    x, noise = jax.random.normal(jax.random.key(0), (2, 4, 9), jnp.float64)
    times = time_grid(50, step)
    back = ddim_sample(lambda x, t: noise, ddim_invert(lambda x, t: noise, x, SCHEDULE, times), SCHEDULE, times)
    np.testing.assert_allclose(back.xt, x, atol=1e-12)
    np.testing.assert_allclose(back.x0, diffusion.x0_from_noise(SCHEDULE, x, 0, noise), atol=1e-12)


def test_scan_equals_the_written_out_loop():
    times, denoise = time_grid(30, 7), gaussian_denoiser(0.5)
    x = jax.random.normal(jax.random.key(0), (3, 5), jnp.float64)
    guidance = Guidance(loss=lambda x0: jnp.sum(jnp.cos(x0)), scale=2.0)
    want = x
    for t, n in zip(times[:0:-1], times[-2::-1]):
        a, b = SCHEDULE.alphas_cumprod[t], SCHEDULE.alphas_cumprod[n]
        noise = denoise(want, t)
        clean = (want - np.sqrt(1 - a) * noise) / np.sqrt(a)
        noise = noise + 2.0 * np.sqrt(1 - a) * -np.sin(clean) / np.sqrt(a)
        clean = (want - np.sqrt(1 - a) * noise) / np.sqrt(a)
        want = np.sqrt(b) * clean + np.sqrt(1 - b) * noise
    for run in (lambda f: f, jax.jit):
        got = run(lambda x: ddim_sample(denoise, x, SCHEDULE, times, guidance=guidance))(x)
        np.testing.assert_allclose(got.xt, want, rtol=1e-10)
        np.testing.assert_allclose(got.x0, clean, rtol=1e-10)


def test_one_guided_step_moves_the_clean_estimate_by_the_stated_amount():
    x = jax.random.normal(jax.random.key(1), (6,), jnp.float64)
    loss, denoise = lambda x0: jnp.sum(x0**3), gaussian_denoiser(0.4)
    plain = ddim_sample(denoise, x, SCHEDULE, np.array([0, 40]))
    guided = ddim_sample(denoise, x, SCHEDULE, np.array([0, 40]), guidance=Guidance(loss=loss, scale=0.7))
    abar = SCHEDULE.alphas_cumprod[40]
    np.testing.assert_allclose(guided.x0 - plain.x0, -0.7 * (1 - abar) / abar * 3 * plain.x0**2, rtol=1e-9)


def test_no_scale_is_no_guidance_bit_for_bit():
    x, times, denoise = jnp.linspace(-1.0, 1.0, 9), time_grid(50, 5), gaussian_denoiser(0.3)
    plain = ddim_sample(denoise, x, SCHEDULE, times)
    for guidance in (Guidance(loss=jnp.sum, scale=0.0), Guidance(loss=lambda x0: 0.0 * jnp.sum(x0))):
        chex.assert_trees_all_equal(ddim_sample(denoise, x, SCHEDULE, times, guidance=guidance), plain)


def test_through_network_differentiates_the_denoiser():
    x, t = jnp.array([0.3, -0.8]), jnp.array(40)
    abar, denoise = SCHEDULE.alphas_cumprod[40], gaussian_denoiser(0.4)
    got = diffusion.guided_noise(
        denoise, x, t, SCHEDULE, Guidance(loss=lambda x0: jnp.sum(x0**2), through_network=True)
    )
    # x0hat is linear in x here: x0hat = k x.
    k = (1 - np.sqrt(1 - abar) * denoise(jnp.ones(()), 40)) / np.sqrt(abar)
    np.testing.assert_allclose(got, denoise(x, t) + np.sqrt(1 - abar) * 2 * k**2 * x, rtol=1e-10)


def test_above_its_last_time_index_guidance_pushes_nothing():
    x, denoise, loss = jnp.array([0.3, -0.8]), gaussian_denoiser(0.4), lambda x0: jnp.sum(x0**2)
    for t in (40, 41):
        got = diffusion.guided_noise(denoise, x, jnp.array(t), SCHEDULE, Guidance(loss=loss, last=40))
        want = diffusion.guided_noise(denoise, x, jnp.array(t), SCHEDULE, Guidance(loss=loss) if t == 40 else None)
        np.testing.assert_allclose(got, want, rtol=1e-12)


def test_samples_of_a_batch_are_guided_apart():
    denoise, times = gaussian_denoiser(0.4), time_grid(20, 10)
    x = jax.random.normal(jax.random.key(2), (3, 4), jnp.float64)
    guidance = Guidance(loss=lambda x0: jnp.sum(x0**4))
    together = ddim_sample(denoise, x, SCHEDULE, times, guidance=guidance)
    apart = jax.vmap(lambda x: ddim_sample(denoise, x, SCHEDULE, times, guidance=guidance))(x)
    chex.assert_trees_all_close(together, apart, rtol=1e-12)


def test_the_network_is_called_where_the_paper_calls_it():
    seen = []

    def denoise(x, t):
        jax.debug.callback(lambda t: seen.append(int(t)), t)
        return jnp.zeros_like(x)

    times = time_grid(9, 4)
    x = ddim_invert(denoise, jnp.ones(1), SCHEDULE, times)
    jax.effects_barrier()
    assert seen == [0, 4]
    seen.clear()
    ddim_sample(denoise, x, SCHEDULE, times)
    jax.effects_barrier()
    assert seen == [8, 4]


@pytest.mark.parametrize("times", [[0], [0, 10, 10], [0, 1000], [-1, 5]])
def test_bad_time_grids_are_refused(times):
    with pytest.raises(ValueError, match="times must"):
        ddim_invert(lambda x, t: x, jnp.ones(1), SCHEDULE, np.array(times))


def test_bad_steps_are_refused():
    with pytest.raises(ValueError, match="got step 60 and last 50"):
        time_grid(50, 60)
