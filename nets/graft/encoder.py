"""hoijax's own image features for GRAFT's full mode: a small convolutional network, trained together with GRAFT.

The paper looks at MapAnything's features (a large ViT, patch 14). This network gives token maps of the same form, with
two levels instead of four, so that the visual path can be trained and tested without anyone's weights.
"""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Float

from hoijax.nets.blocks.norms import ArrayLike, Norm
from hoijax.nets.blocks.perceptrons import gelu

PATCH = 14
"""Pixels per cell of the maps, as in MapAnything."""


class ImageEncoder(nnx.Module):
    """Images to two levels of token maps: what is in a cell, and what is around it (a window of 7 cells).

    Args:
      widths: channels of both levels, as in `GraftConfig.feature_widths`.
      rngs: where the initial weights come from.
    """

    def __init__(self, widths: tuple[int, int], rngs: nnx.Rngs):
        self.widths = first, second = tuple(widths)
        half = PATCH // 2

        def conv(inputs: int, outputs: int, size: int, stride: int = 1) -> nnx.Conv:
            return nnx.Conv(inputs, outputs, (size, size), strides=stride, padding="SAME", rngs=rngs)

        self.cells = conv(3, 32, half, half)
        self.joined = conv(32, first, 2, 2)
        self.widened = conv(first, second, 1)
        self.norms = nnx.List([Norm(second, rngs) for _ in range(3)])
        self.around = nnx.List([conv(second, second, 3) for _ in range(3)])

    def __call__(self, images: Float[ArrayLike, "*B H W 3"]) -> tuple[Float[jax.Array, "*B h w C"], ...]:
        """Both levels, h = H / 14.

        Args:
          images: colours from 0 to 1; sides are multiples of 14.

        Raises:
          ValueError: other sides.
        """
        images = jnp.asarray(images)
        if images.shape[-3] % PATCH or images.shape[-2] % PATCH:
            raise ValueError(f"the sides of images must be multiples of {PATCH}, got {images.shape[-3:-1]}")
        first = self.joined(gelu(self.cells(2.0 * images - 1.0)))
        second = self.widened(gelu(first))
        for norm, conv in zip(self.norms, self.around):
            second = second + conv(gelu(norm(second)))
        return first, second


class GraftWithEncoder(nnx.Module):
    """GRAFT's full network and its own encoder, to be trained together.

    Args:
      graft: a network with `visual`, whose `feature_widths` are two.
      rngs: where the encoder's initial weights come from.
    """

    def __init__(self, graft: nnx.Module, rngs: nnx.Rngs):
        self.graft = graft
        self.encoder = ImageEncoder(graft.config.feature_widths, rngs)

    def fuse(self, pair: Float[ArrayLike, "*B 2 H W 3"]) -> Float[jax.Array, "*B 2 h w D"]:
        """Maps that `hoijax.systems.graft.ImageFeatures` wants, of the erased and the original image (0 to 1)."""
        return self.graft.fusion(self.encoder(pair))
