"""Levenberg-Marquardt against SciPy's, and its own promises."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize

from hoijax.optim.fitting import levenberg_marquardt

TIMES = np.linspace(0.0, 3.0, 25)
DATA = 2.0 * np.exp(-1.3 * TIMES) + 0.5 + 0.05 * np.sin(17 * TIMES)


def decay(x):
    return x[0] * jnp.exp(-x[1] * jnp.asarray(TIMES, x.dtype)) + x[2] - jnp.asarray(DATA, x.dtype)


def rosenbrock(x):
    return jnp.stack([10 * (x[1] - x[0] ** 2), 1 - x[0]])


@pytest.mark.parametrize("start", [(1.0, 1.0, 0.0), (5.0, 0.1, -2.0), (0.1, 3.0, 3.0)])
def test_a_decay_is_fitted_as_minpack_fits_it(start):
    got = levenberg_marquardt(decay, jnp.asarray(start), jnp.zeros(40))
    want = scipy.optimize.least_squares(lambda x: np.asarray(decay(jnp.asarray(x))), start, method="lm")
    np.testing.assert_allclose(got.unknowns, want.x, atol=1e-6)
    np.testing.assert_allclose(got.cost, 2 * want.cost, rtol=1e-8)
    np.testing.assert_allclose(got.normal, want.jac.T @ want.jac, rtol=1e-4)


def test_the_curved_valley_is_walked_to_its_end():
    got = levenberg_marquardt(rosenbrock, jnp.asarray([-1.2, 1.0]), jnp.zeros(60))
    np.testing.assert_allclose(got.unknowns, [1.0, 1.0], atol=1e-6)
    assert (np.diff(got.costs) <= 1e-12).all()


def test_a_batch_is_its_members():
    starts = jnp.asarray([[1.0, 1.0, 0.0], [5.0, 0.1, -2.0]])
    run = lambda start: levenberg_marquardt(decay, start, jnp.zeros(12))  # noqa: E731
    batch = jax.vmap(run)(starts)
    for i in range(2):
        np.testing.assert_allclose(batch.unknowns[i], run(starts[i]).unknowns, rtol=1e-9)


def test_outliers_are_left_out_by_a_robust_loss_whose_scale_falls():
    data = jnp.asarray([1.0, 1.1, 0.9, 1.0, 30.0])

    def loss(r, scale):  # Geman and McClure
        share = 1 / (1 + jnp.square(r / scale))
        return jnp.sum(jnp.square(r) * share), jnp.square(share)

    got = levenberg_marquardt(lambda x: x - data, jnp.asarray([6.0]), jnp.geomspace(30.0, 0.5, 40), loss=loss)
    line = np.linspace(0.5, 1.5, 20001)
    r = line[:, None] - np.asarray(data)
    want = line[np.argmin(np.sum(r**2 / (1 + (r / 0.5) ** 2), axis=1))]
    np.testing.assert_allclose(got.unknowns, want, atol=1e-3)
    np.testing.assert_allclose(got.cost, np.min(np.sum(r**2 / (1 + (r / 0.5) ** 2), axis=1)), rtol=1e-3)
    weights = (1 + ((np.asarray(got.unknowns) - np.asarray(data)) / 0.5) ** 2) ** -2
    np.testing.assert_allclose(got.normal, [[weights.sum()]], rtol=1e-9)
    np.testing.assert_allclose(got.residuals, got.unknowns - data)


def test_a_step_into_nowhere_is_not_taken():
    def cliff(x):
        return jnp.where(x > 1.5, jnp.nan, 1.0) * (x - 2.0)

    got = levenberg_marquardt(cliff, jnp.zeros(1), jnp.zeros(30))
    assert np.isfinite(got.unknowns).all() and np.isfinite(got.cost)
    assert 1.0 < got.unknowns[0] <= 1.5
