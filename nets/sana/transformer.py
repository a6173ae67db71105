"""SANA's transformer (Xie et al. 2024): linear attention, convolutions for positions, cross-attention to a text.

Over channels last; B pictures, H W cells of the latent, N = H W tokens, D channels of a token, L tokens of the text.
Everything but normalisations, softmax and sums of the linear attention is computed in the parameters' type.
"""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Bool, Float, Int

from hoijax.nets.blocks import (
    Attention,
    AttentionConfig,
    GatedConvolution,
    Perceptron,
    RMSNorm,
    Stack,
    conv,
    layer_norm,
    linear,
    sinusoid,
)
from hoijax.nets.sana.config import SanaConfig

ArrayLike = jax.Array | np.ndarray

TIME_FEATURES = 256
"""Sines and cosines of a time."""


def _modulate(norm: nnx.LayerNorm, x: jax.Array, shift: jax.Array, scale: jax.Array) -> jax.Array:
    """Tokens (B, N, D), normalised, then scaled and shifted by (B, 1, D)."""
    exact = x.astype(np.promote_types(x.dtype, np.float32))
    return norm(exact).astype(x.dtype) * (1 + scale) + shift


class SanaBlock(nnx.Module):
    """Linear attention, attention to the text without a normalisation before it, gated convolutions."""

    def __init__(self, config: SanaConfig, rngs: nnx.Rngs):
        norm = "whole" if config.norm else "none"
        heads = config.width // config.head_width
        self.norm = layer_norm(config.width, rngs, epsilon=1e-6, affine=False)
        own = AttentionConfig(config.width, heads, bias=False, kernel="linear", norm=norm, norm_epsilon=1e-5,
                              linear_epsilon=config.linear_epsilon)  # fmt: skip
        cross = AttentionConfig(config.width, config.cross_heads, norm=norm, norm_epsilon=config.cross_norm_epsilon)
        self.attention, self.cross = Attention(own, rngs), Attention(cross, rngs)
        self.convolutions = GatedConvolution(config.width, config.hidden, rngs)
        start = jax.random.normal(rngs.params(), (6, config.width), jnp.float32) * config.width**-0.5
        self.scale_shift_table = nnx.Param(start)

    def __call__(
        self, x: jax.Array, text: jax.Array, mask: jax.Array | None, modulation: jax.Array, size: tuple[int, int]
    ) -> jax.Array:
        """Tokens (B, N, D) after the block; the text (B, L, D), its mask (B, L), the time's modulation (B, 6, D)."""
        shift1, scale1, gate1, shift2, scale2, gate2 = jnp.split(
            self.scale_shift_table[...][None] + modulation, 6, axis=1
        )
        x = x + gate1 * self.attention(_modulate(self.norm, x, shift1, scale1))
        x = x + self.cross(x, text, mask=mask)
        grid = _modulate(self.norm, x, shift2, scale2).reshape(x.shape[0], *size, x.shape[-1])
        return x + gate2 * self.convolutions(grid).reshape(x.shape)


class Sana(nnx.Module):
    """The velocity of a noisy latent, noise minus data, given a text.

    Args:
      config: its sizes.
      rngs: where the initial weights come from.
    """

    def __init__(self, config: SanaConfig, rngs: nnx.Rngs):
        width = config.width
        self.config = config
        self.patch_embed = conv(config.latent_channels, width, 1, rngs)
        self.time_perceptron = Perceptron(TIME_FEATURES, width, width, rngs, activation="silu")
        self.time_modulation = linear(width, 6 * width, rngs)
        self.text_perceptron = Perceptron(config.text_channels, width, width, rngs, activation="tanh_gelu")
        self.text_norm = RMSNorm(width, epsilon=1e-5)
        self.blocks = Stack(lambda rngs: SanaBlock(config, rngs), config.depth, rngs)
        self.norm = layer_norm(width, rngs, epsilon=1e-6, affine=False)
        start = jax.random.normal(rngs.params(), (2, width), jnp.float32) * width**-0.5
        self.scale_shift_table = nnx.Param(start)
        self.out = linear(width, config.latent_channels, rngs)
        if config.null_tokens:
            shape = (config.null_tokens, config.text_channels)
            self.null_text = nnx.Param(jax.random.normal(rngs.params(), shape, jnp.float32) * shape[1] ** -0.5)

    def __call__(
        self,
        latent: Float[ArrayLike, "B H W C"],
        time: Float[ArrayLike, "B"] | Int[ArrayLike, "B"],
        text: Float[ArrayLike, "B L E"],
        mask: Bool[ArrayLike, "B L"] | None = None,
    ) -> Float[jax.Array, "B H W C"]:
        """The velocity, in the latent's type.

        Args:
          latent: noisy, of any height and width.
          time: share of noise times 1000, a whole number as a rule.
          text: features of the text encoder.
          mask: which of them are a text; None: all.
        """
        latent, mask = jnp.asarray(latent), None if mask is None else jnp.asarray(mask)
        kind = self.patch_embed.kernel[...].dtype
        batch, height, width, _ = latent.shape
        x = self.patch_embed(latent.astype(kind)).reshape(batch, height * width, -1)
        time = sinusoid(jnp.asarray(time).astype(jnp.float32), TIME_FEATURES, cosines_first=True, inclusive=False)
        time = self.time_perceptron(time.astype(kind))
        modulation = self.time_modulation(jax.nn.silu(time)).reshape(batch, 6, -1)
        text = self.text_norm(self.text_perceptron(jnp.asarray(text).astype(kind)))

        def step(block: SanaBlock, x: jax.Array, _: None) -> tuple[jax.Array, None]:
            return block(x, text, mask, modulation, (height, width)), None

        x, _ = self.blocks.scan(step, x, remat=self.config.remat)
        shift, scale = jnp.split(self.scale_shift_table[...][None] + time[:, None], 2, axis=1)
        x = self.out(_modulate(self.norm, x, shift, scale))
        return x.reshape(batch, height, width, -1).astype(latent.dtype)
