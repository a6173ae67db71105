"""Joint and vertex errors in millimetres: MPJPE, PA-MPJPE, MPVPE. Any leading axes, on any device."""

import jax
import jax.numpy as jnp
from jaxtyping import Float, Shaped

from hoijax.geometry import safe_norm, transform_points, umeyama
from hoijax.geometry.safe import ArrayLike


def mpjpe_mm(
    predicted: Float[ArrayLike, "*B J 3"],
    true: Float[ArrayLike, "*B J 3"],
    *,
    root: int | None = None,
    weights: Shaped[ArrayLike, "*B J"] | None = None,
) -> Float[jax.Array, "*B"]:
    """Mean distance between joints that belong together.

    Args:
      predicted: metres.
      true: metres, same order.
      root: joint that both are moved to first (usually the pelvis); None compares where they are.
      weights: joints that count; zero for joints without truth.

    Returns:
      Millimetres; 0 when no joint counts.
    """
    predicted, true = jnp.asarray(predicted), jnp.asarray(true)
    if root is not None:
        predicted = predicted - predicted[..., root : root + 1, :]
        true = true - true[..., root : root + 1, :]
    return _mean_mm(predicted, true, weights)


def pa_mpjpe_mm(
    predicted: Float[ArrayLike, "*B J 3"],
    true: Float[ArrayLike, "*B J 3"],
    *,
    weights: Shaped[ArrayLike, "*B J"] | None = None,
) -> Float[jax.Array, "*B"]:
    """Mean joint distance after the similarity (scale included) that aligns the prediction best.

    Args:
      predicted: metres.
      true: metres, same order.
      weights: joints that count, in the alignment and in the mean.

    Returns:
      Millimetres.
    """
    predicted = jnp.asarray(predicted)
    given = None if weights is None else jnp.asarray(weights).astype(predicted.dtype)
    pose = umeyama(predicted, true, given)
    return _mean_mm(transform_points(pose, predicted), jnp.asarray(true), weights)


def mpvpe_mm(
    predicted: Float[ArrayLike, "*B V 3"],
    true: Float[ArrayLike, "*B V 3"],
    *,
    predicted_root: Float[ArrayLike, "*B 3"] | None = None,
    true_root: Float[ArrayLike, "*B 3"] | None = None,
    weights: Shaped[ArrayLike, "*B V"] | None = None,
) -> Float[jax.Array, "*B"]:
    """Mean distance between vertices that belong together.

    Args:
      predicted: metres.
      true: metres, same order.
      predicted_root: position subtracted from the prediction first, usually its pelvis.
      true_root: the same for the truth.
      weights: vertices that count.

    Returns:
      Millimetres.

    Raises:
      ValueError: only one of the two roots was given.
    """
    if (predicted_root is None) != (true_root is None):
        raise ValueError("a root must be given for both sides or for none, got one of predicted_root, true_root")
    predicted, true = jnp.asarray(predicted), jnp.asarray(true)
    if predicted_root is not None and true_root is not None:
        predicted = predicted - jnp.asarray(predicted_root)[..., None, :]
        true = true - jnp.asarray(true_root)[..., None, :]
    return _mean_mm(predicted, true, weights)


def _mean_mm(a: jax.Array, b: jax.Array, weights: Shaped[ArrayLike, "..."] | None) -> jax.Array:
    distance = safe_norm(a - b)
    if weights is None:
        return 1000.0 * jnp.mean(distance, axis=-1)
    weights = jnp.asarray(weights).astype(distance.dtype)
    total = jnp.sum(weights, axis=-1)
    return 1000.0 * jnp.sum(weights * distance, axis=-1) / jnp.where(total > 0, total, 1)
