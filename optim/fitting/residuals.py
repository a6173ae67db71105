"""Residuals of a fit in standard deviations: pixels, metres, joint limits and the priors.

The square sum is twice the negative logarithm of a posterior, but for the robust loss: the residual e of a point, in
pixels or in metres, costs |e|^2 / (1 + |e|^2 / c^2) (Geman and McClure 1987), which ends at c^2 for outliers.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Float

from hoijax.geometry import cross, einsum, safe_normalize
from hoijax.optim.fitting.intrinsics import Intrinsics
from hoijax.optim.fitting.observations import GROUPS, Observation
from hoijax.optim.fitting.points import place_points
from hoijax.optim.fitting.unknowns import (
    FACING,
    PreparedBody,
    fitted_matrix,
    joint_vectors,
    unpack,
)

ArrayLike = jax.Array | np.ndarray

_NEAREST = 0.05  # metres; what is nearer is projected as if it were there
_LIMIT_STD = 0.1  # radians beyond a joint's range that count as one standard deviation
_TURN_STD = 10.0  # radians of the root's turn from its start: next to nothing, it keeps the normal matrix regular
_UPRIGHT_STD, _FACING_STD = 1.0, 3.0  # of the root's axes, as chords


@struct.dataclass
class Evidence:
    """One person's observation with its camera, as the residuals take it."""

    observation: Observation
    intrinsics: Intrinsics
    root: Float[ArrayLike, "3 3"] | Any
    """Orientation that the root's turn starts from."""


def project_pixels(matrix: Float[jax.Array, "3 3"], points: Float[jax.Array, "N 3"]) -> Float[jax.Array, "N 2"]:
    """Pixels (x, y) of points in the camera's frame; what is behind the camera is drawn as if it were close to it."""
    depth = jnp.maximum(points[:, 2], _NEAREST)
    return einsum("ij,nj->ni", matrix[:2, :2], points[:, :2] / depth[:, None]) + jnp.broadcast_to(
        matrix[:2, 2], (points.shape[0], 2)
    )


def view_rotation(observation: Observation, matrix: Float[jax.Array, "3 3"]) -> Float[jax.Array, "3 3"]:
    """Rotation from a camera that looks at the middle of the seen points to the real one, about the shortest axis."""
    if observation.metric_frame == "camera":
        return jnp.eye(3, dtype=matrix.dtype)
    weight = jnp.asarray(observation.weights)
    total = jnp.sum(weight)
    middle = einsum("n,nc->c", weight, observation.pixels) / jnp.where(total > 0, total, 1.0)
    slope = (middle - matrix[:2, 2]) / jnp.stack([matrix[0, 0], matrix[1, 1]])
    slope = jnp.where(total > 0, slope, 0.0)
    ray = safe_normalize(jnp.append(slope, jnp.ones((), matrix.dtype)))
    axis = cross(jnp.asarray([0.0, 0.0, 1.0], matrix.dtype), ray)
    zero = jnp.zeros((), matrix.dtype)
    k = jnp.stack([zero, -axis[2], axis[1], axis[2], zero, -axis[0], -axis[1], axis[0], zero]).reshape(3, 3)
    return jnp.eye(3, dtype=matrix.dtype) + k + einsum("ij,jk->ik", k, k) / (1.0 + ray[2])


def residuals(z: Float[jax.Array, "N"], body: PreparedBody, evidence: Evidence) -> Float[jax.Array, "M"]:
    """All residuals of one person: two for each point's pixels, three for its metres, then the priors'.

    Args:
      z: unknowns, see `unknowns`.
      body: what is fitted.
      evidence: what was seen.
    """
    params = unpack(body, z, evidence.root)
    points, _ = place_points(body.table, params)
    return residuals_at(points, params.rotations[0], z, body, evidence)


def residuals_at(
    points: Float[jax.Array, "N 3"],
    root: Float[jax.Array, "3 3"],
    z: Float[jax.Array, "N_z"],
    body: PreparedBody,
    evidence: Evidence,
) -> Float[jax.Array, "M"]:
    """`residuals` of unknowns whose points, and orientation of the root, are known already."""
    matrix = fitted_matrix(z, evidence.intrinsics)
    return jnp.concatenate(
        [
            _pixel_residuals(points, matrix, body, evidence.observation).reshape(-1),
            _metric_residuals(points, matrix, body, evidence.observation).reshape(-1),
            *_prior_residuals(z, root, body),
        ]
    )


def robust_loss(
    residuals: Float[jax.Array, "M"], count: int, scale: Float[jax.Array, ""]
) -> tuple[Float[jax.Array, ""], Float[jax.Array, "M"]]:
    """Loss of all residuals, and its derivative with respect to each one's square, for `levenberg_marquardt`.

    Args:
      residuals: of `residuals`.
      count: number of points, N.
      scale: c, standard deviations.
    """
    parts, weights, costs = jnp.split(residuals, (2 * count, 5 * count)), [], []
    for part, size in zip(parts, (2, 3, 1)):
        square = jnp.sum(jnp.square(part.reshape(-1, size)), axis=1)
        share = 1.0 / (1.0 + square / jnp.square(scale)) if size > 1 else jnp.ones_like(square)
        costs.append(jnp.sum(square * share))
        weights.append(jnp.repeat(jnp.square(share), size))
    return costs[0] + costs[1] + costs[2], jnp.concatenate(weights)


def num_observed(body: PreparedBody) -> int:
    """How many of the first residuals come from the observation, the rest being priors."""
    return 5 * len(body.names)


def _pixel_residuals(points, matrix, body, seen):
    error = project_pixels(matrix, points) - jnp.asarray(seen.pixels)
    # What the detector's point and the body's differ by, in pixels at this distance.
    depth = jax.lax.stop_gradient(jnp.maximum(points[:, 2], _NEAREST))
    spread = jnp.asarray(seen.spread) * jax.lax.stop_gradient(matrix[0, 0]) / depth
    std = jnp.sqrt(jnp.square(jnp.asarray(seen.pixel_std)) + jnp.square(spread))
    return _weigh(error, std, _usable_weights(body, seen.weights))


def _metric_residuals(points, matrix, body, seen):
    target = einsum("ij,nj->ni", view_rotation(seen, matrix), seen.metric)
    weight = _usable_weights(body, seen.metric_weights)
    error = points - target
    member = jnp.asarray(np.equal.outer(np.arange(len(GROUPS)), seen.groups), points.dtype)
    share = member * jnp.broadcast_to(weight, member.shape)
    total = jnp.sum(share, axis=1, keepdims=True)
    share = share / jnp.where(total > 0, total, 1.0)
    middle = einsum("gn,nc->gc", share, error)
    error = error - einsum("gn,gc->nc", member, middle)
    std = jnp.sqrt(jnp.square(jnp.asarray(seen.metric_std)) + jnp.square(jnp.asarray(seen.spread)))
    return _weigh(error, std, weight)


def _usable_weights(body, weights):
    return jnp.asarray(weights) * jnp.asarray(np.asarray(body.table.known), jnp.asarray(weights).dtype)


def _weigh(error, std, weight):
    # At weight zero the derivative of the root is infinite, so the root of a harmless number is taken there.
    root = jnp.where(weight > 0, jnp.sqrt(jnp.where(weight > 0, weight, 1.0)), 0.0)
    return (root / std)[:, None] * error


def _prior_residuals(z, root, body):
    vectors = joint_vectors(body, z)[1:]
    over = jax.nn.relu(vectors - jnp.asarray(body.prior.upper)[1:])
    under = jax.nn.relu(jnp.asarray(body.prior.lower)[1:] - vectors)
    facing = jnp.asarray(FACING, z.dtype)
    return (
        z[3:],
        z[:3] / _TURN_STD,
        ((over + under) / _LIMIT_STD).reshape(-1),
        (root[:, 1] - facing[:, 1]) / _UPRIGHT_STD,
        (root - facing).reshape(-1) / _FACING_STD,
    )
