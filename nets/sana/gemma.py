"""Gemma 2's decoder as SANA reads texts with it: the features of its last layer."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Bool, Float, Int

from hoijax.nets.blocks import AttentionConfig, BlockConfig, RMSNorm, Stack, TransformerBlock, causal_mask

ArrayLike = jax.Array | np.ndarray


@dataclasses.dataclass(frozen=True)
class Gemma2Config:
    """Sizes of the decoder; the defaults are Gemma-2-2B's."""

    vocabulary: int = 256000
    """Tokens there are."""
    width: int = 2304
    """Channels of a token."""
    depth: int = 26
    """Blocks."""
    heads: int = 8
    """Heads of the queries."""
    groups: int = 4
    """Heads of keys and values."""
    head_width: int = 256
    """Channels of a head."""
    hidden: int = 9216
    """Channels inside a perceptron."""
    query_width: int = 256
    """Products of queries and keys are divided by this number's root."""
    cap: float = 50.0
    """Bound of the products."""
    window: int = 4096
    """How many places, its own among them, a token sees in every second block, the first one among these."""
    rope: float = 1e4
    """Base of the rotary positions."""
    epsilon: float = 1e-6
    """Of the normalisations."""


class Gemma2(nnx.Module):
    """Tokens to features.

    Args:
      config: its sizes.
      rngs: where the initial weights come from.
    """

    def __init__(self, config: Gemma2Config, rngs: nnx.Rngs):
        self.config = config
        attention = AttentionConfig(
            config.width, config.heads, config.groups, config.head_width, bias=False, out_bias=False, rope=config.rope,
            scale=config.query_width**-0.5, cap=config.cap,
        )  # fmt: skip
        block = BlockConfig(attention, config.hidden, "tanh_gelu", gated=True, norm="rms", epsilon=config.epsilon,
                            offset=1.0, after=True)  # fmt: skip
        self.embed_tokens = nnx.Embed(config.vocabulary, config.width, rngs=rngs)
        self.layers = Stack(lambda rngs: TransformerBlock(block, rngs), config.depth, rngs)
        self.norm = RMSNorm(config.width, epsilon=config.epsilon, offset=1.0)

    def __call__(
        self, tokens: Int[ArrayLike, "B L"], mask: Bool[ArrayLike, "B L"] | None = None
    ) -> Float[jax.Array, "B L E"]:
        """The last layer's features, normalised; in the parameters' type.

        Args:
          tokens: their numbers.
          mask: which are a text, padding to the right; None: all.
        """
        length = tokens.shape[1]
        x = self.embed_tokens(jnp.asarray(tokens))
        x = x * jnp.asarray(self.config.width**0.5, x.dtype)
        places = np.arange(length)
        seen = causal_mask(length)[None]
        near = seen & (places[:, None] - places[None] < self.config.window)[None]
        if mask is not None:
            seen, near = (jnp.asarray(m) & jnp.asarray(mask)[:, None] for m in (seen, near))

        def step(block: TransformerBlock, x: jax.Array, local: jax.Array) -> tuple[jax.Array, None]:
            return block(x, mask=jnp.where(local, near, seen)), None

        x, _ = self.layers.scan(step, x, np.arange(self.config.depth) % 2 == 0)
        return self.norm(x)
