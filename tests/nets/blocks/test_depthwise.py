"""A convolution of each channel alone, as shifted maps, against XLA's own and by hand."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from hoijax.nets.blocks import depthwise


def layer_of(size, channels, bias):
    pad = ((size // 2, size // 2),) * 2
    layer = nnx.Conv(channels, channels, (size, size), padding=pad, feature_group_count=channels, use_bias=bias,
                     rngs=nnx.Rngs(0))  # fmt: skip
    if bias:
        layer.bias[...] = jnp.arange(channels, dtype=jnp.float32)
    return layer


def test_equals_the_grouped_convolution_and_so_does_its_gradient():
    x = jax.random.normal(jax.random.key(1), (2, 5, 4, 3), jnp.float32)
    for size, bias in ((3, True), (5, False)):
        layer = layer_of(size, 3, bias)
        np.testing.assert_allclose(depthwise(layer, x), layer(x), atol=1e-5)
        graph, state = nnx.split(layer)

        def loss(how, state, x, graph=graph):
            return jnp.sum(jnp.sin(how(nnx.merge(graph, state), x)))

        ours, theirs = (
            jax.grad(lambda s, y: loss(how, s, y), argnums=(0, 1))(state, x)  # noqa: B023
            for how in (depthwise, lambda layer, y: layer(y))
        )
        for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs)):
            np.testing.assert_allclose(a, b, atol=1e-4)
