"""Stable Diffusion's UNet (Rombach et al. 2022), with SDXL's second condition and MVDream's views and cameras.

Attribute names are those of `diffusers`' UNet2DConditionModel, but for attention's layers. Over channels last; B
pictures, H W cells of the latent, L tokens of the text. All but normalisations and softmax is computed in the
parameters' type.
"""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx, struct
from jaxtyping import Float, Int

from hoijax.nets.blocks import Perceptron, ResidualConvolution, conv, group_norm, nearest_upsample, sinusoid
from hoijax.nets.stable_diffusion.config import UNetConfig
from hoijax.nets.stable_diffusion.transformer import SpatialTransformer

ArrayLike = jax.Array | np.ndarray


@struct.dataclass
class Added:
    """SDXL's second condition."""

    pooled: Float[ArrayLike, "B P"]
    """The second text encoder's pooled features."""
    numbers: Float[ArrayLike, "B K"]
    """Height and width of the original, top and left of the crop, height and width of the target, in pixels."""


class Resample(nnx.Module):
    """The convolution behind a change of size."""

    def __init__(self, width: int, stride: int, rngs: nnx.Rngs):
        self.conv = conv(width, width, 3, rngs, stride=stride)

    def __call__(self, x: jax.Array) -> jax.Array:
        """(B, H, W, C)."""
        return self.conv(x)


class Level(nnx.Module):
    """Residual convolutions, each with a transformer behind it where the level has some, and a change of size."""

    def __init__(
        self, config: UNetConfig, inputs: list[int], width: int, heads: int, count: int, resample: str | None,
        rngs: nnx.Rngs,
    ):  # fmt: skip
        time = 4 * config.channels[0]
        self.resnets = nnx.List(
            [ResidualConvolution(i, width, rngs, embedding=time, groups=config.groups) for i in inputs]
        )
        if count:
            self.attentions = nnx.List([SpatialTransformer(config, width, heads, count, rngs) for _ in inputs])
        if resample is not None:
            setattr(self, resample, nnx.List([Resample(width, 2 if resample == "downsamplers" else 1, rngs)]))

    def part(self, i: int, x: jax.Array, time: jax.Array, text: jax.Array, views: int) -> jax.Array:
        """The i-th residual convolution and what is behind it."""
        x = self.resnets[i](x, time)
        return self.attentions[i](x, text, views) if hasattr(self, "attentions") else x


class Middle(nnx.Module):
    """The bottom: a transformer between two residual convolutions."""

    def __init__(self, config: UNetConfig, rngs: nnx.Rngs):
        width, time = config.channels[-1], 4 * config.channels[0]
        self.resnets = nnx.List(
            [ResidualConvolution(width, width, rngs, embedding=time, groups=config.groups) for _ in range(2)]
        )
        self.attentions = nnx.List([SpatialTransformer(config, width, config.heads[-1], config.middle, rngs)])

    def __call__(self, x: jax.Array, time: jax.Array, text: jax.Array, views: int) -> jax.Array:
        """(B, H, W, C)."""
        x = self.attentions[0](self.resnets[0](x, time), text, views)
        return self.resnets[1](x, time)


class UNet(nnx.Module):
    """What a noisy latent's noise (or velocity) is, given a text.

    Args:
      config: its sizes.
      rngs: where the initial weights come from.
    """

    def __init__(self, config: UNetConfig, rngs: nnx.Rngs):
        self.config = config
        channels, last = config.channels, len(config.channels) - 1
        time = 4 * channels[0]
        self.conv_in = conv(config.inputs, channels[0], 3, rngs)
        self.time_embedding = Perceptron(channels[0], time, time, rngs, activation="silu")
        if config.numbers:
            given = config.pooled + config.numbers * config.number_width
            self.add_embedding = Perceptron(given, time, time, rngs, activation="silu")
        if config.camera:
            self.camera_embedding = Perceptron(config.camera, time, time, rngs, activation="silu")
        down, up = [], []
        for i, width in enumerate(channels):
            inputs = [channels[max(i - 1, 0)]] + [width] * (config.depth - 1)
            resample = "downsamplers" if i < last else None
            down.append(Level(config, inputs, width, config.heads[i], config.transformers[i], resample, rngs))
        for i in range(last, -1, -1):
            width = channels[i]
            before = [channels[min(i + 1, last)]] + [width] * config.depth
            skips = [width] * config.depth + [channels[max(i - 1, 0)]]
            inputs = [a + b for a, b in zip(before, skips)]
            resample = "upsamplers" if i else None
            up.append(Level(config, inputs, width, config.heads[i], config.transformers[i], resample, rngs))
        self.down_blocks, self.up_blocks = nnx.List(down), nnx.List(up)
        self.mid_block = Middle(config, rngs)
        self.conv_norm_out = group_norm(channels[0], rngs, groups=config.groups)
        self.conv_out = conv(channels[0], config.outputs, 3, rngs)

    def __call__(
        self,
        latent: Float[ArrayLike, "B H W I"],
        time: Float[ArrayLike, "B"] | Int[ArrayLike, "B"],
        text: Float[ArrayLike, "B L E"],
        *,
        added: Added | None = None,
        camera: Float[ArrayLike, "B K"] | None = None,
        views: int = 1,
    ) -> Float[jax.Array, "B H W O"]:
        """The answer, in the latent's type.

        Args:
          latent: noisy, of any height and width; for inpainting with the mask and the masked picture's latent behind.
          time: index of the noise schedule.
          text: features of the text encoder.
          added: SDXL's second condition.
          camera: of each picture, `camera_numbers`; None: none is said.
          views: how many pictures in a row are views of one scene and see each other.

        Raises:
          ValueError: a condition is missing or not expected, or the batch is no multiple of the views.
        """
        config, latent = self.config, jnp.asarray(latent)
        if (added is None) == bool(config.numbers) or (camera is not None and not config.camera):
            raise ValueError(
                f"this UNet takes {config.numbers} added numbers and {config.camera} of a camera, "
                f"got {added is not None=} and {camera is not None=}"
            )
        if latent.shape[0] % views:
            raise ValueError(f"{latent.shape[0]} pictures are no multiple of {views} views")
        kind = self.conv_in.kernel[...].dtype
        text = jnp.asarray(text).astype(kind)
        time = _waves(time, config.channels[0]).astype(kind)
        time = self.time_embedding(time)
        if added is not None:
            numbers = _waves(added.numbers, config.number_width).reshape(latent.shape[0], -1).astype(kind)
            time = time + self.add_embedding(jnp.concatenate([jnp.asarray(added.pooled).astype(kind), numbers], -1))
        if camera is not None:
            time = time + self.camera_embedding(jnp.asarray(camera).astype(kind))

        x = self.conv_in(latent.astype(kind))
        skips = [x]
        for level in self.down_blocks:
            for i in range(config.depth):
                x = level.part(i, x, time, text, views)
                skips.append(x)
            if hasattr(level, "downsamplers"):
                x = level.downsamplers[0](x)
                skips.append(x)
        x = self.mid_block(x, time, text, views)
        for level in self.up_blocks:
            for i in range(config.depth + 1):
                x = level.part(i, jnp.concatenate([x, skips.pop()], axis=-1), time, text, views)
            if hasattr(level, "upsamplers"):
                height, width = skips[-1].shape[1:3]
                x = level.upsamplers[0](nearest_upsample(x)[:, :height, :width])
        x = self.conv_out(jax.nn.silu(self.conv_norm_out(x)))
        return x.astype(latent.dtype)


def _waves(x: ArrayLike, width: int) -> jax.Array:
    """Sines and cosines of numbers, cosines first, in float32."""
    return sinusoid(jnp.asarray(x).astype(jnp.float32), width, cosines_first=True, inclusive=False)


def camera_numbers(T_world_camera: Float[ArrayLike, "*B 4 4"]) -> Float[jax.Array, "*B 16"]:
    """MVDream's 16 numbers of a camera: the matrix row by row, its centre moved to the unit sphere.

    Args:
      T_world_camera: camera to world, OpenGL's axes in the camera (x right, y up, looking along -z), the world's z up.
    """
    matrix = jnp.asarray(T_world_camera)
    centre = matrix[..., :3, 3]
    centre = centre / jnp.linalg.norm(centre, axis=-1, keepdims=True)
    matrix = matrix.at[..., :3, 3].set(centre)
    return matrix.reshape(*matrix.shape[:-2], 16)
