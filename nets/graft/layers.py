"""Learnable Fourier features of GRAFT's probes, and its attention.

All take any leading axes. Linear layers compute in the configuration's dtype, from float32 parameters;
positions stay float32 until they are features.
"""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Float

from hoijax.nets.blocks.attention import Attention, AttentionConfig
from hoijax.nets.blocks.norms import ArrayLike
from hoijax.nets.blocks.perceptrons import Perceptron


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


def attention(width: int, heads: int, rngs: nnx.Rngs, *, dtype: str) -> Attention:
    """Multi-head attention between tokens of one width."""
    return Attention(AttentionConfig(width, heads, dtype=dtype), rngs)
