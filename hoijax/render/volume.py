"""Volume rendering: rays of cameras, and what a density and a colour along them look like.

Max 1995; Mildenhall et al. 2020, eq. 3: a sample of density sigma that stands for a length d hides
`1 - exp(-sigma d)` of what is behind it.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Bool, Float

from hoijax.camera import Camera, unproject

ArrayLike = jax.Array | np.ndarray


@struct.dataclass
class Rays:
    """Lines of sight through the middles of pixels; a point at depth z is at `origins + z directions`."""

    origins: Float[ArrayLike, "*B H W 3"] | Any
    """World, metres."""
    directions: Float[ArrayLike, "*B H W 3"] | Any
    """World, per metre of depth along the camera's z: longer than one off the middle."""


@struct.dataclass
class Composite:
    """What is seen along rays."""

    color: Float[ArrayLike, "*B 3"] | Any
    """Times the opacity: add a ground times `1 - opacity`."""
    opacity: Float[ArrayLike, "*B"] | Any
    depth: Float[ArrayLike, "*B"] | Any
    """Mean depth times the opacity, metres."""
    weights: Float[ArrayLike, "*B S"] | Any
    """Share of what is seen that each sample has."""


def camera_rays(camera: Camera) -> Rays:
    """Rays of a camera or of many."""
    height, width = camera.image_size
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    pixels = jnp.asarray(np.stack([x, y], axis=-1).reshape(-1, 2), jnp.asarray(camera.intrinsics).dtype)
    lead = jnp.asarray(camera.T_camera_world).shape[:-2]
    pixels = jnp.broadcast_to(pixels, (*lead, *pixels.shape))
    ends = unproject(camera, pixels, jnp.ones(pixels.shape[:-1], pixels.dtype))
    pose = jnp.asarray(camera.T_camera_world)
    eye = -jnp.einsum("...ji,...j->...i", pose[..., :3, :3], pose[..., :3, 3], precision="highest")
    eye = jnp.broadcast_to(eye[..., None, :], ends.shape)
    shape = (*lead, height, width, 3)
    return Rays(eye.reshape(shape), (ends - eye).reshape(shape))


def sample_depths(
    near: Float[ArrayLike, ""] | float,
    far: Float[ArrayLike, ""] | float,
    count: int,
    shape: tuple[int, ...],
    key: jax.Array | None = None,
) -> Float[jax.Array, "*B S"]:
    """Depths of samples, one in each of `count` equal steps: their middles, or drawn by a key."""
    near, far = jnp.asarray(near, jnp.float32), jnp.asarray(far, jnp.float32)
    shape = (*shape, count)
    share = jnp.full(shape, 0.5, near.dtype) if key is None else jax.random.uniform(key, shape, near.dtype)
    return near + (far - near) / count * (jnp.broadcast_to(jnp.arange(count, dtype=near.dtype), shape) + share)


def composite(
    density: Float[ArrayLike, "*B S"],
    color: Float[ArrayLike, "*B S 3"],
    depth: Float[ArrayLike, "*B S"],
    length: Float[ArrayLike, "*B S"],
    seen: Bool[ArrayLike, "*B S"] | None = None,
) -> Composite:
    """What samples look like, the nearest first.

    Args:
      density: per metre.
      color: of each.
      depth: of each, increasing, metres.
      length: of ray that each stands for, metres.
      seen: which samples count; those behind a surface do not. None: all.
    """
    density = jnp.asarray(density)
    through = density * jnp.asarray(length)
    if seen is not None:
        through = jnp.where(seen, through, 0.0)
    before = jnp.cumsum(through, axis=-1) - through
    weights = jnp.exp(-before) * -jnp.expm1(-through)
    return Composite(
        color=jnp.sum(weights[..., None] * jnp.asarray(color), axis=-2),
        opacity=jnp.sum(weights, axis=-1),
        depth=jnp.sum(weights * jnp.asarray(depth), axis=-1),
        weights=weights,
    )
