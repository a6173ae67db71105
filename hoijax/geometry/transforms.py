"""Rigid and similarity transforms of points: p -> scale * rotation @ p + translation."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Float

from hoijax.geometry.safe import ArrayLike, einsum


@struct.dataclass
class RigidPose:
    """A rotation, a translation and a scale: p -> scale * rotation @ p + translation."""

    rotation: Float[ArrayLike, "*B 3 3"] | Any
    """Of determinant +1."""
    translation: Float[ArrayLike, "*B 3"] | Any
    """Metres."""
    scale: Float[ArrayLike, "*B"] | Any
    """Positive; 1 for a rigid pose."""

    @classmethod
    def identity(cls, shape: tuple[int, ...] = (), dtype=None) -> "RigidPose":
        """The pose that moves nothing, with leading axes `shape`."""
        dtype = dtype or float
        return cls(
            rotation=jnp.broadcast_to(jnp.eye(3, dtype=dtype), (*shape, 3, 3)),
            translation=jnp.zeros((*shape, 3), dtype),
            scale=jnp.ones(shape, dtype),
        )


def transform_points(pose: RigidPose, points: Float[ArrayLike, "*B N 3"]) -> Float[jax.Array, "*C N 3"]:
    """Points under a pose: scale * R p + t.

    The leading axes of the pose and of the points broadcast against each other: many poses of one cloud, or one
    pose of many clouds.
    """
    points = jnp.asarray(points)
    pose = _as_jax(pose)
    batch = jnp.broadcast_shapes(pose.scale.shape, points.shape[:-2])
    rotation = jnp.broadcast_to(pose.rotation, (*batch, 3, 3))
    scale = jnp.broadcast_to(pose.scale, batch)
    translation = jnp.broadcast_to(pose.translation, (*batch, 3))
    points = jnp.broadcast_to(points, (*batch, *points.shape[-2:]))
    turned = einsum("...ij,...nj->...ni", rotation, points)
    return scale[..., None, None] * turned + translation[..., None, :]


def compose(a: RigidPose, b: RigidPose) -> RigidPose:
    """The pose that applies `b` first, then `a`; both with the same leading axes."""
    return RigidPose(
        rotation=einsum("...ij,...jk->...ik", a.rotation, b.rotation),
        translation=transform_points(a, jnp.asarray(b.translation)[..., None, :])[..., 0, :],
        scale=jnp.asarray(a.scale) * jnp.asarray(b.scale),
    )


def inverse(pose: RigidPose) -> RigidPose:
    """The pose that undoes `pose`; its scale must not be zero."""
    pose = _as_jax(pose)
    scale = 1.0 / pose.scale
    rotation = jnp.swapaxes(pose.rotation, -1, -2)
    moved = einsum("...ij,...j->...i", rotation, pose.translation)
    return RigidPose(rotation=rotation, translation=-scale[..., None] * moved, scale=scale)


def _as_jax(pose: RigidPose) -> RigidPose:
    return RigidPose(jnp.asarray(pose.rotation), jnp.asarray(pose.translation), jnp.asarray(pose.scale))
