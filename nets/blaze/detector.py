"""The person detector (BlazePose's, Bazarevsky et al. 2020): a picture of 224 pixels to 2,254 boxes with four points.

Trunk, then two levels up with the trunk's inputs of the same size added, and on each of three levels a pair of heads.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from hoijax.geometry.safe import ArrayLike
from hoijax.nets.blaze.layers import Params, conv, depth_to_space, depthwise, double, picture_by_picture, relu6
from hoijax.nets.blaze.trunk import trunk

DETECTOR_SIZE = 224
"""Side of the square picture that the detector takes, pixels."""

NUM_ANCHORS = 2254
"""Anchors: 28 x 28 x 2, 14 x 14 x 2, 7 x 7 x 6."""

LEVELS = ((28, 2), (14, 2), (7, 6))
"""Side and anchors per cell of the three levels."""


@jax.jit
@picture_by_picture
def run_detector(
    params: Params, pictures: Float[ArrayLike, "B 224 224 3"]
) -> tuple[Float[Array, "B 2254 12"], Float[Array, "B 2254"]]:
    """Raw boxes and scores.

    Args:
      params: weights of `load("detector")`.
      pictures: values in [0, 1].

    Returns:
      Per anchor: centre offset and size of the box, then offsets of four points, all in pixels of the input; and the
      score before the sigmoid.
    """
    deep, inputs = trunk(params, 2 * jnp.asarray(pictures) - 1, "centred")
    middle = _climb(params, "up.0", deep, inputs[11])
    fine = _climb(params, "up.1", middle, inputs[5])
    levels = [depth_to_space(fine), depth_to_space(middle), depth_to_space(deep)]
    boxes, scores = [], []
    for i, level in enumerate(levels):
        score = _head(params, f"heads.{i}.score", level)
        box = _head(params, f"heads.{i}.box", level)
        scores.append(score.reshape(score.shape[0], -1))
        boxes.append(box.reshape(box.shape[0], -1, 12))
    return jnp.concatenate(boxes, 1), jnp.concatenate(scores, 1)


def _climb(params: Params, name: str, deep: Array, side: Array) -> Array:
    """One level up: the deep map at twice its size plus the side map, then two residual pairs of layers."""
    side = relu6(conv(params, f"{name}.side.project", depthwise(params, f"{name}.side.depthwise", side)))
    x = side + relu6(conv(params, f"{name}.deep", double(deep)))
    for pair in ("0", "1"):
        y = depthwise(params, f"{name}.{pair}.depthwise", x)
        x = relu6(x + conv(params, f"{name}.{pair}.project", y))
    return x


def _head(params: Params, name: str, level: Array) -> Array:
    return conv(params, f"{name}.project", depthwise(params, f"{name}.depthwise", level, stride=2, padding="centred"))
