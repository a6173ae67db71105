"""The floor: height along any gravity direction, where the floor is, contact with it.

A floor is a gravity direction and a height. Height grows against gravity; the floor's height is the height of its
points, so a point stands `height - floor` above it. Gravity has no default: the package's world has y up
(`GRAVITY_WORLD`), its cameras have y down (`GRAVITY_CAMERA`), and real cameras are tilted.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float, Shaped

from hoijax.geometry.safe import ArrayLike, safe_normalize
from hoijax.interaction._arrays import Reduction, mask_weights, reduce_masked
from hoijax.interaction.contact import SCOREHOI_MARGIN

GRAVITY_WORLD = (0.0, -1.0, 0.0)
"""Down in the package's world frame, y up."""

GRAVITY_CAMERA = (0.0, 1.0, 0.0)
"""Down in the frame of an untilted camera, y down; what ScoreHOI assumes."""

Direction = Float[ArrayLike, "3"] | tuple[Any, Any, Any]
"""A vector, as an array or as three numbers (traced ones where a tuple passes through `jit`)."""


def height(points: Float[ArrayLike, "*B N 3"], gravity: Direction) -> Float[jax.Array, "*B N"]:
    """Height of points: minus their coordinate along gravity. Any leading axes.

    Args:
      points: metres.
      gravity: direction of gravity in the frame of the points, any length but zero.

    Returns:
      Metres, larger is higher.
    """
    points = jnp.asarray(points)
    down = jnp.asarray(gravity, dtype=points.dtype)
    down = safe_normalize(down)
    # A sum of three products, not a matrix product, so that no accelerator rounds it to a shorter type.
    return -(points[..., 0] * down[0] + points[..., 1] * down[1] + points[..., 2] * down[2])


def lowest(
    heights: Float[ArrayLike, "N"], *, valid: Bool[ArrayLike, "N"] | None = None, temperature: float = 0.0
) -> Float[jax.Array, ""]:
    """The lowest height, hard or smooth.

    Args:
      heights: metres.
      valid: False for padded points.
      temperature: 0 is the minimum (ScoreHOI takes the maximum of y, which points down), whose gradient reaches one
        point. Above 0, metres, the mean of the heights weighted by exp(-h / temperature), whose gradient is shared by
        all points within about that height of the lowest; it lies above the minimum.

    Returns:
      A scalar, metres; 0 without any valid point.
    """
    heights = jnp.asarray(heights)
    valid = jnp.ones(heights.shape, bool) if valid is None else jnp.asarray(valid)
    some = jnp.any(valid)
    masked = jnp.where(valid, heights, jnp.inf)
    if temperature == 0.0:
        return jnp.where(some, jnp.min(jnp.where(some, masked, 0)), 0)
    base = jax.lax.stop_gradient(jnp.min(jnp.where(some, masked, 0)))
    weight = jnp.where(valid, jnp.exp(-(jnp.where(valid, heights, base) - base) / temperature), 0)
    total = jnp.sum(weight)
    return jnp.sum(weight * jnp.where(valid, heights, 0)) / jnp.where(some, total, 1)


def estimate_floor(
    points: Float[ArrayLike, "N 3"],
    gravity: Direction,
    *,
    valid: Bool[ArrayLike, "N"] | None = None,
    count: int = 1,
) -> Float[jax.Array, ""]:
    """Height of the floor from what stands on it: the mean of the `count` lowest heights.

    Args:
      points: body and object together, metres.
      gravity: see `height`.
      valid: False for padded points.
      count: 1 is the released rule of ScoreHOI; 20 or so ignores a stray toe on a dense mesh.

    Returns:
      A scalar height, metres; 0 without any valid point.
    """
    heights = height(points, gravity)
    valid = jnp.ones(heights.shape, bool) if valid is None else jnp.asarray(valid)
    _, index = jax.lax.top_k(-jnp.where(valid, heights, jnp.inf), min(count, heights.shape[0]))
    kept = valid[index]
    number = jnp.sum(kept).astype(heights.dtype)
    return jnp.sum(jnp.where(kept, heights[index], 0)) / jnp.where(number > 0, number, 1)


def floor_contact_loss(
    object_points: Float[ArrayLike, "N 3"],
    body_points: Float[ArrayLike, "V 3"],
    object_mask: Shaped[ArrayLike, "N"],
    *,
    gravity: Direction,
    floor: Float[ArrayLike, ""] | float | None = None,
    margin: float = SCOREHOI_MARGIN,
    temperature: float = 0.0,
    object_valid: Bool[ArrayLike, "N"] | None = None,
    body_valid: Bool[ArrayLike, "V"] | None = None,
) -> Float[jax.Array, ""]:
    """Object-floor contact loss L_of of ScoreHOI: sum_j relu(M_j |h_j - h_floor| - margin)^2.

    Without `floor`, the floor lies at the lowest of all body and object points and moves with them, as in the released
    code: the gradient then also lowers the object towards the body's feet, or the feet towards the object.

    Args:
      object_points: template points, metres.
      body_points: body vertices, metres, same frame.
      object_mask: floor contact of each object point, booleans or weights.
      gravity: `GRAVITY_CAMERA` is the released assumption.
      floor: height of a known floor (`height` of its points), a constant; None to take the lowest point.
      margin: metres.
      temperature: see `lowest`; 0 is the released form.
      object_valid: False for padded object points.
      body_valid: False for padded body points.

    Returns:
      A scalar, square metres.
    """
    above = height(object_points, gravity)
    if floor is None:
        below = height(body_points, gravity)
        valid = jnp.concatenate([mask_weights(body_valid, below) > 0, mask_weights(object_valid, above) > 0])
        level = lowest(jnp.concatenate([below, above]), valid=valid, temperature=temperature)
    else:
        level = jnp.asarray(floor, dtype=above.dtype)
    gap = mask_weights(object_mask, above) * jnp.abs(above - level)
    return reduce_masked(jax.nn.relu(gap - margin) ** 2, object_valid, "sum")


def floor_penetration_loss(
    points: Float[ArrayLike, "N 3"],
    *,
    gravity: Direction,
    floor: Float[ArrayLike, ""] | float,
    mask: Shaped[ArrayLike, "N"] | None = None,
    margin: float = 0.0,
    power: int = 2,
    reduction: Reduction = "mean",
) -> Float[jax.Array, ""]:
    """Cost of points below a known floor: relu(floor - height - margin)^power.

    Args:
      points: of the body or the object, metres.
      gravity: see `height`.
      floor: height of the floor, metres.
      mask: boolean or float weights.
      margin: depth that costs nothing, metres.
      power: 1 or 2.
      reduction: "mean" or "sum" over the mask.

    Returns:
      A scalar, metres^power.
    """
    above = height(points, gravity)
    depth = jax.nn.relu(jnp.asarray(floor, dtype=above.dtype) - above - margin)
    return reduce_masked(depth if power == 1 else depth**power, mask, reduction)


def support_loss(
    points: Float[ArrayLike, "N 3"],
    *,
    gravity: Direction,
    floor: Float[ArrayLike, ""] | float,
    valid: Bool[ArrayLike, "N"] | None = None,
    count: int = 16,
    margin: float = 0.0,
) -> Float[jax.Array, ""]:
    """Keeps something standing on a known floor: relu(|mean of its `count` lowest heights - floor| - margin)^2.

    Args:
      points: of the body (standing) or of the object (not lifted), metres.
      gravity: see `height`.
      floor: height of the floor, metres.
      valid: False for points that do not take part.
      count: how many of the lowest points carry.
      margin: gap that costs nothing, metres.

    Returns:
      A scalar, square metres.
    """
    level = estimate_floor(points, gravity, valid=valid, count=count)
    return jax.nn.relu(jnp.abs(level - jnp.asarray(floor, dtype=level.dtype)) - margin) ** 2
