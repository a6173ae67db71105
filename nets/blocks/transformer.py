"""A Transformer's block with everything that the published ones differ in; CLIP, SAM and LLaMA are settings of it."""

import dataclasses
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Bool, Float, Int

from hoijax.nets.blocks.attention import Attention, AttentionConfig
from hoijax.nets.blocks.norms import RMSNorm, layer_norm
from hoijax.nets.blocks.perceptrons import GatedPerceptron, Perceptron

ArrayLike = jax.Array | np.ndarray


@dataclasses.dataclass(frozen=True)
class BlockConfig:
    """Which block: x + attention(norm x), then x + perceptron(norm x)."""

    attention: AttentionConfig
    """Its attention; the width is its."""
    hidden: int
    """Hidden channels of the perceptron."""
    activation: str = "gelu"
    """Of the perceptron, a name of `hoijax.nets.blocks.perceptrons.ACTIVATIONS`."""
    gated: bool = False
    """Whether the perceptron is gated (SwiGLU, GEGLU)."""
    norm: Literal["layer", "rms"] = "layer"
    """Layer or RMS normalisation."""
    epsilon: float = 1e-5
    """Of the normalisations."""
    offset: float = 0.0
    """Added to the factors of RMS normalisation: 1 in Gemma."""
    after: bool = False
    """Whether what a branch found is normalised once more before it is added, as in Gemma 2."""


class TransformerBlock(nnx.Module):
    """One pre-norm block.

    Args:
      config: which.
      rngs: where the initial weights come from.
    """

    def __init__(self, config: BlockConfig, rngs: nnx.Rngs):
        width, dtype = config.attention.width, config.attention.dtype

        def norm() -> nnx.Module:
            if config.norm == "rms":
                return RMSNorm(width, epsilon=config.epsilon, offset=config.offset)
            return layer_norm(width, rngs, epsilon=config.epsilon)

        self.config = config
        self.attention_norm, self.perceptron_norm = norm(), norm()
        if config.after:
            self.attention_after, self.perceptron_after = norm(), norm()
        self.attention = Attention(config.attention, rngs)
        if config.gated:
            self.perceptron = GatedPerceptron(width, config.hidden, rngs, activation=config.activation, dtype=dtype)
        else:
            self.perceptron = Perceptron(width, config.hidden, width, rngs, activation=config.activation, dtype=dtype)

    def __call__(
        self,
        tokens: Float[ArrayLike, "*B T W"],
        *,
        mask: Bool[ArrayLike, "..."] | None = None,
        bias: Float[ArrayLike, "..."] | None = None,
        positions: Int[ArrayLike, "*B T"] | None = None,
    ) -> Float[jax.Array, "*B T W"]:
        """The tokens after the block; arguments as of `Attention`."""
        tokens, after = jnp.asarray(tokens), self.config.after
        update = self.attention(self.attention_norm(tokens), mask=mask, bias=bias, positions=positions)
        tokens = tokens + (self.attention_after(update) if after else update)
        update = self.perceptron(self.perceptron_norm(tokens))
        return tokens + (self.perceptron_after(update) if after else update)
