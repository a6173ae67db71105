"""What ScoreHOI's denoiser is conditioned on, and dropping it at random during training."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Bool, Float, Key

ArrayLike = jax.Array | np.ndarray


@struct.dataclass
class Conditions:
    """Image and geometry conditions of a batch, the paper's c_I and c_G (section 3.5)."""

    image: Float[ArrayLike, "B N F"] | Any | None
    """Image features: the cells of the backbone's feature map, row by row; None where there is no image."""
    geometry: Float[ArrayLike, "B E"] | Any | None
    """Object features: template points, then their global feature; None where there is no object."""
    has_image: Bool[ArrayLike, "B"] | Any | None = None
    """False replaces a sample's image by the learned null token. None: all samples have one."""
    has_geometry: Bool[ArrayLike, "B"] | Any | None = None
    """The same for the geometry."""


def image_cells(features: Float[ArrayLike, "B H W F"]) -> Float[jax.Array, "B N F"]:
    """The cells of a feature map as a sequence, row by row."""
    return jnp.asarray(features).reshape(features.shape[0], -1, features.shape[-1])


def drop_conditions(key: Key[jax.Array, ""], conditions: Conditions, *, rate: float = 0.1) -> Conditions:
    """Drops each condition of each sample with probability `rate`, independently (Ho and Salimans 2022).

    What was absent stays absent. A denoiser trained so works without an image, without an object, and without both.
    """
    keys = jax.random.split(key)

    def keep_some(key, value, present):
        if value is None:
            return None
        keep = jax.random.uniform(key, value.shape[:1], jnp.float32) >= rate
        return keep if present is None else keep & present

    return conditions.replace(
        has_image=keep_some(keys[0], conditions.image, conditions.has_image),
        has_geometry=keep_some(keys[1], conditions.geometry, conditions.has_geometry),
    )
