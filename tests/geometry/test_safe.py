import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hoijax.geometry import cross, dot, einsum, safe_divide, safe_norm, safe_normalize


@pytest.mark.parametrize("batch", [(), (1,), (2, 3)])
def test_values_are_those_of_numpy(batch):
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, *batch, 3))
    np.testing.assert_allclose(safe_norm(a), np.linalg.norm(a, axis=-1), rtol=1e-15)
    np.testing.assert_allclose(safe_normalize(a), a / np.linalg.norm(a, axis=-1, keepdims=True), rtol=1e-15)
    np.testing.assert_allclose(cross(a, b), np.cross(a, b), atol=1e-15)
    np.testing.assert_allclose(dot(a, b), np.sum(a * b, axis=-1), atol=1e-15)
    np.testing.assert_allclose(safe_divide(a, b), a / b, rtol=1e-15)


def test_zero_gives_zero_with_zero_derivatives():
    zero = jnp.zeros(3)
    np.testing.assert_array_equal(jax.grad(safe_norm)(zero), 0)
    np.testing.assert_array_equal(safe_normalize(zero), 0)
    np.testing.assert_array_equal(jax.jacrev(safe_normalize)(zero), 0)
    np.testing.assert_array_equal(safe_divide(jnp.ones(2), jnp.zeros(2)), 0)
    chex.assert_trees_all_equal(
        jax.grad(lambda a, b: safe_divide(a, b).sum(), (0, 1))(jnp.ones(2), jnp.zeros(2)), (jnp.zeros(2), jnp.zeros(2))
    )


def test_float32_stays_float32():
    x = jnp.ones((2, 3), jnp.float32)
    chex.assert_type([safe_norm(x), safe_normalize(x), safe_divide(x, x), cross(x, x), dot(x, x)], jnp.float32)


def test_products_ask_for_the_full_precision():
    text = str(jax.make_jaxpr(lambda a: einsum("ij,jk->ik", a, a))(jnp.ones((3, 3))))
    assert "HIGHEST" in text
