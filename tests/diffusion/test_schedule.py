import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hoijax import diffusion


def test_cosine_schedule_has_scorehois_values():
    schedule = diffusion.cosine_schedule(dtype=np.float64)
    want = {
        0: 0.99995872,
        2: 0.99986158,
        10: 0.99927890,
        25: 0.99735040,
        50: 0.99172468,
        100: 0.97157568,
        500: 0.49228517,
    }
    for t, value in want.items():
        np.testing.assert_allclose(schedule.alphas_cumprod[t], value, atol=1e-8)
    np.testing.assert_allclose(schedule.alphas_cumprod[998], 2.43e-6, rtol=2e-3)
    assert schedule.betas[999] == 0.999
    assert np.all(np.diff(schedule.alphas_cumprod) < 0)


def test_linear_schedule_is_the_product_of_its_steps():
    schedule = diffusion.linear_schedule(10, dtype=np.float64)
    np.testing.assert_allclose(schedule.betas[[0, -1]], [1e-4, 0.02])
    np.testing.assert_allclose(schedule.alphas_cumprod[3], np.prod(1 - schedule.betas[:4]), rtol=1e-14)


@pytest.mark.parametrize("t", [2, 50, 998])
def test_clean_estimate_and_noise_invert_each_other(t):
    schedule = diffusion.cosine_schedule()
    x, noise = jax.random.normal(jax.random.key(t), (2, 5, 331), jnp.float32)
    x0 = diffusion.x0_from_noise(schedule, x, t, noise)
    np.testing.assert_allclose(diffusion.noise_from_x0(schedule, x, t, x0), noise, atol=1e-4)
    np.testing.assert_allclose(diffusion.q_sample(schedule, x0, t, noise), x, atol=1e-4)


def test_time_may_differ_per_sample():
    schedule = diffusion.cosine_schedule(dtype=np.float64)
    x, noise = jax.random.normal(jax.random.key(0), (2, 3, 7), jnp.float64)
    got = diffusion.q_sample(schedule, x, jnp.array([0, 10, 500]), noise)
    for i, t in enumerate([0, 10, 500]):
        abar = schedule.alphas_cumprod[t]
        np.testing.assert_allclose(got[i], np.sqrt(abar) * x[i] + np.sqrt(1 - abar) * noise[i], rtol=1e-12)


@pytest.mark.parametrize("betas", [[0.1, 1.0], [0.0, 0.1], [[0.1]]])
def test_bad_variances_are_refused(betas):
    with pytest.raises(ValueError, match="betas must be one axis"):
        diffusion.schedule_from_betas(np.array(betas))
