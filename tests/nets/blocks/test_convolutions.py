"""Layers that are written for the speed of their gradients, against Flax's own."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from hoijax.nets.blocks.convolutions import double_conv_transpose, max_pool


def same_with_gradient(ours, theirs, *arrays):
    """Values and gradients of a nonlinear function of both agree."""

    def both(layer):
        gradient = jax.grad(lambda *a: jnp.sum(jnp.sin(layer(*a))), range(len(arrays)))
        return layer(*arrays), gradient(*arrays)

    for a, b in zip(jax.tree.leaves(both(ours)), jax.tree.leaves(both(theirs)), strict=True):
        np.testing.assert_allclose(a, b, atol=2e-5)


@pytest.mark.parametrize("size", [(6, 8), (5, 7)])
def test_max_pool_is_that_of_windows(size):
    x = jax.random.normal(jax.random.key(0), (2, *size, 3), jnp.float32)
    same_with_gradient(max_pool, lambda x: nnx.max_pool(x, (3, 3), strides=(2, 2), padding=((1, 1), (1, 1))), x)


def test_max_pool_of_equal_values_spreads_the_gradient():
    x = jnp.zeros((4, 4, 1), jnp.float32)
    gradient = jax.grad(lambda x: jnp.sum(max_pool(x)))(x)
    np.testing.assert_allclose(gradient.sum(), 4.0, rtol=1e-6)


def test_double_conv_transpose_is_that_of_a_map_with_holes():
    keys = jax.random.split(jax.random.key(1))
    x = jax.random.normal(keys[0], (2, 3, 4, 5), jnp.float32)
    kernel = jax.random.normal(keys[1], (4, 4, 6, 5), jnp.float32)

    def holes(x, kernel):
        return jax.lax.conv_transpose(x, kernel, (2, 2), ((2, 2), (2, 2)), transpose_kernel=True)

    assert double_conv_transpose(x, kernel).shape == (2, 6, 8, 6)
    same_with_gradient(double_conv_transpose, holes, x, kernel)
