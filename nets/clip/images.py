"""Images and texts as CLIP's towers take them."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int
from PIL import Image

from hoijax.errors import InputError

ArrayLike = jax.Array | np.ndarray

MEAN = (0.48145466, 0.4578275, 0.40821073)
SPREAD = (0.26862954, 0.26130258, 0.27577711)
"""Of each colour (0 to 1), among the pictures that CLIP was trained on."""


def normalise(images: Float[ArrayLike, "*B 3"]) -> Float[jax.Array, "*B 3"]:
    """Colours from 0 to 1 as the tower takes them."""
    images = jnp.asarray(images)
    mean, spread = (jnp.broadcast_to(jnp.asarray(x, images.dtype), images.shape) for x in (MEAN, SPREAD))
    return (images - mean) / spread


def crop(image: np.ndarray, size: int = 224) -> Float[np.ndarray, "S S 3"]:
    """The middle of a picture: its shorter side bicubically to `size`, then what lies in the middle of the longer.

    Args:
      image: (H, W, 3) of uint8.
      size: pixels.

    Returns:
      Colours from 0 to 1.

    Raises:
      InputError: not such an array.
    """
    image = np.asarray(image)
    if image.ndim != 3 or image.shape[-1] != 3 or image.dtype != np.uint8 or not image.size:
        raise InputError(f"CLIP takes pictures (H, W, 3) of bytes, got {image.dtype}{image.shape}")
    height, width = image.shape[:2]
    short = min(height, width)
    to = tuple(max(size, int(size * side / short)) for side in (width, height))
    picture = np.asarray(Image.fromarray(image).resize(to, Image.Resampling.BICUBIC))
    top, left = (picture.shape[0] - size) // 2, (picture.shape[1] - size) // 2
    return picture[top : top + size, left : left + size].astype(np.float32) / 255.0


@runtime_checkable
class Tokenizer(Protocol):
    """What makes ids of a text, such as `hoijax.language.load_tokenizer` of CLIP's `tokenizer.json`."""

    def encode(self, text: str) -> list[int]:
        """Ids with the ones that begin and end a text."""


def token_ids(
    tokenizer: Tokenizer, texts: Sequence[str], *, positions: int = 77, fill: int | None = None
) -> Int[np.ndarray, "B T"]:
    """Ids of texts, all of the tower's length.

    Args:
      tokenizer: CLIP's.
      texts: any number; what is too long loses its end, but for the token that ends it.
      positions: the length.
      fill: id of what follows a text; None: the one that ends it, as OpenAI's models were trained, 0 in OpenCLIP's.
    """
    out = np.empty((len(texts), positions), np.int32)
    for row, text in zip(out, texts):
        ids = tokenizer.encode(text)
        if len(ids) > positions:
            ids = [*ids[: positions - 1], ids[-1]]
        row[:] = ids[-1] if fill is None else fill
        row[: len(ids)] = ids
    return out
