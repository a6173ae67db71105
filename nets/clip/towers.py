"""CLIP's towers (Radford et al. 2021): pre-norm Transformers over the words of a text and the patches of an image."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx, struct
from jaxtyping import Float, Int

from hoijax.nets.blocks import Stack, TransformerBlock, causal_mask, layer_norm, look_up
from hoijax.nets.clip.config import TextConfig, VisionConfig, block_config

ArrayLike = jax.Array | np.ndarray


@struct.dataclass
class Encoding:
    """What a tower finds."""

    tokens: Float[ArrayLike, "*B T W"]
    """After the last block, and normalised in the text tower: `last_hidden_state` of `transformers`."""
    penultimate: Float[ArrayLike, "*B T W"]
    """Before the last block, not normalised: `hidden_states[-2]`, what SDXL and LLaVA look at."""
    pooled: Float[ArrayLike, "*B W"]
    """Of the token that ends the text, or stands for the image; normalised."""
    projected: Float[ArrayLike, "*B P"] | None
    """The same in the joint space of texts and images, of any length; None where there is no projection."""


def _projection(config: TextConfig | VisionConfig, rngs: nnx.Rngs) -> nnx.Linear | None:
    if config.projection is None:
        return None
    return nnx.Linear(config.width, config.projection, use_bias=False, rngs=rngs)


def _through(blocks: Stack, tokens: jax.Array, mask: ArrayLike | None) -> tuple[jax.Array, jax.Array]:
    """Tokens after and before the last block."""

    def step(block, carry, _):
        return (block(carry[0], mask=mask), carry[0]), None

    return blocks.scan(step, (tokens, tokens))[0]


class TextTower(nnx.Module):
    """Texts to features.

    Args:
      config: sizes.
      rngs: where the initial weights come from.
    """

    def __init__(self, config: TextConfig, rngs: nnx.Rngs):
        self.config, width = config, config.width
        self.token_embedding = nnx.Embed(config.vocabulary, width, rngs=rngs)
        self.position_embedding = nnx.Embed(config.positions, width, rngs=rngs)
        self.layers = Stack(lambda rngs: TransformerBlock(block_config(config), rngs), config.layers, rngs)
        self.final_layer_norm = layer_norm(width, rngs, epsilon=config.epsilon)
        self.projection = _projection(config, rngs)

    def __call__(self, ids: Int[ArrayLike, "*B T"]) -> Encoding:
        """Features of texts; each word sees those before it.

        Args:
          ids: token ids with the ones that begin and end a text, filled up by any id after that (`clip.token_ids`); the
            largest id of a text ends it.

        Raises:
          ValueError: more tokens than positions.
        """
        ids, config = jnp.asarray(ids), self.config
        length = ids.shape[-1]
        if length > config.positions:
            raise ValueError(f"CLIP reads texts of {config.positions} tokens, got {length}")
        tokens = look_up(self.token_embedding, ids)
        tokens = tokens + jnp.broadcast_to(look_up(self.position_embedding, jnp.arange(length)), tokens.shape)
        mask = jnp.broadcast_to(causal_mask(length), (*ids.shape, length))
        tokens, penultimate = _through(self.layers, tokens, mask)
        tokens = self.final_layer_norm(tokens)
        end = jnp.argmax(ids, axis=-1)
        pooled = jnp.take_along_axis(tokens, end[..., None, None], axis=-2)[..., 0, :]
        return Encoding(tokens, penultimate, pooled, None if self.projection is None else self.projection(pooled))


class VisionTower(nnx.Module):
    """Images to features.

    Args:
      config: sizes.
      rngs: where the initial weights come from.
    """

    def __init__(self, config: VisionConfig, rngs: nnx.Rngs):
        self.config, width = config, config.width
        self.class_embedding = nnx.Param(0.02 * jax.random.normal(rngs.params(), (width,), jnp.float32))
        self.patch_embedding = nnx.Conv(3, width, (config.patch,) * 2, strides=config.patch, padding="VALID",
                                        use_bias=False, rngs=rngs)  # fmt: skip
        self.position_embedding = nnx.Embed(config.patches + 1, width, rngs=rngs)
        self.pre_norm = layer_norm(width, rngs, epsilon=config.epsilon)
        self.layers = Stack(lambda rngs: TransformerBlock(block_config(config), rngs), config.layers, rngs)
        self.post_norm = layer_norm(width, rngs, epsilon=config.epsilon)
        self.projection = _projection(config, rngs)

    def __call__(self, images: Float[ArrayLike, "B H W 3"]) -> Encoding:
        """Features of images; the first token stands for the whole, the others for the patches row by row.

        Args:
          images: normalised colours (`clip.normalise`), of the side that the tower was built for.

        Raises:
          ValueError: another side.
        """
        config, images = self.config, jnp.asarray(images)
        if images.shape[1:3] != (config.image, config.image):
            raise ValueError(f"CLIP sees images of {config.image} x {config.image} pixels, got {images.shape[1:3]}")
        patches = self.patch_embedding(images).reshape(len(images), config.patches, config.width)
        whole = jnp.broadcast_to(self.class_embedding[...].astype(patches.dtype), (len(images), 1, config.width))
        tokens = jnp.concatenate([whole, patches], axis=1)
        places = self.position_embedding.embedding[...].astype(tokens.dtype)
        tokens = self.pre_norm(tokens + jnp.broadcast_to(places, tokens.shape))
        tokens, penultimate = _through(self.layers, tokens, None)
        pooled = self.post_norm(tokens[:, 0])
        return Encoding(tokens, penultimate, pooled, None if self.projection is None else self.projection(pooled))
