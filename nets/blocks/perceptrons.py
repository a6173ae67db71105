"""Perceptrons and what stands between their layers."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Float, Int

ArrayLike = jax.Array | np.ndarray


def gelu(x: jax.Array) -> jax.Array:
    """The exact (erf) GELU, PyTorch's default."""
    return jax.nn.gelu(x, approximate=False)


def tanh_gelu(x: jax.Array) -> jax.Array:
    """GELU by its tanh approximation, as Gemma and SANA have it."""
    return jax.nn.gelu(x, approximate=True)


def quick_gelu(x: jax.Array) -> jax.Array:
    """x sigmoid(1.702 x), as OpenAI's CLIP has it."""
    return x * jax.nn.sigmoid(1.702 * x)


ACTIVATIONS: dict[str, Callable[[jax.Array], jax.Array]] = {
    "gelu": gelu,
    "tanh_gelu": tanh_gelu,
    "quick_gelu": quick_gelu,
    "silu": jax.nn.silu,
    "relu": jax.nn.relu,
}
"""By name."""


def linear(
    inputs: int, outputs: int, rngs: nnx.Rngs, *, dtype: str | None = None, zero: bool = False, gain: float = 1.0,
    bias: bool = True,
) -> nnx.Linear:  # fmt: skip
    """A linear layer that computes in `dtype`; it starts at zero, or with outputs `gain` times as large as inputs."""
    init = nnx.initializers.zeros_init()
    if not zero:
        init = nnx.initializers.variance_scaling(gain**2, "fan_in", "truncated_normal")
    kind = None if dtype is None else jnp.dtype(dtype)
    return nnx.Linear(inputs, outputs, use_bias=bias, dtype=kind, kernel_init=init, rngs=rngs)


def look_up(layer: nnx.Embed, ids: Int[ArrayLike, "*B"]) -> Float[jax.Array, "*B W"]:
    """Vectors of ids, in the type of the parameters: Flax's own call keeps that which they were made in."""
    return jnp.take(layer.embedding[...], jnp.asarray(ids), axis=0)


class Perceptron(nnx.Module):
    """Two linear layers with an activation between them; `zero` starts the second at zero, `gain` is the first's."""

    def __init__(
        self, inputs: int, hidden: int, outputs: int, rngs: nnx.Rngs, *, dtype: str | None = None, zero: bool = False,
        gain: float = 1.0, activation: str = "gelu",
    ):  # fmt: skip
        self.activation = activation
        self.first = linear(inputs, hidden, rngs, dtype=dtype, gain=gain)
        self.second = linear(hidden, outputs, rngs, dtype=dtype, zero=zero)

    def __call__(self, x: Float[ArrayLike, "*B I"]) -> Float[jax.Array, "*B O"]:
        """The outputs, in the layers' dtype."""
        return self.second(ACTIVATIONS[self.activation](self.first(x)))


class GatedPerceptron(nnx.Module):
    """down(act(gate x) * up x), without biases by default: SwiGLU with "silu", GEGLU with "gelu" (Shazeer 2020)."""

    def __init__(
        self, width: int, hidden: int, rngs: nnx.Rngs, *, activation: str = "silu", bias: bool = False,
        dtype: str | None = None,
    ):  # fmt: skip
        self.activation = activation
        self.gate, self.up = (linear(width, hidden, rngs, dtype=dtype, bias=bias) for _ in range(2))
        self.down = linear(hidden, width, rngs, dtype=dtype, bias=bias)

    def __call__(self, x: Float[ArrayLike, "*B D"]) -> Float[jax.Array, "*B D"]:
        """The outputs, in the layers' dtype."""
        return self.down(ACTIVATIONS[self.activation](self.gate(x)) * self.up(x))
