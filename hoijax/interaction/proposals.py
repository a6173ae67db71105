"""Which points should touch: proposals from proximity, facing normals and named parts of the body."""

from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float

from hoijax.errors import InputError
from hoijax.geometry.safe import ArrayLike
from hoijax.interaction.contact import CONTACT_THRESHOLD, contact_distances, contact_probability
from hoijax.interaction.floor import Direction, estimate_floor, height
from hoijax.interaction.normals import facing
from hoijax.interaction.types import Contacts


def region_masks(regions: Mapping[str, np.ndarray], names: Sequence[str], num_vertices: int) -> Bool[np.ndarray, "R V"]:
    """Membership masks of named regions, one row per name. Host function.

    Args:
      regions: vertex ids by name, as `hoijax.body_models.contact_regions` returns them.
      names: regions wanted, in order.
      num_vertices: number of vertices of the body.

    Returns:
      Booleans, in the order of `names`.

    Raises:
      InputError: an unknown name, or ids beyond the body's vertices.
    """
    unknown = [name for name in names if name not in regions]
    if unknown:
        raise InputError(f"unknown body parts {', '.join(unknown)}; known parts: {', '.join(sorted(regions))}")
    masks = np.zeros((len(names), num_vertices), bool)
    for row, name in zip(masks, names, strict=True):
        ids = np.asarray(regions[name])
        if ids.size and (ids.min() < 0 or ids.max() >= num_vertices):
            raise InputError(
                f"part {name} refers to vertex {ids.max()} of a body with {num_vertices} vertices; "
                "take the regions of the same body model"
            )
        row[ids] = True
    return masks


def propose_contacts(
    body_points: Float[ArrayLike, "V 3"],
    object_points: Float[ArrayLike, "N 3"],
    *,
    gravity: Direction,
    floor: Float[ArrayLike, ""] | float | None = None,
    threshold: float = CONTACT_THRESHOLD,
    softness: float = 0.01,
    body_normals: Float[ArrayLike, "V 3"] | None = None,
    object_normals: Float[ArrayLike, "N 3"] | None = None,
    max_cosine: float = 0.0,
    body_allowed: Bool[ArrayLike, "V"] | None = None,
    tile: int = 2048,
) -> Contacts:
    """Contacts as an estimate already shows them: what is near, faces each other and is allowed to touch.

    Args:
      body_points: metres.
      object_points: metres, same frame.
      gravity: see `height`.
      floor: height of the floor, metres; None to take the lowest of all points.
      threshold: distance of probability one half, metres.
      softness: width of the transition, metres.
      body_normals: outward unit normals; with `object_normals`, pairs that do not face each other are no contacts.
      object_normals: see `body_normals`.
      max_cosine: see `facing`.
      body_allowed: body points that may touch, default all.
      tile: points compared at a time.

    Returns:
      Probabilities; above one half where the distance is below `threshold` and the other conditions hold.

    Raises:
      ValueError: only one of the two normals was given.
    """
    if (body_normals is None) != (object_normals is None):
        raise ValueError("normals must be given for both sides or for none, got one of body_normals, object_normals")
    d = contact_distances(body_points, object_points, tile=tile)
    body = contact_probability(d.body, threshold=threshold, softness=softness)
    object = contact_probability(d.object, threshold=threshold, softness=softness)
    if body_normals is not None and object_normals is not None:
        body_normals, object_normals = jnp.asarray(body_normals), jnp.asarray(object_normals)
        body = jnp.where(facing(body_normals, object_normals[d.body_nearest], max_cosine=max_cosine), body, 0)
        object = jnp.where(facing(object_normals, body_normals[d.object_nearest], max_cosine=max_cosine), object, 0)
    if body_allowed is not None:
        allowed = jnp.asarray(body_allowed)
        body = jnp.where(allowed, body, 0)
        object = jnp.where(allowed[d.object_nearest], object, 0)
    if floor is None:
        everything = jnp.concatenate([jnp.asarray(body_points), jnp.asarray(object_points)])
        floor = estimate_floor(everything, gravity)
    above = height(object_points, gravity)
    gap = jnp.abs(above - jnp.asarray(floor, dtype=above.dtype))
    return Contacts(body, object, contact_probability(gap, threshold=threshold, softness=softness))


def propose_region_contacts(
    body_points: Float[ArrayLike, "V 3"],
    object_points: Float[ArrayLike, "N 3"],
    regions: Bool[ArrayLike, "R V"],
    *,
    count: int = 16,
    tile: int = 2048,
) -> Contacts:
    """Contacts for asked-for parts wherever they are now: of each region the `count` points nearest to the object.

    Args:
      body_points: metres.
      object_points: metres, same frame.
      regions: one row per asked-for region (`region_masks`).
      count: body points per region.
      tile: points compared at a time.

    Returns:
      Probabilities of 0 and 1: the chosen body points, and the object points nearest to them. No floor contacts.
    """
    d = contact_distances(body_points, object_points, tile=tile)
    regions = jnp.asarray(regions)
    dtype = d.body.dtype

    def choose(region: jax.Array) -> jax.Array:
        far = jnp.where(region, d.body, jnp.inf)
        rank = jnp.argsort(jnp.argsort(far))
        return region & (rank < count)

    body = jnp.any(jax.vmap(choose)(regions), axis=0)
    object = jnp.zeros(d.object.shape, bool).at[d.body_nearest].max(body).astype(dtype)
    return Contacts(body.astype(dtype), object, jnp.zeros_like(object))
