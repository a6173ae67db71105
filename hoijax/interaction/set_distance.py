"""Weighted set distance of a body's part and a contact area (InteractAnything, equation 7)."""

import jax
import jax.numpy as jnp
from jaxtyping import Float

from hoijax.geometry.safe import ArrayLike

FAR = 1e6
"""Square that padding counts as, square metres."""


def set_distance(
    body: Float[ArrayLike, "N 3"],
    object: Float[ArrayLike, "M 3"],
    weights: Float[ArrayLike, "M"],
    body_weights: Float[ArrayLike, "N"] | None = None,
) -> Float[jax.Array, ""]:
    """Sum over the object of w_j min_i d_ij^2, plus the mean over the body of min_j d_ij^2.

    The paper writes the sum over all pairs of weight times chamfer, in which the weight of a pair would multiply one
    number; so the weights are inside the distance: what is likely to be touched is what has to be reached.

    Args:
      body: points of a part, metres.
      object: points of the contact area, the same frame.
      weights: affordance of each, made to sum to 1; zero: padding.
      body_weights: of the part's points, zero: padding; None: all alike.
    """
    body, object, weights = jnp.asarray(body), jnp.asarray(object), jnp.asarray(weights)
    own = jnp.ones(body.shape[0], body.dtype) if body_weights is None else jnp.asarray(body_weights)
    d = [body[:, None, k] - object[None, :, k] for k in range(3)]
    square = d[0] * d[0] + d[1] * d[1] + d[2] * d[2]
    to_body = jnp.min(jnp.where(own[:, None] > 0, square, FAR), axis=0)
    to_object = jnp.min(jnp.where(weights[None] > 0, square, FAR), axis=1)
    total, number = jnp.sum(weights), jnp.sum(own)
    both = (total > 0) & (number > 0)
    forth = jnp.sum(weights * to_body) / jnp.where(total > 0, total, 1)
    back = jnp.sum(own * to_object) / jnp.where(number > 0, number, 1)
    return jnp.where(both, forth + back, 0.0)
