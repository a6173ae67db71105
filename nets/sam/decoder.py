"""SAM's mask decoder: prompts and image look at each other twice, then each mask is a product of a token and a map."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx, struct
from jaxtyping import Float

from hoijax.nets.blocks import Attention, AttentionConfig, Perceptron, double_exactly, gelu, layer_norm
from hoijax.nets.sam.config import Config
from hoijax.nets.sam.encoder import EPSILON

ArrayLike = jax.Array | np.ndarray


@struct.dataclass
class Masks:
    """What the decoder answers."""

    logits: Float[ArrayLike, "*B M H W"]
    """Masks, four times as fine as the embedding; above zero is inside."""
    quality: Float[ArrayLike, "*B M"]
    """How well each mask overlaps with what is meant, as the network guesses."""


class _Layers(nnx.Module):
    """Linear layers with ReLU between them."""

    def __init__(self, widths: tuple[int, ...], rngs: nnx.Rngs):
        self.layers = nnx.List([nnx.Linear(a, b, rngs=rngs) for a, b in itertools.pairwise(widths)])

    def __call__(self, x: jax.Array) -> jax.Array:
        """The outputs."""
        for layer in self.layers[:-1]:
            x = jax.nn.relu(layer(x))
        return self.layers[-1](x)


class TwoWayBlock(nnx.Module):
    """Tokens look at each other and at the image, then the image looks at the tokens."""

    def __init__(self, config: Config, first: bool, rngs: nnx.Rngs):
        width = config.channels
        whole, half = attentions(config)
        self.first = first
        self.self_attn = Attention(whole, rngs)
        self.cross_attn_token_to_image, self.cross_attn_image_to_token = (Attention(half, rngs) for _ in range(2))
        self.norm1, self.norm2, self.norm3, self.norm4 = (
            layer_norm(width, rngs, epsilon=config.decoder_epsilon) for _ in range(4)
        )
        self.mlp = Perceptron(width, config.decoder_hidden, width, rngs, activation="relu")

    def __call__(
        self, tokens: jax.Array, image: jax.Array, prompts: jax.Array, places: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        """Tokens and image after the block; `prompts` and `places` are what both were at first, as positions."""
        if self.first:
            tokens = self.self_attn(tokens)  # in place of the tokens, not added to them
        else:
            asked = tokens + prompts
            tokens = tokens + self.self_attn(asked, asked, tokens)
        tokens = self.norm1(tokens)
        tokens = self.norm2(tokens + self.cross_attn_token_to_image(tokens + prompts, image + places, image))
        tokens = self.norm3(tokens + self.mlp(tokens))
        image = image + self.cross_attn_image_to_token(image + places, tokens + prompts, tokens)
        return tokens, self.norm4(image)


def attentions(config: Config) -> tuple[AttentionConfig, AttentionConfig]:
    """Attention of tokens to each other, and between tokens and image, in half as many channels."""
    width, heads = config.channels, config.decoder_heads
    return AttentionConfig(width, heads=heads), AttentionConfig(width, heads=heads, head_width=width // 2 // heads)


class TwoWayTransformer(nnx.Module):
    """The decoder's blocks, and a last look of the tokens at the image."""

    def __init__(self, config: Config, rngs: nnx.Rngs):
        self.layers = nnx.List([TwoWayBlock(config, i == 0, rngs) for i in range(config.decoder_layers)])
        self.final_attn_token_to_image = Attention(attentions(config)[1], rngs)
        self.norm_final_attn = layer_norm(config.channels, rngs, epsilon=config.decoder_epsilon)

    def __call__(
        self,
        tokens: Float[ArrayLike, "*B P C"],
        image: Float[ArrayLike, "*B S S C"],
        places: Float[ArrayLike, "*B S S C"],
    ) -> tuple[Float[jax.Array, "*B P C"], Float[jax.Array, "*B S S C"]]:
        """Tokens and image after all."""
        shape = image.shape
        image, places = (jnp.asarray(x).reshape((*shape[:-3], -1, shape[-1])) for x in (image, places))
        prompts = tokens
        for layer in self.layers:
            tokens, image = layer(tokens, image, prompts, places)
        tokens = tokens + self.final_attn_token_to_image(tokens + prompts, image + places, image)
        return self.norm_final_attn(tokens), image.reshape(shape)


class MaskDecoder(nnx.Module):
    """Embeddings and prompts to masks; any leading axes.

    Args:
      config: sizes.
      rngs: where the initial weights come from.
    """

    def __init__(self, config: Config, rngs: nnx.Rngs):
        width = config.channels
        self.iou_token, self.mask_tokens = nnx.Embed(1, width, rngs=rngs), nnx.Embed(config.masks, width, rngs=rngs)
        self.transformer = TwoWayTransformer(config, rngs)

        def double(inputs: int, outputs: int) -> nnx.ConvTranspose:
            return nnx.ConvTranspose(inputs, outputs, (2, 2), strides=2, transpose_kernel=True, rngs=rngs)

        self.output_upscaling = nnx.Dict({
            "0": double(width, width // 4), "1": layer_norm(width // 4, rngs, epsilon=EPSILON),
            "3": double(width // 4, width // 8),
        })  # fmt: skip
        self.output_hypernetworks_mlps = nnx.List(
            [_Layers((width, width, width, width // 8), rngs) for _ in range(config.masks)]
        )
        self.iou_prediction_head = _Layers((width, 256, 256, config.masks), rngs)

    def __call__(
        self,
        embedding: Float[ArrayLike, "*B S S C"],
        places: Float[ArrayLike, "S S C"],
        sparse: Float[ArrayLike, "*B P C"],
        dense: Float[ArrayLike, "*B S S C"] | Float[ArrayLike, "S S C"],
    ) -> Masks:
        """Masks of what the prompts mean.

        Args:
          embedding: of the image.
          places: the prompt encoder's `grid()`.
          sparse: tokens of points and boxes, any number.
          dense: maps of masks, or `no_mask()`.
        """
        embedding, sparse = jnp.asarray(embedding), jnp.asarray(sparse)
        own = jnp.concatenate([self.iou_token.embedding[...], self.mask_tokens.embedding[...]]).astype(sparse.dtype)
        tokens = jnp.concatenate([jnp.broadcast_to(own, (*sparse.shape[:-2], *own.shape)), sparse], axis=-2)
        image = embedding + jnp.broadcast_to(jnp.asarray(dense).astype(embedding.dtype), embedding.shape)
        where = jnp.broadcast_to(jnp.asarray(places).astype(image.dtype), image.shape)
        tokens, image = self.transformer(tokens, image, where)
        layers = self.output_upscaling
        fine = gelu(layers["1"](double_exactly(image, layers["0"])))
        fine = gelu(double_exactly(fine, layers["3"]))
        answers = [net(tokens[..., 1 + i, :]) for i, net in enumerate(self.output_hypernetworks_mlps)]
        logits = jnp.einsum("...mc,...hwc->...mhw", jnp.stack(answers, axis=-2), fine)
        return Masks(logits, self.iou_prediction_head(tokens[..., 0, :]))
