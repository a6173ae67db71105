"""SAM's image encoder: a ViT whose tokens look at windows and, in a few blocks, at the whole image (Li et al. 2022)."""

import math

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Float

from hoijax.nets.blocks import Perceptron, attend, conv, join_heads, layer_norm, split_heads
from hoijax.nets.sam.config import Config

ArrayLike = jax.Array | np.ndarray

EPSILON = 1e-6
"""Of the encoder's normalisations."""


class RelativeAttention(nnx.Module):
    """Attention of the cells of a square to each other, with a learned vector for each distance in rows and columns.

    The vectors are multiplied by the queries as they are, before these are scaled (Li et al. 2022, eq. 2 and 3).

    Args:
      config: sizes.
      side: cells of a side of the square.
      rows: rows of queries that are answered at a time; 0 for all.
      rngs: where the initial weights come from.
    """

    def __init__(self, config: Config, side: int, rows: int, rngs: nnx.Rngs):
        width, dtype = config.width, None if config.dtype is None else jnp.dtype(config.dtype)
        self.heads, self.side = config.heads, side
        self.rows = math.gcd(rows, side) if rows else side
        self.qkv = nnx.Linear(width, 3 * width, dtype=dtype, rngs=rngs)
        self.proj = nnx.Linear(width, width, dtype=dtype, rngs=rngs)
        self.rel_pos_h, self.rel_pos_w = (
            nnx.Param(jnp.zeros((2 * side - 1, width // config.heads), jnp.float32)) for _ in range(2)
        )

    def __call__(self, x: Float[ArrayLike, "B S S W"]) -> Float[jax.Array, "B S S W"]:
        """What each cell finds."""
        batch, side, width = len(x), self.side, x.shape[-1]
        query, key, value = (
            split_heads(part.reshape(batch, side * side, width), self.heads)
            for part in jnp.split(self.qkv(x), 3, axis=-1)
        )
        distance = np.arange(side)[:, None] - np.arange(side)[None, :] + side - 1
        by_row, by_column = (p[...].astype(query.dtype)[distance] for p in (self.rel_pos_h, self.rel_pos_w))

        def answer(part):
            """Some rows of queries."""
            query, by_row = part
            rows = len(by_row)
            grid = query.reshape(batch, rows, side, self.heads, -1)
            down = jnp.einsum("bijhd,ikd->bhijk", grid, by_row)[..., :, None]
            across = jnp.einsum("bijhd,jkd->bhijk", grid, by_column)[..., None, :]
            full = (*down.shape[:-1], side)
            bias = jnp.broadcast_to(down, full) + jnp.broadcast_to(across, full)
            return attend(query, key, value, bias=bias.reshape(batch, self.heads, rows * side, side * side))

        steps = side // self.rows
        if steps == 1:
            found = answer((query, by_row))
        else:
            parts = query.reshape(batch, steps, self.rows * side, *query.shape[2:]).swapaxes(0, 1)
            found = jax.lax.map(answer, (parts, by_row.reshape(steps, self.rows, *by_row.shape[1:])))
            found = found.swapaxes(0, 1).reshape(query.shape)
        return self.proj(join_heads(found)).reshape(batch, side, side, width)


class EncoderBlock(nnx.Module):
    """x + attention(norm x), then x + perceptron(norm x); in windows, or everywhere."""

    def __init__(self, config: Config, everywhere: bool, rngs: nnx.Rngs):
        self.window = 0 if everywhere else config.window
        side = config.cells if everywhere else config.window
        self.norm1, self.norm2 = (layer_norm(config.width, rngs, epsilon=EPSILON) for _ in range(2))
        self.attn = RelativeAttention(config, side, config.rows if everywhere else 0, rngs)
        self.mlp = Perceptron(config.width, config.hidden, config.width, rngs, dtype=config.dtype)

    def __call__(self, x: Float[ArrayLike, "B S S W"]) -> Float[jax.Array, "B S S W"]:
        """The cells after the block."""
        y = self.norm1(x)
        if self.window:
            y = join_windows(self.attn(split_windows(y, self.window)), x.shape[1], len(x))
        else:
            y = self.attn(y)
        x = x + y.astype(x.dtype)
        return x + self.mlp(self.norm2(x)).astype(x.dtype)


def split_windows(x: Float[ArrayLike, "B S S W"], size: int) -> Float[jax.Array, "N size size W"]:
    """Squares of cells, row by row; zeros fill up those at the lower and the right edge."""
    batch, side, width = len(x), x.shape[1], x.shape[-1]
    count = -(-side // size)
    more = count * size - side
    x = jnp.pad(jnp.asarray(x), ((0, 0), (0, more), (0, more), (0, 0)))
    x = x.reshape(batch, count, size, count, size, width).swapaxes(2, 3)
    return x.reshape(-1, size, size, width)


def join_windows(x: Float[ArrayLike, "N size size W"], side: int, batch: int) -> Float[jax.Array, "B side side W"]:
    """The way back, without what was filled up."""
    size, width = x.shape[1], x.shape[-1]
    count = -(-side // size)
    x = x.reshape(batch, count, count, size, size, width).swapaxes(2, 3)
    return x.reshape(batch, count * size, count * size, width)[:, :side, :side]


class ImageEncoder(nnx.Module):
    """Images to embeddings.

    Args:
      config: sizes.
      rngs: where the initial weights come from.
    """

    def __init__(self, config: Config, rngs: nnx.Rngs):
        self.config, width, channels = config, config.width, config.channels
        patch = (config.patch,) * 2
        self.patch_embed = nnx.Dict(proj=nnx.Conv(3, width, patch, strides=patch, padding="VALID", rngs=rngs))
        self.pos_embed = nnx.Param(jnp.zeros((1, config.cells, config.cells, width), jnp.float32))
        self.blocks = nnx.List([EncoderBlock(config, i in config.everywhere, rngs) for i in range(config.layers)])
        self.neck = nnx.List([
            conv(width, channels, 1, rngs, use_bias=False), layer_norm(channels, rngs, epsilon=EPSILON),
            conv(channels, channels, 3, rngs, use_bias=False), layer_norm(channels, rngs, epsilon=EPSILON),
        ])  # fmt: skip

    def __call__(self, images: Float[ArrayLike, "B H W 3"]) -> Float[jax.Array, "B S S C"]:
        """Embeddings of images.

        Args:
          images: of `prepare_image`, normalised.

        Raises:
          ValueError: another side than the encoder was built for.
        """
        side = self.config.image
        if images.shape[1:3] != (side, side):
            raise ValueError(f"SAM sees images of {side} x {side} pixels, got {images.shape[1:3]}")
        dtype = images.dtype if self.config.dtype is None else self.config.dtype
        x = self.patch_embed["proj"](jnp.asarray(images)).astype(dtype)
        x = x + jnp.broadcast_to(self.pos_embed[...].astype(dtype), x.shape)
        for block in self.blocks:
            x = block(x)
        for layer in self.neck:
            x = layer(x)
        return x
