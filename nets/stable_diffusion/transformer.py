"""The transformer of Stable Diffusion's UNet: attention of cells to each other, to a text, and a gated perceptron.

Attribute names are those of `diffusers`, but for attention's layers. B pictures, V views of one scene side by side in
the batch, H W cells, N = H W, C channels.
"""

import jax
from flax import nnx

from hoijax.nets.blocks import Attention, AttentionConfig, GatedPerceptron, Stack, conv, group_norm, layer_norm
from hoijax.nets.stable_diffusion.config import UNetConfig


class SpatialBlock(nnx.Module):
    """One block of tokens."""

    def __init__(self, width: int, heads: int, context: int, rngs: nnx.Rngs):
        self.norm1, self.norm2, self.norm3 = (layer_norm(width, rngs) for _ in range(3))
        self.attn1 = Attention(AttentionConfig(width, heads, bias=False), rngs)
        self.attn2 = Attention(AttentionConfig(width, heads, context=context, bias=False), rngs)
        self.ff = GatedPerceptron(width, 4 * width, rngs, activation="gelu", bias=True)

    def __call__(self, x: jax.Array, text: jax.Array, views: int) -> jax.Array:
        """Tokens (B, N, C) after the block; the views of a scene see each other's cells."""
        together = x.reshape(x.shape[0] // views, views * x.shape[1], x.shape[2])
        x = x + self.attn1(self.norm1(together)).reshape(x.shape)
        x = x + self.attn2(self.norm2(x), text)
        return x + self.ff(self.norm3(x))


class SpatialTransformer(nnx.Module):
    """Blocks over the cells of a map, added to it."""

    def __init__(self, config: UNetConfig, width: int, heads: int, count: int, rngs: nnx.Rngs):
        def project() -> nnx.Module:
            return conv(width, width, 1, rngs) if config.convolved else nnx.Linear(width, width, rngs=rngs)

        self.norm = group_norm(width, rngs, groups=config.groups, epsilon=1e-6)
        self.proj_in, self.proj_out = project(), project()
        self.transformer_blocks = Stack(lambda rngs: SpatialBlock(width, heads, config.context, rngs), count, rngs)

    def __call__(self, x: jax.Array, text: jax.Array, views: int) -> jax.Array:
        """The map (B, H, W, C) after the blocks."""
        tokens = self.proj_in(self.norm(x)).reshape(x.shape[0], -1, x.shape[-1])

        def step(block: SpatialBlock, tokens: jax.Array, _: None) -> tuple[jax.Array, None]:
            return block(tokens, text, views), None

        tokens, _ = self.transformer_blocks.scan(step, tokens)
        return x + self.proj_out(tokens.reshape(x.shape))
