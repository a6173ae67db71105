"""Agreement of surface normals where a body touches an object: touching surfaces face each other."""

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float, Shaped

from hoijax.geometry import nearest
from hoijax.geometry.safe import ArrayLike
from hoijax.interaction._arrays import mask_weights, reduce_masked


def facing(
    normals_a: Float[ArrayLike, "*B 3"], normals_b: Float[ArrayLike, "*B 3"], *, max_cosine: float = 0.0
) -> Bool[jax.Array, "*B"]:
    """Whether two surfaces face each other: the cosine of their normals is below `max_cosine`. Any leading axes.

    The normal filter of InteractVLM's initialisation with one threshold; its released pair of thresholds lets
    everything pass.

    Args:
      normals_a: outward unit normals.
      normals_b: outward unit normals of the paired points.
      max_cosine: 0 keeps pairs that face each other at all, -0.5 those within 60 degrees of opposite.

    Returns:
      Booleans.
    """
    return jnp.sum(jnp.asarray(normals_a) * jnp.asarray(normals_b), axis=-1) < max_cosine


def normal_loss(
    body_points: Float[ArrayLike, "V 3"],
    body_normals: Float[ArrayLike, "V 3"],
    object_points: Float[ArrayLike, "N 3"],
    object_normals: Float[ArrayLike, "N 3"],
    *,
    body_mask: Shaped[ArrayLike, "V"] | None = None,
    object_valid: Bool[ArrayLike, "N"] | None = None,
    scale: float = 0.05,
    tile: int = 2048,
) -> Float[jax.Array, ""]:
    """Mean over body points of w (1 + n_body . n_object)^2 with the nearest object point, w = exp(-d / scale).

    InteractAnything's L_n: zero when normals are opposite, 4 when they agree. Pairing and weights are constants for
    differentiation, so the loss turns surfaces and never pushes them apart.

    Args:
      body_points: metres.
      body_normals: outward unit normals.
      object_points: metres, same frame.
      object_normals: outward unit normals.
      body_mask: boolean or float weights of the body points, for instance those in contact.
      object_valid: False for padded object points.
      scale: distance over which a pair loses its say, metres.
      tile: object points compared at a time.

    Returns:
      A scalar in [0, 4]; zero for an empty mask.
    """
    frozen = jax.lax.stop_gradient((jnp.asarray(body_points), jnp.asarray(object_points)))
    closest = nearest(*frozen, tile=tile, valid=object_valid)
    cosine = jnp.sum(jnp.asarray(body_normals) * jnp.asarray(object_normals)[closest.index], axis=-1)
    weight = mask_weights(body_mask, cosine) * jax.lax.stop_gradient(jnp.exp(-closest.distance / scale))
    mask = mask_weights(body_mask, cosine) > 0
    return reduce_masked(weight * (1 + cosine) ** 2, mask, "mean")
