"""DC-AE, the autoencoder of SANA (Chen et al. 2024): 32 times fewer rows and columns, no random numbers.

Over channels last; B pictures, H W pixels or cells, C channels. Stages with fewer channels are residual convolutions,
those with more are EfficientViT's: linear attention at two scales, then gated convolutions.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Float

from hoijax.nets.blocks import (
    GatedConvolution,
    RMSNorm,
    attend_linearly,
    conv,
    join_heads,
    nearest_upsample,
    pixel_shuffle,
    pixel_unshuffle,
)

ArrayLike = jax.Array | np.ndarray


@dataclasses.dataclass(frozen=True)
class AutoencoderDCConfig:
    """Sizes of the autoencoder; the defaults are DC-AE f32c32's, as SANA takes it."""

    channels: tuple[int, ...] = (128, 256, 512, 512, 1024, 1024)
    """Of each stage; every stage but the last halves rows and columns."""
    encoder_depths: tuple[int, ...] = (2, 2, 2, 3, 3, 3)
    """Blocks of each stage of the encoder."""
    decoder_depths: tuple[int, ...] = (3, 3, 3, 3, 3, 3)
    """Blocks of each stage of the decoder."""
    attention_from: int = 3
    """The first stage of EfficientViT's blocks."""
    head_width: int = 32
    """Channels of a head of the linear attention."""
    kernel: int = 5
    """Side of the window that makes the second scale of queries, keys and values."""
    latent_channels: int = 32
    """Of a latent's cell."""
    scaling: float = 0.41407
    """A latent times this has about unit variance."""

    def __post_init__(self):
        stages = len(self.channels)
        if not len(self.encoder_depths) == len(self.decoder_depths) == stages:
            raise ValueError(f"{stages} stages need as many depths of the encoder and of the decoder")
        if self.channels[-1] % self.latent_channels:
            raise ValueError(f"{self.channels[-1]} channels are no multiple of the latent's {self.latent_channels}")
        for few, many in zip(self.channels, self.channels[1:]):
            if 4 * few % many:
                raise ValueError(f"a stage of {few} channels cannot be followed by one of {many}")
        for count in self.channels[self.attention_from :]:
            if count % self.head_width:
                raise ValueError(f"{count} channels are no multiple of the heads' {self.head_width}")

    @property
    def factor(self) -> int:
        """How many times fewer rows a latent has."""
        return 2 ** (len(self.channels) - 1)


class ResidualBlock(nnx.Module):
    """3x3, SiLU, 3x3, RMS normalisation, added."""

    def __init__(self, width: int, rngs: nnx.Rngs):
        self.conv1 = conv(width, width, 3, rngs)
        self.conv2 = conv(width, width, 3, rngs, use_bias=False)
        self.norm = RMSNorm(width, epsilon=1e-5, bias=True)

    def __call__(self, x: jax.Array) -> jax.Array:
        """Features (B, H, W, C) after the block."""
        return x + self.norm(self.conv2(jax.nn.silu(self.conv1(x))))


class MultiScaleProjection(nnx.Module):
    """Queries, keys and values of a window: each channel's own convolution, then one of each 32 channels."""

    def __init__(self, config: AutoencoderDCConfig, width: int, rngs: nnx.Rngs):
        pad, size = config.kernel // 2, config.kernel
        self.proj_in = nnx.Conv(3 * width, 3 * width, (size, size), padding=((pad, pad), (pad, pad)), use_bias=False,
                                feature_group_count=3 * width, rngs=rngs)  # fmt: skip
        groups = 3 * width // config.head_width
        self.proj_out = nnx.Conv(3 * width, 3 * width, (1, 1), use_bias=False, feature_group_count=groups, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        """(B, H, W, 3C), in and out."""
        return self.proj_out(self.proj_in(x))


class MultiScaleAttention(nnx.Module):
    """Linear attention at two scales.

    What the layers `to_q`, `to_k` and `to_v` find, and its second scale, are one row of channels, and each 96 of these
    in turn are queries, keys and values of a head: names notwithstanding, a head's queries are not `to_q`'s.
    The published code takes the same products in another order where cells are few.
    """

    def __init__(self, config: AutoencoderDCConfig, width: int, rngs: nnx.Rngs):
        self.head_width = config.head_width
        self.to_q, self.to_k, self.to_v = (nnx.Linear(width, width, use_bias=False, rngs=rngs) for _ in range(3))
        self.to_qkv_multiscale = nnx.List([MultiScaleProjection(config, width, rngs)])
        self.to_out = nnx.Linear(2 * width, width, use_bias=False, rngs=rngs)
        self.norm_out = RMSNorm(width, epsilon=1e-5, bias=True)

    def __call__(self, x: jax.Array) -> jax.Array:
        """Features (B, H, W, C) after the attention."""
        near = jnp.concatenate([self.to_q(x), self.to_k(x), self.to_v(x)], axis=-1)
        both = jnp.concatenate([near, *(scale(near) for scale in self.to_qkv_multiscale)], axis=-1)
        batch, height, width, channels = both.shape
        heads = both.reshape(batch, height * width, channels // (3 * self.head_width), 3 * self.head_width)
        found = join_heads(attend_linearly(*jnp.split(heads, 3, axis=-1)))
        return x + self.norm_out(self.to_out(found.reshape(batch, height, width, -1)))


class NormedConvolution(GatedConvolution):
    """Gated convolutions, normalised and added."""

    def __init__(self, width: int, rngs: nnx.Rngs):
        super().__init__(width, 4 * width, rngs)
        self.norm = RMSNorm(width, epsilon=1e-5, bias=True)

    def __call__(self, x: jax.Array) -> jax.Array:
        """Features (B, H, W, C) after the convolutions."""
        return x + self.norm(super().__call__(x))


class EfficientViTBlock(nnx.Module):
    """Attention, then gated convolutions."""

    def __init__(self, config: AutoencoderDCConfig, width: int, rngs: nnx.Rngs):
        self.attn = MultiScaleAttention(config, width, rngs)
        self.conv_out = NormedConvolution(width, rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        """Features (B, H, W, C) after the block."""
        return self.conv_out(self.attn(x))


class Halve(nnx.Module):
    """A convolution of every second cell beside the means of what four cells hold."""

    def __init__(self, inputs: int, outputs: int, rngs: nnx.Rngs):
        self.outputs = outputs
        self.conv = conv(inputs, outputs, 3, rngs, stride=2)

    def __call__(self, x: jax.Array) -> jax.Array:
        """(B, H, W, C) to half the rows and columns."""
        four = pixel_unshuffle(x)
        return self.conv(x) + jnp.mean(four.reshape(*four.shape[:-1], self.outputs, -1), axis=-1)


class Double(nnx.Module):
    """A convolution of repeated cells beside channels sorted into four cells."""

    def __init__(self, inputs: int, outputs: int, rngs: nnx.Rngs):
        self.repeats = 4 * outputs // inputs
        self.conv = conv(inputs, outputs, 3, rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        """(B, H, W, C) to twice the rows and columns."""
        return self.conv(nearest_upsample(x)) + pixel_shuffle(jnp.repeat(x, self.repeats, axis=-1))


def _stage(config: AutoencoderDCConfig, stage: int, depth: int, rngs: nnx.Rngs) -> list[nnx.Module]:
    width = config.channels[stage]
    if stage < config.attention_from:
        return [ResidualBlock(width, rngs) for _ in range(depth)]
    return [EfficientViTBlock(config, width, rngs) for _ in range(depth)]


class Encoder(nnx.Module):
    """Pictures to latents."""

    def __init__(self, config: AutoencoderDCConfig, rngs: nnx.Rngs):
        channels = config.channels
        self.latent_channels = config.latent_channels
        self.conv_in = conv(3, channels[0], 3, rngs)
        blocks = []
        for stage, depth in enumerate(config.encoder_depths):
            halve = [Halve(channels[stage], channels[stage + 1], rngs)] if stage + 1 < len(channels) else []
            blocks.append(nnx.List(_stage(config, stage, depth, rngs) + halve))
        self.down_blocks = nnx.List(blocks)
        self.conv_out = conv(channels[-1], config.latent_channels, 3, rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        """(B, H, W, 3) to (B, h, w, C)."""
        x = self.conv_in(x)
        for stage in self.down_blocks:
            for block in stage:
                x = block(x)
        return self.conv_out(x) + jnp.mean(x.reshape(*x.shape[:-1], self.latent_channels, -1), axis=-1)


class Decoder(nnx.Module):
    """Latents to pictures."""

    def __init__(self, config: AutoencoderDCConfig, rngs: nnx.Rngs):
        channels = config.channels
        self.repeats = channels[-1] // config.latent_channels
        self.conv_in = conv(config.latent_channels, channels[-1], 3, rngs)
        blocks = []
        for stage, depth in enumerate(config.decoder_depths):
            double = [Double(channels[stage + 1], channels[stage], rngs)] if stage + 1 < len(channels) else []
            blocks.append(nnx.List(double + _stage(config, stage, depth, rngs)))
        self.up_blocks = nnx.List(blocks)
        self.norm_out = RMSNorm(channels[0], epsilon=1e-5, bias=True)
        self.conv_out = conv(channels[0], 3, 3, rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        """(B, h, w, C) to (B, H, W, 3)."""
        x = self.conv_in(x) + jnp.repeat(x, self.repeats, axis=-1)
        for stage in reversed(self.up_blocks):
            for block in stage:
                x = block(x)
        return self.conv_out(jax.nn.relu(self.norm_out(x)))


class AutoencoderDC(nnx.Module):
    """Pictures to latents and back; attribute names are those of `diffusers`.

    Args:
      config: its sizes.
      rngs: where the initial weights come from.
    """

    def __init__(self, config: AutoencoderDCConfig, rngs: nnx.Rngs):
        self.config = config
        self.encoder, self.decoder = Encoder(config, rngs), Decoder(config, rngs)

    def encode(self, pictures: Float[ArrayLike, "B H W 3"]) -> Float[jax.Array, "B h w C"]:
        """Latents of about unit variance.

        Args:
          pictures: in [-1, 1], sides divisible by `config.factor`.

        Raises:
          ValueError: they are not.
        """
        if any(side % self.config.factor for side in pictures.shape[1:3]):
            raise ValueError(f"sides must be multiples of {self.config.factor}, got {pictures.shape[1:3]}")
        pictures = jnp.asarray(pictures)
        kind = self.encoder.conv_in.kernel[...].dtype
        return self.encoder(pictures.astype(kind)).astype(pictures.dtype) * self.config.scaling

    def decode(self, latents: Float[ArrayLike, "B h w C"]) -> Float[jax.Array, "B H W 3"]:
        """Pictures of about [-1, 1], of latents of `encode`."""
        latents = jnp.asarray(latents)
        kind = self.decoder.conv_in.kernel[...].dtype
        return self.decoder((latents / self.config.scaling).astype(kind)).astype(latents.dtype)
