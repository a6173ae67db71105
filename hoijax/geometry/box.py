"""Axis-aligned boxes."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Float

from hoijax.geometry.safe import ArrayLike, safe_norm


@struct.dataclass
class Box:
    """All points p with lower <= p <= upper in each coordinate."""

    lower: Float[ArrayLike, "*B 3"] | Any
    """Metres."""
    upper: Float[ArrayLike, "*B 3"] | Any
    """Metres."""


def bounding_box(points: Float[ArrayLike, "*B N 3"]) -> Box:
    """The smallest box that holds the points (at least one)."""
    points = jnp.asarray(points)
    if points.shape[-2] == 0:
        raise ValueError("bounding_box needs at least one point, got 0")
    return Box(lower=jnp.min(points, axis=-2), upper=jnp.max(points, axis=-2))


def clamp_to_box(points: Float[ArrayLike, "*B N 3"], box: Box) -> Float[jax.Array, "*B N 3"]:
    """The nearest point of the box for each point; boxes have the leading axes of the points, or none."""
    points = jnp.asarray(points)
    shape = points.shape
    lower = jnp.broadcast_to(jnp.asarray(box.lower)[..., None, :], shape)
    upper = jnp.broadcast_to(jnp.asarray(box.upper)[..., None, :], shape)
    # Not `clip`: its derivative at the bound itself is one half.
    return jnp.where(points < lower, lower, jnp.where(points > upper, upper, points))


def box_distance(points: Float[ArrayLike, "*B N 3"], box: Box) -> Float[jax.Array, "*B N"]:
    """Distance to the box, metres; zero inside, with zero derivatives."""
    points = jnp.asarray(points)
    return safe_norm(points - clamp_to_box(points, box))


def box_corners(box: Box) -> Float[jax.Array, "*B 8 3"]:
    """The eight corners; bit 2, 1, 0 of the index chooses upper in x, y, z."""
    lower, upper = jnp.asarray(box.lower), jnp.asarray(box.upper)
    bits = (jnp.arange(8)[:, None] >> jnp.array([2, 1, 0])[None]) & 1
    shape = (*lower.shape[:-1], 8, 3)
    bits = jnp.broadcast_to(bits, shape)
    return jnp.where(
        bits == 1, jnp.broadcast_to(upper[..., None, :], shape), jnp.broadcast_to(lower[..., None, :], shape)
    )
