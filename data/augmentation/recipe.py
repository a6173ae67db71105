"""The random choices: how far to turn, scale and shift a view, and the whole augmentation of one picture."""

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Bool, Float, Int, Key

from hoijax.data.augmentation.pixels import jitter_colors, occlude
from hoijax.data.augmentation.view import ViewChange, change_view, warp_image
from hoijax.geometry.safe import ArrayLike


@dataclasses.dataclass(frozen=True)
class AugmentConfig:
    """Ranges of the random choices. The defaults are those of CONTHO and ScoreHOI (specs/scorehoi.md 8)."""

    scale: float = 0.2
    """The crop's side is multiplied by 1 + scale * clip(N(0, 1), -1, 1)."""
    rotation: float = math.radians(30.0)
    """The view turns by rotation * clip(N(0, 1), -2, 2), radians."""
    rotation_probability: float = 0.6
    """How often it turns at all."""
    shift: float = 0.0
    """The crop's centre moves by at most this part of its side, along x and y."""
    gain: float = 0.2
    """Of each colour channel, see `jitter_colors`."""
    contrast: float = 0.0
    """See `jitter_colors`."""
    occluders: int = 0
    """Boxes at most, see `occlude`."""
    occluder_sizes: tuple[float, float] = (0.1, 0.4)
    """Smallest and largest side of a box, as parts of the picture's."""
    taps: int = 1
    """Antialiasing of the crop, see `warp_image`."""


@struct.dataclass
class Augmented:
    """An augmented picture and what its labels must follow."""

    image: Float[ArrayLike, "*B h w C"] | Any
    """In [0, 1]."""
    change: ViewChange
    """For `map_pixels`, `turn_body`, `turn_object`, `turn_points`, `warp_labels`, `new_camera`."""
    visible: Bool[ArrayLike, "*B h w"] | Any
    """False where a box hides the scene."""


def sample_keys(key: Key[jax.Array, ""], positions: Int[ArrayLike, "B"]) -> Key[jax.Array, "B"]:
    """A key per sample from its place in the stream (`hoijax.data.loading.POSITION`).

    The same sample in another epoch has another place, so another key; another number of processes or a resumed run
    changes nothing.
    """
    return jax.vmap(lambda position: jax.random.fold_in(key, position))(jnp.asarray(positions).astype(jnp.uint32))


def random_view(
    key: Key[jax.Array, ""],
    intrinsics: Float[ArrayLike, "3 3"],
    *,
    center: Float[ArrayLike, "2"],
    width: Float[ArrayLike, ""] | float,
    size: tuple[int, int],
    config: AugmentConfig = AugmentConfig(),
) -> ViewChange:
    """A crop around `center`, scaled, shifted and turned at random.

    Args:
      key: randomness.
      intrinsics: of the camera, pixels.
      center: of the crop before the shift, pixels.
      width: of the crop before scaling, pixels: 1.3 times the larger side of the box around the interaction.
      size: (H, W) of the new picture.
      config: ranges.

    Returns:
      The change of the view.
    """
    k = jnp.asarray(intrinsics)
    scale_key, turn_key, whether_key, shift_key = jax.random.split(key, 4)
    scale = 1 + config.scale * jnp.clip(jax.random.normal(scale_key, (), k.dtype), -1, 1)
    angle = config.rotation * jnp.clip(jax.random.normal(turn_key, (), k.dtype), -2, 2)
    angle = jnp.where(jax.random.bernoulli(whether_key, config.rotation_probability), angle, 0)
    side = scale * jnp.asarray(width, k.dtype)
    shift = config.shift * side * jax.random.uniform(shift_key, (2,), k.dtype, -1, 1)
    return change_view(k, center=jnp.asarray(center).astype(k.dtype) + shift, width=side, angle=angle, size=size)


def augment(
    key: Key[jax.Array, ""],
    image: Float[ArrayLike, "H W C"],
    intrinsics: Float[ArrayLike, "3 3"],
    *,
    center: Float[ArrayLike, "2"],
    width: Float[ArrayLike, ""] | float,
    size: tuple[int, int],
    config: AugmentConfig = AugmentConfig(),
) -> Augmented:
    """View, colours and occluders of one picture; `vmap` it over a batch.

    Args:
      key: randomness.
      image: in [0, 1].
      intrinsics: of its camera, pixels.
      center: of the crop, pixels.
      width: of the crop, pixels.
      size: (H, W) of the new picture.
      config: ranges.

    Returns:
      The new picture and the change of the view.
    """
    view_key, color_key, box_key = jax.random.split(key, 3)
    change = random_view(view_key, intrinsics, center=center, width=width, size=size, config=config)
    picture = warp_image(image, change, taps=config.taps)
    picture = jitter_colors(color_key, picture, gain=config.gain, contrast=config.contrast)
    picture, visible = occlude(box_key, picture, count=config.occluders, sizes=config.occluder_sizes)
    return Augmented(picture, change, visible)
