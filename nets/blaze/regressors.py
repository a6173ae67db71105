"""Hands and boxes: the shared trunk, the mean over its last map, and linear heads."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Float

from hoijax.geometry.safe import ArrayLike
from hoijax.nets.blaze.layers import Params, dense, picture_by_picture
from hoijax.nets.blaze.trunk import trunk

CROP_SIZE = 224
"""Side of the square crop of both networks, pixels."""


@struct.dataclass
class RawHand:
    """What the hand network says of one crop, in the crop's frame."""

    points: Float[ArrayLike, "*B 21 3"] | Any
    """Pixels of the crop; z in the same unit, about the wrist."""

    metric: Float[ArrayLike, "*B 21 3"] | Any
    """Metres about the hand's middle, axes as the crop's."""

    score: Float[ArrayLike, "*B"] | Any
    """Probability that a hand is there."""

    right: Float[ArrayLike, "*B"] | Any
    """Probability that it is a right hand."""


@jax.jit
@picture_by_picture
def run_hand_network(params: Params, crops: Float[ArrayLike, "B 224 224 3"]) -> RawHand:
    """A hand's points (BlazePalm and its landmark network, Zhang et al. 2020).

    Args:
      params: weights of `load("hand")`.
      crops: values in [0, 1]; the hand's fingers point up.
    """
    pooled = trunk(params, jnp.asarray(crops), "same")[0].mean((1, 2))
    return RawHand(
        points=dense(params, "points", pooled).reshape(-1, 21, 3),
        metric=dense(params, "metric", pooled).reshape(-1, 21, 3),
        score=jax.nn.sigmoid(dense(params, "score", pooled)[:, 0]),
        right=jax.nn.sigmoid(dense(params, "right", pooled)[:, 0]),
    )


@jax.jit
@picture_by_picture
def run_box_network(
    params: Params, crops: Float[ArrayLike, "B 224 224 3"]
) -> tuple[Float[Array, "B 9 2"], Float[Array, "B"]]:
    """An object's box: its centre and eight corners in pixels of the crop (Objectron, Ahmadyan et al. 2021).

    Args:
      params: weights of `load("chair")` or `load("cup")`.
      crops: values in [0, 1].

    Returns:
      Points and the probability that the object is there.
    """
    pooled = trunk(params, jnp.asarray(crops), "same")[0].mean((1, 2))
    return dense(params, "points", pooled).reshape(-1, 9, 2), jax.nn.sigmoid(dense(params, "score", pooled)[:, 0])
