"""What ties the frames of a window: accelerations, and contacts that keep their place. Pure, for one window.

Terms are sums over the frames and near one a frame where something is off by its width.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Float

from hoijax.geometry import einsum
from hoijax.interaction import object_sdf
from hoijax.optim.fields import ObjectField
from hoijax.optim.gradient.energy import UNIT, Cloud
from hoijax.optim.gradient.floor import Floor
from hoijax.optim.gradient.state import State

TOUCHING = 0.02
"""A point this far from the object touches it by half, metres."""
SLIP = 0.02
"""Sliding beyond about this length between two frames costs linearly, metres: a hand that is moved on is moved on."""


@struct.dataclass
class TemporalWeights:
    """Weights of the terms, scalars."""

    acceleration: Any
    sliding: Any
    standing: Any


@struct.dataclass
class Ties:
    """How the frames of a window hang together; T frames."""

    differences: Any
    """Second differences, (T - 2, T); rows across gaps are zero."""
    inverse_natural: Any
    """1 / root mean square of the second difference of natural motion, 1 / metres, ()."""
    follows: Any
    """1 where a frame and the next follow each other, (T - 1)."""
    joints: Any
    """Joints whose accelerations count, (J)."""
    corners: Any
    """Corners of the object's box, canonical frame, (8, 3)."""


def acceleration_term(points: Float[jax.Array, "T N 3"], weights: Float[jax.Array, "N"], ties: Ties) -> jax.Array:
    """Mean over the points of their squared accelerations, in natural ones, summed over the frames."""
    second = einsum("kt,tnc->knc", ties.differences, points) * ties.inverse_natural
    return jnp.sum(jnp.sum(second**2, axis=-1) @ weights) / jnp.maximum(jnp.sum(weights), 1)


def touches(
    points: Float[jax.Array, "T M 3"], states: State, field: ObjectField, cloud: Cloud
) -> Float[jax.Array, "T P"]:
    """How much each contact point of each frame touches the object, 0 to 1; nothing here is differentiated."""

    def one(points: jax.Array, state: State, cloud: Cloud) -> jax.Array:
        distance = object_sdf(field.sdf, state.pose, points[cloud.parts])
        meant = cloud.part_weight > 0.5 * jnp.max(cloud.part_weight, axis=1, keepdims=True)
        near = 1.0 / (1.0 + (distance / TOUCHING) ** 2) ** 2
        return near * (meant & (cloud.part_weight > 0)).reshape(-1).astype(near.dtype)

    return jax.lax.stop_gradient(jax.vmap(one)(points, states, cloud))


def sliding_term(
    points: Float[jax.Array, "T P 3"], states: State, touching: Float[jax.Array, "T P"], ties: Ties
) -> jax.Array:
    """Places on the object of points that touch it in a frame and in the next, squared shifts in centimetres."""
    own = einsum("tji,tpj->tpi", states.object_rotation, points - states.object_translation[:, None])
    weight = touching[1:] * touching[:-1] * ties.follows[:, None]
    return _mean_slip(own[1:] - own[:-1], weight)


def standing_term(
    points: Float[jax.Array, "T F 3"], weight: Float[jax.Array, "T F"], floor: Floor, ties: Ties
) -> jax.Array:
    """The same for points of feet that stand, along the floor; `floor` is of one frame, the weight in [0, 1]."""
    shift = points[1:] - points[:-1]
    down = floor.gravity[None, None]
    shift = shift - jnp.sum(shift * down, axis=-1, keepdims=True) * down
    return _mean_slip(shift, weight[1:] * weight[:-1] * ties.follows[:, None])


def _mean_slip(shift: Float[jax.Array, "K P 3"], weight: Float[jax.Array, "K P"]) -> jax.Array:
    """Weighted mean over the points of squared shifts (pseudo-Huber beyond `SLIP`), summed over the frames."""
    square = jnp.sum(shift**2, axis=-1)
    cost = 2.0 * (SLIP / UNIT) ** 2 * (jnp.sqrt(1.0 + square / SLIP**2) - 1.0)
    # The mean, and not the sum: a palm of thirty points is not thirty palms; one point of it is no whole palm either.
    return jnp.sum(jnp.sum(weight * cost, axis=1) / jnp.maximum(jnp.sum(weight, axis=1), 1.0))
