"""Stable Diffusion's autoencoder (Rombach et al. 2022): eight times fewer rows and columns, a Gaussian in the middle.

Attribute names are those of `diffusers`' AutoencoderKL, but for attention's layers. Over channels last.
"""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx, struct
from jaxtyping import Float

from hoijax.nets.blocks import Attention, AttentionConfig, ResidualConvolution, conv, group_norm, nearest_upsample
from hoijax.nets.stable_diffusion.config import AutoencoderKLConfig
from hoijax.nets.stable_diffusion.unet import Resample

ArrayLike = jax.Array | np.ndarray


@struct.dataclass
class Gaussian:
    """What an encoder knows about a latent, already scaled."""

    mean: Float[ArrayLike, "B h w C"]
    """Centre."""
    deviation: Float[ArrayLike, "B h w C"]
    """Standard deviation of each number."""

    def sample(self, key: jax.Array) -> jax.Array:
        """One latent."""
        noise = jax.random.normal(key, self.mean.shape, self.mean.dtype)
        return self.mean + self.deviation * noise


class MiddleAttention(nnx.Module):
    """Attention of all cells to each other with one head, added."""

    def __init__(self, width: int, groups: int, rngs: nnx.Rngs):
        self.group_norm = group_norm(width, rngs, groups=groups, epsilon=1e-6)
        self.attention = Attention(AttentionConfig(width), rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        """(B, H, W, C)."""
        tokens = self.group_norm(x).reshape(x.shape[0], -1, x.shape[-1])
        return x + self.attention(tokens).reshape(x.shape)


class AutoencoderMiddle(nnx.Module):
    """Attention between two residual convolutions."""

    def __init__(self, config: AutoencoderKLConfig, rngs: nnx.Rngs):
        width = config.channels[-1]
        self.resnets = nnx.List([_residual(width, width, config, rngs) for _ in range(2)])
        self.attentions = nnx.List([MiddleAttention(width, config.groups, rngs)])

    def __call__(self, x: jax.Array) -> jax.Array:
        """(B, H, W, C)."""
        return self.resnets[1](self.attentions[0](self.resnets[0](x)))


def _residual(inputs: int, outputs: int, config: AutoencoderKLConfig, rngs: nnx.Rngs) -> ResidualConvolution:
    return ResidualConvolution(inputs, outputs, rngs, groups=config.groups, epsilon=1e-6)


class Halved(nnx.Module):
    """A convolution of every second cell whose window reaches one cell right and down of it, none left and up."""

    def __init__(self, width: int, rngs: nnx.Rngs):
        self.conv = nnx.Conv(width, width, (3, 3), strides=2, padding=((0, 1), (0, 1)), rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        """(B, H, W, C) to half the rows and columns."""
        return self.conv(x)


class AutoencoderLevel(nnx.Module):
    """Residual convolutions and a change of size."""

    def __init__(
        self, inputs: int, outputs: int, count: int, resample: str | None, config: AutoencoderKLConfig, rngs: nnx.Rngs
    ):
        self.resnets = nnx.List([_residual(outputs if i else inputs, outputs, config, rngs) for i in range(count)])
        if resample == "downsamplers":
            self.downsamplers = nnx.List([Halved(outputs, rngs)])
        elif resample == "upsamplers":
            self.upsamplers = nnx.List([Resample(outputs, 1, rngs)])

    def __call__(self, x: jax.Array) -> jax.Array:
        """(B, H, W, C)."""
        for block in self.resnets:
            x = block(x)
        if hasattr(self, "downsamplers"):
            x = self.downsamplers[0](x)
        if hasattr(self, "upsamplers"):
            x = self.upsamplers[0](nearest_upsample(x))
        return x


class KLEncoder(nnx.Module):
    """Pictures to means and logarithms of variances."""

    def __init__(self, config: AutoencoderKLConfig, rngs: nnx.Rngs):
        channels, last = config.channels, len(config.channels) - 1
        self.conv_in = conv(3, channels[0], 3, rngs)
        self.down_blocks = nnx.List([
            AutoencoderLevel(channels[max(i - 1, 0)], width, config.depth, "downsamplers" if i < last else None, config,
                             rngs)
            for i, width in enumerate(channels)
        ])  # fmt: skip
        self.mid_block = AutoencoderMiddle(config, rngs)
        self.conv_norm_out = group_norm(channels[-1], rngs, groups=config.groups, epsilon=1e-6)
        self.conv_out = conv(channels[-1], 2 * config.latent_channels, 3, rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        """(B, H, W, 3) to (B, h, w, 2C)."""
        x = self.conv_in(x)
        for level in self.down_blocks:
            x = level(x)
        return self.conv_out(jax.nn.silu(self.conv_norm_out(self.mid_block(x))))


class KLDecoder(nnx.Module):
    """Latents to pictures."""

    def __init__(self, config: AutoencoderKLConfig, rngs: nnx.Rngs):
        channels = config.channels[::-1]
        last = len(channels) - 1
        self.conv_in = conv(config.latent_channels, channels[0], 3, rngs)
        self.mid_block = AutoencoderMiddle(config, rngs)
        self.up_blocks = nnx.List([
            AutoencoderLevel(channels[max(i - 1, 0)], width, config.depth + 1, "upsamplers" if i < last else None,
                             config, rngs)
            for i, width in enumerate(channels)
        ])  # fmt: skip
        self.conv_norm_out = group_norm(channels[-1], rngs, groups=config.groups, epsilon=1e-6)
        self.conv_out = conv(channels[-1], 3, 3, rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        """(B, h, w, C) to (B, H, W, 3)."""
        x = self.mid_block(self.conv_in(x))
        for level in self.up_blocks:
            x = level(x)
        return self.conv_out(jax.nn.silu(self.conv_norm_out(x)))


class AutoencoderKL(nnx.Module):
    """Pictures to latents and back.

    Args:
      config: its sizes.
      rngs: where the initial weights come from.
    """

    def __init__(self, config: AutoencoderKLConfig, rngs: nnx.Rngs):
        self.config = config
        self.encoder, self.decoder = KLEncoder(config, rngs), KLDecoder(config, rngs)
        self.quant_conv = conv(2 * config.latent_channels, 2 * config.latent_channels, 1, rngs)
        self.post_quant_conv = conv(config.latent_channels, config.latent_channels, 1, rngs)

    def encode(self, pictures: Float[ArrayLike, "B H W 3"]) -> Gaussian:
        """Latents of about unit variance, and how sure they are.

        Args:
          pictures: in [-1, 1], sides divisible by `config.factor`.

        Raises:
          ValueError: they are not.
        """
        if any(side % self.config.factor for side in pictures.shape[1:3]):
            raise ValueError(f"sides must be multiples of {self.config.factor}, got {pictures.shape[1:3]}")
        pictures = jnp.asarray(pictures)
        kind = self.encoder.conv_in.kernel[...].dtype
        both = self.quant_conv(self.encoder(pictures.astype(kind))).astype(pictures.dtype)
        mean, logarithm = jnp.split(both, 2, axis=-1)
        deviation = jnp.exp(0.5 * jnp.clip(logarithm, -30.0, 20.0))
        return Gaussian(mean=mean * self.config.scaling, deviation=deviation * self.config.scaling)

    def decode(self, latents: Float[ArrayLike, "B h w C"]) -> Float[jax.Array, "B H W 3"]:
        """Pictures of about [-1, 1], of scaled latents."""
        latents = jnp.asarray(latents)
        kind = self.decoder.conv_in.kernel[...].dtype
        x = self.post_quant_conv((latents / self.config.scaling).astype(kind))
        return self.decoder(x).astype(latents.dtype)
