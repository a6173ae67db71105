"""ScoreHOI's camera: root-relative points in front of a square crop (spec 2.4).

Coordinates are those of the camera, x right, y down, z forward, with the pelvis at the origin; a translation per image
puts body and object in front of the camera. The focal length belongs to the 256-pixel image of the body backbone; on
the 512-pixel crop the same camera has twice as many pixels of focal length.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

ArrayLike = jax.Array | np.ndarray

FOCAL = 2500.0
"""Focal length in pixels of a 256-pixel crop: ScoreHOI's; CONTHO's is 1000. It must match the weights."""
MIN_DEPTH = 0.01
"""Depth below which points are projected as if they stood there, metres."""


def camera_translation(raw: Float[ArrayLike, "*B 3"], *, focal: float = FOCAL) -> Float[jax.Array, "*B 3"]:
    """The translation that the camera head's three numbers mean, metres: the depth is 2 f / 256 times a sigmoid."""
    raw = jnp.asarray(raw)
    depth = 2.0 * focal / 256.0 * jax.nn.sigmoid(raw[..., 2:])
    return jnp.concatenate([raw[..., :2], depth], axis=-1)


def project_to_crop(
    points: Float[ArrayLike, "*B N 3"], translation: Float[ArrayLike, "*B 3"], *, focal: float = FOCAL
) -> Float[jax.Array, "*B N 2"]:
    """Where points are seen, as fractions of the crop from its centre: -0.5 and 0.5 are its borders.

    Points behind the camera are projected as if `MIN_DEPTH` in front of it: finite, and far outside the crop.
    """
    points = jnp.asarray(points)
    moved = points + jnp.broadcast_to(translation[..., None, :], points.shape)
    depth = jnp.maximum(moved[..., 2:] + 1e-4, MIN_DEPTH)
    return moved[..., :2] / depth * (focal / 256.0)
