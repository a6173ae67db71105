"""Contact between a body and an object from distances: probabilities, masks, hinge losses.

All functions take one body and one object; batch them with `vmap`. Shapes are static: which points take part is said
by masks. Distances are metres.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Bool, Float, Int, Shaped

from hoijax.geometry import einsum, nearest
from hoijax.geometry.safe import ArrayLike
from hoijax.interaction._arrays import Reduction, mask_weights, reduce_masked

SCOREHOI_MARGIN = 0.02
"""Distance below which the ScoreHOI losses count two points as touching, metres."""

CONTACT_THRESHOLD = 0.05
"""Vertex distance below which CONTHO and ScoreHOI call a vertex in contact, metres (DECO uses 0.04 on BEHAVE)."""


_DENSE = 1 << 17
"""Pairs of points up to which `contact_loss` keeps all distances rather than searching tile by tile."""
_EQUAL = 1e-6
"""Relative difference of two squared distances below which points count as equally near."""


@struct.dataclass
class ContactDistances:
    """Nearest distances between two point sets, both ways."""

    body: Float[ArrayLike, "*B V"] | Any
    """From each body point to the nearest object point, metres."""
    object: Float[ArrayLike, "*B N"] | Any
    """From each object point to the nearest body point, metres."""
    body_nearest: Int[ArrayLike, "*B V"] | Any
    """Index of the object point nearest to each body point."""
    object_nearest: Int[ArrayLike, "*B N"] | Any
    """Index of the body point nearest to each object point."""


def contact_distances(
    body_points: Float[ArrayLike, "V 3"],
    object_points: Float[ArrayLike, "N 3"],
    *,
    body_valid: Bool[ArrayLike, "V"] | None = None,
    object_valid: Bool[ArrayLike, "N"] | None = None,
    tile: int = 2048,
) -> ContactDistances:
    """Distances from each body point to the object points and from each object point to the body points.

    The indices are constants for differentiation; the distances are differentiable in both point sets, with a zero
    derivative where two points coincide.

    Args:
      body_points: metres.
      object_points: metres, same frame.
      body_valid: False for padded body points, which are then nobody's neighbour.
      object_valid: the same for object points.
      tile: number of points compared at a time; bounds the memory and does not change the result.

    Returns:
      Distances and indices both ways; infinity and -1 where the other side has no valid point. Entries of padded points
      are meaningless and left to the caller's masks.
    """
    to_object = nearest(body_points, object_points, tile=tile, valid=object_valid)
    to_body = nearest(object_points, body_points, tile=tile, valid=body_valid)
    return ContactDistances(to_object.distance, to_body.distance, to_object.index, to_body.index)


def contact_mask(distance: Float[ArrayLike, "*N"], *, threshold: float = CONTACT_THRESHOLD) -> Bool[jax.Array, "*N"]:
    """Contact by distance: strictly below the threshold (CONTHO, ScoreHOI evaluation).

    Args:
      distance: metres, any shape.
      threshold: metres. Papers differ (2, 4, 5 cm): name it with every number you report.

    Returns:
      Booleans of the same shape.
    """
    return jnp.asarray(distance) < threshold


def contact_probability(
    distance: Float[ArrayLike, "*N"], *, threshold: float = CONTACT_THRESHOLD, softness: float = 0.01
) -> Float[jax.Array, "*N"]:
    """Smooth contact by distance: sigmoid((threshold - distance) / softness).

    Above one half exactly where `contact_mask` is True, so either may feed a loss that thresholds at 0.5.

    Args:
      distance: metres, any shape.
      threshold: distance of probability one half, metres.
      softness: width of the transition, metres.

    Returns:
      Probabilities of the same shape.
    """
    return jax.nn.sigmoid((threshold - jnp.asarray(distance)) / softness)


def hinge_loss(
    distance: Float[ArrayLike, "*N"],
    *,
    mask: Shaped[ArrayLike, "*N"] | None = None,
    margin: float = 0.0,
    power: int = 2,
    reduction: Reduction = "sum",
) -> Float[jax.Array, ""]:
    """Sum or mean of relu(distance - margin)^power over the masked points.

    Args:
      distance: metres; from nearest points, a mesh, or |SDF|.
      mask: boolean or float weights, one per distance.
      margin: distance that costs nothing, metres.
      power: 1 or 2.
      reduction: "sum" or "mean" over the mask; zero for an empty mask.

    Returns:
      A scalar, metres^power.
    """
    excess = jax.nn.relu(jnp.asarray(distance) - margin)
    return reduce_masked(excess if power == 1 else excess**power, mask, reduction)


def contact_loss(
    body_points: Float[ArrayLike, "V 3"],
    object_points: Float[ArrayLike, "N 3"],
    body_mask: Shaped[ArrayLike, "V"],
    object_mask: Shaped[ArrayLike, "N"],
    *,
    margin: float = SCOREHOI_MARGIN,
    body_valid: Bool[ArrayLike, "V"] | None = None,
    object_valid: Bool[ArrayLike, "N"] | None = None,
    tile: int = 2048,
) -> Float[jax.Array, ""]:
    """Human-object contact loss L_ho of ScoreHOI, summed over both sides.

    sum_i relu(M_i d_i - margin)^2 over the body points plus the same over the object points, d the distance to the
    nearest point of the other side (released code; the paper writes a masked norm). It is a sum on purpose: the
    guidance scale of the paper is tuned to it, and a mean would silently weaken the guidance.

    Args:
      body_points: 431 downsampled vertices in ScoreHOI, any number here; metres.
      object_points: 64 template points in ScoreHOI; metres, same frame.
      body_mask: contact of each body point; booleans, or weights that multiply the distance inside the hinge.
      object_mask: contact of each object point.
      margin: metres.
      body_valid: False for padded body points.
      object_valid: False for padded object points.
      tile: see `contact_distances`.

    Returns:
      A scalar, square metres; zero when every masked distance is at most `margin`.
    """
    if body_points.shape[0] * object_points.shape[0] <= _DENSE:
        to_object, to_body = _all_distances(body_points, object_points, body_valid, object_valid)
    else:
        d = contact_distances(body_points, object_points, body_valid=body_valid, object_valid=object_valid, tile=tile)
        to_object, to_body = d.body, d.object
    body = mask_weights(body_mask, to_object) * jnp.where(jnp.isfinite(to_object), to_object, 0)
    object = mask_weights(object_mask, to_body) * jnp.where(jnp.isfinite(to_body), to_body, 0)
    return hinge_loss(body, margin=margin, mask=body_valid) + hinge_loss(object, margin=margin, mask=object_valid)


def _all_distances(
    a: Float[ArrayLike, "V 3"],
    b: Float[ArrayLike, "N 3"],
    a_valid: Bool[ArrayLike, "V"] | None,
    b_valid: Bool[ArrayLike, "N"] | None,
) -> tuple[Float[jax.Array, "V"], Float[jax.Array, "N"]]:
    """Distances from each point to the nearest of the other side, infinite where there is none; all pairs in memory.

    One table of squares serves both sides, and a minimum costs a CPU a thirtieth of finding where it is. Points equally
    near share the gradient.
    """
    a, b = jnp.asarray(a), jnp.asarray(b)
    far = [
        jnp.zeros(x.shape[0], x.dtype) if valid is None else jnp.where(valid, 0.0, jnp.inf).astype(x.dtype)
        for x, valid in ((a, a_valid), (b, b_valid))
    ]
    return tuple(_root(square) for square in _nearest_squares(a, b, *far))


def _squares(a: jax.Array, b: jax.Array) -> jax.Array:
    size = (a.shape[0], b.shape[0])
    across = [jnp.broadcast_to(a[:, None, k], size) - jnp.broadcast_to(b[None, :, k], size) for k in range(3)]
    return across[0] ** 2 + across[1] ** 2 + across[2] ** 2


@jax.custom_jvp
def _nearest_squares(a: jax.Array, b: jax.Array, a_far: jax.Array, b_far: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Least squared distances from a to b and from b to a; `far` is infinite for points that are nobody's neighbour."""
    square = _squares(a, b)
    size = square.shape
    return (
        jnp.min(square + jnp.broadcast_to(b_far[None], size), axis=1),
        jnp.min(square + jnp.broadcast_to(a_far[:, None], size), axis=0),
    )


@_nearest_squares.defjvp
def _nearest_squares_jvp(primals: tuple, tangents: tuple) -> tuple:
    """Two small matrix products instead of the derivative of the whole table, which autodiff would write out."""
    a, b, a_far, b_far = primals
    square, nearest = _squares(a, b), _nearest_squares(*primals)
    size = square.shape

    def along(x, y, tx, ty, equal):
        """Derivative of sum_j w_ij |x_i - y_j|^2, the weights w shared by the nearest."""
        weights = equal.astype(x.dtype)
        weights = weights / jnp.broadcast_to(jnp.sum(weights, axis=1, keepdims=True), weights.shape)
        near, moved = einsum("ij,jc->ic", weights, y), einsum("ij,jc->ic", weights, ty)
        inner = einsum("ij,j->i", weights, jnp.sum(y * ty, axis=-1))
        return 2.0 * (jnp.sum((x - near) * tx, axis=-1) - jnp.sum(x * moved, axis=-1) + inner)

    # Not equality: the compiler may round the same square differently in different places.
    least = [(1.0 + _EQUAL) * x for x in nearest]
    to_b = square + jnp.broadcast_to(b_far[None], size) <= jnp.broadcast_to(least[0][:, None], size)
    to_a = square + jnp.broadcast_to(a_far[:, None], size) <= jnp.broadcast_to(least[1][None], size)
    return nearest, (along(a, b, *tangents[:2], to_b), along(b, a, tangents[1], tangents[0], to_a.T))


def _root(square: jax.Array) -> jax.Array:
    """The square root, with derivative zero at zero and at infinity."""
    plain = (square > 0) & jnp.isfinite(square)
    return jnp.where(plain, jnp.sqrt(jnp.where(plain, square, 1.0)), jax.lax.stop_gradient(square))
