"""Attraction: losses that bring asked-for parts of the body to the object and let the rest be.

A part touches with some of its vertices, never with all of them: a palm on a table leaves the back of the hand in the
air. So the losses look at the k smallest distances of a part. They take distances, not points: |SDF| of the object at
the body's vertices, or nearest distances from `contact_distances`.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float, Shaped

from hoijax.geometry.safe import ArrayLike
from hoijax.interaction._arrays import mask_weights


def smallest_mean(
    values: Float[ArrayLike, "V"], mask: Shaped[ArrayLike, "V"], *, count: int = 16
) -> Float[jax.Array, ""]:
    """Mean of the `count` smallest values among the masked ones.

    Args:
      values: finite values.
      mask: nonzero for the values that take part; fewer than `count` of them are all used.
      count: how many to average; at most V is used.

    Returns:
      A scalar; zero, with a zero gradient, for an empty mask.
    """
    values = jnp.asarray(values)
    chosen = jnp.asarray(mask).astype(bool)
    far = jnp.where(chosen, values, jnp.inf)
    _, index = jax.lax.top_k(-jax.lax.stop_gradient(far), min(count, values.shape[0]))
    kept = chosen[index]
    total = jnp.sum(jnp.where(kept, values[index], 0))
    number = jnp.sum(kept).astype(values.dtype)
    return total / jnp.where(number > 0, number, 1)


def region_distances(
    distance: Float[ArrayLike, "V"], regions: Bool[ArrayLike, "R V"], *, count: int = 16
) -> Float[jax.Array, "R"]:
    """How far each region is from touching: the mean of its `count` smallest distances.

    Args:
      distance: of each body vertex to the object, metres; take |SDF| to hold a part at the surface, or
        `jnp.maximum(sdf, 0)` where sinking in is another loss's business.
      regions: membership of the vertices, one row per region.
      count: vertices that must touch; 1 gives the smallest distance.

    Returns:
      One distance per region, metres; zero for an empty region.
    """
    return jax.vmap(lambda region: smallest_mean(distance, region, count=count))(jnp.asarray(regions))


def attraction_loss(
    distance: Float[ArrayLike, "V"],
    regions: Bool[ArrayLike, "R V"],
    *,
    weights: Shaped[ArrayLike, "R"] | None = None,
    count: int = 16,
    margin: float = 0.0,
    power: int = 2,
) -> Float[jax.Array, ""]:
    """Pulls each asked-for region to the object: sum over regions of the mean hinge of its nearest vertices.

    sum_r w_r mean_{k smallest} relu(d - margin)^power. The mean over vertices keeps the weight of a region independent
    of its mesh density; the sum over regions lets each asked-for part count.

    Args:
      distance: of each body vertex to the object, metres (see `region_distances`).
      regions: one row per region; padded rows get weight zero.
      weights: one per region, default one; zero switches a region off.
      count: how many vertices of a region are pulled.
      margin: distance that costs nothing, metres.
      power: 1 (constant pull) or 2 (pull grows with distance).

    Returns:
      A scalar, metres^power.
    """
    excess = jax.nn.relu(jnp.asarray(distance) - margin)
    per_region = region_distances(excess if power == 1 else excess**power, regions, count=count)
    return jnp.sum(mask_weights(weights, per_region) * per_region)
