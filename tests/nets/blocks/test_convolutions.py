"""Layers that are written for the speed of their gradients, against Flax's own."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from hoijax.nets.blocks.convolutions import double_conv_transpose, max_pool, pixel_shuffle, pixel_unshuffle
from hoijax.nets.sana.autoencoder import Halve


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


def test_squares_of_pixels_become_channels_one_channel_after_the_other():
    x = np.arange(2 * 4 * 6 * 3, dtype=np.float32).reshape(2, 4, 6, 3)
    four = np.asarray(pixel_unshuffle(x))
    for channel in range(3):
        for row in range(2):
            for column in range(2):
                one = four[..., 4 * channel + 2 * row + column]
                np.testing.assert_array_equal(one, x[:, row::2, column::2, channel])
    np.testing.assert_array_equal(pixel_shuffle(four), x)


def test_halving_starts_at_the_first_pixel_and_takes_the_means_of_runs_of_channels():
    block = Halve(2, 4, nnx.Rngs(0))
    x = np.random.default_rng(0).normal(size=(1, 4, 6, 2)).astype(np.float32)
    kernel, bias = np.asarray(block.conv.kernel[...]), np.asarray(block.conv.bias[...])
    answer = np.asarray(block(jnp.asarray(x)))
    wide = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))  # a pixel on both sides: "SAME" pads none at the beginning
    four = np.asarray(pixel_unshuffle(x)).reshape(1, 2, 3, 4, 2).mean(axis=-1)
    for row in range(2):
        for column in range(3):
            patch = wide[0, 2 * row : 2 * row + 3, 2 * column : 2 * column + 3]
            want = np.einsum("yxi,yxio->o", patch, kernel) + bias + four[0, row, column]
            np.testing.assert_allclose(answer[0, row, column], want, atol=1e-5)
