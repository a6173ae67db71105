"""The pieces of GRAFT's network: perceptrons, attention with a mask, learnable Fourier features.

All take any leading axes. Linear layers compute in the configuration's dtype, from float32 parameters;
positions stay float32 until they are features.
"""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Bool, Float

from hoijax.nets.layers import LAYER_NORM_EPSILON, ArrayLike, gelu


def linear(
    inputs: int, outputs: int, rngs: nnx.Rngs, *, dtype: str, zero: bool = False, gain: float = 1.0
) -> nnx.Linear:
    """A linear layer that computes in `dtype`; it starts at zero, or with outputs `gain` times as large as inputs."""
    init = nnx.initializers.zeros_init()
    if not zero:
        init = nnx.initializers.variance_scaling(gain**2, "fan_in", "truncated_normal")
    return nnx.Linear(inputs, outputs, dtype=jnp.dtype(dtype), kernel_init=init, rngs=rngs)


class Norm(nnx.Module):
    """Layer normalisation in float32, whatever comes in; what comes out has the dtype of what came in."""

    def __init__(self, width: int, rngs: nnx.Rngs):
        self.norm = nnx.LayerNorm(width, epsilon=LAYER_NORM_EPSILON, rngs=rngs)

    def __call__(self, x: Float[ArrayLike, "*B D"]) -> Float[jax.Array, "*B D"]:
        """Zero mean and unit variance over the channels, then the learned scale and shift."""
        x = jnp.asarray(x)
        return self.norm(x.astype(jnp.float32)).astype(x.dtype)


class Perceptron(nnx.Module):
    """Two linear layers with a GELU between them; `zero` starts the second at zero, `gain` is the first's."""

    def __init__(
        self, inputs: int, hidden: int, outputs: int, rngs: nnx.Rngs, *, dtype: str, zero: bool = False,
        gain: float = 1.0,
    ):  # fmt: skip
        self.first = linear(inputs, hidden, rngs, dtype=dtype, gain=gain)
        self.second = linear(hidden, outputs, rngs, dtype=dtype, zero=zero)

    def __call__(self, x: Float[ArrayLike, "*B I"]) -> Float[jax.Array, "*B O"]:
        """The outputs, in the layers' dtype."""
        return self.second(gelu(self.first(x)))


class FourierEncoder(nnx.Module):
    """Learnable Fourier features of a vector (Li et al. 2021, eq. 3 to 6), with the vector itself beside them.

    r = W x; f = [cos r, sin r] / sqrt(F); a perceptron F -> F -> F. W has no bias; its rows start as N(0, gamma^-2),
    with gamma from the first to the last of `bandwidth`.
    """

    def __init__(self, features: int, bandwidth: tuple[float, float], rngs: nnx.Rngs, *, dtype: str, inputs: int = 3):
        gamma = jnp.geomspace(*bandwidth, features // 2, dtype=jnp.float32)[:, None]
        frequencies = jax.random.normal(rngs.params(), (features // 2, inputs), jnp.float32)
        self.frequencies = nnx.Param(frequencies / jnp.broadcast_to(gamma, frequencies.shape))
        # The waves' mean square is 1 / 2F: the perceptron starts with inputs of one.
        self.perceptron = Perceptron(features, features, features, rngs, dtype=dtype, gain=(2.0 * features) ** 0.5)

    def __call__(self, x: Float[ArrayLike, "*B I"]) -> Float[jax.Array, "*B F"]:
        """F features, then the coordinates."""
        frequencies = self.frequencies[...]
        # Metres times frequencies in bf16 or TF32 would be centimetres off.
        phase = jnp.einsum("fi,...i->...f", frequencies, x, precision=jax.lax.Precision.HIGHEST)
        waves = jnp.concatenate([jnp.cos(phase), jnp.sin(phase)], axis=-1) / jnp.sqrt(2.0 * frequencies.shape[0])
        features = self.perceptron(waves.astype(jnp.float32))
        return jnp.concatenate([features, jnp.asarray(x).astype(features.dtype)], axis=-1)


class Attention(nnx.Module):
    """Multi-head attention; softmax in float32."""

    def __init__(self, width: int, heads: int, rngs: nnx.Rngs, *, dtype: str):
        if width % heads:
            raise ValueError(f"width {width} is not divisible by {heads} heads")
        self.heads = heads
        self.query, self.key, self.value, self.out = (linear(width, width, rngs, dtype=dtype) for _ in range(4))

    def __call__(
        self,
        queries: Float[ArrayLike, "*B Q D"],
        context: Float[ArrayLike, "*B C D"],
        mask: Bool[ArrayLike, "*B C"] | None = None,
    ) -> Float[jax.Array, "*B Q D"]:
        """Attends from every query to the context.

        Args:
          queries: features that ask.
          context: features that answer.
          mask: those that may be seen; at least one for each element of the batch. All if None.
        """
        q, k, v = self._split(self.query(queries)), self._split(self.key(context)), self._split(self.value(context))
        logits = jnp.einsum("...qhd,...khd->...hqk", q, k).astype(jnp.float32) / q.shape[-1] ** 0.5
        if mask is not None:
            seen = jnp.broadcast_to(jnp.asarray(mask)[..., None, None, :], logits.shape)
            logits = jnp.where(seen, logits, jnp.finfo(jnp.float32).min)
        weights = jax.nn.softmax(logits, axis=-1).astype(v.dtype)
        return self.out(jnp.einsum("...hqk,...khd->...qhd", weights, v).reshape(queries.shape))

    def _split(self, x: jax.Array) -> jax.Array:
        return x.reshape((*x.shape[:-1], self.heads, x.shape[-1] // self.heads))
