"""Convolutional blocks that diffusion models and autoencoders share."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Float

from hoijax.nets.blocks.convolutions import conv, depthwise
from hoijax.nets.blocks.norms import group_norm

ArrayLike = jax.Array | np.ndarray


class ResidualConvolution(nnx.Module):
    """GroupNorm, SiLU, 3x3, twice, beside a shortcut (the UNet's and the autoencoder's block; names of `diffusers`).

    Args:
      inputs: channels in.
      outputs: channels out.
      rngs: where the initial weights come from.
      embedding: channels of a time embedding that is added between the two convolutions; None: no such thing.
      groups: of the normalisations.
      epsilon: of the normalisations.
    """

    def __init__(
        self, inputs: int, outputs: int, rngs: nnx.Rngs, *, embedding: int | None = None, groups: int = 32,
        epsilon: float = 1e-5,
    ):  # fmt: skip
        self.norm1 = group_norm(inputs, rngs, groups=groups, epsilon=epsilon)
        self.conv1 = conv(inputs, outputs, 3, rngs)
        self.time_emb_proj = None if embedding is None else nnx.Linear(embedding, outputs, rngs=rngs)
        self.norm2 = group_norm(outputs, rngs, groups=groups, epsilon=epsilon)
        self.conv2 = conv(outputs, outputs, 3, rngs)
        self.conv_shortcut = None if inputs == outputs else conv(inputs, outputs, 1, rngs)

    def __call__(
        self, x: Float[ArrayLike, "B H W I"], time: Float[ArrayLike, "B E"] | None = None
    ) -> Float[jax.Array, "B H W O"]:
        """The block's output.

        Raises:
          ValueError: a time embedding is missing or not expected.
        """
        if (time is None) != (self.time_emb_proj is None):
            raise ValueError("a block takes a time embedding exactly where it was built with one")
        x = jnp.asarray(x)
        y = self.conv1(jax.nn.silu(self.norm1(x)))
        if time is not None:
            y = y + jnp.broadcast_to(self.time_emb_proj(jax.nn.silu(time))[:, None, None], y.shape)
        y = self.conv2(jax.nn.silu(self.norm2(y)))
        return y + (x if self.conv_shortcut is None else self.conv_shortcut(x))


class GatedConvolution(nnx.Module):
    """1x1, SiLU, 3x3 of each channel alone, gate, 1x1: SANA's Mix-FFN and DC-AE's GLUMBConv (names of `diffusers`).

    Args:
      width: channels in and out.
      hidden: channels between the convolutions, of which there are twice as many before the gate.
      rngs: where the initial weights come from.
    """

    def __init__(self, width: int, hidden: int, rngs: nnx.Rngs):
        self.conv_inverted = conv(width, 2 * hidden, 1, rngs)
        self.conv_depth = nnx.Conv(
            2 * hidden, 2 * hidden, (3, 3), padding=((1, 1), (1, 1)), feature_group_count=2 * hidden, rngs=rngs
        )
        self.conv_point = conv(hidden, width, 1, rngs, use_bias=False)

    def __call__(self, x: Float[ArrayLike, "B H W C"]) -> Float[jax.Array, "B H W C"]:
        """The block's output, without a residual."""
        y = depthwise(self.conv_depth, jax.nn.silu(self.conv_inverted(jnp.asarray(x))))
        value, gate = jnp.split(y, 2, axis=-1)
        return self.conv_point(value * jax.nn.silu(gate))
