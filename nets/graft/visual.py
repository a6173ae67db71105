"""Visual anchors: image features near the projected body, one small context per token (GRAFT section 3.2.2).

The features of two images are used: of the scene with the people erased, and of the original. A feature provider gives
several levels of token maps per image, as MapAnything does (patch 14; specs/graft.md section 4). Fusing the levels is
the same at every place, so it is done once per image for all places, all people and all steps; each step then gathers.
"""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Bool, Float, Key

from hoijax.nets.blocks.norms import ArrayLike
from hoijax.nets.blocks.perceptrons import linear
from hoijax.nets.graft.config import CONTEXT, NUM_ANCHORS, NUM_BODY, NUM_STREAMS, NUM_TOKENS, GraftConfig
from hoijax.nets.graft.types import VisualContext


class Fusion(nnx.Module):
    """Several levels of image features to one map of the tokens' width, with a learned vector per stream."""

    def __init__(self, config: GraftConfig, rngs: nnx.Rngs):
        dtype = config.dtype
        self.levels = nnx.List([linear(n, config.level_width, rngs, dtype=dtype) for n in config.feature_widths])
        joined = len(config.feature_widths) * config.level_width
        self.join = linear(joined, config.width, rngs, dtype=dtype)
        self.streams = nnx.Param(0.02 * jax.random.normal(rngs.params(), (NUM_STREAMS, config.width), jnp.float32))

    def __call__(self, levels: tuple[Float[ArrayLike, "*B 2 H W _"], ...]) -> Float[jax.Array, "*B 2 H W D"]:
        """Fused maps, (*B, 2, H, W, D).

        Args:
          levels: token maps (*B, 2, H, W, C), C as in `feature_widths`; first the erased image, then the original.

        Raises:
          ValueError: another number of levels or channels.
        """
        got, want = tuple(x.shape[-1] for x in levels), tuple(layer.in_features for layer in self.levels)
        if got != want:
            raise ValueError(f"image features have {got} channels per level, the network wants {want}")
        fused = self.join(jnp.concatenate([layer(x) for layer, x in zip(self.levels, levels)], axis=-1))
        return fused + jnp.broadcast_to(self.streams[...][:, None, None].astype(fused.dtype), fused.shape)


def _context_layout() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """For each place of each token's context: anchor, stream, offset in cells (x, y), and whether it is used."""
    anchor, stream = np.zeros((NUM_TOKENS, CONTEXT), np.int32), np.zeros((NUM_TOKENS, CONTEXT), np.int32)
    offset, used = np.zeros((NUM_TOKENS, CONTEXT, 2), np.int32), np.zeros((NUM_TOKENS, CONTEXT), bool)
    around = [(x, y) for y in (-1, 0, 1) for x in (-1, 0, 1)]
    small = NUM_BODY + 2  # tokens with one anchor and a 3 x 3 neighbourhood
    for token in range(NUM_TOKENS):
        places = [(token, step) for step in around]
        if token == small:
            places = [(a, (0, 0)) for a in range(small, NUM_ANCHORS)]
        for s in range(NUM_STREAMS):
            for i, (a, step) in enumerate(places):
                slot = s * len(places) + i
                anchor[token, slot], stream[token, slot], offset[token, slot], used[token, slot] = a, s, step, True
    return anchor, stream, offset, used


_ANCHOR, _STREAM, _OFFSET, _USED = _context_layout()


def gather_context(
    fused: Float[ArrayLike, "2 H W D"], anchors: Float[ArrayLike, "50 2"], seen: Bool[ArrayLike, "50"], patch: float
) -> VisualContext:
    """The context of each token: fused features at the cells about its anchors. One person (`vmap` for more).

    Args:
      fused: maps of the two streams from `Fusion`.
      anchors: pixels (x, y) of the 21 body joints, the middles of both hands and the 27 surface points.
      seen: anchors in front of the camera.
      patch: pixels per cell of the maps (14 for MapAnything).

    Returns:
      Features and mask; cells outside the image are masked.
    """
    height, width, channels = fused.shape[1:]
    cell = jnp.floor(jnp.asarray(anchors) / patch)
    # Far outside stays outside, without leaving the range of integers.
    cell = jnp.clip(jnp.nan_to_num(cell, nan=-9.0), -9.0, max(height, width) + 9.0).astype(jnp.int32)
    place = cell[_ANCHOR] + jnp.asarray(_OFFSET)
    x, y = place[..., 0], place[..., 1]
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    mask = inside & jnp.asarray(_USED) & jnp.asarray(seen)[_ANCHOR]
    index = (jnp.asarray(_STREAM) * height + jnp.clip(y, 0, height - 1)) * width + jnp.clip(x, 0, width - 1)
    features = jnp.asarray(fused).reshape(-1, channels)[index]
    return VisualContext(features=jnp.where(mask[..., None], features, 0), mask=mask)


def drop_context(key: Key[jax.Array, ""], context: VisualContext, rate: float = 0.35) -> VisualContext:
    """Hides each token's whole neighbourhood, both streams together, with a probability (GRAFT section 4.1).

    Args:
      key: random key.
      context: of any number of people.
      rate: probability, per token.
    """
    mask = jnp.asarray(context.mask)
    kept = jax.random.bernoulli(key, 1.0 - rate, mask.shape[:-1])
    return context.replace(mask=mask & kept[..., None])
