"""Images as SAM takes them, and masks as big as images."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from PIL import Image

from hoijax.errors import InputError

ArrayLike = jax.Array | np.ndarray

MEAN = (123.675, 116.28, 103.53)
SPREAD = (58.395, 57.12, 57.375)
"""Of each colour, 0 to 255."""


def normalise(images: Float[ArrayLike, "*B 3"]) -> Float[jax.Array, "*B 3"]:
    """Colours from 0 to 255 as the encoder takes them."""
    images = jnp.asarray(images)
    mean, spread = (jnp.broadcast_to(jnp.asarray(x, images.dtype), images.shape) for x in (MEAN, SPREAD))
    return (images - mean) / spread


def resized(height: int, width: int, side: int) -> tuple[int, int]:
    """Height and width of a picture whose longer side has become `side` pixels."""
    scale = side / max(height, width)
    return int(height * scale + 0.5), int(width * scale + 0.5)


def prepare_image(image: np.ndarray, side: int = 1024) -> Float[np.ndarray, "S S 3"]:
    """A picture whose longer side is `side` pixels, normalised, with zeros below or to its right.

    Args:
      image: (H, W, 3) of uint8.
      side: pixels.

    Raises:
      InputError: not such an array.
    """
    image = np.asarray(image)
    if image.ndim != 3 or image.shape[-1] != 3 or image.dtype != np.uint8 or not image.size:
        raise InputError(f"SAM takes pictures (H, W, 3) of bytes, got {image.dtype}{image.shape}")
    height, width = resized(*image.shape[:2], side)
    small = Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR)
    out = np.zeros((side, side, 3), np.float32)
    out[:height, :width] = (np.asarray(small, np.float32) - np.float32(MEAN)) / np.float32(SPREAD)
    return out


def enlarge(logits: Float[ArrayLike, "*B h w"], height: int, width: int) -> Float[jax.Array, "*B H W"]:
    """Masks at another size, bilinearly between the centres of pixels, in float32 at least."""
    logits = jnp.asarray(logits)
    logits = logits.astype(np.promote_types(logits.dtype, np.float32))
    return jax.image.resize(logits, (*logits.shape[:-2], height, width), "linear", antialias=False)


def restore(
    logits: Float[ArrayLike, "*B h w"], height: int, width: int, side: int = 1024
) -> Float[jax.Array, "*B H W"]:
    """Masks at the size of a picture that was prepared: enlarged, without what was filled up, and back.

    Args:
      logits: of the decoder.
      height: of the picture before `prepare_image`.
      width: likewise.
      side: that it was brought to.
    """
    high, wide = resized(height, width, side)
    return enlarge(enlarge(logits, side, side)[..., :high, :wide], height, width)
