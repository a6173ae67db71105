"""The landmark network (BlazePose GHUM, Bazarevsky et al. 2020): a turned crop of 256 pixels to a person's points.

The shared trunk, a decoder that adds the trunk's maps level by level (heat maps and the mask
come from it), and a second, deeper encoder down to two by two cells, whose heads read all points at once.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Float

from hoijax.geometry.safe import ArrayLike
from hoijax.nets.blaze.layers import Params, conv, depthwise, double, halve_max, picture_by_picture, relu6
from hoijax.nets.blaze.trunk import trunk

LANDMARK_SIZE = 256
"""Side of the square crop that the landmark network takes, pixels."""

NUM_RAW = 39
"""The 33 points of a person and six more that only tell the next crop."""

SIDES = (11, 5, 3, 1)
"""Block whose input goes to the decoder at each level, from 16 cells to 128."""


@struct.dataclass
class RawLandmarks:
    """What the landmark network says of one crop, in the crop's frame."""

    points: Float[ArrayLike, "*B 39 5"] | Any
    """x, y, z in pixels of the crop, then visibility and presence before the sigmoid."""

    metric: Float[ArrayLike, "*B 39 3"] | Any
    """Metres about the middle of the hips, axes as the crop's."""

    score: Float[ArrayLike, "*B"] | Any
    """Probability that a person is there."""

    mask: Float[ArrayLike, "*B 256 256"] | Any
    """Person's mask before the sigmoid."""

    heat: Float[ArrayLike, "*B 64 64 39"] | Any
    """Heat map of each point before the sigmoid."""


@jax.jit
@picture_by_picture
def run_landmarker(params: Params, crops: Float[ArrayLike, "B 256 256 3"]) -> RawLandmarks:
    """A person's points, mask and heat maps.

    Args:
      params: weights of `load("landmarks")`.
      crops: values in [0, 1]; the person upright in the middle.
    """
    deep, inputs = trunk(params, jnp.asarray(crops), "centred")
    x = _lift(params, "up.start", deep)
    for i, block in enumerate(SIDES[:3]):
        x = double(x) + _lift(params, f"up.{i}", inputs[block])
    heat = conv(params, "heat", x)
    x = double(_lift(params, "mask.start", x)) + _lift(params, "mask.side", inputs[SIDES[3]])
    x = _refine(params, "mask.0", x, 2)
    x = _refine(params, "mask.1", double(x), 2)
    mask = conv(params, "mask.out", x)[..., 0]
    points, metric, score = _regress(params, deep)
    return RawLandmarks(points=points, metric=metric, score=score, mask=mask, heat=heat)


def _lift(params: Params, name: str, x: Array) -> Array:
    """A map of the encoder with the decoder's number of channels."""
    return relu6(conv(params, f"{name}.project", relu6(depthwise(params, f"{name}.depthwise", x))))


def _refine(params: Params, name: str, x: Array, count: int) -> Array:
    """Residual pairs: filter per channel, mix, add."""
    for i in range(count):
        y = relu6(depthwise(params, f"{name}.{i}.depthwise", x))
        x = relu6(x + conv(params, f"{name}.{i}.project", y))
    return x


def _shrink(params: Params, name: str, x: Array) -> Array:
    """A residual pair that halves the size; the largest of two by two pixels stands for the input."""
    y = relu6(depthwise(params, f"{name}.depthwise", x, stride=2))
    return relu6(halve_max(x) + conv(params, f"{name}.project", y))


def _regress(params: Params, deep: Array) -> tuple[Array, Array, Array]:
    x = _lift(params, "down.start", deep)
    x = _refine(params, "down.0", _shrink(params, "down.0.shrink", x), 4)
    x = _refine(params, "down.1", _shrink(params, "down.1.shrink", x), 5)
    flat = x.reshape(x.shape[0], -1)

    def head(name: str) -> Array:
        kernel = jnp.asarray(params[f"{name}.kernel"])
        return flat @ kernel.reshape(flat.shape[1], -1) + jnp.asarray(params[f"{name}.bias"])[None]

    points = head("points").reshape(-1, NUM_RAW, 5)
    return points, head("metric").reshape(-1, NUM_RAW, 3), jax.nn.sigmoid(head("score")[:, 0])
