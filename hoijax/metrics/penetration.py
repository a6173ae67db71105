"""Penetration and floor distance of a finished interaction."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Bool, Float, Shaped

from hoijax.geometry import Mesh, closest_on_mesh_host, sample_surface, winding_number_host
from hoijax.geometry.safe import ArrayLike
from hoijax.interaction.floor import Direction, height, lowest
from hoijax.metrics.volume import penetration_volume_host


@struct.dataclass
class PenetrationDepth:
    """How deep points of one surface lie inside the other; metres."""

    max: Float[ArrayLike, "*B"] | Any
    """Of the deepest point; 0 without penetration."""
    mean: Float[ArrayLike, "*B"] | Any
    """Over the points inside; 0 without penetration. Times `fraction` it is the mean over all points."""
    fraction: Float[ArrayLike, "*B"] | Any
    """Share of the points inside, in [0, 1]."""


def penetration_depth(
    signed_distance: Float[ArrayLike, "*B N"], *, mask: Shaped[ArrayLike, "*B N"] | None = None
) -> PenetrationDepth:
    """Depths from signed distances, positive outside. Any leading axes, on any device.

    Args:
      signed_distance: of the points to the other surface, metres: `hoijax.interaction.signed_distance` or
        `signed_distance_host` (exact), `hoijax.interaction.object_sdf` (of a grid's accuracy).
      mask: points that take part.

    Returns:
      Maximum, mean and share.
    """
    depth = jnp.maximum(-jnp.asarray(signed_distance), 0)
    taken = jnp.ones(depth.shape, bool) if mask is None else jnp.asarray(mask).astype(bool)
    depth = jnp.where(taken, depth, 0)
    inside, number = jnp.sum(depth > 0, axis=-1), jnp.sum(taken, axis=-1)
    inside, number = inside.astype(depth.dtype), number.astype(depth.dtype)
    return PenetrationDepth(
        max=jnp.max(depth, axis=-1, initial=0),
        mean=jnp.sum(depth, axis=-1) / jnp.maximum(inside, 1),
        fraction=inside / jnp.maximum(number, 1),
    )


def signed_distance_host(
    points: Float[ArrayLike, "N 3"], mesh: Mesh, *, threshold: float = 0.5
) -> Float[np.ndarray, "N"]:
    """Exact signed distance of points to a mesh on the host, positive outside; the sign by (fast) winding number.

    Args:
      points: metres.
      mesh: metres; need not be closed.
      threshold: winding number from which a point is inside.

    Returns:
      Metres.
    """
    points = np.asarray(points)
    distance = np.array(closest_on_mesh_host(points, mesh).distance)
    return np.where(_is_inside(points, mesh, threshold), -distance, distance)


@struct.dataclass
class Interpenetration:
    """Penetration of a body and an object, both ways."""

    body_in_object: PenetrationDepth
    """Body vertices inside the object."""
    object_in_body: PenetrationDepth
    """Object surface points inside the body."""
    volume: float
    """Volume inside both, cubic metres."""


def interpenetration_host(
    body: Mesh, object: Mesh, *, samples: int = 4096, seed: int = 0, spacing: float = 0.005
) -> Interpenetration:
    """Penetration of two meshes by exact signed distances, both ways, and the volume inside both. Host function.

    The body is probed at its vertices. The object is probed at surface samples, since a table top has four vertices and
    none of them near the hand, and at its vertices, since edges go deepest (a sample of them where they are many).

    Args:
      body: metres.
      object: metres, same frame.
      samples: surface samples of the object, and most of its vertices that are used.
      seed: of the samples.
      spacing: of the voxels of the volume, metres.

    Returns:
      Depths both ways and the volume.
    """
    drawn = sample_surface(jax.random.key(seed), object, samples).points
    used = np.unique(np.asarray(object.faces))
    if len(used) > samples:
        used = np.random.default_rng(seed).choice(used, samples, replace=False)
    probes = np.concatenate([np.asarray(object.vertices)[used], np.asarray(drawn)])
    return Interpenetration(
        penetration_depth(signed_distance_host(np.asarray(body.vertices), object)),
        penetration_depth(signed_distance_host(probes, body)),
        penetration_volume_host(body, object, spacing=spacing),
    )


def floor_distance(
    points: Float[ArrayLike, "N 3"],
    *,
    gravity: Direction,
    floor: Float[ArrayLike, ""] | float,
    valid: Bool[ArrayLike, "N"] | None = None,
) -> Float[jax.Array, ""]:
    """Height of the lowest point above the floor: positive floats, negative sinks in. On any device.

    Args:
      points: of a body or an object, metres.
      gravity: see `hoijax.interaction.height`.
      floor: height of the floor, metres.
      valid: False for padded points.

    Returns:
      Metres.
    """
    low = lowest(height(points, gravity), valid=valid)
    return low - jnp.asarray(floor, dtype=low.dtype)


def _is_inside(points: np.ndarray, mesh: Mesh, threshold: float) -> np.ndarray:
    """Winding number above the threshold, evaluated in the mesh's bounding box; nothing is inside beyond it."""
    corners = np.asarray(mesh.vertices)[np.unique(np.asarray(mesh.faces))]
    near = np.all((points > corners.min(0)) & (points < corners.max(0)), axis=-1)
    inside = np.zeros(len(points), bool)
    if near.any():
        inside[near] = winding_number_host(points[near], mesh) > threshold
    return inside
