"""Masks and reductions shared by the interaction losses."""

from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Float, Shaped

from hoijax.geometry.safe import ArrayLike

Reduction = Literal["sum", "mean"]


def mask_weights(mask: Shaped[ArrayLike, "*N"] | None, like: Float[ArrayLike, "*N"]) -> Float[jax.Array, "*N"]:
    """The mask in the dtype of `like`; ones where no mask is given.

    Args:
      mask: boolean, integer or float weights, or None.
      like: the values that the mask belongs to.

    Returns:
      Weights of `like`'s shape and dtype.
    """
    if mask is None:
        return jnp.ones_like(like)
    return jnp.asarray(mask).astype(like.dtype)


def reduce_masked(
    values: Float[ArrayLike, "*N"], mask: Shaped[ArrayLike, "*N"] | None, reduction: Reduction
) -> Float[jax.Array, ""]:
    """Weighted sum or weighted mean; an empty mask gives zero, with a zero gradient.

    Args:
      values: one per point, finite where the mask is not zero.
      mask: boolean or float weights, None for all ones.
      reduction: "sum" for sum(w v), "mean" for sum(w v) / sum(w).

    Returns:
      A scalar.

    Raises:
      ValueError: another reduction was asked for.
    """
    values = jnp.asarray(values)
    weights = mask_weights(mask, values)
    total = jnp.sum(weights * jnp.where(weights != 0, values, 0))
    if reduction == "sum":
        return total
    if reduction == "mean":
        count = jnp.sum(weights)
        return total / jnp.where(count > 0, count, 1)
    raise ValueError(f"reduction must be 'sum' or 'mean', got {reduction!r}")
