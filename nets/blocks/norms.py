"""Normalisations, with PyTorch's constants where Flax's differ.

Variances are those of the differences from the mean: as the mean square less the mean's square, Flax's default, that of
numbers about 300 with a spread of one would be off by hundredths.
"""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Float

ArrayLike = jax.Array | np.ndarray

LAYER_NORM_EPSILON = 1e-5
BATCH_NORM_EPSILON = 1e-5


def layer_norm(
    width: int, rngs: nnx.Rngs, *, epsilon: float = LAYER_NORM_EPSILON, affine: bool = True
) -> nnx.LayerNorm:
    """Layer normalisation with PyTorch's epsilon; `affine` False leaves scale and shift to somebody else."""
    return nnx.LayerNorm(width, epsilon=epsilon, use_bias=affine, use_scale=affine, use_fast_variance=False, rngs=rngs)


def batch_norm(width: int, rngs: nnx.Rngs) -> nnx.BatchNorm:
    """Batch normalisation with PyTorch's epsilon and momentum (0.1 there is 0.9 here)."""
    return nnx.BatchNorm(width, momentum=0.9, epsilon=BATCH_NORM_EPSILON, rngs=rngs)


def group_norm(width: int, rngs: nnx.Rngs, *, groups: int = 32, epsilon: float = 1e-5) -> nnx.GroupNorm:
    """Group normalisation over channels last, with PyTorch's epsilon."""
    return nnx.GroupNorm(width, num_groups=groups, epsilon=epsilon, use_fast_variance=False, rngs=rngs)


class Norm(nnx.Module):
    """Layer normalisation in float32, whatever comes in; what comes out has the dtype of what came in."""

    def __init__(self, width: int, rngs: nnx.Rngs):
        self.norm = layer_norm(width, rngs)

    def __call__(self, x: Float[ArrayLike, "*B D"]) -> Float[jax.Array, "*B D"]:
        """Zero mean and unit variance over the channels, then the learned scale and shift."""
        x = jnp.asarray(x)
        return self.norm(x.astype(jnp.float32)).astype(x.dtype)


class RMSNorm(nnx.Module):
    """Division by the root of the channels' mean square, in float32 at least (Zhang and Sennrich 2019).

    Args:
      width: channels.
      epsilon: added to the mean square.
      offset: added to the learned factor; 1 in Gemma, whose factors start at zero.
      bias: whether a shift is learned too.
    """

    def __init__(self, width: int, *, epsilon: float = 1e-6, offset: float = 0.0, bias: bool = False):
        self.epsilon, self.offset = epsilon, offset
        self.weight = nnx.Param(jnp.full((width,), 1.0 - offset, jnp.float32))
        self.bias = nnx.Param(jnp.zeros((width,), jnp.float32)) if bias else None

    def __call__(self, x: Float[ArrayLike, "*B D"]) -> Float[jax.Array, "*B D"]:
        """The normalised channels, in the dtype of what came in."""
        x = jnp.asarray(x)
        exact = x.astype(np.promote_types(x.dtype, np.float32))
        size = jax.lax.rsqrt(jnp.mean(exact * exact, axis=-1, keepdims=True) + self.epsilon)
        factor = self.weight[...].astype(exact.dtype) + self.offset
        y = exact * jnp.broadcast_to(size, x.shape) * jnp.broadcast_to(factor, x.shape)
        if self.bias is not None:
            y = y + jnp.broadcast_to(self.bias[...].astype(exact.dtype), x.shape)
        return y.astype(x.dtype)
