"""SAM's prompts: points, boxes and masks as tokens and maps."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Float, Int

from hoijax.nets.blocks import gelu, layer_norm, random_fourier
from hoijax.nets.sam.config import Config
from hoijax.nets.sam.encoder import EPSILON

ArrayLike = jax.Array | np.ndarray


class PromptEncoder(nnx.Module):
    """Prompts to embeddings; any leading axes.

    Args:
      config: sizes.
      rngs: where the initial weights come from.
    """

    def __init__(self, config: Config, rngs: nnx.Rngs):
        self.config, channels, few = config, config.channels, config.mask_channels
        matrix = jax.random.normal(rngs.params(), (2, channels // 2), jnp.float32)
        self.pe_layer = nnx.Dict(positional_encoding_gaussian_matrix=nnx.Param(matrix))
        self.point_embeddings = nnx.List([nnx.Embed(1, channels, rngs=rngs) for _ in range(4)])
        self.not_a_point_embed, self.no_mask_embed = (nnx.Embed(1, channels, rngs=rngs) for _ in range(2))

        def half(inputs: int, outputs: int) -> nnx.Conv:
            return nnx.Conv(inputs, outputs, (2, 2), strides=2, padding="VALID", rngs=rngs)

        self.mask_downscaling = nnx.Dict({
            "0": half(1, few // 4), "1": layer_norm(few // 4, rngs, epsilon=EPSILON),
            "3": half(few // 4, few), "4": layer_norm(few, rngs, epsilon=EPSILON),
            "6": nnx.Conv(few, channels, (1, 1), rngs=rngs),
        })  # fmt: skip

    def encode_places(self, places: Float[ArrayLike, "*B 2"]) -> Float[jax.Array, "*B C"]:
        """Positions (x, y) from 0 to 1 as features."""
        matrix = self.pe_layer["positional_encoding_gaussian_matrix"][...]
        return random_fourier(places, matrix.astype(places.dtype))

    def grid(self) -> Float[jax.Array, "S S C"]:
        """Features of the embedding's cells."""
        centre = (np.arange(self.config.cells, dtype=np.float32) + 0.5) / self.config.cells
        return self.encode_places(jnp.asarray(np.stack(np.meshgrid(centre, centre), axis=-1)))

    def points(self, points: Float[ArrayLike, "*B N 2"], labels: Int[ArrayLike, "*B N"]) -> Float[jax.Array, "*B N C"]:
        """Points as tokens.

        Args:
          points: pixels (x, y), their centres at integers.
          labels: 1 on what is meant, 0 on what is not, -1 for nothing at all, which prompts without a box end with.
        """
        points, labels = jnp.asarray(points), jnp.asarray(labels)
        where = self.encode_places((points + 0.5) / self.config.image)
        kind = labels[..., None]
        none, outside, inside = (
            jnp.broadcast_to(layer.embedding[0].astype(where.dtype), where.shape)
            for layer in (self.not_a_point_embed, *self.point_embeddings[:2])
        )
        kind = jnp.broadcast_to(kind, where.shape)
        return jnp.where(kind < 0, none, where + jnp.where(kind > 0, inside, outside))

    def boxes(self, boxes: Float[ArrayLike, "*B 4"]) -> Float[jax.Array, "*B 2 C"]:
        """Boxes (x0, y0, x1, y1) in pixels as two tokens, of their corners."""
        boxes = jnp.asarray(boxes)
        corners = boxes.reshape((*boxes.shape[:-1], 2, 2))
        where = self.encode_places((corners + 0.5) / self.config.image)
        kind = jnp.stack([layer.embedding[0] for layer in self.point_embeddings[2:]]).astype(where.dtype)
        return where + jnp.broadcast_to(kind, where.shape)

    def masks(self, masks: Float[ArrayLike, "B M M 1"]) -> Float[jax.Array, "B S S C"]:
        """Logits of masks, four times as fine as the embedding, as maps."""
        layers = self.mask_downscaling
        x = gelu(layers["1"](layers["0"](jnp.asarray(masks))))
        return layers["6"](gelu(layers["4"](layers["3"](x))))

    def no_mask(self) -> Float[jax.Array, "S S C"]:
        """The map of no mask."""
        cells, vector = self.config.cells, self.no_mask_embed.embedding[0]
        return jnp.broadcast_to(vector, (cells, cells, len(vector)))
